// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"cmp"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	codeBlock = regexp.MustCompile("(?ms)^```.*?^```")
	codeSpan  = regexp.MustCompile("`[^`\n]*`")
	link      = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading   = regexp.MustCompile(`(?m)^#+ +(.*?) *$`)
	notInSlug = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// slugs are the anchors of a page's headings: in lower case, without punctuation, with hyphens for spaces.
func slugs(page string) []string {
	var all []string
	for _, h := range heading.FindAllStringSubmatch(codeBlock.ReplaceAllString(page, ""), -1) {
		all = append(all, strings.ReplaceAll(notInSlug.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-"))
	}
	return all
}

// TestPagesSayHowToGetTheCommandLine checks that pages whose commands use kubectl nrp link to the page about getting it. A link with this
// text is enough, because it leads to such a page.
func TestPagesSayHowToGetTheCommandLine(t *testing.T) {
	const get = "get-kubectl-nrp.md"
	named := regexp.MustCompile("\\[`kubectl nrp[^`\n]*`\\]\\([^)\\s]+\\)|^# kubectl nrp .*")
	pages := 0
	err := filepath.WalkDir("../../docs", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".md" || filepath.Base(path) == get {
			return err
		}
		page := string(read(t, path))
		if !strings.Contains(named.ReplaceAllString(page, ""), "kubectl nrp") {
			return nil
		}
		pages++
		if !strings.Contains(page, get+")") {
			t.Errorf("%s: uses kubectl nrp and does not link to docs/%s", path, get)
		}
		return nil
	})
	if err != nil || pages < 30 {
		t.Errorf("%d pages: %v", pages, err)
	}
}

// TestLinksLeadSomewhere follows the links of every page to files and headings of the repository.
func TestLinksLeadSomewhere(t *testing.T) {
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && (name == "bin" || name == "testdata" || len(name) > 2 && name[0] == '.'):
			return filepath.SkipDir
		case filepath.Ext(name) != ".md":
			return nil
		}
		page := codeSpan.ReplaceAllString(codeBlock.ReplaceAllString(string(read(t, path)), ""), "")
		for _, l := range link.FindAllStringSubmatch(page, -1) {
			if strings.Contains(l[1], ":") {
				continue // leads out of the repository
			}
			file, anchor, _ := strings.Cut(l[1], "#")
			target := filepath.Join(filepath.Dir(path), cmp.Or(file, filepath.Base(path)))
			if found, err := filepath.Glob(target); err != nil || len(found) == 0 {
				t.Errorf("%s: %s is not there", path, l[1])
			} else if anchor != "" && !slices.Contains(slugs(string(read(t, target))), anchor) {
				t.Errorf("%s: %s has no such heading", path, l[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestThreatModelNamesFilesThatExist checks the paths that the threat model names as its evidence.
func TestThreatModelNamesFilesThatExist(t *testing.T) {
	named := regexp.MustCompile("`((?:internal|policy|webhooks|charts|config|docs|e2e)/[^` ]+)`").
		FindAllStringSubmatch(string(read(t, "../../docs/threat-model.md")), -1)
	if len(named) < 10 {
		t.Fatalf("found %d paths", len(named))
	}
	for _, m := range named {
		if found, err := filepath.Glob(filepath.Join("../..", m[1])); err != nil || len(found) == 0 {
			t.Errorf("docs/threat-model.md: %s is not there", m[1])
		}
	}
}
