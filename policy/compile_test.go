// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// parse returns a policy of the spec, which denies unless it has validationActions.
func parse(t *testing.T, name, spec string) *v1alpha1.NodeRestrictionPolicy {
	t.Helper()
	parsed := &v1alpha1.NodeRestrictionPolicySpec{}
	if err := yaml.UnmarshalStrict([]byte(spec), parsed); err != nil {
		t.Fatal(err)
	}
	if parsed.ValidationActions == nil {
		parsed.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Deny}
	}
	return &v1alpha1.NodeRestrictionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: *parsed}
}

func TestCompileReportsEachError(t *testing.T) {
	for name, test := range map[string]struct {
		spec string
		want []string // the paths of the errors
	}{
		"Deny and Warn together":           {`validationActions: [Deny, Warn]`, []string{"spec.validationActions"}},
		"an unknown action":                {`validationActions: [Deny, Enforce]`, []string{"spec.validationActions[1]"}},
		"an action twice":                  {`validationActions: [Audit, Audit]`, []string{"spec.validationActions[1]"}},
		"an empty list of actions":         {`validationActions: []`, []string{"spec.validationActions"}},
		"an empty list of patterns":        {`nodes: {finalizers: {allowed: []}}`, []string{"spec.nodes.finalizers.allowed"}},
		"an empty list of labels":          {`nodes: {labels: {update: {allowed: []}}}`, []string{"spec.nodes.labels.update.allowed"}},
		"an empty list with a default":     {`mirrorPods: {namespaces: {allowed: []}}`, []string{"spec.mirrorPods.namespaces.allowed"}},
		"an empty list of taints":          {`nodes: {taints: {required: []}}`, []string{"spec.nodes.taints.required"}},
		"an empty list of ranges":          {`nodes: {addresses: {allowedCIDRs: []}}`, []string{"spec.nodes.addresses.allowedCIDRs"}},
		"an empty list of types":           {`nodes: {addresses: {allowedTypes: []}}`, []string{"spec.nodes.addresses.allowedTypes"}},
		"an empty map of bounds":           {`nodes: {capacity: {max: {}}}`, []string{"spec.nodes.capacity.max"}},
		"an empty list in a map":           {`nodes: {info: {allowed: {osImage: []}}}`, []string{"spec.nodes.info.allowed[osImage]"}},
		"a label pattern without a key":    {`nodes: {labels: {registration: {allowed: ["=gpu"]}}}`, []string{"spec.nodes.labels.registration.allowed[0]"}},
		"a label pattern with a bad key":   {`mirrorPods: {labels: {denied: ["a b=gpu"]}}`, []string{"spec.mirrorPods.labels.denied[0]"}},
		"an annotation pattern with a tab": {`nodes: {annotations: {allowed: ["a=b\tc"]}}`, []string{"spec.nodes.annotations.allowed[0]"}},
		"an empty pattern":                 {`match: {nodeNames: [""]}`, []string{"spec.match.nodeNames[0]"}},
		"a pattern twice":                  {`match: {excludeNodeNames: [a, b, a]}`, []string{"spec.match.excludeNodeNames[2]"}},
		"a selector that has no values": {
			`match: {nodeSelector: {matchExpressions: [{key: a, operator: In}]}}`, []string{"spec.match.nodeSelector.matchExpressions[0].values"},
		},
		"a selector with a wrong operator": {
			`match: {nodeSelector: {matchExpressions: [{key: a, operator: Is}]}}`, []string{"spec.match.nodeSelector.matchExpressions[0].operator"},
		},
		"patterns in every list of node labels": {
			`nodes: {labels: {registration: {allowed: ["a b"], denied: ["a b"], required: ["a b"]},
			 update: {allowed: ["a b"], fixed: ["a b"]}}}`,
			[]string{
				"spec.nodes.labels.registration.allowed[0]", "spec.nodes.labels.registration.denied[0]",
				"spec.nodes.labels.registration.required[0]", "spec.nodes.labels.update.allowed[0]",
				"spec.nodes.labels.update.fixed[0]",
			},
		},
		"unknown answers about other Nodes and machines": {
			`nodes: {annotations: {providedNodeIPOfOtherNodes: No}, providerID: {ofOtherNodes: No}, info: {machineChanges: No}}`,
			[]string{
				"spec.nodes.annotations.providedNodeIPOfOtherNodes", "spec.nodes.providerID.ofOtherNodes", "spec.nodes.info.machineChanges",
			},
		},
		"unknown additions": {
			`nodes: {labels: {update: {additions: Some}}}`, []string{"spec.nodes.labels.update.additions"},
		},
		"a CIDR that is an address": {
			`nodes: {annotations: {providedNodeIPCIDRs: [10.0.0.1]}}`,
			[]string{"spec.nodes.annotations.providedNodeIPCIDRs[0]"},
		},
		"a size out of bounds": {
			`nodes: {annotations: {maxTotalBytes: 1}}`, []string{"spec.nodes.annotations.maxTotalBytes"},
		},
		"taints without key or with an unknown effect": {
			`nodes: {taints: {allowed: [{effect: NoSchedule}], required: [{key: a, effect: Never}]}}`,
			[]string{"spec.nodes.taints.allowed[0].key", "spec.nodes.taints.required[0].effect"},
		},
		"unknown changes": {
			`nodes: {unschedulable: {changes: Some}}`, []string{"spec.nodes.unschedulable.changes"},
		},
		"patterns of each other rule": {
			`{nodes: {finalizers: {allowed: [""]}}, mirrorPods: {namespaces: {allowed: [""]}, labels: {allowed: [""],
			 denied: [""]}, finalizers: {allowed: [""]}}, pods: {metadata: {annotations: {allowed: [""]}}}}`,
			[]string{
				"spec.nodes.finalizers.allowed[0]", "spec.mirrorPods.namespaces.allowed[0]",
				"spec.mirrorPods.labels.allowed[0]", "spec.mirrorPods.labels.denied[0]",
				"spec.mirrorPods.finalizers.allowed[0]", "spec.pods.metadata.annotations.allowed[0]",
			},
		},
		"a list that is too long": {
			`mirrorPods: {namespaces: {allowed: [` + strings.Repeat(`"a*", `, 65) + `]}}`,
			nil, // checked below: too many, and no word about the duplicates
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, errs := rules.NewCompiler().Compile(parse(t, "test", test.spec))
			if test.want == nil {
				if len(errs) != 1 || errs[0].Field != "spec.mirrorPods.namespaces.allowed" {
					t.Errorf("got %d errors, the first %v", len(errs), errs[0])
				}
				return
			}
			var got []string
			for _, err := range errs {
				got = append(got, err.Field)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got errors %v, want them at %v", errs, test.want)
			}
		})
	}
}

func TestCompileKeepsWhatCompiles(t *testing.T) {
	p, errs := rules.NewCompiler().Compile(parse(t, "test", `nodes: {labels: {update: {additions: Some}}, finalizers: {}}`))
	if len(errs) != 1 {
		t.Fatalf("got errors %v, want one", errs)
	}
	if got, want := p.Rules(), []policy.RuleID{"node-finalizers"}; !slices.Equal(got, want) {
		t.Errorf("the rules in force are %v, want %v", got, want)
	}
}

func TestCompileRestrictsNobodyIfMatchIsBroken(t *testing.T) {
	p, errs := rules.NewCompiler().Compile(parse(t, "test", `{match: {nodeNames: [""]}, nodes: {finalizers: {}}}`))
	if len(errs) != 1 || len(p.Rules()) != 0 {
		t.Errorf("got errors %v and rules %v, want one error and no rule", errs, p.Rules())
	}
}

// TestCompileRefusesWhatOpensOrBreaks: valid by the schema, but a hole, or a cluster that no kubelet can join.
func TestCompileRefusesWhatOpensOrBreaks(t *testing.T) {
	for name, test := range map[string]struct{ spec, want string }{
		"a required label that no kubelet may set": {
			`nodes: {labels: {registration: {required: [node-restriction.kubernetes.io/pool]}}}`,
			`spec.nodes.labels.registration.required[0]: Invalid value: "node-restriction.kubernetes.io/pool": no kubelet may register ` +
				`with this label, so no kubelet could register`,
		},
		"required labels that no kubelet may set": {
			`nodes: {labels: {registration: {required: ["node-restriction.kubernetes.io/*"]}}}`,
			`spec.nodes.labels.registration.required[0]: Invalid value: "node-restriction.kubernetes.io/*": no kubelet may register ` +
				`with this label, so no kubelet could register`,
		},
		"a reserved label that is required and allowed": {
			`nodes: {labels: {registration: {required: ["node-role.kubernetes.io/*"], allowed: ["node-role.kubernetes.io/*"]}}}`, ``,
		},
		"a required label that is denied": {
			`nodes: {labels: {registration: {required: [example.com/a], denied: ["example.com/*"]}}}`,
			`spec.nodes.labels.registration.required[0]: Invalid value: "example.com/a": no kubelet may register with this label, so no ` +
				`kubelet could register`,
		},
		"a required label that is not among the allowed": {
			`nodes: {labels: {registration: {required: [example.com/a], allowed: [example.com/b]}}}`,
			`spec.nodes.labels.registration.required[0]: Invalid value: "example.com/a": no kubelet may register with this label, so no ` +
				`kubelet could register`,
		},
		"a required label whose value is denied": {
			`nodes: {labels: {registration: {denied: [pool=*], required: [pool=batch]}}}`,
			`spec.nodes.labels.registration.required[0]: Invalid value: "pool=batch": no kubelet may register with this label, so no ` +
				`kubelet could register`,
		},
		"two labels with which no kubelet can register": {
			`nodes: {labels: {registration: {required: ["pool=a b", node-restriction.kubernetes.io/pool]}}}`,
			`spec.nodes.labels.registration.required[0]: Invalid value: "pool=a b": matches no label ` +
				`spec.nodes.labels.registration.required[1]: Invalid value: "node-restriction.kubernetes.io/pool": no kubelet may ` +
				`register with this label, so no kubelet could register`,
		},
		"a required label with a value that no label has": {
			`nodes: {labels: {registration: {required: ["pool=a b"]}}}`,
			`spec.nodes.labels.registration.required[0]: Invalid value: "pool=a b": matches no label`,
		},
		"a taint's key with its value": {
			`nodes: {taints: {required: [{key: "dedicated=gpu"}]}}`,
			`spec.nodes.taints.required[0].key: Invalid value: "dedicated=gpu": must be a key without a value, such as "dedicated"`,
		},
		"names of question marks": {
			`nodes: {names: {allowed: ["pci-??"]}}`,
			`spec.nodes.names.allowed[0]: Invalid value: "pci-??": matches no node name: a pattern is not a regular expression, its only ` +
				`wildcard is *`,
		},
		"names in capitals": {
			`nodes: {names: {allowed: ["Worker-*"]}}`,
			`spec.nodes.names.allowed[0]: Invalid value: "Worker-*": matches no node name: write "worker-*"`,
		},
		"names that no Node has": {
			`{match: {nodeNames: ["worker-[0-9]+", "system:node:worker-1"]}, nodes: {labels: {}}}`,
			`spec.match.nodeNames[0]: Invalid value: "worker-[0-9]+": matches no node name: a pattern is not a regular expression, its ` +
				`only wildcard is * spec.match.nodeNames[1]: Invalid value: "system:node:worker-1": matches no node name, but "worker-1" does`,
		},
		"denied labels that match nothing": {
			`nodes: {labels: {registration: {denied: ["example.com/", "^example.com/.*", "Example.com/*", "example.com/*"]}}}`,
			`spec.nodes.labels.registration.denied[0]: Invalid value: "example.com/": matches no label: write "example.com/*" ` +
				`spec.nodes.labels.registration.denied[1]: Invalid value: "^example.com/.*": matches no label: a pattern is not a ` +
				`regular expression, its only wildcard is * ` +
				`spec.nodes.labels.registration.denied[2]: Invalid value: "Example.com/*": matches no label: write "example.com/*"`,
		},
		"fixed labels that match nothing": {
			`nodes: {labels: {update: {fixed: ["topology.kubernetes.io/"]}}}`,
			`spec.nodes.labels.update.fixed[0]: Invalid value: "topology.kubernetes.io/": matches no label: write "topology.kubernetes.io/*"`,
		},
		"denied labels of mirror pods that match nothing": {
			`mirrorPods: {labels: {denied: [k8s-app/]}}`,
			`spec.mirrorPods.labels.denied[0]: Invalid value: "k8s-app/": matches no label: write "k8s-app/*"`,
		},
		"a namespace in place of its service accounts": {
			`serviceAccountTokens: {denied: [kube-system]}`,
			`spec.serviceAccountTokens.denied[0]: Invalid value: "kube-system": matches no service account, which is namespace/name: ` +
				`write "kube-system/*"`,
		},
		"ranges that are all denied": {
			`nodes: {addresses: {allowedCIDRs: [10.1.0.0/16, 10.2.0.0/16], deniedCIDRs: [10.0.0.0/8]}}`,
			`spec.nodes.addresses.allowedCIDRs: Invalid value: 2: every range is also denied, so no address could be reported`,
		},
		"ranges with a denied part": {
			`nodes: {addresses: {allowedCIDRs: [10.0.0.0/8], deniedCIDRs: [10.1.0.0/16]}}`, ``,
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, errs := rules.NewCompiler().Compile(parse(t, "test", test.spec))
			var got []string
			for _, err := range errs {
				got = append(got, err.Error())
			}
			if got := strings.Join(got, " "); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	for name, test := range map[string]struct {
		spec string
		want []string // the beginnings of the warnings
	}{
		"a policy without a rule": {`{}`, []string{"spec: no rule"}},
		"a selector on labels a kubelet sets": {
			`{match: {nodeSelector: {matchLabels: {agentpool: a}, matchExpressions: [{key: example.com/a, operator: Exists}]}},
			 nodes: {finalizers: {}}}`,
			[]string{
				`spec.match.nodeSelector: a kubelet may set label "agentpool" itself`,
				`spec.match.nodeSelector: a kubelet may set label "example.com/a" itself`,
			},
		},
		"a selector on a reserved label": {
			`{match: {nodeSelector: {matchLabels: {node-restriction.kubernetes.io/pool: a}}}, nodes: {finalizers: {}}}`, nil,
		},
		"a computed label that is denied": {
			`nodes: {labels: {registration: {denied: [example.com/a, kubernetes.io/os]}}}`,
			[]string{`spec.nodes.labels.registration.denied[1]: "kubernetes.io/os" has no effect`},
		},
		"a computed label that is fixed": {
			`nodes: {labels: {update: {fixed: ["topology.kubernetes.io/*", kubernetes.io/arch]}}}`,
			[]string{`spec.nodes.labels.update.fixed[1]: "kubernetes.io/arch" has no effect`},
		},
		"allowed labels that are all fixed": {
			`nodes: {labels: {update: {allowed: [example.com/a, example.com/b], fixed: ["example.com/*"]}}}`,
			[]string{`spec.nodes.labels.update.allowed: all of it is fixed`},
		},
		"some names that no Node has": {
			`{match: {nodeNames: [a, "system:node:a"], excludeNodeNames: [B]}, nodes: {names: {allowed: [a, "a-?"]}}}`,
			[]string{
				`spec.match.nodeNames[1]: "system:node:a" matches no node name, but "a" does`,
				`spec.match.excludeNodeNames[0]: "B" matches no node name: write "b"`,
				`spec.nodes.names.allowed[1]: "a-?" matches no node name`,
			},
		},
		"every kubelet is excluded": {
			`{match: {excludeNodeNames: ["*"]}, nodes: {labels: {}}}`,
			[]string{`spec.match.excludeNodeNames: excludes every node, so this policy restricts nobody`},
		},
		"every named kubelet is excluded": {
			`{match: {nodeNames: ["a-*", "b"], excludeNodeNames: ["a*", "b"]}, nodes: {labels: {}}}`,
			[]string{`spec.match.excludeNodeNames: excludes every node, so this policy restricts nobody`},
		},
		"agents that a policy does not hold to their node": {
			`{subjects: {serviceAccounts: [{namespace: a, name: b}]}, nodes: {conditions: {allowed: [NetworkUnavailable]}}, pods: {spec: {}}}`,
			[]string{"spec.nodes: without self, agents may write", "spec.pods: without self, agents may write"},
		},
		"agents that a policy holds to their node": {
			`{subjects: {serviceAccounts: [{namespace: a, name: b}]}, nodes: {self: {}, labels: {}}, pods: {self: {}}}`, nil,
		},
		"some kubelets are excluded": {`{match: {nodeNames: ["a*"], excludeNodeNames: ["ab*"]}, nodes: {labels: {}}}`, nil},
		"allowed labels that match nothing": {
			`nodes: {labels: {registration: {allowed: ["example.com/", a]}, update: {allowed: ["b/"]}}}`,
			[]string{
				`spec.nodes.labels.update.allowed[0]: "b/" matches no label: write "b/*"`,
				`spec.nodes.labels.registration.allowed[0]: "example.com/" matches no label: write "example.com/*"`,
			},
		},
		"allowed labels that are all denied": {
			`{nodes: {labels: {registration: {allowed: ["*"], denied: ["*"]}}}, mirrorPods: {labels: {allowed: [app], denied: ["a*"]}}}`,
			[]string{
				`spec.nodes.labels.registration.allowed: all of it is denied`, `spec.mirrorPods.labels.allowed: all of it is denied`,
			},
		},
		"allowed labels that the plugin refuses": {
			`nodes: {labels: {registration: {allowed: ["node-restriction.kubernetes.io/*"]}}}`,
			[]string{`spec.nodes.labels.registration.allowed: the NodeRestriction plugin, where it is on, refuses all of these labels`},
		},
		"annotations and namespaces that match nothing": {
			`{nodes: {annotations: {allowed: ["example.com/"]}}, mirrorPods: {namespaces: {allowed: [a.b, kube-system]}}}`,
			[]string{
				`spec.nodes.annotations.allowed[0]: "example.com/" matches no annotation: write "example.com/*"`,
				`spec.mirrorPods.namespaces.allowed[0]: "a.b" matches no namespace`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := rules.NewCompiler().Warnings(parse(t, "test", test.spec))
			matches := len(got) == len(test.want)
			for i := 0; matches && i < len(got); i++ {
				matches = strings.HasPrefix(got[i], test.want[i])
			}
			if !matches {
				t.Errorf("got %q, want warnings that begin %q", got, test.want)
			}
		})
	}
}
