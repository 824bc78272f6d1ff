// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/compile"
	"noderestriction.plus/internal/review"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// floor is a ValidatingAdmissionPolicy as an API server evaluates it.
type floor struct {
	name      string
	spec      admissionregistrationv1.ValidatingAdmissionPolicySpec
	validator validating.Validator
}

func newFloor(t *testing.T, p *admissionregistrationv1.ValidatingAdmissionPolicy) *floor {
	t.Helper()
	e, errs := newEnforced(compile.Kind{Policy: p})
	if len(errs) > 0 {
		t.Fatalf("%s: %v", p.Name, errs)
	}
	return &floor{p.Name, p.Spec, e.validator}
}

// evaluate returns the messages of the validations that deny. It fails the test if one ends in an error, or denies with another reason than
// Forbidden.
func (f *floor) evaluate(t *testing.T, c *caller, userName string, r policy.Request) []string {
	t.Helper()
	attributes := c.attributes(userName, r)
	result := f.validator.Validate(t.Context(), attributes.GetResource(), attributes, nil, nil, celconfig.RuntimeCELCostBudget, nil)
	var messages []string
	for _, d := range result.Decisions {
		switch {
		case d.Evaluation == validating.EvalError:
			t.Fatalf("%s: %s", f.name, d.Message)
		case d.Action == validating.ActionDeny && d.Reason != metav1.StatusReasonForbidden:
			t.Errorf("%s: a kubelet does not live with the reason %s", f.name, d.Reason)
			fallthrough
		case d.Action == validating.ActionDeny:
			messages = append(messages, d.Message)
		}
	}
	return messages
}

// renderFloors renders the floors of policies that are given by name, by name.
func renderFloors(
	t *testing.T, specs map[string]v1alpha1.NodeRestrictionPolicySpec, flags ...string,
) map[string]*floor {
	t.Helper()
	var conditions []compile.Entry
	for name, spec := range specs {
		p := &v1alpha1.NodeRestrictionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
		entries, _, err := compile.Entries(p, rulesOf(t, p))
		if err != nil {
			t.Fatal(err)
		}
		conditions = append(conditions, entries...)
	}
	data, err := json.Marshal(map[string]any{"policies": map[string]any{"recommended": "Off", "extra": specs, "conditions": conditions}})
	if err != nil {
		t.Fatal(err)
	}
	values := filepath.Join(t.TempDir(), "values.json")
	if err := os.WriteFile(values, data, 0o600); err != nil {
		t.Fatal(err)
	}
	r := render(t, append(flags, "--values", values)...)
	floors := map[string]*floor{}
	for name := range specs {
		if p, found := find[*admissionregistrationv1.ValidatingAdmissionPolicy](r, chart+"-"+name); found {
			floors[name] = newFloor(t, p)
		}
	}
	return floors
}

// engine evaluates the rules, and returns their reasons.
func engine(t *testing.T, spec v1alpha1.NodeRestrictionPolicySpec, r policy.Request) []string {
	t.Helper()
	compiled, errs := rules.NewCompiler().Compile(&v1alpha1.NodeRestrictionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "test"}, Spec: spec,
	})
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	reasons := map[string]bool{}
	for _, v := range policy.NewSet(compiled).Evaluate(&r).Violations {
		reasons[strings.ReplaceAll(string(v.Rule), "-", " ")] = true
	}
	return slices.Sorted(maps.Keys(reasons))
}

func checkAgreement(t *testing.T, f *floor, c *caller, spec v1alpha1.NodeRestrictionPolicySpec, r policy.Request) {
	t.Helper()
	var reasons []string
	for _, message := range f.evaluate(t, c, "system:node:"+r.NodeName, r) {
		_, reason, _ := strings.Cut(message, ": ")
		reason, _, _ = strings.Cut(reason, " (")
		reasons = append(reasons, reason)
	}
	slices.Sort(reasons)
	reasons = slices.Compact(reasons)
	if want := engine(t, spec, r); !slices.Equal(reasons, want) {
		t.Errorf("the floor says %q, the rules say %q, of %s", reasons, want, r.Object)
	}
}

// TestFloorSaysWhatTheRulesSay holds the floor to the fixtures of the four rules at registration.
func TestFloorSaysWhatTheRulesSay(t *testing.T) {
	specs := map[string]v1alpha1.NodeRestrictionPolicySpec{}
	requests := map[string]policy.Request{}
	for _, rule := range []string{"node-labels", "node-taints", "node-owner-references", "node-finalizers"} {
		for path, f := range readFixtures(t, "../policy/rules/testdata/"+rule+"/*/*.txtar") {
			if f.Request.Operation == admissionv1.Create {
				name := rule + "." + strings.TrimSuffix(filepath.Base(path), ".txtar")
				specs[name], requests[name] = f.Policies[0].Spec, f.Request
			}
		}
	}
	c := &caller{t: t}
	floors := renderFloors(t, specs)
	for name, spec := range specs {
		t.Run(name, func(t *testing.T) {
			if floors[name] == nil { // a section that says nothing of a registration, such as none of these rules
				if reasons := engine(t, spec, requests[name]); len(reasons) > 0 {
					t.Errorf("there is no floor, though the rules say %q", reasons)
				}
				return
			}
			checkAgreement(t, floors[name], c, spec, requests[name])
		})
	}
}

func TestFloorIsForKubelets(t *testing.T) {
	f := renderFloors(t, map[string]v1alpha1.NodeRestrictionPolicySpec{
		"test": {ValidationActions: []v1alpha1.ValidationAction{v1alpha1.Deny}, Nodes: v1alpha1.NodeRules{Finalizers: &v1alpha1.NodeFinalizers{}}},
	})["test"]
	c := &caller{t: t}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "worker-1", Finalizers: []string{"example.com/a"}}}
	r := policy.Request{Write: policy.Write{Operation: admissionv1.Create, Resource: "nodes", Name: "worker-1", Object: mustMarshal(node)}}
	if messages := f.evaluate(t, c, "kubernetes-admin", r); len(messages) > 0 {
		t.Errorf("an administrator gets %q", messages)
	}
	want := []string{`violates NodeRestrictionPolicy "test": node finalizers (must not change "example.com/a")`}
	if messages := f.evaluate(t, c, kubelet, r); !slices.Equal(messages, want) {
		t.Errorf("a kubelet gets %q, want %q", messages, want)
	}
	rules := f.spec.MatchConstraints.ResourceRules
	if len(rules) != 1 || !slices.Equal(rules[0].Resources, []string{"nodes"}) ||
		!slices.Equal(rules[0].Operations, []admissionregistrationv1.OperationType{admissionregistrationv1.Create}) {
		t.Errorf("the floor is under %v", rules)
	}
}

func TestFloorLeavesTheProbeToTheProgram(t *testing.T) {
	f := renderFloors(t, map[string]v1alpha1.NodeRestrictionPolicySpec{
		"test": {ValidationActions: []v1alpha1.ValidationAction{v1alpha1.Deny}, Nodes: v1alpha1.NodeRules{Finalizers: &v1alpha1.NodeFinalizers{}}},
	})["test"]
	c := &caller{t: t}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: review.ProbeNode, Finalizers: []string{"example.com/a"}}}
	r := policy.Request{
		Write: policy.Write{Operation: admissionv1.Create, Resource: "nodes", Name: node.Name, Object: mustMarshal(node), DryRun: true},
	}
	if messages := f.evaluate(t, c, "system:node:"+review.ProbeNode, r); len(messages) > 0 {
		t.Errorf("the probe gets %q", messages)
	}
	r.DryRun = false
	if messages := f.evaluate(t, c, "system:node:"+review.ProbeNode, r); len(messages) == 0 {
		t.Error("a registration in the name of the probe is not denied")
	}
}

// TestFloorBacksPoliciesThatDeny says which policies have a floor.
func TestFloorBacksPoliciesThatDeny(t *testing.T) {
	const recommended, strict = "node-restriction-plus-recommended", "node-restriction-plus-strict"
	for name, test := range map[string]struct {
		set  string
		want []string
	}{
		"a policy that only records has none":             {"profile=balanced", nil},
		"a policy that denies has one":                    {"policies.recommended=Deny", []string{recommended}},
		"each policy has its own":                         {"policies.recommended=Deny,policies.strict=Deny", []string{recommended, strict}},
		"no floor is rendered if it is switched off":      {"policies.recommended=Deny,floor.enabled=false", nil},
		"what is adapted is adapted in the floor, too":    {"policies.recommended=Deny,policies.adapt.recommended.nodes=null", nil},
		"a policy for some nodes has none":                {"policies.recommended=Deny,policies.adapt.recommended.match.nodeNames={a}", nil},
		"the policy of a distribution is recommended":     {"policies.recommended=Deny,policies.distribution=k3s", []string{recommended}},
		"another policy has none, unless values have it":  {"policies.extra.a.validationActions={Deny},policies.extra.a.nodes.finalizers.allowed={b}", nil},
		"another policy that says nothing of it has none": {"policies.extra.a.validationActions={Deny},policies.extra.a.nodes.names.allowed={b}", nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := render(t, "--set", test.set)
			var have []string
			for _, object := range r.objects {
				if p, ok := object.(*admissionregistrationv1.ValidatingAdmissionPolicy); ok && p.Name != quantityFloor && p.Name != podFloor {
					have = append(have, p.Name)
					newFloor(t, p)
					binding := get[*admissionregistrationv1.ValidatingAdmissionPolicyBinding](t, r, p.Name)
					if binding.Spec.PolicyName != p.Name || binding.Spec.ParamRef != nil || binding.Spec.MatchResources != nil ||
						fmt.Sprint(binding.Spec.ValidationActions) != "[Deny Audit]" {
						t.Errorf("%s is bound as %+v", p.Name, binding.Spec)
					}
				}
			}
			slices.Sort(have)
			if !slices.Equal(have, test.want) {
				t.Errorf("there are %v, want %v", have, test.want)
			}
		})
	}
}

// Names of the floors that exist whatever the policies say.
const (
	quantityFloor = "node-restriction-plus.quantities"
	podFloor      = "node-restriction-plus.pod-quantities"
)

// TestQuantitiesOfNewPods puts texts wherever the spec of a pod has a quantity. Nobody may create a pod with an expensive one, because a
// kubelet that copies it could not be distinguished from one that made it up.
func TestQuantitiesOfNewPods(t *testing.T) {
	r := render(t, "--set", "policies.recommended=Off")
	binding := get[*admissionregistrationv1.ValidatingAdmissionPolicyBinding](t, r, podFloor)
	if binding.Spec.PolicyName != podFloor || fmt.Sprint(binding.Spec.ValidationActions) != "[Deny Audit]" {
		t.Errorf("it is bound as %+v", binding.Spec)
	}
	p := get[*admissionregistrationv1.ValidatingAdmissionPolicy](t, r, podFloor)
	if *p.Spec.FailurePolicy != admissionregistrationv1.Ignore {
		t.Error("a pod that costs too much to examine would be refused")
	}
	f := newFloor(t, p)
	pods := holder{resource: "pods", empty: emptyPod}
	for _, unstructured := range []bool{false, true} {
		c := &caller{t: t, unstructured: unstructured}
		for _, path := range quantityPaths(reflect.TypeFor[corev1.Pod]()) {
			if name := path.String(); !strings.HasPrefix(name, "spec.") || strings.HasSuffix(name, ".divisor") {
				continue
			}
			for _, write := range []policy.Request{{Write: policy.Write{
				Operation: "CREATE",
			}}, {Write: policy.Write{
				Operation: "UPDATE", Subresource: "resize",
			}}} {
				for _, text := range cheapTexts {
					if messages := f.evaluate(t, c, "alice", pods.with(write, path, text, text)); len(messages) > 0 {
						t.Errorf("%s %s: %q is refused: %q", write.Operation, path, text, messages)
					}
				}
				for _, text := range expensiveTexts {
					if messages := f.evaluate(t, c, "alice", pods.with(write, path, text, "")); len(messages) == 0 {
						t.Errorf("%s %s: %q passes", write.Operation, path, text)
					}
				}
			}
		}
	}
	for _, set := range []string{"profile=observe", "floor.enabled=false", "floor.pods=false"} {
		if _, found := find[*admissionregistrationv1.ValidatingAdmissionPolicy](render(t, "--set", set), podFloor); found {
			t.Errorf("%s: there is a floor under pods", set)
		}
	}
}

// TestQuantitiesOfARegistration holds the floor to let in what kubelets print, and nothing that makes an API server slow.
func TestQuantitiesOfARegistration(t *testing.T) {
	r := render(t, "--set", "policies.recommended=Off")
	binding := get[*admissionregistrationv1.ValidatingAdmissionPolicyBinding](t, r, quantityFloor)
	if binding.Spec.PolicyName != quantityFloor || fmt.Sprint(binding.Spec.ValidationActions) != "[Deny Audit]" {
		t.Errorf("it is bound as %+v", binding.Spec)
	}
	f := newFloor(t, get[*admissionregistrationv1.ValidatingAdmissionPolicy](t, r, quantityFloor))
	for _, unstructured := range []bool{false, true} {
		c := &caller{t: t, unstructured: unstructured}
		for text, denied := range map[string]bool{
			"4": false, "3920m": false, "32986188Ki": false, "9223372036854775807": false, "0": false, "1E": false, "1Ei": false,
			"1e3": true, "1E3": true, "1e60000": true, "1234567890123456789e600": true, strings.Repeat("9", 21): true,
		} {
			list := corev1.ResourceList{"example.com/e1000": resource.MustParse(text)}
			for _, status := range []corev1.NodeStatus{{Capacity: list}, {Allocatable: list}} {
				node := mustMarshal(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "worker-1"}, Status: status})
				write := policy.Request{Write: policy.Write{
					Operation: admissionv1.Create, Resource: "nodes", Name: "worker-1", Object: node,
				}}
				if messages := f.evaluate(t, c, kubelet, write); (len(messages) > 0) != denied {
					t.Errorf("of %s it says %q", text, messages)
				}
				if messages := f.evaluate(t, c, "kubernetes-admin", write); len(messages) > 0 {
					t.Errorf("an administrator gets %q", messages)
				}
				write.DryRun = true
				if messages := f.evaluate(t, c, "system:node:"+review.ProbeNode, write); len(messages) > 0 {
					t.Errorf("the probe gets %q", messages)
				}
			}
		}
		for n, denied := range map[int]bool{256: false, 257: true, 20_000: true} {
			node := &corev1.Node{Status: corev1.NodeStatus{Capacity: resources(n, longText(true)), Allocatable: resources(n, longText(true))}}
			write := policy.Request{Write: policy.Write{
				Operation: admissionv1.Create, Resource: "nodes", Name: "worker-1", Object: mustMarshal(node),
			}}
			if messages := f.evaluate(t, c, kubelet, write); (len(messages) > 0) != denied {
				t.Errorf("of %d resources it says %q", n, messages)
			}
		}
	}
	for _, set := range []string{"profile=observe", "floor.enabled=false"} {
		if _, found := find[*admissionregistrationv1.ValidatingAdmissionPolicy](render(t, "--set", set), quantityFloor); found {
			t.Errorf("%s: there is a floor", set)
		}
	}
}

// TestFloorUnderFieldOwnership registers a Node to which somebody has applied.
func TestFloorUnderFieldOwnership(t *testing.T) {
	out, err := helmTemplate(t, "--show-only", "templates/floor.yaml", "--set-json", `policies.extra={"a":{"validationActions":["Deny"],"nodes":{"managedFields":{}}}}`)
	if err != nil {
		t.Fatal(err)
	}
	f := newFloor(t, get[*admissionregistrationv1.ValidatingAdmissionPolicy](t, rendered{objects: decode(t, out)}, chart+"-a"))
	c := &caller{t: t}
	for operation, want := range map[metav1.ManagedFieldsOperationType]string{
		"Update": "", "Apply": `violates NodeRestrictionPolicy "a": node managed fields (must not apply as "a")`,
	} {
		node := storedNode()
		node.ManagedFields = []metav1.ManagedFieldsEntry{managed("a", operation, 10, "{}")}
		r := policy.Request{Write: policy.Write{
			Operation: admissionv1.Create, Resource: "nodes", Name: "worker-1", Object: mustMarshal(node),
		}}
		if got := strings.Join(f.evaluate(t, c, kubelet, r), ", "); got != want {
			t.Errorf("%s: it says %q, want %q", operation, got, want)
		}
	}
}
