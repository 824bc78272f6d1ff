package cli

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
	formatText  = "text"
	formatJSON  = "json"
	formatYAML  = "yaml"
	formatJUnit = "junit"
)

// outputFlag is the flag -o, one of some formats. It implements pflag.Value.
type outputFlag struct {
	format  string
	formats []string
}

func (o *outputFlag) String() string { return o.format }
func (o *outputFlag) Type() string   { return strings.Join(o.formats, "|") }

func (o *outputFlag) Set(s string) error {
	if !slices.Contains(o.formats, s) {
		return fmt.Errorf("must be one of %s", strings.Join(o.formats, ", "))
	}
	o.format = s
	return nil
}

// addOutput gives a command the flag -o with the formats text, json, yaml and the given ones.
func addOutput(cmd *cobra.Command, more ...string) *outputFlag {
	o := &outputFlag{format: formatText, formats: append([]string{formatText, formatJSON, formatYAML}, more...)}
	cmd.Flags().VarP(o, "output", "o", "output format")
	complete(cmd, "output", o.formats)
	return o
}

// complete offers fixed values for a flag.
func complete(cmd *cobra.Command, flag string, values []string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // the command has no such flag, or has completions for it already
	}
}

// write writes data as JSON or YAML, or calls text if that is the format.
func (o *outputFlag) write(w io.Writer, data any, text func(io.Writer) error) error {
	switch o.format {
	case formatJSON:
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(data)
	case formatYAML:
		out, err := yaml.Marshal(data)
		if err != nil {
			return err
		}
		_, err = w.Write(out)
		return err
	}
	return text(w)
}
