package charts_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

const chart = "node-restriction-plus"

// helmBinary is the helm that the Makefile builds, or the one that NRP_HELM names.
func helmBinary(t *testing.T) string {
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
func helmTemplate(t *testing.T, arguments ...string) (string, error) {
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

// readChart reads every file of the chart, so that go test does not take an earlier result for current after a change of one.
func readChart(t *testing.T) {
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
	webhooks *admissionregistrationv1.ValidatingWebhookConfiguration
	crd      *apiextensionsv1.CustomResourceDefinition // nil if there is none
}

// render renders the chart and decodes the result strictly: an unknown or duplicate field fails the test, and so does an object
// that rendered has no place for.
func render(t *testing.T, arguments ...string) rendered {
	t.Helper()
	out, err := helmTemplate(t, arguments...)
	if err != nil {
		t.Fatal(err)
	}
	var r rendered
	for document := range strings.SplitSeq(out, "\n---\n") {
		var meta metav1.TypeMeta
		if err := yaml.Unmarshal([]byte(document), &meta); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		var into any
		switch meta.Kind {
		case "ValidatingWebhookConfiguration":
			r.webhooks = &admissionregistrationv1.ValidatingWebhookConfiguration{}
			into = r.webhooks
		case "CustomResourceDefinition":
			r.crd = &apiextensionsv1.CustomResourceDefinition{}
			into = r.crd
		case "":
			continue
		default:
			t.Fatalf("the chart renders a %s, of which the tests know nothing", meta.Kind)
		}
		if err := yaml.UnmarshalStrict([]byte(document), into); err != nil {
			t.Fatalf("%s: %v", meta.Kind, err)
		}
	}
	if r.webhooks == nil {
		t.Fatal("the chart renders no ValidatingWebhookConfiguration")
	}
	return r
}
