package policy_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/policy"
)

// TestRecordedShapesPassEveryPreset makes a write of each shape that real kubelets were seen to write, and demands that no
// preset denies it.
func TestRecordedShapesPassEveryPreset(t *testing.T) {
	data, err := os.ReadFile("testdata/shapes.tsv")
	if err != nil {
		t.Fatal(err)
	}
	sets := map[string]*policy.Set{}
	for _, preset := range []string{"recommended", "strict"} {
		sets[preset] = newPresetSet(t, "../config/policies/"+preset+".yaml")
	}
	shapes := 0
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		shapes++
		columns := strings.Split(strings.TrimSpace(line), "\t")
		t.Run(strings.ReplaceAll(columns[0], "/", "."), func(t *testing.T) {
			r := writeOfShape(t, columns[0], columns[1:])
			for name, set := range sets {
				if !set.Judges(r) {
					t.Errorf("%s does not look at such writes", name)
				}
				if d := set.Evaluate(r); len(d.Violations) > 0 {
					t.Errorf("%s: %s", name, d.Message())
				}
			}
		})
	}
	if shapes != 130 {
		t.Errorf("found %d shapes, want 130", shapes)
	}
}

// object is a JSON object that is being made.
type object map[string]any

func (o object) child(name string) object {
	if _, has := o[name]; !has {
		o[name] = object{}
	}
	return o[name].(object)
}

func (o object) add(list string, element object) {
	elements, _ := o[list].([]object)
	o[list] = append(elements, element)
}

func writeOfShape(t *testing.T, head string, paths []string) *policy.Request {
	words := strings.Fields(head)
	resource, subresource, _ := strings.Cut(words[2], "/")
	r := &policy.Request{
		NodeName: "n1", Name: "n1", Operation: admissionv1.Operation(words[1]), Resource: resource, Subresource: subresource,
		Options: []byte(`{"gracePeriodSeconds":0,"preconditions":{"uid":"u1"}}`),
	}
	old, updated := newObject(resource), newObject(resource)
	if resource == "pods" {
		r.Name, r.Namespace = "web-n1", "kube-system"
	}
	for _, path := range paths {
		applyPath(t, path, r.Operation, old, updated)
	}
	for _, part := range []struct {
		object object
		into   *[]byte
		absent bool
	}{{old, &r.OldObject, r.Operation == admissionv1.Create}, {updated, &r.Object, r.Operation == admissionv1.Delete}} {
		if part.absent {
			continue
		}
		encoded, err := json.Marshal(part.object)
		if err != nil {
			t.Fatal(err)
		}
		*part.into = encoded
	}
	if err := r.Decode(); err != nil {
		t.Fatal(err)
	}
	return r
}

// newObject is a Node, or a pod on it with a container of each kind.
func newObject(resource string) object {
	if resource == "nodes" {
		return object{"metadata": object{"name": "n1"}}
	}
	return object{
		"metadata": object{"name": "web-n1", "namespace": "kube-system", "uid": "u1"},
		"spec": object{
			"nodeName":            "n1",
			"containers":          []object{{"name": "main"}},
			"initContainers":      []object{{"name": "init"}},
			"ephemeralContainers": []object{{"name": "debug"}},
		},
	}
}

// applyPath makes the objects differ in a field.
func applyPath(t *testing.T, path string, op admissionv1.Operation, old, updated object) {
	sides := []object{old, updated}
	switch {
	case strings.HasPrefix(path, "+"):
		sides = sides[1:]
	case strings.HasPrefix(path, "-"):
		sides = sides[:1]
	}
	path = strings.TrimLeft(path, "+-")
	key := ""
	if begin, end := strings.Index(path, "["), strings.LastIndex(path, "]"); begin >= 0 {
		key = path[begin+1 : end]
	}
	for i, o := range sides {
		version := []string{"1", "2"}[(i+2-len(sides))%2]
		setField(t, strings.SplitN(path, "[", 2)[0], key, version, op, o)
	}
}

func setField(t *testing.T, field, key, version string, op admissionv1.Operation, o object) {
	status := func() object { return o.child("status") }
	switch field {
	case "(nothing)", "metadata.name", "metadata.namespace", "options.gracePeriodSeconds=0", "options.preconditions",
		"spec.containers", "spec.nodeName":
	case "(mirror pod)":
		o.child("metadata").child("annotations")["kubernetes.io/config.mirror"] = "h"
	case "(old object is being deleted)":
		o.child("metadata")["deletionTimestamp"] = "2026-11-24T08:00:00Z"
		status()["phase"] = "Succeeded"
	case "metadata.annotations":
		o.child("metadata").child("annotations")[key] = annotationValue(key, version)
	case "metadata.labels":
		value := "v" + version
		if key == "kubernetes.io/hostname" {
			value = "n1"
		}
		o.child("metadata").child("labels")[key] = value
	case "metadata.ownerReferences":
		o.child("metadata").add("ownerReferences", object{"apiVersion": "v1", "kind": key, "name": "n1", "uid": "u"})
	case "spec.taints":
		taintKey, effect, _ := strings.Cut(key, ":")
		o.child("spec").add("taints", object{"key": taintKey, "effect": effect})
	case "spec.providerID":
		o.child("spec")["providerID"] = "kind://n1"
	case "spec.priorityClassName":
		o.child("spec")["priorityClassName"] = "system-node-critical"
	case "spec.hostNetwork":
		o.child("spec")["hostNetwork"] = true
	case "spec.volumes":
		o.child("spec").add("volumes", object{"name": "v", "hostPath": object{"path": "/etc/kubernetes"}})
	case "status.addresses":
		o.child("status").add("addresses", object{"type": key, "address": map[string]string{"Hostname": "n1", "InternalIP": "10.0.0.1"}[key]})
	case "status.capacity", "status.allocatable":
		resources := status().child(strings.TrimPrefix(field, "status."))
		if key == "" {
			resources["cpu"], resources["memory"], resources["pods"] = "8", "32Gi", "110"
		} else {
			resources[key] = version
		}
	case "status.conditions":
		if key == "*" { // the heartbeat of all its own
			status().add("conditions", object{"type": "PIDPressure", "status": "False", "lastHeartbeatTime": version})
			break
		}
		status().add("conditions", object{"type": key, "status": map[string]string{"1": "False", "2": "True"}[version]})
	case "status.containerStatuses", "status.initContainerStatuses", "status.ephemeralContainerStatuses":
		list := strings.TrimPrefix(field, "status.")
		name := map[string]string{"containerStatuses": "main", "initContainerStatuses": "init", "ephemeralContainerStatuses": "debug"}[list]
		status().add(list, object{"name": name, "restartCount": version})
	case "status.daemonEndpoints":
		status().child("daemonEndpoints")["kubeletEndpoint"] = object{"Port": 10250}
	case "status.nodeInfo":
		status()["nodeInfo"] = object{"operatingSystem": "linux", "architecture": "amd64", "bootID": version}
	case "status.images":
		status().add("images", object{"names": []string{"registry.example.com/app:" + version}})
	case "status.volumesInUse", "status.declaredFeatures":
		status()[strings.TrimPrefix(field, "status.")] = []string{"a" + version}
	case "status.podIP", "status.hostIP":
		status()[strings.TrimPrefix(field, "status.")] = "10.244.0." + version
	case "status.podIPs", "status.hostIPs":
		status().add(strings.TrimPrefix(field, "status."), object{"ip": "10.244.0." + version})
	case "status.phase":
		status()["phase"] = map[string]string{"1": "Pending", "2": "Running"}[version]
		if op == admissionv1.Create {
			status()["phase"] = "Pending"
		}
	default:
		setOther(t, field, version, o)
	}
}

// setOther sets a field at which no rule looks.
func setOther(t *testing.T, field, version string, o object) {
	parts := strings.Split(field, ".")
	if parts[0] != "spec" && parts[0] != "status" {
		t.Fatalf("the field %q is not known to this test", field)
	}
	name := parts[1]
	known := strings.Fields("dnsPolicy enableServiceLinks preemptionPolicy priority restartPolicy schedulerName " +
		"securityContext terminationGracePeriodSeconds tolerations allocatedResources features message " +
		"observedGeneration qosClass reason resources runtimeHandlers startTime")
	for _, k := range known {
		if k == name {
			o.child(parts[0])[name] = version
			return
		}
	}
	t.Fatalf("the field %q is not known to this test", field)
}

func annotationValue(key, version string) string {
	switch key {
	case "kubernetes.io/config.hash", "kubernetes.io/config.mirror":
		return "h"
	case "kubernetes.io/config.source":
		return "file"
	case "csi.volume.kubernetes.io/nodeid":
		return `{"fake.csi.example.com":"` + version + `"}`
	case "alpha.kubernetes.io/provided-node-ip":
		return "10.0.0." + version
	}
	return "true"
}
