package charts_test

import (
	"encoding/base64"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/yaml"
)

const certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

func TestURLTakesThePlaceOfTheService(t *testing.T) {
	bundle := base64.StdEncoding.EncodeToString([]byte(certificate))
	// base64 without options breaks lines.
	broken := bundle[:20] + "\n" + bundle[20:] + "\n"
	configuration := render(t, "--set", "webhook.url=https://127.0.0.1:9443/", "--set", "webhook.caBundle="+broken).webhooks
	for _, w := range configuration.Webhooks {
		want := "https://127.0.0.1:9443/admit"
		if w.Name == policyWebhook {
			want = "https://127.0.0.1:9443/policies"
		}
		if w.ClientConfig.Service != nil || w.ClientConfig.URL == nil || *w.ClientConfig.URL != want {
			t.Errorf("%s: the client configuration is %v, want %s", w.Name, w.ClientConfig, want)
		}
		if string(w.ClientConfig.CABundle) != certificate {
			t.Errorf("%s: the CA bundle is %q", w.Name, w.ClientConfig.CABundle)
		}
		for _, condition := range w.MatchConditions {
			if condition.Name == "not-own-pods" {
				t.Errorf("%s exempts pods, though none of the program's own runs in the cluster", w.Name)
			}
		}
	}
}

func TestServiceIsInTheNamespaceOfTheRelease(t *testing.T) {
	configuration := render(t, "--set", "webhook.service.name=other", "--set", "webhook.service.port=9443").webhooks
	for _, w := range configuration.Webhooks {
		service := w.ClientConfig.Service
		want := admissionregistrationv1.ServiceReference{Namespace: "security", Name: "other", Path: service.Path, Port: new(int32(9443))}
		if w.ClientConfig.URL != nil || service.Namespace != want.Namespace || service.Name != want.Name || *service.Port != *want.Port {
			t.Errorf("%s: the client configuration is %v", w.Name, w.ClientConfig)
		}
	}
}

func TestWrongValuesAreRefused(t *testing.T) {
	for name, test := range map[string]struct{ set, message string }{
		"a URL without TLS":                  {"webhook.url=http://127.0.0.1:9443", "'/webhook/url'"},
		"a URL with a path":                  {"webhook.url=https://127.0.0.1:9443/admit", "'/webhook/url'"},
		"a URL with a query":                 {"webhook.url=https://127.0.0.1:9443?a=b", "'/webhook/url'"},
		"a CA bundle that is not base64":     {"webhook.caBundle=-----BEGIN CERTIFICATE-----", "'/webhook/caBundle'"},
		"a CA bundle without a certificate":  {"webhook.caBundle=Zm9v", "webhook.caBundle: must be the base64 of PEM certificates"},
		"a port that is none":                {"webhook.service.port=0", "'/webhook/service/port'"},
		"a Service name that is none":        {"webhook.service.name=A_b", "'/webhook/service/name'"},
		"a value that the chart has not":     {"webhook.uri=https://127.0.0.1:9443", "'uri'"},
		"a group of values that it has not":  {"webhooks.url=https://127.0.0.1:9443", "'webhooks'"},
		"a string for a boolean":             {"crds.keep=maybe", "'/crds/keep'"},
		"a URL that breaks out of the field": {"webhook.url=https://a\nb: c", "'/webhook/url'"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := helmTemplate(t, "--set", test.set)
			if err == nil {
				t.Fatalf("it is accepted:\n%s", out)
			}
			if !strings.Contains(err.Error(), test.message) {
				t.Errorf("the error does not say %q: %v", test.message, err)
			}
		})
	}
}

// TestValuesAreDocumented holds the schema, values.yaml and the README together.
func TestValuesAreDocumented(t *testing.T) {
	readme, err := os.ReadFile(chart + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	var schema, values map[string]any
	readYAML(t, chart+"/values.schema.json", &schema)
	readYAML(t, chart+"/values.yaml", &values)
	delete(schema["properties"].(map[string]any), "global")
	inSchema, inValues := schemaPaths("", schema), valuePaths("", values)
	if !slices.Equal(inSchema, inValues) {
		t.Errorf("values.schema.json has %v, values.yaml has %v", inSchema, inValues)
	}
	for _, path := range inValues {
		if !strings.Contains(string(readme), "| `"+path+"` |") {
			t.Errorf("README.md does not list %s", path)
		}
	}
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

func valuePaths(prefix string, values map[string]any) []string {
	var paths []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if group, ok := values[name].(map[string]any); ok {
			paths = append(paths, valuePaths(prefix+name+".", group)...)
		} else {
			paths = append(paths, prefix+name)
		}
	}
	return paths
}

func schemaPaths(prefix string, schema map[string]any) []string {
	properties := schema["properties"].(map[string]any)
	var paths []string
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if property := properties[name].(map[string]any); property["type"] == "object" {
			paths = append(paths, schemaPaths(prefix+name+".", property)...)
		} else {
			paths = append(paths, prefix+name)
		}
	}
	return paths
}
