{{- /*
Match conditions decide, in the API server, which writes cost a call and, by the failurePolicy of their webhook, what happens
to a write while no replica answers. They draw the line between the two policies: Fail only where no stock kubelet ever goes,
Ignore where it does.

Each is total: where a field may be missing it says what then holds (?. and orValue), because an error in a condition counts
as a failure of the webhook. Of request, subResource, namespace and name do not exist when they are empty.

A write meets the conditions of at most one webhook, so that one denial has one record: status holds only where gate does not.
Going through a list or a map takes the API server time that grows with its square, and a condition that it gives up on is
passed over where the webhook is Ignore. So a list or map that is longer than any kubelet's is looked at, without going through.
*/ -}}

{{- /* kubelet: who writes is a kubelet. */ -}}
{{- define "node-restriction-plus.kubelet" -}}
request.userInfo.?username.orValue('').startsWith('system:node:')
{{- end }}

{{- /*
notOwnPods: the write is no update of one of the program's own pods by the kubelet of its node, so that their rollout never waits
for the program itself. Creating a pod is not exempt, or a mirror pod could become an endpoint of the program's Service; nor is a
mirror pod, which a kubelet might name so, and have become one later.
*/ -}}
{{- define "node-restriction-plus.notOwnPods" -}}
request.resource.resource != 'pods' || request.operation == 'CREATE' ||
request.?namespace.orValue('') != '{{ .Release.Namespace }}' ||
!request.?name.orValue('').startsWith('{{ .Chart.Name }}-') ||
'kubernetes.io/config.mirror' in oldObject.metadata.?annotations.orValue({}) ||
oldObject.?spec.?nodeName.orValue('') == '' ||
{{ include "node-restriction-plus.foreignPod" . }}
{{- end }}

{{- /* gate: what no stock kubelet ever writes. */ -}}
{{- define "node-restriction-plus.gate" -}}
request.operation == 'DELETE' && request.resource.resource == 'pods' ? (
  {{- include "node-restriction-plus.gatePodDeletion" . | nindent 2 }}
) : request.?subResource.orValue('') != 'status' ||
(request.resource.resource == 'pods' ? (
  {{- include "node-restriction-plus.gatePodStatus" . | nindent 2 }}
) : (
  {{ include "node-restriction-plus.foreignNode" . }} ||
  ({{ include "node-restriction-plus.nodeChanges" . | nindent 4 }}
  ) && !({{ include "node-restriction-plus.nodeOwn" . | nindent 4 }}
  )
))
{{- end }}

{{- /*
status: what a stock kubelet writes, too, where a rule looks at it. A heartbeat is not. Of a Node it is written so that a heartbeat
has its metadata compared only once more than for gate: nearly all that an API server evaluates are heartbeats.
*/ -}}
{{- define "node-restriction-plus.status" -}}
request.operation == 'DELETE' ? !(
  {{- include "node-restriction-plus.gatePodDeletion" . | nindent 2 }}
) : request.resource.resource == 'pods' ? !(
  {{- include "node-restriction-plus.gatePodStatus" . | nindent 2 }}
) && (
  {{- include "node-restriction-plus.podStatusChanges" . | nindent 2 }}
) : !({{ include "node-restriction-plus.foreignNode" . }}) && (
({{ include "node-restriction-plus.nodeChanges" . | nindent 2 }}
) ? (
  {{- include "node-restriction-plus.nodeOwn" . | nindent 2 }}
) : (
  {{- include "node-restriction-plus.nodeStatusChanges" . | nindent 2 }}
))
{{- end }}

{{- /* gatePodDeletion: the pod is on another node, or nobody has asked for its end. */ -}}
{{- define "node-restriction-plus.gatePodDeletion" -}}
{{ include "node-restriction-plus.foreignPod" . }} ||
!(has(oldObject.metadata.deletionTimestamp) ||
  'kubernetes.io/config.mirror' in oldObject.metadata.?annotations.orValue({}))
{{- end }}

{{- /* gatePodStatus: the pod is on another node, or more of it changes than its status. */ -}}
{{- define "node-restriction-plus.gatePodStatus" -}}
{{ include "node-restriction-plus.foreignPod" . }} ||
{{ include "node-restriction-plus.podChanges" . }}
{{- end }}

{{- /* foreignNode: the Node is another one's. */ -}}
{{- define "node-restriction-plus.foreignNode" -}}
'system:node:' + request.?name.orValue('') != request.userInfo.username
{{- end }}

{{- /* foreignPod: the pod is on another node. */ -}}
{{- define "node-restriction-plus.foreignPod" -}}
'system:node:' + oldObject.?spec.?nodeName.orValue('') != request.userInfo.username
{{- end }}

{{- /*
nodeStatusChanges: the write changes what rules look at in the status of a Node. The conditions of others are compared as a
list: one that is moved costs a call and no more.
*/ -}}
{{- define "node-restriction-plus.nodeStatusChanges" -}}
{{- range list "addresses" "capacity" "allocatable" "daemonEndpoints" "images" "volumesInUse" "volumesAttached" "nodeInfo"
  "declaredFeatures" "phase" "config" -}}
object.?status.?{{ . }} != oldObject.?status.?{{ . }} ||
{{ end -}}
size(object.?status.?conditions.orValue([])) > 64 || size(oldObject.?status.?conditions.orValue([])) > 64 ||
object.?status.?conditions.orValue([]).filter(c, !(c.type in {{ include "node-restriction-plus.nodeConditions" . }})) !=
oldObject.?status.?conditions.orValue([]).filter(c, !(c.type in {{ include "node-restriction-plus.nodeConditions" . }}))
{{- end }}

{{- /* podStatusChanges: the write changes what rules look at in the status of a pod. */ -}}
{{- define "node-restriction-plus.podStatusChanges" -}}
{{- range list "podIP" "podIPs" "hostIP" "hostIPs" "resourceClaimStatuses" "extendedResourceClaimStatus"
  "nodeAllocatableResourceClaimStatuses" -}}
object.?status.?{{ . }} != oldObject.?status.?{{ . }} ||
{{ end -}}
{{- range list "containerStatuses" "initContainerStatuses" "ephemeralContainerStatuses" -}}
size(object.?status.?{{ . }}.orValue([])) != size(oldObject.?status.?{{ . }}.orValue([])) ||
size(object.?status.?{{ . }}.orValue([])) > 128 ||
object.?status.?{{ . }}.orValue([]).map(c, c.name) != oldObject.?status.?{{ . }}.orValue([]).map(c, c.name) ||
{{ end -}}
oldObject.?status.?phase.orValue('') in ['Succeeded', 'Failed'] && object.?status.?phase != oldObject.?status.?phase ||
size(object.?status.?conditions.orValue([])) > 64 || size(oldObject.?status.?conditions.orValue([])) > 64 ||
object.?status.?conditions.orValue([]).filter(c, !(c.type in {{ include "node-restriction-plus.podConditions" . }})) !=
oldObject.?status.?conditions.orValue([]).filter(c, !(c.type in {{ include "node-restriction-plus.podConditions" . }}))
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

{{- /* podChanges: the write changes what rules look at in a Pod. A kubelet's own status updates do not. */ -}}
{{- define "node-restriction-plus.podChanges" -}}
object.metadata.?labels.orValue({}) != oldObject.metadata.?labels.orValue({}) ||
object.metadata.?annotations.orValue({}) != oldObject.metadata.?annotations.orValue({}) ||
object.metadata.?finalizers.orValue([]) != oldObject.metadata.?finalizers.orValue([])
{{- end }}

{{- /* nodeChanges: the write changes what rules look at in a Node. A heartbeat does not. */ -}}
{{- define "node-restriction-plus.nodeChanges" -}}
object.metadata.?labels.orValue({}) != oldObject.metadata.?labels.orValue({}) ||
object.metadata.?annotations.orValue({}) != oldObject.metadata.?annotations.orValue({}) ||
object.metadata.?finalizers.orValue([]) != oldObject.metadata.?finalizers.orValue([]) ||
object.metadata.?ownerReferences.orValue([]) != oldObject.metadata.?ownerReferences.orValue([])
{{- end }}

{{- /*
nodeOwn: of the Node's metadata nothing changes but what a stock kubelet writes there: the labels and annotations that it
manages, and labels that it adds as it registers a CSI driver, which chooses their keys. Going through the keys of a map takes
the API server time that grows with their square (cel-go's account of what an evaluation costs), so a Node with more keys than
any Node has is nobody's own: the program looks at it.
*/ -}}
{{- define "node-restriction-plus.nodeOwn" -}}
size(object.metadata.?labels.orValue({})) <= 512 && size(oldObject.metadata.?labels.orValue({})) <= 512 &&
size(object.metadata.?annotations.orValue({})) <= 512 && size(oldObject.metadata.?annotations.orValue({})) <= 512 &&
object.metadata.?finalizers.orValue([]) == oldObject.metadata.?finalizers.orValue([]) &&
object.metadata.?ownerReferences.orValue([]) == oldObject.metadata.?ownerReferences.orValue([]) &&
object.metadata.?labels.orValue({}).all(key,
  object.metadata.?labels[?key] == oldObject.metadata.?labels[?key] ||
  key in {{ include "node-restriction-plus.kubeletLabels" . }} ||
  !(key in oldObject.metadata.?labels.orValue({})) &&
  object.metadata.?annotations[?{{ include "node-restriction-plus.csiDrivers" . }}].hasValue() &&
  object.metadata.?annotations[?{{ include "node-restriction-plus.csiDrivers" . }}] !=
  oldObject.metadata.?annotations[?{{ include "node-restriction-plus.csiDrivers" . }}]
) &&
oldObject.metadata.?labels.orValue({}).all(key,
  key in object.metadata.?labels.orValue({}) ||
  key in {{ include "node-restriction-plus.kubeletLabels" . }}
) &&
object.metadata.?annotations.orValue({}).all(key,
  object.metadata.?annotations[?key] == oldObject.metadata.?annotations[?key] ||
  key in {{ include "node-restriction-plus.kubeletAnnotations" . }}
) &&
oldObject.metadata.?annotations.orValue({}).all(key,
  key in object.metadata.?annotations.orValue({}) ||
  key in {{ include "node-restriction-plus.kubeletAnnotations" . }}
)
{{- end }}

{{- /* kubeletLabels: the labels that a kubelet sets and repairs after registration. */ -}}
{{- define "node-restriction-plus.kubeletLabels" -}}
['kubernetes.io/hostname', 'kubernetes.io/os', 'kubernetes.io/arch', 'beta.kubernetes.io/os', 'beta.kubernetes.io/arch',
    'node.kubernetes.io/windows-build', 'node.kubernetes.io/instance-type', 'beta.kubernetes.io/instance-type',
    'topology.kubernetes.io/zone', 'topology.kubernetes.io/region',
    'failure-domain.beta.kubernetes.io/zone', 'failure-domain.beta.kubernetes.io/region']
{{- end }}

{{- /* kubeletAnnotations: the annotations that a kubelet sets and removes. */ -}}
{{- define "node-restriction-plus.kubeletAnnotations" -}}
['volumes.kubernetes.io/controller-managed-attach-detach', 'alpha.kubernetes.io/provided-node-ip',
    {{ include "node-restriction-plus.csiDrivers" . }}]
{{- end }}

{{- /* csiDrivers: the annotation in which a kubelet names its CSI drivers, with the node's ID for each. */ -}}
{{- define "node-restriction-plus.csiDrivers" -}}
'csi.volume.kubernetes.io/nodeid'
{{- end }}
