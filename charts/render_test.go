// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kubernetes "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/api/v1alpha1"
)

const chart = "node-restriction-plus"

// helmBinary is the helm that the Makefile builds, or the one that NRP_HELM names.
func helmBinary(t testing.TB) string {
	t.Helper()
	path := os.Getenv("NRP_HELM")
	if path == "" {
		out, err := exec.Command("make", "--no-print-directory", "-s", "-C", "..", "helm-path").Output()
		if err != nil {
			t.Fatalf("set NRP_HELM to a helm binary, or run make test-chart, which builds one: %v", err)
		}
		path = strings.TrimSpace(string(out))
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("helm is not built: run make test-chart, which builds it once, or set NRP_HELM to a helm binary: %v", err)
	}
	return path
}

// helmTemplate renders the chart and returns what helm printed.
func helmTemplate(t testing.TB, arguments ...string) (string, error) {
	t.Helper()
	readChart(t)
	cmd := exec.Command(helmBinary(t), append([]string{"template", "test", chart, "--namespace", "security"}, arguments...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", errors.New(stderr.String())
	}
	return string(out), nil
}

// helmNotes returns what helm install would say, which asks no API server.
func helmNotes(t *testing.T, arguments ...string) string {
	t.Helper()
	readChart(t)
	cmd := exec.Command(helmBinary(t), append([]string{
		"install", "test", chart, "--namespace", "security", "--dry-run=client",
	}, arguments...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, notes, _ := strings.Cut(string(out), "NOTES:")
	return notes
}

// readChart reads every file of the chart, so that go test does not take an earlier result for current after a change of one.
func readChart(t testing.TB) {
	t.Helper()
	err := filepath.WalkDir(chart, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		_, err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// rendered is what the chart installs.
type rendered struct {
	objects  []metav1.Object
	webhooks *admissionregistrationv1.ValidatingWebhookConfiguration
	crd      *apiextensionsv1.CustomResourceDefinition // or nil
}

// render renders the chart and decodes the result strictly: an unknown or duplicate field fails the test, and so does an object of a
// kind that no scheme knows.
func render(t testing.TB, arguments ...string) rendered {
	t.Helper()
	out, err := helmTemplate(t, arguments...)
	if err != nil {
		t.Fatal(err)
	}
	r := rendered{objects: decode(t, out)}
	r.webhooks, _ = find[*admissionregistrationv1.ValidatingWebhookConfiguration](r, chart)
	r.crd, _ = find[*apiextensionsv1.CustomResourceDefinition](r, "noderestrictionpolicies.noderestriction.plus")
	return r
}

// decode decodes YAML documents strictly.
func decode(t testing.TB, documents string) []metav1.Object {
	t.Helper()
	scheme := newScheme(t)
	var objects []metav1.Object
	for document := range strings.SplitSeq(documents, "\n---\n") {
		var meta metav1.TypeMeta
		if err := yaml.Unmarshal([]byte(document), &meta); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if meta.Kind == "" {
			continue
		}
		object, err := scheme.New(meta.GroupVersionKind())
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict([]byte(document), object); err != nil {
			t.Fatalf("%s: %v\n%s", meta.Kind, err, document)
		}
		objects = append(objects, object.(metav1.Object))
	}
	return objects
}

// newScheme knows each kind that the chart may render.
func newScheme(t testing.TB) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		kubernetes.AddToScheme, apiextensionsv1.AddToScheme, v1alpha1.AddToScheme, certmanagerv1.AddToScheme,
		monitoringv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return scheme
}

// find returns the object of a type and name.
func find[T metav1.Object](r rendered, name string) (T, bool) {
	for _, object := range r.objects {
		if typed, ok := object.(T); ok && object.GetName() == name {
			return typed, true
		}
	}
	var none T
	return none, false
}

// get is find that fails the test if there is no such object.
func get[T metav1.Object](t testing.TB, r rendered, name string) T {
	t.Helper()
	object, found := find[T](r, name)
	if !found {
		t.Fatalf("the chart renders no %T %s", object, name)
	}
	return object
}

// inventory lists kind and name of the rendered objects except those of helm test, sorted.
func (r rendered) inventory() []string {
	var list []string
	for _, object := range r.objects {
		if isTest(object) {
			continue
		}
		list = append(list, object.(runtime.Object).GetObjectKind().GroupVersionKind().Kind+" "+object.GetName())
	}
	slices.Sort(list)
	return list
}
