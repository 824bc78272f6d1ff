{{- define "node-restriction-plus.registrationFailurePolicy" -}}
{{- .Values.webhook.registrationFailurePolicy | default (ternary "Fail" "Ignore" (eq .Values.profile "strict")) -}}
{{- end }}

{{- /* webhooks: the webhooks of the configuration. */ -}}
{{- define "node-restriction-plus.webhooks" -}}
{{- $agents := include "node-restriction-plus.agents" . | fromYaml -}}
# What no stock kubelet ever writes: also refused while no replica answers.
- name: gate.noderestriction.plus
  failurePolicy: {{ ternary "Ignore" "Fail" (eq .Values.profile "observe") }}
  timeoutSeconds: {{ .Values.webhook.timeoutSeconds.gate }}
  matchPolicy: Equivalent
  sideEffects: NoneOnDryRun
  admissionReviewVersions: [v1]
  clientConfig:
    {{- include "node-restriction-plus.clientConfig" (list . "/admit") | nindent 4 }}
  rules:
  - apiGroups: [""]
    apiVersions: [v1]
    operations: [UPDATE]
    resources: [nodes, nodes/status]
    scope: Cluster
  - apiGroups: [""]
    apiVersions: [v1]
    operations: [DELETE]
    resources: [nodes]
    scope: Cluster
  - apiGroups: [""]
    apiVersions: [v1]
    operations: [CREATE]
    resources: {{ ternary "[pods]" "[pods, pods/eviction]" $agents.evict }}
    scope: Namespaced
  - apiGroups: [""]
    apiVersions: [v1]
    operations: [DELETE]
    resources: [pods]
    scope: Namespaced
  - apiGroups: [""]
    apiVersions: [v1]
    operations: [UPDATE]
    resources: [pods/status]
    scope: Namespaced
  # For the enforcement probe alone.
  {{- include "node-restriction-plus.probeRule" . | nindent 2 }}
  {{- with include "node-restriction-plus.quantityRules" . | trim }}
  # Resources that others sends, if they have a quantity that no API server prints in time.
  {{- . | nindent 2 }}
  {{- end }}
  matchConditions:
  - name: kubelet
    expression: {{ include "node-restriction-plus.kubelet" . }}
  {{- if not .Values.webhook.url }}
  - name: not-own-pods
    expression: |-
      {{- include "node-restriction-plus.notOwnPods" . | nindent 6 }}
  {{- end }}
  - name: line
    expression: |-
      {{- include "node-restriction-plus.gate" . | nindent 6 }}

# Registration: a new node must be able to join while no replica answers.
- name: registration.noderestriction.plus
  failurePolicy: {{ include "node-restriction-plus.registrationFailurePolicy" . }}
  timeoutSeconds: {{ .Values.webhook.timeoutSeconds.registration }}
  matchPolicy: Equivalent
  sideEffects: NoneOnDryRun
  admissionReviewVersions: [v1]
  clientConfig:
    {{- include "node-restriction-plus.clientConfig" (list . "/admit") | nindent 4 }}
  rules:
  - apiGroups: [""]
    apiVersions: [v1]
    operations: [CREATE]
    resources: [nodes]
    scope: Cluster
  matchConditions:
  - name: kubelet
    expression: {{ include "node-restriction-plus.kubelet" . }}
  - name: line
    expression: {{ include "node-restriction-plus.registration" . }}

# What a stock kubelet also writes, for rules that read its values{{ if or $agents.writeNodes $agents.evict }}, and what the agents of the distribution write{{ end }}.
- name: status.noderestriction.plus
  failurePolicy: Ignore
  timeoutSeconds: {{ .Values.webhook.timeoutSeconds.status }}
  matchPolicy: Equivalent
  sideEffects: NoneOnDryRun
  admissionReviewVersions: [v1]
  clientConfig:
    {{- include "node-restriction-plus.clientConfig" (list . "/admit") | nindent 4 }}
  rules:
  - apiGroups: [""]
    apiVersions: [v1]
    operations: [UPDATE]
    resources: {{ ternary "[nodes, nodes/status]" "[nodes/status]" $agents.writeNodes }}
    scope: Cluster
  - apiGroups: [""]
    apiVersions: [v1]
    operations: [UPDATE]
    resources: [pods/status]
    scope: Namespaced
  - apiGroups: [""]
    apiVersions: [v1]
    operations: [DELETE]
    resources: [pods]
    scope: Namespaced
  {{- if $agents.evict }}
  - apiGroups: [""]
    apiVersions: [v1]
    operations: [CREATE]
    resources: [pods/eviction]
    scope: Namespaced
  {{- end }}
  # For the enforcement probe alone.
  {{- include "node-restriction-plus.probeRule" . | nindent 2 }}
  matchConditions:
  - name: kubelet
    expression: {{ include "node-restriction-plus.kubelet" . }}
  {{- if not .Values.webhook.url }}
  - name: not-own-pods
    expression: |-
      {{- include "node-restriction-plus.notOwnPods" . | nindent 6 }}
  {{- end }}
  - name: line
    expression: |-
      {{- include "node-restriction-plus.status" . | nindent 6 }}
{{- $others := include "node-restriction-plus.otherRules" . | trim }}
{{- if or $others (include "node-restriction-plus.workload" .) }}

# Other resources, if a value turns them on. A stock kubelet writes them all, some of them often.
{{- if not $others }}
# No value does. Server-side apply cannot remove a webhook whose caBundle cainjector has set, and a new webhook does not trust the
# certificates in use. So this one always exists, and matches no resource.
{{- end }}
- name: others.noderestriction.plus
  failurePolicy: Ignore
  timeoutSeconds: {{ .Values.webhook.timeoutSeconds.others }}
  matchPolicy: Equivalent
  sideEffects: NoneOnDryRun
  admissionReviewVersions: [v1]
  clientConfig:
    {{- include "node-restriction-plus.clientConfig" (list . "/admit") | nindent 4 }}
  {{- with $others }}
  rules:
  {{- . | nindent 2 }}
  {{- if not (include "node-restriction-plus.sendsCSINodes" $) }}
  # For the enforcement probe alone.
  {{- include "node-restriction-plus.probeRule" . | nindent 2 }}
  {{- end }}
  {{- end }}
  matchConditions:
  - name: kubelet
    expression: {{ include "node-restriction-plus.kubelet" . }}
  {{- if $others }}
  - name: line
    expression: |-
      {{- include "node-restriction-plus.others" . | nindent 6 }}
  {{- end }}
{{- end }}

# The policies themselves: what the schema cannot check. The Ready condition of a policy reports what is not refused.
- name: policies.noderestriction.plus
  failurePolicy: Ignore
  timeoutSeconds: {{ .Values.webhook.timeoutSeconds.policies }}
  matchPolicy: Equivalent
  sideEffects: NoneOnDryRun
  admissionReviewVersions: [v1]
  clientConfig:
    {{- include "node-restriction-plus.clientConfig" (list . "/policies") | nindent 4 }}
  rules:
  - apiGroups: [noderestriction.plus]
    apiVersions: [v1alpha1]
    operations: [CREATE, UPDATE]
    resources: [noderestrictionpolicies]
    scope: Cluster
  # For the enforcement probe alone.
  {{- include "node-restriction-plus.probeRule" . | nindent 2 }}
  matchConditions:
  - name: policy
    expression: |-
      !({{ include "node-restriction-plus.isCSINode" . }}) || (
        {{- include "node-restriction-plus.probes" "policies" | nindent 8 }}
      )
{{- end }}
