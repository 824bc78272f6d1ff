// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/program"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
)

// GuardPolicy is the value of the audit annotation policy of what the guard denies.
const GuardPolicy = "guard"

// staticSuffix ends the names of policies in the API server's own files.
const staticSuffix = ".static.k8s.io"

// DefaultGuardGroup is the group whose members may change what the guard keeps.
const DefaultGuardGroup = "noderestriction.plus:breakglass"

// GuardOptions say what the guard keeps, and who may still change it.
type GuardOptions struct {
	// Group is the group whose members may change everything. Empty: nobody may, through the API.
	Group string
	// Certificates are SHA-256 digests of client certificates, in lower-case hexadecimal. If there are any, a member of the group must
	// authenticate with one of them.
	Certificates []string
	// Namespace is that of the release. It is closed to everyone who does not run its pods. Empty: the guard keeps no namespace.
	Namespace string
	// ServiceAccount is the name of the webhook's service account in the namespace.
	ServiceAccount string
	// Writers are users that may write into the namespace and the CA bundle as the webhook may, such as cert-manager.
	Writers []string
	// Conditions lets the webhook write match conditions of its own configuration, and the expressions of the floor.
	Conditions bool
	// Actions are the validationActions. Nil: Deny.
	Actions []v1alpha1.ValidationAction
}

// Guard returns policies that keep the webhook's own objects from everyone outside a group, cluster administrators included. Only the API
// server's own files may contain them: policies that are API objects do not see admission configurations.
func Guard(o GuardOptions) []Kind {
	g := &guard{options: o}
	parts := []guardPart{g.webhooks(), g.policies(), g.definition(), g.definitionStatus(), g.nodeRestrictionPolicies(), g.access(), g.apis()}
	if o.Namespace != "" {
		parts = append(parts, g.namespace(), g.contents())
	}
	kinds := make([]Kind, len(parts))
	for i := range parts {
		kinds[i] = g.kind(&parts[i])
	}
	return kinds
}

// guard makes the parts of the guard.
type guard struct{ options GuardOptions }

// guardPart is one policy of the guard.
type guardPart struct {
	name             string
	resources, apart []admissionregistrationv1.NamedRuleWithOperations
	// kept says that the object is kept, and others that a client is not one that always may write it.
	kept, others string
	denials      []guardDenial
}

// guardDenial is a way in which an object must not be changed.
type guardDenial struct{ variable, violates, message string }

const (
	admissionGroup = admissionregistrationv1.GroupName

	create = admissionregistrationv1.Create
	update = admissionregistrationv1.Update
	remove = admissionregistrationv1.Delete

	groups   = "request.userInfo.?groups.orValue([])"
	deletion = "object == null"
)

// keptName is the name of the object. A request to delete a collection has no name.
const keptName = "(oldObject == null ? object : oldObject).?metadata.?name.orValue('')"

// guarded is a rule about a resource.
func guarded(group, resource string, operations ...admissionregistrationv1.OperationType) admissionregistrationv1.NamedRuleWithOperations {
	return admissionregistrationv1.NamedRuleWithOperations{RuleWithOperations: admissionregistrationv1.RuleWithOperations{
		Operations: operations,
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{group}, APIVersions: []string{"*"}, Resources: []string{resource}},
	}}
}

// differs says that one of the fields of the object is not as it was stored. A missing list may also be null, which only the operator
// compares with a list without an error.
func differs(fields ...string) string {
	parts := make([]string, len(fields))
	for i, field := range fields {
		parts[i] = fmt.Sprintf("object.?%[1]s.orValue(null) != oldObject.?%[1]s.orValue(null)", field)
	}
	return expression.And("object != null", "oldObject != null", expression.Or(parts...))
}

// userIsNot says that the client is not one of the users.
func userIsNot(users ...string) string { return expression.Not(expression.In(userName, users...)) }

// mayBreakGlass says that the client is a member of the group and, where certificates are named, has one of these.
func (g *guard) mayBreakGlass() string {
	if g.options.Group == "" {
		return expression.False
	}
	member := expression.Quote(g.options.Group) + " in " + groups
	if len(g.options.Certificates) == 0 {
		return member
	}
	ids := make([]string, len(g.options.Certificates))
	for i, digest := range g.options.Certificates {
		ids[i] = "X509SHA256=" + digest
	}
	const credentials = "request.userInfo.?extra[?'authentication.kubernetes.io/credential-id'].orValue([])"
	return expression.And(member, "size("+credentials+") == 1", expression.In(credentials+"[0]", ids...))
}

// writers are the users that may write as the webhook may.
func (g *guard) writers() []string {
	if g.options.Namespace == "" {
		return g.options.Writers
	}
	return append([]string{g.program()}, g.options.Writers...)
}

// program is the user name of the webhook.
func (g *guard) program() string {
	return "system:serviceaccount:" + g.options.Namespace + ":" + g.options.ServiceAccount
}

// isProgram says that the client is the webhook, where it may write conditions.
func (g *guard) isProgram() string {
	if !g.options.Conditions || g.options.Namespace == "" {
		return expression.False
	}
	return expression.In(userName, g.program())
}

// webhookFields are the fields of a webhook, except its conditions and its CA bundle. A field that CEL does not find is not compared.
func webhookFields() []string {
	return []string{
		"clientConfig.?url", "clientConfig.?service", "rules", "failurePolicy", "matchPolicy", "namespaceSelector", "objectSelector",
		"sideEffects", "timeoutSeconds", "admissionReviewVersions",
	}
}

func (g *guard) webhooks() guardPart {
	const old, updated = "oldObject.?webhooks.orValue([])", "object.?webhooks.orValue([])"
	same := func(fields ...string) string {
		parts := []string{"w.name == o.name"}
		for _, field := range fields {
			parts = append(parts, fmt.Sprintf("w.?%[1]s.orValue(null) == o.?%[1]s.orValue(null)", field))
		}
		return fmt.Sprintf("size(%[2]s) == size(%[1]s) && %[2]s.all(w, %[1]s.exists(o, %[3]s))", old, updated, expression.And(parts...))
	}
	exist := func(e string) string { return expression.And("object != null", "oldObject != null", e) }
	return guardPart{
		name: "webhooks",
		resources: []admissionregistrationv1.NamedRuleWithOperations{guarded(
			admissionGroup, "validatingwebhookconfigurations", update, remove)},
		kept: expression.In(keptName, program.Name),
		denials: []guardDenial{
			{"deleted", deletion, "must not be deleted"},
			{"webhooksChanged", exist(expression.Not(same(webhookFields()...))), "must not change in webhooks"},
			{
				"conditionsChanged", expression.And(exist(expression.Not(same("matchConditions"))), expression.Not(g.isProgram())),
				"must not change in webhooks[*].matchConditions",
			},
			{
				"caChanged", expression.And(exist(expression.Not(same("clientConfig.?caBundle"))), userIsNot(g.writers()...)),
				"must not change in webhooks[*].clientConfig.caBundle",
			},
			// cainjector writes the CA of the Certificate that an annotation names.
			{
				"annotationsChanged", expression.And(differs("metadata.?annotations"), expression.Not(g.isProgram())),
				"must not change in metadata.annotations",
			},
		},
	}
}

// policies keeps what the chart and the command compile install.
func (g *guard) policies() guardPart {
	changed := differs("spec")
	if is := g.isProgram(); is != expression.False {
		fixed := differs("spec.?matchConstraints", "spec.?failurePolicy", "spec.?paramKind", "spec.?policyName", "spec.?matchResources",
			"spec.?validationActions", "spec.?paramRef")
		changed = expression.If(is, fixed, changed)
	}
	return guardPart{
		name: "policies",
		resources: []admissionregistrationv1.NamedRuleWithOperations{
			guarded(admissionGroup, "validatingadmissionpolicies", update, remove),
			guarded(admissionGroup, "validatingadmissionpolicybindings", update, remove),
		},
		kept: expression.Or(keptName+".startsWith("+expression.Quote(program.Name+"-")+")",
			keptName+".startsWith("+expression.Quote(program.Name+".")+")"),
		denials: []guardDenial{
			{"deleted", deletion, "must not be deleted"},
			{"specChanged", changed, "must not change in spec"},
		},
	}
}

// definition is the CRD.
func (g *guard) definition() guardPart {
	return guardPart{
		name: "crd",
		resources: []admissionregistrationv1.NamedRuleWithOperations{guarded(
			"apiextensions.k8s.io", "customresourcedefinitions", update, remove)},
		kept: expression.In(keptName, crdName),
		denials: []guardDenial{
			{"deleted", deletion, "must not be deleted"},
			{"specChanged", differs("spec"), "must not change in spec"},
		},
	}
}

const (
	crdName = "noderestrictionpolicies." + v1alpha1.GroupName
	// apiServer is the user name of an API server that calls itself.
	apiServer = "system:apiserver"
)

// definitionStatus keeps the conditions of the CRD, without which its objects cannot be read.
func (g *guard) definitionStatus() guardPart {
	return guardPart{
		name: "crd-status",
		resources: []admissionregistrationv1.NamedRuleWithOperations{guarded(
			"apiextensions.k8s.io", "customresourcedefinitions/status", update)},
		kept:    expression.In(keptName, crdName),
		others:  userIsNot(apiServer),
		denials: []guardDenial{{"conditionsChanged", differs("status.?conditions"), "must not change in status.conditions"}},
	}
}

// nodeRestrictionPolicies lets everybody create policies, which deny more.
func (g *guard) nodeRestrictionPolicies() guardPart {
	return guardPart{
		name: "noderestrictionpolicies",
		resources: []admissionregistrationv1.NamedRuleWithOperations{guarded(
			v1alpha1.GroupName, "noderestrictionpolicies", update, remove)},
		kept: expression.True,
		denials: []guardDenial{
			{"deleted", deletion, "must not be deleted"},
			{"specChanged", differs("spec"), "must not change in spec"},
		},
	}
}

// access keeps the permissions without which the webhook cannot read policies.
func (g *guard) access() guardPart {
	return guardPart{
		name: "access",
		resources: []admissionregistrationv1.NamedRuleWithOperations{
			guarded("rbac.authorization.k8s.io", "clusterroles", update, remove),
			guarded("rbac.authorization.k8s.io", "clusterrolebindings", update, remove),
		},
		kept: expression.In(keptName, program.Name),
		denials: []guardDenial{
			{"deleted", deletion, "must not be deleted"},
			{"accessChanged", differs("rules", "aggregationRule", "roleRef", "subjects"), "must not change what it grants, or to whom"},
		},
	}
}

// apis keeps the groups of the kept objects, and of Nodes and pods, from being served by another server.
func (g *guard) apis() guardPart {
	either := []string{expression.In(keptName, "v1.")}
	for _, group := range []string{
		v1alpha1.GroupName, admissionGroup, "apiextensions.k8s.io", "apiregistration.k8s.io", "rbac.authorization.k8s.io",
	} {
		either = append(either, keptName+".endsWith("+expression.Quote("."+group)+")")
	}
	return guardPart{
		name: "apis",
		resources: []admissionregistrationv1.NamedRuleWithOperations{guarded("apiregistration.k8s.io", "apiservices",
			create, update, remove)},
		kept:   expression.Or(either...),
		others: userIsNot(apiServer),
		denials: []guardDenial{
			{"created", "oldObject == null", "must not be created"},
			{"deleted", deletion, "must not be deleted"},
			{"specChanged", differs("spec", "metadata.?labels"), "must not change in spec or metadata.labels"},
		},
	}
}

// namespace keeps the namespace itself.
func (g *guard) namespace() guardPart {
	return guardPart{
		name:      "namespace",
		resources: []admissionregistrationv1.NamedRuleWithOperations{guarded("", "namespaces", remove)},
		kept:      expression.In(keptName, g.options.Namespace),
		denials:   []guardDenial{{"deleted", deletion, "must not be deleted"}},
	}
}

// contents closes the namespace: only what runs its pods writes there, and every client its events and evictions.
func (g *guard) contents() guardPart {
	all := guarded("*", "*/*", admissionregistrationv1.OperationAll)
	all.Scope = new(admissionregistrationv1.NamespacedScope)
	events := guarded("", "events", admissionregistrationv1.OperationAll)
	events.APIGroups = []string{"", "events.k8s.io"}
	return guardPart{
		name:      "contents",
		resources: []admissionregistrationv1.NamedRuleWithOperations{all},
		apart:     []admissionregistrationv1.NamedRuleWithOperations{events, guarded("", "pods/eviction", create)},
		kept:      "request.?namespace.orValue('') == " + expression.Quote(g.options.Namespace),
		others: expression.And(
			userIsNot(append(g.writers(), "system:kube-controller-manager", "system:kube-scheduler", apiServer)...),
			expression.Not("'system:serviceaccounts:kube-system' in "+groups), expression.Not("'system:nodes' in "+groups)),
		denials: []guardDenial{{"written", expression.True, "must not be written, nor anything else in its namespace"}},
	}
}

// kind returns a policy with its binding.
func (g *guard) kind(part *guardPart) Kind {
	name := program.Name + ".guard." + part.name + staticSuffix
	spec := admissionregistrationv1.ValidatingAdmissionPolicySpec{
		FailurePolicy: new(admissionregistrationv1.Fail),
		MatchConstraints: &admissionregistrationv1.MatchResources{
			MatchPolicy: new(admissionregistrationv1.Equivalent), ResourceRules: part.resources, ExcludeResourceRules: part.apart,
		},
	}
	for _, condition := range []struct{ name, e string }{
		{"kept", part.kept},
		{"others", part.others},
		{"not-break-glass", expression.Not(g.mayBreakGlass())},
	} {
		if condition.e != "" && condition.e != expression.True {
			matches := admissionregistrationv1.MatchCondition{Name: condition.name, Expression: condition.e}
			spec.MatchConditions = append(spec.MatchConditions, matches)
		}
	}
	rule := policy.RuleID(GuardPolicy + "-" + part.name)
	var rules []policy.RuleID
	var either []string
	for _, d := range part.denials {
		variable := "variables." + d.variable
		spec.Variables = append(spec.Variables, admissionregistrationv1.Variable{Name: d.variable, Expression: d.violates})
		spec.Validations = append(spec.Validations, admissionregistrationv1.Validation{
			Expression: expression.Not(variable), Message: d.message + ": " + g.remedy(), Reason: new(metav1.StatusReasonForbidden),
		})
		rules, either = append(rules, rule), append(either, variable)
	}
	violated := expression.Or(either...)
	for _, annotation := range []struct{ key, value string }{
		{"decision", decisionOf(g.actions())}, {"policy", GuardPolicy}, {"rule", string(rule)},
	} {
		spec.AuditAnnotations = append(spec.AuditAnnotations, admissionregistrationv1.AuditAnnotation{
			Key: annotation.key, ValueExpression: violated + " ? " + expression.Quote(annotation.value) + " : ''",
		})
	}
	kind := Kind{Rules: rules}
	kind.Policy, kind.Binding = policyAndBinding(name, spec, g.actions())
	return kind
}

// remedy says how to break the glass.
func (g *guard) remedy() string {
	file := "remove the guard from staticManifestsDir of each API server"
	switch {
	case g.options.Group == "":
		return "NodeRestriction-plus guards it; to break the glass, " + file
	case len(g.options.Certificates) > 0:
		return fmt.Sprintf("NodeRestriction-plus guards it; to break the glass, use the pinned certificate of a member of the group %q, or %s",
			g.options.Group, file)
	}
	return fmt.Sprintf("NodeRestriction-plus guards it; to break the glass, be a member of the group %q, or %s", g.options.Group, file)
}

func (g *guard) actions() []admissionregistrationv1.ValidationAction {
	if g.options.Actions == nil {
		return []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny}
	}
	return serverActions(g.options.Actions)
}
