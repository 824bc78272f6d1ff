// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/internal/review"
	"noderestriction.plus/internal/wiring"
	"noderestriction.plus/policy"
)

// TestObjectsSayHowTheyAreInstalled compares what the chart renders with its annotations, as the webhook does with what is installed.
func TestObjectsSayHowTheyAreInstalled(t *testing.T) {
	for name, arguments := range map[string][]string{
		"by default":          nil,
		"a floor of policies": {"--set", "policies.recommended=Deny,policies.strict=Deny"},
		"every webhook":       everything(),
		"another service":     {"--set", "webhook.service.name=a,webhook.service.port=8443,webhook.timeoutSeconds.gate=3"},
		"control-plane nodes": {"--set", "profile=controlPlane"},
		"only observing":      {"--set", "profile=observe"},
		"outside the cluster": {"--set", "webhook.url=https://10.0.0.1:9443", "--set", bundle},
		"node agents":         {"--set-json", agentValues},
		"a floor of agents":   {"--set-json", agentValues, "--set", "subjects.floor.enabled=true"},
		"annotations of its own": {
			"--set", "webhook.annotations.a=b,webhook.labels.c=d,commonAnnotations.e=f,commonAnnotations.noderestriction\\.plus/installed=g",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := render(t, arguments...)
			installed := annotation[wiring.Installed](t, r.webhooks)
			found := wiring.CompareWebhooks(installed.Webhooks, r.webhooks.Webhooks)
			if len(installed.Webhooks) != len(r.webhooks.Webhooks) {
				t.Errorf("the annotation has %d webhooks, want %d", len(installed.Webhooks), len(r.webhooks.Webhooks))
			}
			var names []string
			for _, object := range r.objects {
				p, ok := object.(*admissionregistrationv1.ValidatingAdmissionPolicy)
				if !ok {
					continue
				}
				names = append(names, p.Name)
				found = append(found, wiring.ComparePolicy(
					p.Name, annotation[admissionregistrationv1.ValidatingAdmissionPolicySpec](t, p), &p.Spec)...)
				b := get[*admissionregistrationv1.ValidatingAdmissionPolicyBinding](t, r, p.Name)
				found = append(found, wiring.CompareBinding(
					b.Name, annotation[admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec](t, b), &b.Spec)...)
			}
			if len(found) > 0 {
				t.Errorf("there are differences: %v", found)
			}
			slices.Sort(names)
			slices.Sort(installed.Floor)
			if !slices.Equal(names, installed.Floor) {
				t.Errorf("the floor is %v, the annotation has %v", names, installed.Floor)
			}
		})
	}
}

// annotation decodes the annotation in which an object says how it is installed. With the last configuration that kubectl stores, the
// annotations of an object may have 256 KiB.
func annotation[T any](t *testing.T, object metav1.Object) *T {
	t.Helper()
	text := object.GetAnnotations()[wiring.Annotation]
	decoded := new(T)
	if err := json.Unmarshal([]byte(text), decoded); err != nil {
		t.Fatalf("%s: %v: %s", object.GetName(), err, text)
	}
	if len(text) > 16<<10 {
		t.Errorf("%s: the annotation has %d bytes", object.GetName(), len(text))
	}
	if strings.Contains(text, "caBundle") {
		t.Errorf("%s: the annotation has a CA bundle", object.GetName())
	}
	return decoded
}

// TestTheAPIServersFilesHaveNoAnnotation holds the files of static pods to what an API server loads: nobody could compare them.
func TestTheAPIServersFilesHaveNoAnnotation(t *testing.T) {
	r := renderStatic(t)
	for _, name := range []string{"webhooks.yaml", "policies.yaml"} {
		if strings.Contains(string(staticFile(t, r, name)), wiring.Annotation) {
			t.Errorf("%s has the annotation", name)
		}
	}
	if args := staticPod(t, r).Spec.Containers[0].Args; slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--wiring") }) {
		t.Errorf("the program compares: %v", args)
	}
}

// TestWebhookLabels sets the label by which a platform leaves the configuration alone.
func TestWebhookLabels(t *testing.T) {
	r := render(t, "--set-string", "webhook.labels.admissions\\.enforcer/disabled=true")
	if r.webhooks.Labels["admissions.enforcer/disabled"] != "true" || r.webhooks.Labels["app.kubernetes.io/name"] != chart {
		t.Errorf("the labels are %v", r.webhooks.Labels)
	}
}

// TestProbes sends CSINodes with the conditions of an API server: each probe reaches its webhook and no other, and a kubelet's own
// CSINode only the webhook that is sent CSINodes.
func TestProbes(t *testing.T) {
	csiNode := func(webhook string) []byte {
		object := &storagev1.CSINode{
			TypeMeta:   metav1.TypeMeta{APIVersion: "storage.k8s.io/v1", Kind: "CSINode"},
			ObjectMeta: metav1.ObjectMeta{Name: review.ProbeNode},
		}
		if webhook != "" {
			object.Annotations = map[string]string{review.ProbeAnnotation: webhook}
		}
		data, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	const kubelet, administrator = "system:node:worker-1", "kubernetes-admin"
	const probe = "system:node:" + review.ProbeNode
	for name, test := range map[string]struct {
		arguments []string
		sends     bool // CSINodes
		others    bool // has rules
	}{
		"by default":               {nil, false, false},
		"node agents are sent":     {[]string{"--set-json", agentValues}, false, false},
		"another resource is sent": {[]string{"--set", "rules.events=true"}, false, true},
		"CSINodes are sent":        {[]string{"--set", "rules.csiNodes=true"}, true, true},
		"everything is sent":       {everything(), true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCaller(t, test.arguments...)
			check := func(what, user, annotation string, dryRun bool, want ...string) {
				t.Helper()
				called, failed := c.calls(user, policy.Request{Write: policy.Write{
					Operation: admissionv1.Create, Resource: "csinodes.storage.k8s.io", Version: "v1", Name: review.ProbeNode, DryRun: dryRun,
					Object: csiNode(annotation),
				}})
				if !slices.Equal(called, want) || len(failed) > 0 {
					t.Errorf("%s: it calls %v, want %v; conditions of %v fail", what, called, want, failed)
				}
			}
			var sent []string
			if test.sends {
				sent = []string{"others.noderestriction.plus"}
			}
			for _, webhook := range []string{"gate", "status", "policies"} {
				check("probe of "+webhook, probe, webhook, true, webhook+".noderestriction.plus")
			}
			if slices.Contains(test.arguments, agentValues) {
				check("probe of agents", probe, "agents", true, "agents.noderestriction.plus")
			}
			if test.others {
				check("probe of others", probe, "others", true, "others.noderestriction.plus")
			}
			check("no dry run", probe, "gate", false, sent...)
			check("another kubelet", kubelet, "gate", true, sent...)
			check("a kubelet's own CSINode", kubelet, "", false, sent...)
			check("a client that is no kubelet", administrator, "gate", true)
		})
	}
}
