// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"crypto/rand"
	"fmt"
	"os"
	"time"

	"github.com/go-json-experiment/json"

	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/internal/review"
)

// records writes to a file what the webhook would have logged: one line for each write that violates a policy,
// numbered from 1. Each is written in full. The webhook shortens those that repeat within a minute, but here time
// means nothing.
type records struct {
	file    *os.File
	version string
	boot    string
	seq     uint64
}

// createRecords creates the file, or empties it.
func createRecords(name string) (*records, error) {
	file, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	return &records{file: file, version: program.Version(), boot: rand.Text()[:16]}, nil
}

// write writes the record of a verdict, if it has one.
func (w *records) write(r *review.Review, verdict review.Verdict) (review.Receipt, error) {
	if len(verdict.Violations) == 0 {
		return review.Receipt{}, nil
	}
	w.seq++
	rec := record.New(record.Origin{
		UID: string(r.UID), User: r.User.Username, ClientAuth: record.ClientAuthNone, Version: w.version,
		Probe: r.Probe(),
	}, &r.Request, verdict.Decision)
	rec.Time, rec.Boot, rec.Seq = record.Time(time.Now()), w.boot, w.seq
	line, err := json.Marshal(rec)
	if err != nil {
		return review.Receipt{}, fmt.Errorf("record of %q: %w", rec.UID, err)
	}
	if _, err := w.file.Write(append(line, '\n')); err != nil {
		return review.Receipt{}, err
	}
	return review.Receipt{Boot: w.boot, Seq: w.seq}, nil
}

func (w *records) close() error { return w.file.Close() }
