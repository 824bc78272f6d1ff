{{- /*
With webhook.followPolicies, the program keeps the match conditions of the webhooks up to date with the policies in force, and one policy of
the floor. It changes expressions only: all names are those that the chart renders, so that helm upgrade replaces each of them. A ConfigMap tells it what the conditions are before any policy, and an annotation of these objects
which ConfigMap they were rendered with. The program writes only if both agree, so objects and ConfigMap can be upgraded in any order, and
a program that still runs after the value was turned off writes nothing.
*/ -}}

{{- /* follows: the program keeps conditions up to date. */ -}}
{{- define "node-restriction-plus.follows" -}}
{{- if .Values.webhook.followPolicies }}true{{ end -}}
{{- end }}

{{- /* followedFloorName: the name of the policy of the floor that the program keeps up to date. Empty: none. */ -}}
{{- define "node-restriction-plus.followedFloorName" -}}
{{- if and (include "node-restriction-plus.follows" .) .Values.floor.enabled (ne .Values.profile "observe") -}}
{{- .Chart.Name }}.policies
{{- end -}}
{{- end }}

{{- /* baseConditions: the content of the ConfigMap, which the program reads as in internal/conditions/base.go. */ -}}
{{- define "node-restriction-plus.baseConditions" -}}
{{- $webhooks := list -}}
{{- range include "node-restriction-plus.webhooks" (merge (dict "baseOnly" true) .) | fromYamlArray -}}
{{- $lines := 0 -}}
{{- range .matchConditions }}{{ if eq .name "line" }}{{ $lines = 1 }}{{ end }}{{ end -}}
{{- if $lines }}{{ $webhooks = append $webhooks (pick . "name" "rules" "matchConditions") }}{{ end -}}
{{- end -}}
{{- $base := dict "configuration" .Chart.Name "webhooks" $webhooks -}}
{{- with include "node-restriction-plus.followedFloorName" . }}{{ $_ := set $base "floor" . }}{{ end -}}
{{- toJson $base -}}
{{- end }}

{{- /* baseAnnotation: the annotation of the objects that the program keeps up to date, as a dict in JSON. */ -}}
{{- define "node-restriction-plus.baseAnnotation" -}}
{{- if include "node-restriction-plus.follows" . -}}
{{- dict "noderestriction.plus/base" (printf "sha256:%s" (include "node-restriction-plus.baseConditions" . | sha256sum)) | toJson -}}
{{- else -}}
{}
{{- end -}}
{{- end }}

{{- /* registration: registrations that are sent before any policy is known. */ -}}
{{- define "node-restriction-plus.registration" -}}
{{ include "node-restriction-plus.kubelet" . }}
{{- end }}

{{- /* followedFloorSpec: the spec before any policy. A policy must have a validation. */ -}}
{{- define "node-restriction-plus.followedFloorSpec" -}}
{{- include "node-restriction-plus.floorSpec" (list . (dict "validations" (list (dict "expression" "true" "reason" "Forbidden" "message"
  "NodeRestriction-plus: no policy denies registrations")))) -}}
{{- end }}
