// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/replay"
	"noderestriction.plus/internal/replaylog"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

const (
	// maxItems bounds how many writes are listed, maxRows how many of them a table shows, and maxValue a text of one, in bytes.
	maxItems = 1000
	maxRows  = 20
	maxValue = 256
)

// Writes are the writes of an audit log whose verdict changes. Only policies that deny are considered.
type Writes struct {
	Evaluated int `json:"evaluated"`
	// NewlyDenied were not denied before, NewlyAllowed are no longer denied.
	NewlyDenied  int `json:"newlyDenied"`
	NewlyAllowed int `json:"newlyAllowed"`
	// Unknown is how many writes may have another verdict, because the log does not have what a changed rule reads.
	Unknown   int         `json:"unknown"`
	Items     []WriteItem `json:"items"` // the first 1,000
	MoreItems int         `json:"moreItems,omitempty"`
}

// WriteItem is a write whose verdict changes.
type WriteItem struct {
	Time      time.Time `json:"time"`
	Verdict   string    `json:"verdict"` // denied or allowed
	Node      string    `json:"node"`
	Operation string    `json:"operation"`
	Resource  string    `json:"resource"` // with its subresource
	Namespace string    `json:"namespace,omitempty"`
	Name      string    `json:"name,omitempty"`
	UserAgent string    `json:"userAgent,omitempty"`
	// Policy, Rule and Detail are of the first violation that makes the difference.
	Policy string `json:"policy"`
	Rule   string `json:"rule"`
	Detail string `json:"detail"`
}

// Verdicts of a write that changes its verdict.
const (
	newlyDenied  = "denied"
	newlyAllowed = "allowed"
)

// replayPairs evaluates the writes of audit logs by both versions of policies.
func replayPairs(cmd *cobra.Command, in *command.Inputs, source *replaylog.Source, pairs []pair) (*Writes, error) {
	c := newComparer(pairs)
	options, err := source.Options(time.Now())
	if err != nil {
		return nil, err
	}
	options.Policies = c.policies
	r, err := replay.New(&options, c.add)
	if err != nil {
		return nil, err
	}
	if _, _, err := source.Read(in, r, cmd.ErrOrStderr()); err != nil {
		return nil, err
	}
	return c.by[r.Completeness()], nil
}

// comparer compares the verdicts on writes. Whether the log lacks writes is known only at its end: until then there is a result for each
// case.
type comparer struct {
	pairs    []pair
	policies []*v1alpha1.NodeRestrictionPolicy // with names that say which pair and which version of it they are
	changed  []changedRules                    // by pair
	by       [replay.Whole + 1]*Writes
}

// Prefixes of the names of policies.
const (
	oldVersion = "old-"
	newVersion = "new-"
)

func newComparer(pairs []pair) *comparer {
	c := &comparer{pairs: pairs}
	for i, p := range pairs {
		for _, version := range []struct {
			prefix string
			policy *v1alpha1.NodeRestrictionPolicy
		}{{oldVersion, p.old}, {newVersion, p.updated}} {
			if version.policy != nil && denies(&version.policy.Spec) {
				named := version.policy.DeepCopy()
				named.Name = version.prefix + strconv.Itoa(i)
				c.policies = append(c.policies, named)
			}
		}
		c.changed = append(c.changed, p.changedRules())
	}
	for i := range c.by {
		c.by[i] = &Writes{Items: []WriteItem{}}
	}
	return c
}

// changedRules are the rules whose verdicts may differ between the versions of a policy.
type changedRules struct {
	all bool
	ids map[policy.RuleID]bool
}

func (p pair) changedRules() changedRules {
	if p.old == nil || p.updated == nil {
		return changedRules{all: true}
	}
	c := changedRules{ids: map[policy.RuleID]bool{}}
	for _, change := range Compare(&p.old.Spec, &p.updated.Spec) {
		c.all = c.all || isPartOf(change.Field, "spec.match") || change.Field == "spec.validationActions"
		for _, rule := range rules.All() {
			c.ids[rule.ID] = c.ids[rule.ID] || isPartOf(change.Field, rule.Doc.Spec)
		}
	}
	return c
}

// isPartOf reports whether a field is a section or a part of it.
func isPartOf(field, section string) bool {
	return field == section || strings.HasPrefix(field, section+".")
}

// verdict is whether a write is denied.
type verdict int

const (
	allowed verdict = iota
	unknown
	denied
)

// verdicts are those on a write: by rules that have not changed, by the old version of the others, and by the new one.
type verdicts struct {
	unchanged, old, updated verdict
	violation               *WriteItem // with policy, rule and detail only
}

func (c *comparer) add(w *replay.Write) error {
	for completeness, of := range c.by {
		violations, unknowns := w.Settle(replay.Completeness(completeness))
		var v verdicts
		for _, u := range unknowns {
			v.take(c, u.Policy, u.Rule, unknown)
		}
		for _, found := range violations {
			if c.isChanged(found.Policy, found.Rule) && v.violation == nil {
				v.violation = &WriteItem{Policy: c.nameOf(found.Policy), Rule: string(found.Rule), Detail: bounded(found.Detail)}
			}
			v.take(c, found.Policy, found.Rule, denied)
		}
		of.add(w, &v)
	}
	return nil
}

// index returns the number of a policy's pair, or false for a verdict of no policy, such as on an object that cannot be decoded.
func (c *comparer) index(name string) (int, bool) {
	i, err := strconv.Atoi(strings.TrimPrefix(strings.TrimPrefix(name, oldVersion), newVersion))
	return i, err == nil
}

func (c *comparer) isChanged(name string, rule policy.RuleID) bool {
	i, known := c.index(name)
	return known && (c.changed[i].all || c.changed[i].ids[rule])
}

// nameOf returns the name that a policy with a pair has in its file.
func (c *comparer) nameOf(name string) string {
	i, _ := c.index(name)
	p := c.pairs[i]
	if strings.HasPrefix(name, oldVersion) {
		return p.old.Name
	}
	return p.updated.Name
}

// take takes a verdict of a rule.
func (v *verdicts) take(c *comparer, name string, rule policy.RuleID, is verdict) {
	of := &v.unchanged
	switch {
	case !c.isChanged(name, rule):
	case strings.HasPrefix(name, oldVersion):
		of = &v.old
	default:
		of = &v.updated
	}
	*of = max(*of, is)
}

func (w *Writes) add(of *replay.Write, v *verdicts) {
	w.Evaluated++
	switch {
	case v.unchanged == denied, v.old == v.updated && v.old != unknown: // as before
	case v.unchanged == unknown, v.old == unknown, v.updated == unknown:
		w.Unknown++
	case v.updated == denied:
		w.NewlyDenied++
		w.list(of, newlyDenied, v.violation)
	default:
		w.NewlyAllowed++
		w.list(of, newlyAllowed, v.violation)
	}
}

func (w *Writes) list(of *replay.Write, verdict string, violation *WriteItem) {
	if len(w.Items) == maxItems {
		w.MoreItems++
		return
	}
	r, item := &of.Request, *violation
	resource := r.Resource
	if r.Subresource != "" {
		resource += "/" + r.Subresource
	}
	item.Time, item.Verdict, item.Node, item.Operation = of.Time.UTC(), verdict, bounded(r.NodeName), string(r.Operation)
	item.Resource, item.Namespace, item.Name, item.UserAgent = bounded(resource), bounded(r.Namespace), bounded(r.Name), bounded(of.UserAgent)
	w.Items = append(w.Items, item)
}

// bounded is a text that others chose.
func bounded(s string) string { return text.Bound(s, maxValue) }

func (w *Writes) writeText(out io.Writer) error {
	noun := "writes"
	if w.Evaluated == 1 {
		noun = "write"
	}
	if _, err := fmt.Fprintf(out, "%d %s by kubelets in the audit log: %d newly denied, %d no longer denied, %d unknown\n",
		w.Evaluated, noun, w.NewlyDenied, w.NewlyAllowed, w.Unknown); err != nil || len(w.Items) == 0 {
		return err
	}
	t := &command.Table{Header: []string{"TIME", "NOW", "NODE", "WRITE", "OBJECT", "POLICY", "RULE", "DETAIL"}}
	for _, i := range w.Items[:min(len(w.Items), maxRows)] {
		object := i.Name
		if i.Namespace != "" {
			object = i.Namespace + "/" + i.Name
		}
		t.Add(i.Time.Format(time.RFC3339), i.Verdict, i.Node, i.Operation+" "+i.Resource, object, i.Policy, i.Rule, i.Detail)
	}
	if err := t.Write(out); err != nil {
		return err
	}
	if more := w.NewlyDenied + w.NewlyAllowed - maxRows; more > 0 {
		_, err := fmt.Fprintf(out, "and %d more; -o json lists up to %d\n", more, maxItems)
		return err
	}
	return nil
}

// err is the error of the command with an audit log.
func (w *Writes) err() error {
	switch {
	case w.NewlyDenied > 0:
		return command.No("writes are newly denied: %d", w.NewlyDenied)
	case w.Evaluated == 0:
		return errors.New("there is no write by a kubelet in the audit log, which proves nothing")
	case w.Unknown > 0:
		return fmt.Errorf("the verdict on some writes may change, and the log does not say it: %d", w.Unknown)
	}
	return nil
}
