// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/pflag"
)

// selfManaged are valid flags of a self-managed certificate.
func selfManaged(others ...string) []string {
	return slices.Concat([]string{
		"--certificate-source=self-managed", "--self-managed-ca-secret=system/ca", "--self-managed-dns-names=a.system.svc",
		"--self-managed-webhook-configuration=node-restriction-plus",
	}, others)
}

func TestCertificateOptions(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat("a,", maxDNSNames+1), ",")
	for _, test := range []struct {
		name string
		args []string
		want string // beginning of the error; empty: none
	}{
		{name: "files are the default", args: []string{"--certificate-source=files"}},
		{name: "all flags of a self-managed certificate", args: selfManaged()},
		{name: "a directory has no effect then, but every pod may have it", args: selfManaged("--cert-dir=")},
		{name: "names may be several, and wildcards", args: selfManaged("--self-managed-dns-names=localhost,*.b.c")},
		{
			name: "another source is unknown", args: []string{"--certificate-source=cert-manager"},
			want: "--certificate-source: ",
		},
		{name: "files need a directory", args: []string{"--cert-dir="}, want: "--cert-dir: "},
		{
			name: "a Secret without self-managed has no effect", args: []string{"--self-managed-ca-secret=a/b"},
			want: "--self-managed-ca-secret: ",
		},
		{
			name: "names without self-managed have no effect", args: []string{"--self-managed-dns-names=a"},
			want: "--self-managed-dns-names: ",
		},
		{
			name: "a configuration without self-managed has no effect",
			args: []string{"--self-managed-webhook-configuration=a"}, want: "--self-managed-webhook-configuration: ",
		},
		{
			name: "the Secret must be given", args: []string{"--certificate-source=self-managed"},
			want: "--self-managed-ca-secret: ",
		},
		{
			name: "the Secret needs a namespace", args: selfManaged("--self-managed-ca-secret=ca"),
			want: "--self-managed-ca-secret: ",
		},
		{
			name: "the Secret's name is one", args: selfManaged("--self-managed-ca-secret=system/a/b"),
			want: "--self-managed-ca-secret: ",
		},
		{
			name: "the Secret's namespace is one", args: selfManaged("--self-managed-ca-secret=a.b/c"),
			want: "--self-managed-ca-secret: ",
		},
		{
			name: "names must be given",
			args: []string{"--certificate-source=self-managed", "--self-managed-ca-secret=a/b"},
			want: "--self-managed-dns-names: must be from 1 to 64",
		},
		{
			name: "names are bounded", args: selfManaged("--self-managed-dns-names=" + many),
			want: "--self-managed-dns-names: must be from 1 to 64",
		},
		{
			name: "an empty name is refused", args: selfManaged("--self-managed-dns-names=a,"),
			want: `--self-managed-dns-names: "" is not`,
		},
		{
			name: "an address is no name", args: selfManaged("--self-managed-dns-names=10.0.0.1"),
			want: `--self-managed-dns-names: "10.0.0.1" is not`,
		},
		{
			name: "the configuration must be given", args: selfManaged("--self-managed-webhook-configuration="),
			want: "--self-managed-webhook-configuration: ",
		},
		{
			name: "the configuration's name is one", args: selfManaged("--self-managed-webhook-configuration=A"),
			want: "--self-managed-webhook-configuration: ",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := &options{}
			flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
			o.addFlags(flags)
			if err := flags.Parse(test.args); err != nil {
				t.Fatal(err)
			}
			err := o.validate()
			if (err == nil) != (test.want == "") || err != nil && !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestSelfManagedWithoutAnAPIServer(t *testing.T) {
	s := startServe(t, selfManaged()...)
	s.await(t, "msg", "Starting")
	probes := fmt.Sprintf("http://%v", s.await(t, "name", "health probe")["addr"])
	eventually(t, "it is live and not ready", func() bool {
		live, _ := get(t, probes+"/livez")
		ready, body := get(t, probes+"/readyz")
		return live == http.StatusOK && ready == http.StatusInternalServerError &&
			strings.Contains(body, "[-]certificate failed") && strings.Contains(body, "[+]listener ok")
	})
	s.await(t, "reason", "there is no serving certificate yet")
	s.await(t, "type", "Secret")
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.wait(t)
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
