// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package dist makes the files of a release: archives of the programs, the image, the chart, install.yaml, the manifest for krew, SBOMs
// and checksums. All have the version that Go found in version control, and the same commit always gives the same bytes.
package dist

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"noderestriction.plus/tools/release/gobuild"
	"noderestriction.plus/tools/release/image"
	"noderestriction.plus/tools/release/sbom"
)

// Options say what a release is made of.
type Options struct {
	gobuild.Source
	Out       string             // directory of the files, which is replaced
	Image     name.Repository    // where the image will be pushed; the chart names it
	Images    []gobuild.Platform // of the image
	Plugins   []gobuild.Platform // of the command-line tool
	Downloads string             // URL below which each version has a directory with its files
	Helm      string             // path of helm
	Log       func(format string, args ...any)
}

type release struct {
	Options
	work     string // directory for what is not released
	version  string // such as v0.1.0
	info     gobuild.Info
	digest   string // of the image, such as sha256:…
	licenses sbom.Licenses
	helm     helm
}

// Write makes the files of a release and returns its version. The source must be committed; its version is that of the tag, which must
// agree with the chart and have a section in the changelog, or the pseudo-version of an untagged commit.
func Write(ctx context.Context, o Options) (version string, err error) {
	work, err := os.MkdirTemp("", "release-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	r := &release{Options: o, work: work}
	if err := r.prepare(ctx); err != nil {
		return "", err
	}
	o.Log("Version %s, commit %s, %s", r.version, r.info.Revision, r.info.Go)
	chart := ""
	for _, step := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"image", r.writeImage},
		{"archives of the webhook", func(ctx context.Context) error { return r.writeArchives(ctx, gobuild.Webhook(), r.Images) }},
		{"archives of the command-line tool", func(ctx context.Context) error { return r.writeArchives(ctx, gobuild.Plugin(), r.Plugins) }},
		{"chart", func(ctx context.Context) (err error) { chart, err = r.packageChart(ctx, r.Out); return err }},
		{"install.yaml", func(ctx context.Context) error { return r.writeInstall(ctx, chart, filepath.Join(r.Out, "install.yaml")) }},
		{"manifest for krew", func(context.Context) error { return r.writeKrew() }},
		{"checksums", func(context.Context) error { return writeChecksums(r.Out) }},
	} {
		if err := step.run(ctx); err != nil {
			return "", fmt.Errorf("%s: %w", step.name, err)
		}
		o.Log("%s: done", step.name)
	}
	return r.version, nil
}

// prepare finds the version, and refuses a source that cannot be released.
func (r *release) prepare(ctx context.Context) error {
	if len(r.Images) == 0 || len(r.Plugins) == 0 {
		return errors.New("a release needs platforms for the image and for the command-line tool")
	}
	path, err := r.build(ctx, gobuild.Webhook(), r.Images[0])
	if err != nil {
		return err
	}
	if r.info, err = gobuild.Read(path); err != nil {
		return err
	}
	if err := r.checkSource(); err != nil {
		return err
	}
	r.version = r.info.Version
	if r.licenses, err = sbom.ReadLicenses(filepath.Join(r.Root, "THIRD_PARTY_NOTICES")); err != nil {
		return err
	}
	r.helm = helm{path: r.Helm, home: filepath.Join(r.work, "helm"), epoch: r.info.Time.Unix()}
	if err := os.RemoveAll(r.Out); err != nil {
		return err
	}
	return os.MkdirAll(r.Out, 0o755)
}

func (r *release) checkSource() error {
	switch {
	case r.info.Version == "":
		return errors.New("go found no version: a release is made in a clone with git, not in an additional worktree or an unpacked archive")
	case r.info.Modified:
		return errors.New("the source has changes that are not committed: a release is made of a commit")
	}
	want, err := gobuild.ReleaseGo(r.Root)
	if err != nil {
		return err
	}
	if r.info.Go != want {
		return fmt.Errorf("this is %s, but releases are built with %s of the Dockerfile: set GOTOOLCHAIN=%s", r.info.Go, want, want)
	}
	if module.IsPseudoVersion(r.info.Version) {
		return nil
	}
	c, err := readChart(r.Root)
	if err != nil {
		return err
	}
	if c.AppVersion != r.info.Version || "v"+c.Version != r.info.Version {
		return fmt.Errorf("the tag is %s, but %s/Chart.yaml has the version %q and the appVersion %q", r.info.Version, chartDirectory,
			c.Version, c.AppVersion)
	}
	_, err = Notes(r.Root, r.info.Version)
	return err
}

func (r *release) prerelease() bool { return semver.Prerelease(r.version) != "" }

// build builds a program for a platform, or returns what it has already built.
func (r *release) build(ctx context.Context, program gobuild.Program, p gobuild.Platform) (string, error) {
	dir := filepath.Join(r.work, "bin", p.OS+"_"+p.Arch)
	path := filepath.Join(dir, p.Executable(program))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return r.Build(ctx, program, p, dir)
}

func (r *release) writeImage(ctx context.Context) error {
	var programs []image.Programs
	for _, p := range r.Images {
		built := image.Programs{Platform: p}
		for _, program := range []gobuild.Program{gobuild.Webhook(), gobuild.Plugin()} {
			path, err := r.build(ctx, program, p)
			if err != nil {
				return err
			}
			built.Paths = append(built.Paths, path)
		}
		programs = append(programs, built)
	}
	index, err := image.New(r.Root, programs, nil)
	if err != nil {
		return err
	}
	hash, err := index.Digest()
	if err != nil {
		return err
	}
	r.digest = hash.String()
	return WriteImage(index, programs, r.Image.Tag(r.version), r.licenses, filepath.Join(r.Out, imagePrefix(r.version)))
}

func (r *release) writeArchives(ctx context.Context, program gobuild.Program, platforms []gobuild.Platform) error {
	for _, p := range platforms {
		path, err := r.build(ctx, program, p)
		if err != nil {
			return err
		}
		name := archiveName(program, r.version, p)
		file := filepath.Join(r.Out, name)
		if err := writeArchive(file, r.Root, path, r.info.Time); err != nil {
			return err
		}
		sum, err := checksum(file)
		if err != nil {
			return err
		}
		subject := sbom.Subject{Name: name, Version: r.version, Digest: sum, Purpose: "ARCHIVE"}
		if err := writeSBOM(file+sbomExtension, subject, r.licenses, []string{path}); err != nil {
			return err
		}
	}
	return nil
}

func platformNames(platforms []gobuild.Platform) []string {
	var names []string
	for _, p := range platforms {
		names = append(names, p.String())
	}
	return names
}

// Notes returns the section of a version in the changelog.
func Notes(root, version string) (string, error) {
	data, err := os.ReadFile(filepath.Join(root, "CHANGELOG.md"))
	if err != nil {
		return "", err
	}
	number := strings.TrimPrefix(version, "v")
	_, rest, found := strings.Cut(string(data), "\n## ["+number+"]")
	if !found {
		return "", fmt.Errorf("CHANGELOG.md has no section for %s: rename Unreleased to [%s], with the date", version, number)
	}
	_, rest, _ = strings.Cut(rest, "\n") // the date
	notes, _, _ := strings.Cut(rest, "\n## ")
	return strings.TrimSpace(notes) + "\n", nil
}
