// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package decisionlog

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"

	"noderestriction.plus/internal/auditlog"
	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/internal/recordlog"
	"noderestriction.plus/internal/review"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
)

// Event is what policies decided about one request, or that they did not.
type Event struct {
	// Webhook is the decision of the webhook, which may have a record. Nil: it did not decide.
	Webhook *recordlog.Entry
	// Receipts are the records of the webhook's decisions: several if several of its webhooks were called.
	Receipts []Receipt
	// Server is the decision of ValidatingAdmissionPolicies, all of them. Nil: none of them decided.
	Server *recordlog.Entry
	// Unanswered is the request if the API server got no answer of one of the webhooks. It may still have a record. Nil: it got all.
	Unanswered *Unanswered
}

// Unanswered is a request that a webhook did not answer in time.
type Unanswered struct {
	Write *recordlog.Entry // without a decision; its time is when the request was received
	Until time.Time        // when the request ended
}

// Receipt is what an event says about a record.
type Receipt struct {
	Webhook string // whose answer it was, at most 256 bytes
	Boot    string // the replica that wrote the record, at most 256 bytes
	Seq     uint64 // its number there; 0: the answer had none
	Outcome policy.Outcome
}

const (
	// decisionKey ends the key of the audit annotation with the decision. What precedes it is who decided.
	decisionKey = "/decision"
	// maxValue is the maximum length of a name that is kept, and maxDetail that of a detail, in bytes.
	maxValue  = 256
	maxDetail = 512
	// maxNames is the maximum number of policies, and of rules, in an annotation that are kept.
	maxNames = 100
)

// decision is an event in which a policy has decided.
type decision struct{ *auditlog.Event }

// enforcer returns who decided, and as what, or nothing if the key is not that of a decision of ours.
func enforcer(key string) (by string, as recordlog.Enforcer) {
	by, is := strings.CutSuffix(key, decisionKey)
	switch {
	case !is:
	case strings.HasSuffix(by, ourWebhooks):
		return by, recordlog.Webhook
	case strings.HasPrefix(by, program.Name+"."), strings.HasPrefix(by, program.Name+"-"):
		return by, recordlog.Server
	}
	return "", ""
}

// isOurs reports whether a policy has decided, or a webhook did not answer. Only the last event of a request counts.
func isOurs(e *auditlog.Event) bool {
	if !e.IsLast() {
		return false
	}
	if (decision{e}).isUnanswered() {
		return true
	}
	for key, value := range e.Annotations {
		if by, _ := enforcer(key); by != "" && actionOf(policy.Outcome(value)) != "" {
			return true
		}
	}
	return false
}

const (
	// failedOpenKey begins the key of the audit annotation about a webhook that did not answer and that the API server ignored.
	failedOpenKey = "failed-open.validating.webhook.admission.k8s.io/"
	// ourWebhooks ends the names of the webhooks.
	ourWebhooks = ".noderestriction.plus"
)

// isUnanswered reports whether a webhook did not answer: the API server says so in its answer, or in an annotation.
func (w decision) isUnanswered() bool {
	if w.ResponseStatus.Code >= http.StatusInternalServerError {
		_, rest, _ := strings.Cut(w.ResponseStatus.Message, `failed calling webhook "`)
		if name, _, found := strings.Cut(rest, `"`); found && strings.HasSuffix(name, ourWebhooks) {
			return true
		}
	}
	for key, value := range w.Annotations {
		if strings.HasPrefix(key, failedOpenKey) && strings.HasSuffix(value, ourWebhooks) {
			return true
		}
	}
	return false
}

// actionOf returns the action of a policy with an outcome, or nothing.
func actionOf(outcome policy.Outcome) string {
	return map[policy.Outcome]string{policy.Denied: "Deny", policy.Warned: "Warn", policy.Audited: "Audit"}[outcome]
}

// event returns what policies decided, or nil.
func (w decision) event() *Event {
	e := &Event{}
	for _, key := range slices.Sorted(maps.Keys(w.Annotations)) {
		switch by, as := enforcer(key); {
		case by == "":
		case as == recordlog.Webhook:
			e.Webhook = w.add(e.Webhook, by, as)
			if receipt, is := w.receipt(by); is {
				e.Receipts = append(e.Receipts, receipt)
			}
		default:
			e.Server = w.add(e.Server, by, as)
		}
	}
	if w.isUnanswered() {
		e.Unanswered = &Unanswered{Write: w.entry(recordlog.Webhook), Until: w.Logged}
	}
	if e.Webhook == nil && e.Server == nil && e.Unanswered == nil {
		return nil
	}
	return e
}

// add adds the decision of a webhook, or of a ValidatingAdmissionPolicy, to an entry, which may be nil.
func (w decision) add(entry *recordlog.Entry, by string, enforcer recordlog.Enforcer) *recordlog.Entry {
	outcome := policy.Outcome(w.Annotations[by+decisionKey])
	action := actionOf(outcome)
	if action == "" {
		return entry
	}
	if outcome == policy.Denied && w.passed() { // the binding no longer denies
		outcome, action = policy.Audited, "Audit"
	}
	if entry == nil {
		entry = w.entry(enforcer)
		entry.Msg = outcome
	} else if severity(outcome) < severity(entry.Msg) {
		entry.Msg = outcome
	}
	policies, omitted := list(w.Annotations[by+"/policy"])
	rules, more := list(w.Annotations[by+"/rule"])
	if omitted || more || len(policies) > 1 { // the annotations do not say which policy has which rule
		entry.OmittedViolations++
		entry.Truncated = true
	}
	detail := w.detail(by)
	for _, rule := range rules {
		entry.Violations = append(entry.Violations, record.Violation{
			Policy: strings.Join(policies, ","), Rule: rule, Field: recordlog.Unknown, Detail: detail, Action: action,
		})
		detail = recordlog.Unknown // the message is about the first one
	}
	if receipt, is := w.receipt(by); is && receipt.Seq > 0 && enforcer == recordlog.Webhook {
		entry.Boot, entry.Seq = receipt.Boot, receipt.Seq
	}
	if w.isProbe(entry) {
		entry.Msg = record.Probed
	}
	return entry
}

// receipt returns what a webhook's annotations say about the record of its decision. It reports whether there is a decision.
func (w decision) receipt(by string) (Receipt, bool) {
	outcome := policy.Outcome(w.Annotations[by+decisionKey])
	if actionOf(outcome) == "" {
		return Receipt{}, false
	}
	r := Receipt{Webhook: text.Bound(by, maxValue), Outcome: outcome}
	seq, err := strconv.ParseUint(w.Annotations[by+"/seq"], 10, 64)
	if boot := w.Annotations[by+"/boot"]; err == nil && boot != "" && seq <= recordlog.MaxSeq {
		r.Boot, r.Seq = text.Bound(boot, maxValue), seq
	}
	return r, true
}

// passed reports whether the API server did not refuse the request. An event of a panic has no code.
func (w decision) passed() bool {
	return w.ResponseStatus.Code > 0 && w.ResponseStatus.Code < http.StatusBadRequest
}

// severity orders outcomes, the most severe first.
func severity(outcome policy.Outcome) int {
	return slices.Index([]policy.Outcome{policy.Denied, policy.Warned, policy.Audited}, outcome)
}

// user returns who wrote.
func (w decision) user() authenticationv1.UserInfo {
	user := authenticationv1.UserInfo{Username: w.Client().Username}
	for key, values := range w.Client().Extra {
		if user.Extra == nil {
			user.Extra = map[string]authenticationv1.ExtraValue{}
		}
		user.Extra[key] = values
	}
	return user
}

// entry returns what all decisions about the request have in common.
func (w decision) entry(enforcer recordlog.Enforcer) *recordlog.Entry {
	client := w.Client().Username
	value := func(s string) string { return text.Bound(s, maxValue) }
	resource := w.ObjectRef.Resource
	if w.ObjectRef.APIGroup != "" {
		resource += "." + w.ObjectRef.APIGroup
	}
	e := &recordlog.Entry{Enforcer: enforcer, Record: record.Record{
		Time: record.Time(w.Received), UID: value(w.AuditID), User: value(client), Operation: value(operation(w.Verb)),
		Resource: value(resource), Subresource: value(w.ObjectRef.Subresource), Namespace: value(w.ObjectRef.Namespace),
		Name: value(w.ObjectRef.Name), DryRun: w.DryRun(),
	}}
	// Those policies of an API server that apply to all clients do not annotate their decisions.
	if id, restricted := review.SubjectOf(w.user()); restricted {
		e.Node, e.Subject, e.Account = value(id.Node), id.Subject.Kind, value(id.Subject.Account)
	}
	return e
}

// operation returns the operation of admission for a verb.
func operation(verb string) string {
	switch verb {
	case "create":
		return "CREATE"
	case "update", "patch":
		return "UPDATE"
	case "delete", "deletecollection":
		return "DELETE"
	}
	return strings.ToUpper(verb)
}

// isProbe reports whether the write is the enforcement probe's.
func (w decision) isProbe(e *recordlog.Entry) bool {
	return e.Enforcer == recordlog.Webhook && e.Node == program.Name+"-probe" && e.DryRun
}

// list splits a list of names, and reports whether some are not in it.
func list(value string) (names []string, omitted bool) {
	for _, name := range strings.Split(value, ",") {
		switch {
		case name == "":
		case name == "...", len(names) == maxNames:
			omitted = true
		default:
			names = append(names, text.Bound(name, maxValue))
		}
	}
	return names, omitted
}

// Names returns the names of the policies of a violation. The audit annotations of the webhook do not say which of them has which rule.
func Names(policies string) []string { return strings.Split(policies, ",") }

// detail returns what the client was told, if that was by this webhook or policy, and otherwise [recordlog.Unknown].
func (w decision) detail(by string) string {
	for _, before := range []struct{ who, says string }{
		{"ValidatingAdmissionPolicy '" + by + "'", " denied request: "},
		{`admission webhook "` + by + `"`, " denied the request: "},
	} {
		if _, rest, found := strings.Cut(w.ResponseStatus.Message, before.who); found {
			if _, detail, found := strings.Cut(rest, before.says); found {
				return text.Bound(detail, maxDetail)
			}
		}
	}
	return recordlog.Unknown
}
