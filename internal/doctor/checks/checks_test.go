// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"noderestriction.plus/internal/text"
)

// verdictOf returns the verdict that a fixture of a check wants, by the name of its file.
func verdictOf(t *testing.T, c *Check, file string) Verdict {
	t.Helper()
	name := strings.TrimSuffix(filepath.Base(file), ".yaml")
	switch {
	case strings.HasPrefix(name, "bad"):
		return c.Worst
	case strings.HasPrefix(name, "weak"):
		return Weak
	case strings.HasPrefix(name, "good"):
		return OK
	case strings.HasPrefix(name, "cannot-tell"):
		return CannotTell
	}
	t.Fatalf("%s: begin its name with bad, weak, good or cannot-tell", file)
	return ""
}

// TestChecks runs each check on a cluster where it is bad, on one where it is ok, and on one where it cannot tell.
func TestChecks(t *testing.T) {
	for _, c := range All() {
		for _, name := range []string{"bad", "good", "cannot-tell"} {
			if path := filepath.Join("testdata", c.ID, name+".yaml"); !exists(path) {
				t.Errorf("%s: write %s", c.ID, path)
			}
		}
		files, err := filepath.Glob(filepath.Join("testdata", c.ID, "*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			t.Run(c.ID+"/"+filepath.Base(file), func(t *testing.T) { testFixture(t, &c, file) })
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func testFixture(t *testing.T, c *Check, file string) {
	x := &fixture{}
	readYAML(t, file, x)
	if x.About == "" {
		t.Error("say what the cluster is about")
	}
	f := c.Run(x.snapshot(t))
	if want := verdictOf(t, c, file); f.Verdict != want {
		t.Fatalf("%s: verdict %q, want %q: %+v %+v", x.About, f.Verdict, want, f.Evidence, f.Missing)
	}
	if says := fmt.Sprintf("%+v %+v %+v", f.Evidence, f.Missing, f.Notes); !strings.Contains(says, x.Says) {
		t.Errorf("%s: it does not say %q: %s", x.About, x.Says, says)
	}
	if f.Verdict != OK && x.Says == "" {
		t.Error("say a part of what the check must say")
	}
	for _, e := range f.Evidence {
		if e.Object == "" || e.Says == "" || e.Fix == (Fix{}) {
			t.Errorf("evidence without an object, a sentence or a fix: %+v", e)
		}
	}
	for _, m := range f.Missing {
		if m.Permission != "" && m.Command == "" {
			t.Errorf("no command grants the permission to %s", m.Permission)
		}
	}
}

// TestStock tests that a cluster as kubeadm sets it up, with the product, has nothing bad, and only what is known to be weak.
func TestStock(t *testing.T) {
	s := (&fixture{}).snapshot(t)
	var weak, unknown []string
	for _, c := range All() {
		switch f := c.Run(s); f.Verdict {
		case Bad:
			t.Errorf("%s is bad: %+v", c.ID, f.Evidence)
		case Weak:
			weak = append(weak, c.ID)
		case CannotTell:
			unknown = append(unknown, c.ID)
		case OK:
		}
	}
	if want := []string{"mint-node", "kubelet-config"}; !slices.Equal(weak, want) {
		t.Errorf("weak: %q, want %q", weak, want)
	}
	if want := []string{"kubelet-live"}; !slices.Equal(unknown, want) {
		t.Errorf("cannot tell: %q, want %q", unknown, want)
	}
}

// TestDocuments tests that each check is documented as all others.
func TestDocuments(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range All() {
		if !regexp.MustCompile(`^[a-z][a-z-]+[a-z]$`).MatchString(c.ID) || seen[c.ID] {
			t.Errorf("%q is no ID, or another check has it", c.ID)
		}
		seen[c.ID] = true
		if !strings.HasSuffix(c.Asks, "?") || c.Gain == "" || strings.HasSuffix(c.Gain, ".") || !strings.HasSuffix(c.How, ".") {
			t.Errorf("%s: Asks is a question, Gain has no period, How ends in one: %+v", c.ID, c)
		}
		if len(c.Needs) == 0 {
			t.Errorf("%s: it needs no permission", c.ID)
		}
		for i := range c.Needs {
			if text.Printable(c.Needs[i].String()) != c.Needs[i].String() {
				t.Errorf("%s: %q", c.ID, c.Needs[i].String())
			}
		}
	}
}
