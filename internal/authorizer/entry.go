// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package authorizer

import (
	"fmt"
	"strconv"
	"strings"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/program"
	"noderestriction.plus/policy/expression"
)

const (
	// defaultKubeconfig is where the API server reads the kubeconfig of the entry.
	defaultKubeconfig = "/etc/kubernetes/node-restriction-plus/authorizer.kubeconfig"
	// maxConditions is how many match conditions an API server accepts.
	maxConditions = 64
	// reason is in the error that every denied client gets.
	reason = "kubelets may do only what the Node authorizer allows: "
)

// Entry is the entry of an AuthorizationConfiguration.
type Entry struct {
	Name       string // DNS subdomain, also the label of metrics
	Kubeconfig string // absolute path, as the API server sees it
	Kept       []Permission
}

// NewEntry returns the entry that leaves these permissions to other authorizers, beside those that all kubelets need.
func NewEntry(kept ...Permission) *Entry {
	e := &Entry{Name: program.Name, Kubeconfig: defaultKubeconfig}
	known := map[string]bool{} // an API server refuses a condition that occurs twice
	for _, p := range append(always(), kept...) {
		if condition := p.condition(); !known[condition] {
			known[condition] = true
			e.Kept = append(e.Kept, p)
		}
	}
	return e
}

// check returns an error if an API server would refuse the conditions.
func (e *Entry) check() error {
	if n := len(e.Kept) + 2; n > maxConditions {
		return fmt.Errorf("the entry has %d match conditions, and an API server accepts %d: keep fewer rules", n, maxConditions)
	}
	return nil
}

// Denies reports whether the entry denies a kubelet what the Node authorizer does not allow.
func (e *Entry) Denies(r *authorization.Request) bool {
	for i := range e.Kept {
		if e.Kept[i].Covers(r) {
			return false
		}
	}
	return true
}

// Conditions returns the match conditions in their order. An API server skips the entry if one is false, even if others fail.
func (e *Entry) Conditions() []string {
	conditions := []string{"request.user.startsWith(" + expression.Quote(authorization.NodeUserPrefix) + ")"}
	for i := range e.Kept {
		conditions = append(conditions, e.Kept[i].condition())
	}
	// A key that a map does not have is an error whose text names the key.
	return append(conditions, "{'': true}["+expression.Quote(reason)+" + request.user]")
}

// yaml returns the entry as an element of a list in block style, without indentation. Its comments are inside of it.
func (e *Entry) yaml() string {
	var b strings.Builder
	fmt.Fprintf(&b, `- type: Webhook
  # Made by kubectl nrp authorizer generate. It denies kubelets what the authorizers behind it would add to the answer of Node.
  # The webhook is never called: the last match condition always fails, and that is a denial.
  name: %s
  webhook:
    timeout: 1s
    subjectAccessReviewVersion: v1
    matchConditionSubjectAccessReviewVersion: v1
    failurePolicy: Deny
    connectionInfo:
      type: KubeConfigFile
      kubeConfigFile: %s
    matchConditions:
`, e.Name, strconv.Quote(e.Kubeconfig))
	conditions := e.Conditions()
	for i, condition := range conditions {
		why := "Only kubelets."
		switch {
		case i == len(conditions)-1:
			why = "Denies everything else."
		case i > 0:
			why = "Not: " + e.Kept[i-1].Why + "."
		}
		fmt.Fprintf(&b, "    # %s\n    - expression: %s\n", why, strconv.Quote(condition))
	}
	return b.String()
}

// configuration returns an AuthorizationConfiguration with the entry between Node and RBAC.
func (e *Entry) configuration(apiVersion string) string {
	return fmt.Sprintf("apiVersion: %s\nkind: %s\nauthorizers:\n- type: Node\n  name: node\n%s- type: RBAC\n  name: rbac\n",
		apiVersion, configurationKind, e.yaml())
}

// kubeconfig is what the entry names as its webhook, because an API server requires one. Port 1 of the loopback interface refuses
// connections. If a connection were tried, failurePolicy would make a denial of that, too.
const kubeconfig = `# For the entry of kubectl nrp authorizer. API servers must be able to read this file, and never connect to the server.
apiVersion: v1
kind: Config
clusters:
- name: never-called
  cluster: {server: "https://127.0.0.1:1"}
users:
- name: nobody
  user: {}
contexts:
- name: never-called
  context: {cluster: never-called, user: nobody}
current-context: never-called
`
