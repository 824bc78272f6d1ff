// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package wiring

import (
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/internal/text"
)

const (
	// maxText is the maximum length of a difference, in bytes.
	maxText = 384
	// maxSelector is the maximum length of a selector in a difference, in bytes.
	maxSelector = 160
	// maxWrites is how many kinds of writes a difference lists.
	maxWrites = 4

	partConfiguration = "configuration"
	partFloor         = "floor"
)

// Parts returns what a difference can be about: a webhook, by the first label of its name; the configuration as a whole; the floor.
func Parts() []string {
	return []string{"gate", "registration", "status", "others", partAgents, "policies", partConfiguration, partFloor}
}

// Difference is one way in which an object is not as it was installed.
type Difference struct {
	// Part is one of a few words.
	Part string
	// Weaker says that writes may now pass that were denied before. Other differences may refuse more, or cost more.
	Weaker bool
	// Text is one sentence of at most 384 bytes, without a period.
	Text string
}

// differences collects differences of one part.
type differences struct {
	part, subject string
	verb          string // what the subject does with writes: a webhook sends them, a policy evaluates them
	list          []Difference
}

func aboutWebhook(part, name string) *differences {
	return &differences{part: part, subject: "webhook " + text.Quote(name), verb: "send"}
}

func (d *differences) add(weaker bool, format string, args ...any) {
	d.list = append(d.list, Difference{d.part, weaker, text.Bound(d.subject+" "+fmt.Sprintf(format, args...), maxText)})
}

// MissingConfiguration returns the difference of a ValidatingWebhookConfiguration that does not exist.
func MissingConfiguration(name string) Difference {
	d := &differences{part: partConfiguration, subject: "ValidatingWebhookConfiguration " + text.Quote(name)}
	d.add(true, "does not exist, so no write is sent")
	return d.list[0]
}

// CompareWebhooks compares the webhooks of a configuration with those that were installed. CA bundles are not compared: the webhook
// itself or cainjector writes them.
func CompareWebhooks(want, have []admissionregistrationv1.ValidatingWebhook) []Difference {
	var all []Difference
	for i := range want {
		d := aboutWebhook(partOf(want[i].Name), want[i].Name)
		at := slices.IndexFunc(have, func(w admissionregistrationv1.ValidatingWebhook) bool { return w.Name == want[i].Name })
		if at >= 0 {
			d.compareWebhook(&want[i], &have[at])
		} else {
			d.add(len(want[i].Rules) > 0, "is missing, so its writes are not sent")
		}
		all = append(all, d.list...)
	}
	for i := range have {
		name := have[i].Name
		if !slices.ContainsFunc(want, func(w admissionregistrationv1.ValidatingWebhook) bool { return w.Name == name }) {
			d := aboutWebhook(partConfiguration, name)
			d.add(false, "was not installed with the others")
			all = append(all, d.list...)
		}
	}
	return all
}

// partOf returns the part that a webhook is: names in an object are not used as labels of metrics.
func partOf(webhook string) string {
	name, _, _ := strings.Cut(webhook, ".")
	if slices.Contains(Parts(), name) {
		return name
	}
	return partConfiguration
}

func (d *differences) compareWebhook(want, have *admissionregistrationv1.ValidatingWebhook) {
	d.compareFailurePolicy(want.FailurePolicy, have.FailurePolicy)
	d.compareRules(want.Rules, have.Rules)
	d.compareSelectors(want.NamespaceSelector, have.NamespaceSelector, want.ObjectSelector, have.ObjectSelector, namespaced(want.Rules))
	d.compareConditions(want.MatchConditions, have.MatchConditions)
	d.compareMatchPolicy(want.MatchPolicy, have.MatchPolicy)
	d.compareClient(&want.ClientConfig, &have.ClientConfig)
	if value(have.TimeoutSeconds, 10) != value(want.TimeoutSeconds, 10) {
		d.add(false, "has timeoutSeconds %d, not %d", value(have.TimeoutSeconds, 10), value(want.TimeoutSeconds, 10))
	}
	if a, b := value(have.SideEffects, ""), value(want.SideEffects, ""); a != b {
		d.add(false, "has sideEffects %s, not %s", text.Quote(string(a)), text.Quote(string(b)))
	}
	if !slices.Equal(have.AdmissionReviewVersions, want.AdmissionReviewVersions) {
		d.add(!slices.Contains(have.AdmissionReviewVersions, "v1"), "has admissionReviewVersions %s, not %s",
			text.QuoteAll(have.AdmissionReviewVersions), text.QuoteAll(want.AdmissionReviewVersions))
	}
}

// value returns what a pointer points to, or the API server's default.
func value[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

func (d *differences) compareFailurePolicy(want, have *admissionregistrationv1.FailurePolicyType) {
	a, b := value(want, admissionregistrationv1.Fail), value(have, admissionregistrationv1.Fail)
	switch {
	case a == b:
	case b == admissionregistrationv1.Fail:
		d.add(false, "refuses writes that it cannot evaluate: failurePolicy is Fail, not %s", a)
	default:
		d.add(true, "lets writes pass that it cannot evaluate: failurePolicy is %s, not %s", text.Quote(string(b)), a)
	}
}

func (d *differences) compareMatchPolicy(want, have *admissionregistrationv1.MatchPolicyType) {
	a, b := value(want, admissionregistrationv1.Equivalent), value(have, admissionregistrationv1.Equivalent)
	if a != b {
		d.add(b == admissionregistrationv1.Exact, "has matchPolicy %s, not %s", text.Quote(string(b)), a)
	}
}

// compareSelectors compares selectors. A selector of namespaces does not affect objects without a namespace.
func (d *differences) compareSelectors(wantNamespaces, namespaces, wantObjects, objects *metav1.LabelSelector, namespaced bool) {
	if namespaced {
		d.compareSelector("writes in namespaces", "namespaceSelector", wantNamespaces, namespaces)
	}
	d.compareSelector("writes of objects", "objectSelector", wantObjects, objects)
}

func (d *differences) compareSelector(what, field string, want, have *metav1.LabelSelector) {
	switch {
	case empty(want) && empty(have), !empty(want) && equality.Semantic.DeepEqual(want, have):
	case empty(have):
		d.add(false, "%ss more: %s is missing", d.verb, field)
	default:
		d.add(true, "does not %s %s excluded by %s %q", d.verb, what, field, text.Cut(metav1.FormatLabelSelector(have), maxSelector))
	}
}

func empty(s *metav1.LabelSelector) bool {
	return s == nil || len(s.MatchLabels)+len(s.MatchExpressions) == 0
}

// compareConditions compares match conditions, whose wanted expressions are digests. An additional one excludes writes.
func (d *differences) compareConditions(want, have []admissionregistrationv1.MatchCondition) {
	for _, w := range want {
		at := slices.IndexFunc(have, func(h admissionregistrationv1.MatchCondition) bool { return h.Name == w.Name })
		switch {
		case at < 0:
			d.add(false, "%ss more writes: match condition %s is missing", d.verb, text.Quote(w.Name))
		case Digest(have[at].Expression) != w.Expression:
			d.add(true, "may not %s all its writes: match condition %s was changed", d.verb, text.Quote(w.Name))
		}
	}
	for _, h := range have {
		if !slices.ContainsFunc(want, func(w admissionregistrationv1.MatchCondition) bool { return w.Name == h.Name }) {
			d.add(true, "does not %s writes excluded by the added match condition %s", d.verb, text.Quote(h.Name))
		}
	}
}

func (d *differences) compareClient(want, have *admissionregistrationv1.WebhookClientConfig) {
	if a, b := target(want), target(have); a != b {
		d.add(true, "calls %s, not %s", text.Quote(b), text.Quote(a))
	}
}

// target returns what a webhook calls.
func target(c *admissionregistrationv1.WebhookClientConfig) string {
	if c.URL != nil {
		return *c.URL
	}
	if s := c.Service; s != nil {
		return fmt.Sprintf("service %s/%s:%d%s", s.Namespace, s.Name, value(s.Port, 443), value(s.Path, "/"))
	}
	return "nothing"
}

// write is one kind of write that a rule matches.
type write struct {
	group, version, resource string
	operation                admissionregistrationv1.OperationType
	scope                    admissionregistrationv1.ScopeType
}

func (w write) String() string {
	resource := w.resource
	if w.group != "" {
		name, subresource, found := strings.Cut(resource, "/")
		resource = name + "." + w.group
		if found {
			resource += "/" + subresource
		}
	}
	return fmt.Sprintf("%s of %s", w.operation, resource)
}

// writesOf returns the kinds of writes that a rule matches.
func writesOf(r *admissionregistrationv1.RuleWithOperations) []write {
	var all []write
	for _, group := range r.APIGroups {
		for _, version := range r.APIVersions {
			for _, resource := range r.Resources {
				for _, operation := range r.Operations {
					all = append(all, write{group, version, resource, operation, value(r.Scope, admissionregistrationv1.AllScopes)})
				}
			}
		}
	}
	return all
}

// uncovered returns the writes that rules match, but others do not. In others, asterisks are understood as the API server does.
func uncovered(rules, others []admissionregistrationv1.RuleWithOperations) []string {
	var missing []string
	for i := range rules {
		for _, w := range writesOf(&rules[i]) {
			covered := slices.ContainsFunc(others, func(r admissionregistrationv1.RuleWithOperations) bool { return w.matchedBy(&r) })
			if !covered && !slices.Contains(missing, w.String()) {
				missing = append(missing, w.String())
			}
		}
	}
	return missing
}

func (w write) matchedBy(r *admissionregistrationv1.RuleWithOperations) bool {
	scope := value(r.Scope, admissionregistrationv1.AllScopes)
	return has(r.APIGroups, w.group) && has(r.APIVersions, w.version) &&
		(slices.Contains(r.Operations, w.operation) || slices.Contains(r.Operations, admissionregistrationv1.OperationAll)) &&
		(scope == w.scope || scope == admissionregistrationv1.AllScopes) &&
		slices.ContainsFunc(r.Resources, func(resource string) bool { return ResourceMatches(resource, w.resource) })
}

func has(list []string, word string) bool {
	return slices.Contains(list, word) || slices.Contains(list, "*")
}

// ResourceMatches reports whether a resource in a rule, such as pods, pods/*, */status or *, stands for another.
func ResourceMatches(rule, resource string) bool {
	ruleName, ruleSub, ruleHasSub := strings.Cut(rule, "/")
	name, sub, hasSub := strings.Cut(resource, "/")
	if ruleName != "*" && ruleName != name {
		return false
	}
	if ruleHasSub {
		return ruleSub == "*" || hasSub && ruleSub == sub
	}
	return !hasSub
}

func (d *differences) compareRules(want, have []admissionregistrationv1.RuleWithOperations) {
	missing := uncovered(want, have)
	if len(missing) > 0 {
		d.add(true, "does not %s %s", d.verb, text.Printable(enumerate(missing)))
	}
	// A write in another scope is the same in words.
	more := slices.DeleteFunc(uncovered(have, want), func(w string) bool { return slices.Contains(missing, w) })
	if len(more) > 0 {
		d.add(false, "also %ss %s", d.verb, text.Printable(enumerate(more)))
	}
}

func enumerate(writes []string) string {
	listed := strings.Join(writes[:min(len(writes), maxWrites)], ", ")
	if left := len(writes) - maxWrites; left > 0 {
		listed += fmt.Sprintf(" and %d more", left)
	}
	return listed
}

// namespaced reports whether rules match objects in namespaces.
func namespaced(rules []admissionregistrationv1.RuleWithOperations) bool {
	return slices.ContainsFunc(rules, func(r admissionregistrationv1.RuleWithOperations) bool {
		return value(r.Scope, admissionregistrationv1.AllScopes) != admissionregistrationv1.ClusterScope
	})
}
