// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"bytes"
	"flag"
	"go/scanner"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// cleanAreas are the parts of the repository that are checked by default.
const cleanAreas = "docs,config,chart,build,go"

var areas = flag.String("areas", cleanAreas, "parts of the repository to check: docs, config, chart, build, go")

// avoided maps words and phrases that must not come back to what to write instead. A space stands for any space, line break or
// comment sign between two words.
func avoided() map[string]string {
	return map[string]string{
		`but for`:                             "except",
		`of (which|whom)`:                     "a direct relative clause, or two sentences",
		`(is|are) none`:                       "there is no, no",
		`all the same`:                        "still",
		`looks?-ups?`:                         "lookup",
		`folders?`:                            "directory",
		`anew`:                                "again",
		`authorit(y|ies)`:                     "CA",
		`rights`:                              "permissions",
		`exchang(e|es|ed|ing)`:                "rotate, replace",
		`(un)?judg(e|es|ed|ing|e?ments?)`:     "evaluate",
		`unjudgeable`:                         "undecodable",
		`(by|with) intention`:                 "on purpose",
		`definition of (the )?polic(y|ies)`:   "CRD",
		`definition of NodeRestrictionPolicy`: "CRD",
		`(try|tries|tried) again`:             "retry",
		`go(es)? on`:                          "continue, persist",
		`(is|are|be|been) told`:               "name the subject: the message says",
		`what (came|becomes?) of`:             "the result of, what happens to",
		`whoever`:                             "anyone who",
		`nobody who`:                          "no",
		`everybody who`:                       "all clients that",
		`not concerned`:                       "not affected",
		`poses? as`:                           "impersonate",
		`for want of`:                         "because there is no",
		`sees? to it`:                         "make sure",
		`in no case`:                          "never",
		`by lot`:                              "at random",
		`too dear`:                            "too expensive",
		`at leisure`:                          "later",
		`some [0-9][0-9.,]*`:                  "about",
		`(is|are|was|were) taken for`:         "be considered",
		`taken over`:                          "compromised",
		`--reuse-values`:                      "--reset-then-reuse-values",
	}
}

// exception is a word that is right where it stands.
type exception struct{ file, text, why string }

func exceptions() []exception {
	return []exception{}
}

// area is a part of the repository.
type area struct {
	name  string
	holds func(path string) bool
	prose func(t *testing.T, src string) string // src with everything that is not prose replaced by spaces
}

func allAreas() []area {
	under := func(path string, dirs ...string) bool {
		return slices.ContainsFunc(dirs, func(dir string) bool { return strings.HasPrefix(path, dir+"/") })
	}
	whole := func(_ *testing.T, src string) string { return src }
	return []area{
		{"docs", func(path string) bool { return filepath.Ext(path) == ".md" }, markdownProse},
		{"config", func(path string) bool {
			// The CRD is generated from the comments in api, which are of the area go.
			return under(path, "config") && !under(path, "config/crd") && slices.Contains([]string{".yaml", ".json"}, filepath.Ext(path))
		}, whole},
		{"chart", func(path string) bool {
			// The files are copies from config.
			return under(path, "charts") && !under(path, "charts/node-restriction-plus/files") &&
				slices.Contains([]string{".yaml", ".tpl", ".txt", ".json"}, filepath.Ext(path))
		}, whole},
		{"build", func(path string) bool {
			return slices.Contains([]string{"Makefile", "Dockerfile", ".golangci.yml", ".ci/run"}, path) || under(path, ".github")
		}, whole},
		{"go", func(path string) bool { return filepath.Ext(path) == ".go" }, goProse},
	}
}

// TestStyle fails for words and phrases that must not come back: see Style in CONTRIBUTING.md.
func TestStyle(t *testing.T) {
	files := repository(t)
	used := map[exception]bool{}
	for _, a := range allAreas() {
		if !slices.Contains(strings.Split(*areas, ","), a.name) {
			continue
		}
		found := 0
		for _, path := range files {
			if !a.holds(path) {
				continue
			}
			found++
			prose := rightsCommand.ReplaceAllStringFunc(a.prose(t, string(read(t, filepath.Join("../..", path)))), blank)
			for _, hit := range findAvoided(prose) {
				i := slices.IndexFunc(exceptions(), func(e exception) bool { return e.file == path && strings.EqualFold(e.text, hit.text) })
				if i < 0 {
					t.Errorf("%s:%d: %q: write %s", path, hit.line, hit.text, hit.instead)
					continue
				}
				used[exceptions()[i]] = true
			}
		}
		if found == 0 {
			t.Errorf("area %s has no files", a.name)
		}
		for _, e := range exceptions() {
			if a.holds(e.file) && !used[e] {
				t.Errorf("the exception for %q in %s (%s) is not needed any more", e.text, e.file, e.why)
			}
		}
	}
}

// repository lists the files of the repository, without those that are generated, downloaded or test data.
func repository(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && (name == "bin" || name == "testdata" || len(name) > 2 && name[0] == '.' && name != ".ci" && name != ".github"):
			return filepath.SkipDir
		case entry.IsDir():
			return nil
		case path == filepath.Join("../..", "internal/docs/style_test.go"):
			return nil // names what it looks for
		}
		path, err = filepath.Rel("../..", path)
		files = append(files, filepath.ToSlash(path))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestNoFileHasConflictMarkers fails for what a merge leaves in a file when nobody resolves it.
func TestNoFileHasConflictMarkers(t *testing.T) {
	marker := regexp.MustCompile(`(?m)^(<<<<<<<|\|\|\|\|\|\|\||>>>>>>>)( .*)?$`)
	for _, path := range repository(t) {
		if found := marker.Find(read(t, filepath.Join("../..", path))); found != nil {
			t.Errorf("%s: has the conflict marker %q", path, found)
		}
	}
}

// rightsCommand is the name of the command rights, and of what is named after it.
var rightsCommand = regexp.MustCompile(`(?i)\b(nrp|command|package|attack and|attack or|doctor and|doctor or|internal|e2e)[\s/-]rights\b|\[rights\b|\brights \{`)

type hit struct {
	line          int
	text, instead string
}

func findAvoided(prose string) []hit {
	phrases := slices.Collect(maps.Keys(avoided()))
	all := wordPattern(strings.Join(phrases, "|"))
	var hits []hit
	for from := 0; ; {
		at := all.FindStringSubmatchIndex(prose[from:])
		if at == nil {
			return hits
		}
		start, end := from+at[4], from+at[5]
		text := strings.Join(strings.FieldsFunc(prose[start:end], betweenWords), " ")
		for _, phrase := range phrases {
			if wordPattern(phrase).MatchString(text) {
				hits = append(hits, hit{1 + strings.Count(prose[:start], "\n"), text, avoided()[phrase]})
				break
			}
		}
		from = end
	}
}

func wordPattern(phrase string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)(^|[^\w-])(` + strings.ReplaceAll(phrase, " ", `[\s#/*]+`) + `)($|[^\w-])`)
}

func betweenWords(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("#/*", r) }

// blank replaces all but line breaks by spaces, byte by byte.
func blank(s string) string {
	b := bytes.Repeat([]byte(" "), len(s))
	for i := range len(s) {
		if s[i] == '\n' {
			b[i] = '\n'
		}
	}
	return string(b)
}

var (
	// generated are pages, and parts of pages, that are made from code, whose area is go; and the examples in CONTRIBUTING.md.
	generatedPage = regexp.MustCompile(`\A<!-- Generated `)
	generatedPart = regexp.MustCompile(`(?s)<!-- begin: written by.*?<!-- end: written by[^\n]*|` +
		`<!-- Made of values\.yaml.*?<!-- End of what is made of values\.yaml\. -->|<!-- style: off -->.*?<!-- style: on -->`)
	commands  = regexp.MustCompile("(?ms)^ *```(?:sh|console)\n.*?^ *```")
	inCommand = regexp.MustCompile(`(?m)^[^#\n]+|#[^\n]*`)
)

// markdownProse leaves the text of a page: no generated parts, code or targets of links. Comments in shell code are prose.
func markdownProse(_ *testing.T, src string) string {
	if generatedPage.MatchString(src) {
		return blank(src)
	}
	src = generatedPart.ReplaceAllStringFunc(src, blank)
	src = commands.ReplaceAllStringFunc(src, func(block string) string {
		block = inCommand.ReplaceAllStringFunc(block, func(s string) string {
			if s[0] == '#' {
				return s
			}
			return blank(s)
		})
		return strings.ReplaceAll(block, "```", "   ")
	})
	src = codeBlock.ReplaceAllStringFunc(src, blank)
	src = codeSpan.ReplaceAllStringFunc(src, blank)
	return link.ReplaceAllStringFunc(src, blank)
}

// goProse leaves comments and the contents of string literals. Concatenated literals become one text.
func goProse(t *testing.T, src string) string {
	t.Helper()
	if strings.HasPrefix(src, "// Code generated ") || strings.Contains(src, "\n// Code generated ") {
		return blank(src)
	}
	prose := []byte(blank(src))
	files := token.NewFileSet()
	file := files.AddFile("", files.Base(), len(src))
	noSyntax := strings.NewReplacer(`"`, " ", "`", " ", `\n`, "  ", `\t`, "  ")
	var s scanner.Scanner
	s.Init(file, []byte(src), func(pos token.Position, msg string) { t.Errorf("%v: %s", pos, msg) }, scanner.ScanComments)
	for {
		pos, kind, text := s.Scan()
		if kind == token.EOF {
			return string(prose)
		}
		if kind == token.COMMENT || kind == token.STRING && text != `"rights"` {
			copy(prose[file.Offset(pos):], noSyntax.Replace(text))
		}
	}
}

// TestFindAvoided shows what counts as a word.
func TestFindAvoided(t *testing.T) {
	for text, want := range map[string]int{
		"all but for one":                         1,
		"# all but\n# for one":                    1,
		"// all but\n\t// for one":                1,
		"an authority":                            1,
		"the key other-authority":                 0,
		"Whoever is told that, goes on":           3,
		"everything else that is not concerned":   1,
		"--reset-then-reuse-values":               0,
		"helm upgrade --reuse-values":             1,
		"a folder, a look-up and some 5 bytes":    3,
		"a directory, a lookup and about 5 bytes": 0,
	} {
		if got := findAvoided(text); len(got) != want {
			t.Errorf("%q: %v, want %d", text, got, want)
		}
	}
}

// TestProse shows what of a file is prose.
func TestProse(t *testing.T) {
	page := "A word, `a code span` and [a link](folder/page.md).\n```sh\nfolder # a comment\n```\n<!-- style: off -->x<!-- style: on -->\n"
	if got, want := strings.Join(strings.Fields(markdownProse(t, page)), " "), "A word, and [a link . # a comment"; got != want {
		t.Errorf("of a page: %q, want %q", got, want)
	}
	code := "package a // a comment\n\nvar b = \"one – \" +\n\t`two`\n"
	if got, want := strings.Join(strings.Fields(goProse(t, code)), " "), "// a comment one – two"; got != want {
		t.Errorf("of Go: %q, want %q", got, want)
	}
}

// TestCommandsAreComplete checks that commands on pages can be run once their placeholders are filled in: nothing is left out.
func TestCommandsAreComplete(t *testing.T) {
	command := regexp.MustCompile("`(kubectl|helm|node-restriction-plus|denials|go|make|flux|argocd|cmctl) [^`\n]*`")
	for _, path := range repository(t) {
		if filepath.Ext(path) != ".md" {
			continue
		}
		src := string(read(t, filepath.Join("../..", path)))
		if generatedPage.MatchString(src) {
			continue
		}
		src = generatedPart.ReplaceAllStringFunc(src, blank)
		blocks := commands.FindAllString(src, -1)
		for _, text := range append(blocks, command.FindAllString(commands.ReplaceAllString(src, ""), -1)...) {
			for _, bad := range []string{"…", " --reuse-values"} {
				if strings.Contains(text, bad) {
					t.Errorf("%s: %q in %s", path, bad, text)
				}
			}
		}
	}
}

// TestQuestionsAreQuestions checks the headings of the FAQ.
func TestQuestionsAreQuestions(t *testing.T) {
	for _, h := range heading.FindAllStringSubmatch(string(read(t, "../../docs/faq.md")), -1)[1:] {
		if !strings.HasSuffix(h[1], "?") {
			t.Errorf("%q is not a question", h[1])
		}
	}
}
