// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"noderestriction.plus/internal/fixture"
	"noderestriction.plus/policy/rules"
)

// maxTwinLines is how many lines may differ between a denied write and an allowed one that shows why it is denied.
const maxTwinLines = 2

// TestEveryDenialHasATwin checks that a write that is nearly equal to a denied one is allowed, or that the fixture says why it has no twin.
// Without a twin, a write may be denied for any reason.
func TestEveryDenialHasATwin(t *testing.T) {
	directories, err := filepath.Glob("testdata/*/deny")
	if err != nil || len(directories) == 0 {
		t.Fatal(directories, err)
	}
	for _, directory := range directories {
		allowed := readMarked(t, filepath.Join(filepath.Dir(directory), "allow"))
		for path, denied := range readMarked(t, directory) {
			nearest, lines := "no fixture", maxTwinLines+1
			for name, twin := range allowed {
				if n := differentLines(denied.lines, twin.lines); nearest == "no fixture" || n < lines {
					nearest, lines = name, n
				}
			}
			switch reason := denied.NoTwin; {
			case lines > maxTwinLines && reason == "":
				t.Errorf("%s: needs an allowed twin in which at most %d lines differ, or a line \"No twin: \" with the reason; "+
					"nearest is %s with %d lines", path, maxTwinLines, nearest, lines)
			case lines <= maxTwinLines && reason != "":
				t.Errorf("%s: has the twin %s; remove the line \"No twin: %s\"", path, nearest, reason)
			}
		}
	}
}

// TestEveryRuleHasOneExample checks that one denial of each rule is marked as its example.
func TestEveryRuleHasOneExample(t *testing.T) {
	for _, rule := range rules.All() {
		var marked []string
		for path, f := range readMarked(t, filepath.Join("testdata", string(rule.ID), "deny")) {
			if f.Example {
				marked = append(marked, path)
			}
		}
		if slices.Sort(marked); len(marked) != 1 {
			t.Errorf("rule %s: one deny fixture must have the line \"Example of its rule.\", not %d %q", rule.ID, len(marked), marked)
		}
	}
	paths, err := filepath.Glob("testdata/*/allow/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		if f := readMarkedFile(t, path); f.Example || f.NoTwin != "" {
			t.Errorf("%s: only denials have marks", path)
		}
	}
}

type markedFixture struct {
	*fixture.Fixture
	lines []string // of all its files except want, each behind the name of its file
}

func readMarked(t *testing.T, directory string) map[string]markedFixture {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(directory, "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]markedFixture{}
	for _, path := range paths {
		all[path] = readMarkedFile(t, path)
	}
	return all
}

func readMarkedFile(t *testing.T, path string) markedFixture {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := fixture.Parse(data)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var lines []string
	for _, file := range txtar.Parse(data).Files {
		if file.Name == "want" {
			continue
		}
		for line := range strings.Lines(string(file.Data)) {
			lines = append(lines, fmt.Sprintf("%s: %s", file.Name, strings.TrimSpace(line)))
		}
	}
	return markedFixture{f, lines}
}

// differentLines is the least number of lines to insert, remove or replace to make one text the other.
func differentLines(a, b []string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i, line := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j, other := range b {
			replaced := diagonal
			if line != other {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

func TestDifferentLines(t *testing.T) {
	for _, test := range []struct {
		name, a, b string
		want       int
	}{
		{"equal texts do not differ", "a b c", "a b c", 0},
		{"a replaced line counts once", "a b c", "a x c", 1},
		{"a removed line counts once", "a b c", "a c", 1},
		{"inserted lines count each", "a c", "a b b c", 2},
		{"lines that move count twice", "a b c", "c a b", 2},
		{"nothing is as far as the other is long", "", "a b c", 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := differentLines(strings.Fields(test.a), strings.Fields(test.b)); got != test.want {
				t.Errorf("%d lines, want %d", got, test.want)
			}
		})
	}
}
