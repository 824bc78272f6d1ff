// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"regexp"
	"strings"
)

// kind is what rules with the same prefix have in common.
type kind struct {
	prefix  string // of the ID
	parent  string // of the section, such as nodes
	rules   string // the Go type of the parent
	file    string // of that type, under api/v1alpha1
	targets string // the usual Targets, a call
	agents  string // the usual Agents, a call
	fixture string // the files of a fixture behind its policy
}

func kinds() []kind {
	return []kind{
		{"node-", "nodes", "NodeRules", "nodes.go", "nodeWrites()", "sameForAgents(nodeWrites())", nodeFixture},
		{"mirror-pod-", "mirrorPods", "MirrorPodRules", "mirror_pods.go", "podCreations()", "kubeletsOnly(onlyKubeletsCreate)", mirrorPodFixture},
		{"pod-", "pods", "PodRules", "pods.go", "podStatusWrites()", "sameForAgents(podStatusWrites())", podFixture},
	}
}

// rule is the rule to add.
type rule struct {
	kind

	ID       string // such as node-foo-bar
	Function string // such as nodeFooBar
	Field    string // the Go name of the section, such as FooBar
	Section  string // its JSON name, such as fooBar
	Type     string // its Go type, such as NodeFooBar
}

// maxID is how long an ID may be, in bytes: status.violations of a policy has no room for more.
const maxID = 64

// newRule returns the rule with an ID.
func newRule(id string) (*rule, error) {
	if len(id) > maxID || !regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*$`).MatchString(id) {
		return nil, fmt.Errorf("ID: %.80q must be in kebab-case, such as node-foo-bar, of at most %d characters", id, maxID)
	}
	for _, k := range kinds() {
		name, ok := strings.CutPrefix(id, k.prefix)
		if !ok {
			continue
		}
		upper := strings.ToUpper(k.parent[:1]) + strings.TrimSuffix(k.parent[1:], "s")
		first, rest, _ := strings.Cut(name, "-")
		field := camel(name)
		return &rule{
			kind: k, ID: id, Field: field, Section: first + camel(rest), Type: upper + field,
			Function: strings.ToLower(upper[:1]) + upper[1:] + field,
		}, nil
	}
	return nil, fmt.Errorf("ID: %q must begin with node-, mirror-pod- or pod-; add any other rule by hand", id)
}

// camel returns a kebab-case name as the part of a Go name.
func camel(name string) string {
	initialisms := map[string]string{
		"api": "API", "cidr": "CIDR", "cidrs": "CIDRs", "id": "ID", "ids": "IDs", "ip": "IP", "ips": "IPs", "uid": "UID",
	}
	var b strings.Builder
	for word := range strings.SplitSeq(name, "-") {
		if initialism, ok := initialisms[word]; ok {
			b.WriteString(initialism)
		} else if word != "" {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}

const (
	nodeFixture = `{nodeName: worker-1, operation: UPDATE, resource: nodes, subresource: status}
-- old.yaml --
metadata: {name: worker-1}
-- new.yaml --
metadata: {name: worker-1}
`
	mirrorPodFixture = `{nodeName: worker-1, operation: CREATE, resource: pods}
-- new.yaml --
metadata: {name: web-worker-1, namespace: kube-system, annotations: {kubernetes.io/config.hash: 9a8b7c, ` +
		`kubernetes.io/config.mirror: 9a8b7c, kubernetes.io/config.source: file, kubernetes.io/config.seen: "2026-11-24T08:00:00Z"}}
spec: {nodeName: worker-1, containers: [{name: c, image: registry.example.com/c}]}
`
	podFixture = `{nodeName: worker-1, operation: UPDATE, resource: pods, subresource: status}
-- old.yaml --
metadata: {name: web, namespace: shop, uid: 33333333-3333-3333-3333-333333333333}
spec: {nodeName: worker-1, containers: [{name: c, image: registry.example.com/c}]}
-- new.yaml --
metadata: {name: web, namespace: shop, uid: 33333333-3333-3333-3333-333333333333}
spec: {nodeName: worker-1, containers: [{name: c, image: registry.example.com/c}]}
`
)

// source is the file of the rule.
func (r *rule) source() string {
	return strings.NewReplacer("{ID}", r.ID, "{function}", r.Function, "{Function}", strings.ToUpper(r.Function[:1])+r.Function[1:],
		"{Parent}", strings.ToUpper(r.parent[:1])+r.parent[1:], "{Field}", r.Field, "{section}", r.parent+"."+r.Section,
		"{targets}", r.targets, "{agents}", r.agents).Replace(`// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
)

func {function}() policy.Rule {
	return policy.Rule{
		ID: "{ID}",
		Doc: policy.Doc{
			Title:   "",
			Text:    "",
			Kubelet: "",
			Attack:  "",
			Spec:    "spec.{section}",
			Fields:  []string{},
			Since:   "",
			Source:  "",
		},
		Targets: {targets},
		Agents:  {agents},
		Compile: compile{Function},
		CEL:     exactly(express{Function}),
	}
}

func compile{Function}(spec *v1alpha1.NodeRestrictionPolicySpec, _ *field.Path) (policy.Check, field.ErrorList) {
	if spec.{Parent}.{Field} == nil {
		return nil, nil
	}
	return func(*policy.Request) []policy.Violation { return nil }, nil
}

func express{Function}(_ *v1alpha1.NodeRestrictionPolicySpec, _ *expression.Scope) []expression.Expression { return nil }
`)
}

// fixtureText is a fixture without its sentence. The denied one is the example of the rule, and wants what -update writes.
func (r *rule) fixtureText(denied bool) string {
	head, want := "\n", "allowed\n"
	if denied {
		head, want = "\nExample of its rule.\n\n", ""
	}
	return head + "-- policy.yaml --\n" + r.parent + ": {" + r.Section + ": {}}\n-- request.yaml --\n" + r.fixture + "-- want --\n" + want
}

// fieldText is the field of the section, with a comment to complete.
func (r *rule) fieldText() string {
	return fmt.Sprintf("\n\t// %[1]s\n\t// Omitted: not restricted. Empty ({}):\n\t// +optional\n\t%[2]s *%[3]s `json:\"%[1]s,omitempty\"`\n",
		r.Section, r.Field, r.Type)
}

// typeText is the type of the section.
func (r *rule) typeText() string {
	return fmt.Sprintf("\n// %s is the section of the rule %s. It has no fields.\ntype %s struct{}\n", r.Type, r.ID, r.Type)
}
