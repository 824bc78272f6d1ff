// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/record"
)

// collector reads the logs of the product's containers where the kubelets keep them, as an agent for logs does: it follows each file
// when it is rotated, and reads what is left of one when the kubelet has deleted it with its pod.
type collector struct {
	dir   string // of its copies, one for each file
	globs []string

	mu    sync.Mutex
	files map[uint64]*followed // by inode, which is not used again as long as the file is open
	errs  []error
}

// followed is a file that is read, and its copy.
type followed struct {
	source, copy *os.File
}

// collect starts a collector, which ends with the test.
func (s *setup) collect(t *testing.T, dir string) *collector {
	t.Helper()
	suite.Check(t, os.MkdirAll(dir, 0o755))
	c := &collector{dir: dir, files: map[uint64]*followed{}}
	for _, n := range s.nodes {
		c.globs = append(c.globs, filepath.Join(n.PodLogs(), namespace+"_*", "node-restriction-plus", "*.log"))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		for tick := time.NewTicker(50 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			c.read()
		}
	})
	t.Cleanup(func() {
		cancel()
		group.Wait()
	})
	return c
}

// read opens files that are new, and copies what is new in each file.
func (c *collector) read() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, glob := range c.globs {
		paths, err := filepath.Glob(glob)
		c.fail(err)
		for _, path := range paths {
			c.fail(c.follow(path))
		}
	}
	for _, f := range c.files {
		_, err := io.Copy(f.copy, f.source)
		c.fail(err)
	}
}

func (c *collector) fail(err error) {
	if err != nil && !errors.Is(err, os.ErrNotExist) { // it was deleted in the meantime
		c.errs = append(c.errs, err)
	}
}

func (c *collector) follow(path string) error {
	source, err := os.Open(path)
	if err != nil {
		return err
	}
	info, err := source.Stat()
	if err != nil {
		return errors.Join(err, source.Close())
	}
	inode := info.Sys().(*syscall.Stat_t).Ino
	if c.files[inode] != nil {
		return source.Close()
	}
	parts := strings.Split(path, string(filepath.Separator))
	pod, attempt := parts[len(parts)-3], parts[len(parts)-1]
	output, err := os.Create(filepath.Join(c.dir, fmt.Sprintf("%s_%s_%d", pod, attempt, inode)))
	if err != nil {
		return errors.Join(err, source.Close())
	}
	c.files[inode] = &followed{source, output}
	return nil
}

// paths are those of the copies.
func (c *collector) paths(t *testing.T) []string {
	t.Helper()
	c.read()
	c.mu.Lock()
	defer c.mu.Unlock()
	suite.Check(t, errors.Join(c.errs...))
	var paths []string
	for _, f := range c.files {
		paths = append(paths, f.copy.Name())
	}
	return paths
}

// records are those that were read so far.
func (c *collector) records(t *testing.T) []record.Record {
	t.Helper()
	return readRecords(t, c.paths(t))
}

// readRecords reads records in files as containerd writes them.
func readRecords(t *testing.T, paths []string) []record.Record {
	t.Helper()
	var all []record.Record
	for _, path := range paths {
		data, err := os.ReadFile(path)
		suite.Check(t, err)
		for line := range bytes.Lines(data) {
			_, text, found := bytes.Cut(line, []byte(" stdout F "))
			if !found {
				continue
			}
			var r record.Record
			if err := json.Unmarshal(text, &r); err == nil && r.Logger == record.Logger {
				all = append(all, r)
			}
		}
	}
	return all
}
