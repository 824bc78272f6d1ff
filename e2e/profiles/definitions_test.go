// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package profiles_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/mod/modfile"

	"noderestriction.plus/e2e/project"
)

// foreign are the definitions of the kinds of others that the chart renders, by module and file.
func foreign() map[string][]string {
	return map[string][]string{
		"github.com/cert-manager/cert-manager": {
			"deploy/crds/cert-manager.io_certificates.yaml", "deploy/crds/cert-manager.io_issuers.yaml",
		},
		"github.com/prometheus-operator/prometheus-operator": {
			"example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
			"example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
			"example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
		},
	}
}

// definitions are the CustomResourceDefinitions of all kinds of the chart, those of others in the versions that
// definitions/go.mod names.
func definitions(t *testing.T) []byte {
	t.Helper()
	root, err := project.Root()
	suite.Check(t, err)
	own, err := os.ReadFile(filepath.Join(root, "config", "crd", "noderestriction.plus_noderestrictionpolicies.yaml"))
	suite.Check(t, err)
	all := [][]byte{own}
	for module, files := range foreign() {
		dir := moduleDir(t, module)
		for _, file := range files {
			data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(file)))
			suite.Check(t, err)
			all = append(all, data)
		}
	}
	return bytes.Join(all, []byte("\n---\n"))
}

// moduleDir is where go has a module of definitions/go.mod, which it downloads if need be.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", module+"@"+moduleVersion(t, "definitions/go.mod", module))
	cmd.Dir = "definitions" // for its go.sum
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	var answer struct{ Dir, Error string }
	if json.Unmarshal(out, &answer) != nil || err != nil {
		t.Fatalf("go mod download %s: %v %s", module, err, answer.Error)
	}
	return answer.Dir
}

func moduleVersion(t *testing.T, path, module string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	suite.Check(t, err)
	file, err := modfile.ParseLax(path, data, nil)
	suite.Check(t, err)
	for _, require := range file.Require {
		if require.Mod.Path == module {
			return require.Mod.Version
		}
	}
	t.Fatalf("%s does not require %s", path, module)
	return ""
}

// TestDefinitionsAreOfTheSameVersions holds the definitions to the types with which the tests of the chart read it.
func TestDefinitionsAreOfTheSameVersions(t *testing.T) {
	for module, same := range map[string]string{
		"github.com/cert-manager/cert-manager":               "github.com/cert-manager/cert-manager",
		"github.com/prometheus-operator/prometheus-operator": "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring",
	} {
		have, want := moduleVersion(t, "definitions/go.mod", module), moduleVersion(t, "../../charts/go.mod", same)
		if have != want {
			t.Errorf("%s is %s in definitions/go.mod, and %s in charts/go.mod", module, have, want)
		}
	}
}
