// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	policyloader "k8s.io/apiserver/pkg/admission/plugin/policy/manifest/loader"
	webhookloader "k8s.io/apiserver/pkg/admission/plugin/webhook/manifest/loader"
	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"
	"sigs.k8s.io/yaml"
)

func renderStatic(t *testing.T, arguments ...string) rendered {
	t.Helper()
	return render(t, append([]string{"--set", "profile=controlPlane,controlPlane.static.enabled=true,certificates.mode=provided," +
		"policies.recommended=Deny,policies.strict=Deny", "--set", bundle}, arguments...)...)
}

// staticFile returns a file of the ConfigMap.
func staticFile(t *testing.T, r rendered, name string) []byte {
	t.Helper()
	files := get[*corev1.ConfigMap](t, r, chart+"-files").Data
	if files[name] == "" {
		t.Fatalf("there is no file %s", name)
	}
	return []byte(files[name])
}

func staticPod(t *testing.T, r rendered) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{}
	if err := yaml.UnmarshalStrict(staticFile(t, r, "static-pod.yaml"), pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

// TestStaticManifests loads the files with the API server's own code.
func TestStaticManifests(t *testing.T) {
	r := renderStatic(t)
	if r.webhooks != nil {
		t.Error("there is a configuration in the API, too")
	}
	for _, word := range r.inventory() {
		kind, _, _ := strings.Cut(word, " ")
		if slices.Contains([]string{
			"Deployment", "DaemonSet", "Service", "ServiceAccount", "ValidatingAdmissionPolicy", "ClusterRole",
		}, kind) {
			t.Errorf("there is a %s", word)
		}
	}
	decoder := serializer.NewCodecFactory(newScheme(t), serializer.EnableStrict).UniversalDeserializer()
	configurations, _, err := webhookloader.LoadManifests(
		folderWith(t, staticFile(t, r, "webhooks.yaml")), decoder, accept[*admissionregistrationv1.ValidatingWebhookConfiguration])
	if err != nil || len(configurations) != 1 {
		t.Fatal(len(configurations), "configurations:", err)
	}
	for _, w := range configurations[0].Webhooks {
		if !strings.HasPrefix(*w.ClientConfig.URL, "https://127.0.0.1:9443/") || len(w.ClientConfig.CABundle) == 0 {
			t.Errorf("%s: the client configuration is %v", w.Name, w.ClientConfig)
		}
	}
	policies, bindings, _, err := policyloader.LoadPolicyManifests(
		folderWith(t, staticFile(t, r, "policies.yaml")), decoder,
		acceptPolicy[*admissionregistrationv1.ValidatingAdmissionPolicy],
		acceptPolicy[*admissionregistrationv1.ValidatingAdmissionPolicyBinding],
		func(b *admissionregistrationv1.ValidatingAdmissionPolicyBinding) string { return b.Spec.PolicyName })
	if err != nil || len(policies) != 4 || len(bindings) != 4 {
		t.Fatal(len(policies), "policies,", len(bindings), "bindings:", err)
	}
}

func folderWith(t *testing.T, manifest []byte) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "node-restriction-plus.yaml"), manifest, 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

func accept[T any](object runtime.Object) ([]T, error) { //nolint:unparam // The loader of webhooks wants this signature.
	if typed, ok := object.(T); ok {
		return []T{typed}, nil
	}
	return nil, nil
}

func acceptPolicy[T any](object runtime.Object) ([]T, error) {
	if typed, ok := object.(T); ok {
		return []T{typed}, nil
	}
	return nil, policyloader.ErrUnrecognizedType
}

// TestAdmissionConfigurationNamesTheFiles decodes the API server's configuration as far as it is not of its plugins.
func TestAdmissionConfigurationNamesTheFiles(t *testing.T) {
	r := renderStatic(t, "--set", "controlPlane.static.clientCA=/etc/kubernetes/nrp/client-ca/ca.crt,clientCertificates.allowedNames={nrp-client}")
	text := string(staticFile(t, r, "admission-configuration.yaml"))
	if err := yaml.UnmarshalStrict([]byte(text), &apiserverv1.AdmissionConfiguration{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"kubeConfigFile: /etc/kubernetes/node-restriction-plus/admission/webhook-clients.kubeconfig",
		"staticManifestsDir: /etc/kubernetes/node-restriction-plus/admission/webhooks",
		"staticManifestsDir: /etc/kubernetes/node-restriction-plus/admission/policies",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %s:\n%s", want, text)
		}
	}
	container := staticPod(t, r).Spec.Containers[0]
	for _, want := range []string{
		"--client-ca-file=/etc/node-restriction-plus/client-ca/ca.crt", "--client-allowed-names=nrp-client",
		"--kubeconfig=/etc/kubernetes/node-restriction-plus/kubeconfig",
	} {
		if !slices.Contains(container.Args, want) {
			t.Errorf("the static pod has no %s in %v", want, container.Args)
		}
	}
}
