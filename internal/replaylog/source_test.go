// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replaylog

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/replay"
)

// event is a lease that a kubelet renews, which needs no object to be evaluated.
const event = `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","stage":"ResponseComplete","verb":"update",` +
	`"requestURI":"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/%[1]s","user":{"username":"system:node:%[1]s"},` +
	`"objectRef":{"resource":"leases","namespace":"kube-node-lease","name":"%[1]s","apiGroup":"coordination.k8s.io"},` +
	`"responseStatus":{"code":200},"requestReceivedTimestamp":"2026-11-20T08:00:%02[2]dZ"}` + "\n"

// read reads files with arguments, and returns the nodes whose writes were replayed, in their order.
func read(t *testing.T, stdin string, args ...string) ([]string, error) {
	t.Helper()
	s := Source{}
	cmd := &cobra.Command{}
	s.AddFlags(cmd)
	s.AddTimeFlags(cmd)
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	options, err := s.Options(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))
	if err != nil {
		return nil, err
	}
	var nodes []string
	r, err := replay.New(&options, func(w *replay.Write) error {
		nodes = append(nodes, w.Request.NodeName)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = s.Read(&command.Inputs{Stdin: strings.NewReader(stdin)}, r, &strings.Builder{})
	return nodes, err
}

func TestSource(t *testing.T) {
	directory := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(directory, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	first, second := write("audit-1.log", fmt.Sprintf(event, "a", 1)), write("audit-2.log", fmt.Sprintf(event, "b", 2))
	objects := write("objects.json", `{"kind": "List", "items": [{"kind": "Node", "metadata": {}}]}`)
	pattern := filepath.Join(directory, "audit-*.log")
	for name, test := range map[string]struct {
		args []string
		want []string
		err  string
	}{
		"files in the order of time":      {[]string{"--audit-log", first, "--audit-log", second}, []string{"a", "b"}, ""},
		"files in another order":          {[]string{"--audit-log", second, "--audit-log", first}, []string{"a", "b"}, ""},
		"a pattern, and a file it has":    {[]string{"--audit-log", pattern, "--audit-log", first}, []string{"a", "b"}, ""},
		"standard input":                  {[]string{"--audit-log", "-"}, []string{"c"}, ""},
		"a time":                          {[]string{"--audit-log", pattern, "--since", "2026-11-20T08:00:02Z"}, []string{"b"}, ""},
		"an age":                          {[]string{"--audit-log", pattern, "--until", "59m59s"}, []string{}, ""},
		"no log":                          {nil, nil, "--audit-log: name the audit log of an API server"},
		"a pattern without files":         {[]string{"--audit-log", filepath.Join(directory, "x*")}, nil, "no file matches"},
		"a malformed pattern":             {[]string{"--audit-log", "["}, nil, `--audit-log: "[" is no pattern of file names`},
		"standard input with other input": {[]string{"--audit-log", "-", "--audit-log", first}, nil, "standard input (-) must be the only input"},
		"a file that does not exist":      {[]string{"--audit-log", filepath.Join(directory, "none")}, nil, "no such file or directory"},
		"objects that are not":            {[]string{"--audit-log", first, "--objects", objects}, nil, "objects.json: objects: items[0]: metadata.name: is missing"},
		"a clock skew that is too large":  {[]string{"--audit-log", first, "--clock-skew", "2m"}, nil, "--clock-skew: must be 0 to 1m0s"},
		"no time":                         {[]string{"--audit-log", first, "--since", "soon"}, nil, "--since: must be an age"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(t, fmt.Sprintf(event, "c", 3), test.args...)
			switch {
			case test.err == "" && err != nil, test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
				t.Errorf("got error %v, want %q", err, test.err)
			case test.err == "" && !slices.Equal(got, test.want):
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
