{{- /*
The floor is what denies a registration without the webhook: for each policy of the chart that denies, and is for all kubelets, what
the file of conditions, or the values, say of its sections. An API server has a cost budget for each evaluation, and exceeding it is an
error: hence the bounds on sizes, far beyond what any kubelet registers.
*/ -}}

{{- /*
floors: the floors under registration, each a name and its validations. One is independent of the policies: a quantity that no API
server prints in time would let the registration pass, because it is never sent to the webhook. Its name has a dot, which no name made
from a policy has.
*/ -}}
{{- define "node-restriction-plus.floors" -}}
{{- $list := list -}}
{{- if .Values.floor.enabled -}}
{{- if ne .Values.profile "observe" -}}
{{- $list = append $list (dict "name" (printf "%s.quantities" .Chart.Name)
  "validations" (include "node-restriction-plus.quantityValidations" . | fromYamlArray)) -}}
{{- end -}}
{{- $known := dict -}}
{{- include "node-restriction-plus.known" (list . $known) -}}
{{- range include "node-restriction-plus.policies" . | fromYamlArray -}}
{{- if and (include "node-restriction-plus.denies" .spec) (not .spec.match) (not .spec.subjects) -}}
{{- $floor := include "node-restriction-plus.policyFloor" (list $known .name .spec) | fromJson -}}
{{- if $floor.validations -}}
{{- $list = append $list (merge (dict "name" (printf "%s-%s" $.Chart.Name .name)) $floor) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $list -}}
{{- end }}

{{- /*
policyFloor: variables, validations and audit annotations of a policy, given a list of the known conditions, the name and the spec. The
annotations have the keys of the webhook's. A JSON object.
*/ -}}
{{- define "node-restriction-plus.policyFloor" -}}
{{- $known := index . 0 -}}
{{- $name := index . 1 -}}
{{- $spec := index . 2 -}}
{{- $variables := dict -}}
{{- $names := list -}}
{{- $validations := list -}}
{{- $rules := list -}}
{{- range $rule, $path := $known.sections -}}
{{- $section := include "node-restriction-plus.section" (list $spec $path) -}}
{{- $passes := list -}}
{{- with (get $known.entries (printf "%s %s" $rule $section) | default dict).floor -}}
{{- range .variables -}}
{{- if not (hasKey $variables .name) }}{{ $names = append $names .name }}{{ end -}}
{{- $_ := set $variables .name .expression -}}
{{- end -}}
{{- range .validations -}}
{{- $passes = append $passes (printf "(%s)" .expression) -}}
{{- $validation := dict -}}
{{- range $key, $text := . }}{{ $_ := set $validation $key (replace "$(policy)" $name $text) }}{{ end -}}
{{- $validations = append $validations $validation -}}
{{- end -}}
{{- end -}}
{{- if $passes }}{{ $rules = append $rules (dict "rule" $rule "violates" (printf "!(%s)" (join " && " $passes))) }}{{ end -}}
{{- end -}}
{{- $list := list -}}
{{- range $names }}{{ $list = append $list (dict "name" . "expression" (get $variables .)) }}{{ end -}}
{{- $any := list -}}
{{- $texts := list -}}
{{- range $rules -}}
{{- $any = append $any .violates -}}
{{- $texts = append $texts (printf "%s ? '%s' : ''" .violates .rule) -}}
{{- end -}}
{{- $list = append $list (dict "name" "violates" "expression" (join " || " $any | default "false")) -}}
{{- $annotations := list
  (dict "key" "decision" "valueExpression" "variables.violates ? 'denied' : ''")
  (dict "key" "policy" "valueExpression" (printf "variables.violates ? '%s' : ''" $name))
  (dict "key" "rule" "valueExpression" (printf "[%s].filter(r, r != '').join(',')" (join ", " $texts))) -}}
{{- dict "variables" $list "validations" $validations "auditAnnotations" $annotations | toJson -}}
{{- end }}

{{- /* quantityValidations: a Node registers only with quantities that a kubelet prints. */ -}}
{{- define "node-restriction-plus.quantityValidations" -}}
- reason: Forbidden
  message: 'NodeRestriction-plus: no kubelet registers such a quantity in status.capacity or status.allocatable'
  expression: |-
    {{- include "node-restriction-plus.registrationQuantities" . | nindent 4 }}
{{- end }}

{{- /* floor: policy and binding, given a list of a floor and the suffix of its name. */ -}}
{{- define "node-restriction-plus.floor" -}}
{{- $root := index . 0 -}}
{{- $spec := include "node-restriction-plus.floorSpec" (list $root (omit (index . 1) "name")) -}}
{{- include "node-restriction-plus.policyAndBinding" (list $root (printf "%s%s" (index . 1).name (index . 2)) $spec) -}}
{{- end }}

{{- /* floorSpec: the spec of a policy of the floor, given a list of the root context and the parts of the spec that differ. */ -}}
{{- define "node-restriction-plus.floorSpec" -}}
failurePolicy: Fail
matchConstraints:
  matchPolicy: Equivalent
  resourceRules:
  - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [nodes], scope: Cluster}
matchConditions:
- name: kubelet
  expression: {{ include "node-restriction-plus.kubelet" (index . 0) }}
# The webhook itself must deny the probe, which helm test also sends.
- name: not-the-probe
  expression: >-
    request.userInfo.username != 'system:node:node-restriction-plus-probe' || !request.?dryRun.orValue(false)
# Only after the answer Forbidden does a kubelet continue with its existing Node.
{{ toYaml (index . 1) }}
{{- end }}
