// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package architecture_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// dependabotUpdate is an entry of .github/dependabot.yml.
type dependabotUpdate struct {
	Ecosystem   string          `json:"package-ecosystem"`
	Directories []string        `json:"directories"`
	Allow       []allowedUpdate `json:"allow"`
}

type allowedUpdate struct {
	Name string `json:"dependency-name"`
}

// goMod is what go mod edit says of a go.mod file.
type goMod struct {
	Require []struct {
		Path     string
		Indirect bool
	}
	Tool []struct{ Path string }
}

func TestEveryModuleIsKeptCurrent(t *testing.T) {
	t.Chdir(root)
	var config struct {
		Updates []dependabotUpdate `json:"updates"`
	}
	readYAML(t, ".github/dependabot.yml", &config)
	listed := map[string]dependabotUpdate{}
	for _, update := range config.Updates {
		if update.Ecosystem != "gomod" {
			continue
		}
		for _, directory := range update.Directories {
			if _, twice := listed[directory]; twice {
				t.Errorf(".github/dependabot.yml: %s has two entries", directory)
			}
			listed[directory] = update
		}
	}
	for _, path := range find(t, regexp.MustCompile(`(^|/)go\.mod$`)) {
		directory := filepath.ToSlash(filepath.Join("/", filepath.Dir(path)))
		update, found := listed[directory]
		if !found {
			t.Errorf("%s: add %s to .github/dependabot.yml", path, directory)
			continue
		}
		delete(listed, directory)
		for _, tool := range indirectTools(t, path) {
			if !slices.Contains(update.Allow, allowedUpdate{tool}) {
				t.Errorf("%s: allow %s for %s in .github/dependabot.yml, or it is never updated", path, tool, directory)
			}
		}
	}
	for directory := range listed {
		t.Errorf(".github/dependabot.yml: %s has no go.mod", directory)
	}
}

// indirectTools returns the modules that a go.mod file needs for its tools and marks as indirect.
func indirectTools(t *testing.T, path string) []string {
	t.Helper()
	out, err := exec.Command("go", "mod", "edit", "-json", path).Output()
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var mod goMod
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var modules []string
	for _, tool := range mod.Tool {
		for _, r := range mod.Require {
			if r.Indirect && (tool.Path == r.Path || strings.HasPrefix(tool.Path, r.Path+"/")) {
				modules = append(modules, r.Path)
			}
		}
	}
	return modules
}

// TestWorkflows checks what actionlint does not.
func TestWorkflows(t *testing.T) {
	t.Chdir(root)
	type step struct {
		Uses string         `json:"uses"`
		With map[string]any `json:"with"`
	}
	for _, path := range find(t, regexp.MustCompile(`^\.github/(workflows|actions)/.*\.ya?ml$`)) {
		var workflow struct {
			Permissions any            `json:"permissions"`
			Concurrency map[string]any `json:"concurrency"`
			Jobs        map[string]struct {
				Timeout int    `json:"timeout-minutes"`
				Steps   []step `json:"steps"`
			} `json:"jobs"`
			Runs struct {
				Steps []step `json:"steps"`
			} `json:"runs"`
		}
		readYAML(t, path, &workflow)
		steps := workflow.Runs.Steps
		if strings.HasPrefix(path, ".github/workflows/") {
			if p, ok := workflow.Permissions.(map[string]any); !ok || len(p) != 1 || p["contents"] != "read" {
				t.Errorf("%s: permissions: must be contents: read; give a job what it needs beyond", path)
			}
			if workflow.Concurrency["group"] == nil {
				t.Errorf("%s: concurrency: must have a group", path)
			}
		}
		for name, job := range workflow.Jobs {
			if job.Timeout == 0 {
				t.Errorf("%s: %s: needs timeout-minutes", path, name)
			}
			steps = append(steps, job.Steps...)
		}
		for _, s := range steps {
			if strings.HasPrefix(s.Uses, "actions/checkout@") && s.With["persist-credentials"] != false {
				t.Errorf("%s: actions/checkout needs persist-credentials: false", path)
			}
		}
		checkPins(t, path)
	}
}

// checkPins fails for an action that is not pinned by a commit, with the version in a comment that Dependabot keeps current.
func checkPins(t *testing.T, path string) {
	t.Helper()
	uses, pinned := regexp.MustCompile(`\buses: *(.*)`), regexp.MustCompile(`^[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	for _, match := range uses.FindAllStringSubmatch(string(readFile(t, path)), -1) {
		if action := match[1]; !strings.HasPrefix(action, "./") && !pinned.MatchString(action) {
			t.Errorf("%s: pin %s by the hash of a commit, with the version in a comment", path, action)
		}
	}
}

// TestTargetsArePhony finds targets of the Makefile that a file of the same name would switch off.
func TestTargetsArePhony(t *testing.T) {
	t.Chdir(root)
	makefile := strings.ReplaceAll(string(readFile(t, "Makefile")), "\\\n", "")
	list := regexp.MustCompile(`(?m)^\.PHONY: (.*)`).FindStringSubmatch(makefile)
	if list == nil {
		t.Fatal("the Makefile has no .PHONY")
	}
	phony := strings.Fields(list[1])
	var targets []string
	for _, match := range regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):( |$)`).FindAllStringSubmatch(makefile, -1) {
		targets = append(targets, match[1])
		if !slices.Contains(phony, match[1]) {
			t.Errorf("add %s to .PHONY in the Makefile", match[1])
		}
	}
	for _, name := range phony {
		if !slices.Contains(targets, name) {
			t.Errorf("the Makefile has no target %s, which is in .PHONY", name)
		}
	}
}

// TestLicenceHeaders wants the header in front of the package clause, behind which it would be no header, and behind the build
// constraint where a generator writes that first.
func TestLicenceHeaders(t *testing.T) {
	t.Chdir(root)
	header := string(readFile(t, "tools/header.txt"))
	for _, path := range find(t, regexp.MustCompile(`\.go$`)) {
		before, _, _ := strings.Cut("\n"+string(readFile(t, path)), "\npackage ")
		if !strings.Contains(before+"\n", "\n"+header+"\n") {
			t.Errorf("%s: has no licence header, or no empty line after it; run make headers", path)
		}
	}
}

// find returns the files of the repository whose path matches, without those that were built.
func find(t *testing.T, pattern *regexp.Regexp) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && slices.Contains([]string{".git", "bin", "testdata"}, entry.Name()) {
			return filepath.SkipDir
		}
		if path = filepath.ToSlash(path); err == nil && !entry.IsDir() && pattern.MatchString(path) {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatalf("no file matches %s", pattern)
	}
	return paths
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	if err := yaml.Unmarshal(readFile(t, path), into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
