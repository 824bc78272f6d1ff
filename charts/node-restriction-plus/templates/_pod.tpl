{{- /*
image: by digest if there is one, from global.imageRegistry unless the repository starts with a registry: a name with a dot or colon,
or localhost.
*/ -}}
{{- define "node-restriction-plus.image" -}}
{{- $repository := .Values.image.repository -}}
{{- with .Values.global.imageRegistry | trimSuffix "/" -}}
{{- if not (regexMatch "^([^/]*[.:][^/]*|localhost)/" $repository) }}{{ $repository = printf "%s/%s" . $repository }}{{ end -}}
{{- end -}}
{{- with .Values.image -}}
{{- if .digest }}{{ $repository }}@{{ .digest }}{{ else }}{{ $repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end -}}
{{- end -}}
{{- end }}

{{- /* imagePullSecrets: as in a pod spec, of values that may be names. */ -}}
{{- define "node-restriction-plus.imagePullSecrets" -}}
{{- $list := list -}}
{{- range concat (.Values.imagePullSecrets | default list) (.Values.global.imagePullSecrets | default list) -}}
{{- $list = append $list (ternary (dict "name" .) . (kindIs "string" .)) -}}
{{- end -}}
{{- with $list | uniq -}}
imagePullSecrets:
{{ toYaml . }}
{{- end -}}
{{- end }}

{{- /* mi: a quantity in Mi or Gi as a number of Mi. */ -}}
{{- define "node-restriction-plus.mi" -}}
{{- $n := regexFind "^[0-9]+" . | int64 -}}
{{- ternary (mul $n 1024) $n (hasSuffix "Gi" .) -}}
{{- end }}

{{- /* denialLogMi: the Mi that the files of records may take: a full file is renamed before the oldest one is deleted. */ -}}
{{- define "node-restriction-plus.denialLogMi" -}}
{{- with .Values.denialLog.file -}}
{{- max 1024 (mul (add .maxBackups 2) (include "node-restriction-plus.mi" .maxSize | int64)) -}}
{{- end -}}
{{- end }}

{{- /* denialLogVolume: the volume for the files of records. */ -}}
{{- define "node-restriction-plus.denialLogVolume" -}}
{{- with .Values.denialLog.file.volume -}}
{{- toYaml . -}}
{{- else -}}
emptyDir:
  sizeLimit: {{ include "node-restriction-plus.denialLogMi" . }}Mi
{{- end -}}
{{- end }}

{{- /* goMemoryLimit: nine tenths of the memory limit, in the notation of Go's runtime, or empty if the limit is not in Mi or Gi. */ -}}
{{- define "node-restriction-plus.goMemoryLimit" -}}
{{- $limit := dig "limits" "memory" "" (.Values.resources | default dict) | toString -}}
{{- if regexMatch "^[0-9]+Mi$" $limit -}}
{{- div (mul (trimSuffix "Mi" $limit | int64) 9) 10 }}MiB
{{- else if regexMatch "^[0-9]+Gi$" $limit -}}
{{- div (mul (trimSuffix "Gi" $limit | int64) 9216) 10 }}MiB
{{- end -}}
{{- end }}

{{- /* args: the arguments of the program, one per line. */ -}}
{{- define "node-restriction-plus.args" -}}
{{- $v := .Values -}}
{{- $static := include "node-restriction-plus.static" . -}}
{{- $loopback := ternary "127.0.0.1" "" (ne (include "node-restriction-plus.controlPlane" .) "") -}}
- serve
{{- with $v.bindAddress | default $loopback }}
- --bind-address={{ . }}
{{- end }}
- --port={{ $v.ports.webhook }}
{{- if $static }}
- --kubeconfig={{ $v.controlPlane.static.kubeconfig }}
{{- end }}
{{- if include "node-restriction-plus.selfManaged" . }}
- --certificate-source=self-managed
- --self-managed-ca-secret={{ .Release.Namespace }}/{{ .Chart.Name }}-ca
- --self-managed-dns-names={{ include "node-restriction-plus.dnsNames" . | fromJsonArray | join "," }}
- --self-managed-webhook-configuration={{ .Chart.Name }}
{{- else }}
- --cert-dir=/etc/node-restriction-plus/tls
{{- end }}
{{- if include "node-restriction-plus.mTLS" . }}
- --client-ca-file=/etc/node-restriction-plus/client-ca/{{ ternary (base $v.controlPlane.static.clientCA) $v.clientCertificates.key (ne $static "") }}
- --client-allowed-names={{ join "," $v.clientCertificates.allowedNames }}
{{- end }}
{{- if not $v.metrics.enabled }}
- --metrics-bind-address=0
{{- else if $v.metrics.secure }}
- --metrics-bind-address=:{{ $v.ports.metrics }}
{{- else }}
- --metrics-bind-address=127.0.0.1:{{ $v.ports.metrics }}
- --metrics-secure=false
{{- end }}
- --health-probe-bind-address={{ $loopback }}:{{ $v.ports.health }}
{{- with $v.pprofBindAddress }}
- --pprof-bind-address={{ . }}
{{- end }}
- --shutdown-delay={{ $v.shutdown.delaySeconds }}s
- --log-level={{ $v.logLevel }}
- --max-connections={{ $v.limits.maxConnections | int64 }}
- --max-requests-in-flight={{ $v.limits.maxRequestsInFlight | int64 }}
- --max-body-bytes-in-flight={{ $v.limits.maxBodyBytesInFlight | int64 }}
{{- with $v.denialLog.file }}
{{- if .enabled }}
- --denial-log-file={{ .path }}
- --denial-log-file-max-size={{ .maxSize }}
- --denial-log-file-max-backups={{ .maxBackups }}
{{- end }}
{{- end }}
{{- if not $v.events.enabled }}
- --events=false
{{- end }}
{{- if $v.enforcementProbe.enabled }}
- --enforcement-probe
- --enforcement-probe-interval={{ $v.enforcementProbe.interval }}
- --enforcement-probe-webhooks={{ include "node-restriction-plus.probedWebhooks" . }}
{{- end }}
{{- if include "node-restriction-plus.wiringCheck" . }}
- --wiring-check-configuration={{ .Chart.Name }}
- --wiring-check-interval={{ $v.wiringCheck.interval }}
{{- end }}
{{- if include "node-restriction-plus.follows" . }}
- --base-conditions=/etc/node-restriction-plus/conditions/conditions.json
{{- end }}
{{- range $v.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end }}

{{- /* securityContext: the field securityContext without the empty keys of the given value, or nothing. */ -}}
{{- define "node-restriction-plus.securityContext" -}}
{{- $context := dict -}}
{{- range $key, $value := . }}{{ if ne (toString $value) "" }}{{ $_ := set $context $key $value }}{{ end }}{{ end -}}
{{- with $context -}}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* tolerations: the tolerations of all pods of the chart. */ -}}
{{- define "node-restriction-plus.tolerations" -}}
- {key: node.kubernetes.io/not-ready, operator: Exists}
- {key: node.kubernetes.io/unreachable, operator: Exists}
- {key: node-role.kubernetes.io/control-plane, operator: Exists}
{{- with .Values.tolerations }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* container: the webhook's container. */ -}}
{{- define "node-restriction-plus.container" -}}
{{- $v := .Values -}}
{{- $controlPlane := include "node-restriction-plus.controlPlane" . -}}
name: {{ .Chart.Name }}
image: {{ include "node-restriction-plus.image" . | quote }}
imagePullPolicy: {{ $v.image.pullPolicy }}
args:
{{ include "node-restriction-plus.args" . }}
env:
{{- with include "node-restriction-plus.goMemoryLimit" . }}
- name: GOMEMLIMIT
  value: {{ . }}
{{- else }}
{{- if dig "limits" "memory" "" ($v.resources | default dict) }}
- name: GOMEMLIMIT
  valueFrom:
    resourceFieldRef:
      containerName: {{ .Chart.Name }}
      resource: limits.memory
{{- end }}
{{- end }}
{{- if $v.goMaxProcs }}
- name: GOMAXPROCS
  value: {{ $v.goMaxProcs | quote }}
{{- end }}
{{- with $v.extraEnv }}
{{ toYaml . }}
{{- end }}
ports:
- {name: webhook, containerPort: {{ $v.ports.webhook }}, protocol: TCP}
{{- if and $v.metrics.enabled $v.metrics.secure }}
- {name: metrics, containerPort: {{ $v.ports.metrics }}, protocol: TCP}
{{- end }}
- {name: health, containerPort: {{ $v.ports.health }}, protocol: TCP}
readinessProbe:
  httpGet:
    path: /readyz
    port: health
    {{- if $controlPlane }}
    host: 127.0.0.1
    {{- end }}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
livenessProbe:
  httpGet:
    path: /livez
    port: health
    {{- if $controlPlane }}
    host: 127.0.0.1
    {{- end }}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
  # A program that hangs does not terminate on a signal, and would stay for the whole grace period.
  terminationGracePeriodSeconds: 10
{{- if $v.shutdown.preStopSeconds }}
lifecycle:
  preStop:
    sleep:
      seconds: {{ $v.shutdown.preStopSeconds }}
{{- end }}
resources:
  {{- toYaml $v.resources | nindent 2 }}
{{- with include "node-restriction-plus.securityContext" $v.securityContext }}
{{ . }}
{{- end }}
{{- with include "node-restriction-plus.mounts" . | fromYamlArray }}
volumeMounts:
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "node-restriction-plus.mounts" -}}
{{- if not (include "node-restriction-plus.selfManaged" .) }}
- {name: tls, mountPath: /etc/node-restriction-plus/tls, readOnly: true}
{{- end }}
{{- if include "node-restriction-plus.mTLS" . }}
- {name: client-ca, mountPath: /etc/node-restriction-plus/client-ca, readOnly: true}
{{- end }}
{{- if include "node-restriction-plus.static" . }}
- {name: kubeconfig, mountPath: {{ dir .Values.controlPlane.static.kubeconfig }}, readOnly: true}
{{- end }}
{{- if include "node-restriction-plus.follows" . }}
- {name: conditions, mountPath: /etc/node-restriction-plus/conditions, readOnly: true}
{{- end }}
{{- if .Values.denialLog.file.enabled }}
- {name: denial-log, mountPath: {{ dir .Values.denialLog.file.path }}}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "node-restriction-plus.volumes" -}}
{{- $v := .Values -}}
{{- $static := include "node-restriction-plus.static" . -}}
{{- if $static }}
- {name: tls, hostPath: {path: {{ $v.controlPlane.static.certificates }}, type: Directory}}
- {name: kubeconfig, hostPath: {path: {{ dir $v.controlPlane.static.kubeconfig }}, type: Directory}}
{{- else if eq $v.certificates.mode "provided" }}
- {name: tls, secret: {secretName: {{ $v.certificates.provided.secretName }}, defaultMode: 0440}}
{{- else if eq $v.certificates.mode "certManager" }}
- {name: tls, secret: {secretName: {{ .Chart.Name }}-tls, defaultMode: 0440}}
{{- end }}
{{- if include "node-restriction-plus.mTLS" . }}
{{- if $static }}
- {name: client-ca, hostPath: {path: {{ dir $v.controlPlane.static.clientCA }}, type: Directory}}
{{- else if $v.clientCertificates.secret }}
- name: client-ca
  secret:
    secretName: {{ $v.clientCertificates.secret }}
    items: [{key: {{ $v.clientCertificates.key | quote }}, path: {{ $v.clientCertificates.key | quote }}}]
{{- else }}
- name: client-ca
  configMap:
    name: {{ $v.clientCertificates.configMap }}
    items: [{key: {{ $v.clientCertificates.key | quote }}, path: {{ $v.clientCertificates.key | quote }}}]
{{- end }}
{{- end }}
{{- if include "node-restriction-plus.follows" . }}
- {name: conditions, configMap: {name: {{ .Chart.Name }}-conditions}}
{{- end }}
{{- if $v.denialLog.file.enabled }}
- name: denial-log
  {{- include "node-restriction-plus.denialLogVolume" . | nindent 2 }}
{{- end }}
{{- with $v.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /*
podSpec: the part of the pod spec that Deployment, DaemonSet and static pod share. The pods stay on nodes that are not ready or
unreachable, because they are needed then, and a new pod might not start.
*/ -}}
{{- define "node-restriction-plus.podSpec" -}}
{{- $v := .Values -}}
terminationGracePeriodSeconds: {{ add $v.shutdown.preStopSeconds $v.shutdown.delaySeconds 55 }}
{{- with $v.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with include "node-restriction-plus.imagePullSecrets" . }}
{{ . }}
{{- end }}
enableServiceLinks: false
{{- if include "node-restriction-plus.hostNetwork" . }}
hostNetwork: true
dnsPolicy: ClusterFirstWithHostNet
{{- end }}
{{- with include "node-restriction-plus.securityContext" $v.podSecurityContext }}
{{ . }}
{{- end }}
{{- with $v.extraInitContainers }}
initContainers:
{{ toYaml . }}
{{- end }}
containers:
- {{- include "node-restriction-plus.container" . | nindent 2 }}
{{- with $v.extraContainers }}
{{ toYaml . }}
{{- end }}
{{- with include "node-restriction-plus.volumes" . | fromYamlArray }}
volumes:
{{ toYaml . }}
{{- end }}
tolerations:
{{ include "node-restriction-plus.tolerations" . }}
{{- end }}

{{- /* podMetadata: the metadata of the pods of a Deployment or DaemonSet. */ -}}
{{- define "node-restriction-plus.podMetadata" -}}
labels:
  {{- with .Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- include "node-restriction-plus.labels" . | nindent 2 }}
annotations:
  kubectl.kubernetes.io/default-container: {{ .Chart.Name }}
  {{- with .Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
