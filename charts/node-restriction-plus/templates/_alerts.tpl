{{- /* alertsWithThresholds: the file of alerts with the thresholds of the values in the place of the file's own. */ -}}
{{- define "node-restriction-plus.alertsWithThresholds" -}}
{{- $text := .Files.Get "files/alerts.yaml" | required "files/alerts.yaml is not in the chart" }}
{{- $is := .Values.monitoring.prometheusRule.thresholds }}
{{- if le $is.certificateWarningDays $is.certificateCriticalDays }}
{{- fail "monitoring.prometheusRule.thresholds.certificateWarningDays: must be more than certificateCriticalDays" }}
{{- end }}
{{- range list
  (list "< 7 * 86400" "< %v * 86400" $is.certificateWarningDays)
  (list "within 7 days" "within %v days" $is.certificateWarningDays)
  (list ">= 1 * 86400" ">= %v * 86400" $is.certificateCriticalDays)
  (list "< 1 * 86400" "< %v * 86400" $is.certificateCriticalDays)
  (list "within 1 day" (eq 1.0 (float64 $is.certificateCriticalDays) | ternary "within %v day" "within %v days") $is.certificateCriticalDays)
  (list "bucket[5m]))) > 0.1" "bucket[5m]))) > %v" $is.slowSeconds)
  (list "plus\"}[5m]))) > 0.5" "plus\"}[5m]))) > %v" $is.slowAPIServerSeconds)
  (list "[10m])) > 1\n" "[10m])) > %v\n" $is.manyDenialsPerSecond)
  (list "> 0.5 * sum by" "> %v * sum by" $is.manyDenialsShare)
}}
{{- if not (contains (first .) $text) }}
{{- fail (printf "files/alerts.yaml does not have %q" (first .)) }}
{{- end }}
{{- $text = replace (first .) (printf (index . 1) (last .)) $text }}
{{- end }}
{{- $text }}
{{- end }}

{{- /* changeAlert: changes an alert, given a list of the alert, and a change to it or nothing. */ -}}
{{- define "node-restriction-plus.changeAlert" -}}
{{- $alert := first . }}
{{- with last . }}
{{- with .for }}{{ $_ := set $alert "for" . }}{{ end }}
{{- with .severity }}{{ $_ := set $alert.labels "severity" . }}{{ end }}
{{- range $name, $value := .labels }}{{ $_ := set $alert.labels $name $value }}{{ end }}
{{- end }}
{{- end }}

{{- /* alerts: the groups of the PrometheusRule. */ -}}
{{- define "node-restriction-plus.alerts" -}}
{{- $values := .Values.monitoring.prometheusRule }}
{{- $group := first (fromYaml (include "node-restriction-plus.alertsWithThresholds" .)).groups }}
{{- $known := list }}
{{- $alerts := list }}
{{- range $alert := $group.rules }}
{{- $key := printf "%s/%s" .alert .labels.severity }}
{{- $known = concat $known (list .alert $key) }}
{{- $enabled := true }}
{{- include "node-restriction-plus.changeAlert" (list $alert (dict "labels" $values.alertLabels)) }}
{{- range list .alert $key }}
{{- with get $values.alerts . }}
{{- $enabled = hasKey . "enabled" | ternary .enabled $enabled }}
{{- include "node-restriction-plus.changeAlert" (list $alert .) }}
{{- end }}
{{- end }}
{{- $_ := set .annotations "runbook_url" (printf "%s/%s.md" (trimSuffix "/" $values.runbookBaseURL) .alert) }}
{{- if $enabled }}{{ $alerts = append $alerts $alert }}{{ end }}
{{- end }}
{{- range $name, $_ := $values.alerts }}
{{- if not (has $name $known) }}
{{- fail (printf "monitoring.prometheusRule.alerts: no alert is named %q, nor its combination with a severity" $name) }}
{{- end }}
{{- end }}
{{- if not $alerts }}
{{- fail "monitoring.prometheusRule.alerts: no alert is left, set enabled to false instead" }}
{{- end }}
groups:
- name: {{ $group.name }}
  rules:
  {{- toYaml $alerts | nindent 2 }}
{{- end }}
