// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package promote

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/stockwrites"
	"noderestriction.plus/policy"
)

// question is what the gates are asked about.
type question struct {
	policy     *policy.Policy
	generation int64 // of the object
	status     *v1alpha1.NodeRestrictionPolicyStatus
	now        time.Time
	window     time.Duration
	// accepted are the kinds of writes that need not have been evaluated.
	accepted []string
	evidence []evidence
}

// begin is when the window begins.
func (q *question) begin() time.Time { return q.now.Add(-q.window) }

// evidence is what one kind of input shows, in addition to the status.
type evidence interface {
	// wouldDeny returns a sentence for each rule by which the policy would have denied a write in the window, and one if the evidence may
	// have more of them.
	wouldDeny() []string
	// exercised returns the kinds of writes that the evidence shows to have violated nothing in the window.
	exercised() map[stockwrites.Write]bool
	// gaps returns a sentence for everything that is missing in the window.
	gaps() []string
	// counts returns how much was read, by name.
	counts() map[string]uint64
}

// digest is the SHA-256 of something that was read.
type digest struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

// digests opens files, and takes the digest of each when it is closed.
type digests struct {
	inputs *command.Inputs
	all    []digest
	has    map[string]bool // names whose digest was taken: an audit log is opened twice
}

// Open opens a file of the command. Errors name it.
func (d *digests) Open(name string) (io.ReadCloser, error) {
	f, err := d.inputs.Open(name)
	if err != nil || d.has[name] {
		return f, err
	}
	sum := sha256.New()
	return &digested{Reader: io.TeeReader(f, sum), close: func(rest io.Reader) error {
		_, err := io.Copy(io.Discard, rest)
		title := command.Title(name)
		if name != command.StandardInput {
			title = filepath.Base(name)
		}
		if d.has == nil {
			d.has = map[string]bool{}
		}
		d.has[name] = true
		d.all = append(d.all, digest{Name: title, SHA256: hex.EncodeToString(sum.Sum(nil))})
		if closed := f.Close(); err == nil {
			err = closed
		}
		return err
	}}, nil
}

// digested is a file whose rest is read when it is closed.
type digested struct {
	io.Reader
	close func(rest io.Reader) error
}

func (d *digested) Close() error { return d.close(d.Reader) }

// maxNames is how many names a sentence lists.
const maxNames = 5

// names are some of many names, in the order in which they were added.
type names struct {
	all  []string
	more bool
}

func (n *names) add(name string) {
	switch {
	case slices.Contains(n.all, name):
	case len(n.all) == maxNames:
		n.more = true
	default:
		n.all = append(n.all, name)
	}
}

func (n *names) String() string {
	list := ""
	for i, name := range n.all {
		if i > 0 {
			list += ", "
		}
		list += name
	}
	if n.more {
		list += " and others"
	}
	return list
}

// ago says how long ago something was, as kubectl does.
func ago(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	case d >= 2*time.Minute:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	}
	return fmt.Sprintf("%ds", int(d.Seconds()))
}

// stamp is a time as a sentence has it.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
