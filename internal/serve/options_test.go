// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestServeOptions(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		want string // beginning of the error; empty: none
	}{
		{name: "the defaults are valid"},
		{name: "an address may be IPv6", args: []string{"--bind-address=::1"}},
		{name: "a host name is no address", args: []string{"--bind-address=localhost"}, want: "--bind-address: "},
		{name: "a port is at most 65535", args: []string{"--port=65536"}, want: "--port: "},
		{name: "a port is at least 0", args: []string{"--port=-1"}, want: "--port: "},
		{name: "the certificate needs a directory", args: []string{"--cert-dir="}, want: "--cert-dir: "},
		{
			name: "a client CA and names go together",
			args: []string{"--client-ca-file=ca.crt", "--client-allowed-names=a,b"},
		},
		{
			name: "a client CA without names would let kubelets in",
			args: []string{"--client-ca-file=ca.crt"}, want: "--client-allowed-names: ",
		},
		{
			name: "names without a client CA have no effect",
			args: []string{"--client-allowed-names=a"}, want: "--client-ca-file: ",
		},
		{
			name: "an empty name would let the nameless in",
			args: []string{"--client-ca-file=ca.crt", "--client-allowed-names=a,"}, want: "--client-allowed-names: ",
		},
		{name: "metrics can be off", args: []string{"--metrics-bind-address=0", "--metrics-secure=false"}},
		{
			name: "plain metrics may be served on a loopback address",
			args: []string{"--metrics-bind-address=127.0.0.1:8080", "--metrics-secure=false"},
		},
		{
			name: "plain metrics may be served on localhost",
			args: []string{"--metrics-bind-address=localhost:8080", "--metrics-secure=false"},
		},
		{
			name: "plain metrics may not be served to everybody",
			args: []string{"--metrics-secure=false"}, want: "--metrics-bind-address: ",
		},
		{
			name: "a metrics address needs a port", args: []string{"--metrics-bind-address=127.0.0.1"},
			want: "--metrics-bind-address: ",
		},
		{name: "probes can be off", args: []string{"--health-probe-bind-address=0"}},
		{
			name: "a probe address needs a numeric port", args: []string{"--health-probe-bind-address=:http"},
			want: "--health-probe-bind-address: ",
		},
		{
			name: "profiles are for loopback alone", args: []string{"--pprof-bind-address=:6060"},
			want: "--pprof-bind-address: ",
		},
		{name: "profiles may be served on loopback", args: []string{"--pprof-bind-address=127.0.0.1:6060"}},
		{name: "no delay is a delay", args: []string{"--shutdown-delay=0"}},
		{name: "a delay is not negative", args: []string{"--shutdown-delay=-1s"}, want: "--shutdown-delay: "},
		{name: "a delay is bounded", args: []string{"--shutdown-delay=1h"}, want: "--shutdown-delay: "},
		{name: "the level is a known one", args: []string{"--log-level=warn"}, want: "--log-level: "},
		{
			name: "a file of records is rotated in whole mebibytes", args: []string{"--denial-log-file-max-size=1500k"},
			want: "--denial-log-file-max-size: ",
		},
		{
			name: "a file of records has a size", args: []string{"--denial-log-file-max-size=0"},
			want: "--denial-log-file-max-size: ",
		},
		{name: "a file of records may be small", args: []string{"--denial-log-file-max-size=1Mi"}},
		{
			name: "a rotated file is kept", args: []string{"--denial-log-file-max-backups=0"},
			want: "--denial-log-file-max-backups: ",
		},
		{
			name: "probes are apart", args: []string{"--enforcement-probe-interval=10ms"},
			want: "--enforcement-probe-interval: ",
		},
		{name: "connections need room", args: []string{"--max-connections=0"}, want: "--max-connections: "},
		{name: "requests need room", args: []string{"--max-requests-in-flight=0"}, want: "--max-requests-in-flight: "},
		{
			name: "the largest request must have room", args: []string{"--max-body-bytes-in-flight=1000000"},
			want: "--max-body-bytes-in-flight: ",
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
