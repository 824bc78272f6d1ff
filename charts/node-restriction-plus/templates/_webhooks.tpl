{{- define "node-restriction-plus.registrationFailurePolicy" -}}
{{- .Values.webhook.registrationFailurePolicy | default (ternary "Fail" "Ignore" (eq .Values.profile "strict")) -}}
{{- end }}

{{- /* webhooks: the webhooks of the configuration. With .baseOnly in the root context: before any policy. */ -}}
{{- define "node-restriction-plus.webhooks" -}}
{{- $known := dict -}}
{{- include "node-restriction-plus.known" (list . $known) -}}
{{- $lines := include "node-restriction-plus.lines" (list . $known (not .baseOnly)) | fromJson -}}
# What certainly violates a rule that no stock kubelet violates, or a policy of the chart that denies: also refused while no replica answers.
- name: gate.noderestriction.plus
  failurePolicy: {{ ternary "Ignore" "Fail" (eq .Values.profile "observe") }}
  timeoutSeconds: {{ .Values.webhook.timeoutSeconds.gate }}
  matchPolicy: Equivalent
  sideEffects: NoneOnDryRun
  admissionReviewVersions: [v1]
  clientConfig:
    {{- include "node-restriction-plus.clientConfig" (list . "/admit") | nindent 4 }}
  rules:
  {{- include "node-restriction-plus.kubeletRules" . | nindent 2 }}
  {{- $others := include "node-restriction-plus.gateRules" (list . $lines) | trim }}
  {{- if not (and (contains "csinodes" $others) (include "node-restriction-plus.sendsCSINodes" .)) }}
  # For the enforcement probe alone.
  {{- include "node-restriction-plus.probeRule" . | nindent 2 }}
  {{- end }}
  {{- with $others }}
  # Resources that others sends, if they violate such a policy, or have a quantity that no API server prints in time.
  {{- . | nindent 2 }}
  {{- end }}
  matchConditions:
  {{- if include "node-restriction-plus.follows" . }}
  - name: kubelet
    expression: {{ include "node-restriction-plus.kubelet" . }}
  {{- end }}
  {{- if not .Values.webhook.url }}
  - name: not-own-pods
    expression: |-
      {{- include "node-restriction-plus.notOwnPods" . | nindent 6 }}
  {{- end }}
  {{- include "node-restriction-plus.lineConditions" (list . $known $lines "gate") | nindent 2 }}

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

# What rules read, and gate is not sent.
- name: status.noderestriction.plus
  failurePolicy: Ignore
  timeoutSeconds: {{ .Values.webhook.timeoutSeconds.status }}
  matchPolicy: Equivalent
  sideEffects: NoneOnDryRun
  admissionReviewVersions: [v1]
  clientConfig:
    {{- include "node-restriction-plus.clientConfig" (list . "/admit") | nindent 4 }}
  rules:
  {{- include "node-restriction-plus.kubeletRules" . | nindent 2 }}
  # For the enforcement probe alone.
  {{- include "node-restriction-plus.probeRule" . | nindent 2 }}
  matchConditions:
  {{- if include "node-restriction-plus.follows" . }}
  - name: kubelet
    expression: {{ include "node-restriction-plus.kubelet" . }}
  {{- end }}
  {{- if not .Values.webhook.url }}
  - name: not-own-pods
    expression: |-
      {{- include "node-restriction-plus.notOwnPods" . | nindent 6 }}
  {{- end }}
  {{- include "node-restriction-plus.lineConditions" (list . $known $lines "status") | nindent 2 }}
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
      {{- include "node-restriction-plus.others" (list . $known $lines) | nindent 6 }}
  {{- end }}
{{- end }}

{{- with include "node-restriction-plus.agentWebhook" . }}

{{ . }}
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

{{- /* kubeletRules: the writes of Nodes and pods that are sent, except registrations. */ -}}
{{- define "node-restriction-plus.kubeletRules" -}}
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
  resources: [pods, pods/eviction]
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
{{- end }}

{{- /* gateRules: the writes of other resources that may go to gate, given a list of the root context and the lines. */ -}}
{{- define "node-restriction-plus.gateRules" -}}
{{- $quantities := true -}}
{{- range $write, $line := index . 1 -}}
{{- if and $line.other (not $line.quantities) }}{{ $quantities = false }}{{ end -}}
{{- end -}}
{{- if $quantities }}{{ include "node-restriction-plus.quantityRules" (index . 0) }}{{ else }}{{ include "node-restriction-plus.otherRules" (index . 0) }}{{ end -}}
{{- end }}
