// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/policy"
)

var (
	// expensiveTexts are texts that cost an API server seconds if they are longer.
	expensiveTexts = []string{"1e1002", "1E1002", "-1e+1002", "1e-00000000", strings.Repeat("9", 65)}
	// cheapTexts are those that a person or a kubelet may write.
	cheapTexts = []string{"0", "100m", "2.500", "32986188Ki", "9223372036854775807", "1Ei", "1E", "1e3", "12E99", strings.Repeat("9", 64)}
)

// quantityPath leads from a type to a quantity in it.
type quantityPath []quantityStep

// quantityStep is a field, by its index; or an element of a list or map, or what a pointer points at, for which the index is -1.
type quantityStep struct {
	name  string
	index int
}

func (p quantityPath) String() string {
	var names []string
	for _, step := range p {
		if step.name != "" {
			names = append(names, step.name)
		}
	}
	return strings.Join(names, ".")
}

// quantityPaths finds every quantity of a type.
func quantityPaths(of reflect.Type) []quantityPath {
	below := func(step quantityStep, of reflect.Type) (paths []quantityPath) {
		for _, path := range quantityPaths(of) {
			paths = append(paths, append(quantityPath{step}, path...))
		}
		return paths
	}
	switch {
	case of == reflect.TypeFor[resource.Quantity]():
		return []quantityPath{nil}
	case of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice || of.Kind() == reflect.Map:
		return below(quantityStep{index: -1}, of.Elem())
	case of.Kind() != reflect.Struct || strings.HasSuffix(of.PkgPath(), "meta/v1"):
		return nil
	}
	var paths []quantityPath
	for i := range of.NumField() {
		name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		paths = append(paths, below(quantityStep{name, i}, of.Field(i).Type)...)
	}
	return paths
}

// put writes the quantity at the path into v, and makes what is on the way there.
func (p quantityPath) put(v reflect.Value, q resource.Quantity) {
	if len(p) == 0 {
		v.Set(reflect.ValueOf(q))
		return
	}
	rest := p[1:]
	switch v.Kind() {
	case reflect.Struct:
		rest.put(v.Field(p[0].index), q)
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		rest.put(v.Elem(), q)
	case reflect.Slice:
		if v.Len() == 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		}
		rest.put(v.Index(0), q)
	default:
		element := reflect.New(v.Type().Elem()).Elem()
		rest.put(element, q)
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
		v.SetMapIndex(reflect.ValueOf("example.com/e1234").Convert(v.Type().Key()), element)
	}
}

// holder is an object that may have quantities, and where kubelets write those.
type holder struct {
	resource string
	empty    func() any
	writes   []policy.Request // whose objects are to be set
	counts   func(path, subresource string) bool
}

func emptyPod() any {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: "a", DeletionTimestamp: new(metav1.Unix(0, 0)),
		},
		Spec: corev1.PodSpec{NodeName: "worker-1", Containers: []corev1.Container{{Name: "a"}}},
	}
}

// reportedPod has a container for each status of one, which has no name.
func reportedPod() any {
	pod := emptyPod().(*corev1.Pod)
	pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{})
	pod.Spec.InitContainers = []corev1.Container{{}}
	pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{}}
	return pod
}

// sliceHolder is the ResourceSlice of a version.
func sliceHolder(version string) holder {
	return holder{
		"resourceslices.resource.k8s.io", func() any { return emptySlice(version) },
		[]policy.Request{
			{Write: policy.Write{Operation: "CREATE", Version: version}}, {Write: policy.Write{Operation: "UPDATE", Version: version}},
		},
		func(string, string) bool { return true },
	}
}

// holders are all resources whose quantities are sent to a webhook, except what always goes to gate: mirror pods, and Nodes themselves.
// Registration has a floor.
func holders() []holder {
	status := func(path, _ string) bool { return strings.HasPrefix(path, "status.") }
	return []holder{
		{"nodes", func() any { return storedNode() }, []policy.Request{{Write: policy.Write{
			Operation: "UPDATE", Subresource: "status",
		}}}, status},
		{"pods", reportedPod, []policy.Request{{Write: policy.Write{
			Operation: "UPDATE", Subresource: "status",
		}}, {Write: policy.Write{
			Operation: "DELETE",
		}}}, status},
		// A divisor is of a few values only, or the API server refuses it before it asks anybody.
		{"pods", emptyPod, []policy.Request{
			{Write: policy.Write{Operation: "UPDATE"}},
			{Write: policy.Write{Operation: "UPDATE", Subresource: "resize"}},
			{Write: policy.Write{Operation: "UPDATE", Subresource: "ephemeralcontainers"}},
		}, func(path, _ string) bool { return !strings.HasSuffix(path, ".divisor") }},
		{
			"persistentvolumeclaims", func() any { return &corev1.PersistentVolumeClaim{} },
			[]policy.Request{
				{Write: policy.Write{
					Operation: "CREATE",
				}}, {Write: policy.Write{
					Operation: "UPDATE",
				}}, {Write: policy.Write{
					Operation: "UPDATE", Subresource: "status",
				}}, {Write: policy.Write{
					Operation: "DELETE",
				}},
			},
			func(string, string) bool { return true },
		},
		sliceHolder("v1"), sliceHolder("v1beta2"), sliceHolder("v1beta1"),
	}
}

// with returns the write with a quantity at the path of its object, of its old object, or of both; if it has those.
func (h holder) with(write policy.Request, path quantityPath, object, old string) policy.Request {
	write.Resource, write.Name = h.resource, "worker-1"
	if h.resource == "pods" || h.resource == "persistentvolumeclaims" {
		write.Name, write.Namespace = "a", "default"
	}
	holding := func(text string) []byte {
		o := h.empty()
		if text != "" {
			path.put(reflect.ValueOf(o).Elem(), resource.MustParse(text))
		}
		return mustMarshal(o)
	}
	if write.Operation != admissionv1.Delete {
		write.Object = holding(object)
	}
	if write.Operation != admissionv1.Create {
		write.OldObject = holding(old)
	}
	return write
}

// TestExpensiveQuantitiesGoToGate puts what is slow to print wherever k8s.io/api has a quantity, and asks the API server's own code
// whom it would call: gate, whose failure refuses the write, and nobody else.
func TestExpensiveQuantitiesGoToGate(t *testing.T) {
	for _, shape := range []string{"typed", "unstructured"} { // as API servers show them to conditions now, and did in 1.31
		c := newCaller(t, everything()...)
		c.unstructured = shape == "unstructured"
		for _, h := range holders() {
			forEachQuantity(h, func(name string, write policy.Request, path quantityPath) {
				t.Run(shape+" "+name, func(t *testing.T) {
					for _, text := range expensiveTexts {
						if write.Operation != admissionv1.Delete {
							checkCalls(t, c, kubelet, h.with(write, path, text, ""), gate)
						}
						if strings.HasPrefix(path.String(), "status.") && write.Operation != admissionv1.Create {
							checkCalls(t, c, kubelet, h.with(write, path, text, text), gate)
							checkCalls(t, c, kubelet, h.with(write, path, "", text), gate)
						}
					}
				})
			})
		}
	}
}

// TestCheapQuantitiesStayWhereTheyWere is the reverse. Of a Node a text must be plain, too.
func TestCheapQuantitiesStayWhereTheyWere(t *testing.T) {
	c := newCaller(t, everything()...)
	for _, h := range holders() {
		forEachQuantity(h, func(name string, write policy.Request, path quantityPath) {
			if strings.HasPrefix(path.String(), "spec.overhead") || strings.HasPrefix(path.String(), "spec.volumes") {
				return // which an update cannot change
			}
			if strings.HasPrefix(path.String(), "spec.devices.basic") {
				return // which always goes to gate
			}
			t.Run(name, func(t *testing.T) {
				for _, text := range cheapTexts {
					plain := len(text) <= 20 && !strings.Contains(text, "e") && !strings.Contains(text, "E9")
					for _, r := range []policy.Request{h.with(write, path, text, ""), h.with(write, path, text, text), h.with(write, path, "", text)} {
						called, failed := c.calls(kubelet, r)
						if len(failed) > 0 || len(called) > 1 {
							t.Errorf("%s: called are %v, failed %v", text, called, failed)
						}
						changes := !slices.Equal(r.Object, r.OldObject) && strings.Contains(string(r.Object), text+`"`)
						want := h.resource == "nodes" && changes && !plain
						if slices.Contains(called, gate) != want {
							t.Errorf("%s: called are %v", text, called)
						}
					}
				}
			})
		})
	}
}

func forEachQuantity(h holder, do func(name string, write policy.Request, path quantityPath)) {
	for _, write := range h.writes {
		for _, path := range quantityPaths(reflect.TypeOf(h.empty()).Elem()) {
			if !h.counts(path.String(), write.Subresource) {
				continue
			}
			if write.Operation == admissionv1.Delete && !strings.HasPrefix(path.String(), "status.") {
				continue // which a tenant wrote
			}
			do(fmt.Sprintf("%s %s %s %s %s", write.Operation, h.resource, write.Version, write.Subresource, path), write, path)
		}
	}
}

// TestQuantitiesOfTenants writes into the status of a pod what its spec says, which is the tenant's to answer for.
func TestQuantitiesOfTenants(t *testing.T) {
	c := newCaller(t, everything()...)
	const text = "1e1002"
	lists := map[string]func(p *corev1.Pod) (*corev1.ResourceRequirements, *corev1.ContainerStatus){
		"containers": func(p *corev1.Pod) (*corev1.ResourceRequirements, *corev1.ContainerStatus) {
			p.Spec.Containers = []corev1.Container{{Name: "other"}, {Name: "a"}}
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "a"}}
			return &p.Spec.Containers[1].Resources, &p.Status.ContainerStatuses[0]
		},
		"init containers": func(p *corev1.Pod) (*corev1.ResourceRequirements, *corev1.ContainerStatus) {
			p.Spec.InitContainers = []corev1.Container{{Name: "a"}}
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "a"}}
			return &p.Spec.InitContainers[0].Resources, &p.Status.InitContainerStatuses[0]
		},
	}
	for name, list := range lists {
		t.Run(name, func(t *testing.T) {
			write := func(specKey, statusKey corev1.ResourceName, stored bool) policy.Request {
				pod := func(reported bool) []byte {
					p := emptyPod().(*corev1.Pod)
					resources, status := list(p)
					resources.Limits = corev1.ResourceList{specKey: resource.MustParse(text)}
					if reported {
						status.AllocatedResources = corev1.ResourceList{statusKey: resource.MustParse(text)}
						status.Resources = &corev1.ResourceRequirements{Limits: status.AllocatedResources}
					}
					return mustMarshal(p)
				}
				return policy.Request{
					Write: policy.Write{
						Operation: admissionv1.Update, Resource: "pods", Subresource: "status", Namespace: "default", Name: "a",
						Object: pod(true), OldObject: pod(stored),
					},
				}
			}
			checkCalls(t, c, kubelet, write("cpu", "cpu", true), "")
			if called, _ := c.calls(kubelet, write("cpu", "cpu", false)); slices.Contains(called, gate) {
				t.Error("what a tenant wrote makes its kubelet's first report wait for the program")
			}
			checkCalls(t, c, kubelet, write("cpu", "memory", true), gate)
		})
	}
	podLevel := func(inSpec string) policy.Request {
		p := emptyPod().(*corev1.Pod)
		p.Spec.Resources = &corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse(inSpec)}}
		p.Status.AllocatedResources = corev1.ResourceList{"cpu": resource.MustParse(text)}
		return policy.Request{
			Write: policy.Write{
				Operation: admissionv1.Update, Resource: "pods", Subresource: "status", Namespace: "default", Name: "a",
				Object: mustMarshal(p), OldObject: mustMarshal(p),
			},
		}
	}
	checkCalls(t, c, kubelet, podLevel(text), "")
	checkCalls(t, c, kubelet, podLevel("1"), gate)
}

// TestQuantitiesThatStay keeps what an administrator patched into a Node: a kubelet reports it again.
func TestQuantitiesThatStay(t *testing.T) {
	c := newCaller(t)
	write := func(old, updated string) policy.Request {
		node := func(text string) []byte {
			n := storedNode()
			n.Status.Capacity = corev1.ResourceList{"example.com/gpu": resource.MustParse(text), "cpu": resource.MustParse("4")}
			return mustMarshal(n)
		}
		return policy.Request{
			Write: policy.Write{
				Operation: admissionv1.Update, Resource: "nodes", Subresource: "status", Name: "worker-1",
				OldObject: node(old), Object: node(updated),
			},
		}
	}
	checkCalls(t, c, kubelet, write("1e3", "1e3"), "")
	checkCalls(t, c, kubelet, write("1e3", "2"), status)
	checkCalls(t, c, kubelet, write("2", "1e3"), gate)
	checkCalls(t, c, kubelet, write("1e3", "2e3"), gate)
	checkCalls(t, c, kubelet, write("1e1002", "2"), gate)
}

// TestRetiredQuantities is about a field that k8s.io/api does not have any more, but API servers of some versions.
func TestRetiredQuantities(t *testing.T) {
	c := newCaller(t)
	c.unstructured = true
	pod := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"default"},"spec":{"nodeName":"worker-1"},"status":{` +
		`"nodeAllocatableResourceClaimStatuses":[{"resourceClaimName":"a","resources":{"cpu":%q}}]}}`
	for text, want := range map[string]string{"1": "", "1e1002": gate} {
		object := fmt.Appendf(nil, pod, text)
		checkCalls(t, c, kubelet, policy.Request{
			Write: policy.Write{
				Operation: admissionv1.Update, Resource: "pods", Subresource: "status", Namespace: "default", Name: "a",
				Object: object, OldObject: object,
			},
		}, want)
	}
}
