// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"noderestriction.plus/internal/program"
)

// kubernetesModule is the module whose version stands for that of all Kubernetes libraries; they are released together.
const kubernetesModule = "k8s.io/apimachinery"

// textWidth is how wide a text is.
const textWidth = 100

// Reads says which versions of policies and records a program reads.
type Reads struct {
	Policies []string `json:"policies"` // API versions
	Skew     string   `json:"skew"`     // with which versions of the webhook it works, in words
}

// Version returns the command version. A program that reads nothing has no reads.
func Version(reads *Reads) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of the program, of Go and of the Kubernetes libraries",
		Args:  NoArguments,
	}
	if reads != nil {
		cmd.Short += ", and which policies and records it reads"
	}
	output := AddOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		v := versions{
			Version: program.Version(), Go: runtime.Version(), Kubernetes: kubernetesVersion(), Reads: reads, program: cmd.Root().Name(),
		}
		return output.Write(cmd.OutOrStdout(), v, v.writeText)
	}
	return cmd
}

type versions struct {
	Version    string `json:"version"`
	Go         string `json:"go"`
	Kubernetes string `json:"kubernetes"` // of the libraries
	Reads      *Reads `json:"reads,omitempty"`

	program string
}

func (v versions) writeText(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%s %s\nGo %s\nKubernetes libraries %s\n", v.program, v.Version, v.Go, v.Kubernetes)
	if err == nil && v.Reads != nil {
		_, err = fmt.Fprintf(w, "Policies %s\n\n%s", strings.Join(v.Reads.Policies, ", "), Wrap(v.Reads.Skew, "", textWidth))
	}
	return err
}

// unknown stands for a version that the program was not built with.
const unknown = "unknown"

func kubernetesVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unknown
	}
	i := slices.IndexFunc(info.Deps, func(m *debug.Module) bool { return m.Path == kubernetesModule })
	if i < 0 {
		return unknown
	}
	return info.Deps[i].Version
}
