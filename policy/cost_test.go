package policy

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
)

func TestFormsOfQuantities(t *testing.T) {
	for text, want := range map[string]struct{ plain, cheap bool }{
		"0": {true, true}, "-5": {true, true}, "64Gi": {true, true}, "1500m": {true, true}, "2E": {true, true}, "1.5": {true, true},
		"12345678901234567890": {true, true}, "123456789012345678901": {false, true},
		"1e3": {false, true}, "1E3": {false, true}, "1e999": {false, true}, "1e1000": {false, false}, "1e+1000": {false, false},
		"1E-0001": {false, false}, "1e-999999999": {false, false}, strings.Repeat("1", 65): {false, false},
		"": {false, true}, ".": {false, true}, "1.2.3": {false, true}, "Gi": {false, true}, "+1": {false, true}, "1Xi": {false, true},
	} {
		if plain, cheap := IsPlainQuantity(text), IsCheapQuantity(text); plain != want.plain || cheap != want.cheap {
			t.Errorf("%q: plain %v, cheap %v, want %+v", text, plain, cheap, want)
		}
		if want.cheap && isExpensiveNumber(text) {
			t.Errorf("%q is cheap and counts as expensive", text)
		}
	}
	for _, text := range []string{"1e1000", "1e+1000", "1.5E-0001", strings.Repeat("1", 65), "1e-999999999", " 1e99999 "} {
		if !isExpensiveNumber(text) {
			t.Errorf("%q does not count as expensive", text)
		}
	}
}

// quantityPaths are objects of a type, each with one quantity, by its path. A new field of k8s.io/api is among them.
func quantityPaths(t reflect.Type, text string, seen map[reflect.Type]bool) map[string]string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	found := map[string]string{}
	switch {
	case t == reflect.TypeFor[resource.Quantity]():
		found[""] = fmt.Sprintf("%q", text)
	case seen[t]:
	case t.Kind() == reflect.Map:
		for path, inner := range quantityPaths(t.Elem(), text, seen) {
			found["[k]"+path] = `{"k":` + inner + `}`
		}
	case t.Kind() == reflect.Slice:
		for path, inner := range quantityPaths(t.Elem(), text, seen) {
			found["[]"+path] = "[" + inner + "]"
		}
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			for path, inner := range quantityPaths(f.Type, text, seen) {
				if name == "" {
					found[path] = inner
				} else {
					found["."+name+path] = fmt.Sprintf(`{%q:%s}`, name, inner)
				}
			}
		}
	}
	return found
}

func TestAnExpensiveQuantityIsUnverifiableWhereverItStands(t *testing.T) {
	const text = "1e60000"
	for _, kind := range []struct {
		resource, subresource string
		of                    reflect.Type
	}{
		{"nodes", "status", reflect.TypeFor[corev1.Node]()},
		{"pods", "status", reflect.TypeFor[corev1.Pod]()},
		{"pods", "resize", reflect.TypeFor[corev1.Pod]()},
		{"persistentvolumeclaims", "status", reflect.TypeFor[corev1.PersistentVolumeClaim]()},
		{"resourceslices.resource.k8s.io", "", reflect.TypeFor[resourcev1.ResourceSlice]()},
	} {
		paths := quantityPaths(kind.of, text, map[reflect.Type]bool{})
		if len(paths) == 0 {
			t.Errorf("%s: no quantities", kind.resource)
		}
		for path, object := range paths {
			for _, operation := range []admissionv1.Operation{admissionv1.Create, admissionv1.Update} {
				r := &Request{
					NodeName: "n1", Operation: operation, Resource: kind.resource, Subresource: kind.subresource, Version: "v1",
					Object: []byte(object), OldObject: []byte(`{"metadata":{}}`),
				}
				if err := r.split(); err != nil {
					t.Fatal(err)
				}
				if detail := r.unverifiableQuantity(); !strings.Contains(detail, quote(text)) {
					t.Errorf("%s %s/%s%s: got %q", operation, kind.resource, kind.subresource, path, detail)
				}
			}
		}
	}
}

// hasQuantity reports whether a type has a quantity in it.
func hasQuantity(t reflect.Type) bool {
	return len(quantityPaths(t, "1", map[reflect.Type]bool{})) > 0
}

func TestPartsAreDecodedWithoutParsingQuantities(t *testing.T) {
	for id := range partIDs {
		for _, object := range []interface{ field(partID) any }{&Node{}, &Pod{}} {
			into := object.field(id)
			if _, handled := into.(*claimStatuses); into == nil || handled {
				continue
			}
			if hasQuantity(reflect.TypeOf(into)) {
				t.Errorf("part %d of %T is decoded into a type with quantities", id, object)
			}
		}
	}
}

func members(n int, format string) string {
	list := make([]string, n)
	for i := range list {
		list[i] = strings.ReplaceAll(format, "%", fmt.Sprint(i))
	}
	return strings.Join(list, ",")
}

func nodeStatus(old, object string) *Request {
	return &Request{
		NodeName: "n1", Operation: admissionv1.Update, Resource: "nodes", Subresource: "status", Name: "n1",
		OldObject: []byte(old), Object: []byte(object),
	}
}

func podStatus(old, object string) *Request {
	r := nodeStatus(old, object)
	r.Resource, r.Name, r.Namespace = "pods", "web", "shop"
	return r
}

// growths are writes whose lists and maps are as long as is asked for, of each kind that a sender can make long.
func growths() map[string]func(n int) *Request {
	field := func(write func(old, updated string) *Request, section, format, oldItem, newItem string) func(n int) *Request {
		object := func(n int, item string) string {
			return `{"metadata":{"name":"n1"` + section1(section, "metadata", format, n, item) + `},"spec":{"nodeName":"n1"` +
				section1(section, "spec", format, n, item) + `},"status":{"phase":"Running"` +
				section1(section, "status", format, n, item) + `}}`
		}
		return func(n int) *Request { return write(object(n, oldItem), object(n, newItem)) }
	}
	return map[string]func(n int) *Request{
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

// everything is a policy with each rule about Nodes and pods.
func everything(tb testing.TB) *Set {
	tb.Helper()
	spec := v1alpha1.NodeRestrictionPolicySpec{Baseline: &v1alpha1.Baseline{}}
	for _, section := range []any{&spec.Nodes, &spec.Pods} {
		v := reflect.ValueOf(section).Elem()
		for i := range v.NumField() {
			if f := v.Field(i); f.Kind() == reflect.Pointer {
				f.Set(reflect.New(f.Type().Elem()))
			}
		}
	}
	p, errs := Compile(&v1alpha1.NodeRestrictionPolicy{Spec: spec})
	if len(errs) > 0 {
		tb.Fatal(errs)
	}
	return NewSet(p)
}

// evaluated decodes and evaluates a fresh copy of a write.
func evaluated(set *Set, r Request) Decision {
	if err := set.Decode(&r); err != nil {
		r.Unjudgeable = err.Error()
	}
	return set.Evaluate(&r)
}

// TestCostGrowsNoFasterThanWhatIsSent compares what is allocated for n and for 2n: a quadratic comparison that builds anything shows in
// it. What only takes time is what the benchmark is for.
func TestCostGrowsNoFasterThanWhatIsSent(t *testing.T) {
	set := everything(t)
	for name, request := range growths() {
		small, large := allocatedBy(set, *request(1000)), allocatedBy(set, *request(2000))
		if large > 3*small+64<<10 {
			t.Errorf("%s: %d bytes for 1000, %d for 2000", name, small, large)
		}
	}
}

// allocatedBy is how many bytes are allocated to evaluate a write.
func allocatedBy(set *Set, r Request) uint64 {
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

func TestPartsAreFoundWithoutLookingThroughAll(t *testing.T) {
	const n = 4000
	object := func(name string) string { return `{"metadata":{` + members(n, `"`+name+`%":1`) + `}}` }
	before, err := split([]byte(object("a")))
	if err != nil {
		t.Fatal(err)
	}
	after, err := split([]byte(object("b")))
	if err != nil {
		t.Fatal(err)
	}
	if d := compare(before, after); len(d.parts) != 2*n {
		t.Errorf("got %d differences", len(d.parts))
	}
	if _, err := split([]byte(`{"metadata":{` + members(mostParts+1, `"a%":1`) + `}}`)); err == nil {
		t.Error("an object of too many members was taken apart")
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

func TestDecodedValuesAreBounded(t *testing.T) {
	set := everything(t)
	r := nodeStatus(`{"metadata":{"name":"n1"}}`, `{"metadata":{"name":"n1","labels":{`+members(maxValues+1, `"a%":""`)+`}}}`)
	if d := evaluated(set, *r); !d.Denied() || !strings.Contains(d.Message(), "unverified (") {
		t.Errorf("got %q", d.Message())
	}
	if n := countValues([]byte(`[{"a":[1,2,"\",,"]},{},{}]`), 1); n != 3 {
		t.Errorf("got %d values", n)
	}
	if n := countValues([]byte(`[{"a":[1,2,"\",,"]},{},{}]`), anyDepth); n != 5 {
		t.Errorf("got %d values at any depth", n)
	}
}

func TestPoliciesStopAtTheirBounds(t *testing.T) {
	const n = 200_000
	same := make([]v1alpha1.Pattern, n)
	for i := range same {
		same[i] = "a"
	}
	at := field.NewPath("x")
	for name, compile := range map[string]func() field.ErrorList{
		"patterns": func() field.ErrorList { _, errs := compilePatterns(same, 256, at); return errs },
		"texts":    func() field.ErrorList { return checkTexts(make([]string, n), 8, 8, at) },
		"CIDRs":    func() field.ErrorList { _, errs := compileCIDRs(make([]v1alpha1.CIDR, n), 64, at); return errs },
		"taints": func() field.ErrorList {
			_, errs := compileTaints(make([]v1alpha1.TaintPattern, n), 64, at)
			return errs
		},
		"actions": func() field.ErrorList {
			return (&Policy{}).compileActions(make([]v1alpha1.ValidationAction, n), at)
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
	if warnings := Warnings(p); len(warnings) > maxWarnings {
		t.Errorf("got %d warnings", len(warnings))
	}
}

func TestAnExpensiveBoundIsAnErrorOfItsPolicyAlone(t *testing.T) {
	for _, text := range []v1alpha1.Quantity{"1e-999999999", "1e3", "", "x", "-1", v1alpha1.Quantity(strings.Repeat("9", 1<<20))} {
		p := &v1alpha1.NodeRestrictionPolicy{}
		p.Spec.Nodes.Finalizers = &v1alpha1.NodeFinalizers{}
		p.Spec.Nodes.Capacity = &v1alpha1.NodeCapacity{Max: map[corev1.ResourceName]v1alpha1.Quantity{"cpu": text}}
		c, errs := Compile(p)
		if len(errs) != 1 || errs[0].Field != "spec.nodes.capacity.max[cpu]" || len(errs[0].Error()) > 512 {
			t.Errorf("%.20q: got %.300s", text, errs.ToAggregate())
		}
		if rules := c.Rules(); len(rules) != 1 || rules[0] != "node-finalizers" {
			t.Errorf("%.20q: the other rules are %v", text, rules)
		}
	}
}
