// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package sbom lists what is linked into programs as SPDX 2.3, from what Go recorded in the programs themselves.
package sbom

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	spdx "github.com/spdx/tools-golang/spdx/v2/v2_3"

	"noderestriction.plus/tools/release/gobuild"
)

const (
	document    = "DOCUMENT" // the identifier of a document in itself
	noAssertion = "NOASSERTION"
	supplier    = "The NodeRestriction-plus Authors"
	namespace   = "https://noderestriction.plus/spdx/"
	// standardLibrary is the name by which scanners know the standard library of Go.
	standardLibrary = "stdlib"
)

// Subject is what a document describes: an archive or an image with programs.
type Subject struct {
	Name    string // of the document, such as kubectl-nrp_v0.1.0_linux_amd64.tar.gz
	Version string
	Digest  string // of an image, in hexadecimal. Empty: the subject has no digest yet, since it contains the document or its name
	Purpose string // CONTAINER or ARCHIVE
}

// Licenses are SPDX expressions by the path of a module.
type Licenses map[string]string

// ReadLicenses reads the licences of linked modules from THIRD_PARTY_NOTICES.
func ReadLicenses(file string) (Licenses, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	licenses := Licenses{}
	for _, m := range regexp.MustCompile(`(?m)^(\S.*): ([A-Z][\w.-]*(?:, [A-Z][\w.-]*)*)$`).FindAllSubmatch(data, -1) {
		if module := string(m[1]); licenses[module] == "" { // the list comes first, before the texts
			licenses[module] = strings.ReplaceAll(string(m[2]), ", ", " AND ")
		}
	}
	if standard, found := licenses["the Go standard library"]; found {
		licenses[standardLibrary] = standard
	}
	if len(licenses) == 0 {
		return nil, fmt.Errorf("%s: has no line <module>: <licence>", file)
	}
	return licenses, nil
}

// Document returns the SBOM of the programs in JSON. It is a function of its arguments: its time is that of the commit.
func Document(s Subject, licenses Licenses, programs []string) ([]byte, error) {
	d := &builder{licenses: licenses, seen: map[common.ElementID]bool{}}
	root := &spdx.Package{
		PackageName: s.Name, PackageSPDXIdentifier: "Subject", PackageVersion: s.Version, PrimaryPackagePurpose: s.Purpose,
		PackageLicenseDeclared: "Apache-2.0",
	}
	if s.Digest != "" {
		root.PackageChecksums = []common.Checksum{{Algorithm: common.SHA256, Value: s.Digest}}
	}
	d.add(root)
	d.relate(document, common.TypeRelationshipDescribe, root.PackageSPDXIdentifier)
	var created string
	content := sha256.New()
	for _, path := range programs {
		info, err := gobuild.Read(path)
		if err != nil {
			return nil, err
		}
		sum, err := d.program(root.PackageSPDXIdentifier, path, info)
		if err != nil {
			return nil, err
		}
		content.Write(sum)
		created = info.Time.Format("2006-01-02T15:04:05Z")
	}
	slices.SortFunc(d.relationships, func(a, b *spdx.Relationship) int {
		return cmp.Or(cmp.Compare(a.RefA.ElementRefID, b.RefA.ElementRefID), cmp.Compare(a.RefB.ElementRefID, b.RefB.ElementRefID))
	})
	var out bytes.Buffer
	err := json.Write(&spdx.Document{
		SPDXVersion: spdx.Version, DataLicense: spdx.DataLicense, SPDXIdentifier: document, DocumentName: s.Name,
		DocumentNamespace: namespace + url.PathEscape(s.Name) + "-" + hex.EncodeToString(content.Sum(nil)),
		CreationInfo: &spdx.CreationInfo{
			Creators: []common.Creator{{CreatorType: "Tool", Creator: "node-restriction-plus-release"}}, Created: created,
		},
		Packages: d.packages, Relationships: d.relationships,
	}, &out, json.Indent(" "), json.EscapeHTML(false))
	return out.Bytes(), err
}

type builder struct {
	licenses      Licenses
	packages      []*spdx.Package
	relationships []*spdx.Relationship
	seen          map[common.ElementID]bool
}

// program adds a program and the modules in it, and returns the SHA-256 of its file.
func (d *builder) program(parent common.ElementID, path string, info gobuild.Info) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	name := filepath.Base(path)
	program := &spdx.Package{
		PackageName: name, PackageSPDXIdentifier: identifier("Program", name, ""), PackageVersion: info.Version, PackageFileName: name,
		PrimaryPackagePurpose: "APPLICATION", PackageChecksums: []common.Checksum{{Algorithm: common.SHA256, Value: hex.EncodeToString(sum[:])}},
		PackageLicenseDeclared: "Apache-2.0", PackageExternalReferences: purl(info.Main.Path, info.Version),
	}
	d.add(program)
	d.relate(parent, common.TypeRelationshipContains, program.PackageSPDXIdentifier)
	d.module(program.PackageSPDXIdentifier, standardLibrary, strings.TrimPrefix(info.Go, "go"))
	for _, m := range info.Modules {
		d.module(program.PackageSPDXIdentifier, m.Path, m.Version)
	}
	return sum[:], nil
}

func (d *builder) module(program common.ElementID, path, version string) {
	license := d.licenses[path]
	if license == "" {
		license = noAssertion
	}
	p := &spdx.Package{
		PackageName: path, PackageSPDXIdentifier: identifier("Module", path, version), PackageVersion: version,
		PrimaryPackagePurpose: "LIBRARY", PackageLicenseDeclared: license, PackageExternalReferences: purl(path, version),
		PackageSupplier: &common.Supplier{Supplier: noAssertion},
	}
	d.add(p)
	d.relate(program, common.TypeRelationshipDependsOn, p.PackageSPDXIdentifier)
}

// add adds a package, once, with what is the same for all packages.
func (d *builder) add(p *spdx.Package) {
	if d.seen[p.PackageSPDXIdentifier] {
		return
	}
	d.seen[p.PackageSPDXIdentifier] = true
	p.PackageDownloadLocation, p.PackageLicenseConcluded, p.PackageCopyrightText = noAssertion, noAssertion, noAssertion
	p.IsFilesAnalyzedTagPresent = true // its value is false
	if p.PackageSupplier == nil {
		p.PackageSupplier = &common.Supplier{SupplierType: "Organization", Supplier: supplier}
	}
	d.packages = append(d.packages, p)
}

func (d *builder) relate(a common.ElementID, kind string, b common.ElementID) {
	d.relationships = append(d.relationships, &spdx.Relationship{
		RefA: common.DocElementID{ElementRefID: a}, RefB: common.DocElementID{ElementRefID: b}, Relationship: kind,
	})
}

// identifier returns an identifier of letters, digits, dots and hyphens, the characters that SPDX allows. Of different names with the
// same such characters, the hash tells which is which.
func identifier(kind, name, version string) common.ElementID {
	sum := sha256.Sum256([]byte(name + "@" + version))
	readable := regexp.MustCompile(`[^A-Za-z0-9.]+`).ReplaceAllString(name, "-")
	return common.ElementID(fmt.Sprintf("%s-%s-%s", kind, strings.Trim(readable, "-"), hex.EncodeToString(sum[:4])))
}

// purl returns a reference to a Go module by which scanners look for vulnerabilities.
func purl(path, version string) []*spdx.PackageExternalReference {
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		segments[i] = url.PathEscape(segment)
	}
	locator := "pkg:golang/" + strings.Join(segments, "/")
	if version != "" {
		locator += "@" + strings.ReplaceAll(url.PathEscape(version), "+", "%2B")
	}
	return []*spdx.PackageExternalReference{{
		Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL, Locator: locator,
	}}
}
