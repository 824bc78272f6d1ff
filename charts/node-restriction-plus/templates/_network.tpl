{{- /* apiServers: NetworkPolicy peers; none means all. */ -}}
{{- define "node-restriction-plus.apiServers" -}}
{{- $peers := list -}}
{{- range .Values.networkPolicy.apiServerCIDRs }}{{ $peers = append $peers (dict "ipBlock" (dict "cidr" .)) }}{{ end -}}
{{- toYaml $peers -}}
{{- end }}

{{- /* toAPIServers: the egress rule of pods that need the API server only. */ -}}
{{- define "node-restriction-plus.toAPIServers" -}}
- ports:
  {{- range .Values.networkPolicy.apiServerPorts }}
  - {port: {{ . | int64 }}, protocol: TCP}
  {{- end }}
  {{- with include "node-restriction-plus.apiServers" . | fromYamlArray }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- /* ipFamilies: those of the Services. */ -}}
{{- define "node-restriction-plus.ipFamilies" -}}
{{- with .Values.webhook.service.ipFamilyPolicy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .Values.webhook.service.ipFamilies }}
ipFamilies: {{ toJson . }}
{{- end }}
{{- end }}
