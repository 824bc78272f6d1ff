{{- /*
Match conditions decide, in the API server, which writes cost a call and, by the failurePolicy of their webhook, what happens
to a write while no replica answers. They draw the line between the two policies: Fail only where no stock kubelet ever goes,
Ignore where it does.

Each is total: where a field may be missing it says what then holds (?. and orValue), because an error in a condition counts
as a failure of the webhook. Of request, subResource, namespace and name do not exist when they are empty.

A write meets the conditions of at most one webhook, so that one denial has one record: status and others hold only where gate does
not.
Going through a list or a map takes the API server time that grows with its square, and a condition that it gives up on is
passed over where the webhook is Ignore. So a list or map that is longer than any kubelet's is looked at, without going through.
*/ -}}

{{- /* kubelet: who writes is a kubelet. */ -}}
{{- define "node-restriction-plus.kubelet" -}}
request.userInfo.?username.orValue('').startsWith('system:node:')
{{- end }}

{{- /*
notOwnPods: the write is no update of one of the program's own pods by the kubelet of its node, so that their rollout never waits
for the program itself: of its status, or its deletion. Creating a pod is not exempt, or a mirror pod could become an endpoint of the
program's Service; nor is a mirror pod, which a kubelet might name so, and have become one later.
*/ -}}
{{- define "node-restriction-plus.notOwnPods" -}}
request.resource.resource != 'pods' || request.operation != 'DELETE' && request.?subResource.orValue('') != 'status' ||
request.?namespace.orValue('') != '{{ .Release.Namespace }}' ||
!request.?name.orValue('').startsWith('{{ .Chart.Name }}-') ||
'kubernetes.io/config.mirror' in oldObject.metadata.?annotations.orValue({}) ||
oldObject.?spec.?nodeName.orValue('') == '' ||
{{ include "node-restriction-plus.foreignPod" . }}
{{- end }}

{{- /*
gate: what no stock kubelet ever writes. Of the resources that others sends, too, only quantities go here. Since the API server
evaluates every condition whoever writes, who is no kubelet is let go at once.
*/ -}}
{{- define "node-restriction-plus.gate" -}}
{{ include "node-restriction-plus.kubelet" . }} && (
request.resource.resource == 'nodes' ? (
  request.?subResource.orValue('') != 'status' ||
  {{- include "node-restriction-plus.gateNodeStatus" . | nindent 2 }}
) : request.resource.resource == 'pods' && request.operation == 'DELETE' ? (
  {{- include "node-restriction-plus.gatePodDeletion" . | nindent 2 }}
) : request.resource.resource == 'pods' && request.?subResource.orValue('') == 'status' ? (
  {{- include "node-restriction-plus.gatePodStatus" . | nindent 2 }}
) : request.resource.resource == 'pods' && request.operation == 'CREATE' && request.?subResource.orValue('') in ['', 'eviction'] || (
  {{- include "node-restriction-plus.otherQuantities" . | nindent 2 }}
))
{{- end }}

{{- /*
status: what a stock kubelet writes, too, where a rule looks at it. A heartbeat is not, nor most of what a kubelet says of its pods:
nearly all that an API server evaluates are these, so what gate has asked already is asked again only of the others.
*/ -}}
{{- define "node-restriction-plus.status" -}}
{{ include "node-restriction-plus.kubelet" . }} && (
request.operation == 'DELETE' ? !(
  {{- include "node-restriction-plus.gatePodDeletion" . | nindent 2 }}
) : request.resource.resource == 'pods' ? (
  ({{- include "node-restriction-plus.podStatusChanges" . | nindent 2 }}) ||
  {{ include "node-restriction-plus.ownershipChanges" . | nindent 2 }}
) && !(
  {{- include "node-restriction-plus.gatePodStatus" . | nindent 2 }}
) : (
  {{- include "node-restriction-plus.nodeChanges" . | nindent 2 }} ||
  ({{- include "node-restriction-plus.nodeStatusChanges" . | nindent 2 }}) ||
  {{- include "node-restriction-plus.ownershipChanges" . | nindent 2 }}
) && !(
  {{- include "node-restriction-plus.gateNodeStatus" . | nindent 2 }}
))
{{- end }}

{{- /* others: what other resources are sent, except what goes to gate. */ -}}
{{- define "node-restriction-plus.others" -}}
{{ include "node-restriction-plus.kubelet" . }} && !(
  {{- include "node-restriction-plus.otherQuantities" . | nindent 2 }}
)
{{- end }}

{{- /* otherQuantities: a write of what others sends, and gate for its quantities alone, has one that is not cheap. */ -}}
{{- define "node-restriction-plus.otherQuantities" -}}
{{- $kinds := list -}}
{{- if has "pods" .Values.baseline -}}
{{- $kinds = append $kinds (printf "request.resource.resource == 'pods' && request.operation == 'UPDATE' && (\n  %s\n)"
  (include "node-restriction-plus.podUpdateQuantities" . | nindent 2 | trim)) -}}
{{- end -}}
{{- if has "persistentvolumeclaims" .Values.baseline -}}
{{- $kinds = append $kinds (printf "request.resource.resource == 'persistentvolumeclaims' && (\n  %s\n)"
  (include "node-restriction-plus.claimQuantities" . | nindent 2 | trim)) -}}
{{- end -}}
{{- if or .Values.rules.resourceSlices (has "resourceslices" .Values.baseline) -}}
{{- $kinds = append $kinds (printf "request.resource.resource == 'resourceslices' && (\n  %s\n)"
  (include "node-restriction-plus.sliceQuantities" . | nindent 2 | trim)) -}}
{{- end -}}
{{- join " ||\n" $kinds | default "false" -}}
{{- end }}

{{- /* gateNodeStatus: the Node is another one's, more of it changes than a kubelet changes, or a kubelet writes none like it. */ -}}
{{- define "node-restriction-plus.gateNodeStatus" -}}
{{ include "node-restriction-plus.foreignNode" . }} ||
({{ include "node-restriction-plus.nodeChanges" . | nindent 2 }}
) && !({{ include "node-restriction-plus.nodeOwn" . | nindent 2 }}
) ||
{{ include "node-restriction-plus.ownershipGrows" . }} ||
{{ include "node-restriction-plus.nodeQuantities" . }}
{{- end }}

{{- /* gatePodDeletion: the pod is on another node, nobody has asked for its end, or it holds a quantity that is not cheap. */ -}}
{{- define "node-restriction-plus.gatePodDeletion" -}}
{{ include "node-restriction-plus.foreignPod" . }} ||
!(has(oldObject.metadata.deletionTimestamp) ||
  'kubernetes.io/config.mirror' in oldObject.metadata.?annotations.orValue({})) ||
{{ include "node-restriction-plus.storedPodQuantities" . }}
{{- end }}

{{- /* gatePodStatus: the pod is on another node, more of it changes than its status, or a kubelet writes no status like it. */ -}}
{{- define "node-restriction-plus.gatePodStatus" -}}
{{ include "node-restriction-plus.foreignPod" . }} ||
{{ include "node-restriction-plus.podChanges" . }} ||
{{ include "node-restriction-plus.ownershipGrows" . }} ||
{{ include "node-restriction-plus.podStatusQuantities" . }}
{{- end }}

{{- /*
ownershipGrows: the write gives somebody fields by server-side apply, which no kubelet uses: an entry of metadata.managedFields with
the operation Apply is new, or has another time. The API server sorts these entries to the front and to the second. An entry
that changes within its second may have lost a field to an update, as a kubelet may cause: then the request names no fieldManager,
without which nobody can apply.
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
ownershipChanges: an entry with the operation Apply changes or disappears. An update may cause this, so that the write is for status,
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
has(object.status) && has(oldObject.status) ? (
{{- include "node-restriction-plus.differ" (list "status" "addresses" "capacity" "allocatable" "daemonEndpoints" "images" "volumesInUse"
  "volumesAttached" "nodeInfo" "declaredFeatures" "phase" "config") | nindent 2 }} ||
  {{- include "node-restriction-plus.conditionChanges" "node-restriction-plus.nodeConditions" | nindent 2 }}
) : has(object.status) != has(oldObject.status)
{{- end }}

{{- /*
differ: of a part of the object, the first of a list, one of the fields changes that the others name.
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

{{- /* conditionChanges: conditions change that a kubelet does not write; which it does write, a template of the given name says. */ -}}
{{- define "node-restriction-plus.conditionChanges" -}}
size(object.status.?conditions.orValue([])) > 64 || size(oldObject.status.?conditions.orValue([])) > 64 ||
!(object.status.?conditions.orValue([]).all(c, c.type in {{ include . "" }}) &&
  oldObject.status.?conditions.orValue([]).all(c, c.type in {{ include . "" }})) &&
object.status.?conditions.orValue([]).filter(c, !(c.type in {{ include . "" }})) !=
oldObject.status.?conditions.orValue([]).filter(c, !(c.type in {{ include . "" }}))
{{- end }}

{{- /* podStatusChanges: the write changes what rules look at in the status of a pod. */ -}}
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
  {{- include "node-restriction-plus.conditionChanges" "node-restriction-plus.podConditions" | nindent 2 }}
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

{{- /* podChanges: the write changes what rules look at in a Pod. A kubelet's own status updates do not. */ -}}
{{- define "node-restriction-plus.podChanges" -}}
{{ include "node-restriction-plus.differ" (list "metadata" "labels" "annotations" "finalizers") }}
{{- end }}

{{- /* nodeChanges: the write changes what rules look at in a Node. A heartbeat does not. */ -}}
{{- define "node-restriction-plus.nodeChanges" -}}
{{ include "node-restriction-plus.differ" (list "metadata" "labels" "annotations" "finalizers" "ownerReferences") }}
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
