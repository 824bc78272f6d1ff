{{- /*
test: a pod of helm test, with permissions that exist only while it runs. It is given root, the root context; name, which becomes part of
the names; rules, the rules of its ClusterRole; command and args of its container; and its limit of memory.
*/ -}}
{{- define "node-restriction-plus.test" -}}
{{- $name := printf "%s-%s" .root.Chart.Name .name }}
{{- $suffix := printf "-%s" .name }}
{{- $before := include "node-restriction-plus.testHook" "-1" | fromYaml }}
{{- $test := . }}
{{- with .root -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "node-restriction-plus.metadata" (list . $suffix $before) | nindent 2 }}
automountServiceAccountToken: false
{{- if .Values.rbac.create }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  {{- include "node-restriction-plus.clusterMetadata" (list . $suffix $before) | nindent 2 }}
rules:
{{ $test.rules }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  {{- include "node-restriction-plus.clusterMetadata" (list . $suffix $before) | nindent 2 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {{ $name }}}
subjects:
- {kind: ServiceAccount, name: {{ $name }}, namespace: {{ .Release.Namespace }}}
{{- end }}
{{- if .Values.networkPolicy.enabled }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "node-restriction-plus.metadata" (list . $suffix $before) | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/name: {{ $name }}
  policyTypes: [Ingress, Egress]
  egress:
  {{- include "node-restriction-plus.toAPIServers" . | nindent 2 }}
{{- end }}
---
apiVersion: v1
kind: Pod
metadata:
  name: {{ $name }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- with .Values.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    # Not the labels that the Service selects.
    app.kubernetes.io/name: {{ $name }}
    app.kubernetes.io/managed-by: {{ .Release.Service }}
  {{- include "node-restriction-plus.annotations" (list . (include "node-restriction-plus.testHook" "0" | fromYaml)) | nindent 2 }}
spec:
  restartPolicy: Never
  serviceAccountName: {{ $name }}
  automountServiceAccountToken: true
  enableServiceLinks: false
  {{- with include "node-restriction-plus.imagePullSecrets" . }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with include "node-restriction-plus.securityContext" .Values.podSecurityContext }}
  {{- . | nindent 2 }}
  {{- end }}
  containers:
  - name: {{ $test.name }}
    image: {{ include "node-restriction-plus.image" . | quote }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    {{- with $test.command }}
    command: {{ toJson . }}
    {{- end }}
    args: {{ toJson $test.args }}
    resources:
      requests: {cpu: 10m, memory: 32Mi, ephemeral-storage: 16Mi}
      limits: {memory: {{ $test.memory }}, ephemeral-storage: 256Mi}
    {{- with include "node-restriction-plus.securityContext" .Values.securityContext }}
    {{- . | nindent 4 }}
    {{- end }}
  # On the same nodes as the webhook: the kubelet of any other node could read its token.
  {{- with ternary .Values.controlPlane.nodeSelector .Values.nodeSelector (ne (include "node-restriction-plus.controlPlane" .) "") }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  tolerations:
    {{- include "node-restriction-plus.tolerations" . | nindent 4 }}
{{- end }}
{{- end }}
