// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

// Output formats.
const (
	FormatText  = "text"
	FormatJSON  = "json"
	FormatYAML  = "yaml"
	FormatJUnit = "junit"
)

// Output is the flag -o, one of some formats. It implements pflag.Value.
type Output struct {
	format  string
	formats []string
}

// NewOutput returns a flag with the given formats, the default first.
func NewOutput(formats ...string) *Output { return &Output{format: formats[0], formats: formats} }

// String returns the format.
func (o *Output) String() string { return o.format }

// Type returns all formats.
func (o *Output) Type() string { return strings.Join(o.formats, "|") }

// Set sets the format.
func (o *Output) Set(s string) error {
	if !slices.Contains(o.formats, s) {
		return fmt.Errorf("must be one of %s", strings.Join(o.formats, ", "))
	}
	o.format = s
	return nil
}

// AddOutput gives a command the flag -o with the formats text, json, yaml and the given ones.
func AddOutput(cmd *cobra.Command, more ...string) *Output {
	o := NewOutput(append([]string{FormatText, FormatJSON, FormatYAML}, more...)...)
	o.AddTo(cmd)
	return o
}

// AddTo gives a command this flag.
func (o *Output) AddTo(cmd *cobra.Command) {
	cmd.Flags().VarP(o, "output", "o", "output format")
	Complete(cmd, "output", o.formats)
}

// Complete offers fixed values for a flag.
func Complete(cmd *cobra.Command, flag string, values []string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // the command has no such flag, or has completions for it already
	}
}

// Write writes data as JSON or YAML, or calls text if that is the format.
func (o *Output) Write(w io.Writer, data any, text func(io.Writer) error) error {
	switch o.format {
	case FormatJSON:
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(data)
	case FormatYAML:
		out, err := yaml.Marshal(data)
		if err != nil {
			return err
		}
		_, err = w.Write(out)
		return err
	}
	return text(w)
}
