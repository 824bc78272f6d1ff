// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package architecture_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestFilesNameEachOtherInOneDirection follows the flags: from the command to options and to the program, and from there to
// the parts. A part that names what configures it could not be read without it.
func TestFilesNameEachOtherInOneDirection(t *testing.T) {
	named := namedFiles(t, filepath.Join(root, "internal", "serve"))
	for len(named) > 0 {
		// A file that names only files that are gone is at the end of the way.
		last := slices.DeleteFunc(slices.Sorted(maps.Keys(named)), func(file string) bool {
			return slices.ContainsFunc(named[file], func(other string) bool { return named[other] != nil })
		})
		if len(last) == 0 {
			t.Fatalf("these files of internal/serve name each other in a circle, or one that does: %v", named)
		}
		for _, file := range last {
			delete(named, file)
		}
	}
}

// namedFiles returns, for each file of a package, the others whose declarations it names.
func namedFiles(t *testing.T, directory string) map[string][]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(directory, "*.go"))
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	positions := token.NewFileSet()
	named := map[string][]string{}
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(positions, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
		named[path] = []string{}
	}
	// What other packages declare is not looked at, so there are errors, and nothing of the package itself is missed.
	config := types.Config{Importer: noPackages{}, Error: func(error) {}}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	pkg, _ := config.Check(directory, positions, files, info)
	for identifier, object := range info.Uses {
		file, other := positions.Position(identifier.Pos()).Filename, positions.Position(object.Pos()).Filename
		if object.Pkg() == pkg && other != file && !slices.Contains(named[file], other) {
			named[file] = append(named[file], other)
		}
	}
	return named
}

// noPackages imports no package.
type noPackages struct{}

func (noPackages) Import(path string) (*types.Package, error) {
	return nil, errors.New("not imported: " + path)
}
