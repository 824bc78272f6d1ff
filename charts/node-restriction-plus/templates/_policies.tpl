{{- /* policies: the chart's policies, as a list of name and spec. */ -}}
{{- define "node-restriction-plus.policies" -}}
{{- $v := .Values.policies -}}
{{- $file := ternary (printf "distributions/%s" $v.distribution) "recommended" (ne $v.distribution "") -}}
{{- $list := list -}}
{{- range $p := list (dict "name" "recommended" "file" $file "action" $v.recommended) (dict "name" "strict" "file" "strict" "action" $v.strict) -}}
{{- if ne $p.action "Off" -}}
{{- $spec := (printf "files/policies/%s.yaml" $p.file | $.Files.Get | fromYaml).spec -}}
{{- include "node-restriction-plus.merge" (list $spec (get $v.adapt $p.name | default dict | deepCopy)) -}}
{{- if eq $p.action "Audit" }}{{ $_ := set $spec "validationActions" (list "Audit") }}{{ end -}}
{{- $list = append $list (dict "name" $p.name "spec" $spec) -}}
{{- end -}}
{{- end -}}
{{- range $name, $spec := $v.extra -}}
{{- if not $spec.validationActions -}}
{{- fail (printf "policies.extra.%s.validationActions: must have at least one of Deny, Warn and Audit" $name) -}}
{{- end -}}
{{- $list = append $list (dict "name" $name "spec" $spec) -}}
{{- end -}}
{{- range $list -}}
{{- if and (eq $.Values.profile "observe") (include "node-restriction-plus.denies" .spec) -}}
{{- fail (printf "policies: the profile observe denies nothing, but %q does; use Audit or another profile" .name) -}}
{{- end -}}
{{- end -}}
{{- toYaml $list -}}
{{- end }}

{{- /* denies: whether a policy's spec has the action Deny. */ -}}
{{- define "node-restriction-plus.denies" -}}
{{- if has "Deny" .validationActions }}true{{ end -}}
{{- end }}

{{- /* merge: the first of two objects with the second merged into it: objects by key, null removes a key, anything else is replaced. */ -}}
{{- define "node-restriction-plus.merge" -}}
{{- $into := index . 0 -}}
{{- range $key, $value := index . 1 -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := unset $into $key -}}
{{- else if and (kindIs "map" $value) (kindIs "map" (get $into $key)) -}}
{{- include "node-restriction-plus.merge" (list (get $into $key) $value) -}}
{{- else -}}
{{- $_ := set $into $key $value -}}
{{- end -}}
{{- end -}}
{{- end }}
