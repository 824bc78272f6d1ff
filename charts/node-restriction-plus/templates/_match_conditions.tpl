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

{{- /*
agents: what recommended, adapted to the distribution and by the values, lets a distribution's agents write with a kubelet's credential,
and a stock kubelet does not write: patterns of labels and annotations, whether they cordon, and whether they evict. It is not refused
while no replica answers, even if recommended is Off: nodes that need their agents would not come back.
*/ -}}
{{- define "node-restriction-plus.agents" -}}
{{- $spec := include "node-restriction-plus.preset" (list . "recommended") | fromYaml -}}
{{- $labels := dig "nodes" "labels" "update" "allowed" list $spec -}}
{{- $annotations := dig "nodes" "annotations" "allowed" list $spec -}}
{{- $cordon := has (dig "nodes" "unschedulable" "changes" "None" $spec) (list "Cordon" "Any") -}}
{{- dict "labels" $labels "annotations" $annotations "cordon" $cordon "evict" (not (hasKey ($spec.pods | default dict) "eviction"))
  "writeNodes" (or $labels $annotations $cordon | not | not) | toYaml -}}
{{- end }}

{{- /*
gate: what no stock kubelet ever writes. Of the resources that others also sends, only quantities go here. The API server evaluates
every condition for every client, so a client that is not a kubelet is excluded first.
*/ -}}
{{- define "node-restriction-plus.gate" -}}
{{- $agents := include "node-restriction-plus.agents" . | fromYaml -}}
{{ include "node-restriction-plus.kubelet" . }} && ({{ include "node-restriction-plus.isCSINode" . }} ? (
  {{- include "node-restriction-plus.probes" "gate" | nindent 2 }}
) : request.resource.resource == 'nodes' ? (
  {{- include "node-restriction-plus.gateNode" . | nindent 2 }}
) : request.resource.resource == 'pods' && request.operation == 'DELETE' ? (
  {{- include "node-restriction-plus.gatePodDeletion" . | nindent 2 }}
) : request.resource.resource == 'pods' && request.?subResource.orValue('') == 'status' ? (
  {{- include "node-restriction-plus.gatePodStatus" . | nindent 2 }}
) : request.resource.resource == 'pods' && request.operation == 'CREATE' && request.?subResource.orValue('') in
  {{ ternary "['']" "['', 'eviction']" $agents.evict }} || (
  {{- include "node-restriction-plus.otherQuantities" . | nindent 2 }}
))
{{- end }}

{{- /*
status: what a stock kubelet also writes and a rule reads. Heartbeats and most updates of pod status do not match. They are nearly
everything that an API server evaluates, so the conditions of gate are evaluated again only for the remaining writes.
*/ -}}
{{- define "node-restriction-plus.status" -}}
{{- $agents := include "node-restriction-plus.agents" . | fromYaml -}}
{{ include "node-restriction-plus.kubelet" . }} && ({{ include "node-restriction-plus.isCSINode" . }} ? (
  {{- include "node-restriction-plus.probes" "status" | nindent 2 }}
) : {{ if $agents.evict }}request.operation == 'CREATE' ? true : {{ end }}request.operation == 'DELETE' ? !(
  {{- include "node-restriction-plus.gatePodDeletion" . | nindent 2 }}
) : request.resource.resource == 'pods' ? (
  ({{- include "node-restriction-plus.podStatusChanges" . | nindent 2 }}) ||
  {{ include "node-restriction-plus.ownershipChanges" . | nindent 2 }}
) && !(
  {{- include "node-restriction-plus.gatePodStatus" . | nindent 2 }}
) : (
  {{- if $agents.writeNodes }}
  request.?subResource.orValue('') != 'status' ||
  {{- end }}
  {{- include "node-restriction-plus.nodeChanges" . | nindent 2 }} ||
  ({{- include "node-restriction-plus.nodeStatusChanges" . | nindent 2 }}) ||
  {{- include "node-restriction-plus.ownershipChanges" . | nindent 2 }}
) && !(
  {{- include "node-restriction-plus.gateNode" . | nindent 2 }}
))
{{- end }}

{{- /* others: the writes of other resources that are sent, except those that go to gate, and probes of other webhooks. */ -}}
{{- define "node-restriction-plus.others" -}}
{{ include "node-restriction-plus.kubelet" . }} && !(
  {{- include "node-restriction-plus.otherQuantities" . | nindent 2 }}
) && (
  !({{ include "node-restriction-plus.isCSINode" . }} && request.operation == 'CREATE') ||
  {{- if include "node-restriction-plus.sendsCSINodes" . }}
  request.userInfo.?username.orValue('') != 'system:node:node-restriction-plus-probe' || !request.?dryRun.orValue(false) ||
  {{- end }}
  {{- include "node-restriction-plus.probes" "others" | nindent 2 }}
)
{{- end }}

{{- /* otherQuantities: a write of a resource that others sends, and gate only for its quantities, has a quantity that is not cheap. */ -}}
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

{{- /* gateNode: an update of the Node itself, except those that a distribution's agents need, or a status that no kubelet writes. */ -}}
{{- define "node-restriction-plus.gateNode" -}}
{{- $agents := include "node-restriction-plus.agents" . | fromYaml -}}
{{- if $agents.writeNodes -}}
request.?subResource.orValue('') != 'status' && (
  request.operation != 'UPDATE' ||
  {{- $fields := list "?spec" "podCIDR" "podCIDRs" "providerID" "taints" "configSource" "externalID" "podPreemptionPolicy" -}}
  {{- if not $agents.cordon }}{{ $fields = append $fields "unschedulable" }}{{ end -}}
  {{- include "node-restriction-plus.differ" $fields | nindent 2 }}
) ||
{{ else -}}
request.?subResource.orValue('') != 'status' ||
{{ end -}}
{{- include "node-restriction-plus.gateNodeStatus" . }}
{{- end }}

{{- /* gateNodeStatus: it is the Node of another kubelet, the write changes more than a kubelet does, or no kubelet writes such a Node. */ -}}
{{- define "node-restriction-plus.gateNodeStatus" -}}
{{ include "node-restriction-plus.foreignNode" . }} ||
({{ include "node-restriction-plus.nodeChanges" . | nindent 2 }}
) && !({{ include "node-restriction-plus.nodeOwn" . | nindent 2 }}
) ||
{{ include "node-restriction-plus.ownershipGrows" . }} ||
{{ include "node-restriction-plus.nodeQuantities" . }}
{{- end }}

{{- /* gatePodDeletion: the pod is on another node, nobody has deleted it yet, or it has a quantity that is not cheap. */ -}}
{{- define "node-restriction-plus.gatePodDeletion" -}}
{{ include "node-restriction-plus.foreignPod" . }} ||
!(has(oldObject.metadata.deletionTimestamp) ||
  {{ include "node-restriction-plus.mirrorPod" . }}) ||
{{ include "node-restriction-plus.storedPodQuantities" . }}
{{- end }}

{{- /* gatePodStatus: the pod is on another node, the write changes more than its status, or no kubelet writes such a status. */ -}}
{{- define "node-restriction-plus.gatePodStatus" -}}
{{ include "node-restriction-plus.foreignPod" . }} ||
{{ include "node-restriction-plus.podChanges" . }} ||
{{ include "node-restriction-plus.ownershipGrows" . }} ||
{{ include "node-restriction-plus.succeedsWhileRunning" . }} ||
{{ include "node-restriction-plus.disrupts" . }} ||
{{ include "node-restriction-plus.podStatusQuantities" . }}
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

{{- /* observesFuture: the status or a condition of a pod that is not a mirror pod observes more than the generation of the pod. */ -}}
{{- define "node-restriction-plus.observesFuture" -}}
object.status.?observedGeneration.orValue(0) > oldObject.metadata.?generation.orValue(0) &&
object.status.?observedGeneration != oldObject.status.?observedGeneration && !({{ include "node-restriction-plus.mirrorPod" . }}) ||
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

{{- /* foreignNode: the Node belongs to another kubelet. */ -}}
{{- define "node-restriction-plus.foreignNode" -}}
'system:node:' + request.?name.orValue('') != request.userInfo.username
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

{{- /* podChanges: the write changes what rules read in a pod. A kubelet's own status updates do not. */ -}}
{{- define "node-restriction-plus.podChanges" -}}
{{ include "node-restriction-plus.differ" (list "metadata" "labels" "annotations" "finalizers") }}
{{- end }}

{{- /* nodeChanges: the write changes what rules read in a Node. A heartbeat does not. */ -}}
{{- define "node-restriction-plus.nodeChanges" -}}
{{ include "node-restriction-plus.differ" (list "metadata" "labels" "annotations" "finalizers" "ownerReferences") }}
{{- end }}

{{- /*
nodeOwn: nothing changes in the Node's metadata except what a stock kubelet writes there: the labels and annotations that it manages,
and labels that it adds while the Node has a CSI driver, which chooses their keys; nor what a distribution's agents need. The cost of iterating over the keys of a map grows with
their square (by cel-go's cost model), so a write of a Node with more keys than any Node has is always sent.
*/ -}}
{{- define "node-restriction-plus.nodeOwn" -}}
{{- $agents := include "node-restriction-plus.agents" . | fromYaml -}}
size(object.metadata.?labels.orValue({})) <= 512 && size(oldObject.metadata.?labels.orValue({})) <= 512 &&
size(object.metadata.?annotations.orValue({})) <= 512 && size(oldObject.metadata.?annotations.orValue({})) <= 512 &&
object.metadata.?finalizers.orValue([]) == oldObject.metadata.?finalizers.orValue([]) &&
object.metadata.?ownerReferences.orValue([]) == oldObject.metadata.?ownerReferences.orValue([]) &&
object.metadata.?labels.orValue({}).all(key,
  object.metadata.?labels[?key] == oldObject.metadata.?labels[?key] ||
  key in {{ include "node-restriction-plus.kubeletLabels" . }} ||
  {{- with $agents.labels }}
  {{ include "node-restriction-plus.matchesPair" (list "key" "object.metadata.labels[key]" .) }} ||
  {{- end }}
  !(key in oldObject.metadata.?labels.orValue({})) &&
  object.metadata.?annotations[?{{ include "node-restriction-plus.csiDrivers" . }}].hasValue()
) &&
oldObject.metadata.?labels.orValue({}).all(key,
  key in object.metadata.?labels.orValue({}) ||
  key in {{ include "node-restriction-plus.kubeletLabels" . }}
  {{- with $agents.labels }} ||
  {{ include "node-restriction-plus.matchesPair" (list "key" "oldObject.metadata.labels[key]" .) }}
  {{- end }}
) &&
object.metadata.?annotations.orValue({}).all(key,
  object.metadata.?annotations[?key] == oldObject.metadata.?annotations[?key] ||
  key in {{ include "node-restriction-plus.kubeletAnnotations" . }}
  {{- with $agents.annotations }} ||
  {{ include "node-restriction-plus.matchesPair" (list "key" "object.metadata.annotations[key]" .) }}
  {{- end }}
) &&
oldObject.metadata.?annotations.orValue({}).all(key,
  key in object.metadata.?annotations.orValue({}) ||
  key in {{ include "node-restriction-plus.kubeletAnnotations" . }}
  {{- with $agents.annotations }} ||
  {{ include "node-restriction-plus.matchesPair" (list "key" "oldObject.metadata.annotations[key]" .) }}
  {{- end }}
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
