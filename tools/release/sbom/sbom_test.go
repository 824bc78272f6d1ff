// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package sbom_test

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spdx/tools-golang/json"
	spdx "github.com/spdx/tools-golang/spdx/v2/v2_3"
	"github.com/spdx/tools-golang/spdxlib"

	"noderestriction.plus/tools/release/releasetest"
	"noderestriction.plus/tools/release/sbom"
)

// TestDocument lists what is linked into the program of this module, whose modules have paths of several kinds.
func TestDocument(t *testing.T) {
	program := filepath.Join(t.TempDir(), "release")
	build := exec.Command("go", "build", "-o", program, "noderestriction.plus/tools/release")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	licenses := sbom.Licenses{"sigs.k8s.io/yaml": "MIT AND BSD-3-Clause", "stdlib": "BSD-3-Clause"}
	subject := sbom.Subject{Name: "example/image:v0.1.0 for linux/amd64", Version: "v0.1.0", Digest: strings.Repeat("a", 64), Purpose: "CONTAINER"}
	data, err := sbom.Document(subject, licenses, []string{program, program})
	releasetest.Check(t, err)
	again, err := sbom.Document(subject, licenses, []string{program, program})
	releasetest.Check(t, err)
	if !bytes.Equal(data, again) {
		t.Error("two documents of one program differ")
	}
	var doc spdx.Document
	releasetest.Check(t, json.ReadInto(bytes.NewReader(data), &doc))
	releasetest.Check(t, spdxlib.ValidateDocument(&doc))
	if doc.SPDXVersion != "SPDX-2.3" || doc.DataLicense != "CC0-1.0" || !strings.HasPrefix(doc.DocumentNamespace, "https://") {
		t.Errorf("document %s, %s, %s", doc.SPDXVersion, doc.DataLicense, doc.DocumentNamespace)
	}
	locators := map[string]string{} // licences
	for _, p := range doc.Packages {
		if !regexp.MustCompile(`^[A-Za-z0-9.-]+$`).MatchString(string(p.PackageSPDXIdentifier)) {
			t.Errorf("identifier %q", p.PackageSPDXIdentifier)
		}
		if p.FilesAnalyzed {
			t.Errorf("%s claims that its files were analyzed", p.PackageName)
		}
		for _, r := range p.PackageExternalReferences {
			locators[r.Locator] = p.PackageLicenseDeclared
		}
	}
	for pattern, license := range map[string]string{
		`^pkg:golang/stdlib@1\.\d+\.\d+$`: "BSD-3-Clause", `^pkg:golang/sigs\.k8s\.io/yaml@v1`: "MIT AND BSD-3-Clause",
		`^pkg:golang/github\.com/spdx/tools-golang@v0`: "NOASSERTION",
	} {
		found := false
		for locator, got := range locators {
			if regexp.MustCompile(pattern).MatchString(locator) {
				found = true
				if got != license {
					t.Errorf("%s: licence %q, want %q", locator, got, license)
				}
			}
		}
		if !found {
			t.Errorf("no package is %s, there are %v", pattern, locators)
		}
	}
}

// TestLicenses reads the notices of the project, which name a licence for each module.
func TestLicenses(t *testing.T) {
	licenses, err := sbom.ReadLicenses(filepath.Join(releasetest.Root(t), "THIRD_PARTY_NOTICES"))
	releasetest.Check(t, err)
	for module, want := range map[string]string{
		"k8s.io/apimachinery": "Apache-2.0", "github.com/prometheus/client_golang": "Apache-2.0 AND BSD-3-Clause", "stdlib": "BSD-3-Clause",
	} {
		if got := licenses[module]; !strings.Contains(got, want) {
			t.Errorf("%s: licence %q, want %q", module, got, want)
		}
	}
	empty := filepath.Join(t.TempDir(), "notices")
	releasetest.Write(t, empty, "nothing\n")
	if _, err := sbom.ReadLicenses(empty); err == nil || !strings.Contains(err.Error(), "has no line <module>: <licence>") {
		t.Errorf("error %v", err)
	}
}
