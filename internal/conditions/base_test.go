// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package conditions

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const someBase = `{"configuration": "nrp", "floor": "nrp.policies",
  "lines": [
    {"write": {"resource": "nodes", "subresource": "", "operation": "CREATE"}, "gate": "false", "open": "true"},
    {"write": {"resource": "nodes", "subresource": "", "operation": "UPDATE"}, "gate": "true", "open": "false"},
    {"write": {"resource": "pods", "subresource": "status", "operation": "UPDATE"}, "gate": "pods.gate", "open": "pods.open"},
    {"write": {"resource": "nodes", "subresource": "status", "operation": "UPDATE"}, "gate": "base.gate", "open": "base.open"}],
  "webhooks": {
    "gate.noderestriction.plus": [{"name": "kubelet", "expression": "isKubelet"}, {"name": "nodes-status-update", "expression": "x"}],
    "registration.noderestriction.plus": [{"name": "kubelet", "expression": "isKubelet"}, {"name": "nodes-create", "expression": "x"}],
    "status.noderestriction.plus": [{"name": "kubelet", "expression": "isKubelet"}, {"name": "nodes-status-update", "expression": "x"}]}}`

func TestReadBase(t *testing.T) {
	for name, test := range map[string]struct{ old, updated, want string }{
		"it is complete":                      {"", "", ""},
		"there is no floor":                   {`"floor": "nrp.policies",`, "", ""},
		"it is not JSON":                      {`{"configuration"`, "configuration", "invalid character"},
		"a field is not known":                {`"floor"`, `"flour"`, `unknown field "flour"`},
		"there is more":                       {`"x"}]}}`, `"x"}]}} {}`, "more than one JSON value"},
		"the configuration has no valid name": {`"nrp",`, `"N R P",`, "configuration: must be the name"},
		"the floor has no valid name":         {`"nrp.policies"`, `"N R P"`, "floor: must be the name"},
		"a line has no expression":            {`"gate": "false"`, `"gate": ""`, "lines[0]: must have"},
		"a line has no operation":             {`"operation": "UPDATE"`, `"operation": ""`, "lines[1]: must have"},
		"a webhook is not known":              {"status.noder", "stats.noder", `"stats.noderestriction.plus" is not one of`},
		"there is no gate":                    {"gate.noder", "others.noder", "gate.noderestriction.plus"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "conditions.json")
			if err := os.WriteFile(path, []byte(strings.Replace(someBase, test.old, test.updated, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			base, err := ReadBase(path)
			switch {
			case test.want == "" && err != nil, test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("the error is %v, want %q", err, test.want)
			case err == nil && len(base.Lines) != 4:
				t.Errorf("there are %d lines", len(base.Lines))
			}
		})
	}
	if _, err := ReadBase(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that does not exist is read")
	}
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadBase(large); err == nil || !strings.Contains(err.Error(), "bytes") {
		t.Errorf("a large file: %v", err)
	}
}
