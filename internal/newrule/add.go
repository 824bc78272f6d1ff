// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// add adds a rule to the tree under root and returns the files that it has written, sorted. If it fails before it writes, it has
// changed nothing.
func add(root, id string) ([]string, error) {
	r, err := newRule(id)
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	fixtures := filepath.Join("policy", "rules", "testdata", r.ID)
	for path, text := range map[string]string{
		filepath.Join("policy", "rules", strings.ReplaceAll(r.ID, "-", "_")+".go"): r.source(),
		filepath.Join(fixtures, "allow", "first.txtar"):                            r.fixtureText(false),
		filepath.Join(fixtures, "deny", "first.txtar"):                             r.fixtureText(true),
	} {
		if _, err := os.Stat(filepath.Join(root, path)); err == nil {
			return nil, fmt.Errorf("ID: %q is taken: %s exists", id, path)
		}
		files[path] = text
	}
	if err := r.checkType(root); err != nil {
		return nil, err
	}
	for path, edit := range map[string]func(string) (string, error){
		filepath.Join("policy", "rules", "all.go"): r.editList,
		filepath.Join("api", "v1alpha1", r.file):   r.editAPI,
	} {
		source, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return nil, err
		}
		if files[path], err = edit(string(source)); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	paths := slices.Sorted(maps.Keys(files))
	for _, path := range paths {
		if err := write(filepath.Join(root, path), files[path]); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

func write(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // Source files are for everyone, like those that git writes.
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644) //nolint:gosec // As above.
}

// editList adds the rule behind the last one of its kind.
func (r *rule) editList(source string) (string, error) {
	prefix := strings.TrimSuffix(r.Function, r.Field)
	lines := regexp.MustCompile(`(?m)^\t\t`+prefix+`[A-Z]\w*\(\),\n`).FindAllStringIndex(source, -1)
	if len(lines) == 0 {
		return "", fmt.Errorf("has no rule %s…", prefix)
	}
	end := lines[len(lines)-1][1]
	return source[:end] + "\t\t" + r.Function + "(),\n" + source[end:], nil
}

// checkType fails if the API has a type with the name of the section's.
func (r *rule) checkType(root string) error {
	paths, err := filepath.Glob(filepath.Join(root, "api", "v1alpha1", "*.go"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.Contains(string(source), "\ntype "+r.Type+" ") {
			return fmt.Errorf("ID: %q is taken: %s has a type %s", r.ID, filepath.Base(path), r.Type)
		}
	}
	return nil
}

// editAPI adds the field of the section at the end of its parent, and its type at the end of the file.
func (r *rule) editAPI(source string) (string, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "", source, parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	for _, declaration := range file.Decls {
		d, ok := declaration.(*ast.GenDecl)
		if !ok || d.Tok != token.TYPE {
			continue
		}
		for _, spec := range d.Specs {
			t := spec.(*ast.TypeSpec)
			parent, ok := t.Type.(*ast.StructType)
			if t.Name.Name == r.rules && ok {
				if slices.ContainsFunc(parent.Fields.List, func(f *ast.Field) bool { return f.Names[0].Name == r.Field }) {
					return "", fmt.Errorf("%s has a field %s", r.rules, r.Field)
				}
				end := files.Position(parent.Fields.Closing).Offset
				return source[:end] + r.fieldText() + source[end:] + r.typeText(), nil
			}
		}
	}
	return "", fmt.Errorf("has no type %s", r.rules)
}
