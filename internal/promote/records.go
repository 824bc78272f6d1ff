// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package promote

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"noderestriction.plus/internal/denials"
	"noderestriction.plus/internal/recordlog"
	"noderestriction.plus/internal/stockwrites"
	"noderestriction.plus/policy"
)

// maxRules is how many rules are counted apart. There are fewer, but a log may say anything.
const maxRules = 200

// records is the evidence of the webhook's records.
type records struct {
	policy     *policy.Policy
	begin      time.Time
	log        recordlog.Completeness
	violations map[string]*violations // of the policy in the window, by rule
	unclear    int                    // records in the window that do not say whether the policy is among those that they violate
	dryRuns    uint64                 // of the policy in the window, which nobody stored
}

// violations are those of one rule.
type violations struct {
	count uint64
	nodes names // or node agents
	last  time.Time
}

// readRecords reads the records of the policy. The log may be several copies.
func (d *digests) readRecords(files []string, p *policy.Policy, begin time.Time) (*records, error) {
	r := &records{policy: p, begin: begin, violations: map[string]*violations{}}
	filter := &recordlog.Filter{
		Since: begin, Policy: func(policy string) bool { return policy == p.Name() },
		Outcomes: []policy.Outcome{policy.Denied, policy.Warned, policy.Audited},
	}
	log, unclear, err := denials.Read(d.Open, files, filter, r.add)
	if err != nil {
		return nil, err
	}
	r.log, r.unclear = log.Verify(recordlog.Allowances{Copies: true}), unclear
	return r, nil
}

// add adds a record that violates the policy.
func (r *records) add(row *recordlog.Row) {
	if row.DryRun {
		r.dryRuns++
		return
	}
	seen := map[string]bool{}
	for _, v := range row.Violations {
		if seen[v.Rule] || allows(r.policy, v.Rule) {
			continue
		}
		seen[v.Rule] = true
		rule := v.Rule
		if r.violations[rule] == nil && len(r.violations) >= maxRules {
			rule = "other rules"
		}
		of := r.violations[rule]
		if of == nil {
			of = &violations{}
			r.violations[rule] = of
		}
		of.add(writer(row.Account, row.Node), time.Time(row.Time))
	}
}

// add counts a violation.
func (v *violations) add(who string, at time.Time) {
	v.count++
	v.nodes.add(who)
	if at.After(v.last) {
		v.last = at
	}
}

// writer names the node of a kubelet, or a node agent with the node that its credential names.
func writer(account, node string) string {
	switch {
	case account == "":
		return quoted(node)
	case node == "" || node == "?":
		return quoted(account) + " with a credential that names no node"
	}
	return quoted(account) + " on " + quoted(node)
}

// sentences has a sentence about the violations of each rule.
func sentences(source string, all map[string]*violations) []string {
	var reasons []string
	for _, rule := range slices.Sorted(maps.Keys(all)) {
		v := all[rule]
		reasons = append(reasons, fmt.Sprintf(
			"%s: %s of %s, the latest at %s (%s)", source, count(v.count, "violation"), quoted(rule), stamp(v.last), &v.nodes))
	}
	return reasons
}

func (r *records) wouldDeny() []string {
	reasons := sentences("records", r.violations)
	if r.unclear > 0 {
		reasons = append(reasons, fmt.Sprintf(
			"records: %s too short to say which policies are violated", are(uint64(r.unclear), "line")))
	}
	return reasons
}

// exercised is empty: only violations have records.
func (r *records) exercised() map[stockwrites.Write]bool { return nil }

func (r *records) gaps() []string {
	if len(r.log.Boots) == 0 && r.log.Unparsable == 0 {
		return []string{"records: there is no record, which proves nothing: is it the standard output of the webhook, all of it? " +
			"With enforcementProbe, each replica writes a record every minute"}
	}
	var reasons []string
	for _, b := range r.log.Boots {
		if b.Records > 0 && time.Time(b.To).Before(r.begin) {
			continue
		}
		if b.Records > 0 && len(b.MissingRanges) > 0 && b.MissingRanges[0].First == 1 {
			if time.Time(b.From).After(r.begin) {
				reasons = append(reasons, fmt.Sprintf("records: boot %s: the first %s missing, and the others begin at %s, in the window",
					b.Boot, are(b.MissingRanges[0].Count(), "record"), stamp(time.Time(b.From))))
			}
			b.MissingRanges = b.MissingRanges[1:]
		}
		for _, problem := range denials.BootProblems(b, r.log.Allowed) {
			reasons = append(reasons, "records: "+problem)
		}
	}
	if r.log.Unparsable > 0 {
		reasons = append(reasons, fmt.Sprintf("records: %s damaged, so that they may be records of this policy", are(r.log.Unparsable, "line")))
	}
	return reasons
}

func (r *records) counts() map[string]uint64 {
	return map[string]uint64{"records": r.log.Records, "processes": uint64(len(r.log.Boots)), "dryRuns": r.dryRuns}
}

// are is a number with its noun and its verb.
func are(n uint64, noun string) string {
	if n == 1 {
		return count(n, noun) + " is"
	}
	return count(n, noun) + " are"
}

// count is a number with its noun.
func count(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
