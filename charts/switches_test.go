// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

const provided = "certificates.mode=provided,certificates.provided.secretName=mine"

// TestArguments says of each value with a flag which argument it makes.
func TestArguments(t *testing.T) {
	for set, want := range map[string][]string{
		"profile=balanced": {
			"serve", "--port=9443", "--certificate-source=self-managed", "--self-managed-ca-secret=security/node-restriction-plus-ca",
			"--self-managed-dns-names=node-restriction-plus.security.svc", "--self-managed-webhook-configuration=node-restriction-plus",
			"--metrics-bind-address=:8443", "--health-probe-bind-address=:8081", "--shutdown-delay=10s", "--log-level=info",
		},
		"profile=controlPlane": {
			"--bind-address=127.0.0.1", "--self-managed-dns-names=localhost", "--health-probe-bind-address=127.0.0.1:8081",
		},
		"webhook.service.name=a,certificates.extraDNSNames={b.example.com}": {"--self-managed-dns-names=a.security.svc,b.example.com"},
		provided:                             {"--cert-dir=/etc/node-restriction-plus/tls"},
		"certificates.mode=certManager":      {"--cert-dir=/etc/node-restriction-plus/tls"},
		"ports.webhook=10250,logLevel=debug": {"--port=10250", "--log-level=debug"},
		"clientCertificates.secret=a,clientCertificates.allowedNames={b,c}": {
			"--client-ca-file=/etc/node-restriction-plus/client-ca/ca.crt", "--client-allowed-names=b,c",
		},
		"metrics.enabled=false": {"--metrics-bind-address=0"},
		"metrics.secure=false":  {"--metrics-bind-address=127.0.0.1:8443", "--metrics-secure=false"},
		"limits.maxConnections=2000000,limits.maxRequestsInFlight=5,limits.maxBodyBytesInFlight=268435456": {
			"--max-connections=2000000", "--max-requests-in-flight=5", "--max-body-bytes-in-flight=268435456",
		},
		"denialLog.file.enabled=true": {
			"--denial-log-file=/var/log/node-restriction-plus/denials.log", "--denial-log-file-max-size=100Mi", "--denial-log-file-max-backups=5",
		},
		"events.enabled=false": {"--events=false"},
		"enforcementProbe.enabled=true": {
			"--enforcement-probe", "--enforcement-probe-interval=60s", "--enforcement-probe-webhooks=gate,registration,status,policies",
		},
		"enforcementProbe.enabled=true,rules.events=true":              {"--enforcement-probe-webhooks=gate,registration,status,others,policies"},
		"enforcementProbe.enabled=true,subjects.usernamePrefixes={a:}": {"--enforcement-probe-webhooks=gate,registration,status,agents,policies"},
		"wiringCheck.interval=2m":                                      {"--wiring-check-configuration=node-restriction-plus", "--wiring-check-interval=2m"},
		"webhook.followPolicies=true":                                  {"--base-conditions=/etc/node-restriction-plus/conditions/conditions.json"},
		"pprofBindAddress=127.0.0.1:6060":                              {"--pprof-bind-address=127.0.0.1:6060"},
		"shutdown.delaySeconds=20":                                     {"--shutdown-delay=20s"},
		"extraArgs={--log-level=error}":                                {"--log-level=error"},
	} {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			args := pods(t, render(t, "--set", set)).Containers[0].Args
			for _, arg := range want {
				if !slices.Contains(args, arg) {
					t.Errorf("there is no %s in %v", arg, args)
				}
			}
		})
	}
}

// TestEveryFlagCanBeSet holds the chart to the flags in the program's source.
func TestEveryFlagCanBeSet(t *testing.T) {
	templates, err := os.ReadFile(chart + "/templates/_pod.tpl")
	if err != nil {
		t.Fatal(err)
	}
	sources, err := filepath.Glob("../internal/serve/*.go")
	if err != nil || len(sources) == 0 {
		t.Fatal("there is no source of the program", err)
	}
	count := 0
	for _, path := range sources {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`flags\.\w*Var\(&?[\w.]+,\s*"([a-z-]+)"`).FindAllStringSubmatch(string(source), -1) {
			count++
			if !strings.Contains(string(templates), "- --"+m[1]) {
				t.Errorf("no value sets --%s", m[1])
			}
		}
	}
	if count < 15 {
		t.Errorf("the source has only %d flags that this test finds", count)
	}
}

func TestCertificateModes(t *testing.T) {
	const annotation = "cert-manager.io/inject-ca-from"
	for name, test := range map[string]struct {
		set, secret, inject string
		objects             []string
	}{
		"self-managed":       {"profile=balanced", "", "", nil},
		"provided":           {provided, "mine", "", nil},
		"provided with a CA": {provided + "," + bundle, "mine", "", nil},
		"cert-manager": {"certificates.mode=certManager", chart + "-tls", "security/" + chart + "-ca", []string{
			"Certificate " + chart, "Certificate " + chart + "-ca", "Issuer " + chart + "-ca", "Issuer " + chart + "-self-signed",
		}},
		"an issuer of one's own": {
			"certificates.mode=certManager,certificates.certManager.issuerRef.name=a", chart + "-tls", "security/" + chart,
			[]string{"Certificate " + chart},
		},
		"an issuer of one's own, whose CA is a Certificate": {
			"certificates.mode=certManager,certificates.certManager.issuerRef.name=a,certificates.certManager.injectFrom=b/c",
			chart + "-tls", "b/c",
			[]string{"Certificate " + chart},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := render(t, "--set", test.set)
			secret := ""
			for _, v := range pods(t, r).Volumes {
				if v.Name == "tls" {
					secret = v.Secret.SecretName
				}
			}
			if secret != test.secret || r.webhooks.Annotations[annotation] != test.inject {
				t.Errorf("the certificate is in %q, its CA from %q", secret, r.webhooks.Annotations[annotation])
			}
			var objects []string
			for _, word := range r.inventory() {
				if strings.HasPrefix(word, "Certificate ") || strings.HasPrefix(word, "Issuer ") {
					objects = append(objects, word)
				}
			}
			if !slices.Equal(objects, test.objects) {
				t.Errorf("there are %v, want %v", objects, test.objects)
			}
		})
	}
	leaf := get[*certmanagerv1.Certificate](t, render(t, "--set", "certificates.mode=certManager,profile=controlPlane"), chart)
	if leaf.Spec.PrivateKey.RotationPolicy != certmanagerv1.RotationPolicyAlways || leaf.Spec.RenewBefore.Hours() < 24 ||
		!slices.Equal(leaf.Spec.IPAddresses, []string{"127.0.0.1"}) {
		t.Errorf("the certificate is %+v", leaf.Spec)
	}
}

func TestFailurePolicies(t *testing.T) {
	for set, want := range map[string][2]admissionregistrationv1.FailurePolicyType{
		"profile=observe":      {admissionregistrationv1.Ignore, admissionregistrationv1.Ignore},
		"profile=balanced":     {admissionregistrationv1.Fail, admissionregistrationv1.Ignore},
		"profile=controlPlane": {admissionregistrationv1.Fail, admissionregistrationv1.Ignore},
		"profile=strict":       {admissionregistrationv1.Fail, admissionregistrationv1.Fail},
		"profile=controlPlane,webhook.registrationFailurePolicy=Fail": {admissionregistrationv1.Fail, admissionregistrationv1.Fail},
		"profile=strict,webhook.registrationFailurePolicy=Ignore":     {admissionregistrationv1.Fail, admissionregistrationv1.Ignore},
	} {
		for _, w := range render(t, append(everything(), "--set", set)...).webhooks.Webhooks {
			expected := admissionregistrationv1.Ignore
			switch w.Name {
			case gate:
				expected = want[0]
			case registration:
				expected = want[1]
			}
			if *w.FailurePolicy != expected {
				t.Errorf("%s: %s has %s", set, w.Name, *w.FailurePolicy)
			}
		}
	}
}

func TestNetworkPolicy(t *testing.T) {
	p := get[*networkingv1.NetworkPolicy](t, render(t, "--set", "networkPolicy.enabled=true"), chart)
	if len(p.Spec.Ingress) != 2 || len(p.Spec.Ingress[0].From) != 0 || len(p.Spec.Egress) != 1 || len(p.Spec.Egress[0].Ports) != 2 {
		t.Errorf("it is %+v", p.Spec)
	}
	p = get[*networkingv1.NetworkPolicy](t, render(t, "--set", "networkPolicy.enabled=true,metrics.enabled=false,"+
		"networkPolicy.apiServerCIDRs={10.0.0.1/32},networkPolicy.apiServerPorts={6443}"), chart)
	if len(p.Spec.Ingress) != 1 || p.Spec.Ingress[0].From[0].IPBlock.CIDR != "10.0.0.1/32" ||
		p.Spec.Egress[0].To[0].IPBlock.CIDR != "10.0.0.1/32" || p.Spec.Egress[0].Ports[0].Port.IntValue() != 6443 {
		t.Errorf("it is %+v", p.Spec)
	}
}

func TestMonitoring(t *testing.T) {
	r := render(t, "--set", "monitoring.serviceMonitor.enabled=true,monitoring.podMonitor.enabled=true,monitoring.prometheusRule.enabled=true,"+
		"monitoring.dashboard.enabled=true,monitoring.serviceMonitor.labels.release=prometheus")
	service := get[*corev1.Service](t, r, chart+"-metrics")
	monitor := get[*monitoringv1.ServiceMonitor](t, r, chart)
	if !selects(monitor.Spec.Selector.MatchLabels, service.Labels) || monitor.Labels["release"] != "prometheus" {
		t.Errorf("the ServiceMonitor is %+v", monitor)
	}
	if selects(monitor.Spec.Selector.MatchLabels, get[*corev1.Service](t, r, chart).Labels) {
		t.Error("the ServiceMonitor also selects the Service of the webhook")
	}
	pod := get[*appsv1.Deployment](t, r, chart).Spec.Template
	if podMonitor := get[*monitoringv1.PodMonitor](t, r, chart); !selects(podMonitor.Spec.Selector.MatchLabels, pod.Labels) {
		t.Errorf("the PodMonitor selects %v", podMonitor.Spec.Selector)
	}
	if rule := get[*monitoringv1.PrometheusRule](t, r, chart); len(rule.Spec.Groups) == 0 || len(rule.Spec.Groups[0].Rules) == 0 {
		t.Error("the PrometheusRule has no alerts")
	}
	dashboard := get[*corev1.ConfigMap](t, r, chart+"-dashboard")
	if dashboard.Labels["grafana_dashboard"] != "1" || !strings.HasPrefix(dashboard.Data[chart+".json"], "{") {
		t.Errorf("the dashboard has the labels %v", dashboard.Labels)
	}
}

func TestInventory(t *testing.T) {
	program := []string{
		"ClusterRole node-restriction-plus", "ClusterRoleBinding node-restriction-plus", "Deployment node-restriction-plus",
		"PodDisruptionBudget node-restriction-plus", "ResourceQuota node-restriction-plus", "Role node-restriction-plus-ca",
		"Role node-restriction-plus-events", "RoleBinding node-restriction-plus-ca", "RoleBinding node-restriction-plus-events",
		"Service node-restriction-plus", "Service node-restriction-plus-metrics", "ServiceAccount node-restriction-plus",
	}
	wiring := []string{
		"CustomResourceDefinition noderestrictionpolicies.noderestriction.plus", "NodeRestrictionPolicy recommended",
		"ValidatingWebhookConfiguration node-restriction-plus", "ValidatingAdmissionPolicy " + quantityFloor,
		"ValidatingAdmissionPolicyBinding " + quantityFloor, "ValidatingAdmissionPolicy " + podFloor,
		"ValidatingAdmissionPolicyBinding " + podFloor,
	}
	for name, test := range map[string]struct {
		set  string
		want []string
	}{
		"all of it":           {"profile=balanced", slices.Concat(program, wiring)},
		"outside the cluster": {"webhook.url=https://10.0.0.1:9443", wiring},
		"less of it": {
			"podDisruptionBudget.enabled=false,resourceQuota.enabled=false,crds.enabled=false,policies.recommended=Off," +
				"metrics.enabled=false,certificates.mode=provided,certificates.provided.secretName=a,floor.enabled=false",
			[]string{
				"ClusterRole node-restriction-plus", "ClusterRoleBinding node-restriction-plus", "Deployment node-restriction-plus",
				"Role node-restriction-plus-events", "RoleBinding node-restriction-plus-events", "Service node-restriction-plus",
				"ServiceAccount node-restriction-plus", "ValidatingWebhookConfiguration node-restriction-plus",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slices.Sort(test.want)
			if have := render(t, "--set", test.set).inventory(); !slices.Equal(have, test.want) {
				t.Errorf("there are\n%s\nwant\n%s", strings.Join(have, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}
