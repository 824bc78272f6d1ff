// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"os"
	"reflect"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// monitoring are the arguments for monitoring objects, with values as JSON.
func monitoring(values string) []string {
	return []string{"--set-json", "monitoring=" + values}
}

// alerts are the rules that the chart installs with values of monitoring.prometheusRule.
func alerts(t *testing.T, values string) []monitoringv1.Rule {
	t.Helper()
	values = strings.Replace(strings.Replace(values, "{", `{"enabled":true,`, 1), ",}", "}", 1)
	r := render(t, monitoring(`{"prometheusRule":`+values+`}`)...)
	return get[*monitoringv1.PrometheusRule](t, r, chart).Spec.Groups[0].Rules
}

func TestAlertsAreThoseOfTheFile(t *testing.T) {
	data, err := os.ReadFile(chart + "/files/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file monitoringv1.PrometheusRuleSpec
	if err := yaml.UnmarshalStrict(data, &file); err != nil {
		t.Fatal(err)
	}
	want, got := file.Groups[0].Rules, alerts(t, `{}`)
	if len(file.Groups) != 1 || len(got) != len(want) {
		t.Fatalf("%d groups, %d alerts, want %d", len(file.Groups), len(got), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("got  %+v\nwant %+v", got[i], want[i])
		}
	}
}

func TestThresholdsOfAlerts(t *testing.T) {
	plain := alerts(t, `{}`)
	for name, test := range map[string]struct {
		value   string
		changed map[string]string // what the expression of an alert, by name and severity, has
		summary string
	}{
		"certificateWarningDays": {
			"3.25", map[string]string{"NodeRestrictionPlusCertificateExpiring/warning": "- time() < 3.25 * 86400"}, "within 3.25 days",
		},
		"certificateCriticalDays": {
			"0.5", map[string]string{
				"NodeRestrictionPlusCertificateExpiring/warning":  ">= 0.5 * 86400",
				"NodeRestrictionPlusCertificateExpiring/critical": "- time() < 0.5 * 86400",
			}, "within 0.5 days",
		},
		"slowSeconds":          {"0.02", map[string]string{"NodeRestrictionPlusSlow/warning": "bucket[5m]))) > 0.02\nor"}, ""},
		"slowAPIServerSeconds": {"1.5", map[string]string{"NodeRestrictionPlusSlow/warning": `plus"}[5m]))) > 1.5`}, ""},
		"manyDenialsPerSecond": {"20", map[string]string{"NodeRestrictionPlusManyDenials/warning": "[10m])) > 20\nand"}, ""},
		"manyDenialsShare":     {"0.75", map[string]string{"NodeRestrictionPlusManyDenials/warning": "> 0.75 * sum by"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for i, rule := range alerts(t, `{"thresholds":{"`+name+`":`+test.value+`}}`) {
				want, changed := test.changed[rule.Alert+"/"+rule.Labels["severity"]]
				switch {
				case changed && !strings.Contains(rule.Expr.String(), want):
					t.Errorf("%s: %s", rule.Alert, rule.Expr.String())
				case !changed && rule.Expr != plain[i].Expr:
					t.Errorf("%s is changed: %s", rule.Alert, rule.Expr.String())
				}
				if text := rule.Annotations["summary"]; text != plain[i].Annotations["summary"] && !strings.Contains(text, test.summary) {
					t.Errorf("%s: %s", rule.Alert, text)
				}
			}
		})
	}
}

func TestChangesToAlerts(t *testing.T) {
	plain := alerts(t, `{}`)
	changed := alerts(t, `{"alertLabels":{"team":"nodes"},"runbookBaseURL":"https://wiki.example.com/nrp/","alerts":{
		"NodeRestrictionPlusSlow":{"enabled":false},
		"NodeRestrictionPlusDenials":{"severity":"critical","labels":{"team":"security"}},
		"NodeRestrictionPlusCallErrors":{"enabled":false},
		"NodeRestrictionPlusCallErrors/critical":{"enabled":true,"for":"30m"}}}`)
	if len(changed) != len(plain)-2 {
		t.Errorf("%d alerts of %d are left", len(changed), len(plain))
	}
	for _, rule := range changed {
		severity, team := rule.Labels["severity"], rule.Labels["team"]
		if want := "https://wiki.example.com/nrp/" + rule.Alert + ".md"; rule.Annotations["runbook_url"] != want {
			t.Errorf("%s has the runbook %s", rule.Alert, rule.Annotations["runbook_url"])
		}
		switch rule.Alert {
		case "NodeRestrictionPlusSlow":
			t.Error("an alert that was switched off is there")
		case "NodeRestrictionPlusDenials":
			if severity != "critical" || team != "security" {
				t.Errorf("it has the labels %v", rule.Labels)
			}
		case "NodeRestrictionPlusCallErrors":
			if severity != "critical" || *rule.For != "30m" {
				t.Errorf("%s fires after %s", severity, *rule.For)
			}
		default:
			if team != "nodes" {
				t.Errorf("%s has the labels %v", rule.Alert, rule.Labels)
			}
		}
	}
}

func TestValuesOfAlertsThatCannotBe(t *testing.T) {
	for want, values := range map[string]string{
		`no alert is named "NodeRestrictionPlusDenial"`:      `{"alerts":{"NodeRestrictionPlusDenial":{"enabled":false}}}`,
		"certificateWarningDays: must be more than certific": `{"thresholds":{"certificateWarningDays":1}}`,
		"additional properties 'enable' not allowed":         `{"alerts":{"NodeRestrictionPlusSlow":{"enable":false}}}`,
		"does not match pattern":                             `{"alerts":{"NodeRestrictionPlusSlow":{"for":"soon"}}}`,
		"/thresholds/manyDenialsShare":                       `{"thresholds":{"manyDenialsShare":1}}`,
	} {
		values = strings.Replace(values, "{", `{"enabled":true,`, 1)
		if _, err := helmTemplate(t, monitoring(`{"prometheusRule":`+values+`}`)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", values, err, want)
		}
	}
}

func TestMonitoringInAnotherNamespace(t *testing.T) {
	const values = `{"enabled":true,"namespace":"monitoring","annotations":{"a":"b"},"scrapeTimeout":"7s",
		"relabelings":[{"targetLabel":"cluster","replacement":"eu"}],
		"metricRelabelings":[{"action":"drop","regex":"go_.*","sourceLabels":["__name__"]}]}`
	const others = `{"enabled":true,"namespace":"grafana","annotations":{"a":"b"}}`
	r := render(t, monitoring(`{"serviceMonitor":`+values+`,"podMonitor":`+values+`,"prometheusRule":`+others+`,"dashboard":`+others+`}`)...)
	service, pod := get[*monitoringv1.ServiceMonitor](t, r, chart), get[*monitoringv1.PodMonitor](t, r, chart)
	rule, dashboard := get[*monitoringv1.PrometheusRule](t, r, chart), get[*corev1.ConfigMap](t, r, chart+"-dashboard")
	if service.Namespace != "monitoring" || pod.Namespace != "monitoring" || rule.Namespace != "grafana" || dashboard.Namespace != "grafana" {
		t.Errorf("they are in %s, %s, %s and %s", service.Namespace, pod.Namespace, rule.Namespace, dashboard.Namespace)
	}
	if service.Annotations["a"] != "b" || pod.Annotations["a"] != "b" || rule.Annotations["a"] != "b" || dashboard.Annotations["a"] != "b" {
		t.Error("one has no annotation")
	}
	for _, selector := range []monitoringv1.NamespaceSelector{service.Spec.NamespaceSelector, pod.Spec.NamespaceSelector} {
		if len(selector.MatchNames) != 1 || selector.MatchNames[0] == "monitoring" {
			t.Errorf("pods are selected in %v", selector)
		}
	}
	s, p := service.Spec.Endpoints[0], pod.Spec.PodMetricsEndpoints[0]
	if s.ScrapeTimeout != "7s" || p.ScrapeTimeout != "7s" || s.RelabelConfigs[0].TargetLabel != "cluster" ||
		p.RelabelConfigs[0].TargetLabel != "cluster" || s.MetricRelabelConfigs[0].Action != "drop" || p.MetricRelabelConfigs[0].Action != "drop" {
		t.Errorf("the endpoints are %+v and %+v", s, p)
	}
}
