// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denials

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/internal/recordlog"
	"noderestriction.plus/internal/text"
)

// tableRows shows records as a table.
type tableRows struct {
	w     io.Writer
	table command.Table
}

func (v *tableRows) add(row *recordlog.Row) error {
	var policies, rules, details []string
	for _, violation := range row.Violations {
		policies = append(policies, policyText(row, violation))
		rules = append(rules, violation.Rule)
		details = append(details, detail(row, violation))
	}
	v.table.Add(timeText(row.Time), outcome(row), client(row), write(row), object(row),
		strings.Join(policies, "\n"), strings.Join(rules, "\n"), strings.Join(details, "\n"))
	return nil
}

func (v *tableRows) finish() error {
	if v.table.Empty() {
		return nil
	}
	v.table.Header = []string{"TIME", "ACTION", "NODE", "WRITE", "OBJECT", "POLICY", "RULE", "DETAIL"}
	return v.table.Write(v.w)
}

// textRows shows each record as a line.
type textRows struct{ w io.Writer }

func (v *textRows) add(row *recordlog.Row) error {
	var reasons []string
	for _, violation := range row.Violations {
		reasons = append(reasons,
			fmt.Sprintf("%s: %s (%s)", policyText(row, violation), violation.Rule, detail(row, violation)))
	}
	by := "node " + client(row)
	if row.Node == "" && row.Account == "" {
		by = "user " + row.User
	}
	_, err := fmt.Fprintf(v.w, "%s %s %s: %s %s: %s\n", timeText(row.Time), outcome(row), by, write(row),
		object(row), strings.Join(reasons, "; "))
	return err
}

func (v *textRows) finish() error { return nil }

// client is the node that wrote, and the account if it is a node agent's.
func client(row *recordlog.Row) string {
	if row.Account == "" {
		return orDash(row.Node)
	}
	return orDash(row.Node) + " (" + row.Account + ")"
}

func outcome(row *recordlog.Row) string {
	switch {
	case row.DryRun && row.Late:
		return string(row.Msg) + " (dry run, late)"
	case row.DryRun:
		return string(row.Msg) + " (dry run)"
	case row.Late:
		return string(row.Msg) + " (late)"
	}
	return string(row.Msg)
}

// write is what was done, such as UPDATE nodes/status.
func write(row *recordlog.Row) string {
	if row.Operation == recordlog.Unknown {
		return recordlog.Unknown
	}
	return row.Operation + " " + row.Target()
}

// object is the object with its namespace, if it has one.
func object(row *recordlog.Row) string {
	switch {
	case row.Name == "" && row.Namespace == "":
		return "-" // such as the token that a pod asks for
	case row.Namespace == "", row.Name == recordlog.Unknown:
		return row.Name
	}
	return row.Namespace + "/" + row.Name
}

// policyText is the policy of a violation, and says if it is one that the API server itself enforces.
func policyText(row *recordlog.Row, v record.Violation) string {
	if row.Enforcer == recordlog.Server {
		return orDash(v.Policy) + " (" + string(recordlog.Server) + ")"
	}
	return orDash(v.Policy)
}

// detail is what is wrong, or for a brief or short line which record says it.
func detail(row *recordlog.Row, v record.Violation) string {
	switch {
	case row.Like > 0:
		return fmt.Sprintf("like seq %d", row.Like)
	case row.Compact, row.Brief:
		return recordlog.Unknown
	}
	return v.Detail
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// csvRows shows records as comma-separated values, a row each.
type csvRows struct{ w *csv.Writer }

func csvHeader() []string {
	return []string{
		"ts", "action", "boot", "seq", "uid", "node", "user", "operation", "resource", "subresource", "namespace", "name",
		"dryRun", "clientAuth", "version", "policies", "rules", "fields", "details", "compact", "likeSeq", "source",
		"brief", "late", "enforcer", "subject", "account",
	}
}

func newCSVRows(w io.Writer) *csvRows {
	v := &csvRows{w: csv.NewWriter(w)}
	_ = v.w.Write(csvHeader()) // finish returns the error
	return v
}

func (v *csvRows) add(row *recordlog.Row) error {
	join := func(value func(record.Violation) string) string {
		var all []string
		for _, violation := range row.Violations {
			all = append(all, value(violation))
		}
		return strings.Join(all, "; ")
	}
	dryRun, late, like, seq := strconv.FormatBool(row.DryRun), strconv.FormatBool(row.Late), "", ""
	if row.Seq > 0 {
		seq = strconv.FormatUint(row.Seq, 10)
	}
	switch {
	case row.Like > 0:
		like = strconv.FormatUint(row.Like, 10)
	case row.Compact:
		dryRun, late = recordlog.Unknown, recordlog.Unknown
	}
	return v.w.Write(text.Cells(
		timeText(row.Time), string(row.Msg), row.Boot, seq, row.UID, row.Node, row.User,
		row.Operation, row.Resource, row.Subresource, row.Namespace, row.Name, dryRun,
		string(row.ClientAuth), row.Version,
		join(func(v record.Violation) string { return v.Policy }),
		join(func(v record.Violation) string { return v.Rule }),
		join(func(v record.Violation) string { return v.Field }),
		join(func(v record.Violation) string { return v.Detail }),
		strconv.FormatBool(row.Compact), like, row.Source, strconv.FormatBool(row.Brief), late, string(row.Enforcer),
		string(row.Subject), row.Account))
}

func (v *csvRows) finish() error {
	v.w.Flush()
	return v.w.Error()
}
