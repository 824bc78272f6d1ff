// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replays

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/auditlog"
	"noderestriction.plus/internal/replay"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

const (
	// maxNames bounds how many kubelets, and how many groups of --by, are counted apart.
	maxNames = 20_000
	// maxValue bounds a name in a report, and maxDetail what a write must not do, in bytes.
	maxValue  = 256
	maxDetail = 512
)

// tallies are the counts of a report. Whether the log lacks writes is known only at its end: until then there is a count for each case.
type tallies struct {
	options  *options
	policies []string
	docs     map[policy.RuleID]policy.Doc
	coverage *coverage
	accounts *accounts                // nil: nobody has asked for them
	by       [replay.Whole + 1]*tally // by how complete the log is
}

// tally counts writes.
type tally struct {
	options                   *options
	kubelets, agents          map[string]bool
	stored, whatever, unknown int
	denied                    int
	deniedNodes               map[string]bool
	rules                     map[ruleKey]*counted
	because                   map[replay.Reason]*because
	groups                    map[string]*group
	moreGroups                int
	items                     []Item
	moreItems                 int
}

type ruleKey struct {
	policy string
	rule   policy.RuleID
}

// counted counts the violations of a rule.
type counted struct {
	writes      int
	nodes       map[string]bool
	first, last time.Time
	example     Item
}

// because counts the writes that are unknown for a reason.
type because struct {
	writes int
	rules  map[policy.RuleID]bool
	parts  map[string]bool
}

func newTallies(o *options) *tallies {
	docs := map[policy.RuleID]policy.Doc{}
	for _, r := range rules.All() {
		docs[r.ID] = r.Doc
	}
	t := &tallies{options: o, docs: docs, coverage: newCoverage()}
	for c := range t.by {
		t.by[c] = newTally(o)
	}
	return t
}

func newTally(o *options) *tally {
	return &tally{
		options: o, kubelets: map[string]bool{}, agents: map[string]bool{}, deniedNodes: map[string]bool{}, rules: map[ruleKey]*counted{},
		because: map[replay.Reason]*because{}, groups: map[string]*group{},
	}
}

// add counts a write.
func (t *tallies) add(w *replay.Write) error {
	if w.Request.Subject.IsKubelet() {
		t.coverage.add(w)
	}
	for c, tally := range t.by {
		violations, unknown := w.Settle(replay.Completeness(c))
		tally.add(w, violations, unknown)
	}
	return nil
}

func (t *tally) add(w *replay.Write, violations []replay.Violation, unknown []replay.Unknown) {
	node := value(w.Request.NodeName)
	if w.Request.Subject.IsKubelet() {
		note(t.kubelets, node, maxNames)
	} else {
		note(t.agents, value(w.Request.Subject.Account), maxNames)
	}
	switch {
	case len(violations) > 0:
		t.addDenied(w, node, violations)
	case len(unknown) > 0:
	case w.Evidence == replay.Whatever:
		t.whatever++
	default:
		t.stored++
	}
	if len(unknown) == 0 {
		return
	}
	if len(violations) == 0 {
		t.unknown++
	}
	t.addUnknown(w, unknown, len(violations) > 0)
}

func (t *tally) addDenied(w *replay.Write, node string, violations []replay.Violation) {
	t.denied++
	note(t.deniedNodes, node, maxNames)
	item := newItem(w)
	for _, v := range violations {
		item.Violations = append(item.Violations, ItemViolation{
			Policy: value(v.Policy), Rule: string(v.Rule), Field: value(v.Field), Detail: text.Bound(v.Detail, maxDetail),
		})
	}
	t.keep(item, t.options.list)
	seen := map[ruleKey]bool{}
	for i, v := range violations {
		k := ruleKey{v.Policy, v.Rule}
		c := t.rules[k]
		if c == nil {
			c = &counted{nodes: map[string]bool{}, first: w.Time, last: w.Time, example: item}
			c.example.Violations = item.Violations[i : i+1]
			t.rules[k] = c
		}
		if seen[k] {
			continue
		}
		seen[k] = true
		c.writes++
		note(c.nodes, node, maxNames)
		if w.Time.Before(c.first) {
			c.first = w.Time
		}
		if w.Time.After(c.last) {
			c.last = w.Time
		}
	}
	t.group(&item)
}

// keep keeps a write for a list, if it is wanted.
func (t *tally) keep(item Item, wanted bool) {
	switch {
	case !wanted:
	case len(t.items) < t.options.limit:
		t.items = append(t.items, item)
	default:
		t.moreItems++
	}
}

// addUnknown counts why a write is unknown, and lists it unless it is listed as denied.
func (t *tally) addUnknown(w *replay.Write, unknown []replay.Unknown, listed bool) {
	seen := map[replay.Reason]bool{}
	item := newItem(w)
	for _, u := range unknown {
		b := t.because[u.Reason]
		if b == nil {
			b = &because{rules: map[policy.RuleID]bool{}, parts: map[string]bool{}}
			t.because[u.Reason] = b
		}
		if !seen[u.Reason] {
			seen[u.Reason] = true
			b.writes++
		}
		b.rules[u.Rule] = true
		if u.Part != "" && len(b.parts) < maxNames {
			b.parts[u.Part] = true
		}
		item.Unknown = append(item.Unknown, ItemUnknown{value(u.Policy), string(u.Rule), u.Part, string(u.Reason)})
	}
	t.keep(item, t.options.unknown && !(listed && t.options.list))
}

// value is a text that others chose, for a report.
func value(s string) string { return text.Bound(s, maxValue) }

// newItem describes a write.
func newItem(w *replay.Write) Item {
	q := &w.Request
	resource := q.Resource
	if q.Subresource != "" {
		resource += "/" + q.Subresource
	}
	return Item{
		Time: w.Time.UTC(), Node: value(q.NodeName), Account: value(q.Subject.Account), Operation: string(q.Operation),
		Resource: value(resource), Namespace: value(q.Namespace), Name: value(q.Name), UserAgent: value(w.UserAgent),
		DryRun: q.DryRun, Impersonated: w.Impersonated, FailedOpen: w.FailedOpen,
		Code: w.Code, Level: value(w.Level),
	}
}

// report makes the report of all that was counted.
func (t *tallies) report(r *replay.Replay, log *auditlog.Log, inputs int) *Report {
	counts, of := r.Counts(), t.by[r.Completeness()]
	out := newReport(t.policies, inputs)
	out.Events, out.Unreadable, out.Cut, out.Repeated = log.Events, log.Unreadable, log.Cut, log.Repeated
	if !log.First.IsZero() {
		from, to := log.First.UTC(), log.Last.UTC()
		out.From, out.To = &from, &to
	}
	out.Writes, out.Impersonated, out.DryRuns, out.Refused = counts.Writes, counts.Impersonated, counts.DryRuns, counts.Refused
	out.attempts, out.acceptUnknown = t.options.attempts, t.options.acceptUnknown
	out.Kubelets, out.Agents, out.DeniedNodes = len(of.kubelets), len(of.agents), len(of.deniedNodes)
	out.namesAgents = slices.ContainsFunc(t.options.replay.Policies, func(p *v1alpha1.NodeRestrictionPolicy) bool {
		return p.Spec.Subjects != nil
	})
	out.Stored, out.Whatever, out.Unknown, out.Denied = of.stored, of.whatever, of.unknown, of.denied
	out.Log = LogState{Complete: r.Complete(), Links: counts.Links, Breaks: counts.Breaks}
	out.Rules, out.Because = of.ruleCounts(t.docs), of.reasons()
	if !t.options.failedOpen {
		out.Coverage = t.coverage.finish(log)
	}
	out.Items, out.MoreItems, out.listed = of.items, of.moreItems, t.options.list || t.options.unknown
	out.asksAccounts, out.limit = t.options.subjects, t.options.limit
	if t.accounts != nil {
		out.Accounts, out.MoreAccounts = t.accounts.finish(named(t.options.replay.Policies)), t.accounts.more
	}
	out.By, out.Groups, out.MoreGroups = t.options.by, of.sortedGroups(), of.moreGroups
	return out
}

func (t *tally) ruleCounts(docs map[policy.RuleID]policy.Doc) []RuleCount {
	counts := []RuleCount{}
	for k, c := range t.rules {
		allow := docs[k.rule].Spec
		if k.rule == policy.WithoutNode {
			allow = "spec.subjects.withoutNode"
		}
		counts = append(counts, RuleCount{
			Policy: value(k.policy), Rule: string(k.rule), Nodes: len(c.nodes), Writes: c.writes, First: c.first.UTC(), Last: c.last.UTC(),
			Example: c.example.sentence(), Allow: allow,
		})
	}
	slices.SortFunc(counts, func(a, b RuleCount) int {
		return cmp.Or(cmp.Compare(b.Writes, a.Writes), strings.Compare(a.Policy, b.Policy), strings.Compare(a.Rule, b.Rule))
	})
	return counts
}

func (t *tally) reasons() []ReasonCount {
	counts := []ReasonCount{}
	for _, reason := range replay.Reasons() {
		b := t.because[reason]
		if b == nil {
			continue
		}
		c := ReasonCount{Reason: string(reason), Writes: b.writes, Remedy: reason.Remedy(), Parts: slices.Sorted(maps.Keys(b.parts))}
		for _, id := range slices.Sorted(maps.Keys(b.rules)) {
			c.Rules = append(c.Rules, string(id))
		}
		counts = append(counts, c)
	}
	slices.SortStableFunc(counts, func(a, b ReasonCount) int { return cmp.Compare(b.Writes, a.Writes) })
	return counts
}
