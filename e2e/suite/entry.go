// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"noderestriction.plus/internal/authorizer"
	"noderestriction.plus/internal/command"
)

// EntryReason is in the answer to every request that the entry of kubectl nrp authorizer denies, before the name of the node.
const EntryReason = "kubelets may do only what the Node authorizer allows: system:node:"

// WithoutEntry is an AuthorizationConfiguration with the authorizers of a stock cluster, and without the entry.
const WithoutEntry = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers:\n" +
	"- type: Node\n  name: node\n# last\n- type: RBAC\n  name: rbac\n"

// Authorizer runs kubectl nrp authorizer, and returns what it prints.
func Authorizer(t testing.TB, args ...string) (string, error) {
	t.Helper()
	root := command.Plugin(command.ByKubectl, authorizer.Command())
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(t.Output())
	root.SetArgs(append([]string{"authorizer"}, args...))
	err := root.Execute()
	return out.String(), err
}

// MustAuthorizer is [Authorizer] for a command that must succeed.
func MustAuthorizer(t testing.TB, args ...string) string {
	t.Helper()
	out, err := Authorizer(t, args...)
	Check(t, err)
	return out
}

// Entry is the entry of kubectl nrp authorizer, as the files that an API server reads.
type Entry struct {
	Config, Kubeconfig string // paths
}

// NewEntry writes the files for an API server, with further arguments of generate. The kubeconfig names another address, if one is
// given.
func NewEntry(t testing.TB, dir, address string, args ...string) *Entry {
	t.Helper()
	e := &Entry{Config: filepath.Join(dir, "authorization.yaml"), Kubeconfig: filepath.Join(dir, "authorizer.kubeconfig")}
	kubeconfig := MustAuthorizer(t, "kubeconfig")
	if address != "" {
		if !strings.Contains(kubeconfig, "127.0.0.1:1") {
			t.Fatalf("the kubeconfig has another address:\n%s", kubeconfig)
		}
		kubeconfig = strings.ReplaceAll(kubeconfig, "127.0.0.1:1", address)
	}
	Check(t, os.WriteFile(e.Kubeconfig, []byte(kubeconfig), 0o600))
	e.Write(t, MustAuthorizer(t, append([]string{"generate", "--kubeconfig-path", e.Kubeconfig}, args...)...))
	return e
}

// Write replaces the AuthorizationConfiguration at once.
func (e *Entry) Write(t testing.TB, content string) {
	t.Helper()
	Check(t, os.WriteFile(e.Config+".new", []byte(content), 0o600))
	Check(t, os.Rename(e.Config+".new", e.Config))
}
