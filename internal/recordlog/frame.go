// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package recordlog

import "bytes"

// frame is a line as a container runtime or kubectl wrapped it.
type frame struct {
	source  []byte // what kubectl logs --prefix says, without brackets
	stream  []byte // in the format of the Container Runtime Interface, CRI
	partial bool   // the text continues in the stream's next line
	text    []byte
}

// unframe takes a line apart. It knows "[pod/x/container] ", a time, and "time stdout F ", in this order. Nothing else
// may stand before a record: otherwise anyone who is quoted in some other line could forge one.
func unframe(line []byte) frame {
	var f frame
	if bytes.HasPrefix(line, []byte("[pod/")) {
		if end := bytes.Index(line, []byte("] ")); end > 0 {
			f.source, line = line[1:end], line[end+2:]
		}
	}
	f.text = line
	if !beginsWithTime(line) {
		return f
	}
	_, rest, found := bytes.Cut(line, []byte(" "))
	if !found {
		return f
	}
	f.text = rest
	stream, rest, found := bytes.Cut(rest, []byte(" "))
	if found && (string(stream) == "stdout" || string(stream) == "stderr") {
		if tag, text, found := bytes.Cut(rest, []byte(" ")); found && len(tag) > 0 && (tag[0] == 'F' || tag[0] == 'P') {
			f.stream, f.partial, f.text = stream, tag[0] == 'P', text
		}
	}
	return f
}

// beginsWithTime reports whether a line begins like 2026-11-24T08:00:00.
func beginsWithTime(line []byte) bool {
	const form = "0000-00-00T00:00:00"
	if len(line) < len(form) {
		return false
	}
	for i := range len(form) {
		digit := line[i] >= '0' && line[i] <= '9'
		if digit != (form[i] == '0') || !digit && line[i] != form[i] {
			return false
		}
	}
	return true
}
