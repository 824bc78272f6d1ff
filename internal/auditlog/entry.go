// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxNesting is how deep lists and envelopes may be nested around an event.
const maxNesting = 8

// lenient returns options for objects in events, which may be as their clients wrote them.
func lenient() jsontext.Options {
	return json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// envelope is what log services keep events in.
type envelope struct {
	Items jsontext.Value `json:"items"` // of an EventList

	// CloudWatch: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/logs/SubscriptionFilters.html,
	// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html and API_GetQueryResults.html
	LogEvents   jsontext.Value `json:"logEvents"`
	Events      jsontext.Value `json:"events"`
	Results     jsontext.Value `json:"results"`
	MessageType jsontext.Value `json:"messageType"`
	LogStream   jsontext.Value `json:"logStream"`
	StreamName  jsontext.Value `json:"logStreamName"`
	Message     jsontext.Value `json:"message"`
	AtStream    jsontext.Value `json:"@logStream"`
	AtMessage   jsontext.Value `json:"@message"`
	Field       jsontext.Value `json:"field"`
	Value       jsontext.Value `json:"value"`

	// GKE: see gke.go
	ProtoPayload jsontext.Value `json:"protoPayload"`

	// AKS: https://learn.microsoft.com/azure/aks/monitor-aks-reference and
	// https://learn.microsoft.com/azure/azure-monitor/platform/resource-logs-schema
	Records    jsontext.Value `json:"records"`
	Category   jsontext.Value `json:"category"`
	Properties jsontext.Value `json:"properties"`
	Log        jsontext.Value `json:"log"`
}

// isList reports whether an envelope may have a list in a member of this name, in quotes.
func isList(name []byte) bool {
	switch string(name) {
	case `"items"`, `"logEvents"`, `"events"`, `"results"`, `"records"`:
		return true
	}
	return false
}

// entry reads a JSON value: an event, an envelope, or a list of them. Inside: it is in an envelope.
func (s *source) entry(data []byte, inside bool, depth int) error {
	switch {
	case depth > maxNesting:
		s.unreadable(data, fmt.Errorf("has more than %d envelopes around an event", maxNesting))
		return nil
	case data[0] == '[':
		return s.list(data, inside, depth)
	}
	var e Event
	err := json.Unmarshal(data, &e, lenient())
	if syntax := (*jsontext.SyntacticError)(nil); errors.As(err, &syntax) || errors.Is(err, io.ErrUnexpectedEOF) {
		s.unreadable(data, problemOf(err))
		return s.keepCut(data, problemOf(err))
	}
	if err == nil && e.isEvent() && (inside || s.log.format.reads(Events)) {
		e.Format, s.time = Events, timeOf(&e)
		return s.log.add(&e, data, s.each)
	}
	var v envelope
	if err := json.Unmarshal(data, &v, lenient()); err != nil {
		s.unreadable(data, problemOf(err))
		return nil
	}
	return s.open(&v, data, inside, depth)
}

// problemOf returns what is wrong with an entry that cannot be decoded. The decoder's own words quote the entry.
func problemOf(err error) error {
	semantic := (*json.SemanticError)(nil)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return io.ErrUnexpectedEOF
	case errors.As(err, &semantic):
		return errors.New("is no event")
	}
	return errors.New("is not JSON")
}

// list reads the elements of a list.
func (s *source) list(data []byte, inside bool, depth int) error {
	d := jsontext.NewDecoder(bytes.NewReader(data), lenient())
	_, err := d.ReadToken()
	for err == nil && d.PeekKind() != ']' {
		var value jsontext.Value
		if value, err = d.ReadValue(); err == nil {
			if stop := s.entry(value, inside, depth+1); stop != nil {
				return stop
			}
		}
	}
	if err != nil {
		s.unreadable(data, problemOf(err))
	}
	return nil
}

// open reads what is in an envelope.
func (s *source) open(v *envelope, data []byte, inside bool, depth int) error {
	format := s.log.format
	switch {
	case isArray(v.Items) && (inside || format.reads(Events)):
		return s.list(v.Items, inside, depth)
	case v.isCloudWatch() && format.reads(CloudWatch):
		return s.openCloudWatch(v, data, depth)
	case v.ProtoPayload != nil && format.reads(GKE):
		return s.openGKE(data)
	case (v.Records != nil || v.Properties != nil || v.Log != nil) && format.reads(AKS):
		return s.openAKS(v, data, depth)
	}
	s.unreadable(data, fmt.Errorf("is no event, or not in the format %s", format))
	return nil
}

func (v *envelope) isCloudWatch() bool {
	return v.Message != nil || v.AtMessage != nil || v.Field != nil || isArray(v.LogEvents) || isArray(v.Events) || isArray(v.Results)
}

// openCloudWatch reads a record of a subscription, an answer of the API of CloudWatch Logs, or an element of one.
func (s *source) openCloudWatch(v *envelope, data []byte, depth int) error {
	for _, stream := range []jsontext.Value{v.LogStream, v.StreamName, v.AtStream} {
		// EKS has its logs in streams of one group.
		if name := unquoted(stream); name != "" && !strings.HasPrefix(name, "kube-apiserver-audit") {
			s.other()
			return nil
		}
	}
	switch {
	case unquoted(v.MessageType) == "CONTROL_MESSAGE":
		s.other()
		return nil
	case v.Message != nil:
		return s.content(v.Message, data, depth)
	case v.AtMessage != nil:
		return s.content(v.AtMessage, data, depth)
	case v.Field != nil: // of a row of an answer of Logs Insights
		if unquoted(v.Field) == "@message" {
			return s.content(v.Value, data, depth)
		}
		return nil
	}
	for _, list := range []jsontext.Value{v.LogEvents, v.Events, v.Results} {
		if isArray(list) {
			return s.list(list, false, depth)
		}
	}
	return nil
}

// openAKS reads a resource log of Azure Monitor.
func (s *source) openAKS(v *envelope, data []byte, depth int) error {
	if category := unquoted(v.Category); category != "" && category != "kube-audit" && category != "kube-audit-admin" {
		s.other()
		return nil
	}
	switch {
	case isArray(v.Records):
		return s.list(v.Records, false, depth)
	case v.Log != nil:
		return s.content(v.Log, data, depth)
	}
	properties := []byte(v.Properties)
	if v.Properties.Kind() == '"' {
		properties = []byte(unquoted(v.Properties))
	}
	var p struct {
		Log jsontext.Value `json:"log"`
	}
	if err := json.Unmarshal(properties, &p, lenient()); err != nil {
		s.unreadable(properties, problemOf(err))
		return nil
	}
	return s.content(p.Log, data, depth)
}

// other counts an entry of another log.
func (s *source) other() {
	s.log.Entries++
	s.log.Others++
}

// content reads what an envelope has of an event: a text, or JSON.
func (s *source) content(value jsontext.Value, data []byte, depth int) error {
	switch value.Kind() {
	case '{':
		return s.entry(value, true, depth+1)
	case '"':
		content := []byte(strings.TrimSpace(unquoted(value)))
		begin := bytes.IndexByte(content, '{')
		if begin < 0 {
			s.unreadable(content, errors.New("has no event in its envelope"))
			return nil
		}
		return s.entry(content[begin:], true, depth+1)
	}
	s.unreadable(data, errors.New("has no event in its envelope"))
	return nil
}

func isArray(value jsontext.Value) bool { return value.Kind() == '[' }

// unquoted returns a text, or nothing for a value that is not a text.
func unquoted(value jsontext.Value) string {
	if value.Kind() != '"' {
		return ""
	}
	text, _ := jsontext.AppendUnquote(nil, value) // it is a valid string, except perhaps for its UTF-8, which is replaced
	return string(text)
}
