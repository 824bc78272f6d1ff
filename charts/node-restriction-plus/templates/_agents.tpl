{{- /*
Node agents are users other than kubelets: the service accounts of DaemonSets, and users whose names have a prefix. The webhook agents sends
their writes, and nothing else does, so that the webhooks of kubelets' writes are the same with and without them. It never refuses what it
cannot evaluate: many of these agents, such as network plugins, must work before the webhook can.
*/ -}}

{{- /* agentValues: the values as a policy has them: subjects and objects. A JSON object. */ -}}
{{- define "node-restriction-plus.agentValues" -}}
{{- dict "subjects" (pick .Values.subjects "serviceAccounts" "usernamePrefixes") "objects" .Values.subjects.objects | toJson -}}
{{- end }}

{{- /* agents: the users and objects that are sent: those of the value subjects, and those of the chart's own policies. As of agentsOf. */ -}}
{{- define "node-restriction-plus.agents" -}}
{{- $sources := list (include "node-restriction-plus.agentValues" . | fromJson) -}}
{{- range $_, $spec := .Values.policies.extra -}}
{{- if $spec.subjects }}{{ $sources = append $sources $spec }}{{ end -}}
{{- end -}}
{{- include "node-restriction-plus.agentsOf" $sources -}}
{{- end }}

{{- /*
agentsOf: the users and objects of a list of specs of policies. A JSON object: accounts and prefixes, which are texts; objects, each a group,
a resource and the field that names the node, and resources, each once; and any, which is true if there is any user.
*/ -}}
{{- define "node-restriction-plus.agentsOf" -}}
{{- $accounts := list -}}
{{- $prefixes := list -}}
{{- $objects := list -}}
{{- $resources := list -}}
{{- range . -}}
{{- range .subjects.serviceAccounts | default list -}}
{{- $accounts = append $accounts (printf "system:serviceaccount:%s:%s" .namespace .name) -}}
{{- end -}}
{{- $prefixes = concat $prefixes (.subjects.usernamePrefixes | default list) -}}
{{- range .objects | default list -}}
{{- $resource := dict "group" (.apiGroup | default "") "resource" .resource -}}
{{- $resources = append $resources $resource -}}
{{- $objects = append $objects (merge (dict "node" .node) $resource) -}}
{{- end -}}
{{- end -}}
{{- dict "accounts" (uniq $accounts | sortAlpha) "prefixes" (uniq $prefixes | sortAlpha) "objects" (uniq $objects)
  "resources" (uniq $resources) "any" (gt (add (len $accounts) (len $prefixes)) 0) | toJson -}}
{{- end }}

{{- /*
checkAgents: fails for what the CRD refuses by an expression, which the schema of the values does not have. Given are the value, its prefixes
and its objects. A prefix that covers kubelets or service accounts would have the floor deny the writes of the control plane.
*/ -}}
{{- define "node-restriction-plus.checkAgents" -}}
{{- $value := index . 0 -}}
{{- range index . 1 -}}
{{- if or (eq . "system:") (hasPrefix "system:node:" .) (hasPrefix "system:serviceaccount:" .) -}}
{{- fail (printf "%s: the user name prefix %q must not cover kubelets or service accounts" $value .) -}}
{{- end -}}
{{- end -}}
{{- range index . 2 -}}
{{- if and (not .apiGroup) (has .resource (list "nodes" "pods")) -}}
{{- fail (printf "%s: objects must not have %s, which policies have sections for" $value .resource) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* isAgent: the client is one of the agents, given as of agents. */ -}}
{{- define "node-restriction-plus.isAgent" -}}
{{- $any := list -}}
{{- with .accounts -}}
{{- $names := list -}}
{{- range . }}{{ $names = append $names (quote .) }}{{ end -}}
{{- $any = append $any (printf "request.userInfo.?username.orValue('') in [%s]" (join ", " $names)) -}}
{{- end -}}
{{- range .prefixes -}}
{{- $any = append $any (printf "request.userInfo.?username.orValue('').startsWith(%s)" (quote .)) -}}
{{- end -}}
{{- join " ||\n" $any -}}
{{- end }}

{{- /*
agentWebhook: the webhook of node agents. Like others, it exists without any agent where the chart starts the program, and then matches no
resource.
*/ -}}
{{- define "node-restriction-plus.agentWebhook" -}}
{{- $agents := include "node-restriction-plus.agents" . | fromJson -}}
{{- if or $agents.any (include "node-restriction-plus.workload" .) -}}
# Writes of node agents, which are no kubelets, if a value or a policy of the chart names any.
{{- if not $agents.any }}
# None does. Server-side apply could not remove this webhook, as others. So it always exists, and matches no resource.
{{- end }}
- name: agents.noderestriction.plus
  failurePolicy: Ignore
  timeoutSeconds: {{ .Values.webhook.timeoutSeconds.agents }}
  matchPolicy: Equivalent
  sideEffects: NoneOnDryRun
  admissionReviewVersions: [v1]
  clientConfig:
    {{- include "node-restriction-plus.clientConfig" (list . "/admit") | nindent 4 }}
  {{- if $agents.any }}
  rules:
  {{- include "node-restriction-plus.agentRules" $agents | nindent 2 }}
  # For the enforcement probe alone.
  {{- include "node-restriction-plus.probeRule" . | nindent 2 }}
  matchConditions:
  - name: agent
    expression: |-
      {{- include "node-restriction-plus.isAgent" $agents | nindent 6 }} || (
        {{- include "node-restriction-plus.probes" "agents" | nindent 8 }}
      )
  {{- if not .Values.webhook.url }}
  - name: not-own-pods
    expression: |-
      {{- include "node-restriction-plus.notOwnPodsOfAgents" . | nindent 6 }}
  {{- end }}
  {{- else }}
  matchConditions:
  - {name: agent, expression: "false"}
  {{- end }}
{{- end }}
{{- end }}

{{- /*
agentRules: the writes of agents that are sent, given as of agents. An object is sent in every version: a rule that names versions misses
the next one, and the field that names the node is the same in all.
*/ -}}
{{- define "node-restriction-plus.agentRules" -}}
{{ include "node-restriction-plus.agentCoreRules" . }}
{{- range .resources }}
{{ include "node-restriction-plus.agentObjectRule" . }}
{{- end }}
{{- end }}

{{- define "node-restriction-plus.agentCoreRules" -}}
- apiGroups: [""]
  apiVersions: [v1]
  operations: [CREATE, UPDATE, DELETE]
  resources: [nodes]
  scope: Cluster
- {apiGroups: [""], apiVersions: [v1], operations: [UPDATE], resources: [nodes/status], scope: Cluster}
- apiGroups: [""]
  apiVersions: [v1]
  operations: [CREATE, UPDATE, DELETE]
  resources: [pods]
  scope: Namespaced
- apiGroups: [""]
  apiVersions: [v1]
  operations: [UPDATE]
  resources: [pods/status, pods/ephemeralcontainers, pods/resize]
  scope: Namespaced
- {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods/eviction], scope: Namespaced}
{{- end }}

{{- define "node-restriction-plus.agentObjectRule" -}}
- apiGroups: [{{ .group | quote }}]
  apiVersions: ["*"]
  operations: [CREATE, UPDATE, DELETE]
  resources: [{{ .resource }}, {{ .resource }}/status]
  scope: "*"
{{- end }}

{{- /*
notOwnPodsOfAgents: as notOwnPods, for agents on the node of the pod. A network plugin writes the status of a pod before the pod can answer.
*/ -}}
{{- define "node-restriction-plus.notOwnPodsOfAgents" -}}
{{- $floor := .Files.Get "files/agents.json" | fromJson -}}
request.resource.resource != 'pods' || request.operation != 'DELETE' && request.?subResource.orValue('') != 'status' ||
request.?namespace.orValue('') != '{{ .Release.Namespace }}' ||
!request.?name.orValue('').startsWith('{{ .Chart.Name }}-') ||
{{ include "node-restriction-plus.mirrorPod" . }} ||
oldObject.?spec.?nodeName.orValue('') == '' ||
oldObject.spec.nodeName != {{ $floor.node }}
{{- end }}
