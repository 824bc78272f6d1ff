// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

// RunbookURL is where the page of an alert is published, with the alert's name and .md behind it.
const RunbookURL = "https://noderestriction.plus/docs/runbooks/"

// Alert is an alerting rule.
type Alert struct {
	Name        string            `json:"alert"`
	Expr        string            `json:"expr"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// Alerts reads a rule file of Prometheus.
func Alerts(rules []byte) ([]Alert, error) {
	var file struct {
		Groups []struct {
			Rules []Alert `json:"rules"`
		} `json:"groups"`
	}
	if err := yaml.Unmarshal(rules, &file); err != nil {
		return nil, err
	}
	var all []Alert
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	return all, nil
}

// PrometheusRule renders a rule file as the object of the Prometheus operator that has the same groups.
func PrometheusRule(rules []byte) string {
	var b strings.Builder
	b.WriteString(`# Generated from node-restriction-plus.rules.yaml by make generate.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: node-restriction-plus
  labels:
    app.kubernetes.io/name: node-restriction-plus
spec:
`)
	for line := range strings.Lines(string(rules)) {
		if strings.TrimSpace(line) != "" {
			b.WriteString("  ")
		}
		b.WriteString(line)
	}
	return b.String()
}

// Runbooks renders docs/runbooks/README.md: the alerts, each with its page.
func Runbooks(alerts []Alert) string {
	var b strings.Builder
	b.WriteString("<!-- Generated from config/alerts/node-restriction-plus.rules.yaml by make generate. -->\n\n# Runbooks\n\n" +
		"A page for each [alert](../../config/alerts/node-restriction-plus.yaml): meaning, impact, diagnosis, mitigation and resolution.\n" +
		"The commands use the namespace `node-restriction-plus`; if yours differs, change `-n`.\n\n" +
		"In any emergency, `kubectl delete validatingwebhookconfiguration node-restriction-plus` removes the webhook at once. No\n" +
		"webhook is called for that, and nothing is restricted until the configuration is back.\n\n" +
		"| alert | severity | |\n|---|---|---|\n")
	for _, a := range alerts {
		fmt.Fprintf(&b, "| [%s](%s.md) | %s | %s |\n", a.Name, a.Name, a.Labels["severity"], a.Annotations["summary"])
	}
	return b.String()
}
