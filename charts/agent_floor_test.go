// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/compile"
	"noderestriction.plus/internal/review"
	"noderestriction.plus/policy"
)

const agentFloorName = chart + ".agents"

// agentSpec is the spec of a policy that says what the floor of agents says.
func agentSpec(withoutNode v1alpha1.Access) v1alpha1.NodeRestrictionPolicySpec {
	return v1alpha1.NodeRestrictionPolicySpec{
		ValidationActions: []v1alpha1.ValidationAction{v1alpha1.Deny},
		Subjects: &v1alpha1.Subjects{
			ServiceAccounts:  []v1alpha1.ServiceAccount{{Namespace: "kube-system", Name: "aws-node"}},
			UsernamePrefixes: []v1alpha1.UsernamePrefix{"system:ovn-node:"}, WithoutNode: withoutNode,
		},
		Nodes: v1alpha1.NodeRules{Self: &v1alpha1.NodeSelf{}},
		Pods:  v1alpha1.PodRules{Self: &v1alpha1.PodSelf{}},
		Objects: []v1alpha1.ObjectsOfNode{
			{APIGroup: "resource.k8s.io", Resource: "resourceslices", Node: "spec.nodeName"},
			{APIGroup: "example.com", Resource: "widgets", Node: "metadata.name"},
			{APIGroup: "example.com", Resource: "widgets", Node: "spec.on.node"},
			{Resource: "configmaps", Node: "data.node"},
		},
	}
}

// agentFloor renders the floor with the subjects and objects of a spec.
func agentFloor(t *testing.T, spec *v1alpha1.NodeRestrictionPolicySpec) *floor {
	t.Helper()
	values, err := json.Marshal(map[string]any{
		"serviceAccounts": spec.Subjects.ServiceAccounts, "usernamePrefixes": spec.Subjects.UsernamePrefixes, "objects": spec.Objects,
		"floor": map[string]any{"enabled": true, "withoutNode": spec.Subjects.WithoutNode},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := render(t, "--set-json", "subjects="+string(values))
	binding := get[*admissionregistrationv1.ValidatingAdmissionPolicyBinding](t, r, agentFloorName)
	if binding.Spec.PolicyName != agentFloorName || fmt.Sprint(binding.Spec.ValidationActions) != "[Deny Audit]" {
		t.Errorf("it is bound as %+v", binding.Spec)
	}
	return newFloor(t, get[*admissionregistrationv1.ValidatingAdmissionPolicy](t, r, agentFloorName))
}

// drawAgentWrite draws a write by an agent, or by somebody else, of its own node or another. Names are drawn from few, so that they are often
// the same.
func drawAgentWrite(draw *rand.Rand) policy.Request {
	nodes := []string{"worker-1", "worker-2", ""}
	var user authenticationv1.UserInfo
	switch draw.IntN(8) {
	case 0:
		user = authenticationv1.UserInfo{Username: "system:ovn-node:" + pick(draw, nodes)}
	case 1:
		user = review.ServiceAccountOf("kube-system", "kured", "worker-1")
	case 2:
		user = review.ServiceAccountOf("kube-system", "aws-node", "")
		user.Extra = map[string]authenticationv1.ExtraValue{
			"authentication.kubernetes.io/node-name": some(draw, 3, []string{"worker-1", "worker-2", "", "worker-1 "}),
		}
	case 3:
		user = review.ServiceAccountOf("kube-system", "aws-node", "")
	default:
		user = review.ServiceAccountOf("kube-system", "aws-node", pick(draw, nodes[:2]))
	}
	kinds := []policy.Write{
		{Operation: "CREATE", Resource: "nodes"},
		{Operation: "UPDATE", Resource: "nodes"},
		{Operation: "DELETE", Resource: "nodes"},
		{Operation: "UPDATE", Resource: "nodes", Subresource: "status"},
		{Operation: "CREATE", Resource: "pods"},
		{Operation: "UPDATE", Resource: "pods"},
		{Operation: "DELETE", Resource: "pods"},
		{Operation: "UPDATE", Resource: "pods", Subresource: "status"},
	}
	for _, resource := range []string{"resourceslices.resource.k8s.io", "widgets.example.com", "configmaps", "widgets.example.org"} {
		for _, operation := range []admissionv1.Operation{"CREATE", "UPDATE", "DELETE"} {
			kinds = append(kinds, policy.Write{Operation: operation, Resource: resource})
		}
		kinds = append(kinds, policy.Write{Operation: "UPDATE", Resource: resource, Subresource: "status"})
	}
	w := pick(draw, kinds)
	w.Name = pick(draw, nodes)
	if w.Resource == "pods" || w.Resource == "configmaps" {
		w.Namespace = "default"
	}
	object := func() []byte { return drawObjectOfNode(draw, w.Resource, w.Name, nodes) }
	if w.Operation != admissionv1.Delete {
		w.Object = object()
	}
	if w.Operation != admissionv1.Create {
		w.OldObject = object()
	}
	id, _ := review.SubjectOf(user)
	return policy.Request{Write: w, User: user, Subject: id.Subject, NodeName: id.Node}
}

// drawObjectOfNode draws an object of a kind, which may name a node.
func drawObjectOfNode(draw *rand.Rand, resource, name string, nodes []string) []byte {
	meta := metav1.ObjectMeta{Name: name}
	switch resource {
	case "nodes":
		return mustMarshal(&corev1.Node{ObjectMeta: meta})
	case "pods":
		return mustMarshal(&corev1.Pod{ObjectMeta: meta, Spec: corev1.PodSpec{NodeName: pick(draw, nodes)}})
	}
	node := pick(draw, []any{"worker-1", "worker-1", "worker-2", "", 1, nil})
	tree := map[string]any{"metadata": map[string]any{"name": name}}
	switch draw.IntN(6) {
	case 0:
	case 1:
		tree["spec"] = map[string]any{"on": map[string]any{}}
	default:
		tree["spec"] = map[string]any{"nodeName": node, "on": map[string]any{"node": node}}
		tree["data"] = map[string]any{"node": node}
	}
	data, err := json.Marshal(tree)
	if err != nil {
		panic(err)
	}
	return data
}

// TestAgentFloorAgreesAtRandom draws writes of agents, always the same ones, and compares the floor's verdicts with the engine's, and with
// those of the policy as the command compile makes it.
func TestAgentFloorAgreesAtRandom(t *testing.T) {
	for _, withoutNode := range []v1alpha1.Access{v1alpha1.AccessDeny, v1alpha1.AccessAllow} {
		t.Run(string(withoutNode), func(t *testing.T) {
			spec := agentSpec(withoutNode)
			p := &v1alpha1.NodeRestrictionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "test"}, Spec: spec}
			f := agentFloor(t, &spec)
			var compiled []*enforced
			for _, kind := range compileFor(t, []*v1alpha1.NodeRestrictionPolicy{p}) {
				e, errs := newEnforced(kind)
				if len(errs) > 0 {
					t.Fatal(errs)
				}
				compiled = append(compiled, e)
			}
			set := policy.NewSet(evaluatedBy(t, p).compiled)
			draw := rand.New(rand.NewPCG(3, 4))
			seen := map[string]int{}
			c := &caller{t: t, unstructured: true}
			for range 6000 {
				r := drawAgentWrite(draw)
				want := deniedRules(set.Evaluate(&r))
				attributes := c.attributes(r.User.Username, r)
				var got []string
				if isFor(compile.Kind{Policy: &admissionregistrationv1.ValidatingAdmissionPolicy{Spec: f.spec}}, attributes) {
					got = f.rulesOf(t, c, r)
				}
				if !slices.Equal(got, want) {
					t.Fatalf("the floor says %q, the engine %q, of %s %s/%s %q by %+v: old %s, new %s",
						got, want, r.Operation, r.Resource, r.Subresource, r.Name, r.User, r.OldObject, r.Object)
				}
				if got = compiledRules(t, compiled, c, r); !slices.Equal(got, want) {
					t.Fatalf("compiled it says %q, the engine %q, of %s %s/%s %q by %+v: old %s, new %s",
						got, want, r.Operation, r.Resource, r.Subresource, r.Name, r.User, r.OldObject, r.Object)
				}
				seen[strings.Join(want, ",")]++
			}
			wanted := []string{"", "node-self", "pod-self", "objects"}
			if withoutNode == v1alpha1.AccessDeny {
				wanted = append(wanted, "without-node")
			}
			for _, rule := range wanted {
				if seen[rule] < 50 {
					t.Errorf("only %d of 6000 writes violate %q: %v", seen[rule], rule, seen)
				}
			}
		})
	}
}

// deniedRules returns the rules for which a write is denied, sorted.
func deniedRules(d policy.Decision) []string {
	found := map[string]bool{}
	for _, v := range d.Violations {
		if v.Action == v1alpha1.Deny {
			found[string(v.Rule)] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// rulesOf returns the rules by which the floor denies a write, sorted: those that its messages are about, which must be those in its audit
// annotation.
func (f *floor) rulesOf(t *testing.T, c *caller, r policy.Request) []string {
	t.Helper()
	byMessage := map[string]string{
		"NodeRestriction-plus: a node agent must use a credential that names its node":     "without-node",
		"NodeRestriction-plus: a node agent must not write another Node":                   "node-self",
		"NodeRestriction-plus: a node agent must not write a pod that is not on this node": "pod-self",
		"NodeRestriction-plus: a node agent must not write an object of another node":      "objects",
	}
	var rules []string
	for _, message := range f.evaluate(t, c, r.User.Username, r) {
		rule := byMessage[message]
		if rule == "" {
			t.Fatalf("the message is %q", message)
		}
		rules = append(rules, rule)
	}
	slices.Sort(rules)
	return rules
}

// compiledRules returns the rules by which compiled policies deny a write, sorted.
func compiledRules(t *testing.T, policies []*enforced, c *caller, r policy.Request) []string {
	t.Helper()
	found := map[string]bool{}
	attributes := c.attributes(r.User.Username, r)
	for _, e := range policies {
		if !isFor(e.Kind, attributes) {
			continue
		}
		violated, failure := e.violated(t, attributes)
		if failure != "" {
			t.Fatal(failure)
		}
		for rule := range violated {
			found[string(rule)] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// TestAgentFloorOfTypedObjects shows the floor objects as an API server of today does: with the fields that their types have.
func TestAgentFloorOfTypedObjects(t *testing.T) {
	spec := agentSpec(v1alpha1.AccessDeny)
	f := agentFloor(t, &spec)
	c := &caller{t: t}
	draw := rand.New(rand.NewPCG(5, 6))
	p := &v1alpha1.NodeRestrictionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "test"}, Spec: spec}
	set := policy.NewSet(evaluatedBy(t, p).compiled)
	for range 500 {
		r := drawAgentWrite(draw)
		if r.Resource != "nodes" && r.Resource != "pods" {
			continue
		}
		if got, want := f.rulesOf(t, c, r), deniedRules(set.Evaluate(&r)); !slices.Equal(got, want) {
			t.Fatalf("the floor says %q, the engine %q, of %s %s/%s %q by %+v", got, want, r.Operation, r.Resource, r.Subresource, r.Name, r.User)
		}
	}
}

// TestAgentFloorIsOfTheValues renders policies of the chart for agents: the floor is not under them, whatever they say.
func TestAgentFloorIsOfTheValues(t *testing.T) {
	for name, arguments := range map[string][]string{
		"no value":               nil,
		"values without a floor": {"--set-json", agentValues},
		"a policy that denies": {
			"--set-json", `policies.extra={"a":{"validationActions":["Deny"],"subjects":{"serviceAccounts":[{"namespace":"a","name":"b"}]},` +
				`"nodes":{"self":{}}}}`,
		},
	} {
		if _, found := find[*admissionregistrationv1.ValidatingAdmissionPolicy](render(t, arguments...), agentFloorName); found {
			t.Errorf("%s: there is a floor", name)
		}
	}
	spec := agentSpec(v1alpha1.AccessDeny)
	f := agentFloor(t, &spec)
	c := &caller{t: t, unstructured: true}
	r := policy.Request{
		Write: policy.Write{Operation: admissionv1.Update, Resource: "nodes", Name: "worker-1", Object: agentNode("worker-1"), OldObject: agentNode("worker-1")},
		User:  review.ServiceAccountOf("kube-system", "kured", "worker-2"),
	}
	if messages := f.evaluate(t, c, r.User.Username, r); len(messages) > 0 {
		t.Errorf("another account gets %q", messages)
	}
	r.User = review.UserOf("worker-2")
	if messages := f.evaluate(t, c, r.User.Username, r); len(messages) > 0 {
		t.Errorf("a kubelet gets %q", messages)
	}
}
