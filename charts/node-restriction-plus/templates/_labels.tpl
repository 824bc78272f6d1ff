{{- define "node-restriction-plus.labels" -}}
{{- with .Values.commonLabels }}
{{- toYaml . }}
{{ end -}}
{{ include "node-restriction-plus.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- /* selector: the labels that select the pods. They never change, because the selector of a Deployment is immutable. */ -}}
{{- define "node-restriction-plus.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* metadata: the metadata of an object, given a list of the root context and the suffix of its name, behind the chart's name. */ -}}
{{- define "node-restriction-plus.metadata" -}}
{{- $root := index . 0 -}}
name: {{ $root.Chart.Name }}{{ index . 1 }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "node-restriction-plus.labels" $root | nindent 2 }}
{{- end }}

{{- /* testHook: annotations of the objects that helm test creates, given their weight. A failed pod is kept for its log. */ -}}
{{- define "node-restriction-plus.testHook" -}}
annotations:
  helm.sh/hook: test
  helm.sh/hook-weight: {{ . | quote }}
  helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
