package cli

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"

	"github.com/spf13/cobra"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/program"
)

// kubernetesModule is the module whose version stands for that of all Kubernetes libraries; they are released together.
const kubernetesModule = "k8s.io/apimachinery"

func versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of the program, of Go and of the Kubernetes libraries",
		Args:  command.NoArguments,
	}
	output := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		v := versions{Version: program.Version(), Go: runtime.Version(), Kubernetes: kubernetesVersion()}
		return output.write(cmd.OutOrStdout(), v, v.writeText)
	}
	return cmd
}

type versions struct {
	Version    string `json:"version"`
	Go         string `json:"go"`
	Kubernetes string `json:"kubernetes"` // of the libraries
}

func (v versions) writeText(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%s %s\nGo %s\nKubernetes libraries %s\n", program.Name, v.Version, v.Go, v.Kubernetes)
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
