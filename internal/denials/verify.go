// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denials

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/crosscheck"
	"noderestriction.plus/internal/recordlog"
)

// maxNamed is how many ranges of missing records a text names.
const maxNamed = 10

// completeness is what --verify finds, as JSON and YAML.
type completeness struct {
	command.Envelope
	recordlog.Completeness
	// Audit is what comparing the records with audit logs has found. Nil: there is no audit log.
	Audit *crosscheck.Report `json:"auditLog,omitempty"`
}

func newCompleteness(found recordlog.Completeness) *completeness {
	return &completeness{
		Envelope: command.Envelope{APIVersion: command.APIVersion, Kind: "DenialLogCompleteness"}, Completeness: found,
	}
}

// verdict is the error of --verify.
func (c *completeness) verdict() error {
	switch {
	case !c.Complete:
		return command.No("the log is not complete")
	case len(c.Boots) == 0:
		return errors.New("there is no record, which proves nothing: is it the standard output of the webhook, all of it?")
	case c.Audit != nil:
		return agreement(c.Audit, c.Allowed.Partial)
	}
	return nil
}

// write writes what --verify found.
func (c *completeness) write(w io.Writer) error {
	if err := writeCompleteness(w, c.Completeness); err != nil || c.Audit == nil {
		return err
	}
	return writeAgreement(w, c.Audit)
}

// writeCompleteness writes what --verify found in records.
func writeCompleteness(w io.Writer, found recordlog.Completeness) error {
	if len(found.Boots) > 0 {
		if err := bootTable(found.Boots).Write(w); err != nil {
			return err
		}
	}
	var b strings.Builder
	for _, p := range problems(found) {
		b.WriteString(p + "\n")
	}
	if found.Complete && len(found.Boots) > 0 {
		fmt.Fprintf(&b, "complete: %s of %s, none missing\n", count(found.Records, "record"), processes(len(found.Boots)))
	}
	if found.Foreign > 0 {
		fmt.Fprintf(&b, "passed over: %s\n", count(found.Foreign, "other line"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func processes(n int) string {
	if n == 1 {
		return "1 process"
	}
	return strconv.Itoa(n) + " processes"
}

func bootTable(boots []recordlog.Boot) *command.Table {
	t := &command.Table{Header: []string{"BOOT", "RECORDS", "SEQ", "MISSING", "FROM", "TO", "SOURCE"}}
	for _, b := range boots {
		seq, from, to := "-", "-", "-"
		if b.Records > 0 {
			seq, from, to = ranges(recordlog.Range{First: b.First, Last: b.Last}), timeText(b.From), timeText(b.To)
		}
		t.Add(b.Boot, strconv.FormatUint(b.Records, 10), seq, strconv.FormatUint(b.Missing, 10), from, to, orDash(b.Source))
	}
	return t
}

// problems are what is wrong, a sentence each.
func problems(found recordlog.Completeness) []string {
	var all []string
	for _, b := range found.Boots {
		all = append(all, BootProblems(b, found.Allowed)...)
	}
	for _, f := range found.Flaws {
		kind := "cannot be read"
		if f.Cut {
			kind = "is cut"
		}
		all = append(all, fmt.Sprintf("%s: line %d %s: %s", f.Input, f.Line, kind, f.Error))
	}
	if more := found.Unparsable - uint64(len(found.Flaws)); more > 0 {
		all = append(all, count(more, "more line")+" cannot be read")
	}
	return all
}

// BootProblems returns what is wrong with the records of one process, a sentence each.
func BootProblems(b recordlog.Boot, allowed recordlog.Allowances) []string {
	var all []string
	say := func(format string, args ...any) {
		all = append(all, "boot "+b.Boot+": "+fmt.Sprintf(format, args...))
	}
	inner := b.MissingRanges
	if len(inner) > 0 && inner[0].First == 1 {
		say("%s missing at the beginning, seq %s; if the log was rotated, --partial", are(inner[0].Count(), "record"),
			ranges(inner[0]))
		inner = inner[1:]
	}
	if len(inner) > 0 {
		var n uint64
		for _, r := range inner {
			n += r.Count()
		}
		text := are(n, "record")
		if b.MoreRanges > 0 {
			text = "more than " + text
		}
		say("%s missing, seq %s", text, ranges(inner...))
	}
	if b.SaidLost > 0 && !allowed.Copies {
		say("the log itself says that it lost %s", count(b.SaidLost, "record"))
	}
	if b.Conflicts > 0 {
		var numbers []string
		for _, seq := range b.Conflicting {
			numbers = append(numbers, strconv.FormatUint(seq, 10))
		}
		say("%s the number of another and different content, seq %s", verb(b.Conflicts, "record", "has", "have"),
			strings.Join(numbers, ", "))
	}
	if b.Duplicates > 0 && !allowed.Copies {
		say("%s read twice and counted once; if that is meant, --copies", verb(b.Duplicates, "line", "was", "were"))
	}
	return all
}

// innerProblems sums up in a few words what is wrong, apart from a log that begins late or was read twice. It is empty
// if nothing is.
func innerProblems(found recordlog.Completeness) string {
	var missing uint64
	for _, b := range found.Boots {
		missing += b.Missing
		if len(b.MissingRanges) > 0 && b.MissingRanges[0].First == 1 {
			missing -= b.MissingRanges[0].Count()
		}
	}
	var all []string
	for _, p := range []struct {
		n    uint64
		text string
	}{
		{missing, are(missing, "record") + " missing"},
		{found.Conflicts, verb(found.Conflicts, "record", "has", "have") + " the number of another"},
		{found.Unparsable, count(found.Unparsable, "line") + " cannot be read"},
	} {
		if p.n > 0 {
			all = append(all, p.text)
		}
	}
	return strings.Join(all, ", ")
}

func are(n uint64, noun string) string { return verb(n, noun, "is", "are") }

func verb(n uint64, noun, one, many string) string {
	if n == 1 {
		return count(n, noun) + " " + one
	}
	return count(n, noun) + " " + many
}

// ranges names the first few ranges.
func ranges(all ...recordlog.Range) string {
	var named []string
	for _, r := range all[:min(len(all), maxNamed)] {
		text := strconv.FormatUint(r.First, 10)
		if r.Last > r.First {
			text += "-" + strconv.FormatUint(r.Last, 10)
		}
		named = append(named, text)
	}
	if len(all) > maxNamed {
		named = append(named, "...")
	}
	return strings.Join(named, ", ")
}
