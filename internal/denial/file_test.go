// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denial

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func openFile(t *testing.T, o FileOptions) *File {
	t.Helper()
	f, err := OpenFile(o, prometheus.NewRegistry(), logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func fileLines(t *testing.T, path string) [][]byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSuffix(content, []byte("\n")), []byte("\n"))
}

func TestFileHasEveryRecordAfterClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "denials.log")
	f := openFile(t, FileOptions{Path: path, MaxSizeMiB: 1, MaxBackups: 1})
	const records = 200
	for i := range records {
		rec := denied("worker-1")
		rec.Seq = uint64(i + 1)
		f.Observe(&rec)
	}
	if err := f.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := fileLines(t, path)
	if len(got) != records {
		t.Fatalf("got %d lines, want %d", len(got), records)
	}
	for i, text := range got {
		var line struct {
			Seq        uint64
			Violations []struct{ Rule string }
		}
		if err := json.Unmarshal(text, &line); err != nil {
			t.Fatal(err)
		}
		if line.Seq != uint64(i+1) || len(line.Violations) != 1 {
			t.Errorf("line %d is %s", i, text)
		}
	}
	if got := testutil.ToFloat64(f.dropped); got != 0 {
		t.Errorf("dropped %v records", got)
	}
}

func TestFileIsContinuedByTheNextProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "denials.log")
	for range 2 {
		f := openFile(t, FileOptions{Path: path, MaxSizeMiB: 1, MaxBackups: 1})
		rec := denied("worker-1")
		f.Observe(&rec)
		if err := f.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(fileLines(t, path)); got != 2 {
		t.Errorf("got %d lines, want 2", got)
	}
}

func TestFileIsRotated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "denials.log")
	f := openFile(t, FileOptions{Path: path, MaxSizeMiB: 1, MaxBackups: 1})
	const records = 3000 // of more than 400 bytes: more than 1 MiB, less than 2
	for i := range records {
		rec := denied(fmt.Sprintf("worker-%d", i))
		f.Observe(&rec)
	}
	if err := f.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > 1<<20 {
			t.Errorf("%s has %d bytes", filepath.Base(name), info.Size())
		}
		lines += len(fileLines(t, name))
	}
	if len(files) != 2 || lines != records {
		t.Errorf("got %d files with %d lines, want 2 with %d", len(files), lines, records)
	}
}

func TestFileCountsWhatItCannotWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f := openFile(t, FileOptions{Path: filepath.Join(dir, "denials.log"), MaxSizeMiB: 1, MaxBackups: 1})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // a file instead of the directory
		t.Fatal(err)
	}
	rec := denied("worker-1")
	f.Observe(&rec)
	_ = f.Close(t.Context()) // whatever it says
	if got := testutil.ToFloat64(f.dropped); got != 1 {
		t.Errorf("dropped %v records, want 1", got)
	}
}

func TestOpenFileSaysWhyItCannot(t *testing.T) {
	_, err := OpenFile(FileOptions{Path: t.TempDir(), MaxSizeMiB: 1, MaxBackups: 1},
		prometheus.NewRegistry(), logr.Discard())
	if err == nil {
		t.Error("a directory was opened as a file")
	}
}
