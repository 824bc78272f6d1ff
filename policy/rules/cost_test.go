// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
)

// growths are writes whose lists and maps are as long as is asked for, of each kind that a sender can make long.
func growths() map[string]func(n int) *policy.Request {
	field := func(write func(old, updated string) *policy.Request, section, format, oldItem, newItem string) func(n int) *policy.Request {
		object := func(n int, item string) string {
			return `{"metadata":{"name":"n1"` + section1(section, "metadata", format, n, item) + `},"spec":{"nodeName":"n1"` +
				section1(section, "spec", format, n, item) + `},"status":{"phase":"Running"` +
				section1(section, "status", format, n, item) + `}}`
		}
		return func(n int) *policy.Request { return write(object(n, oldItem), object(n, newItem)) }
	}
	return map[string]func(n int) *policy.Request{
		"labels of a Node":             field(nodeStatus, "metadata", `"labels":{$}`, `"a%":"x"`, `"b%":"x"`),
		"annotations of a Node":        field(nodeStatus, "metadata", `"annotations":{$}`, `"a%":"x"`, `"b%":"x"`),
		"finalizers of a Node":         field(nodeStatus, "metadata", `"finalizers":[$]`, `"a%"`, `"b%"`),
		"owners of a Node":             field(nodeStatus, "metadata", `"ownerReferences":[$]`, `{"kind":"a","name":"a%"}`, `{"kind":"a","name":"b%"}`),
		"equal owners of a Node":       field(nodeStatus, "metadata", `"ownerReferences":[$]`, `{"kind":"a","uid":"a%"}`, `{"kind":"a","uid":"b%"}`),
		"capacities":                   field(nodeStatus, "status", `"capacity":{$}`, `"a/b%":"1"`, `"a/b%":"2"`),
		"unusual capacities":           field(nodeStatus, "status", `"capacity":{$}`, `"a/b%":"1e3"`, `"a/b%":"1e3"`),
		"addresses":                    field(nodeStatus, "status", `"addresses":[$]`, `{"type":"InternalIP","address":"a%"}`, `{"type":"InternalIP","address":"b%"}`),
		"conditions of a Node":         field(nodeStatus, "status", `"conditions":[$]`, `{"type":"a%"}`, `{"type":"b%"}`),
		"images":                       field(nodeStatus, "status", `"images":[$]`, `{"names":["a%"]}`, `{"names":["b%"]}`),
		"volumes":                      field(nodeStatus, "status", `"volumesInUse":[$]`, `"a%"`, `"b%"`),
		"features":                     field(nodeStatus, "status", `"declaredFeatures":[$]`, `"a%"`, `"b%"`),
		"unknown fields of conditions": field(nodeStatus, "status", `"conditions":[$]`, `{"type":"Ready","x":%}`, `{"type":"Ready","y":%}`),
		"unknown fields of one place":  field(podStatus, "status", `"containerStatuses":[$]`, `{"x":1}`, `{"x":2}`),
		"names of container statuses":  field(podStatus, "status", `"containerStatuses":[$]`, `{"name":"a%"}`, `{"name":"b%"}`),
		"resources of container statuses": field(podStatus, "status", `"containerStatuses":[$]`,
			`{"resources":{"limits":{"a%":"1e1000"}}}`, `{"resources":{"limits":{"a%":"1"}}}`),
		"addresses of a pod":  field(podStatus, "status", `"podIPs":[$]`, `{"ip":"a%"}`, `{"ip":"b%"}`),
		"conditions of a pod": field(podStatus, "status", `"conditions":[$]`, `{"type":"a%"}`, `{"type":"b%"}`),
		"labels of a pod":     field(podStatus, "metadata", `"labels":{$}`, `"a%":"x"`, `"b%":"x"`),
		"resource claims":     field(podStatus, "status", `"resourceClaimStatuses":[$]`, `{"name":"a%"}`, `{"name":"b%"}`),
	}
}

func section1(section, name, format string, n int, item string) string {
	if section != name {
		return ""
	}
	return "," + strings.Replace(format, "$", members(n, item), 1)
}

// everything has a policy for kubelets with each rule about Nodes and pods, and the same for the service account kube-system/cni.
func everything(tb testing.TB) *policy.Set {
	tb.Helper()
	compiled := func(spec *v1alpha1.NodeRestrictionPolicySpec) *policy.Policy {
		p, errs := NewCompiler().Compile(&v1alpha1.NodeRestrictionPolicy{Spec: *spec})
		if len(errs) > 0 {
			tb.Fatal(errs)
		}
		return p
	}
	kubelets, agents := eachSection(), eachSection()
	kubelets.Pods.Spec = nil
	agents.Subjects = &v1alpha1.Subjects{ServiceAccounts: []v1alpha1.ServiceAccount{{Namespace: "kube-system", Name: "cni"}}}
	agents.Baseline, agents.Nodes.Names = nil, nil
	return policy.NewSet(compiled(kubelets), compiled(agents))
}

func cniAgent() policy.Subject {
	return policy.Subject{Kind: policy.ServiceAccount, Account: "kube-system/cni"}
}

// eachSection has each section about Nodes and pods.
func eachSection() *v1alpha1.NodeRestrictionPolicySpec {
	spec := &v1alpha1.NodeRestrictionPolicySpec{
		ValidationActions: []v1alpha1.ValidationAction{v1alpha1.Deny}, Baseline: &v1alpha1.Baseline{},
	}
	for _, section := range []any{&spec.Nodes, &spec.Pods} {
		v := reflect.ValueOf(section).Elem()
		for i := range v.NumField() {
			if f := v.Field(i); f.Kind() == reflect.Pointer {
				f.Set(reflect.New(f.Type().Elem()))
			}
		}
	}
	return spec
}

// evaluated evaluates a fresh copy of a write.
func evaluated(set *policy.Set, r policy.Request) policy.Decision { return set.Evaluate(&r) }

// TestCostGrowsNoFasterThanWhatIsSent compares what is allocated for n and for 2n: a quadratic comparison that builds anything shows in
// it. What only takes time is what the benchmark is for.
func TestCostGrowsNoFasterThanWhatIsSent(t *testing.T) {
	set := everything(t)
	for name, request := range growths() {
		for _, subject := range []policy.Subject{{}, cniAgent()} {
			by := func(n int) policy.Request {
				r := *request(n)
				r.Subject = subject
				return r
			}
			small, large := allocatedBy(set, by(1000)), allocatedBy(set, by(2000))
			if large > 3*small+64<<10 {
				t.Errorf("%s by %+v: %d bytes for 1000, %d for 2000", name, subject, small, large)
			}
		}
	}
}

// allocatedBy is how many bytes are allocated to evaluate a write.
func allocatedBy(set *policy.Set, r policy.Request) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	evaluated(set, r)
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func BenchmarkGrowth(b *testing.B) {
	set := everything(b)
	for name, request := range growths() {
		for _, n := range []int{10_000, 20_000} {
			r := *request(n)
			b.Run(fmt.Sprintf("%s/n=%d", name, n), func(b *testing.B) {
				b.SetBytes(int64(len(r.Object) + len(r.OldObject)))
				b.ReportAllocs()
				for b.Loop() {
					evaluated(set, r)
				}
			})
		}
	}
}

func TestWhatATenantMakesLongLeavesItsKubeletAlone(t *testing.T) {
	const n = 205_000
	set := everything(t)
	spec := func(inner string) string {
		return `{"metadata":{"name":"web"},"spec":{"nodeName":"n1",` + inner + `},"status":{$}}`
	}
	metadata := func(inner string) string {
		return `{"metadata":{"name":"web",` + inner + `},"spec":{"nodeName":"n1"},"status":{$}}`
	}
	for name, pod := range map[string]string{
		"arguments":   spec(`"containers":[{"name":"c","args":[` + strings.TrimSuffix(strings.Repeat(`"",`, n), ",") + `]}]`),
		"variables":   spec(`"containers":[{"name":"c","env":[` + members(n/2, `{"name":"a%"}`) + `]}]`),
		"volumes":     spec(`"volumes":[` + members(50_000, `{"name":"a%","emptyDir":{}}`) + `]`),
		"containers":  spec(`"containers":[` + members(20_000, `{"name":"a%","image":"b"}`) + `]`),
		"tolerations": spec(`"tolerations":[` + members(n/4, `{"key":"a%"}`) + `]`),
		"labels":      metadata(`"labels":{` + members(n, `"a%":""`) + `}`),
		"annotations": metadata(`"annotations":{` + members(40_000, `"a%":""`) + `}`),
		"finalizers":  metadata(`"finalizers":[` + members(n, `"a/%"`) + `]`),
		"owners":      metadata(`"ownerReferences":[` + members(20_000, `{"apiVersion":"v1","kind":"a","name":"a%","uid":"%"}`) + `]`),
	} {
		t.Run(name, func(t *testing.T) {
			status := func(text string) string { return strings.Replace(pod, "$", text, 1) }
			ready := `"conditions":[{"type":"Ready","status":"%"}]`
			write := podStatus(status(strings.Replace(ready, "%", "False", 1)), status(strings.Replace(ready, "%", "True", 1)))
			write.InNodesGroup = true
			if d := evaluated(set, *write); d.Denied() {
				t.Errorf("its status: %s", d.Message())
			}
			deletion := podStatus(status(`"phase":"Running"`), "")
			deletion.Operation, deletion.Subresource, deletion.Object = admissionv1.Delete, "", nil
			deletion.OldObject = []byte(strings.Replace(string(deletion.OldObject), `"name":"web"`,
				`"name":"web","deletionTimestamp":"2026-11-24T08:00:00Z"`, 1))
			if d := evaluated(set, *deletion); d.Denied() {
				t.Errorf("its deletion: %s", d.Message())
			}
			attack := podStatus(status(`"phase":"Running"`), status(`"phase":"Running","podIP":"127.0.0.1"`))
			if d := evaluated(set, *attack); !d.Denied() {
				t.Error("an attack on it is allowed")
			}
		})
	}
}

func TestAnExpensiveBoundIsAnErrorOfItsPolicyAlone(t *testing.T) {
	for _, text := range []v1alpha1.Quantity{"1e-999999999", "1e3", "", "x", "-1", v1alpha1.Quantity(strings.Repeat("9", 1<<20))} {
		p := &v1alpha1.NodeRestrictionPolicy{}
		p.Spec.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Deny}
		p.Spec.Nodes.Finalizers = &v1alpha1.NodeFinalizers{}
		p.Spec.Nodes.Capacity = &v1alpha1.NodeCapacity{Max: map[corev1.ResourceName]v1alpha1.Quantity{"cpu": text}}
		c, errs := NewCompiler().Compile(p)
		if len(errs) != 1 || errs[0].Field != "spec.nodes.capacity.max[cpu]" || len(errs[0].Error()) > 512 {
			t.Errorf("%.20q: got %.300s", text, errs.ToAggregate())
		}
		if rules := c.Rules(); len(rules) != 1 || rules[0] != "node-finalizers" {
			t.Errorf("%.20q: the other rules are %v", text, rules)
		}
	}
}

func TestDecodedValuesAreBounded(t *testing.T) {
	set := everything(t)
	r := nodeStatus(`{"metadata":{"name":"n1"}}`, `{"metadata":{"name":"n1","labels":{`+members(200_001, `"a%":""`)+`}}}`)
	if d := evaluated(set, *r); !d.Denied() || !strings.Contains(d.Message(), "unverified (") {
		t.Errorf("got %q", d.Message())
	}
}

func TestPoliciesStopAtTheirBounds(t *testing.T) {
	const n = 200_000
	same := make([]v1alpha1.KeyValuePattern, n)
	for i := range same {
		same[i] = "a"
	}
	at := field.NewPath("x")
	for name, compile := range map[string]func() field.ErrorList{
		"taints": func() field.ErrorList {
			_, errs := compileTaints(make([]v1alpha1.TaintPattern, n), 64, at)
			return errs
		},
		"objects": func() field.ErrorList {
			_, errs := compileObjects(&v1alpha1.NodeRestrictionPolicySpec{Objects: make([]v1alpha1.ObjectsOfNode, n)}, at)
			return errs
		},
		"service accounts": func() field.ErrorList {
			_, errs := NewCompiler().Compile(&v1alpha1.NodeRestrictionPolicy{Spec: v1alpha1.NodeRestrictionPolicySpec{
				ValidationActions: []v1alpha1.ValidationAction{v1alpha1.Deny},
				Subjects:          &v1alpha1.Subjects{ServiceAccounts: make([]v1alpha1.ServiceAccount, n)},
			}})
			return errs
		},
		"actions": func() field.ErrorList {
			_, errs := NewCompiler().Compile(&v1alpha1.NodeRestrictionPolicy{Spec: v1alpha1.NodeRestrictionPolicySpec{
				ValidationActions: make([]v1alpha1.ValidationAction, n),
			}})
			return errs
		},
		"resources": func() field.ErrorList {
			return checkBaselineResources(&v1alpha1.Baseline{Resources: make([]v1alpha1.BaselineResource, n)}, at)
		},
	} {
		errs := compile()
		if len(errs) != 1 || errs[0].Type != field.ErrorTypeTooMany {
			t.Errorf("%s: got %d errors", name, len(errs))
		}
	}
	for i := range same {
		same[i] = "kubernetes.io/os"
	}
	p := &v1alpha1.NodeRestrictionPolicy{}
	p.Spec.Nodes.Labels = &v1alpha1.NodeLabels{Registration: &v1alpha1.NodeRegistrationLabels{Denied: same}}
	if warnings := NewCompiler().Warnings(p); len(warnings) > policy.MaxWarnings {
		t.Errorf("got %d warnings", len(warnings))
	}
}

func members(n int, format string) string {
	list := make([]string, n)
	for i := range list {
		list[i] = strings.ReplaceAll(format, "%", fmt.Sprint(i))
	}
	return strings.Join(list, ",")
}

func nodeStatus(old, object string) *policy.Request {
	return &policy.Request{
		NodeName: "n1", Write: policy.Write{
			Operation: admissionv1.Update, Resource: "nodes", Subresource: "status", Name: "n1",
			OldObject: []byte(old), Object: []byte(object),
		},
	}
}

func podStatus(old, object string) *policy.Request {
	r := nodeStatus(old, object)
	r.Resource, r.Name, r.Namespace = "pods", "web", "shop"
	return r
}
