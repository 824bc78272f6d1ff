// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package promote

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/auditlog"
	"noderestriction.plus/internal/replay"
	"noderestriction.plus/internal/replaylog"
	"noderestriction.plus/internal/stockwrites"
	"noderestriction.plus/policy"
)

// maxTail is how much time may be missing at the end of an audit log.
const maxTail = time.Hour

// audit is the evidence of the audit log of API servers: what the policy would have denied, evaluated again.
type audit struct {
	policy      *policy.Policy
	begin, now  time.Time
	first, last time.Time // of all events
	unreadable  int
	writes      uint64 // in the window, by clients that the policy is for
	failedOpen  uint64 // of them, that passed while no replica answered
	newest      minor  // kubelet
	of          [replay.Whole + 1]*verdicts
	settled     *verdicts // by how complete the log is
}

// verdicts are those on the writes in the window.
type verdicts struct {
	violations map[string]*violations // by rule
	exercised  map[stockwrites.Write]bool
	unknown    map[replay.Reason]uint64 // writes without a verdict that passed while no replica answered
	newest     minor                    // kubelet of a write with a verdict
}

// minor is a minor release of Kubernetes 1, and a node that has it.
type minor struct {
	number int
	node   string
}

func (m *minor) add(other minor) {
	if other.number > m.number {
		*m = other
	}
}

// readAudit evaluates the writes in the audit log by the policy. Notes say how far it is.
func (d *digests) readAudit(
	source *replaylog.Source, p *v1alpha1.NodeRestrictionPolicy, compiled *policy.Policy, begin, now time.Time, notes io.Writer,
) (*audit, error) {
	a := &audit{policy: compiled, begin: begin, now: now}
	for c := range a.of {
		a.of[c] = &verdicts{
			violations: map[string]*violations{}, exercised: map[stockwrites.Write]bool{}, unknown: map[replay.Reason]uint64{},
		}
	}
	options, err := source.Options(now)
	if err != nil {
		return nil, err
	}
	options.Policies, options.Since = []*v1alpha1.NodeRestrictionPolicy{p}, begin
	r, err := replay.New(&options, a.add)
	if err != nil {
		return nil, err
	}
	source.Seen = func(e *auditlog.Event) {
		if a.first.IsZero() || e.Received.Before(a.first) {
			a.first = e.Received
		}
		if e.Received.After(a.last) {
			a.last = e.Received
		}
	}
	log, _, err := source.Read(d, r, notes)
	if err != nil {
		return nil, err
	}
	a.unreadable, a.settled = log.Unreadable, a.of[r.Completeness()]
	return a, nil
}

// add counts a write by a client that the policy is for. Dry runs are not stored.
func (a *audit) add(w *replay.Write) error {
	if w.Request.DryRun || !a.policy.Restricts(&w.Request) {
		return nil
	}
	a.writes++
	if w.FailedOpen {
		a.failedOpen++
	}
	kubelet := kubeletMinor(w)
	a.newest.add(kubelet)
	for c, v := range a.of {
		v.add(w, replay.Completeness(c), kubelet, a.policy)
	}
	return nil
}

func (v *verdicts) add(w *replay.Write, c replay.Completeness, kubelet minor, p *policy.Policy) {
	found, unknown := w.Settle(c)
	found = slices.DeleteFunc(slices.Clone(found), func(f replay.Violation) bool { return allows(p, string(f.Rule)) })
	rules := map[string]bool{}
	for i := range found {
		if rule := string(found[i].Rule); !rules[rule] {
			rules[rule] = true
			count := v.violations[rule]
			if count == nil {
				count = &violations{}
				v.violations[rule] = count
			}
			count.add(writer(w.Request.Subject.Account, w.Request.NodeName), w.Time)
		}
	}
	if len(unknown) > 0 {
		if w.FailedOpen {
			v.unknown[unknown[0].Reason]++
		}
		return
	}
	v.newest.add(kubelet)
	if len(found) == 0 {
		q := &w.Request
		v.exercised[stockwrites.Write{Operation: q.Operation, Resource: q.Resource, Subresource: q.Subresource}] = true
	}
}

// kubeletMinor returns the release of the kubelet that wrote, as its user agent says, such as kubelet/v1.37.2 (linux/amd64).
func kubeletMinor(w *replay.Write) minor {
	version, is := strings.CutPrefix(w.UserAgent, "kubelet/v1.")
	if !is {
		return minor{}
	}
	digits := version[:len(version)-len(strings.TrimLeft(version, "0123456789"))]
	number, err := strconv.Atoi(digits)
	if err != nil {
		return minor{}
	}
	return minor{number, quoted(w.Request.NodeName)}
}

func (a *audit) wouldDeny() []string { return sentences("audit log", a.settled.violations) }

func (a *audit) exercised() map[stockwrites.Write]bool { return a.settled.exercised }

func (a *audit) gaps() []string {
	if a.writes == 0 {
		who := "a kubelet"
		if a.policy.ForAgents() {
			who = "a node agent"
		}
		return []string{"audit log: it has no write of " + who + " in the window"}
	}
	var reasons []string
	say := func(format string, args ...any) {
		reasons = append(reasons, "audit log: "+fmt.Sprintf(format, args...))
	}
	if a.first.After(a.begin) {
		say("it begins at %s, in the window", stamp(a.first))
	}
	if a.now.Sub(a.last) > maxTail {
		say("it ends at %s, %s ago", stamp(a.last), ago(a.now.Sub(a.last)))
	}
	if a.unreadable > 0 {
		say("entries that cannot be read: %d", a.unreadable)
	}
	if unknown := a.settled.unknown; len(unknown) > 0 {
		total, parts := uint64(0), []string{}
		for _, reason := range slices.SortedFunc(maps.Keys(unknown), func(a, b replay.Reason) int {
			return cmp.Or(cmp.Compare(unknown[b], unknown[a]), cmp.Compare(a, b))
		}) {
			total += unknown[reason]
			part := fmt.Sprintf("%s (%d)", reason, unknown[reason])
			if remedy := reason.Remedy(); remedy != "" {
				part += ", remedy: " + remedy
			}
			parts = append(parts, part)
		}
		say("%s passed while no replica answered, and cannot be evaluated now: %s", count(total, "write"), strings.Join(parts, "; "))
	}
	if newest := a.settled.newest; a.newest.number > newest.number {
		say("a kubelet of Kubernetes 1.%d writes (%s), but none of its writes could be evaluated", a.newest.number, a.newest.node)
	}
	return reasons
}

func (a *audit) counts() map[string]uint64 {
	return map[string]uint64{"auditedWrites": a.writes, "failedOpen": a.failedOpen}
}
