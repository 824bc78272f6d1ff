{{- /* endpoint: how the metrics of a pod are scraped, given the values of its monitor. The certificate is for the API server. */ -}}
{{- define "node-restriction-plus.endpoint" -}}
port: metrics
path: /metrics
scheme: https
interval: {{ .interval }}
{{- with .scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
tlsConfig:
  # The certificate has the name of the webhook's Service. A scraper authenticates with its token.
  insecureSkipVerify: true
{{- with .relabelings }}
relabelings:
{{ toYaml . }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /*
monitoringMetadata: the metadata of an object, given a list of the root context, its values, and the suffix of its name, behind the
chart's name.
*/ -}}
{{- define "node-restriction-plus.monitoringMetadata" -}}
{{- $root := index . 0 -}}
{{- $values := index . 1 -}}
name: {{ $root.Chart.Name }}{{ index . 2 }}
namespace: {{ $values.namespace | default $root.Release.Namespace }}
{{- with merge (dict) ($values.annotations | default dict) ($root.Values.commonAnnotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
labels:
  {{- include "node-restriction-plus.labels" $root | nindent 2 }}
  {{- with $values.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- /* namespaceSelector: where a monitor finds the pods if it is in another namespace, given the root context and its values. */ -}}
{{- define "node-restriction-plus.namespaceSelector" -}}
{{- $root := index . 0 -}}
{{- if ne ((index . 1).namespace | default $root.Release.Namespace) $root.Release.Namespace }}
namespaceSelector:
  matchNames: [{{ $root.Release.Namespace }}]
{{- end }}
{{- end }}

{{- /* scraped: whether other clients can scrape the metrics of pods. */ -}}
{{- define "node-restriction-plus.scraped" -}}
{{- if and (include "node-restriction-plus.workload" .) .Values.metrics.enabled .Values.metrics.secure }}true{{ end -}}
{{- end }}
