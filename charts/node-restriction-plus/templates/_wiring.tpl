{{- /*
The webhook compares the webhook configuration and the floor with what was installed, because some platforms rewrite webhook
configurations. Each object says in the annotation noderestriction.plus/installed how it was installed: one that changes with the object
needs no order during an upgrade. Expressions are digests there, since the annotations of an object, which kubectl apply doubles, have a
maximum size.
*/ -}}

{{- /* wiringCheck: the webhook compares. The API server's own files are no objects that could be compared. */ -}}
{{- define "node-restriction-plus.wiringCheck" -}}
{{- if and .Values.wiringCheck.enabled (not (include "node-restriction-plus.static" .)) }}true{{ end -}}
{{- end }}

{{- /* installedWebhooks: the annotation of the webhook configuration, which also names the policies of the floor, and the node agents. */ -}}
{{- define "node-restriction-plus.installedWebhooks" -}}
{{- $webhooks := list -}}
{{- range include "node-restriction-plus.webhooks" . | fromYamlArray -}}
{{- $_ := unset .clientConfig "caBundle" -}}
{{- $webhooks = append $webhooks (include "node-restriction-plus.digested" . | fromJson) -}}
{{- end -}}
{{- $installed := dict "webhooks" $webhooks "floor" (include "node-restriction-plus.floorNames" . | fromJsonArray) -}}
{{- with include "node-restriction-plus.agents" . | fromJson -}}
{{- if .any }}{{ $_ := set $installed "agents" (pick . "accounts" "prefixes") }}{{ end -}}
{{- end -}}
{{- toJson $installed -}}
{{- end }}

{{- /* digested: a webhook or the spec of a policy as JSON, with digests instead of expressions. */ -}}
{{- define "node-restriction-plus.digested" -}}
{{- $copy := deepCopy . -}}
{{- range list "matchConditions" "variables" "validations" "auditAnnotations" -}}
{{- range get $copy . | default list -}}
{{- $part := . -}}
{{- range $key := list "expression" "messageExpression" "valueExpression" -}}
{{- with get $part $key }}{{ $_ := set $part $key (printf "sha256:%s" (sha256sum .)) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $copy -}}
{{- end }}

{{- /* floorNames: the names of the policies of the floor, which are those of their bindings, as a JSON list. */ -}}
{{- define "node-restriction-plus.floorNames" -}}
{{- $names := list -}}
{{- range include "node-restriction-plus.floors" . | fromYamlArray -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- if include "node-restriction-plus.podFloorEnabled" . -}}
{{- $names = append $names (include "node-restriction-plus.podFloorName" .) -}}
{{- end -}}
{{- if include "node-restriction-plus.agentFloorEnabled" . -}}
{{- $names = append $names (include "node-restriction-plus.agentFloorName" .) -}}
{{- end -}}
{{- with include "node-restriction-plus.followedFloorName" . }}{{ $names = append $names . }}{{ end -}}
{{- toJson $names -}}
{{- end }}

{{- /*
policyAndBinding: a ValidatingAdmissionPolicy and its binding, given a list of the root context, the name, and the spec of the policy as
YAML, and optionally annotations of the policy.
*/ -}}
{{- define "node-restriction-plus.policyAndBinding" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $spec := index . 2 -}}
{{- $annotations := dict -}}
{{- if gt (len .) 3 }}{{ $annotations = index . 3 }}{{ end -}}
{{- $bindingSpec := dict "policyName" $name "validationActions" (list "Deny" "Audit") -}}
{{- $installed := deepCopy $annotations -}}
{{- $installedBinding := dict -}}
{{- if not (include "node-restriction-plus.static" $root) -}}
{{- $_ := set $installed "noderestriction.plus/installed" (include "node-restriction-plus.digested" ($spec | fromYaml)) -}}
{{- $_ := set $installedBinding "noderestriction.plus/installed" (toJson $bindingSpec) -}}
{{- end -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {{ $name }}
  {{- include "node-restriction-plus.marks" (list $root $installed) | nindent 2 }}
spec:
  {{- $spec | nindent 2 }}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ $name }}
  {{- include "node-restriction-plus.marks" (list $root $installedBinding) | nindent 2 }}
spec:
  policyName: {{ $name }}
  validationActions: [Deny, Audit]
{{- end }}

{{- /*
probeRule: the rule by which the enforcement probe reaches a webhook: a kubelet's CSINode, which needs no object that exists, and which a
kubelet creates once. probed limits it to the probe.
*/ -}}
{{- define "node-restriction-plus.probeRule" -}}
- {apiGroups: [storage.k8s.io], apiVersions: [v1], operations: [CREATE], resources: [csinodes], scope: Cluster}
{{- end }}

{{- /* probe: the client is the enforcement probe. */ -}}
{{- define "node-restriction-plus.probe" -}}
request.userInfo.?username.orValue('') == 'system:node:node-restriction-plus-probe' && request.?dryRun.orValue(false)
{{- end }}

{{- /* probes: the write is the enforcement probe of the webhook with the given name, as in internal/review/probe.go. */ -}}
{{- define "node-restriction-plus.probes" -}}
{{ include "node-restriction-plus.isCSINode" . }} && {{ include "node-restriction-plus.probe" . }} &&
object.metadata.?annotations[?'noderestriction.plus/probe'].orValue('') == '{{ . }}'
{{- end }}

{{- /* isCSINode: the write is about a CSINode. */ -}}
{{- define "node-restriction-plus.isCSINode" -}}
request.resource.resource == 'csinodes'
{{- end }}

{{- /* probedWebhooks: the names of the webhooks that the enforcement probe reaches. */ -}}
{{- define "node-restriction-plus.probedWebhooks" -}}
{{- $agents := include "node-restriction-plus.agents" . | fromJson -}}
gate,registration,status,{{ if include "node-restriction-plus.otherRules" . | trim }}others,{{ end }}{{ if $agents.any }}agents,{{ end }}policies
{{- end }}
