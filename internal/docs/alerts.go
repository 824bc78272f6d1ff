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

const runbooksHead = `<!-- Generated from config/alerts/node-restriction-plus.rules.yaml by make generate. -->

# Runbooks

One page per [alert](../../config/alerts/node-restriction-plus.yaml): meaning, impact, diagnosis, mitigation, resolution. The commands
are for the namespace ` + "`node-restriction-plus`" + `.

In an emergency, ` + "`kubectl delete validatingwebhookconfiguration node-restriction-plus`" + ` takes the webhook out at once. No webhook
can prevent that, and nothing is restricted until it is back.

## One API server of several

` + "`kubectl get --raw /metrics`" + ` asks one API server. With several behind a load balancer, each counts its own calls:
repeat the command, or ask Prometheus, such as
` + "`sum by (instance, name) (increase(apiserver_admission_webhook_fail_open_count[1h]))`" + `.
The command needs permission to get the non-resource URL ` + "`/metrics`" + `.

## Managed clusters

There is no kube-apiserver pod and no file ` + "`audit.log`" + `. Turn on the logs before you need them: except for the audit
log of GKE, nothing is kept by default.

| | where the log of the API server and the audit log are |
|---|---|
| EKS | CloudWatch, log group ` + "`/aws/eks/<cluster>/cluster`" + `, streams ` + "`kube-apiserver-*` and `kube-apiserver-audit-*`" + ` |
| GKE | Cloud Logging, component ` + "`API_SERVER`" + `; the audit log is the Admin Activity log of service ` + "`k8s.io`" + ` |
| AKS | a diagnostic setting with the categories ` + "`kube-apiserver`, `kube-audit` and `kube-audit-admin`" + ` |

For example, the audit events of EKS as lines that the commands of these pages can search:

` + "```sh" + `
aws logs filter-log-events --log-group-name /aws/eks/<cluster>/cluster --log-stream-name-prefix kube-apiserver-audit \
  --filter-pattern '%noderestriction%' --query 'events[].message' --output json | jq -r '.[]' > audit.log
` + "```" + `

## Alerts

The chart's values under ` + "`monitoring.prometheusRule`" + ` switch alerts off, change their severity, duration, labels and
thresholds, and say where you keep a copy of these pages.

| alert | severity | summary |
|---|---|---|
`

// Runbooks renders docs/runbooks/README.md: the alerts, each with its page.
func Runbooks(alerts []Alert) string {
	var b strings.Builder
	b.WriteString(runbooksHead)
	for _, a := range alerts {
		fmt.Fprintf(&b, "| [%s](%s.md) | %s | %s |\n", a.Name, a.Name, a.Labels["severity"], a.Annotations["summary"])
	}
	return b.String()
}
