// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package promote

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/stockwrites"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
)

const (
	// maxAge is how old the latest report in a status may be. A replica reports at least every 15 minutes.
	maxAge = 30 * time.Minute
	// maxSkew is how far clocks may differ.
	maxSkew = 5 * time.Minute
	// maxMessage is how much of a message of the status a sentence quotes, in bytes.
	maxMessage = 256
	// maxRecent is how many recent violations a status shows.
	maxRecent = 10
)

// gate is one condition for the promotion. Each alone refuses it.
type gate struct {
	Name    string   `json:"name"`
	Passed  bool     `json:"passed"`
	Reasons []string `json:"reasons,omitempty"` // why it has not passed
}

// gates returns the results of all gates.
func (q *question) gates() []gate {
	var all []gate
	for _, g := range []struct {
		name    string
		reasons func() []string
	}{
		{"in-force", q.notInForce},
		{"fresh", q.notFresh},
		{"no-would-denials", q.wouldDenials},
		{"exercised", q.notExercised},
		{"complete", q.gaps},
	} {
		reasons := g.reasons()
		all = append(all, gate{g.name, len(reasons) == 0, reasons})
	}
	return all
}

// notInForce says why the policy was not in force, as written, throughout the window.
func (q *question) notInForce() []string {
	s := q.status
	if s == nil {
		return []string{"the policy has no status: no replica has seen it, or this is not what kubectl get nrp NAME -o yaml prints"}
	}
	var reasons []string
	say := func(format string, args ...any) { reasons = append(reasons, fmt.Sprintf(format, args...)) }
	switch ready := meta.FindStatusCondition(s.Conditions, "Ready"); {
	case ready == nil || ready.ObservedGeneration != q.generation || s.ObservedGeneration != q.generation:
		say("no replica has reported generation %d yet: wait for the condition Ready", q.generation)
	case ready.Status != metav1.ConditionTrue:
		say("the policy is not enforced as written: %s", quoted(ready.Message))
	case ready.LastTransitionTime.After(q.begin()):
		say("the policy is enforced as written since %s only, which is less than the window", stamp(ready.LastTransitionTime.Time))
	}
	switch {
	case s.Since == nil:
		say("status.since is missing: the webhook is older than this command")
	case s.Since.After(q.begin()):
		say("generation %d is in force since %s, for %s, which is less than the window",
			q.generation, stamp(s.Since.Time), ago(q.now.Sub(s.Since.Time)))
	}
	if enforced := meta.FindStatusCondition(s.Conditions, "Enforced"); enforced != nil && enforced.Status != metav1.ConditionTrue {
		say("the condition Enforced is %s: %s", quoted(string(enforced.Status)), quoted(enforced.Message))
	}
	if sent := meta.FindStatusCondition(s.Conditions, "Sent"); q.policy.ForAgents() && sent != nil && sent.Status != metav1.ConditionTrue {
		say("the condition Sent is %s: %s", quoted(string(sent.Status)), quoted(sent.Message))
	}
	return reasons
}

// quoted is a text of the status, bounded and printable.
func quoted(message string) string { return text.Printable(text.Cut(message, maxMessage)) }

// notFresh says why the status may not have what has happened last.
func (q *question) notFresh() []string {
	if q.status == nil {
		return []string{"the policy has no status"}
	}
	e := q.status.Evaluated
	if e == nil || e.Generation != q.generation {
		return []string{fmt.Sprintf("no replica has reported what generation %d has evaluated", q.generation)}
	}
	switch age := q.now.Sub(e.ReportTime.Time); {
	case age > maxAge:
		return []string{fmt.Sprintf(
			"the latest report of a replica is %s old, and one is due every 15 minutes: read the policy again, or see why replicas do not write",
			ago(age))}
	case age < -maxSkew:
		return []string{fmt.Sprintf(
			"the latest report of a replica is of %s, which is in the future: a clock is wrong", stamp(e.ReportTime.Time))}
	}
	return nil
}

// wouldDenials says what the policy would have denied in the window.
func (q *question) wouldDenials() []string {
	var reasons []string
	if q.status != nil && q.status.Violations != nil {
		v := q.status.Violations
		for _, counted := range []struct {
			name  string
			count *v1alpha1.ViolationCount
		}{{"denied", v.Denied}, {"warned", v.Warned}, {"audited", v.Audited}} {
			if c := counted.count; c != nil && c.LastTime != nil && !c.LastTime.Time.Before(q.begin()) && !q.onlyAllowed(c.Recent) {
				reasons = append(reasons, fmt.Sprintf("status.violations.%s: the latest %s ago%s",
					counted.name, ago(q.now.Sub(c.LastTime.Time)), q.recent(c.Recent)))
			}
		}
	}
	for _, e := range q.evidence {
		reasons = append(reasons, e.wouldDeny()...)
	}
	return reasons
}

// allows reports whether the policy records violations of a rule without ever denying them: those of agents whose credentials name no node,
// with withoutNode: Allow.
func allows(p *policy.Policy, rule string) bool {
	return rule == string(policy.WithoutNode) && p.AllowsWithoutNode()
}

// onlyAllowed reports whether the policy will deny none of the violations of the window that a status shows. A status that shows as many as
// it can may lack others.
func (q *question) onlyAllowed(all []v1alpha1.RecentViolation) bool {
	for i := range all {
		if v := &all[i]; !v.Time.Time.Before(q.begin()) && !allows(q.policy, v.Rule) {
			return false
		}
	}
	return len(all) > 0 && (len(all) < maxRecent || all[len(all)-1].Time.Time.Before(q.begin()))
}

// recent names the rules, and the nodes or agents, of the violations in the window.
func (q *question) recent(all []v1alpha1.RecentViolation) string {
	var rules, nodes names
	for i := range all {
		if v := &all[i]; !v.Time.Time.Before(q.begin()) {
			rules.add(quoted(v.Rule))
			nodes.add(writer(v.Account, v.Node))
		}
	}
	if len(rules.all) == 0 {
		return ""
	}
	return fmt.Sprintf(", by %s (%s)", &rules, &nodes)
}

// notExercised says which kinds of writes the policy has not evaluated in the window.
func (q *question) notExercised() []string {
	var reasons, kinds []string
	for _, w := range q.unexercised() {
		if !slices.Contains(q.accepted, w.String()) {
			reasons = append(reasons, fmt.Sprintf("%s was not evaluated (%s): %s", w, rulesOn(q.policy, w.Write), w.How))
			kinds = append(kinds, w.String())
		}
	}
	if len(reasons) > 0 && q.policy.ForAgents() {
		all := slices.Concat(q.accepted, kinds)
		reasons = append(reasons, "if the agents write none of it: --accept-unexercised '"+strings.Join(all, ",")+"'")
	}
	if len(reasons) > 0 && q.follows() {
		reasons = append(reasons,
			"API servers send only writes that may violate a policy (webhook.followPolicies): --audit-log shows the others")
	}
	return reasons
}

// unexercised are the kinds of writes of stock kubelets that the policy has rules for, and has not evaluated in the window.
func (q *question) unexercised() []stockwrites.Known {
	seen := map[string]bool{}
	for name := range q.evaluated() {
		seen[name] = true
	}
	for _, e := range q.evidence {
		for w := range e.exercised() {
			seen[w.String()] = true
		}
	}
	return slices.DeleteFunc(stockwrites.Of(q.policy), func(w stockwrites.Known) bool { return seen[w.String()] })
}

// evaluated has how many writes the status shows that were evaluated, by kind, if the latest is in the window.
func (q *question) evaluated() map[string]int64 {
	counts := map[string]int64{}
	if q.status == nil || q.status.Evaluated == nil || q.status.Evaluated.Generation != q.generation {
		return counts
	}
	for _, w := range q.status.Evaluated.Writes {
		if !w.LastTime.Time.Before(q.begin()) {
			counts[w.Write] = w.Count
		}
	}
	return counts
}

// follows reports whether the match conditions follow the policies.
func (q *question) follows() bool {
	return q.status != nil && meta.FindStatusCondition(q.status.Conditions, "Gated") != nil
}

// rulesOn names some of the policy's rules for a kind of write.
func rulesOn(p *policy.Policy, w stockwrites.Write) string {
	var ids []string
	for _, id := range p.RulesOn(w.Resource, w.Subresource, w.Operation) {
		ids = append(ids, string(id))
	}
	const shown = 3
	if more := len(ids) - shown; more > 1 {
		return fmt.Sprintf("%s and %d more rules", strings.Join(ids[:shown], ", "), more)
	}
	return strings.Join(ids, ", ")
}

// gaps says what is missing in the evidence.
func (q *question) gaps() []string {
	var reasons []string
	for _, e := range q.evidence {
		reasons = append(reasons, e.gaps()...)
	}
	return reasons
}
