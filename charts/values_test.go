// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"encoding/base64"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
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
		"a profile that there is not":        {"profile=loose", "'/profile'"},
		"an action that there is not":        {"policies.recommended=Warn", "'/policies/recommended'"},
		"a digest that is none":              {"image.digest=latest", "'/image/digest'"},
		"a program outside and on nodes":     {"profile=controlPlane,webhook.url=https://a", "webhook.url: the profile controlPlane"},
		"denials while observing":            {"profile=observe,policies.recommended=Deny", "policies: the profile observe denies nothing"},
		"others' denials while observing":    {"profile=observe,policies.extra.a.validationActions={Deny},policies.extra.a.nodes.names.allowed={b}", "policies: the profile observe denies nothing"},
		"a gate while observing":             {"profile=observe,webhook.registrationFailurePolicy=Fail", "webhook.registrationFailurePolicy: "},
		"files without their profile":        {"controlPlane.static.enabled=true", "controlPlane.static.enabled: needs the profile controlPlane"},
		"files that nobody can write":        {"profile=controlPlane,controlPlane.static.enabled=true", "certificates.mode: must be provided"},
		"files without an authority":         {"profile=controlPlane,controlPlane.static.enabled=true,certificates.mode=provided", "webhook.caBundle: must be set"},
		"a Secret that has no name":          {"certificates.mode=provided", "certificates.provided.secretName: must be set"},
		"two authorities":                    {"clientCertificates.secret=a,clientCertificates.configMap=b,clientCertificates.allowedNames={c}", "clientCertificates.configMap: only one"},
		"clients with any name":              {"clientCertificates.secret=a", "clientCertificates.allowedNames: must be set"},
		"clients without an authority":       {"clientCertificates.allowedNames={a}", "clientCertificates.secret: must be set"},
		"kubelets as clients":                {"clientCertificates.secret=a,clientCertificates.allowedNames={system:node:a}", "is the name of a kubelet"},
		"a policy without an action":         {"policies.extra.a.nodes.names.allowed={b}", "policies.extra.a.validationActions: must have at least one of"},
		"a policy's name taken":              {"policies.extra.strict.validationActions={Deny}", "is the name of one of the chart's policies"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
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

// TestNotesWarn says of which values the notes warn.
func TestNotesWarn(t *testing.T) {
	for set, want := range map[string]string{
		"replicas=1":                   "replicas is 1",
		"profile=strict,replicas=2":    "fewer than 3 replicas",
		"profile=strict":               "no kubelet can restart",
		"profile=balanced":             "nodeSelector is empty",
		"image.tag=a":                  "image.digest is empty",
		"logLevel=info":                "Clients need no certificate",
		"webhook.url=https://10.0.0.1": "webhook.caBundle is empty",
		"policies.recommended=Deny,floor.enabled=false": "floor.enabled is false",
	} {
		if notes := helmNotes(t, "--set", set); !strings.Contains(unwrapped(notes), "WARNING") || !strings.Contains(unwrapped(notes), want) {
			t.Errorf("with %s the notes do not say %q:\n%s", set, want, notes)
		}
	}
	safe := helmNotes(t, "--set", "nodeSelector.a=b,clientCertificates.secret=a,clientCertificates.allowedNames={b},image.digest=sha256:"+
		strings.Repeat("0", 64))
	if strings.Contains(safe, "WARNING") {
		t.Errorf("the notes warn of nothing:\n%s", safe)
	}
}

func unwrapped(text string) string { return strings.Join(strings.Fields(text), " ") }
