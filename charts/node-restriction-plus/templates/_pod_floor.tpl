{{- /*
The floor under pods. A kubelet copies quantities from the spec of a pod to its status, so gate must let those pass. If a tenant could
create a pod with a quantity that the API server needs seconds to print, every review of that pod would be late, and whatever the
kubelet of its node writes about it would pass without evaluation. So nobody may create one. It applies to all clients, and therefore
its failurePolicy is Ignore: an evaluation that exceeds the budget refuses nothing.
*/ -}}

{{- /* podFloorEnabled: whether there is a floor under pods. */ -}}
{{- define "node-restriction-plus.podFloorEnabled" -}}
{{- if and .Values.floor.enabled .Values.floor.pods (ne .Values.profile "observe") }}true{{ end -}}
{{- end }}

{{- define "node-restriction-plus.podFloorName" -}}
{{- .Chart.Name }}.pod-quantities
{{- end }}

{{- /* podFloor: policy and binding, given a list of the root context and the suffix of the name. */ -}}
{{- define "node-restriction-plus.podFloor" -}}
{{- $root := index . 0 -}}
{{- $name := printf "%s%s" (include "node-restriction-plus.podFloorName" $root) (index . 1) -}}
{{- include "node-restriction-plus.policyAndBinding" (list $root $name (include "node-restriction-plus.podFloorSpec" $root)) -}}
{{- end }}

{{- define "node-restriction-plus.podFloorSpec" -}}
failurePolicy: Ignore
matchConstraints:
  matchPolicy: Equivalent
  resourceRules:
  - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods], scope: Namespaced}
  - {apiGroups: [""], apiVersions: [v1], operations: [UPDATE], resources: [pods/resize], scope: Namespaced}
validations:
- reason: Forbidden
  message: 'NodeRestriction-plus: a quantity must not have more than 64 characters or an exponent of more than three digits'
  expression: |-
    {{- include "node-restriction-plus.podSpecQuantities" . | nindent 4 }}
{{- end }}

{{- /* podSpecQuantities: every quantity in the spec of a pod is cheap. The API server allows only a few values for a divisor. */ -}}
{{- define "node-restriction-plus.podSpecQuantities" -}}
[object.spec.?containers.orValue([]), object.spec.?initContainers.orValue([]), object.spec.?ephemeralContainers.orValue([])
].all(l, l.all(c, [c.?resources.?requests.orValue({}), c.?resources.?limits.orValue({})
].all(m, m.all(k, !({{ include "node-restriction-plus.expensive" "m[k]" }}))))) &&
[object.spec.?overhead.orValue({}), object.spec.?resources.?requests.orValue({}), object.spec.?resources.?limits.orValue({})
].all(m, m.all(k, !({{ include "node-restriction-plus.expensive" "m[k]" }}))) &&
object.spec.?volumes.orValue([]).all(v,
  !({{ include "node-restriction-plus.expensiveOrNull" "v.?emptyDir.?sizeLimit.orValue('')" }}) &&
  [v.?ephemeral.?volumeClaimTemplate.?spec.?resources.?requests.orValue({}),
    v.?ephemeral.?volumeClaimTemplate.?spec.?resources.?limits.orValue({})
  ].all(m, m.all(k, !({{ include "node-restriction-plus.expensive" "m[k]" }}))))
{{- end }}
