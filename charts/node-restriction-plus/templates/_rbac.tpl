{{- /* subjects: who has the rights of the program. Empty: nobody, and then there are no roles either. */ -}}
{{- define "node-restriction-plus.subjects" -}}
{{- if include "node-restriction-plus.workload" . }}
- {kind: ServiceAccount, name: {{ include "node-restriction-plus.serviceAccountName" . }}, namespace: {{ .Release.Namespace }}}
{{- end }}
{{- with .Values.rbac.subjects }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* serviceAccountName: the service account of the pods. */ -}}
{{- define "node-restriction-plus.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default .Chart.Name -}}
{{- end }}

{{- /* clusterRules: what the program needs everywhere, and what the values add. */ -}}
{{- define "node-restriction-plus.clusterRules" -}}
# The policies, and what it says of them.
- {apiGroups: [noderestriction.plus], resources: [noderestrictionpolicies], verbs: [get, list, watch]}
- {apiGroups: [noderestriction.plus], resources: [noderestrictionpolicies/status], verbs: [patch]}
# Whether their definition is still there.
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  resourceNames: [noderestrictionpolicies.noderestriction.plus]
  verbs: [get]
# Labels and UIDs of Nodes, for a policy's nodeSelector.
- {apiGroups: [""], resources: [nodes], verbs: [get, list, watch]}
# The pod of an eviction, which the eviction itself does not carry.
- {apiGroups: [""], resources: [pods], verbs: [get]}
{{- if .Values.baseline }}
# What the section baseline looks up.
- {apiGroups: [""], resources: [serviceaccounts, persistentvolumeclaims, persistentvolumes], verbs: [get]}
- {apiGroups: [storage.k8s.io], resources: [csidrivers], verbs: [get]}
{{- end }}
{{- if and .Values.metrics.enabled .Values.metrics.secure }}
# Who reads metrics.
- {apiGroups: [authentication.k8s.io], resources: [tokenreviews], verbs: [create]}
{{- end }}
{{- if or .Values.baseline (and .Values.metrics.enabled .Values.metrics.secure) }}
- {apiGroups: [authorization.k8s.io], resources: [subjectaccessreviews], verbs: [create]}
{{- end }}
{{- if .Values.enforcementProbe.enabled }}
{{ include "node-restriction-plus.probeRules" . }}
{{- end }}
{{- if include "node-restriction-plus.selfManaged" . }}
# The authority of its certificate goes into this configuration and no other.
- apiGroups: [admissionregistration.k8s.io]
  resources: [validatingwebhookconfigurations]
  resourceNames: [{{ .Chart.Name }}]
  verbs: [get, list, watch, update, patch]
{{- end }}
{{- end }}

{{- /* probeRules: the right to be the kubelet that does not exist, in whose name it is tried whether the API server asks. */ -}}
{{- define "node-restriction-plus.probeRules" -}}
# The kubelet that does not exist, as which it tries whether the API server asks.
- {apiGroups: [""], resources: [users], resourceNames: ["system:node:node-restriction-plus-probe"], verbs: [impersonate]}
- {apiGroups: [""], resources: [groups], resourceNames: ["system:nodes"], verbs: [impersonate]}
{{- end }}
