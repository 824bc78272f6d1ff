// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package learn

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/api/equality"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy/rules"
)

const (
	// headWidth is the width of the comment at the head of the policy, in columns.
	headWidth = 125
	// maxShown is how many characters of a text of the log a comment has.
	maxShown = 128
	// shownDays is how many days the comment has.
	shownDays = 14
)

// Print returns the policy as YAML, in which every line that was learned has its evidence, and sets Policy. The base is the text of the
// policy that was widened.
func (r *Result) Print(base []byte, baseName, name string, options Options) ([]byte, error) {
	d, err := newDocument(base)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", baseName, err)
	}
	d.rename(name)
	actions := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle, Content: []*yaml.Node{scalar(string(v1alpha1.Audit))}}
	_, spec := d.spec()
	set(spec, "validationActions", actions)
	comment := func(line *Line) string { return "# " + line.comment(options.Agents) }
	for _, f := range fieldSpecs() {
		of := func(lines []Line) []Line {
			return slices.DeleteFunc(slices.Clone(lines), func(line Line) bool { return line.Field != f.path })
		}
		learned, review := of(r.Learned), of(r.Review)
		if len(learned)+len(review) == 0 {
			continue
		}
		if err := d.add(&f, learned, review, comment); err != nil {
			return nil, err
		}
	}
	out, err := d.encode(r.head(baseName, options))
	if err != nil {
		return nil, err
	}
	file := manifest.Read(bytes.NewReader(out), rules.NewCompiler())
	if err := file.Err(); err != nil {
		return nil, fmt.Errorf("the learned policy is not valid: %w", err)
	}
	r.Policy = file.Policies[0].Object
	want, err := r.want.spec()
	if err != nil {
		return nil, err
	}
	want.ValidationActions = r.Policy.Spec.ValidationActions
	if !equality.Semantic.DeepEqual(want, &r.Policy.Spec) {
		return nil, fmt.Errorf("%s: the text cannot be widened in the same way as the policy", baseName)
	}
	return out, nil
}

// comment is the evidence of a line.
func (line *Line) comment(agents []string) string {
	var parts []string
	if line.Keys > 1 {
		parts = append(parts, count(line.Keys, "value"))
	}
	evidence := strings.Join(append(parts, line.text(agents)), ", ")
	if line.Review == "" {
		return evidence
	}
	return reviewMark + evidence + ": " + line.Review
}

// text says how many writes there are, and on how many nodes. It leaves out the programs if they are the usual ones.
func (e *Evidence) text(agents []string) string {
	parts := []string{count(e.Nodes, "node")}
	if e.Nodes == 1 {
		parts = []string{"1 node (" + shown(e.Node) + ")"}
	}
	parts = append(parts, count(e.Writes, "write"))
	if slices.ContainsFunc(e.Agents, func(agent string) bool { return !slices.Contains(agents, agent) }) {
		parts = append(parts, "by "+shown(strings.Join(e.Agents, ", ")))
	}
	if e.Writes == 1 || e.First.Equal(e.Last) {
		return strings.Join(append(parts, e.First.UTC().Format(time.RFC3339)), ", ")
	}
	return strings.Join(append(parts, "first "+e.First.UTC().Format(time.DateOnly), "last "+e.Last.UTC().Format(time.DateOnly)), ", ")
}

// shown bounds a text of the log and makes it printable.
func shown(s string) string { return text.Printable(text.Cut(s, maxShown)) }

// head is the comment at the head of the policy.
func (r *Result) head(base string, options Options) string {
	var b strings.Builder
	write := func(format string, args ...any) {
		b.WriteString(command.WrapHanging("# "+fmt.Sprintf(format, args...), "# ", headWidth))
	}
	write("Learned from %s to %s: %s, %s, %s evaluated, %s unknown.",
		r.Log.First.UTC().Format(time.RFC3339), r.Log.Last.UTC().Format(time.RFC3339), count(r.Log.Kubelets, "kubelet"),
		count(r.Log.Registrations.Count, "registration"), count(r.Log.Evaluated, "write"), grouped(r.Log.Unknown))
	if n := r.Log.WithoutOwners; n > 0 {
		write("On %s of the evaluated writes, the rules about managedFields have no verdict, because those are not logged.", grouped(n))
	}
	if r.Log.Unknown > 0 {
		write("Unknown writes teach nothing: %s replay --unknown says why they could not be evaluated.", command.ByKubectl)
	}
	if r.Log.Assuming > 0 {
		write("For %s of them, the log lacks earlier writes of the object, or is too short to tell. --complete says that it has all.",
			grouped(r.Log.Assuming))
	}
	write("The base, %s, would deny %s of the evaluated writes; this policy would deny %s.",
		shown(base), grouped(r.Violating), grouped(r.Denied))
	if h := r.Holdout; h != nil {
		write("%s", h.text())
	}
	if days := r.NewPerDay; len(days) > 0 {
		write("New values per day: %s", daysText(days))
	}
	if common := r.Log.Registrations.text(); common != "" {
		write("%s", common)
	}
	if len(r.Review) > 0 {
		write("%s left out, marked REVIEW: --all takes them in.", count(len(r.Review), "line"))
	}
	if r.Undecided > 0 {
		write("%s teach nothing, because some rules have no verdict on them.", count(r.Undecided, "violating write"))
	}
	if r.Unlearned > 0 {
		write("%s of nodes with too many different ones were not counted.", count(r.Unlearned, "violating write"))
	}
	if len(r.NotAllowed) > 0 {
		b.WriteString("#\n")
		write("Seen, and not allowed, because it is never learned. If a line is legitimate, change its section in the base.")
		for i := range r.NotAllowed {
			refusal := &r.NotAllowed[i]
			line := fmt.Sprintf("# - %s: %s: %s", refusal.Rule, refusal.text(options.Agents), shown(refusal.Example))
			b.WriteString(command.WrapHanging(line, "#   ", headWidth))
		}
	}
	return b.String()
}

func (h *Holdout) text() string {
	const perCent = 100
	first := perCent - int(h.Share*perCent+0.5)
	verdict := "nothing"
	switch {
	case h.Denied > 0:
		verdict = count(h.Denied, "write") + " on " + count(h.Nodes, "node")
		if h.Capped {
			verdict = "at least " + verdict
		}
	case h.Capped:
		verdict = "nothing, as far as it was tried"
	}
	text := fmt.Sprintf("Hold-out: what the first %d %% of the time teaches would deny %s that this policy allows in the rest", first, verdict)
	if len(h.Lines) > 0 {
		text += ", by " + strings.Join(h.Lines, ", ")
	}
	return text + "."
}

func daysText(days []int) string {
	var texts []string
	if more := len(days) - shownDays; more > 0 {
		texts = append(texts, fmt.Sprintf("(%d days before)", more))
		days = days[more:]
	}
	for _, n := range days {
		texts = append(texts, fmt.Sprint(n))
	}
	return strings.Join(texts, " ")
}

// count is a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return grouped(n) + " " + noun + "s"
}

// grouped writes a number with commas.
func grouped(n int) string {
	const thousand = 3 // digits
	digits := strconv.Itoa(n)
	for i := len(digits) - thousand; i > 0; i -= thousand {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
