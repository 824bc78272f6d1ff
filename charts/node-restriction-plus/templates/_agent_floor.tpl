{{- /*
The floor of node agents: a policy that the API server evaluates itself, by which the users of the value subjects write only their own node,
whatever the policies say. files/agents.json says it in CEL; it is generated from the rules. An eviction is not among its writes, because
it does not contain the pod.
*/ -}}

{{- /* agentFloorEnabled: whether there is this floor. */ -}}
{{- define "node-restriction-plus.agentFloorEnabled" -}}
{{- if .Values.subjects.floor.enabled }}true{{ end -}}
{{- end }}

{{- define "node-restriction-plus.agentFloorName" -}}
{{- .Chart.Name }}.agents
{{- end }}

{{- /* agentFloor: policy and binding, given a list of the root context and the suffix of the name. */ -}}
{{- define "node-restriction-plus.agentFloor" -}}
{{- $root := index . 0 -}}
{{- $name := printf "%s%s" (include "node-restriction-plus.agentFloorName" $root) (index . 1) -}}
{{- include "node-restriction-plus.policyAndBinding" (list $root $name (include "node-restriction-plus.agentFloorSpec" $root)) -}}
{{- end }}

{{- define "node-restriction-plus.agentFloorSpec" -}}
{{- $agents := include "node-restriction-plus.agentsOf" (list (include "node-restriction-plus.agentValues" . | fromJson)) | fromJson -}}
{{- $floor := .Files.Get "files/agents.json" | fromJson -}}
failurePolicy: Fail
matchConstraints:
  matchPolicy: Equivalent
  resourceRules:
  {{- range $resource, $operations := $floor.writes }}
  - apiGroups: [""]
    apiVersions: [v1]
    operations: {{ toJson $operations }}
    resources: [{{ $resource }}]
    scope: {{ ternary "Cluster" "Namespaced" (hasPrefix "nodes" $resource) }}
  {{- end }}
  {{- range $agents.resources }}
  {{- include "node-restriction-plus.agentObjectRule" . | nindent 2 }}
  {{- end }}
matchConditions:
- name: agent
  expression: |-
    {{- include "node-restriction-plus.isAgent" $agents | nindent 4 }}
{{ include "node-restriction-plus.agentFloorRules" (list $floor $agents.objects .Values.subjects.floor.withoutNode) }}
{{- end }}

{{- /*
agentFloorRules: variables, validations and audit annotations, given a list of the content of the file, the objects, and what a credential
that names no node may do. The annotations have the keys of the webhook's; the policy is the name of the value.
*/ -}}
{{- define "node-restriction-plus.agentFloorRules" -}}
{{- $floor := index . 0 -}}
{{- $variables := prepend $floor.variables (dict "name" "node" "expression" $floor.node) -}}
{{- $rules := $floor.rules -}}
{{- if eq (index . 2) "Deny" -}}
{{- $rules = prepend $rules (dict "rule" "without-node" "message" $floor.withoutNode "violates" "variables.node == ''") -}}
{{- end -}}
{{- $others := list -}}
{{- range $i, $object := index . 1 -}}
{{- $name := printf "Object%d" $i -}}
{{- $path := printf ".?%s" (replace "." ".?" $object.node) -}}
{{- range $floor.objects.variables -}}
{{- $variables = append $variables (dict "name" (replace "ObjectPath" $name .name) "expression" (replace ".?objectPath" $path .expression)) -}}
{{- end -}}
{{- $others = append $others (printf "request.resource.group == %s && request.resource.resource == %s && (%s)" (quote $object.group)
  (quote $object.resource) (replace "ObjectPath" $name $floor.objects.violates)) -}}
{{- end -}}
{{- with $others -}}
{{- $rules = append $rules (dict "rule" $floor.objects.rule "message" $floor.objects.message "violates" (join " || " .)) -}}
{{- end -}}
{{- $validations := list -}}
{{- $any := list -}}
{{- $names := list -}}
{{- range $rules -}}
{{- $name := printf "violates%s" (.rule | replace "-" " " | title | nospace) -}}
{{- $variables = append $variables (dict "name" $name "expression" .violates) -}}
{{- $validations = append $validations (dict "expression" (printf "!variables.%s" $name) "reason" "Forbidden"
  "message" (printf "NodeRestriction-plus: a node agent %s" .message)) -}}
{{- $any = append $any (printf "variables.%s" $name) -}}
{{- $names = append $names (printf "variables.%s ? '%s' : ''" $name .rule) -}}
{{- end -}}
{{- $variables = append $variables (dict "name" "violates" "expression" (join " || " $any)) -}}
{{- $annotations := list
  (dict "key" "decision" "valueExpression" "variables.violates ? 'denied' : ''")
  (dict "key" "policy" "valueExpression" "variables.violates ? 'subjects.floor' : ''")
  (dict "key" "rule" "valueExpression" (printf "[%s].filter(r, r != '').join(',')" (join ", " $names))) -}}
{{- dict "variables" $variables "validations" $validations "auditAnnotations" $annotations | toYaml -}}
{{- end }}
