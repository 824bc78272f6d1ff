// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denials

import (
	"bufio"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"noderestriction.plus/internal/auditlog"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/crosscheck"
	"noderestriction.plus/internal/decisionlog"
	"noderestriction.plus/internal/denials/page"
	"noderestriction.plus/internal/recordlog"
	"noderestriction.plus/internal/text"
)

// Output formats of the command denials beside those of others.
const (
	formatTable = "table"
	formatCSV   = "csv"
)

// defaultLimit is how many rows a table or a page shows.
const defaultLimit = 1000

// flagWidth is how wide a long description of a flag may be beside the flags' names.
const flagWidth = 70

// Command returns the command denials.
func Command() *cobra.Command {
	o := options{
		format: auditlog.Auto,
		output: command.NewOutput(formatTable, command.FormatText, command.FormatJSON, command.FormatYAML, formatCSV),
	}
	cmd := &cobra.Command{
		Use:                   "denials [FILE... | -] [--audit-log FILE]...",
		DisableFlagsInUseLine: true,
		Short:                 "Show denied writes, count them, and verify that no record is missing",
		Long: `Read the log of the webhook, or any file that has it among other lines, and show its records, count
them (--by), verify that none is missing (--verify), or write them as an HTML page (--html).

A FILE, or standard input without one, may be compressed by gzip and may be what a container runtime
keeps on the node or what kubectl logs prints, with --prefix and --timestamps or without. With
several FILEs their order does not matter. Lines of other logs are passed over. A line that is
read twice counts once. kubectl logs -l prints the last 10 lines of each pod unless you give
--tail=-1.

--audit-log reads the audit log of an API server, in JSON, also as log services of cloud providers keep
it (--format). It has what ValidatingAdmissionPolicies of the chart and of the command compile have
decided without the webhook, which have no record, and a short copy of the records. A record that a FILE
has as well counts once. Without a FILE only audit logs are read. Those policies are marked "(API
server)".

Of equal records the webhook writes 10 a minute in full and the others as short lines, and it cuts
records to brief lines where there are many. Those are shown with what an earlier line says that
they have in common: node, resource, policy and rule. What the log does not have is shown as "?".
A record is late if the API server had stopped waiting for the answer: what was decided had no effect.

Filters take comma-separated patterns, in which * stands for any text, and may be repeated. A
record must match all filters, and --policy and --rule in one violation. Records of the
enforcement probe are no denials and only shown with --action probed.

A table shows the newest records, the newest last; other formats show all, in the order of the log.

--html makes a page that needs no network: a chart, the nodes, rules and policies, every group of equal
records, denied first, and the newest records, denied first as well. All of them filter the page.

--verify looks at the whole log: each process of the webhook numbers its records from 1 without gaps
(seq). It names missing numbers, records that the log itself says it lost, lines that were read
twice, different records with one number, and lines that cannot be read or are cut. What followed
the last line of a process it cannot know.

With --audit-log it also compares the records with the audit logs of all API servers, in both
directions: each answer that the API server read has a record, and annotations (boot, seq) in the
audit log. It names records without an event, events without a record, and events that contradict a
record or another event. What only one of the logs covers, or cannot be compared, is not missing.

Exit code: 0 fine, also if nothing was denied; 1 --verify found something missing or wrong; 2 usage,
a FILE cannot be read, or --verify could not tell: it found no record at all, or could not compare all
of them with the audit log.`,
		Example: `  kubectl -n node-restriction-plus logs -l app.kubernetes.io/name=node-restriction-plus \
    --prefix --tail=-1 | kubectl nrp denials --since 1h
  kubectl nrp denials --by node,rule denials.log*
  kubectl nrp denials --verify denials.log.1.gz denials.log
  kubectl nrp denials --verify --audit-log audit-1.log --audit-log audit-2.log denials.log
  kubectl nrp denials --policy recommended --rule 'node-*' -o csv denials.log > denials.csv
  kubectl nrp denials --html denials.html --title prod-eu1 denials.log
  kubectl nrp denials --audit-log audit.log --by enforcer,rule denials.log`,
	}
	o.addFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 && len(o.auditLogs) == 0 {
			args = []string{command.StandardInput}
		}
		o.limited = cmd.Flags().Changed("limit")
		o.formatted = cmd.Flags().Changed("output")
		return o.run(args, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	return cmd
}

type options struct {
	filter    filterOptions
	by        listFlag
	auditLogs []string
	format    auditlog.Format
	verify    bool
	allow     recordlog.Allowances
	html      string
	title     string
	limit     int
	output    *command.Output

	limited, formatted bool // the flag was given
}

func (o *options) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	o.filter.addFlags(cmd)
	names := command.Wrap(strings.Join(dimensionNames(), ", "), "", flagWidth)
	flags.Var(&o.by, "by", "count by these `dimensions`:\n"+strings.TrimSuffix(names, "\n"))
	command.Complete(cmd, "by", dimensionNames())
	flags.BoolVar(&o.verify, "verify", false, "say whether any record is missing")
	flags.BoolVar(&o.allow.Partial, "partial", false,
		"with --verify or --html: the log may begin after the first record,\nbecause it was rotated or read with --tail, and audit logs may\n"+
			"begin and end at other times")
	flags.BoolVar(&o.allow.Copies, "copies", false,
		"with --verify or --html: the inputs may be copies of one another,\nsuch as the log and --denial-log-file")
	flags.StringArrayVar(&o.auditLogs, "audit-log", nil,
		"`file` with the audit log of an API server, or - for standard\ninput; may be repeated")
	flags.Var(&o.format, "format", auditlog.FormatUsage)
	command.Complete(cmd, "format", auditlog.Formats())
	flags.StringVar(&o.html, "html", "", "`file` for a page that shows the records, overwritten; - for standard output")
	flags.StringVar(&o.title, "title", "", "with --html: what the page is about, such as the name of the cluster")
	flags.IntVar(&o.limit, "limit", defaultLimit,
		"show up to this `number` of the newest records or the largest groups;\n"+
			"0 shows all; by default only tables and pages have a limit.\nA page also has all groups of equal records")
	o.output.AddTo(cmd)
}

func dimensionNames() []string {
	var names []string
	for _, d := range recordlog.Dimensions() {
		names = append(names, string(d))
	}
	return names
}

// check finds flags that do not go together.
func (o *options) check(files []string) error {
	switch {
	case o.limit < 0:
		return command.Usagef("--limit: must not be negative")
	case o.verify && len(o.by) > 0:
		return command.Usagef("--verify and --by: ask for one of them")
	case o.html != "" && len(o.by) > 0:
		return command.Usagef("--html and --by: the page has its own counts")
	case o.html != "" && o.formatted && !o.verify:
		return command.Usagef("--html and -o: the page has a format of its own")
	case o.title != "" && o.html == "":
		return command.Usagef("--title: only has a meaning with --html")
	case len(o.title) > maxTitle:
		return command.Usagef("--title: must be at most %d bytes long", maxTitle)
	case o.html == command.StandardInput && o.verify:
		return command.Usagef("--html: must be a file, because what --verify finds goes to standard output")
	case o.html != "" && (o.limit == 0 || o.limit > maxPageRows):
		return command.Usagef("--limit: must be 1 to %d for a page", maxPageRows)
	case o.verify && o.html == "" && (o.limited || o.filter.given()):
		return command.Usagef("--verify looks at the whole log: leave filters and --limit out")
	case o.verify && len(files) == 0:
		return command.Usagef("--verify and --audit-log: name the log of records as well, or - for standard input")
	case o.format != auditlog.Auto && len(o.auditLogs) == 0:
		return command.Usagef("--format: only has a meaning with --audit-log")
	case o.allow != recordlog.Allowances{} && !o.verify && o.html == "":
		return command.Usagef("--partial and --copies: only have a meaning with --verify or --html")
	case o.verify && o.output.String() == formatCSV:
		return command.Usagef("--verify: what it finds is no table; use -o json or yaml")
	}
	return nil
}

// dimensions are what --by names.
func (o *options) dimensions() ([]recordlog.Dimension, error) {
	var all []recordlog.Dimension
	for _, name := range o.by {
		d := recordlog.Dimension(name)
		if !slices.Contains(recordlog.Dimensions(), d) {
			return nil, command.Usagef("--by: no dimension is named %q%s", name, text.DidYouMean(name, dimensionNames()))
		}
		if !slices.Contains(all, d) {
			all = append(all, d)
		}
	}
	return all, nil
}

// view takes the records that are wanted, in the order of the log, and shows them.
type view interface {
	add(row *recordlog.Row) error
	finish() error
}

func (o *options) run(files []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if err := o.check(files); err != nil {
		return err
	}
	by, err := o.dimensions()
	if err != nil {
		return err
	}
	filter, err := o.filter.compile()
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(stdout, 64<<10)
	inputs := &command.Inputs{Stdin: stdin}
	r := &reader{
		open: inputs.Open, filter: filter, log: recordlog.NewLog(), audit: decisionlog.NewLog(o.format), out: out,
		view: o.view(by, out, stderr),
	}
	if o.verify && len(o.auditLogs) > 0 {
		r.check = crosscheck.New(r.log)
	}
	err = r.readAll(files)
	if err == nil {
		err = r.readAudit(o.auditLogs)
	}
	if err != nil {
		return errors.Join(err, out.Flush()) // what was shown stays shown
	}
	if err := r.view.finish(); err != nil {
		return err
	}
	found := r.log.Verify(o.allow)
	if p, ok := r.view.(*pageView); ok {
		p.page.Title, p.page.MadeAt = page.Text(o.title), time.Now()
		p.describe(r, found, o.filter.describe())
		if err := p.write(o.html, out); err != nil {
			return err
		}
	}
	if !o.verify {
		r.warn(stderr, found)
		return out.Flush()
	}
	c := newCompleteness(found)
	if r.check != nil {
		report := r.check.Report(found, r.audit.Log)
		c.Audit = &report
	}
	err = o.output.Write(out, c, c.write)
	if err := errors.Join(err, out.Flush()); err != nil {
		return err
	}
	return c.verdict()
}

// view is how the records that are wanted are shown.
func (o *options) view(by []recordlog.Dimension, w *bufio.Writer, notes io.Writer) view {
	switch {
	case o.html != "":
		return newPageView(o.limit)
	case o.verify:
		return nothing{}
	case len(by) > 0:
		return &groupsView{
			groups: recordlog.NewGroups(by...), by: by, output: o.output, limit: o.rows(), w: w, notes: notes,
		}
	}
	return o.rowsView(w, notes)
}

// rows is how many rows are shown; 0: all.
func (o *options) rows() int {
	if o.limited || o.output.String() == formatTable {
		return o.limit
	}
	return 0
}

func (o *options) rowsView(w *bufio.Writer, notes io.Writer) view {
	var v view
	switch o.output.String() {
	case command.FormatJSON:
		v = &jsonRows{w: w}
	case command.FormatYAML:
		v = &yamlRows{w: w}
	case formatCSV:
		v = newCSVRows(w)
	case command.FormatText:
		v = &textRows{w: w}
	default:
		v = &tableRows{w: w}
	}
	if limit := o.rows(); limit > 0 || o.output.String() == formatTable {
		v = &newestView{newest: recordlog.NewNewest(limit), limit: limit, view: v, notes: notes}
	}
	return v
}

// nothing is a view of nothing.
type nothing struct{}

func (nothing) add(*recordlog.Row) error { return nil }
func (nothing) finish() error            { return nil }

// newestView shows the newest records, sorted by time, in another view.
type newestView struct {
	newest *recordlog.Newest
	limit  int
	view   view
	notes  io.Writer
}

func (v *newestView) add(row *recordlog.Row) error {
	v.newest.Add(&row.Entry, row.Violations)
	return nil
}

func (v *newestView) finish() error {
	rows := v.newest.Sorted()
	for _, row := range rows {
		if err := v.view.add(row); err != nil {
			return err
		}
	}
	if err := v.view.finish(); err != nil {
		return err
	}
	if left := v.newest.Added() - len(rows); left > 0 {
		notef(v.notes, "%s left out: --limit 0 shows all", count(left, "older record"))
	}
	return nil
}
