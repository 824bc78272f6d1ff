package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"noderestriction.plus/internal/command"
)

// standardInput is the name of standard input among file names.
const standardInput = "-"

// inputs opens the files that a command reads. Standard input can be read once.
type inputs struct {
	stdin io.Reader
	taken bool
}

// open opens a file, or standard input if its name is "-". Errors name the file.
func (in *inputs) open(name string) (io.ReadCloser, error) {
	if name != standardInput {
		return os.Open(name)
	}
	if in.taken {
		return nil, command.UsageError{Err: errors.New("standard input (-) can be read only once")}
	}
	in.taken = true
	return io.NopCloser(in.stdin), nil
}

// read reads a whole file.
func (in *inputs) read(name string) ([]byte, error) {
	f, err := in.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil && name == standardInput {
		return nil, fmt.Errorf("%s: %w", title(name), err)
	}
	return data, err // names the file, as an error of package os
}

// title is how a message names a file.
func title(name string) string {
	if name == standardInput {
		return "standard input"
	}
	return name
}
