{{- /* warnings: values that are allowed but unwise, as a list. */ -}}
{{- define "node-restriction-plus.warnings" -}}
{{- $v := .Values -}}
{{- $workload := include "node-restriction-plus.workload" . -}}
{{- $deployment := and $workload (not (include "node-restriction-plus.controlPlane" .)) -}}
{{- $registration := eq (include "node-restriction-plus.registrationFailurePolicy" .) "Fail" -}}
{{- if and $deployment (lt (int $v.replicas) 2) }}
- >-
  replicas is {{ $v.replicas }}: while its node is drained or lost, nothing answers{{ if ne $v.profile "observe" }}, and evictions and other writes that violate
  a rule as no stock kubelet does are refused{{ end }}. Use 3.
{{- end }}
{{- if and $deployment $registration (lt (int $v.replicas) 3) }}
- >-
  With fewer than 3 replicas, do not make registration depend on them, as the profile strict or
  webhook.registrationFailurePolicy Fail does. A kubelet that restarts also registers.
{{- end }}
{{- if and $deployment $registration }}
- >-
  No Node can register, and no kubelet can restart, while no replica answers; and these pods run on such nodes. The profile
  controlPlane avoids this circular dependency.
{{- end }}
{{- if and $deployment (not $v.nodeSelector) }}
- >-
  nodeSelector is empty: the pods run on any node. The kubelet of a pod's node can read the pod's token and the key of its certificate, and
  answer for it. Keep the pods on nodes that you trust, selected by a label that no kubelet can set.
{{- end }}
{{- if and (or $workload (include "node-restriction-plus.static" .)) (not (include "node-restriction-plus.mTLS" .)) }}
- >-
  Clients need no certificate: anyone who can reach the port can send reviews, which leave records with clientAuth none.
  docs/mtls.md describes how to give the API server a certificate.
{{- end }}
{{- if and (not $v.webhook.caBundle) (or (include "node-restriction-plus.outside" .) (and $workload (eq $v.certificates.mode "provided"))) }}
- >-
  webhook.caBundle is empty: the API server trusts the CAs that its host trusts.
{{- end }}
{{- if and $workload (not $v.image.digest) }}
- >-
  image.digest is empty: a tag can be moved to another image.
{{- end }}
{{- if and (include "node-restriction-plus.static" .) (not $v.rbac.subjects) }}
- >-
  rbac.subjects is empty: the user of {{ $v.controlPlane.static.kubeconfig }} must get its permissions elsewhere.
{{- end }}
{{- if and (ne $v.profile "observe") (or (eq $v.policies.recommended "Deny") (eq $v.policies.strict "Deny")) (not $v.floor.enabled) }}
- >-
  floor.enabled is false: while no replica answers, a Node can register with anything.
{{- end }}
{{- $marks := merge (dict) ($v.webhook.labels | default dict) ($v.webhook.annotations | default dict) ($v.commonLabels | default dict)
  ($v.commonAnnotations | default dict) }}
{{- if and (eq $v.policies.distribution "aks") (not (hasKey $marks "admissions.enforcer/disabled")) }}
- >-
  AKS excludes kube-system from webhook configurations, so no write of pods there is sent. Set webhook.labels, as docs/platforms.md says.
{{- end }}
{{- range $name, $change := $v.policies.adapt }}
{{- with include "node-restriction-plus.removed" (list "" $change) | fromYamlArray }}
{{- if ne (get $v.policies $name) "Off" }}
- >-
  policies.adapt.{{ $name }} removes {{ join ", " . }}: a section that is removed turns its rule off.
{{- end }}
{{- end }}
{{- end }}
{{- range $name, $_ := dict "recommended" "" "strict" "" }}
{{- if and (eq (get $v.policies $name) "Off") ($.Capabilities.APIVersions.Has "noderestriction.plus/v1alpha1") }}
{{- $left := lookup "noderestriction.plus/v1alpha1" "NodeRestrictionPolicy" "" $name | default dict }}
{{- if and (eq (dig "metadata" "annotations" "meta.helm.sh/release-name" "" $left) $.Release.Name) (dig "metadata" "annotations" "helm.sh/hook" "" $left) }}
- >-
  The policy {{ $name }} of the first install is Off but still in force, because no upgrade has adopted it. Delete it:
  kubectl delete nrp {{ $name }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* removed: the paths of a change to a policy that are null, as a list, given a list of the path and the change. */ -}}
{{- define "node-restriction-plus.removed" -}}
{{- $at := first . -}}
{{- range $key, $value := last . }}
{{- if kindIs "invalid" $value }}
- {{ $at }}{{ $key }}
{{- else if kindIs "map" $value }}
{{- include "node-restriction-plus.removed" (list (printf "%s%s." $at $key) $value) }}
{{- end }}
{{- end }}
{{- end }}
