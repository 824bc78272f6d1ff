// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

const someAgents = "subjects: {serviceAccounts: [{namespace: kube-system, name: cni}]}\n"

// agentPolicy returns a policy for the service account kube-system/cni, given its sections.
func agentPolicy(t testing.TB, sections string) *v1alpha1.NodeRestrictionPolicy {
	t.Helper()
	p := &v1alpha1.NodeRestrictionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "test"}}
	if err := yaml.UnmarshalStrict([]byte(someAgents+"validationActions: [Deny]\n"+sections), &p.Spec); err != nil {
		t.Fatalf("%s: %v", sections, err)
	}
	return p
}

func cni() policy.Subject {
	return policy.Subject{Kind: policy.ServiceAccount, Account: "kube-system/cni"}
}

// TestEachRuleSaysWhatItMeansForAgents checks that each rule either evaluates writes by node agents or says why its section is refused
// beside spec.subjects, and that it then is.
func TestEachRuleSaysWhatItMeansForAgents(t *testing.T) {
	for _, rule := range rules.All() {
		if rule.Agents.Apply() == (rule.Agents.Why != "") {
			t.Errorf("rule %s: Agents must have Targets, or Why", rule.ID)
		}
		section := rule.CEL.Strictest
		if rule.Agents.Apply() && rule.ForKubelets() {
			section = map[policy.RuleID]string{
				"node-labels": "{}", "pod-deletion": "{}", // their strictest setting is one of kubelets
			}[rule.ID]
			if section == "" {
				section = rule.CEL.Strictest
			}
		}
		path := strings.Split(rule.Doc.Spec, ".")[1:]
		text := section
		for _, name := range slices.Backward(path[1:]) {
			text = `{"` + name + `":` + text + `}`
		}
		match := "match: {nodeNames: [\"*\"]}\n" // which lockdown needs
		p := agentPolicy(t, match+path[0]+": "+text)
		compiled, errs := rules.NewCompiler().Compile(p)
		on := slices.Contains(compiled.Rules(), rule.ID)
		refused := slices.ContainsFunc(errs, func(e *field.Error) bool {
			return e.Type == field.ErrorTypeForbidden && e.Field == rule.Doc.Spec && strings.HasSuffix(e.Detail, rule.Agents.Why)
		})
		switch {
		case rule.Agents.Apply() && (!on || len(errs) > 0):
			t.Errorf("rule %s: %s turns on %v: %v", rule.ID, text, compiled.Rules(), errs.ToAggregate())
		case !rule.Agents.Apply() && (on || !refused || len(errs) != 1):
			t.Errorf("rule %s: %s is not refused: %v", rule.ID, text, errs)
		}
		p.Spec.Subjects = nil
		if _, errs := rules.NewCompiler().Compile(p); rule.ForKubelets() != (len(errs) == 0) {
			t.Errorf("rule %s: without subjects: %v", rule.ID, errs)
		}
	}
}

// TestSettingsOfKubeletsAreRefused checks that a setting which means nothing for node agents is an error that names it.
func TestSettingsOfKubeletsAreRefused(t *testing.T) {
	for section, path := range map[string]string{
		"nodes: {labels: {registration: {}}}":                         "spec.nodes.labels.registration",
		"nodes: {labels: {update: {additions: Any}}}":                 "spec.nodes.labels.update.additions",
		"nodes: {annotations: {providedNodeIPCIDRs: [10.0.0.0/8]}}":   "spec.nodes.annotations.providedNodeIPCIDRs",
		"nodes: {annotations: {providedNodeIPOfOtherNodes: Deny}}":    "spec.nodes.annotations.providedNodeIPOfOtherNodes",
		"nodes: {taints: {allowed: [{key: a}]}}":                      "spec.nodes.taints.allowed",
		"nodes: {taints: {required: [{key: a}]}}":                     "spec.nodes.taints.required",
		"nodes: {providerID: {allowed: [a]}}":                         "spec.nodes.providerID.allowed",
		"nodes: {providerID: {ofOtherNodes: Deny}}":                   "spec.nodes.providerID.ofOtherNodes",
		"nodes: {addresses: {ofOtherNodes: Deny}}":                    "",
		"nodes: {kubeletPorts: {allowed: [10250]}}":                   "spec.nodes.kubeletPorts.allowed",
		"nodes: {images: {maxCount: 1}}":                              "spec.nodes.images.maxCount",
		"nodes: {images: {allowedRepositories: [a]}}":                 "spec.nodes.images.allowedRepositories",
		"nodes: {info: {allowed: {architecture: [amd64]}}}":           "spec.nodes.info.allowed",
		"nodes: {info: {machineChanges: Deny}}":                       "spec.nodes.info.machineChanges",
		"nodes: {volumes: {maxInUse: 1}}":                             "spec.nodes.volumes.maxInUse",
		"nodes: {features: {allowed: [a]}}":                           "spec.nodes.features.allowed",
		"pods: {ips: {podIPs: {}}}":                                   "spec.pods.ips.podIPs",
		"pods: {ips: {hostIPs: {}}}":                                  "spec.pods.ips.hostIPs",
		"pods: {deletion: {mode: Finished}}":                          "spec.pods.deletion.mode",
		"nodes: {names: {}}":                                          "spec.nodes.names",
		"mirrorPods: {labels: {}}":                                    "spec.mirrorPods.labels",
		"baseline: {}":                                                "spec.baseline",
		"events: {}":                                                  "spec.events",
		"nodes: {labels: {update: {allowed: [a], fixed: [b]}}}":       "",
		"nodes: {capacity: {max: {cpu: 4}}, addresses: {}, info: {}}": "",
	} {
		t.Run(section, func(t *testing.T) {
			_, errs := rules.NewCompiler().Compile(agentPolicy(t, section))
			switch {
			case path == "" && len(errs) == 0:
			case path == "" || len(errs) != 1 || errs[0].Field != path || errs[0].Type != field.ErrorTypeForbidden:
				t.Errorf("got %v, want an error of %s", errs, path)
			}
		})
	}
}

// TestNothingIsBuiltInForAgents checks that with an empty section a node agent may change nothing that the rule is about, not even what
// each kubelet writes, and the same in the twin that the section allows.
func TestNothingIsBuiltInForAgents(t *testing.T) {
	const node, pod = "metadata: {name: n1}\n", "metadata: {name: p, namespace: d}\nspec: {nodeName: n1}\n"
	for _, test := range []struct {
		name, section, allowing, resource, old, updated string
	}{
		{
			"a label of kubelets", "nodes: {labels: {}}", `nodes: {labels: {update: {allowed: ["kubernetes.io/os"]}}}`, "nodes",
			node, "metadata: {name: n1, labels: {kubernetes.io/os: linux}}",
		},
		{
			"a label whose pattern names it no more", `nodes: {labels: {update: {allowed: ["*"]}}}`,
			`nodes: {labels: {update: {allowed: ["topology.kubernetes.io/*"]}}}`, "nodes",
			node, "metadata: {name: n1, labels: {topology.kubernetes.io/zone: a}}",
		},
		{
			"a fixed label", `nodes: {labels: {update: {allowed: ["a*"], fixed: [ab]}}}`, `nodes: {labels: {update: {allowed: ["a*"]}}}`, "nodes",
			node, "metadata: {name: n1, labels: {ab: c}}",
		},
		{
			"an annotation of kubelets", "nodes: {annotations: {}}",
			`nodes: {annotations: {allowed: ["csi.volume.kubernetes.io/nodeid"]}}`, "nodes/status",
			node, `metadata: {name: n1, annotations: {csi.volume.kubernetes.io/nodeid: "{}"}}`,
		},
		{
			"the removal of a taint", "nodes: {taints: {}}", "nodes: {taints: {removable: [{key: a}]}}", "nodes",
			node + "spec: {taints: [{key: a, effect: NoSchedule}]}", node,
		},
		{"a provider ID", "nodes: {providerID: {}}", "", "nodes", node, node + "spec: {providerID: a}"},
		{"a provider ID at creation", "nodes: {providerID: {}}", "", "create nodes", "", node + "spec: {providerID: a}"},
		{"a newer field of spec at creation", "nodes: {otherSpec: {}}", "", "create nodes", "", node + "spec: {newer: a}"},
		{
			"an address", "nodes: {addresses: {}}", "nodes: {addresses: {allowedTypes: [InternalIP]}}", "nodes/status",
			node, node + "status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}",
		},
		{
			"the removal of an address", "nodes: {addresses: {}}", "nodes: {addresses: {allowedTypes: [InternalIP]}}", "nodes/status",
			node + "status: {addresses: [{type: InternalIP, address: 10.0.0.1}, {type: InternalIP, address: 10.0.0.2}]}",
			node + "status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}",
		},
		{
			"the kubelet's port", "nodes: {kubeletPorts: {}}", "", "nodes/status",
			node + "status: {daemonEndpoints: {kubeletEndpoint: {Port: 10250}}}", node + "status: {daemonEndpoints: {kubeletEndpoint: {Port: 10251}}}",
		},
		{
			"a condition of kubelets", "nodes: {conditions: {}}", "nodes: {conditions: {allowed: [Ready]}}", "nodes/status",
			node, node + `status: {conditions: [{type: Ready, status: "True"}]}`,
		},
		{
			"fewer CPUs", "nodes: {capacity: {}}", "nodes: {capacity: {max: {cpu: 1}}}", "nodes/status",
			node + `status: {capacity: {cpu: "4"}}`, node + `status: {capacity: {cpu: "2"}}`,
		},
		{
			"more CPUs than allowed", "nodes: {capacity: {max: {cpu: 4}}}", "nodes: {capacity: {max: {cpu: 8}}}", "nodes/status",
			node + `status: {capacity: {cpu: "4"}}`, node + `status: {capacity: {cpu: "8"}}`,
		},
		{
			"fewer devices", "nodes: {extendedResources: {}}", "nodes: {extendedResources: {allowed: [{name: a.b/c}]}}", "nodes/status",
			node + `status: {allocatable: {a.b/c: "4"}}`, node + `status: {allocatable: {a.b/c: "0"}}`,
		},
		{
			"the removal of a device", "nodes: {extendedResources: {}}", "nodes: {extendedResources: {allowed: [{name: a.b/c}]}}", "nodes/status",
			node + `status: {capacity: {a.b/c: "4"}}`, node + `status: {capacity: {}}`,
		},
		{"an image", "nodes: {images: {}}", "", "nodes/status", node, node + "status: {images: [{names: [a]}]}"},
		{"a version", "nodes: {info: {}}", "", "nodes/status", node, node + "status: {nodeInfo: {kubeletVersion: v1}}"},
		{"a volume in use", "nodes: {volumes: {}}", "", "nodes/status", node, node + "status: {volumesInUse: [a]}"},
		{"a feature", "nodes: {features: {}}", "", "nodes/status", node, node + "status: {declaredFeatures: [A]}"},
		{"a reserved field", "nodes: {reservedStatus: {}}", "", "nodes/status", node, node + "status: {phase: Running}"},
		{
			"a condition of pods", "pods: {conditions: {}}", "pods: {conditions: {allowed: [Ready]}}", "pods/status",
			pod, pod + `status: {conditions: [{type: Ready, status: "True"}]}`,
		},
		{"a pod's address", "pods: {ips: {}}", "", "pods/status", pod, pod + "status: {podIP: 10.0.0.1}"},
		{"a phase", "pods: {phase: {}}", "", "pods/status", pod + "status: {phase: Pending}", pod + "status: {phase: Running}"},
		{"the status of a container", "pods: {containers: {}}", "", "pods/status", pod, pod + "status: {containerStatuses: [{name: a}]}"},
		{"an observed generation", "pods: {observedGeneration: {}}", "", "pods/status", pod, pod + "status: {observedGeneration: 1}"},
		{"the deletion of a mirror pod", "pods: {deletion: {}}", "", "delete pods", pod, ""},
		{
			"the owner of a pod", "pods: {metadata: {}}", "pods: {spec: {}}", "pods",
			strings.Replace(pod, "d}", "d, ownerReferences: [{apiVersion: v1, kind: A, name: a, uid: u, controller: true}]}", 1),
			strings.Replace(pod, "d}", "d, ownerReferences: [{apiVersion: v1, kind: A, name: a, uid: v, controller: true}]}", 1),
		},
		{"the image of a pod", "pods: {spec: {}}", "pods: {metadata: {}}", "pods", pod, strings.Replace(pod, "n1", "n1, containers: [{name: a}]", 1)},
		{"an annotation of a pod itself", "pods: {metadata: {}}", "pods: {spec: {}}", "pods", pod, strings.Replace(pod, "d}", "d, annotations: {a: b}}", 1)},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := writeOf(t, test.resource, test.old, test.updated)
			r.Subject, r.NodeName = cni(), "n1"
			set := func(sections string) *policy.Set {
				compiled, errs := rules.NewCompiler().Compile(agentPolicy(t, sections))
				if len(errs) > 0 {
					t.Fatal(errs.ToAggregate())
				}
				return policy.NewSet(compiled)
			}
			if d := set(test.section).Evaluate(r); len(d.Violations) == 0 || d.Err != nil {
				t.Errorf("the write does not violate %s (%v)", test.section, d.Err)
			}
			if test.allowing == "" {
				return
			}
			if d := set(test.allowing).Evaluate(r); len(d.Violations) > 0 || d.Err != nil {
				t.Errorf("the write violates %s: %v (%v)", test.allowing, d.Violations, d.Err)
			}
		})
	}
}

// TestDeletionOfACollectionOfNodes evaluates the deletion of one Node of a collection, whose request has no name. The Node on which the agent
// runs decides whether the policy is for the agent, and not the one that is deleted.
func TestDeletionOfACollectionOfNodes(t *testing.T) {
	facts, err := manifest.Facts([]byte("apiVersion: v1\nkind: Node\nmetadata: {name: n1, labels: {pool: a}}\n---\n" +
		"apiVersion: v1\nkind: Node\nmetadata: {name: n2}\n"))
	if err != nil {
		t.Fatal(err)
	}
	const selector = "match: {nodeSelector: {matchLabels: {pool: a}}}\nnodes: {self: {}}"
	for name, test := range map[string]struct{ sections, from, deleted, want string }{
		"another Node":                             {"nodes: {self: {}}", "n1", "{name: n2}", `must not write Node "n2"`},
		"its own Node":                             {"nodes: {self: {}}", "n1", "{name: n1}", ""},
		"another Node that the selector misses":    {selector, "n1", "{name: n2}", `must not write Node "n2"`},
		"another Node that the selector selects":   {selector, "n2", "{name: n1, labels: {pool: a}}", ""},
		"its own Node with a selector":             {selector, "n1", "{name: n1, labels: {pool: a}}", ""},
		"a Node without a name, which cannot be":   {selector, "n1", "{}", `must not write Node ""`},
		"another Node, although labels are forged": {selector, "n1", "{name: n2, labels: {pool: b}}", `must not write Node "n2"`},
	} {
		t.Run(name, func(t *testing.T) {
			r := writeOf(t, "delete nodes", "metadata: "+test.deleted, "")
			r.Subject, r.NodeName, r.Name, r.Facts = cni(), test.from, "", facts
			compiled, errs := rules.NewCompiler().Compile(agentPolicy(t, test.sections))
			if len(errs) > 0 {
				t.Fatal(errs.ToAggregate())
			}
			d := policy.NewSet(compiled).Evaluate(r)
			if d.Err != nil || d.Denied() != (test.want != "") || !strings.Contains(d.Message(), test.want) {
				t.Errorf("it says %q (%v), want %q", d.Message(), d.Err, test.want)
			}
		})
	}
}

// TestAddressOfTheWrittenNode lets an agent without a node report an address that the written Node has already.
func TestAddressOfTheWrittenNode(t *testing.T) {
	const address = "status: {addresses: [{type: InternalIP, address: 10.0.0.%s}]}\n"
	const node = "apiVersion: v1\nkind: Node\nmetadata: {name: n%s}\n"
	facts, err := manifest.Facts(fmt.Appendf(nil, node+address+"---\n"+node+address, "1", "1", "2", "2"))
	if err != nil {
		t.Fatal(err)
	}
	p := agentPolicy(t, "nodes: {addresses: {allowedTypes: [InternalIP, ExternalIP], ofOtherNodes: Deny}}")
	p.Spec.Subjects.WithoutNode = v1alpha1.AccessAllow
	compiled, errs := rules.NewCompiler().Compile(p)
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	const before = "metadata: {name: n1}\nstatus: {addresses: [{type: InternalIP, address: 10.0.0.1}]}"
	for added, denied := range map[string]bool{"10.0.0.1": false, "10.0.0.2": true, "10.0.0.3": false} {
		r := writeOf(t, "nodes/status", before, strings.Replace(before, "}]}", "}, {type: ExternalIP, address: "+added+"}]}", 1))
		r.Subject, r.Facts = cni(), facts
		if d := policy.NewSet(compiled).Evaluate(r); d.Err != nil || d.Denied() != denied {
			t.Errorf("%s: denied %t: %s (%v)", added, d.Denied(), d.Message(), d.Err)
		}
	}
}

// TestObjectsOfOneKindWithSeveralFields checks that each of the fields must name the node.
func TestObjectsOfOneKindWithSeveralFields(t *testing.T) {
	p := agentPolicy(t, "objects: [{resource: configmaps, node: metadata.name}, {resource: configmaps, node: data.node}, "+
		"{resource: configmaps, node: data.node}, {resource: secrets, node: data.other}]")
	compiled, errs := rules.NewCompiler().Compile(p)
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	for object, fields := range map[string][]string{
		"metadata: {name: n1}\ndata: {node: n1}":            nil,
		"metadata: {name: n2}\ndata: {node: n1, other: n2}": {"metadata.name"},
		"metadata: {name: n1}\ndata: {node: n2}":            {"data.node"},
		"metadata: {name: n2}\ndata: {}":                    {"metadata.name", "data.node"},
		"metadata: {name: n1}\ndata: {node: [n1]}":          {"data.node"},
	} {
		r := writeOf(t, "configmaps", "metadata: {name: n1}\ndata: {node: n1, old: a}", object)
		r.Subject, r.NodeName = cni(), "n1"
		var got []string
		for _, v := range policy.NewSet(compiled).Evaluate(r).Violations {
			got = append(got, v.Field)
		}
		slices.Sort(got)
		slices.Sort(fields)
		if !slices.Equal(got, fields) {
			t.Errorf("%s: got %q, want %q", object, got, fields)
		}
	}
}

// writeOf returns a write, such as an update of nodes/status, with objects in YAML.
func writeOf(t *testing.T, what, old, updated string) *policy.Request {
	t.Helper()
	operation, what, created := strings.Cut(what, " ")
	if !created {
		operation, what = "update", operation
	}
	resource, subresource, _ := strings.Cut(what, "/")
	r := &policy.Request{Write: policy.Write{
		Operation: admissionv1.Operation(strings.ToUpper(operation)), Resource: resource, Subresource: subresource, Version: "v1", Name: "n1",
	}}
	for text, into := range map[string]*[]byte{old: &r.OldObject, updated: &r.Object} {
		if text == "" {
			continue
		}
		object, err := yaml.YAMLToJSONStrict([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		*into = object
	}
	return r
}

// TestSubjectsKeepPoliciesApart checks that what is decided about the writes of kubelets does not depend on policies for node agents, and the
// other way round.
func TestSubjectsKeepPoliciesApart(t *testing.T) {
	fixtures := allFixtures(t)
	agents := compileSections(t, []string{
		"nodes: {self: {}, labels: {}, conditions: {}, images: {}}\npods: {self: {}, metadata: {}, spec: {}}",
		"nodes: {directUpdates: {}, annotations: {}}\npods: {deletion: {}, eviction: {}}\nmatch: {nodeNames: [worker-1]}",
		"lockdown: {}\nmatch: {nodeNames: [\"*\"]}",
	})
	rapid.Check(t, func(t *rapid.T) {
		r, kubelets := drawRequest(t, fixtures), compileAll(t, drawSpecs(t, fixtures))
		alone, with := kubelets, append(slices.Clone(kubelets), agents...)
		if r.Subject.IsKubelet() && rapid.Bool().Draw(t, "agent") {
			r.Subject = cni()
		}
		if !r.Subject.IsKubelet() {
			alone = slices.DeleteFunc(slices.Clone(with), func(p *policy.Policy) bool { return !p.ForAgents() })
		}
		got, want := policy.NewSet(with...).Evaluate(r), policy.NewSet(alone...).Evaluate(r)
		if !slices.Equal(got.Violations, want.Violations) || got.Message() != want.Message() {
			t.Errorf("the policies of others turn %v into %v", want.Violations, got.Violations)
		}
		for _, p := range got.Evaluators {
			if p.ForAgents() == r.Subject.IsKubelet() {
				t.Errorf("policy %s evaluates a write by %+v", p.Name(), r.Subject)
			}
		}
	})
}

func compileSections(t testing.TB, sections []string) []*policy.Policy {
	t.Helper()
	compiled := make([]*policy.Policy, len(sections))
	for i, text := range sections {
		p := agentPolicy(t, text)
		p.Name = "agents-" + string(rune('a'+i))
		var errs field.ErrorList
		if compiled[i], errs = rules.NewCompiler().Compile(p); len(errs) > 0 {
			t.Fatal(errs.ToAggregate())
		}
	}
	return compiled
}
