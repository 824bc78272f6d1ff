{{- /*
The line between gate and status, by kind of write. What the API server may refuse while no replica answers is what certainly violates
a rule: in the form that no stock kubelet violates, or in the form of a chart's policy that denies. files/conditions.json, and the value
policies.conditions, say in CEL what violates a section of a policy; they are generated from the rules. A section that neither has stays with
status. So does what a policy that only warns or records would deny, and a list beyond the bounds of the expressions, which a kubelet or
somebody else may have made so long.
*/ -}}

{{- /* known: sets the content of the file in a dict, the second of two arguments, with all entries by rule and section. */ -}}
{{- define "node-restriction-plus.known" -}}
{{- $root := index . 0 -}}
{{- $known := index . 1 -}}
{{- $file := $root.Files.Get "files/conditions.json" | fromJson -}}
{{- $entries := dict -}}
{{- range concat $file.entries ($root.Values.policies.conditions | default list) -}}
{{- $_ := set $entries (printf "%s %s" (.rule | default "") .section) . -}}
{{- end -}}
{{- $_ := set $known "entries" $entries -}}
{{- range list "sections" "gate" "writes" }}{{ $_ := set $known . (get $file .) }}{{ end -}}
{{- end }}

{{- /* section: the part of a policy's spec, the first of two arguments, at a path, as compact JSON. Empty: there is no such part. */ -}}
{{- define "node-restriction-plus.section" -}}
{{- $at := index . 0 -}}
{{- range index . 1 -}}
{{- if kindIs "map" $at }}{{ $at = get $at . }}{{ else }}{{ $at = "" }}{{ end -}}
{{- end -}}
{{- if not (or (kindIs "invalid" $at) (eq (kindOf $at) "string")) }}{{ toJson $at }}{{ end -}}
{{- end }}

{{- /*
unsaid: the rules that a policy for kubelets, given as a spec, turns on, and that neither the file nor the values say in CEL. Given a list of
the known conditions and the spec. A JSON list.
*/ -}}
{{- define "node-restriction-plus.unsaid" -}}
{{- $known := index . 0 -}}
{{- $spec := index . 1 -}}
{{- $unsaid := list -}}
{{- if $spec.subjects -}}
{{- $spec = dict -}}
{{- end -}}
{{- if $spec.match -}}
{{- if not (get $known.entries (printf " %s" (toJson $spec.match))) }}{{ $unsaid = append $unsaid "all rules, because of match" }}{{ end -}}
{{- end -}}
{{- $baseline := false -}}
{{- range $rule, $path := $known.sections -}}
{{- $section := include "node-restriction-plus.section" (list $spec $path) -}}
{{- if and $section (not (get $known.entries (printf "%s %s" $rule $section))) -}}
{{- if hasPrefix "baseline-" $rule -}}
{{- $baseline = not (get $known.entries (printf "baseline-nodes %s" $section)) -}}
{{- else -}}
{{- $unsaid = append $unsaid $rule -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $baseline }}{{ $unsaid = append $unsaid "baseline" }}{{ end -}}
{{- toJson $unsaid -}}
{{- end }}

{{- /* add: adds an entry's expressions to lists by kind of write, given a list of the lists, the entry, and an entry of a match or a dict. */ -}}
{{- define "node-restriction-plus.addEntry" -}}
{{- $to := index . 0 -}}
{{- $match := index . 2 -}}
{{- range $write, $e := (index . 1).writes -}}
{{- $violates := printf "(%s)" $e.violates -}}
{{- if $match -}}
{{- $for := get $match.writes $write | default (get $match.writes "*") -}}
{{- $violates = ternary (printf "(%s) && %s" ($for | default dict).violates $violates) "" (not (not $for)) -}}
{{- end -}}
{{- if $violates -}}
{{- $_ := set $to $write (append (get $to $write | default list) (dict "violates" $violates "compared" ($e.compared | default list)
  "often" ($e.often | default false))) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /*
stock: what no stock kubelet violates, by kind of write, given a list of the root context, the known conditions and the dict of lists. What
the policy recommended allows to the agents of a distribution, or by the values, is not in it: it must violate both forms.
*/ -}}
{{- define "node-restriction-plus.stock" -}}
{{- $root := index . 0 -}}
{{- $known := index . 1 -}}
{{- $to := index . 2 -}}
{{- $plain := ($root.Files.Get "files/policies/recommended.yaml" | fromYaml).spec -}}
{{- $adapted := include "node-restriction-plus.preset" (list $root "recommended") | fromYaml -}}
{{- $agentsWrite := false -}}
{{- range $rule := list "node-labels" "node-annotations" "node-unschedulable" -}}
{{- $path := get $known.sections $rule -}}
{{- if ne (include "node-restriction-plus.section" (list $plain $path)) (include "node-restriction-plus.section" (list $adapted $path)) -}}
{{- $agentsWrite = true -}}
{{- end -}}
{{- end -}}
{{- range $rule, $section := $known.gate -}}
{{- $path := get $known.sections $rule -}}
{{- $before := include "node-restriction-plus.section" (list $plain $path) -}}
{{- $after := include "node-restriction-plus.section" (list $adapted $path) -}}
{{- $entry := get $known.entries (printf "%s %s" $rule $section) -}}
{{- $also := get $known.entries (printf "%s %s" $rule $after) -}}
{{- if and $entry (not (and (eq $rule "node-direct-updates") $agentsWrite)) -}}
{{- if eq $before $after -}}
{{- include "node-restriction-plus.addEntry" (list $to $entry dict) -}}
{{- else if $also -}}
{{- include "node-restriction-plus.addEntry" (list $to $entry $also) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* denied: what the chart's policies that deny certainly deny, by kind of write, given the same list. */ -}}
{{- define "node-restriction-plus.denied" -}}
{{- $known := index . 1 -}}
{{- $to := index . 2 -}}
{{- range include "node-restriction-plus.policies" (index . 0) | fromYamlArray -}}
{{- $spec := .spec -}}
{{- $match := dict -}}
{{- $matches := true -}}
{{- if $spec.match -}}
{{- $match = get $known.entries (printf " %s" (toJson $spec.match)) -}}
{{- $matches = not (not $match) -}}
{{- end -}}
{{- if and $matches (not $spec.subjects) (include "node-restriction-plus.denies" $spec) -}}
{{- range $rule, $path := $known.sections -}}
{{- $section := include "node-restriction-plus.section" (list $spec $path) -}}
{{- with get $known.entries (printf "%s %s" $rule $section) -}}
{{- include "node-restriction-plus.addEntry" (list $to . $match) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* differing: one of the fields, given as a list of paths, differs between the objects. */ -}}
{{- define "node-restriction-plus.differing" -}}
{{- $new := list -}}
{{- $old := list -}}
{{- range . -}}
{{- $optional := replace "." ".?" . -}}
{{- $new = append $new (printf "object.?%s" $optional) -}}
{{- $old = append $old (printf "oldObject.?%s" $optional) -}}
{{- end -}}
{{- if eq (len .) 1 -}}
{{ first $new }} != {{ first $old }}
{{- else -}}
[{{ join ", " $new }}] !=
[{{ join ", " $old }}]
{{- end }}
{{- end }}

{{- /*
anyOf: one of a list of expressions is true. Fields that most updates do not change are compared first, all at once: then a heartbeat
evaluates none of the expressions.
*/ -}}
{{- define "node-restriction-plus.anyOf" -}}
{{- $groups := dict -}}
{{- range . -}}
{{- $key := join " " .compared -}}
{{- $group := get $groups $key | default (dict "compared" .compared "often" .often "either" list) -}}
{{- if not (has .violates $group.either) }}{{ $_ := set $group "either" (append $group.either .violates) }}{{ end -}}
{{- $_ := set $groups $key $group -}}
{{- end -}}
{{- $rest := list -}}
{{- $quiet := list -}}
{{- $paths := list -}}
{{- range $groups -}}
{{- $e := join " ||\n" .either -}}
{{- if .compared }}{{ $e = printf "%s && (\n%s)" (include "node-restriction-plus.differing" .compared) $e }}{{ end -}}
{{- if and .compared (not .often) -}}
{{- $quiet = append $quiet $e -}}
{{- range .compared }}{{ $paths = append $paths (regexReplaceAll "^([^.]+[.][^.]+)[.].*$" . "${1}") }}{{ end -}}
{{- else -}}
{{- $rest = append $rest $e -}}
{{- end -}}
{{- end -}}
{{- if $quiet -}}
{{- $rest = append $rest (printf "%s && (\n%s)" (include "node-restriction-plus.differing" ($paths | uniq | sortAlpha)) (join " ||\n" $quiet)) -}}
{{- end -}}
{{- join " ||\n" $rest | default "false" -}}
{{- end }}

{{- /*
lines: for each kind of write that gate and status are sent, by its name: what goes to gate and, of the others, what goes to status.
Given a list of the root context, the known conditions, and whether the chart's policies count. A JSON object.
*/ -}}
{{- define "node-restriction-plus.lines" -}}
{{- $root := index . 0 -}}
{{- $known := index . 1 -}}
{{- $violations := dict -}}
{{- include "node-restriction-plus.quantityEntries" $violations -}}
{{- include "node-restriction-plus.stock" (list $root $known $violations) -}}
{{- if index . 2 }}{{ include "node-restriction-plus.denied" (list $root $known $violations) }}{{ end -}}
{{- $always := dict
  "nodes-update" (include "node-restriction-plus.nodeUpdateGate" $root)
  "nodes-status-update" (include "node-restriction-plus.nodeUpdateGate" $root)
  "nodes-delete" "false"
  "pods-create" (include "node-restriction-plus.mirrorPodQuantities" $root)
  "pods-eviction-create" "false"
  "pods-delete" (include "node-restriction-plus.storedPodQuantities" $root)
  "pods-status-update" (include "node-restriction-plus.podStatusGate" $root) -}}
{{- $open := dict
  "nodes-status-update" (include "node-restriction-plus.nodeStatusOpen" $root)
  "pods-status-update" (include "node-restriction-plus.podStatusOpen" $root) -}}
{{- $lines := dict -}}
{{- range $write, $gate := $always -}}
{{- $e := include "node-restriction-plus.either" (list $gate (include "node-restriction-plus.anyOf" (get $violations $write | default list))) -}}
{{- $_ := set $lines $write (dict "gate" $e "open" (get $open $write | default "true")) -}}
{{- end -}}
{{- range include "node-restriction-plus.otherWrites" $root | fromJsonArray -}}
{{- $quantities := include "node-restriction-plus.otherQuantities" . -}}
{{- $e := include "node-restriction-plus.either" (list $quantities (include "node-restriction-plus.anyOf" (get $violations . | default list))) -}}
{{- if or (ne $e "false") (include "node-restriction-plus.follows" $root) -}}
{{- if eq . "csinodes-create" }}{{ $e = printf "!(%s) && (\n%s)" (include "node-restriction-plus.probe" $root) $e }}{{ end -}}
{{- $_ := set $lines . (dict "gate" $e "other" true "quantities" (ne $quantities "false")) -}}
{{- end -}}
{{- end -}}
{{- toJson $lines -}}
{{- end }}

{{- /* either: one of two expressions is true. */ -}}
{{- define "node-restriction-plus.either" -}}
{{- $rest := without . "false" -}}
{{- if has "true" . }}true{{ else }}{{ join " ||\n" $rest | default "false" }}{{ end -}}
{{- end }}

{{- /*
quantityEntries: adds to the lists by kind of write what no rule sees: new quantities that no kubelet prints. Given a dict of the lists.
*/ -}}
{{- define "node-restriction-plus.quantityEntries" -}}
{{- $node := dict "violates" (printf "(%s)" (include "node-restriction-plus.newNodeQuantities" .)) "often" false
  "compared" (list "status.allocatable" "status.capacity") -}}
{{- $object := list "object" "status" -}}
{{- $containers := dict "violates" (printf "(%s)" (include "node-restriction-plus.containerQuantities" $object)) "often" true
  "compared" (list "status.containerStatuses" "status.ephemeralContainerStatuses" "status.initContainerStatuses") -}}
{{- $pod := dict "violates" (printf "(%s)" (include "node-restriction-plus.wholePodQuantities" $object)) "often" false
  "compared" (list "status.allocatedResources" "status.nodeAllocatableResourceClaimStatuses" "status.resources") -}}
{{- range $write, $added := dict "nodes-update" (list $node) "nodes-status-update" (list $node) "pods-status-update" (list $containers $pod) -}}
{{- $_ := set $ $write (concat (get $ $write | default list) $added) -}}
{{- end -}}
{{- end }}

{{- /* nodeUpdateGate: the update of a Node has what no rule sees: a stored quantity that is not cheap, or fields that are applied. */ -}}
{{- define "node-restriction-plus.nodeUpdateGate" -}}
{{ include "node-restriction-plus.ownershipGrows" . }} ||
{{ include "node-restriction-plus.storedNodeQuantities" . }}
{{- end }}

{{- /* podStatusGate: the same in the status of a pod. */ -}}
{{- define "node-restriction-plus.podStatusGate" -}}
{{ include "node-restriction-plus.ownershipGrows" . }} ||
{{ include "node-restriction-plus.storedPodQuantities" . }}
{{- end }}

{{- /* mirrorPodQuantities: a new pod has a quantity that is not cheap. */ -}}
{{- define "node-restriction-plus.mirrorPodQuantities" -}}
!({{ include "node-restriction-plus.podSpecQuantities" . | nindent 2 }})
{{- end }}

{{- /* nodeStatusOpen: the status update of a Node changes what rules read. */ -}}
{{- define "node-restriction-plus.nodeStatusOpen" -}}
{{ include "node-restriction-plus.nodeChanges" . }} ||
({{- include "node-restriction-plus.nodeStatusChanges" . | nindent 2 }}) ||
{{ include "node-restriction-plus.ownershipChanges" . }}
{{- end }}

{{- /* podStatusOpen: the status update of a pod changes what rules read. */ -}}
{{- define "node-restriction-plus.podStatusOpen" -}}
{{ include "node-restriction-plus.foreignPod" . }} ||
{{ include "node-restriction-plus.podChanges" . }} ||
({{- include "node-restriction-plus.podStatusChanges" . | nindent 2 }}) ||
{{ include "node-restriction-plus.ownershipChanges" . }} ||
{{ include "node-restriction-plus.succeedsWhileRunning" . }}
{{- end }}

{{- /*
lineConditions: the match conditions of gate or status, given a list of the root context, the known conditions, the lines and the name of the
webhook. An API server evaluates all conditions of a webhook for each write, also of clients that are no kubelets, and each has a price; but
the time to compile a condition grows with the square of its length. So one is about pods, one about the status of Nodes, and one about all
other writes. The program composes conditions for each kind of write, with a budget of its own.
*/ -}}
{{- define "node-restriction-plus.lineConditions" -}}
{{- $root := index . 0 -}}
{{- $known := index . 1 -}}
{{- $lines := index . 2 -}}
{{- $webhook := index . 3 -}}
{{- $kubelet := include "node-restriction-plus.kubelet" $root -}}
{{- $probe := include "node-restriction-plus.probes" $webhook -}}
{{- $frequent := list "pods-status-update" "nodes-status-update" -}}
{{- $kinds := list -}}
{{- range $write := concat $frequent (without (keys $lines | sortAlpha) "pods-status-update" "nodes-status-update") -}}
{{- $line := get $lines $write -}}
{{- if and $line (or (eq $webhook "gate") (not $line.other)) -}}
{{- $sent := $line.gate -}}
{{- if eq $webhook "status" }}{{ $sent = printf "(%s) &&\n!(%s)" $line.open $line.gate }}{{ end -}}
{{- if eq $write "csinodes-create" }}{{ $sent = printf "%s ||\n%s" $probe $sent }}{{ end -}}
{{- if or (ne $sent "false") (include "node-restriction-plus.follows" $root) -}}
{{- $kinds = append $kinds (dict "write" $write "is" (get $known.writes $write) "sent" $sent) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if not (and (eq $webhook "gate") (get $lines "csinodes-create")) -}}
{{- $kinds = append $kinds (dict "is" (include "node-restriction-plus.isCSINode" $root) "sent" $probe) -}}
{{- end -}}
{{- if include "node-restriction-plus.follows" $root -}}
{{- $is := list -}}
{{- range $kinds -}}
{{- $is = append $is (printf "(%s)" (ternary .is .sent (hasKey . "write"))) -}}
{{- if .write }}
- name: {{ .write }}
  expression: |-
    !({{ $kubelet }} && {{ .is }}) || (
    {{- .sent | nindent 6 }}
    )
{{- if eq $webhook "status" }}
# The program says here which writes may violate a policy in force, and which of them gate is not sent.
- name: {{ .write }}-open
  expression: "true"
- name: {{ .write }}-not-gate
  expression: "true"
{{- end }}
{{- end -}}
{{- end }}
- name: line
  expression: |-
    {{ $kubelet }} && (
      {{- join " ||\n" $is | nindent 6 }}
    )
{{- else }}
{{- $pods := "request.resource.resource == 'pods'" -}}
{{- $status := "request.resource.resource == 'nodes' && request.?subResource.orValue('') == 'status'" -}}
{{- $parts := list (dict "name" "pods" "prefix" "pods-" "other" (printf "!(%s)" $pods)) -}}
{{- $parts = append $parts (dict "name" "node-status" "prefix" "nodes-status-" "other" (printf "!(%s)" $status)) -}}
{{- $parts = append $parts (dict "name" "line" "prefix" "" "other" (printf "%s || %s" $pods $status)) -}}
{{- range $part := $parts }}
- name: {{ $part.name }}
  expression: |-
    !{{ $kubelet }} ? false :
    {{ $part.other }} ? true :
    {{- range $kinds }}
      {{- $write := .write | default "" }}
      {{- $of := ternary "pods-" (ternary "nodes-status-" "" (hasPrefix "nodes-status-" $write)) (hasPrefix "pods-" $write) }}
      {{- if eq $of $part.prefix }}
      {{- .is | nindent 4 }} ?
      {{- .sent | nindent 6 }} :
      {{- end }}
    {{- end }}
    false
{{- end }}
{{- end -}}
{{- end }}

{{- /* others: the writes of other resources that are sent, except those that go to gate, and probes of other webhooks. */ -}}
{{- define "node-restriction-plus.others" -}}
{{- $root := index . 0 -}}
{{- $known := index . 1 -}}
{{- $gated := list "false" -}}
{{- range $write, $line := index . 2 -}}
{{- if $line.other }}{{ $gated = append $gated (printf "%s && (\n%s)" (get $known.writes $write) $line.gate) }}{{ end -}}
{{- end -}}
{{ include "node-restriction-plus.kubelet" $root }} && !(
  {{- include "node-restriction-plus.either" $gated | nindent 2 }}
) && (
  !({{ include "node-restriction-plus.isCSINode" $root }} && request.operation == 'CREATE') ||
  {{- if include "node-restriction-plus.sendsCSINodes" $root }}
  !({{ include "node-restriction-plus.probe" $root }}) ||
  {{- end }}
  {{- include "node-restriction-plus.probes" "others" | nindent 2 }}
)
{{- end }}

{{- /* otherWrites: the kinds of writes of other resources that are sent. A JSON list. */ -}}
{{- define "node-restriction-plus.otherWrites" -}}
{{- $rules := .Values.rules -}}
{{- $baseline := .Values.baseline -}}
{{- $writes := list -}}
{{- if has "pods" $baseline }}{{ $writes = concat $writes (list "pods-update" "pods-other-create" "pods-other-update") }}{{ end -}}
{{- if has "persistentvolumeclaims" $baseline -}}
{{- range list "create" "update" "delete" "status-update" }}{{ $writes = append $writes (printf "persistentvolumeclaims-%s" .) }}{{ end -}}
{{- end -}}
{{- if or $rules.serviceAccountTokens (has "serviceaccounts" $baseline) }}{{ $writes = append $writes "serviceaccounts-token-create" }}{{ end -}}
{{- if include "node-restriction-plus.sendsCSINodes" . }}{{ $writes = concat $writes (list "csinodes-create" "csinodes-update") }}{{ end -}}
{{- if has "csinodes" $baseline }}{{ $writes = concat $writes (list "csinodes-delete" "csinodes-status-update") }}{{ end -}}
{{- if or $rules.resourceSlices (has "resourceslices" $baseline) }}{{ $writes = append $writes "resourceslices-create" }}{{ end -}}
{{- if $rules.resourceSlices }}{{ $writes = append $writes "resourceslices-update" }}{{ end -}}
{{- if has "resourceslices" $baseline }}{{ $writes = append $writes "resourceslices-delete" }}{{ end -}}
{{- if $rules.events -}}
{{- range list "events-create" "events-update" "new-events-create" "new-events-update" }}{{ $writes = append $writes . }}{{ end -}}
{{- end -}}
{{- if has "leases" $baseline }}{{ $writes = concat $writes (list "leases-create" "leases-update" "leases-delete") }}{{ end -}}
{{- toJson $writes -}}
{{- end }}

{{- /* otherQuantities: a write of another resource, given by the name of its kind, has a quantity that is not cheap. */ -}}
{{- define "node-restriction-plus.otherQuantities" -}}
{{- if or (eq . "pods-update") (eq . "pods-other-update") -}}
{{- include "node-restriction-plus.podUpdateQuantities" . -}}
{{- else if hasPrefix "persistentvolumeclaims-" . -}}
{{- include "node-restriction-plus.claimQuantities" . -}}
{{- else if and (hasPrefix "resourceslices-" .) (not (hasSuffix "-delete" .)) -}}
{{- include "node-restriction-plus.sliceQuantities" . -}}
{{- else -}}
false
{{- end -}}
{{- end }}
