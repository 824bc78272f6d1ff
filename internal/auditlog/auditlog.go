// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package auditlog reads what the authorizers of an API server have decided about requests from its audit log.
package auditlog

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"strings"
	"time"

	"noderestriction.plus/internal/input"
)

const (
	// MaxLine is the size of the longest line that is read, in bytes. Events of level RequestResponse have objects twice.
	MaxLine = 16 << 20
	// maxOpen is how many requests are remembered whose answer has begun and not ended.
	maxOpen = 1 << 16
)

// Decisions of authorizers.
const (
	Allow  = "allow"
	Forbid = "forbid"
)

// Event is the answer to a request.
type Event struct {
	Time      time.Time
	User      string // the impersonated one, if any
	UserAgent string
	Verb      string
	// Decision is [Allow], [Forbid], or empty after an error of an authorizer.
	Decision string
	Reason   string
	Code     int32 // HTTP status; 0: not known
	// Group, Resource and the following are empty for a request that is for no resource.
	Group, Resource, Subresource, Namespace, Name string
	// FieldSelector is that of a list, watch or deletecollection.
	FieldSelector string
	Path          string // without the query
}

// event is the part of an event of audit.k8s.io that is read.
type event struct {
	Kind                     string            `json:"kind"`
	Items                    []json.RawMessage `json:"items"` // of an EventList
	AuditID                  string            `json:"auditID"`
	Stage                    string            `json:"stage"`
	RequestURI               string            `json:"requestURI"`
	Verb                     string            `json:"verb"`
	User                     user              `json:"user"`
	ImpersonatedUser         *user             `json:"impersonatedUser"`
	UserAgent                string            `json:"userAgent"`
	RequestReceivedTimestamp time.Time         `json:"requestReceivedTimestamp"`
	ObjectRef                *struct {
		APIGroup    string `json:"apiGroup"`
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
	} `json:"objectRef"`
	ResponseStatus *struct {
		Code int32 `json:"code"`
	} `json:"responseStatus"`
	Annotations map[string]string `json:"annotations"`
}

type user struct {
	Username string `json:"username"`
}

// Reader reads the events of a log: a JSON object on each line, which other text may precede.
type Reader struct {
	r       *bufio.Reader
	waiting []Event
	open    map[string]bool // audit IDs of requests whose answer has begun

	// Lines counts the lines, and Unreadable those that are no event.
	Lines, Unreadable int
}

// NewReader returns a reader of a log, which may be compressed or in another encoding as package input says.
func NewReader(r io.Reader) (*Reader, error) {
	in, err := input.NewReader(r)
	if err != nil {
		return nil, err
	}
	return &Reader{r: bufio.NewReaderSize(in, 64<<10), open: map[string]bool{}}, nil
}

// Next returns the next event with an answer. A long-running request is returned when its answer begins. At the end of the log it returns
// io.EOF.
func (r *Reader) Next() (Event, error) {
	for len(r.waiting) == 0 {
		line, whole, err := r.line()
		if err != nil && (!errors.Is(err, io.EOF) || len(line) == 0) {
			return Event{}, err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		r.Lines++
		begin := bytes.IndexByte(line, '{')
		if !whole || begin < 0 || !r.add(line[begin:], true) {
			r.Unreadable++
		}
	}
	e := r.waiting[0]
	r.waiting = r.waiting[1:]
	return e, nil
}

// line returns the next line, and whether it was short enough to be read as a whole.
func (r *Reader) line() (line []byte, whole bool, err error) {
	whole = true
	for {
		chunk, err := r.r.ReadSlice('\n')
		if len(line)+len(chunk) > MaxLine {
			whole = false
		} else {
			line = append(line, chunk...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, whole, err
		}
	}
}

// add adds an event, or those of a list, and reports whether it is one.
func (r *Reader) add(data []byte, mayBeList bool) bool {
	var e event
	if json.NewDecoder(bytes.NewReader(data)).Decode(&e) != nil {
		return false
	}
	if e.Kind == "EventList" && mayBeList {
		ok := true
		for _, item := range e.Items {
			ok = r.add(item, false) && ok
		}
		return ok
	}
	if e.Kind != "" && e.Kind != "Event" || e.Stage == "" || e.Verb == "" {
		return false
	}
	if r.isAnswer(&e) {
		r.waiting = append(r.waiting, e.answer())
	}
	return true
}

// isAnswer reports whether the event is the first one with an answer to its request.
func (r *Reader) isAnswer(e *event) bool {
	switch e.Stage {
	case "ResponseStarted":
		if len(r.open) == maxOpen {
			clear(r.open)
		}
		r.open[e.AuditID] = true
		return true
	case "ResponseComplete", "Panic":
		begun := r.open[e.AuditID]
		delete(r.open, e.AuditID)
		return !begun
	}
	return false
}

func (e *event) answer() Event {
	a := Event{
		Time: e.RequestReceivedTimestamp, User: e.User.Username, UserAgent: e.UserAgent, Verb: e.Verb,
		Decision: e.Annotations["authorization.k8s.io/decision"], Reason: e.Annotations["authorization.k8s.io/reason"],
	}
	if e.ImpersonatedUser != nil {
		a.User = e.ImpersonatedUser.Username
	}
	if e.ResponseStatus != nil {
		a.Code = e.ResponseStatus.Code
	}
	path, query, _ := strings.Cut(e.RequestURI, "?")
	a.Path = path
	if values, err := url.ParseQuery(query); err == nil {
		a.FieldSelector = values.Get("fieldSelector")
	}
	if ref := e.ObjectRef; ref != nil && ref.Resource != "" {
		a.Group, a.Resource, a.Subresource, a.Namespace, a.Name = ref.APIGroup, ref.Resource, ref.Subresource, ref.Namespace, ref.Name
	}
	return a
}
