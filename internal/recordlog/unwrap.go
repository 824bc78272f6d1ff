// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package recordlog

import (
	"bytes"
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// wrapper is a JSON object in which a log shipper keeps one line of a container. Which fields it has depends on the shipper.
type wrapper struct {
	Log     jsontext.Value `json:"log"`     // Docker's json-file, Fluent Bit, Fluentd, Promtail
	Message jsontext.Value `json:"message"` // Vector, Filebeat, stern -o json, Fluent Bit with a filter
	Journal jsontext.Value `json:"MESSAGE"` // journalctl -o json
	Line    jsontext.Value `json:"line"`    // Loki: logcli -o jsonl

	Stream     string `json:"stream"`
	PodName    string `json:"podName"`       // stern
	Container  string `json:"containerName"` // stern
	Kubernetes struct {
		Pod       string `json:"pod_name"`       // Fluent Bit, Fluentd, Vector
		Container string `json:"container_name"` // the same
	} `json:"kubernetes"`
}

// refuseFormat returns an error if the first line of an input says that records are not on a line each.
func refuseFormat(first []byte) error {
	text := bytes.TrimSpace(first)
	switch {
	case bytes.HasPrefix(text, []byte("[")) && (len(text) == 1 || bytes.HasPrefix(bytes.TrimSpace(text[1:]), []byte("{"))):
		return errors.New("a JSON array: write each record on a line first, such as by jq -c '.[]'")
	case string(text) == "{":
		return errors.New("JSON over several lines: write each record on a line first, such as by jq -c '.'")
	}
	return nil
}

// quotesRecord reports whether a line has a record in quotes, as JSON or CSV have it.
func quotesRecord(line []byte) bool {
	return bytes.Contains(line, []byte(`\"logger\":\"denial\"`)) || bytes.Contains(line, []byte(`""logger"":""denial""`))
}

// unwrap takes the line of a container out of the JSON object of a log shipper. It reports false for any other line, and for one that
// has no record.
func unwrap(line []byte) (text []byte, source string, ok bool) {
	if len(line) == 0 || line[0] != '{' || bytes.HasPrefix(line, []byte(opening)) ||
		!bytes.Contains(line, []byte("denial")) && !bytes.Contains(line, []byte(`"MESSAGE":[`)) {
		return nil, "", false
	}
	var w wrapper
	if err := json.Unmarshal(line, &w, jsontext.AllowDuplicateNames(false)); err != nil {
		return nil, "", false
	}
	for _, value := range []jsontext.Value{w.Log, w.Message, w.Journal, w.Line} {
		if text := wrappedText(value); resembles(text) == likely {
			return text, w.source(), true
		}
	}
	return nil, "", false
}

// wrappedText is the text in a field of a wrapper: a string, an object, or, as the journal has it for what does not print, bytes.
func wrappedText(value jsontext.Value) []byte {
	switch value.Kind() {
	case '"':
		var text string
		if json.Unmarshal(value, &text) != nil {
			return nil
		}
		return bytes.TrimRight([]byte(text), "\r\n")
	case '{':
		return value
	case '[':
		var numbers []uint8
		var wide []uint16
		if json.Unmarshal(value, &wide) != nil {
			return nil
		}
		for _, n := range wide {
			if n > 0xff {
				return nil
			}
			numbers = append(numbers, uint8(n))
		}
		return numbers
	}
	return nil
}

// source is the pod and the container that a shipper names, as kubectl logs --prefix does.
func (w *wrapper) source() string {
	pod, container := w.Kubernetes.Pod, w.Kubernetes.Container
	if pod == "" {
		pod, container = w.PodName, w.Container
	}
	switch {
	case pod == "":
		return ""
	case container == "":
		return "pod/" + pod
	}
	return "pod/" + pod + "/" + container
}
