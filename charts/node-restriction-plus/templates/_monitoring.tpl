{{- /*
endpoint: how the metrics of a pod are scraped, given the values that ServiceMonitor and PodMonitor share. The certificate is for the API
server.
*/ -}}
{{- define "node-restriction-plus.endpoint" -}}
port: metrics
path: /metrics
scheme: https
tlsConfig:
  # The certificate has the name of the webhook's Service. A scraper authenticates with its token.
  insecureSkipVerify: true
{{- end }}

{{- /* monitoringLabels: the labels of an object, given a list of the root context and the labels that select it. */ -}}
{{- define "node-restriction-plus.monitoringLabels" -}}
{{- include "node-restriction-plus.labels" (index . 0) }}
{{- with index . 1 }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* scraped: whether other clients can scrape the metrics of pods. */ -}}
{{- define "node-restriction-plus.scraped" -}}
{{- if and (include "node-restriction-plus.workload" .) .Values.metrics.enabled .Values.metrics.secure }}true{{ end -}}
{{- end }}
