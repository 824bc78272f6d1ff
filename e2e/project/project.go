// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package project finds this repository on disk and reads its files.
package project

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"strings"
)

const module = "noderestriction.plus"

// Root returns the directory of the product's go.mod: the working directory, or the nearest one above it.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if declares(filepath.Join(dir, "go.mod"), module) {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("not inside a clone of " + module)
		}
		dir = parent
	}
}

// ReadFile reads a file of the repository. The elements of its path are relative to the root.
func ReadFile(path ...string) ([]byte, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(append([]string{root}, path...)...))
}

// Distributions returns the names of the distributions to which the chart adapts its policies.
func Distributions() ([]string, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	names, err := filepath.Glob(filepath.Join(root, "config/policies/distributions/*.yaml"))
	for i := range names {
		names[i] = strings.TrimSuffix(filepath.Base(names[i]), ".yaml")
	}
	if err == nil && len(names) == 0 {
		err = errors.New("there are no distributions in config/policies")
	}
	return names, err
}

// declares reports whether a file is the go.mod of the module.
func declares(file, module string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.TrimSpace(lines.Text()) == "module "+module {
			return true
		}
	}
	return false
}
