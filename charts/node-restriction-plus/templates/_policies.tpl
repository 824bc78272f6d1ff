{{- /* policies: the chart's policies, as a list of name and spec. */ -}}
{{- define "node-restriction-plus.policies" -}}
{{- $v := .Values.policies -}}
{{- $list := list -}}
{{- range $name := list "recommended" "strict" -}}
{{- $action := get $v $name -}}
{{- if ne $action "Off" -}}
{{- $spec := include "node-restriction-plus.preset" (list $ $name) | fromYaml -}}
{{- if eq $action "Audit" }}{{ $_ := set $spec "validationActions" (list "Audit") }}{{ end -}}
{{- $list = append $list (dict "name" $name "spec" $spec) -}}
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

{{- /*
preset: the spec of recommended or strict, the second of two arguments, adapted to the distribution and by the values. The package
internal/distribution does the same for config/policies/profiles.
*/ -}}
{{- define "node-restriction-plus.preset" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $v := $root.Values.policies -}}
{{- $spec := (printf "files/policies/%s.yaml" $name | $root.Files.Get | fromYaml).spec -}}
{{- with $v.distribution -}}
{{- $changes := printf "files/policies/distributions/%s.yaml" . | $root.Files.Get | fromYaml -}}
{{- include "node-restriction-plus.merge" (list $spec (get $changes $name | default dict)) -}}
{{- end -}}
{{- include "node-restriction-plus.merge" (list $spec (get $v.adapt $name | default dict | deepCopy)) -}}
{{- toYaml $spec -}}
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
