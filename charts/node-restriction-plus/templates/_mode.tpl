{{- /*
What the chart installs: no pods with webhook.url; a DaemonSet, or files for static pods, with the profile controlPlane; otherwise a
Deployment. Each of these templates is true or empty.
*/ -}}
{{- define "node-restriction-plus.outside" -}}
{{- if .Values.webhook.url }}true{{ end -}}
{{- end }}

{{- define "node-restriction-plus.controlPlane" -}}
{{- if eq .Values.profile "controlPlane" }}true{{ end -}}
{{- end }}

{{- define "node-restriction-plus.static" -}}
{{- if and (eq .Values.profile "controlPlane") .Values.controlPlane.static.enabled }}true{{ end -}}
{{- end }}

{{- /* workload: pods that the chart itself starts. */ -}}
{{- define "node-restriction-plus.workload" -}}
{{- if not (or (include "node-restriction-plus.outside" .) (include "node-restriction-plus.static" .)) }}true{{ end -}}
{{- end }}

{{- define "node-restriction-plus.selfManaged" -}}
{{- if and (include "node-restriction-plus.workload" .) (eq .Values.certificates.mode "selfManaged") }}true{{ end -}}
{{- end }}

{{- define "node-restriction-plus.certManager" -}}
{{- if and (include "node-restriction-plus.workload" .) (eq .Values.certificates.mode "certManager") }}true{{ end -}}
{{- end }}

{{- /* injected: cainjector writes caBundle. */ -}}
{{- define "node-restriction-plus.injected" -}}
{{- if and (include "node-restriction-plus.certManager" .) (not .Values.webhook.caBundle) }}true{{ end -}}
{{- end }}

{{- /* injectFrom: namespace and name of the Certificate whose CA certificate cainjector writes. */ -}}
{{- define "node-restriction-plus.injectFrom" -}}
{{- $cm := .Values.certificates.certManager -}}
{{- $cm.injectFrom | default (printf "%s/%s%s" .Release.Namespace .Chart.Name (ternary "" "-ca" (not (empty $cm.issuerRef)))) -}}
{{- end }}

{{- define "node-restriction-plus.hostNetwork" -}}
{{- if or .Values.hostNetwork (include "node-restriction-plus.controlPlane" .) }}true{{ end -}}
{{- end }}

{{- /* mTLS: clients must have a certificate. */ -}}
{{- define "node-restriction-plus.mTLS" -}}
{{- if include "node-restriction-plus.static" . -}}
{{- if .Values.controlPlane.static.clientCA }}true{{ end -}}
{{- else if or .Values.clientCertificates.secret .Values.clientCertificates.configMap }}true{{ end -}}
{{- end }}

{{- /*
host: the host of the API server's own node, which it calls in the profile controlPlane. cert-manager's code, which issues the
self-managed certificate, supports only DNS names.
*/ -}}
{{- define "node-restriction-plus.host" -}}
{{- if eq .Values.certificates.mode "selfManaged" }}localhost{{ else }}127.0.0.1{{ end -}}
{{- end }}

{{- /* dnsNames: the names of the webhook's certificate, as a JSON list. */ -}}
{{- define "node-restriction-plus.dnsNames" -}}
{{- $name := printf "%s.%s.svc" .Values.webhook.service.name .Release.Namespace -}}
{{- if include "node-restriction-plus.controlPlane" . }}{{ $name = "localhost" }}{{ end -}}
{{- prepend (.Values.certificates.extraDNSNames | default list) $name | uniq | toJson -}}
{{- end }}

{{- /* check: fails for values that contradict each other. Each message begins with the value to change. */ -}}
{{- define "node-restriction-plus.check" -}}
{{- $v := .Values -}}
{{- $outside := include "node-restriction-plus.outside" . -}}
{{- $static := include "node-restriction-plus.static" . -}}
{{- if and $outside (eq $v.profile "controlPlane") -}}
{{- fail "webhook.url: the profile controlPlane has an address of its own; leave the value empty" -}}
{{- end -}}
{{- if and (eq $v.profile "observe") (or (eq $v.policies.recommended "Deny") (eq $v.policies.strict "Deny")) -}}
{{- fail "policies: the profile observe denies nothing; use Audit or another profile" -}}
{{- end -}}
{{- if and (eq $v.profile "observe") (eq $v.webhook.registrationFailurePolicy "Fail") -}}
{{- fail "webhook.registrationFailurePolicy: the profile observe refuses nothing; use another profile" -}}
{{- end -}}
{{- if $v.subjects.floor.enabled -}}
{{- if eq $v.profile "observe" -}}
{{- fail "subjects.floor.enabled: the profile observe refuses nothing; use another profile" -}}
{{- end -}}
{{- if not (or $v.subjects.serviceAccounts $v.subjects.usernamePrefixes) -}}
{{- fail "subjects.floor.enabled: needs subjects.serviceAccounts or subjects.usernamePrefixes" -}}
{{- end -}}
{{- end -}}
{{- if and $v.subjects.objects (not (or $v.subjects.serviceAccounts $v.subjects.usernamePrefixes)) -}}
{{- fail "subjects.objects: needs subjects.serviceAccounts or subjects.usernamePrefixes" -}}
{{- end -}}
{{- include "node-restriction-plus.checkAgents" (list "subjects" $v.subjects.usernamePrefixes $v.subjects.objects) -}}
{{- range $name, $spec := $v.policies.extra -}}
{{- with $spec.subjects -}}
{{- include "node-restriction-plus.checkAgents" (list (printf "policies.extra.%s" $name) .usernamePrefixes $spec.objects) -}}
{{- end -}}
{{- end -}}
{{- if and $v.controlPlane.static.enabled (not $static) -}}
{{- fail "controlPlane.static.enabled: needs the profile controlPlane" -}}
{{- end -}}
{{- if and $static (ne $v.certificates.mode "provided") -}}
{{- fail "certificates.mode: must be provided with controlPlane.static, because nobody can write into the files" -}}
{{- end -}}
{{- if and $static (not $v.webhook.caBundle) -}}
{{- fail "webhook.caBundle: must be set with controlPlane.static" -}}
{{- end -}}
{{- if and $static $v.webhook.followPolicies -}}
{{- fail "webhook.followPolicies: must be false with controlPlane.static, because nobody can write into the files" -}}
{{- end -}}
{{- if and (include "node-restriction-plus.workload" .) (eq $v.certificates.mode "provided") (not $v.certificates.provided.secretName) -}}
{{- fail "certificates.provided.secretName: must be set with certificates.mode provided" -}}
{{- end -}}
{{- if and .Values.tests.attack.enabled (not .Values.tests.attack.node) -}}
{{- fail "tests.attack.node: must name the Node whose kubelet the test impersonates" -}}
{{- end -}}
{{- if not (or $v.serviceAccount.create $v.serviceAccount.name) -}}
{{- fail "serviceAccount.name: must be set with serviceAccount.create false" -}}
{{- end -}}
{{- $storage := dig "limits" "ephemeral-storage" "" ($v.resources | default dict) | toString -}}
{{- if and $v.denialLog.file.enabled (not $v.denialLog.file.volume) (regexMatch "^[0-9]+[MG]i$" $storage) -}}
{{- $least := add (include "node-restriction-plus.denialLogMi" .) 256 -}}
{{- if lt (include "node-restriction-plus.mi" $storage | int64) $least -}}
{{- fail (printf "resources.limits.ephemeral-storage: must be at least %dMi for the files of denialLog.file and the container's logs" $least) -}}
{{- end -}}
{{- end -}}
{{- if and $v.clientCertificates.secret $v.clientCertificates.configMap -}}
{{- fail "clientCertificates.configMap: only one of secret and configMap can be set" -}}
{{- end -}}
{{- if and (include "node-restriction-plus.mTLS" .) (not $v.clientCertificates.allowedNames) -}}
{{- fail "clientCertificates.allowedNames: must be set, because the CA may also have signed the certificates of kubelets" -}}
{{- end -}}
{{- if and $v.clientCertificates.allowedNames (not (include "node-restriction-plus.mTLS" .)) (not $outside) -}}
{{- fail "clientCertificates.secret: must be set with clientCertificates.allowedNames, or configMap" -}}
{{- end -}}
{{- range $v.clientCertificates.allowedNames -}}
{{- if hasPrefix "system:node:" . -}}
{{- fail (printf "clientCertificates.allowedNames: %q is the name of a kubelet" .) -}}
{{- end -}}
{{- end -}}
{{- range $name, $_ := $v.policies.extra -}}
{{- if has $name (list "recommended" "strict") -}}
{{- fail (printf "policies.extra: %q is the name of one of the chart's policies; change that policy with policies.adapt" $name) -}}
{{- end -}}
{{- end -}}
{{- end }}
