{{- /*
The floor enforces in CEL what five rules enforce at the registration of a Node: node-labels, node-taints, node-owner-references,
node-finalizers and node-managed-fields. It is rendered from the policy's own spec, and a test compares it with the rules' fixtures. The
API server has a cost budget for each evaluation, and exceeding it is an error: hence the bounds on sizes, far beyond what any kubelet
registers.
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
{{- range include "node-restriction-plus.policies" . | fromYamlArray -}}
{{- $validations := include "node-restriction-plus.validations" . | trim -}}
{{- if and (include "node-restriction-plus.denies" .spec) (not .spec.match) $validations -}}
{{- $list = append $list (dict "name" (printf "%s-%s" $.Chart.Name .name) "validations" ($validations | fromYamlArray)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $list -}}
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
{{- $spec := include "node-restriction-plus.floorSpec" (list $root (index . 1).validations) -}}
{{- include "node-restriction-plus.policyAndBinding" (list $root (printf "%s%s" (index . 1).name (index . 2)) $spec) -}}
{{- end }}

{{- /* floorSpec: the spec of a policy of the floor, given a list of the root context and the validations. */ -}}
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
validations:
{{ toYaml (index . 1) }}
{{- end }}

{{- /* validations: one for each of the five rules that a policy, given as name and spec, turns on. */ -}}
{{- define "node-restriction-plus.validations" -}}
{{- $nodes := .spec.nodes | default dict -}}
{{- $violates := printf "violates NodeRestrictionPolicy %q:" .name -}}
{{- if kindIs "map" (get $nodes "labels") }}
- reason: Forbidden
  message: '{{ $violates }} node labels'
  expression: |-
    {{- include "node-restriction-plus.floorLabels" $nodes.labels | nindent 4 }}
{{- end }}
{{- if kindIs "map" (get $nodes "taints") }}
- reason: Forbidden
  message: '{{ $violates }} node taints'
  expression: |-
    {{- include "node-restriction-plus.floorTaints" $nodes.taints | nindent 4 }}
{{- end }}
{{- if kindIs "map" (get $nodes "ownerReferences") }}
- reason: Forbidden
  message: '{{ $violates }} node owner references'
  expression: size(object.metadata.?ownerReferences.orValue([])) == 0
{{- end }}
{{- if kindIs "map" (get $nodes "finalizers") }}
- reason: Forbidden
  message: '{{ $violates }} node finalizers'
  expression: |-
    size(object.metadata.?finalizers.orValue([])) <= 256 &&
    object.metadata.?finalizers.orValue([]).all(name,
      {{ include "node-restriction-plus.matches" (list "name" ($nodes.finalizers.allowed | default list)) }})
{{- end }}
{{- if kindIs "map" (get $nodes "managedFields") }}
- reason: Forbidden
  message: '{{ $violates }} node managed fields'
  expression: |-
    size(object.metadata.?managedFields.orValue([])) <= 256 &&
    object.metadata.?managedFields.orValue([]).all(e, e.?operation.orValue('') != 'Apply')
{{- end }}
{{- end }}

{{- /* floorLabels: the same as policy/rules/node_labels.go at registration, given spec.nodes.labels. */ -}}
{{- define "node-restriction-plus.floorLabels" -}}
{{- $at := .registration | default dict -}}
{{- $allowed := $at.allowed | default list -}}
{{- $named := list -}}
{{- range $allowed }}{{ if not (regexMatch "^\\*+(=|$)" .) }}{{ $named = append $named . }}{{ end }}{{ end -}}
{{- $label := list "key" "object.metadata.labels[key]" -}}
size(object.metadata.?labels.orValue({})) <= 256 &&
object.metadata.?labels.orValue({}).all(key,
  key in {{ include "node-restriction-plus.computedLabels" . }} ||
  !({{ include "node-restriction-plus.matchesPair" (append $label ($at.denied | default list)) }}) && (
    {{- include "node-restriction-plus.reservedLabel" . | nindent 4 }} ?
    {{ include "node-restriction-plus.matchesPair" (append $label $named) }} :
    {{ if $allowed }}{{ include "node-restriction-plus.matchesPair" (append $label $allowed) }}{{ else }}true{{ end }})
) &&
{{- range $at.required }}
object.metadata.?labels.orValue({}).exists(key, {{ include "node-restriction-plus.matchesPair" (append $label (list .)) }}) &&
{{- end }}
object.metadata.?labels[?'kubernetes.io/hostname'].orValue(object.metadata.name).lowerAscii() == object.metadata.name.lowerAscii()
{{- end }}

{{- /*
floorTaints: the same as policy/rules/node_taints.go at registration, given spec.nodes.taints. Only a pattern that matches the key
out-of-service, and is not an asterisk, allows this taint.
*/ -}}
{{- define "node-restriction-plus.floorTaints" -}}
{{- $lists := concat (.allowed | default list) (.required | default list) -}}
{{- $outOfService := list "t.key != 'node.kubernetes.io/out-of-service'" -}}
{{- range $lists -}}
{{- $parts := list -}}
{{- range splitList "*" .key }}{{ $parts = append $parts (regexQuoteMeta .) }}{{ end -}}
{{- if and (not (regexMatch "^\\*+$" .key)) (regexMatch (printf "^%s$" (join ".*" $parts)) "node.kubernetes.io/out-of-service") -}}
{{- $outOfService = append $outOfService (include "node-restriction-plus.taint" .) -}}
{{- end -}}
{{- end -}}
{{- $each := list (printf "(%s)" (join " || " $outOfService)) -}}
{{- if .allowed -}}
{{- $may := list "t.effect == 'NoSchedule' && t.key in ['node.kubernetes.io/not-ready', 'node.cloudprovider.kubernetes.io/uninitialized']" -}}
{{- range $lists }}{{ $may = append $may (include "node-restriction-plus.taint" .) }}{{ end -}}
{{- $each = append $each (printf "(%s)" (join " ||\n  " $may)) -}}
{{- end -}}
{{- $parts := list "size(object.?spec.?taints.orValue([])) <= 256" -}}
{{- $parts = append $parts (printf "object.?spec.?taints.orValue([]).all(t,\n  %s)" (join " &&\n  " $each)) -}}
{{- range .required -}}
{{- $parts = append $parts (printf "object.?spec.?taints.orValue([]).exists(t, %s)" (include "node-restriction-plus.taint" .)) -}}
{{- end -}}
{{- join " &&\n" $parts -}}
{{- end }}

{{- /* taint: whether a pattern matches the taint t. */ -}}
{{- define "node-restriction-plus.taint" -}}
({{ include "node-restriction-plus.matches" (list "t.key" (list .key)) }}
{{- with .value }} && {{ include "node-restriction-plus.matches" (list "t.?value.orValue('')" (list .)) }}{{ end }}
{{- with .effect }} && t.effect == {{ toJson . }}{{ end }})
{{- end }}

{{- /*
matches: whether one of a list of patterns, the second argument, matches an expression, the first, as in policy/pattern: an asterisk
stands for any run of characters. Regular expressions are used only where needed, because they cost most. A JSON string is also a CEL
string.
*/ -}}
{{- define "node-restriction-plus.matches" -}}
{{- $text := index . 0 -}}
{{- $kinds := dict "exact" list "startsWith" list "endsWith" list "contains" list "matches" list -}}
{{- $any := false -}}
{{- range index . 1 -}}
{{- $inner := . | trimPrefix "*" | trimSuffix "*" -}}
{{- $kind := "matches" -}}
{{- if regexMatch "^\\*+$" . -}}{{- $any = true -}}
{{- else if not (contains "*" .) }}{{ $kind = "exact" -}}
{{- else if contains "*" $inner -}}
{{- $parts := list -}}
{{- range splitList "*" . }}{{ $parts = append $parts (regexQuoteMeta .) }}{{ end -}}
{{- $inner = join ".*" $parts -}}
{{- else if not (hasPrefix "*" .) }}{{ $kind = "startsWith" -}}
{{- else if not (hasSuffix "*" .) }}{{ $kind = "endsWith" -}}
{{- else }}{{ $kind = "contains" -}}
{{- end -}}
{{- $_ := set $kinds $kind (append (get $kinds $kind) $inner) -}}
{{- end -}}
{{- $either := list -}}
{{- with $kinds.exact }}{{ $either = append $either (printf "%s in %s" $text (toJson .)) }}{{ end -}}
{{- range $kind := list "startsWith" "endsWith" "contains" -}}
{{- with get $kinds $kind }}{{ $either = append $either (printf "%s.exists(p, %s.%s(p))" (toJson .) $text $kind) }}{{ end -}}
{{- end -}}
{{- with $kinds.matches }}{{ $either = append $either (printf "%s.matches(%s)" $text (printf "^(?s:%s)$" (join "|" .) | toJson)) }}{{ end -}}
{{- if $any }}{{ $either = list "true" }}{{ end -}}
{{- if not $either }}{{ $either = list "false" }}{{ end -}}
({{ join " || " $either }})
{{- end }}

{{- /*
matchesPair: whether the expressions of a key and its value, the first and second of three, are matched by one of a list of patterns, the
third, as in policy/pattern/keyvalue.go: what stands behind the first = of a pattern is a pattern on the value.
*/ -}}
{{- define "node-restriction-plus.matchesPair" -}}
{{- $key := index . 0 -}}
{{- $value := index . 1 -}}
{{- $keys := list -}}
{{- $values := dict -}}
{{- range index . 2 -}}
{{- if contains "=" . -}}
{{- $pair := splitn "=" 2 . -}}
{{- $_ := set $values $pair._0 (append (get $values $pair._0 | default list) $pair._1) -}}
{{- else -}}
{{- $keys = append $keys . -}}
{{- end -}}
{{- end -}}
{{- $either := list (include "node-restriction-plus.matches" (list $key $keys)) -}}
{{- range $pattern, $list := $values -}}
{{- $either = append $either (printf "%s && %s" (include "node-restriction-plus.matches" (list $key (list $pattern)))
  (include "node-restriction-plus.matches" (list $value $list))) -}}
{{- end -}}
({{ join " || " $either }})
{{- end }}

{{- /* computedLabels: the labels that every kubelet computes itself, as in policy/rules/kubelet_keys.go. */ -}}
{{- define "node-restriction-plus.computedLabels" -}}
['kubernetes.io/hostname', 'kubernetes.io/os', 'kubernetes.io/arch', 'beta.kubernetes.io/os', 'beta.kubernetes.io/arch',
    'node.kubernetes.io/windows-build']
{{- end }}

{{- /* reservedLabel: whether Kubernetes reserves key, as in policy/rules/kubelet_keys.go. A valid key has at most one slash. */ -}}
{{- define "node-restriction-plus.reservedLabel" -}}
(key.startsWith('kubernetes.io/') || key.contains('.kubernetes.io/') ||
  key.startsWith('k8s.io/') || key.contains('.k8s.io/')) &&
!(key in {{ include "node-restriction-plus.kubeletLabels" . }} ||
  key.startsWith('kubelet.kubernetes.io/') || key.contains('.kubelet.kubernetes.io/') ||
  key.startsWith('node.kubernetes.io/') || key.contains('.node.kubernetes.io/'))
{{- end }}
