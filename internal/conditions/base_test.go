// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package conditions

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const someBase = `{"configuration": "nrp", "floor": "nrp.policies", "webhooks": [
  {"name": "gate.noderestriction.plus", "rules": [
    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["nodes", "nodes/status", "pods/status"]}],
    "matchConditions": [{"name": "kubelet", "expression": "isKubelet"}, {"name": "line", "expression": "base.gate"}]},
  {"name": "registration.noderestriction.plus", "rules": [
    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["nodes"]}],
    "matchConditions": [{"name": "kubelet", "expression": "isKubelet"}, {"name": "line", "expression": "base.registration"}]},
  {"name": "status.noderestriction.plus", "rules": [
    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["nodes/status", "pods/status"]}],
    "matchConditions": [{"name": "kubelet", "expression": "isKubelet"}, {"name": "line", "expression": "base.status"}]},
  {"name": "others.noderestriction.plus", "rules": [
    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["serviceaccounts/token"]}],
    "matchConditions": [{"name": "line", "expression": "base.others"}]}]}`

func TestReadBase(t *testing.T) {
	for name, test := range map[string]struct{ old, updated, want string }{
		"it is complete":                      {"", "", ""},
		"there is no floor":                   {`"floor": "nrp.policies",`, "", ""},
		"it is not JSON":                      {`{"configuration"`, "configuration", "invalid character"},
		"a field is not known":                {`"floor"`, `"flour"`, `unknown field "flour"`},
		"there is more":                       {`"base.others"}]}]}`, `"base.others"}]}]} {}`, "more than one JSON value"},
		"the configuration has no valid name": {`"nrp",`, `"N R P",`, "configuration: must be the name"},
		"the floor has no valid name":         {`"nrp.policies"`, `"N R P"`, "floor: must be the name"},
		"a webhook has no line":               {`"line", "expression": "base.gate"`, `"lime", "expression": "base.gate"`, "webhooks[0].matchConditions"},
		"a webhook is not known":              {"status.noder", "stats.noder", `webhooks[2]: "stats.noderestriction.plus" is not one of`},
		"a webhook is there twice":            {"others.noder", "status.noder", `webhooks[3]: "status.noderestriction.plus" is there twice`},
		"there is no gate":                    {`{"name": "gate.noderestriction.plus", "rules": [`, `{"name": "x", "rules": [`, `webhooks[0]: "x"`},
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
			case err == nil && len(base.Webhooks) != 4:
				t.Errorf("there are %d webhooks", len(base.Webhooks))
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
