// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// StandardInput is the name of standard input among file names.
const StandardInput = "-"

// Inputs opens the files that a command reads. Standard input can be read once.
type Inputs struct {
	Stdin io.Reader
	taken bool
}

// Open opens a file, or standard input if its name is "-". Errors name the file.
func (in *Inputs) Open(name string) (io.ReadCloser, error) {
	if name != StandardInput {
		return os.Open(name)
	}
	if in.taken {
		return nil, UsageError{Err: errors.New("standard input (-) can be read only once")}
	}
	in.taken = true
	return io.NopCloser(in.Stdin), nil
}

// Read reads a whole file.
func (in *Inputs) Read(name string) ([]byte, error) {
	f, err := in.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil && name == StandardInput {
		return nil, fmt.Errorf("%s: %w", Title(name), err)
	}
	return data, err // names the file, as an error of package os
}

// Title is how a message names a file.
func Title(name string) string {
	if name == StandardInput {
		return "standard input"
	}
	return name
}
