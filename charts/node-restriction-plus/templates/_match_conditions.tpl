{{- /*
The API server evaluates match conditions to decide which writes cost a call and, with the failurePolicy of their webhook, what
happens to a write while no replica answers. They separate the two failure policies: Fail only for writes that no stock kubelet makes,
Ignore for those that it makes.

Each condition is total: where a field may be missing, it has a default (?. and orValue), because an error in a condition counts as a
failure of the webhook. The fields subResource, namespace and name of request do not exist when they are empty.

A write matches the conditions of at most one webhook, so that one denial has one record: status and others match only where gate does
not.
The cost of iterating over a list or a map grows with the square of its size, and a condition that exceeds the budget is skipped if
the failurePolicy is Ignore. So a write with a list or map longer than any kubelet's is sent without iterating over it.
*/ -}}

{{- /* kubelet: the client is a kubelet. */ -}}
{{- define "node-restriction-plus.kubelet" -}}
request.userInfo.?username.orValue('').startsWith('system:node:')
{{- end }}

{{- /*
notOwnPods: the write is not a status update or a deletion of one of the webhook's own pods by the kubelet of its node, so that a
rollout never waits for the webhook itself. Creating a pod is not exempt, because a mirror pod could become an endpoint of the webhook's
Service. Mirror pods are not exempt either, because a kubelet could give one the name of such a pod and make it an endpoint later.
*/ -}}
{{- define "node-restriction-plus.notOwnPods" -}}
request.resource.resource != 'pods' || request.operation != 'DELETE' && request.?subResource.orValue('') != 'status' ||
request.?namespace.orValue('') != '{{ .Release.Namespace }}' ||
!request.?name.orValue('').startsWith('{{ .Chart.Name }}-') ||
{{ include "node-restriction-plus.mirrorPod" . }} ||
oldObject.?spec.?nodeName.orValue('') == '' ||
{{ include "node-restriction-plus.foreignPod" . }}
{{- end }}

{{- /* mirrorPod: the stored pod is a mirror pod. */ -}}
{{- define "node-restriction-plus.mirrorPod" -}}
'kubernetes.io/config.mirror' in oldObject.metadata.?annotations.orValue({})
{{- end }}

{{- /* podEnds: a pod becomes Succeeded or Failed. */ -}}
{{- define "node-restriction-plus.podEnds" -}}
object.?status.?phase.orValue('') in ['Succeeded', 'Failed'] && !(oldObject.?status.?phase.orValue('') in ['Succeeded', 'Failed'])
{{- end }}

{{- /* succeedsWhileRunning: a pod succeeds, and the same status says that a container runs. A kubelet never writes this. */ -}}
{{- define "node-restriction-plus.succeedsWhileRunning" -}}
{{ include "node-restriction-plus.podEnds" . }} && object.status.phase == 'Succeeded' &&
!({{ include "node-restriction-plus.mirrorPod" . }}) && (
  size(object.?status.?containerStatuses.orValue([])) > 128 ||
  object.?status.?containerStatuses.orValue([]).exists(c, c.?state.?running.hasValue())
)
{{- end }}

{{- /*
disrupts: the condition DisruptionTarget changes, and the pod does not end. In the write with which it ends a pod, a kubelet adds the
condition with its own reason, or changes one that there is.
*/ -}}
{{- define "node-restriction-plus.disrupts" -}}
size(object.?status.?conditions.orValue([])) <= 64 && size(oldObject.?status.?conditions.orValue([])) <= 64 &&
object.?status.?conditions.orValue([]).filter(c, c.type == 'DisruptionTarget') !=
oldObject.?status.?conditions.orValue([]).filter(c, c.type == 'DisruptionTarget') && !(
  {{ include "node-restriction-plus.podEnds" . }} &&
  object.?status.?conditions.orValue([]).exists(c, c.type == 'DisruptionTarget') && (
    oldObject.?status.?conditions.orValue([]).exists(c, c.type == 'DisruptionTarget') ||
    object.?status.?conditions.orValue([]).all(c, c.type != 'DisruptionTarget' || c.?reason.orValue('') == 'TerminationByKubelet'))
)
{{- end }}

{{- /* observesFuture: the status of a pod that is not a mirror pod observes more than the generation of the pod. */ -}}
{{- define "node-restriction-plus.observesFuture" -}}
object.status.?observedGeneration.orValue(0) > oldObject.metadata.?generation.orValue(0) &&
object.status.?observedGeneration != oldObject.status.?observedGeneration && !({{ include "node-restriction-plus.mirrorPod" . }})
{{- end }}

{{- /* conditionObservesFuture: the same of a condition. */ -}}
{{- define "node-restriction-plus.conditionObservesFuture" -}}
size(object.status.?conditions.orValue([])) <= 64 &&
object.status.?conditions.orValue([]).exists(c, c.?observedGeneration.orValue(0) > oldObject.metadata.?generation.orValue(0)) &&
object.status.?conditions != oldObject.status.?conditions && !({{ include "node-restriction-plus.mirrorPod" . }})
{{- end }}

{{- /*
ownershipGrows: the write gives a manager fields by server-side apply, which no kubelet uses: an entry of metadata.managedFields with
the operation Apply is new, or has another time. The API server sorts these entries to the front, with a resolution of a second. An entry
that changes within its second may have lost a field to an update, as a kubelet may cause; then the request has no fieldManager, which
server-side apply requires.
*/ -}}
{{- define "node-restriction-plus.ownershipGrows" -}}
object.metadata.?managedFields[?0].?operation.orValue('') == 'Apply' && (
  size(object.metadata.managedFields) > 64 || size(oldObject.metadata.?managedFields.orValue([])) > 64 ||
  object.metadata.managedFields.exists(e, e.?operation.orValue('') == 'Apply' &&
    !(e in oldObject.metadata.?managedFields.orValue([])) && (
      has(request.options) && request.options != null && request.options.?fieldManager.orValue('') != '' ||
      !oldObject.metadata.?managedFields.orValue([]).exists(o, o.?operation.orValue('') == 'Apply' && o.?time == e.?time &&
        o.?manager == e.?manager && o.?subresource == e.?subresource && o.?apiVersion == e.?apiVersion)))
)
{{- end }}

{{- /*
ownershipChanges: an entry with the operation Apply changes or disappears. An update may cause this, so the write goes to status,
unless ownership grows.
*/ -}}
{{- define "node-restriction-plus.ownershipChanges" -}}
(object.metadata.?managedFields[?0].?operation.orValue('') == 'Apply' ||
  oldObject.metadata.?managedFields[?0].?operation.orValue('') == 'Apply') &&
size(object.metadata.?managedFields.orValue([])) <= 64 && size(oldObject.metadata.?managedFields.orValue([])) <= 64 && (
  object.metadata.?managedFields.orValue([]).exists(e, e.?operation.orValue('') == 'Apply' &&
    !(e in oldObject.metadata.?managedFields.orValue([]))) ||
  oldObject.metadata.?managedFields.orValue([]).exists(e, e.?operation.orValue('') == 'Apply' &&
    !(e in object.metadata.?managedFields.orValue([])))
)
{{- end }}

{{- /* foreignPod: the pod is on another node. */ -}}
{{- define "node-restriction-plus.foreignPod" -}}
'system:node:' + oldObject.?spec.?nodeName.orValue('') != request.userInfo.username
{{- end }}

{{- /*
nodeStatusChanges: the write changes what rules read in the status of a Node. The conditions of other writers are compared as a list:
one that moves costs a call, and nothing else.
*/ -}}
{{- define "node-restriction-plus.nodeStatusChanges" -}}
has(object.status) && has(oldObject.status) ? (
{{- include "node-restriction-plus.differ" (list "status" "addresses" "capacity" "allocatable" "daemonEndpoints" "images" "volumesInUse"
  "volumesAttached" "nodeInfo" "declaredFeatures" "phase" "config") | nindent 2 }} ||
  {{- include "node-restriction-plus.conditionChanges" "node-restriction-plus.nodeConditions" | nindent 2 }}
) : has(object.status) != has(oldObject.status)
{{- end }}

{{- /*
differ: one of the named fields of a part of the object changes, given a list of the part and the names.
*/ -}}
{{- define "node-restriction-plus.differ" -}}
{{- $new := list -}}
{{- $old := list -}}
{{- $part := first . -}}
{{- range rest . -}}
{{- $new = append $new (printf "object.%s.?%s" $part .) -}}
{{- $old = append $old (printf "oldObject.%s.?%s" $part .) -}}
{{- end -}}
[{{ join ", " $new }}] !=
[{{ join ", " $old }}]
{{- end }}

{{- /* conditionChanges: conditions change that a kubelet does not write, given the name of the template that lists those that it writes. */ -}}
{{- define "node-restriction-plus.conditionChanges" -}}
size(object.status.?conditions.orValue([])) > 64 || size(oldObject.status.?conditions.orValue([])) > 64 ||
!(object.status.?conditions.orValue([]).all(c, c.type in {{ include . "" }}) &&
  oldObject.status.?conditions.orValue([]).all(c, c.type in {{ include . "" }})) &&
object.status.?conditions.orValue([]).filter(c, !(c.type in {{ include . "" }})) !=
oldObject.status.?conditions.orValue([]).filter(c, !(c.type in {{ include . "" }}))
{{- end }}

{{- /*
ordinaryConditions: the pod has and had only conditions that a kubelet writes, without DisruptionTarget, and none observes the future. Then
nothing else about conditions needs to be evaluated.
*/ -}}
{{- define "node-restriction-plus.ordinaryConditions" -}}
size(object.status.?conditions.orValue([])) <= 64 && size(oldObject.status.?conditions.orValue([])) <= 64 &&
object.status.?conditions.orValue([]).all(c, c.type != 'DisruptionTarget' && c.type in {{ include "node-restriction-plus.podConditions" . }} &&
  c.?observedGeneration.orValue(0) <= oldObject.metadata.?generation.orValue(0)) &&
oldObject.status.?conditions.orValue([]).all(c, c.type != 'DisruptionTarget' && c.type in {{ include "node-restriction-plus.podConditions" . }})
{{- end }}

{{- /* podStatusChanges: the write changes what rules read in the status of a pod. */ -}}
{{- define "node-restriction-plus.podStatusChanges" -}}
has(object.status) && has(oldObject.status) ? (
{{- include "node-restriction-plus.differ" (list "status" "podIP" "podIPs" "hostIP" "hostIPs" "resourceClaimStatuses"
  "extendedResourceClaimStatus" "nodeAllocatableResourceClaimStatuses") | nindent 2 }} ||
{{- range list "containerStatuses" "initContainerStatuses" "ephemeralContainerStatuses" }}
  object.status.?{{ . }} != oldObject.status.?{{ . }} && (
    size(object.status.?{{ . }}.orValue([])) != size(oldObject.status.?{{ . }}.orValue([])) ||
    size(object.status.?{{ . }}.orValue([])) > 128 ||
    object.status.?{{ . }}.orValue([]).map(c, c.name) != oldObject.status.?{{ . }}.orValue([]).map(c, c.name)) ||
{{- end }}
  oldObject.status.?phase.orValue('') in ['Succeeded', 'Failed'] && object.status.?phase != oldObject.status.?phase ||
  {{- include "node-restriction-plus.observesFuture" . | nindent 2 }} ||
  !({{- include "node-restriction-plus.ordinaryConditions" . | nindent 4 }}
  ) && (
    {{- include "node-restriction-plus.conditionObservesFuture" . | nindent 4 }} ||
    {{- include "node-restriction-plus.conditionChanges" "node-restriction-plus.podConditions" | nindent 4 }} ||
    {{- include "node-restriction-plus.disrupts" . | nindent 4 }}
  )
) : has(object.status) != has(oldObject.status)
{{- end }}

{{- /* nodeConditions: the conditions of a Node that a kubelet writes. */ -}}
{{- define "node-restriction-plus.nodeConditions" -}}
['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure']
{{- end }}

{{- /* podConditions: the conditions of a pod that a kubelet writes. */ -}}
{{- define "node-restriction-plus.podConditions" -}}
['PodScheduled', 'Initialized', 'ContainersReady', 'Ready', 'PodReadyToStartContainers',
    'PodResizePending', 'PodResizeInProgress', 'AllContainersRestarting', 'DisruptionTarget']
{{- end }}

{{- /* podChanges: the write changes what rules read in a pod. A kubelet's own status updates do not. */ -}}
{{- define "node-restriction-plus.podChanges" -}}
{{ include "node-restriction-plus.differ" (list "metadata" "labels" "annotations" "finalizers") }}
{{- end }}

{{- /* nodeChanges: the write changes what rules read in a Node. A heartbeat does not. */ -}}
{{- define "node-restriction-plus.nodeChanges" -}}
{{ include "node-restriction-plus.differ" (list "metadata" "labels" "annotations" "finalizers" "ownerReferences") }}
{{- end }}
