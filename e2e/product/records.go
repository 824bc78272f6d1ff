// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package product

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"sync"

	"noderestriction.plus/internal/record"
)

// Records are what the product has written to standard output, which goes to a file. A record is in the file before the
// answer that it is about is sent.
type Records struct {
	path string

	mu     sync.Mutex
	offset int64
	lines  []Line
	strays []string
}

// NewRecords reads the records in a file, which need not be there yet.
func NewRecords(path string) *Records { return &Records{path: path} }

// Path returns the path of the file.
func (r *Records) Path() string { return r.path }

// Line is one record as it was written. The violations of a brief one have policy and rule only.
type Line struct {
	record.Record
	Text string
}

// Len is the number of records so far.
func (r *Records) Len() (int, error) {
	lines, err := r.Since(0)
	return len(lines), err
}

// Since are the records after the first n.
func (r *Records) Since(n int) ([]Line, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.read()
	return r.lines[n:len(r.lines):len(r.lines)], err
}

// Strays are the lines that are no records.
func (r *Records) Strays() ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.read()
	return r.strays[:len(r.strays):len(r.strays)], err
}

// read reads the lines that are new.
func (r *Records) read() error {
	f, err := os.Open(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	data := make([]byte, info.Size()-r.offset)
	n, err := f.ReadAt(data, r.offset)
	if err != nil {
		return err
	}
	for line := range bytes.Lines(data[:n]) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		r.offset += int64(len(line))
		r.add(bytes.TrimSuffix(line, []byte("\n")))
	}
	return nil
}

func (r *Records) add(line []byte) {
	l := Line{Text: string(line)}
	var brief struct {
		Rules []string `json:"rules"`
	}
	err := errors.Join(json.Unmarshal(line, &l.Record), json.Unmarshal(line, &brief))
	if err != nil || l.Logger != record.Logger {
		r.strays = append(r.strays, l.Text)
		return
	}
	if brief.Rules != nil {
		l.Violations = record.ViolationsOf(brief.Rules)
	}
	r.lines = append(r.lines, l)
}
