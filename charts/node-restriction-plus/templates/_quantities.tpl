{{- /*
Quantities. The time that an API server needs to print a quantity grows with the square of its exponent or its digits, and can be
longer than the timeout of any webhook. A write that passes when a webhook does not answer in time must have no such quantity. So a write
with a quantity that is not cheap, as policy/pattern defines it, goes to gate.

A stock kubelet copies to the status of a pod what a tenant wrote into its spec. So in a pod or a claim, only a text that the spec does
not have counts. Lists and maps have bounds, within which a condition costs at most half of its budget; longer ones go to gate without
iterating over them. A test knows every field with a quantity, and the cost of the bounds.
*/ -}}

{{- /* expensive: the text, given as an expression, is not cheap: it has more than 64 characters, or an exponent of four digits. */ -}}
{{- define "node-restriction-plus.expensive" -}}
{{ . }}.matches('[eE][+-]?[0-9]{4}|.{65}')
{{- end }}

{{- /* expensiveOrNull: the same for a field that may be null. */ -}}
{{- define "node-restriction-plus.expensiveOrNull" -}}
{{ . }} != null && {{ include "node-restriction-plus.expensive" . }}
{{- end }}

{{- /* plain: a kubelet could print the text for its own Node: it has at most 20 characters and no exponent. */ -}}
{{- define "node-restriction-plus.plain" -}}
size({{ . }}) <= 20 && !{{ . }}.matches('[eE][+-]?[0-9]')
{{- end }}

{{- /* storedNodeQuantities: the stored status of a Node has a quantity that is not cheap. */ -}}
{{- define "node-restriction-plus.storedNodeQuantities" -}}
{{- range $i, $field := list "capacity" "allocatable" }}
{{- if $i }} ||
{{ end -}}
size(oldObject.?status.?{{ $field }}.orValue({})) > 256 ||
oldObject.?status.?{{ $field }}.orValue({}).exists(k, {{ include "node-restriction-plus.expensive" (printf "oldObject.status.%s[k]" $field) }})
{{- end }}
{{- end }}

{{- /* newNodeQuantities: the status of a Node that the write brings has a quantity that is new and not plain. */ -}}
{{- define "node-restriction-plus.newNodeQuantities" -}}
{{- range $i, $field := list "capacity" "allocatable" }}
{{- if $i }} ||
{{ end -}}
object.?status.?{{ $field }} != oldObject.?status.?{{ $field }} && (
  size(object.?status.?{{ $field }}.orValue({})) > 256 ||
  object.?status.?{{ $field }}.orValue({}).exists(k,
    !({{ include "node-restriction-plus.plain" (printf "object.status.%s[k]" $field) }}) &&
    object.status.{{ $field }}[k] != oldObject.?status.?{{ $field }}[?k].orValue(''))
)
{{- end }}
{{- end }}

{{- /* registrationQuantities: a Node that is created has plain quantities only. */ -}}
{{- define "node-restriction-plus.registrationQuantities" -}}
[object.?status.?capacity.orValue({}), object.?status.?allocatable.orValue({})].all(m,
  size(m) <= 256 && m.all(k, {{ include "node-restriction-plus.plain" "m[k]" }}))
{{- end }}

{{- /* podStatusQuantities: the status of a pod, written or stored, has a quantity that is not cheap and not in the spec. */ -}}
{{- define "node-restriction-plus.podStatusQuantities" -}}
{{ include "node-restriction-plus.storedPodQuantities" . }} || (
{{- range list "containerStatuses" "initContainerStatuses" "ephemeralContainerStatuses" "allocatedResources" "resources" }}
  object.?status.?{{ . }} != oldObject.?status.?{{ . }} ||
{{- end }}
  object.?status.?nodeAllocatableResourceClaimStatuses != oldObject.?status.?nodeAllocatableResourceClaimStatuses
) && (
  {{- include "node-restriction-plus.podQuantities" (list "object" "status") | nindent 2 }}
)
{{- end }}

{{- /* storedPodQuantities: the stored status of a pod has such a quantity. */ -}}
{{- define "node-restriction-plus.storedPodQuantities" -}}
{{ include "node-restriction-plus.podQuantities" (list "oldObject" "status") }}
{{- end }}

{{- /*
podUpdateQuantities: the update of a pod, or of a subresource that changes its spec, brings such a quantity. Volumes and overhead
cannot change, nor can the divisors of a container, which have only a few values.
*/ -}}
{{- define "node-restriction-plus.podUpdateQuantities" -}}
object.?spec.?volumes != oldObject.?spec.?volumes || object.?spec.?overhead != oldObject.?spec.?overhead ||
{{ include "node-restriction-plus.podQuantities" (list "object" "spec") }} ||
{{ include "node-restriction-plus.podStatusQuantities" . }}
{{- end }}

{{- /* podQuantities: whether an object, the first of two, has such a quantity in its spec or in its status, the second. */ -}}
{{- define "node-restriction-plus.podQuantities" -}}
{{ include "node-restriction-plus.containerQuantities" . }} ||
{{ include "node-restriction-plus.wholePodQuantities" . }}
{{- end }}

{{- /* containerQuantities: the same in the containers. */ -}}
{{- define "node-restriction-plus.containerQuantities" -}}
{{- $at := printf "%s.?%s" (index . 0) (index . 1) -}}
{{- $lists := list "containers" "initContainers" "ephemeralContainers" -}}
{{- if eq (index . 1) "status" }}{{ $lists = list "containerStatuses" "initContainerStatuses" "ephemeralContainerStatuses" }}{{ end -}}
{{- $all := list -}}
{{- $sizes := list -}}
{{- range $lists -}}
{{- $all = append $all (printf "%s.?%s.orValue([])" $at .) -}}
{{- $sizes = append $sizes (printf "size(%s.?%s.orValue([]))" $at .) -}}
{{- end -}}
{{ join " + " $sizes }} > 128 ||
[{{ join ", " $all }}].exists(l, l.exists(c,
  [c.?allocatedResources.orValue({}), c.?resources.?requests.orValue({}), c.?resources.?limits.orValue({})].exists(m,
    size(m) > 16 || m.exists(k, {{ include "node-restriction-plus.expensive" "m[k]" }} && (
      {{ join " + " $sizes }} > 8 ||
      ![oldObject.?spec.?containers.orValue([]), oldObject.?spec.?initContainers.orValue([]),
        oldObject.?spec.?ephemeralContainers.orValue([])].exists(s, size(s) <= 8 && s.exists(t, t.?name == c.?name && (
          t.?resources.?requests[?k].orValue('') == m[k] || t.?resources.?limits[?k].orValue('') == m[k]))))
    ))))
{{- end }}

{{- /* wholePodQuantities: the same outside of containers. */ -}}
{{- define "node-restriction-plus.wholePodQuantities" -}}
{{- $at := printf "%s.?%s" (index . 0) (index . 1) -}}
({{ $at }}.?allocatedResources.hasValue() || {{ $at }}.?resources.hasValue()) &&
[{{ $at }}.?allocatedResources.orValue({}), {{ $at }}.?resources.?requests.orValue({}),
  {{ $at }}.?resources.?limits.orValue({})].exists(m,
  size(m) > 16 || m.exists(k, {{ include "node-restriction-plus.expensive" "m[k]" }} &&
    oldObject.?spec.?resources.?requests[?k].orValue('') != m[k] &&
    oldObject.?spec.?resources.?limits[?k].orValue('') != m[k]))
{{- if eq (index . 1) "status" }} ||
has({{ index . 0 }}.status) && has({{ index . 0 }}.status.nodeAllocatableResourceClaimStatuses) && (
  size({{ index . 0 }}.status.nodeAllocatableResourceClaimStatuses) > 16 ||
  {{ index . 0 }}.status.nodeAllocatableResourceClaimStatuses.exists(c,
    size(c.?resources.orValue({})) > 16 || size(c.?mapping.orValue([])) > 16 || size(c.?overhead.orValue([])) > 16 ||
    c.?resources.orValue({}).exists(k, {{ include "node-restriction-plus.expensive" "c.resources[k]" }}) ||
    c.?mapping.orValue([]).exists(r, {{ include "node-restriction-plus.expensiveOrNull" "r.?quantity.orValue('')" }}) ||
    c.?overhead.orValue([]).exists(r, [r.?perPod.orValue(''), r.?perContainer.orValue('')].exists(q,
      {{ include "node-restriction-plus.expensiveOrNull" "q" }})))
)
{{- end }}
{{- end }}

{{- /*
claimQuantities: a write of a PersistentVolumeClaim, or of its status, has a quantity that is not cheap and not in the stored spec.
*/ -}}
{{- define "node-restriction-plus.claimQuantities" -}}
request.operation != 'DELETE' &&
[object.?spec.?resources.?requests.orValue({}), object.?spec.?resources.?limits.orValue({}),
  object.?status.?capacity.orValue({}), object.?status.?allocatedResources.orValue({})].exists(m,
  size(m) > 16 || m.exists(k, {{ include "node-restriction-plus.expensive" "m[k]" }} && (
    request.operation == 'CREATE' ||
    oldObject.?spec.?resources.?requests[?k].orValue('') != m[k] &&
    oldObject.?spec.?resources.?limits[?k].orValue('') != m[k]))) ||
request.operation != 'CREATE' &&
[oldObject.?status.?capacity.orValue({}), oldObject.?status.?allocatedResources.orValue({})].exists(m,
  size(m) > 16 || m.exists(k, {{ include "node-restriction-plus.expensive" "m[k]" }} &&
    oldObject.?spec.?resources.?requests[?k].orValue('') != m[k] &&
    oldObject.?spec.?resources.?limits[?k].orValue('') != m[k]))
{{- end }}

{{- /*
sliceQuantities: a write of a ResourceSlice has a quantity that is not cheap, or has devices as in v1beta1 (basic), whose quantities are
elsewhere. It has no status.
*/ -}}
{{- define "node-restriction-plus.sliceQuantities" -}}
request.operation != 'DELETE' && (
  size(object.?spec.?devices.orValue([])) > 128 || size(object.?spec.?sharedCounters.orValue([])) > 8 ||
  object.?spec.?sharedCounters.orValue([]).exists(s, {{ include "node-restriction-plus.counters" "s" }}) ||
  object.?spec.?devices.orValue([]).exists(d, d.?basic.hasValue() ||
    size(d.?capacity.orValue({})) > (size(object.spec.devices) > 64 ? 4 : 8) ||
    size(d.?consumesCounters.orValue([])) > (size(object.spec.devices) > 64 ? 1 : 2) ||
    size(d.?nodeAllocatableResources.orValue({})) > 4 ||
    d.?consumesCounters.orValue([]).exists(s, {{ include "node-restriction-plus.counters" "s" }}) ||
    d.?capacity.orValue({}).exists(k,
      {{ include "node-restriction-plus.expensive" "d.capacity[k].?value.orValue('')" }} ||
      d.capacity[k].?requestPolicy.hasValue() && (
        size(d.capacity[k].requestPolicy.?validValues.orValue([])) > 10 ||
        d.capacity[k].requestPolicy.?validValues.orValue([]).exists(q, {{ include "node-restriction-plus.expensiveOrNull" "q" }}) ||
        [d.capacity[k].requestPolicy.?default.orValue(''), d.capacity[k].requestPolicy.?validRange.?min.orValue(''),
          d.capacity[k].requestPolicy.?validRange.?max.orValue(''), d.capacity[k].requestPolicy.?validRange.?step.orValue('')
        ].exists(q, {{ include "node-restriction-plus.expensiveOrNull" "q" }}))) ||
    d.?nodeAllocatableResources.orValue({}).exists(k,
      [d.nodeAllocatableResources[k].?mapping.?capacityMultiplier.orValue(''),
        d.nodeAllocatableResources[k].?mapping.?deviceMultiplier.orValue(''),
        d.nodeAllocatableResources[k].?overhead.?perPod.orValue(''),
        d.nodeAllocatableResources[k].?overhead.?perContainer.orValue('')
      ].exists(q, {{ include "node-restriction-plus.expensiveOrNull" "q" }})))
)
{{- end }}

{{- /* counters: a set of counters has a quantity that is not cheap. */ -}}
{{- define "node-restriction-plus.counters" -}}
size({{ . }}.?counters.orValue({})) > 32 ||
      {{ . }}.?counters.orValue({}).exists(k, {{ include "node-restriction-plus.expensive" (printf "%s.counters[k].?value.orValue('')" .) }})
{{- end }}
