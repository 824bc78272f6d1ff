// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Notices prints the licences of the modules that are linked into programs, with their texts. It fails for a licence that the
// project does not accept, and for a module without one.
//
//	notices -platforms linux/amd64,linux/arm64 .
//
// It names no versions, so that an update changes its output only if a module or a licence changes.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// accepted returns the licences, by their SPDX identifiers, under which code may be linked into the programs.
func accepted() []string {
	return []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT"}
}

// covered is how much of a text, in percent, known licences must account for. The rest names copyright holders and sources.
const covered = 70

// standardLibrary is the name that the notices give to the packages of Go itself.
const standardLibrary = "the Go standard library"

// goPackage is what go list says of a package.
type goPackage struct {
	Dir      string
	Standard bool
	Module   *struct {
		Path, Dir string
		Main      bool
	}
}

// notice is a file with a licence, or with a notice that its licence wants passed on.
type notice struct {
	module, file string
	licences     []string
	text         string
}

func main() {
	platforms := flag.String("platforms", runtime.GOOS+"/"+runtime.GOARCH, "`list` of GOOS/GOARCH that the programs are built for")
	dir := flag.String("C", ".", "`directory` of the module with the programs")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, *dir, strings.Split(*platforms, ","), flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "notices:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, dir string, platforms, programs []string) error {
	linked, err := linkedDirectories(ctx, dir, platforms, programs)
	if err != nil {
		return err
	}
	var notices []notice
	for module, directories := range linked {
		found, err := read(module, directories)
		if err != nil {
			return fmt.Errorf("%s: %w", module, err)
		}
		notices = append(notices, found...)
	}
	_, err = io.WriteString(w, render(notices))
	return err
}

// linkedDirectories returns, for each module, the directories whose licences apply to packages that are linked: those of the
// packages, and those above them up to the root of the module.
func linkedDirectories(ctx context.Context, dir string, platforms, programs []string) (map[string][]string, error) {
	linked := map[string][]string{}
	for _, platform := range platforms {
		goos, goarch, ok := strings.Cut(platform, "/")
		if !ok {
			return nil, fmt.Errorf("platform %q must be GOOS/GOARCH", platform)
		}
		packages, err := list(ctx, dir, goos, goarch, programs)
		if err != nil {
			return nil, err
		}
		for _, p := range packages {
			switch {
			case p.Standard:
				linked[standardLibrary] = []string{runtimeRoot(p.Dir)}
			case p.Module == nil:
				return nil, fmt.Errorf("%s belongs to no module", p.Dir)
			case !p.Module.Main:
				linked[p.Module.Path] = addUpTo(linked[p.Module.Path], p.Dir, p.Module.Dir)
			}
		}
	}
	return linked, nil
}

// runtimeRoot returns the directory of Go itself, which is above the src directory of its packages.
func runtimeRoot(dir string) string {
	root, _, _ := strings.Cut(filepath.ToSlash(dir), "/src/")
	return filepath.FromSlash(root)
}

func addUpTo(directories []string, dir, root string) []string {
	for {
		if !slices.Contains(directories, dir) {
			directories = append(directories, dir)
		}
		if dir == root || len(dir) <= len(root) {
			return directories
		}
		dir = filepath.Dir(dir)
	}
}

func list(ctx context.Context, dir, goos, goarch string, programs []string) ([]goPackage, error) {
	command := exec.CommandContext(ctx, "go", append([]string{"list", "-deps", "-json=Dir,Standard,Module", "--"}, programs...)...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return nil, err
	}
	var packages []goPackage
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
}

// read returns the notices in directories of a module. At least one must be a licence.
func read(module string, directories []string) ([]notice, error) {
	file := regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice)([-.].*)?$`)
	root := slices.MinFunc(directories, func(a, b string) int { return len(a) - len(b) })
	var notices []notice
	licensed := false
	for _, directory := range directories {
		entries, err := os.ReadDir(directory)
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			if entry.IsDir() || !file.MatchString(entry.Name()) || strings.HasSuffix(entry.Name(), ".go") {
				continue
			}
			text, err := os.ReadFile(filepath.Join(directory, entry.Name()))
			if err != nil {
				return nil, err
			}
			relative, err := filepath.Rel(root, filepath.Join(directory, entry.Name()))
			if err != nil {
				return nil, err
			}
			n := notice{module: module, file: filepath.ToSlash(relative), text: tidy(text)}
			if !strings.EqualFold(path.Base(n.file)[:6], "notice") {
				licensed = true
				if n.licences, err = classify(text); err != nil {
					return nil, fmt.Errorf("%s: %w", n.file, err)
				}
			}
			notices = append(notices, n)
		}
	}
	if !licensed {
		return nil, errors.New("it has no licence")
	}
	return notices, nil
}

// classify returns the licences of a text. It fails for one that is unknown or not accepted.
func classify(text []byte) ([]string, error) {
	coverage := licensecheck.Scan(text)
	if coverage.Percent < covered {
		return nil, fmt.Errorf("no known licence accounts for %d%% of the text, only for %.0f%%", covered, coverage.Percent)
	}
	var licences []string
	for _, match := range coverage.Match {
		if !slices.Contains(accepted(), match.ID) {
			return nil, fmt.Errorf("%s is not accepted", match.ID)
		}
		licences = append(licences, match.ID)
	}
	slices.Sort(licences)
	return slices.Compact(licences), nil
}

// tidy returns a text without what differs between files that say the same: line ends, and space around lines and the text.
func tidy(text []byte) string {
	lines := strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " \t")
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n") + "\n"
}
