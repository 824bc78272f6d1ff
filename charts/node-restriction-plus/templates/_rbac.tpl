{{- /* subjects: the subjects that get the webhook's permissions. Empty: none, and the chart renders no roles. */ -}}
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

{{- /* clusterRules: the permissions that the webhook always needs, and those that the values add. */ -}}
{{- define "node-restriction-plus.clusterRules" -}}
# The policies and their status.
- {apiGroups: [noderestriction.plus], resources: [noderestrictionpolicies], verbs: [get, list, watch]}
- {apiGroups: [noderestriction.plus], resources: [noderestrictionpolicies/status], verbs: [patch]}
# Whether the CRD still exists.
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  resourceNames: [noderestrictionpolicies.noderestriction.plus]
  verbs: [get]
# Labels and UIDs of Nodes, for a policy's nodeSelector.
- {apiGroups: [""], resources: [nodes], verbs: [get, list, watch]}
# The pod of an eviction, which is not in the request.
- {apiGroups: [""], resources: [pods], verbs: [get]}
# The CSI drivers with which a kubelet may add topology labels.
- {apiGroups: [storage.k8s.io], resources: [csidrivers], verbs: [get, list]}
{{- if .Values.baseline }}
# Lookups of the section baseline.
- {apiGroups: [""], resources: [serviceaccounts, persistentvolumeclaims, persistentvolumes], verbs: [get]}
{{- end }}
{{- if and .Values.metrics.enabled .Values.metrics.secure }}
# Authentication and authorization of metrics clients.
- {apiGroups: [authentication.k8s.io], resources: [tokenreviews], verbs: [create]}
{{- end }}
{{- if or .Values.baseline (and .Values.metrics.enabled .Values.metrics.secure) }}
- {apiGroups: [authorization.k8s.io], resources: [subjectaccessreviews], verbs: [create]}
{{- end }}
{{- if .Values.enforcementProbe.enabled }}
{{ include "node-restriction-plus.probeRules" . }}
{{- end }}
{{- if include "node-restriction-plus.wiringCheck" . }}
# What it compares with what was installed.
- apiGroups: [admissionregistration.k8s.io]
  resources: [validatingwebhookconfigurations]
  resourceNames: [{{ .Chart.Name }}]
  verbs: [get]
{{- with include "node-restriction-plus.floorNames" . | fromJsonArray }}
- apiGroups: [admissionregistration.k8s.io]
  resources: [validatingadmissionpolicies, validatingadmissionpolicybindings]
  resourceNames:
  {{- toYaml . | nindent 2 }}
  verbs: [get]
{{- end }}
{{- end }}
{{- if or (include "node-restriction-plus.selfManaged" .) (include "node-restriction-plus.follows" .) }}
# It writes {{ include "node-restriction-plus.writes" . }} into this configuration only.
- apiGroups: [admissionregistration.k8s.io]
  resources: [validatingwebhookconfigurations]
  resourceNames: [{{ .Chart.Name }}]
  verbs: [get, list, watch, {{ if include "node-restriction-plus.selfManaged" . }}update, {{ end }}patch]
{{- end }}
{{- with include "node-restriction-plus.followedFloorName" . }}
# It writes validations into this policy only.
- apiGroups: [admissionregistration.k8s.io]
  resources: [validatingadmissionpolicies]
  resourceNames: [{{ . }}]
  verbs: [get, list, watch, patch]
{{- end }}
{{- end }}

{{- /* writes: what the program writes into the webhook configuration. */ -}}
{{- define "node-restriction-plus.writes" -}}
{{- $writes := list -}}
{{- if include "node-restriction-plus.selfManaged" . }}{{ $writes = append $writes "its CA certificate" }}{{ end -}}
{{- if include "node-restriction-plus.follows" . }}{{ $writes = append $writes "match conditions" }}{{ end -}}
{{- join " and " $writes -}}
{{- end }}

{{- /* probeRules: the permission to impersonate the non-existent kubelet of the enforcement probe. */ -}}
{{- define "node-restriction-plus.probeRules" -}}
# The non-existent kubelet of the enforcement probe.
- {apiGroups: [""], resources: [users], resourceNames: ["system:node:node-restriction-plus-probe"], verbs: [impersonate]}
- {apiGroups: [""], resources: [groups], resourceNames: ["system:nodes"], verbs: [impersonate]}
{{- end }}
