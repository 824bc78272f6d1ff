{{- /* endpoint: how the metrics of a pod are scraped, given what an object for it has in common. The certificate is for the API server. */ -}}
{{- define "node-restriction-plus.endpoint" -}}
port: metrics
path: /metrics
scheme: https
tlsConfig:
  # The name in the certificate is that of the webhook's Service. Who scrapes is told apart by its token.
  insecureSkipVerify: true
{{- end }}

{{- /* monitoringLabels: the labels of an object, given a list of the root context and the labels by which it is found. */ -}}
{{- define "node-restriction-plus.monitoringLabels" -}}
{{- include "node-restriction-plus.labels" (index . 0) }}
{{- with index . 1 }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* scraped: whether there are pods with metrics for others. */ -}}
{{- define "node-restriction-plus.scraped" -}}
{{- if and (include "node-restriction-plus.workload" .) .Values.metrics.enabled .Values.metrics.secure }}true{{ end -}}
{{- end }}
