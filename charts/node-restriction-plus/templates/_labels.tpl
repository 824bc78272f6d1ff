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

{{- /*
metadata: name, namespace, annotations and labels of an object, given a list of the root context, the suffix of its name, and
optionally its annotations. Labels are last, so that an object can add some.
*/ -}}
{{- define "node-restriction-plus.metadata" -}}
{{- $root := index . 0 -}}
name: {{ $root.Chart.Name }}{{ index . 1 }}
namespace: {{ $root.Release.Namespace }}
{{ include "node-restriction-plus.marks" (list $root (ternary (last .) dict (gt (len .) 2))) }}
{{- end }}

{{- /* clusterMetadata: as metadata, of an object without a namespace. */ -}}
{{- define "node-restriction-plus.clusterMetadata" -}}
{{- $root := index . 0 -}}
name: {{ $root.Chart.Name }}{{ index . 1 }}
{{ include "node-restriction-plus.marks" (list $root (ternary (last .) dict (gt (len .) 2))) }}
{{- end }}

{{- /* marks: annotations and labels of an object, given a list of the root context and its own annotations. */ -}}
{{- define "node-restriction-plus.marks" -}}
{{- with include "node-restriction-plus.annotations" . }}
{{- . }}
{{ end -}}
labels:
  {{- include "node-restriction-plus.labels" (first .) | nindent 2 }}
{{- end }}

{{- /* annotations: an object's own annotations and those of all objects, given a list of the root context and its own. */ -}}
{{- define "node-restriction-plus.annotations" -}}
{{- with merge (dict) (last . | default dict) ((first .).Values.commonAnnotations | default dict) -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* testHook: annotations of the objects that helm test creates, given their weight. A failed pod is kept for its log. */ -}}
{{- define "node-restriction-plus.testHook" -}}
helm.sh/hook: test
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
