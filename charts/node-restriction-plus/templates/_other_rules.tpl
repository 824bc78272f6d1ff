{{- /* otherRules: the writes of resources other than nodes and pods that are sent. Each kind of write is in one rule. */ -}}
{{- define "node-restriction-plus.otherRules" -}}
{{- $rules := .Values.rules -}}
{{- $baseline := .Values.baseline -}}
{{- if has "pods" $baseline }}
- {apiGroups: [""], apiVersions: [v1], operations: [UPDATE], resources: [pods], scope: Namespaced}
- apiGroups: [""]
  apiVersions: [v1]
  operations: [CREATE, UPDATE]
  resources: [pods/binding, pods/ephemeralcontainers, pods/resize]
  scope: Namespaced
{{- end }}
{{- if has "persistentvolumeclaims" $baseline }}
- apiGroups: [""]
  apiVersions: [v1]
  operations: [CREATE, UPDATE, DELETE]
  resources: [persistentvolumeclaims]
  scope: Namespaced
- {apiGroups: [""], apiVersions: [v1], operations: [UPDATE], resources: [persistentvolumeclaims/status], scope: Namespaced}
{{- end }}
{{- if or $rules.serviceAccountTokens (has "serviceaccounts" $baseline) }}
- {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [serviceaccounts/token], scope: Namespaced}
{{- end }}
{{- if include "node-restriction-plus.sendsCSINodes" . }}
- {apiGroups: [storage.k8s.io], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [csinodes], scope: Cluster}
{{- end }}
{{- if has "csinodes" $baseline }}
- {apiGroups: [storage.k8s.io], apiVersions: [v1], operations: [DELETE], resources: [csinodes], scope: Cluster}
- {apiGroups: [storage.k8s.io], apiVersions: [v1], operations: [UPDATE], resources: [csinodes/status], scope: Cluster}
{{- end }}
{{- if or $rules.resourceSlices (has "resourceslices" $baseline) }}
- {apiGroups: [resource.k8s.io], apiVersions: [v1], operations: [CREATE], resources: [resourceslices], scope: Cluster}
{{- end }}
{{- if $rules.resourceSlices }}
- {apiGroups: [resource.k8s.io], apiVersions: [v1], operations: [UPDATE], resources: [resourceslices], scope: Cluster}
{{- end }}
{{- if has "resourceslices" $baseline }}
- {apiGroups: [resource.k8s.io], apiVersions: [v1], operations: [DELETE], resources: [resourceslices], scope: Cluster}
{{- end }}
{{- if $rules.events }}
- {apiGroups: ["", events.k8s.io], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [events], scope: Namespaced}
{{- end }}
{{- if has "leases" $baseline }}
- apiGroups: [coordination.k8s.io]
  apiVersions: [v1]
  operations: [CREATE, UPDATE, DELETE]
  resources: [leases]
  scope: Namespaced
{{- end }}
{{- if has "certificatesigningrequests" $baseline }}
- apiGroups: [certificates.k8s.io]
  apiVersions: [v1]
  operations: [CREATE]
  resources: [certificatesigningrequests]
  scope: Cluster
{{- end }}
{{- if has "podcertificaterequests" $baseline }}
- apiGroups: [certificates.k8s.io]
  apiVersions: [v1]
  operations: [CREATE, UPDATE, DELETE]
  resources: [podcertificaterequests]
  scope: Namespaced
- apiGroups: [certificates.k8s.io]
  apiVersions: [v1]
  operations: [UPDATE]
  resources: [podcertificaterequests/status]
  scope: Namespaced
{{- end }}
{{- end }}

{{- /* sendsCSINodes: writes of CSINodes are sent, not only the enforcement probe. */ -}}
{{- define "node-restriction-plus.sendsCSINodes" -}}
{{- if or .Values.rules.csiNodes (has "csinodes" .Values.baseline) }}true{{ end -}}
{{- end }}

{{- /* quantityRules: the part of otherRules with quantities, which also go to gate if they are not cheap. */ -}}
{{- define "node-restriction-plus.quantityRules" -}}
{{- $baseline := .Values.baseline -}}
{{- if has "pods" $baseline }}
- apiGroups: [""]
  apiVersions: [v1]
  operations: [UPDATE]
  resources: [pods, pods/ephemeralcontainers, pods/resize]
  scope: Namespaced
{{- end }}
{{- if has "persistentvolumeclaims" $baseline }}
- apiGroups: [""]
  apiVersions: [v1]
  operations: [CREATE, UPDATE, DELETE]
  resources: [persistentvolumeclaims]
  scope: Namespaced
- {apiGroups: [""], apiVersions: [v1], operations: [UPDATE], resources: [persistentvolumeclaims/status], scope: Namespaced}
{{- end }}
{{- if or .Values.rules.resourceSlices (has "resourceslices" $baseline) }}
- {apiGroups: [resource.k8s.io], apiVersions: [v1], operations: [CREATE], resources: [resourceslices], scope: Cluster}
{{- end }}
{{- if .Values.rules.resourceSlices }}
- {apiGroups: [resource.k8s.io], apiVersions: [v1], operations: [UPDATE], resources: [resourceslices], scope: Cluster}
{{- end }}
{{- end }}
