// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package review_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/internal/review"
	"noderestriction.plus/internal/reviewload"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// realNode is a Node of about 12 KB as a kubelet keeps it: 50 images, labels, conditions, capacities. The heartbeat is a time of its
// conditions.
func realNode(heartbeat string) string {
	images := make([]string, 50)
	for i := range images {
		images[i] = fmt.Sprintf(`{"names":["registry.example.com/team/image-%d@sha256:%s",`+
			`"registry.example.com/team/image-%d:v1.2.3"],"sizeBytes":%d}`,
			i, strings.Repeat("c0ffee00", 8), i, 1_000_000+i)
	}
	var conditions []string
	for _, c := range []string{"MemoryPressure", "DiskPressure", "PIDPressure", "Ready"} {
		conditions = append(conditions, fmt.Sprintf(`{"type":%q,"status":"False","lastHeartbeatTime":%q,`+
			`"lastTransitionTime":"2026-11-01T00:00:00Z","reason":"KubeletHasSufficient","message":"kubelet has sufficient"}`,
			c, heartbeat))
	}
	const resources = `{"cpu":"64","ephemeral-storage":"472566Mi","hugepages-1Gi":"0","hugepages-2Mi":"0",` +
		`"memory":"263712584Ki","pods":"110","nvidia.com/gpu":"8"}`
	return `{"kind":"Node","apiVersion":"v1","metadata":{"name":"worker-1","uid":"0b6c8f0e-6e0d-4c3e-9f5e-1d3a5a0f7f11",` +
		`"resourceVersion":"123456","creationTimestamp":"2026-11-01T00:00:00Z","labels":{"beta.kubernetes.io/arch":"amd64",` +
		`"beta.kubernetes.io/os":"linux","kubernetes.io/arch":"amd64","kubernetes.io/hostname":"worker-1",` +
		`"kubernetes.io/os":"linux","node.kubernetes.io/instance-type":"m5.16xlarge","topology.kubernetes.io/region":"r1",` +
		`"topology.kubernetes.io/zone":"r1a","example.com/rack":"17","example.com/pool":"general"},` +
		`"annotations":{"csi.volume.kubernetes.io/nodeid":"{\"csi.example.com\":\"worker-1\"}",` +
		`"volumes.kubernetes.io/controller-managed-attach-detach":"true","node.alpha.kubernetes.io/ttl":"0"},` +
		`"managedFields":[{"manager":"kubelet","operation":"Update","apiVersion":"v1","time":"` + heartbeat + `",` +
		`"fieldsType":"FieldsV1","fieldsV1":{"f:status":{"f:conditions":{"k:{\"type\":\"Ready\"}":{".":{},"f:status":{}}}}},` +
		`"subresource":"status"}]},"spec":{"podCIDR":"10.244.1.0/24","podCIDRs":["10.244.1.0/24"],"providerID":"example://r1/i-1"},` +
		`"status":{"capacity":` + resources + `,"allocatable":` + resources + `,"conditions":[` + strings.Join(conditions, ",") + `],` +
		`"addresses":[{"type":"InternalIP","address":"10.0.0.1"},{"type":"Hostname","address":"worker-1"}],` +
		`"daemonEndpoints":{"kubeletEndpoint":{"Port":10250}},"nodeInfo":{"machineID":"` + strings.Repeat("0a", 16) + `",` +
		`"systemUUID":"0b6c8f0e-6e0d-4c3e-9f5e-1d3a5a0f7f11","bootID":"0b6c8f0e-6e0d-4c3e-9f5e-1d3a5a0f7f12",` +
		`"kernelVersion":"6.1.0","osImage":"Debian GNU/Linux 13","containerRuntimeVersion":"containerd://2.2.0",` +
		`"kubeletVersion":"v1.37.2","kubeProxyVersion":"","operatingSystem":"linux","architecture":"amd64"},` +
		`"images":[` + strings.Join(images, ",") + `]}}`
}

// realPod is a pod of about 7 KB as it runs: four containers with variables and their statuses. The time is of its conditions.
func realPod(probed string) string {
	var containers, statuses, conditions []string
	for i := range 4 {
		name, image := fmt.Sprintf("container-%d", i), fmt.Sprintf("registry.example.com/team/image-%d:v1.2.3", i)
		variables := make([]string, 12)
		for v := range variables {
			variables[v] = fmt.Sprintf(`{"name":"VARIABLE_%d","value":%q}`, v, strings.Repeat("value", 6))
		}
		containers = append(containers, fmt.Sprintf(`{"name":%q,"image":%q,"env":[%s],"resources":{},`+
			`"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent"}`,
			name, image, strings.Join(variables, ",")))
		statuses = append(statuses, fmt.Sprintf(`{"name":%q,"state":{"running":{"startedAt":"2026-11-01T00:00:00Z"}},"lastState":{},`+
			`"ready":true,"restartCount":0,"image":%q,"imageID":"%s@sha256:%s","containerID":"containerd://%s"}`,
			name, image, image, strings.Repeat("c0ffee00", 8), strings.Repeat("0b", 32)))
	}
	for _, c := range []string{"Initialized", "Ready", "ContainersReady", "PodScheduled"} {
		conditions = append(conditions, fmt.Sprintf(
			`{"type":%q,"status":"True","lastProbeTime":%q,"lastTransitionTime":"2026-11-01T00:00:00Z"}`, c, probed))
	}
	return `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"payments","namespace":"default","uid":"0b6c8f0e-6e0d-4c3e-9f5e-1d3a5a0f7f11",` +
		`"resourceVersion":"123456","creationTimestamp":"2026-11-01T00:00:00Z","labels":{"app":"payments","pod-template-hash":"5d4f8c7b9d"},` +
		`"managedFields":[{"manager":"kubelet","operation":"Update","apiVersion":"v1","time":"` + probed + `",` +
		`"fieldsType":"FieldsV1","fieldsV1":{"f:status":{"f:conditions":{"k:{\"type\":\"Ready\"}":{".":{},"f:status":{}}}}},` +
		`"subresource":"status"}]},"spec":{"containers":[` + strings.Join(containers, ",") + `],"restartPolicy":"Always",` +
		`"terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","nodeName":"worker-1","securityContext":{},` +
		`"schedulerName":"default-scheduler","priority":0,"enableServiceLinks":true,"preemptionPolicy":"PreemptLowerPriority"},` +
		`"status":{"phase":"Running","conditions":[` + strings.Join(conditions, ",") + `],"podIP":"10.244.1.7",` +
		`"podIPs":[{"ip":"10.244.1.7"}],"containerStatuses":[` + strings.Join(statuses, ",") + `],"qosClass":"BestEffort"}}`
}

// heartbeatReview is a review of about 24 KB: a kubelet's heartbeat.
func heartbeatReview() []byte {
	return fill(reviewTemplate, realNode("2026-11-24T08:00:00Z"), realNode("2026-11-24T08:05:00Z"))
}

// podReview is a review of about 14 KB: of a pod's status, a time.
func podReview() []byte {
	template := strings.NewReplacer(`"kind":"Node"`, `"kind":"Pod"`, `"nodes"`, `"pods"`,
		`"name":"worker-1"`, `"name":"payments","namespace":"default"`).Replace(reviewTemplate)
	return fill(template, realPod("2026-11-24T08:00:00Z"), realPod("2026-11-24T08:05:00Z"))
}

func fill(template, old, updated string) []byte {
	return []byte(strings.NewReplacer("$OLD", old, "$NEW", updated).Replace(template))
}

const reviewTemplate = `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"705ab4f5-6393-11e8-b7cc-42010a800002",` +
	`"kind":{"group":"","version":"v1","kind":"Node"},"resource":{"group":"","version":"v1","resource":"nodes"},` +
	`"subResource":"status","requestKind":{"group":"","version":"v1","kind":"Node"},` +
	`"requestResource":{"group":"","version":"v1","resource":"nodes"},"requestSubResource":"status","name":"worker-1",` +
	`"operation":"UPDATE","userInfo":{"username":"system:node:worker-1","groups":["system:nodes","system:authenticated"]},` +
	`"object":$NEW,"oldObject":$OLD,"dryRun":false,"options":{"kind":"PatchOptions","apiVersion":"meta.k8s.io/v1"}}}`

func BenchmarkDecode(b *testing.B) { decode(b, heartbeatReview()) }

func decode(b *testing.B, body []byte) {
	b.Helper()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	var reviews review.Decoder
	for b.Loop() {
		if r, err := reviews.Decode(body); err != nil || r.Request.Undecodable != "" {
			b.Fatal(err, r)
		}
	}
}

// BenchmarkDecodeEvaluateAnswer evaluates a heartbeat with every rule of strict.yaml, as one policy and as many that do not match the node.
func BenchmarkDecodeEvaluateAnswer(b *testing.B) {
	for _, others := range []int{0, 10, 100} {
		b.Run(fmt.Sprintf("others=%d", others), func(b *testing.B) { evaluate(b, heartbeatReview(), others) })
	}
}

// BenchmarkAppliedNode evaluates a heartbeat of a Node to which an administrator has applied labels.
func BenchmarkAppliedNode(b *testing.B) {
	const applied = `"managedFields":[{"manager":"admin","operation":"Apply","apiVersion":"v1","time":"2026-11-01T00:00:00Z",` +
		`"fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:labels":{"f:example.com/pool":{},"f:example.com/rack":{}}}}},`
	evaluate(b, bytes.ReplaceAll(heartbeatReview(), []byte(`"managedFields":[`), []byte(applied)), 0)
}

// BenchmarkPodStatus evaluates the status of a pod with every rule of strict.yaml.
func BenchmarkPodStatus(b *testing.B) { evaluate(b, podReview(), 0) }

// BenchmarkEveryCondition decodes, and evaluates with every rule of strict.yaml, status updates in which every condition changes.
func BenchmarkEveryCondition(b *testing.B) {
	for _, load := range []struct {
		name string
		make func(nodeName string) ([]byte, error)
	}{{"nodes", reviewload.NodeStatus}, {"pods", reviewload.PodStatus}} {
		body, err := load.make("worker-1")
		if err != nil {
			b.Fatal(err)
		}
		b.Run(load.name+"/decode", func(b *testing.B) { decode(b, body) })
		b.Run(load.name+"/all", func(b *testing.B) {
			evaluateBy(b, body, strictSet(b, 0, func(spec *v1alpha1.NodeRestrictionPolicySpec) {
				spec.Nodes.Conditions.Allowed = []v1alpha1.Pattern{"*"}
			}))
		})
	}
}

// evaluate decodes, evaluates and answers a review, which must be allowed.
func evaluate(b *testing.B, body []byte, others int) {
	b.Helper()
	evaluateBy(b, body, strictSet(b, others, func(*v1alpha1.NodeRestrictionPolicySpec) {}))
}

func evaluateBy(b *testing.B, body []byte, set *policy.Set) {
	b.Helper()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	var reviews review.Decoder
	for b.Loop() {
		r, err := reviews.Decode(body)
		if err != nil {
			b.Fatal(err)
		}
		v := r.Evaluate(set, nil)
		if v.Denied() || v.Err != nil {
			b.Fatal(v.Message(), v.Err)
		}
		r.Answer(v, review.Receipt{})
	}
}

// strictSet is strict.yaml for all nodes, changed, and so many copies of it for others.
func strictSet(b *testing.B, others int, change func(*v1alpha1.NodeRestrictionPolicySpec)) *policy.Set {
	b.Helper()
	data, err := os.ReadFile("../../config/policies/strict.yaml")
	if err != nil {
		b.Fatal(err)
	}
	policies, err := manifest.Policies(data)
	if err != nil {
		b.Fatal(err)
	}
	compiled := make([]*policy.Policy, 0, others+1)
	for i := range others + 1 {
		p := policies[0].DeepCopy()
		p.Name = fmt.Sprintf("p%d", i)
		change(&p.Spec)
		if i > 0 {
			p.Spec.Match = &v1alpha1.Match{NodeNames: []v1alpha1.Pattern{"other-*"}}
		}
		c, errs := rules.NewCompiler().Compile(p)
		if len(errs) > 0 {
			b.Fatal(errs.ToAggregate())
		}
		compiled = append(compiled, c)
	}
	return policy.NewSet(compiled...)
}
