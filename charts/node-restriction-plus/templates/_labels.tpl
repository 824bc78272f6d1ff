{{- define "node-restriction-plus.labels" -}}
{{- with .Values.commonLabels }}
{{- toYaml . }}
{{ end -}}
{{ include "node-restriction-plus.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- /* selector: the labels by which pods are found. They never change: the selector of a Deployment cannot. */ -}}
{{- define "node-restriction-plus.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* metadata: the metadata of an object, given a list of the root context and what follows the chart's name in its name. */ -}}
{{- define "node-restriction-plus.metadata" -}}
{{- $root := index . 0 -}}
name: {{ $root.Chart.Name }}{{ index . 1 }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "node-restriction-plus.labels" $root | nindent 2 }}
{{- end }}

{{- /* testHook: annotations of what helm test makes, given when in its order. A pod that failed stays, for its log. */ -}}
{{- define "node-restriction-plus.testHook" -}}
annotations:
  helm.sh/hook: test
  helm.sh/hook-weight: {{ . | quote }}
  helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
