// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replays

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"noderestriction.plus/internal/command"
)

const (
	clock        = "2006-01-02T15:04:05Z"
	minutes      = "2006-01-02T15:04Z"
	exampleWidth = 60
	rulesWidth   = 40
	remedyWidth  = 50
	// maxShown bounds how many holes, and how many kubelets, a line of text names.
	maxShown = 5
	// manyRules is from how many rules on only their number is shown.
	manyRules = 6
)

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	r.writeHead(&b)
	steps := []func(io.Writer) error{r.writeRules, r.writeReasons, r.writeGroups, r.writeItems, r.writeAccounts}
	for _, step := range steps {
		if err := step(&b); err != nil {
			return err
		}
	}
	if lines := r.coverageLines(); len(lines) > 0 {
		b.WriteString("\n" + strings.Join(lines, "\n") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeHead writes how many writes there were, and what is known of them.
func (r *Report) writeHead(b *strings.Builder) {
	if len(r.Policies) == 0 {
		fmt.Fprintf(b, "%s, %s; %s, %s\n", count(r.Inputs, "input"), r.period(), count(r.Events, "event"),
			plural(len(r.Accounts), "client that is no kubelet", "clients that are no kubelets"))
		return
	}
	fmt.Fprintf(b, "%s, %s; %s, %s by %s%s\n", count(r.Inputs, "input"), r.period(), count(r.Events, "event"), count(r.Writes, "write"),
		r.clients(), r.kinds())
	width := len(digits(max(r.Stored, r.Whatever, r.Unknown, r.Denied)))
	line := func(what string, n int, more string) {
		share := ""
		if r.Writes > 0 {
			share = fmt.Sprintf("  %7.3f %%", float64(n)/float64(r.Writes)*100)
		}
		fmt.Fprintf(b, "%s\n", strings.TrimRight(fmt.Sprintf("%-31s%*s%s  %s", what, width, digits(n), share, more), " "))
	}
	line("allowed by what was stored", r.Stored, "")
	line("allowed whatever stood before", r.Whatever, "")
	more := ""
	if r.Unknown > 0 && !r.listed {
		more = "--unknown lists them"
	}
	line("unknown", r.Unknown, more)
	more = ""
	if r.Denied > 0 {
		more = fmt.Sprintf("by %s on %s", count(len(r.Rules), "rule"), count(r.DeniedNodes, "node"))
	}
	line("would be denied", r.Denied, more)
	for _, note := range r.notes() {
		b.WriteString(note + "\n")
	}
}

// period is the time of the log.
func (r *Report) period() string {
	if r.From == nil {
		return "no time"
	}
	return r.From.Format(minutes) + " to " + r.To.Format(minutes)
}

// kinds says what is special about some writes.
func (r *Report) kinds() string {
	var kinds []string
	if r.Impersonated > 0 {
		kinds = append(kinds, digits(r.Impersonated)+" impersonated")
	}
	if r.DryRuns > 0 {
		kinds = append(kinds, count(r.DryRuns, "dry run"))
	}
	if len(kinds) == 0 {
		return ""
	}
	return " (" + strings.Join(kinds, ", ") + ")"
}

// notes are sentences about the log.
func (r *Report) notes() []string {
	var notes []string
	switch {
	case r.Refused > 0 && r.attempts:
		notes = append(notes, fmt.Sprintf("Others refused %s of them.", digits(r.Refused)))
	case r.Refused > 0:
		notes = append(notes, fmt.Sprintf("Others refused %s, which are not among them; --attempts adds them.", count(r.Refused, "more write")))
	}
	if r.Unreadable > 0 {
		notes = append(notes, fmt.Sprintf("%s cannot be read, and %s cut; what is left of these is used.",
			count(r.Unreadable, "entry"), fmt.Sprintf("%s of them are", digits(r.Cut))))
	}
	if r.Log.Breaks > 0 {
		notes = append(notes, fmt.Sprintf("Of %s that can be compared with the one before, %s not follow from it: writes are missing.",
			count(r.Log.Links, "answer"), plural(r.Log.Breaks, "does", "do")))
	}
	return notes
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return digits(n) + " " + many
}

func (r *Report) writeRules(w io.Writer) error {
	if len(r.Rules) == 0 {
		return nil
	}
	table := command.Table{Header: []string{"POLICY", "RULE", "NODES", "WRITES", "FIRST", "EXAMPLE", "TO ALLOW IT"}}
	for i := range r.Rules {
		c := &r.Rules[i]
		example := command.Wrap(c.Example, "", exampleWidth)
		table.Add(c.Policy, c.Rule, digits(c.Nodes), digits(c.Writes), c.First.Format(minutes), example, c.Allow)
	}
	return writeTable(w, &table)
}

// writeTable writes a table behind an empty line.
func writeTable(w io.Writer, table *command.Table) error {
	if _, err := io.WriteString(w, "\n"); err != nil {
		return err
	}
	return table.Write(w)
}

func (r *Report) writeReasons(w io.Writer) error {
	if len(r.Because) == 0 {
		return nil
	}
	table := command.Table{Header: []string{"UNKNOWN BECAUSE", "WRITES", "RULES", "REMEDY"}}
	for i := range r.Because {
		c := &r.Because[i]
		remedy := c.Remedy
		if remedy == "" {
			remedy = "-"
		}
		table.Add(c.Reason, digits(c.Writes), command.Wrap(few(c.Rules), "", rulesWidth), command.Wrap(remedy, "", remedyWidth))
	}
	return writeTable(w, &table)
}

func (r *Report) writeGroups(w io.Writer) error {
	if len(r.Groups) == 0 {
		return nil
	}
	var header []string
	for _, name := range r.By {
		header = append(header, strings.ToUpper(name))
	}
	table := command.Table{Header: append(header, "WRITES", "FIRST", "LAST")}
	for i := range r.Groups {
		g := &r.Groups[i]
		cells := append([]string(nil), g.ordered...)
		table.Add(append(cells, digits(g.Writes), g.First.Format(minutes), g.Last.Format(minutes))...)
	}
	if err := writeTable(w, &table); err != nil || r.MoreGroups == 0 {
		return err
	}
	_, err := fmt.Fprintf(w, "%s in further groups are left out\n", count(r.MoreGroups, "write"))
	return err
}

func (r *Report) writeItems(w io.Writer) error {
	if len(r.Items) == 0 {
		return nil
	}
	table := command.Table{Header: []string{"TIME", "CLIENT", "WRITE", "VERDICT"}}
	for i := range r.Items {
		item := &r.Items[i]
		table.Add(item.Time.Format(clock), item.client(), item.Operation+" "+item.object(), command.Wrap(item.verdict(), "", exampleWidth))
	}
	if err := writeTable(w, &table); err != nil || r.MoreItems == 0 {
		return err
	}
	_, err := fmt.Fprintf(w, "%s left out: see --limit\n", count(r.MoreItems, "write"))
	return err
}

// verdict says what is known of a write in a sentence.
func (i *Item) verdict() string {
	var all []string
	for _, v := range i.Violations {
		all = append(all, fmt.Sprintf("%s/%s: %s", v.Policy, v.Rule, v.Detail))
	}
	if len(all) > 0 {
		return "denied by " + strings.Join(all, "; ")
	}
	rules := map[string][]string{}
	var reasons []string
	for _, u := range i.Unknown {
		if rules[u.Reason] == nil {
			reasons = append(reasons, u.Reason)
		}
		if !slices.Contains(rules[u.Reason], u.Rule) {
			rules[u.Reason] = append(rules[u.Reason], u.Rule)
		}
	}
	for _, reason := range reasons {
		all = append(all, reason+" ("+few(rules[reason])+")")
	}
	return "unknown: " + strings.Join(all, "; ")
}

// few names rules, or says how many there are.
func few(rules []string) string {
	if len(rules) >= manyRules {
		return count(len(rules), "rule")
	}
	return strings.Join(rules, ", ")
}

// coverageLines say whether the log has the heartbeats of all kubelets.
func (r *Report) coverageLines() []string {
	c := r.Coverage
	if c == nil || c.Kubelets == 0 {
		return nil
	}
	every := int((longest + tolerated).Minutes())
	lines := []string{
		fmt.Sprintf("COVERAGE  %d of %s: nodes/status at least every %d min", c.Covered, count(c.Kubelets, "kubelet"), every),
	}
	for i := range c.Holes {
		h := &c.Holes[i]
		if i == maxShown {
			lines = append(lines, fmt.Sprintf("  and %s", count(len(c.Holes)-maxShown+c.MoreHoles, "further hole")))
			break
		}
		lines = append(lines, fmt.Sprintf("  %s: none for %s, from %s", h.Node, time.Duration(h.Seconds)*time.Second, h.From.Format(minutes)))
	}
	if n := len(c.Without); n > 0 {
		shown := strings.Join(c.Without[:min(n, maxShown)], ", ")
		if n > maxShown {
			shown += fmt.Sprintf(" and %d more", n-maxShown)
		}
		lines = append(lines, "  no nodes/status at all: "+shown)
	}
	return lines
}
