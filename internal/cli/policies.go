// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// policyFlag is the help of the flag --policy.
const policyFlag = "`file` or directory with NodeRestrictionPolicies, or - for standard input;\nmay be repeated"

// policyFile is a file with policies, and everything that is wrong with it.
type policyFile struct {
	name string
	*manifest.File
	unreadable error
}

// titleOf is how a message names a policy.
func titleOf(p *manifest.Policy) string {
	if p.Object.Name == "" {
		return v1alpha1.Kind
	}
	return v1alpha1.Kind + " " + text.Quote(p.Object.Name)
}

// place is where a problem is, for a terminal and an editor: file:line:column.
func place(file string, p *manifest.Problem) string {
	switch {
	case p.Line == 0:
		return command.Title(file)
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", command.Title(file), p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", command.Title(file), p.Line, p.Column)
}

// readPolicies reads the policies of files and directories. What is wrong is in the files, also a name that is used twice.
func readPolicies(in *command.Inputs, args []string) []*policyFile {
	var files []*policyFile
	compiler, read := rules.NewCompiler(), map[string]bool{}
	for _, arg := range args {
		names, directory, err := manifestFiles(arg)
		if err != nil {
			files = append(files, unreadable(arg, err))
			continue
		}
		found := 0
		for _, name := range names {
			if read[filepath.Clean(name)] && name != command.StandardInput {
				found++ // by an argument before this one
				continue
			}
			read[filepath.Clean(name)] = true
			f := readPolicyFile(in, name, compiler)
			found += len(f.Policies) + len(f.Errors)
			if !directory && len(f.Policies)+len(f.Errors) == 0 && f.unreadable == nil {
				f.unreadable = fmt.Errorf("%s: %w", command.Title(name), f.NoPolicy())
			}
			files = append(files, f)
		}
		if directory && found == 0 {
			err := fmt.Errorf("%s: no %s found in %s", arg, v1alpha1.Kind, plural(len(names), "file"))
			files = append(files, unreadable(arg, err))
		}
	}
	findTwins(files)
	return files
}

func unreadable(name string, err error) *policyFile {
	return &policyFile{name: name, File: &manifest.File{}, unreadable: err}
}

func readPolicyFile(in *command.Inputs, name string, compiler *policy.Compiler) *policyFile {
	r, err := in.Open(name)
	if err != nil {
		return unreadable(name, err)
	}
	defer r.Close()
	return &policyFile{name: name, File: manifest.Read(r, compiler)}
}

// findTwins reports policies of different files that have the same name. Those of one file have been reported.
func findTwins(files []*policyFile) {
	first := map[string]string{}
	for _, f := range files {
		for _, p := range f.Policies {
			name := p.Object.Name
			if other, twice := first[name]; twice && other != f.name && name != "" {
				p.AddError("metadata.name", command.Title(other)+" has a policy of the same name")
				continue
			}
			first[name] = f.name
		}
	}
}

// manifestFiles returns the files that an argument names: itself, or the *.yaml, *.yml and *.json in a directory and below it.
// Hidden directories, whose names begin with a dot, are skipped.
func manifestFiles(arg string) (files []string, directory bool, err error) {
	if info, err := os.Stat(arg); arg == command.StandardInput || err != nil || !info.IsDir() {
		return []string{arg}, false, nil //nolint:nilerr // The error comes again when the file is read.
	}
	err = filepath.WalkDir(arg, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != arg && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case !entry.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(entry.Name())):
			files = append(files, path)
		}
		return nil
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s: no *.yaml, *.yml or *.json in this directory", arg)
	}
	return files, true, err
}

// LoadPolicies reads the policies of files and directories for a command outside of this package. They are valid; the error holds
// everything that is wrong with them.
func LoadPolicies(in *command.Inputs, args []string) ([]*manifest.Policy, error) {
	return loadPolicies(in, args)
}

// loadPolicies reads policies for a command that needs them to be valid. The error holds everything that is wrong with them.
func loadPolicies(in *command.Inputs, args []string) ([]*manifest.Policy, error) {
	var all []*manifest.Policy
	var errs []error
	for _, f := range readPolicies(in, args) {
		errs = append(errs, f.unreadable)
		for i := range f.Errors {
			errs = append(errs, fmt.Errorf("%s: %s", place(f.name, &f.Errors[i]), f.Errors[i].String()))
		}
		for _, p := range f.Policies {
			for i := range p.Errors {
				errs = append(errs, fmt.Errorf("%s: %s: %s", place(f.name, &p.Errors[i]), titleOf(p), p.Errors[i].String()))
			}
		}
		all = append(all, f.Policies...)
	}
	return all, errors.Join(errs...)
}

// plural is a number with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
