// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denial

import (
	"errors"
	"io"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"noderestriction.plus/internal/record"
)

// newCore returns a core that writes each entry whole, without sampling, and returns the error if it cannot. A zap encoder
// would write the level before the time; so it has no keys of its own, and each line provides all of them in the order
// of record.Record.
func newCore(out io.Writer) zapcore.Core {
	encoder := zapcore.NewJSONEncoder(zapcore.EncoderConfig{
		LineEnding: "\n",
		EncodeTime: zapcore.TimeEncoderOfLayout(record.TimeLayout),
	})
	return zapcore.NewCore(encoder, zapcore.AddSync(&lineWriter{out: out}), zapcore.InfoLevel)
}

// writeRecord writes one line.
func writeRecord(core zapcore.Core, rec *record.Record, as form) error {
	switch as {
	case compact:
		short := rec.Compact()
		return writeLine(core, (*compactLine)(&short))
	case brief:
		short := rec.Brief()
		return writeLine(core, (*briefLine)(&short))
	}
	return writeLine(core, (*line)(rec))
}

// writeLost writes one line that says which records are missing.
func writeLost(core zapcore.Core, boot string, lost gap) error {
	return writeLine(core, &lostLine{boot: boot, gap: lost})
}

func writeLine(core zapcore.Core, m zapcore.ObjectMarshaler) error {
	return core.Write(zapcore.Entry{Level: zapcore.InfoLevel}, []zapcore.Field{zap.Inline(m)})
}

// line is a record as zap writes it.
type line record.Record

func (l *line) MarshalLogObject(e zapcore.ObjectEncoder) error {
	addHead(e, time.Time(l.Time), l.Level, string(l.Msg), l.Boot)
	e.AddUint64("seq", l.Seq)
	e.AddString("uid", l.UID)
	e.AddString("node", l.Node)
	e.AddString("user", l.User)
	addSet(e, "subject", string(l.Subject))
	addSet(e, "account", l.Account)
	e.AddString("operation", l.Operation)
	e.AddString("resource", l.Resource)
	e.AddString("subresource", l.Subresource)
	e.AddString("namespace", l.Namespace)
	e.AddString("name", l.Name)
	e.AddBool("dryRun", l.DryRun)
	if l.Late {
		e.AddBool("late", true)
	}
	e.AddString("clientAuth", string(l.ClientAuth))
	if err := e.AddArray("violations", violations(l.Violations)); err != nil {
		return err
	}
	e.AddString("version", l.Version)
	e.AddString("fingerprint", l.Fingerprint)
	if l.Truncated {
		e.AddBool("truncated", true)
	}
	if l.OmittedViolations != 0 {
		e.AddInt("omittedViolations", l.OmittedViolations)
	}
	return nil
}

type violations []record.Violation

func (vs violations) MarshalLogArray(e zapcore.ArrayEncoder) error {
	for i := range vs {
		if err := e.AppendObject((*violation)(&vs[i])); err != nil {
			return err
		}
	}
	return nil
}

type violation record.Violation

func (v *violation) MarshalLogObject(e zapcore.ObjectEncoder) error {
	e.AddString("policy", v.Policy)
	e.AddInt64("generation", v.Generation)
	e.AddString("rule", v.Rule)
	e.AddString("field", v.Field)
	e.AddString("reason", v.Reason)
	e.AddString("detail", v.Detail)
	e.AddString("action", v.Action)
	return nil
}

// compactLine is a compact record as zap writes it.
type compactLine record.Compact

func (l *compactLine) MarshalLogObject(e zapcore.ObjectEncoder) error {
	addHead(e, time.Time(l.Time), l.Level, string(l.Msg), l.Boot)
	e.AddUint64("seq", l.Seq)
	e.AddString("uid", l.UID)
	e.AddString("node", l.Node)
	e.AddString("fingerprint", l.Fingerprint)
	return nil
}

// briefLine is a brief record as zap writes it.
type briefLine record.Brief

func (l *briefLine) MarshalLogObject(e zapcore.ObjectEncoder) error {
	addHead(e, time.Time(l.Time), l.Level, string(l.Msg), l.Boot)
	e.AddUint64("seq", l.Seq)
	e.AddString("uid", l.UID)
	e.AddString("node", l.Node)
	addSet(e, "account", l.Account)
	e.AddString("operation", l.Operation)
	e.AddString("resource", l.Resource)
	addSet(e, "subresource", l.Subresource)
	addSet(e, "namespace", l.Namespace)
	addSet(e, "name", l.Name)
	if l.DryRun {
		e.AddBool("dryRun", true)
	}
	if l.Late {
		e.AddBool("late", true)
	}
	e.AddString("clientAuth", string(l.ClientAuth))
	zap.Strings("rules", l.Rules).AddTo(e)
	if l.OmittedViolations != 0 {
		e.AddInt("omittedViolations", l.OmittedViolations)
	}
	e.AddString("fingerprint", l.Fingerprint)
	return nil
}

// addSet adds a value that is not empty.
func addSet(e zapcore.ObjectEncoder, key, value string) {
	if value != "" {
		e.AddString(key, value)
	}
}

// lostLine says which records are missing. It has no seq, because it is not a record.
type lostLine struct {
	boot string
	gap
}

func (l *lostLine) MarshalLogObject(e zapcore.ObjectEncoder) error {
	addHead(e, time.Now(), "error", "lost", l.boot)
	e.AddUint64("count", l.count)
	e.AddUint64("firstSeq", l.first)
	e.AddUint64("lastSeq", l.last)
	return nil
}

func addHead(e zapcore.ObjectEncoder, at time.Time, level, msg, boot string) {
	e.AddTime("ts", at.UTC())
	e.AddString("level", level)
	e.AddString("logger", record.Logger)
	e.AddString("msg", msg)
	e.AddString("boot", boot)
}

// lineWriter separates lines: after a write that failed in the middle of a line, the next one begins on a new line.
type lineWriter struct {
	out  io.Writer
	torn bool
}

func (w *lineWriter) Write(p []byte) (int, error) {
	if w.torn {
		if _, err := w.out.Write([]byte{'\n'}); err != nil {
			return 0, err
		}
		w.torn = false
	}
	n, err := w.out.Write(p)
	if err == nil && n < len(p) {
		err = errors.New("short write")
	}
	w.torn = n > 0 && n < len(p)
	return n, err
}
