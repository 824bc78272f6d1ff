{{- /* clientConfig: how the API server reaches the webhook at a path, given a list of the root context and the path. */ -}}
{{- define "node-restriction-plus.clientConfig" -}}
{{- $root := index . 0 -}}
{{- $path := index . 1 -}}
{{- with $root.Values.webhook -}}
{{- if .url -}}
url: {{ printf "%s%s" (trimSuffix "/" .url) $path }}
{{- else if include "node-restriction-plus.controlPlane" $root -}}
url: https://{{ include "node-restriction-plus.host" $root }}:{{ $root.Values.ports.webhook }}{{ $path }}
{{- else -}}
service:
  namespace: {{ $root.Release.Namespace }}
  name: {{ .service.name }}
  port: {{ .service.port }}
  path: {{ $path }}
{{- end }}
{{- with .caBundle }}
caBundle: {{ include "node-restriction-plus.caBundle" . }}
{{- end }}
{{- end }}
{{- end }}

{{- /* caBundle: base64 on one line, and only of certificates. */ -}}
{{- define "node-restriction-plus.caBundle" -}}
{{- $bundle := regexReplaceAll "\\s" . "" -}}
{{- if not (contains "-----BEGIN CERTIFICATE-----" (b64dec $bundle)) -}}
{{- fail "webhook.caBundle: must be the base64 of PEM certificates" -}}
{{- end -}}
{{- $bundle -}}
{{- end }}
