// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package profiles_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
)

// foreign returns the files of the CRDs of other projects whose kinds the chart renders, by module.
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

// definitions returns the CRDs of all kinds of the chart, those of other projects in the versions of definitions/go.mod.
func definitions(t *testing.T) []byte {
	t.Helper()
	own, err := product.CRD()
	suite.Check(t, err)
	all := [][]byte{own}
	for module, files := range foreign() {
		dir, err := binaries.ModuleDir(t.Context(), "e2e/profiles/definitions", module)
		suite.Check(t, err)
		for _, file := range files {
			data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(file)))
			suite.Check(t, err)
			all = append(all, data)
		}
	}
	return bytes.Join(all, []byte("\n---\n"))
}

// TestDefinitionsAreOfTheSameVersions compares the versions of the CRDs with those of the types that the tests of the chart use.
func TestDefinitionsAreOfTheSameVersions(t *testing.T) {
	for module, same := range map[string]string{
		"github.com/cert-manager/cert-manager":               "github.com/cert-manager/cert-manager",
		"github.com/prometheus-operator/prometheus-operator": "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring",
	} {
		have, err := binaries.ModuleVersion("definitions/go.mod", module)
		suite.Check(t, err)
		want, err := binaries.ModuleVersion("../../charts/go.mod", same)
		suite.Check(t, err)
		if have != want {
			t.Errorf("%s is %s in definitions/go.mod, and %s in charts/go.mod", module, have, want)
		}
	}
}
