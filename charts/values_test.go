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
		"an invalid port":                    {"webhook.service.port=0", "'/webhook/service/port'"},
		"an invalid Service name":            {"webhook.service.name=A_b", "'/webhook/service/name'"},
		"an unknown value":                   {"webhook.uri=https://127.0.0.1:9443", "'uri'"},
		"an unknown group of values":         {"webhooks.url=https://127.0.0.1:9443", "'webhooks'"},
		"a string for a boolean":             {"crds.keep=maybe", "'/crds/keep'"},
		"a URL that breaks out of the field": {"webhook.url=https://a\nb: c", "'/webhook/url'"},
		"a profile that there is not":        {"profile=loose", "'/profile'"},
		"an unknown action":                  {"policies.recommended=Warn", "'/policies/recommended'"},
		"an invalid digest":                  {"image.digest=latest", "'/image/digest'"},
		"a program outside and on nodes":     {"profile=controlPlane,webhook.url=https://a", "webhook.url: the profile controlPlane"},
		"denials while observing":            {"profile=observe,policies.recommended=Deny", "policies: the profile observe denies nothing"},
		"others' denials while observing":    {"profile=observe,policies.extra.a.validationActions={Deny},policies.extra.a.nodes.names.allowed={b}", "policies: the profile observe denies nothing"},
		"a gate while observing":             {"profile=observe,webhook.registrationFailurePolicy=Fail", "webhook.registrationFailurePolicy: "},
		"files without their profile":        {"controlPlane.static.enabled=true", "controlPlane.static.enabled: needs the profile controlPlane"},
		"files that nobody can write":        {"profile=controlPlane,controlPlane.static.enabled=true", "certificates.mode: must be provided"},
		"files without a CA":                 {"profile=controlPlane,controlPlane.static.enabled=true,certificates.mode=provided", "webhook.caBundle: must be set"},
		"a Secret that has no name":          {"certificates.mode=provided", "certificates.provided.secretName: must be set"},
		"two CAs":                            {"clientCertificates.secret=a,clientCertificates.configMap=b,clientCertificates.allowedNames={c}", "clientCertificates.configMap: only one"},
		"clients with any name":              {"clientCertificates.secret=a", "clientCertificates.allowedNames: must be set"},
		"clients without a CA":               {"clientCertificates.allowedNames={a}", "clientCertificates.secret: must be set"},
		"kubelets as clients":                {"clientCertificates.secret=a,clientCertificates.allowedNames={system:node:a}", "is the name of a kubelet"},
		"no time to answer":                  {"webhook.timeoutSeconds.gate=0", "'/webhook/timeoutSeconds/gate'"},
		"more time than there is":            {"webhook.timeoutSeconds.status=31", "'/webhook/timeoutSeconds/status'"},
		"a pull Secret without a name":       {"imagePullSecrets[0].nme=a", "'/imagePullSecrets/0"},
		"a pull Secret that is a number":     {"imagePullSecrets[0]=1", "'/imagePullSecrets/0'"},
		"an invalid global registry":         {"global.imageRegistry=a b", "'/global/imageRegistry'"},
		"an unknown IP family":               {"webhook.service.ipFamilies={IPv5}", "'/webhook/service/ipFamilies/0'"},
		"a family twice":                     {"webhook.service.ipFamilies={IPv4,IPv4}", "'/webhook/service/ipFamilies'"},
		"nobody's service account":           {"serviceAccount.create=false", "serviceAccount.name: must be set"},
		"an annotation that is no string":    {"commonAnnotations.a=true", "'/commonAnnotations/a'"},
		"a container without a name":         {"extraContainers[0].image=a", "'/extraContainers/0'"},
		"a number taken away":                {"webhook.timeoutSeconds.gate=null", "missing property 'gate'"},
		"a group of values taken away":       {"metrics=null", "missing property 'metrics'"},
		"a policy without an action":         {"policies.extra.a.nodes.names.allowed={b}", "missing property 'validationActions'"},
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

// TestNotesWarn checks which values the notes warn about.
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
		"policies.distribution=aks":                     "AKS excludes kube-system from webhook configurations",
		"policies.adapt.recommended.nodes.labels=null":  "policies.adapt.recommended removes nodes.labels: a section that is removed turns its rule off",
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
	for _, value := range []string{"webhook.labels", "webhook.annotations", "commonLabels", "commonAnnotations"} {
		notes := helmNotes(t, "--set", "policies.distribution=aks", "--set-string", value+`.admissions\.enforcer/disabled=true`)
		if strings.Contains(unwrapped(notes), "AKS excludes") {
			t.Errorf("with %s the notes still warn:\n%s", value, notes)
		}
	}
}

func unwrapped(text string) string { return strings.Join(strings.Fields(text), " ") }
