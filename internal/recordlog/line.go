// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package recordlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"noderestriction.plus/internal/record"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
)

// Kind is the kind of a line.
type Kind int

const (
	// Foreign is a line that is not related to records: another line of the webhook's log, or any text.
	Foreign Kind = iota
	// Full is a record in full.
	Full
	// Brief is a record without its details.
	Brief
	// Compact is the shortest form of a record.
	Compact
	// Lost is the line by which the log says that it lost records.
	Lost
	// Unparsable is a line that should be one of the others and cannot be parsed.
	Unparsable
)

// MaxSeq is the largest number of a record. It bounds the numbers of records so that sums of them do not overflow.
const MaxSeq = 1 << 62

// Line is one line of a log, without the prefixes of a container runtime or kubectl.
type Line struct {
	Number int64  // in its input, from 1
	Source string // such as pod/web-0/main, from kubectl logs --prefix, or empty
	Kind   Kind
	Record record.Record // if Kind is Full, Brief or Compact; of the shorter forms only what the line has
	Lost   LostRecords   // if Kind is Lost
	Err    error         // if Kind is Unparsable
	Cut    bool          // it is Unparsable and the last of its input, which ends within it

	text []byte // valid until the next line is read
}

// LostRecords is what the log says about records that it has lost.
type LostRecords struct {
	Time  record.Time
	Boot  string
	Count uint64 // how many of First to Last
	First uint64
	Last  uint64
}

// wire is a line of any kind.
type wire struct {
	record.Record
	Rules    []string `json:"rules"`
	Count    uint64   `json:"count"`
	FirstSeq uint64   `json:"firstSeq"`
	LastSeq  uint64   `json:"lastSeq"`
}

// parse determines the kind of a line from its text.
func (l *Line) parse(text []byte, whole bool) {
	l.text = text
	l.Kind = Foreign
	switch suspect := resembles(text); {
	case suspect == unlike:
	case !whole:
		l.reject(fmt.Errorf("longer than %d bytes, which no record is", maxText))
	case suspect == fragment:
		l.reject(errors.New("a piece of a record, or a record after other text; stern needs -o raw or -o json"))
	default:
		l.decode(text)
	}
}

func (l *Line) reject(err error) { l.Kind, l.Err = Unparsable, err }

// decode reads a JSON object that may be a line of the denial log.
func (l *Line) decode(text []byte) {
	var w wire
	err := json.Unmarshal(text, &w)
	switch {
	case err != nil && !isForeign(text):
		l.reject(explain(err))
	case err != nil || w.Logger != record.Logger:
		// another log's line
	default:
		if err := l.accept(&w); err != nil {
			l.reject(err)
		}
	}
}

// isForeign reports whether a text is a JSON object of another logger, even one that is not well-formed in detail.
func isForeign(text []byte) bool {
	var w struct {
		Logger jsontext.Value `json:"logger"`
	}
	err := json.Unmarshal(text, &w, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	return err == nil && string(w.Logger) != `"`+record.Logger+`"`
}

// accept accepts a well-formed line of the denial log.
func (l *Line) accept(w *wire) error {
	w.Boot = text.Printable(w.Boot)
	switch {
	case time.Time(w.Time).IsZero():
		return errors.New("ts: missing")
	case w.Boot == "":
		return errors.New("boot: missing")
	}
	switch w.Msg {
	case policy.Denied, policy.Warned, policy.Audited, record.Probed:
		return l.acceptRecord(&w.Record, w.Rules)
	case "lost":
		return l.acceptLost(w)
	}
	return fmt.Errorf("msg: unknown %s", text.Quote(string(w.Msg)))
}

func (l *Line) acceptRecord(r *record.Record, rules []string) error {
	if r.Seq == 0 || r.Seq > MaxSeq {
		return fmt.Errorf("seq: must be 1 to %d", uint64(MaxSeq))
	}
	l.Kind = Full
	switch {
	case r.Violations != nil || r.Operation != "" && rules == nil:
	case r.Fingerprint == "":
		return errors.New("violations: missing")
	case rules == nil:
		l.Kind = Compact
	default:
		l.Kind = Brief
		r.Violations = record.ViolationsOf(rules)
	}
	clean(r)
	l.Record = *r
	return nil
}

func (l *Line) acceptLost(w *wire) error {
	switch {
	case w.FirstSeq == 0 || w.LastSeq > MaxSeq || w.FirstSeq > w.LastSeq:
		return fmt.Errorf("firstSeq, lastSeq: must be 1 to %d, in order", uint64(MaxSeq))
	case w.Count == 0 || w.Count > w.LastSeq-w.FirstSeq+1:
		return errors.New("count: must be 1 to the number from firstSeq to lastSeq")
	}
	l.Kind = Lost
	l.Lost = LostRecords{Time: w.Time, Boot: w.Boot, Count: w.Count, First: w.FirstSeq, Last: w.LastSeq}
	return nil
}

// likeness is how much a line resembles one of the denial log.
type likeness int

const (
	unlike   likeness = iota
	likely            // a JSON object
	fragment          // the end of one
)

// opening is how each line of the denial log begins. Lines of the webhook's other log begin with the level.
const opening = `{"ts":"`

// resembles returns how much a text resembles a line of the denial log. Within a JSON string the markers would have escaped
// quotes, so text that is quoted in another line cannot make that line resemble one.
func resembles(text []byte) likeness {
	object := len(text) > 0 && text[0] == '{'
	switch {
	case object && bytes.HasPrefix(text, []byte(opening)):
		return likely
	case bytes.Contains(text, []byte(`"logger":"denial"`)), bytes.Contains(text, []byte(`"logger": "denial"`)):
		if object {
			return likely
		}
		return fragment
	case !object && bytes.Contains(text, []byte(`"fingerprint":"`)):
		return fragment
	}
	return unlike
}

// beginsLike reports whether a text may be the beginning of a record and is too short to decide.
func beginsLike(text []byte) bool {
	return len(text) > 0 && bytes.HasPrefix([]byte(opening), text)
}

// explain returns a stable message about a syntax error: the JSON library varies its error text on purpose.
func explain(err error) error {
	syntax, semantic := (*jsontext.SyntacticError)(nil), (*json.SemanticError)(nil)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it ends too early")
	case errors.Is(err, jsontext.ErrDuplicateName):
		return errors.New("it has a key twice")
	case errors.As(err, &syntax):
		return fmt.Errorf("not well-formed JSON at byte %d of it", syntax.ByteOffset)
	case errors.As(err, &semantic):
		at := strings.TrimPrefix(string(semantic.JSONPointer), "/")
		return fmt.Errorf("%s: has a wrong value", text.Bound(at, 64))
	}
	return errors.New("not a JSON object")
}
