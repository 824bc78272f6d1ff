// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package dist_test

import (
	"io"
	"log"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/tools/release/dist"
	"noderestriction.plus/tools/release/gobuild"
	"noderestriction.plus/tools/release/releasetest"
)

// testPush pushes the image and the chart to a registry, as the release workflow does. The image then has the digest in the chart.
func testPush(t *testing.T, o dist.Options) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	tag, err := name.NewTag(host + "/team/node-restriction-plus:v0.1.0")
	releasetest.Check(t, err)
	pushed, err := dist.PushImage(t.Context(), o.Out, tag)
	releasetest.Check(t, err)
	index, err := remote.Index(pushed)
	releasetest.Check(t, err)
	releasetest.Check(t, validate.Index(index))

	out, err := exec.Command(o.Helm, "push", filepath.Join(o.Out, "node-restriction-plus-0.1.0.tgz"), "oci://"+host+"/team/charts",
		"--plain-http").CombinedOutput()
	if err != nil {
		t.Fatalf("helm push: %v\n%s", err, out)
	}
	chart := "oci://" + host + "/team/charts/node-restriction-plus"
	out, err = exec.Command(o.Helm, "show", "values", chart, "--version=0.1.0", "--plain-http").Output()
	if err != nil {
		t.Fatalf("helm show values: %v", err)
	}
	var values struct {
		Image struct{ Digest string } `json:"image"`
	}
	releasetest.Check(t, yaml.Unmarshal(out, &values))
	if values.Image.Digest != pushed.DigestStr() {
		t.Errorf("the chart installs %s, and the registry has %s", values.Image.Digest, pushed.DigestStr())
	}
}

func TestUntaggedCommitHasItsPseudoVersion(t *testing.T) {
	o := options(t, project(t, ""))
	o.Plugins = o.Images
	version, err := dist.Write(t.Context(), o)
	releasetest.Check(t, err)
	if !strings.HasPrefix(version, "v0.0.0-20261201100000-") {
		t.Errorf("version %s", version)
	}
	files := readTarGz(t, read(t, o.Out, "node-restriction-plus-"+strings.TrimPrefix(version, "v")+".tgz"))
	if chart := string(files["node-restriction-plus/Chart.yaml"]); !strings.Contains(chart, "appVersion: "+version) ||
		!strings.Contains(chart, `artifacthub.io/prerelease: "true"`) {
		t.Errorf("Chart.yaml:\n%s", chart)
	}
}

// TestRefusedSources checks that what would give a wrong release gives none.
func TestRefusedSources(t *testing.T) {
	for _, test := range []struct {
		name, problem string
		source        func(t *testing.T) gobuild.Source
	}{
		{"without version control", "go found no version", func(t *testing.T) gobuild.Source {
			return gobuild.Source{Root: releasetest.Project(t)}
		}},
		{"with changes", "the source has changes that are not committed", func(t *testing.T) gobuild.Source {
			source := project(t, "v0.1.0")
			releasetest.Write(t, filepath.Join(source.Root, "LICENSE"), "Another licence.\n")
			return source
		}},
		{
			"with a tag that the chart does not have", `the tag is v0.2.0, but charts/node-restriction-plus/Chart.yaml has the version "0.1.0"`,
			func(t *testing.T) gobuild.Source { return project(t, "v0.2.0") },
		},
		{
			"with a version that the changelog does not have", "CHANGELOG.md has no section for v0.1.0: rename Unreleased to [0.1.0], with the date",
			func(t *testing.T) gobuild.Source {
				source := project(t, "")
				releasetest.Write(t, filepath.Join(source.Root, "CHANGELOG.md"), "# Changelog\n\n## [Unreleased]\n\n- Everything.\n")
				releasetest.Git(t, source.Root, "commit", "--quiet", "--all", "--message=changelog")
				releasetest.Git(t, source.Root, "tag", "v0.1.0")
				return source
			},
		},
		{
			"with another version of Go than the Dockerfile", "but releases are built with go1.2.3 of the Dockerfile: set GOTOOLCHAIN=go1.2.3",
			func(t *testing.T) gobuild.Source {
				dir := releasetest.Project(t)
				releasetest.Write(t, filepath.Join(dir, "Dockerfile"), "FROM golang:1.2.3 AS build\n")
				return releasetest.Commit(t, dir, "v0.1.0")
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := dist.Write(t.Context(), options(t, test.source(t)))
			if err == nil || !strings.Contains(err.Error(), test.problem) {
				t.Errorf("error %v, want %q", err, test.problem)
			}
		})
	}
}

// TestInstall renders install.yaml without building anything.
func TestInstall(t *testing.T) {
	source := gobuild.Source{Root: releasetest.Project(t)}
	digest := "sha256:" + strings.Repeat("0a", 32)
	file := filepath.Join(t.TempDir(), "install.yaml")
	releasetest.Check(t, dist.WriteInstall(t.Context(), options(t, source), "v0.1.0", digest, file))
	if text := string(read(t, filepath.Dir(file), "install.yaml")); !strings.Contains(text, repository+"@"+digest) {
		t.Error("install.yaml lacks the image")
	}
	values := filepath.Join(source.Root, "charts/node-restriction-plus")
	text := string(read(t, values, "values.yaml"))
	releasetest.Write(t, filepath.Join(values, "values.yaml"), strings.Replace(text, "\n  digest: \"\"\n", "\n  digest: ''\n", 1))
	for _, test := range []struct{ name, version, digest, problem string }{
		{"no digest", "v0.1.0", "", `digest "": must be sha256: and 64 hexadecimal digits`},
		{"no version", "0.1.0", digest, `version "0.1.0": must be a version such as v0.1.0`},
		{"values whose digest cannot be replaced", "v0.1.0", digest, "must match once, and matches 0 times"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := dist.WriteInstall(t.Context(), options(t, source), test.version, test.digest, file)
			if err == nil || !strings.Contains(err.Error(), test.problem) {
				t.Errorf("error %v, want %q", err, test.problem)
			}
		})
	}
}

func TestNotes(t *testing.T) {
	notes, err := dist.Notes(releasetest.Project(t), "v0.1.0")
	releasetest.Check(t, err)
	if notes != "### Added\n\n- Everything.\n" {
		t.Errorf("notes %q", notes)
	}
}

func TestPushNeedsOneImage(t *testing.T) {
	tag, err := name.NewTag("localhost:1/image:v0.1.0")
	releasetest.Check(t, err)
	dir := t.TempDir()
	if _, err := dist.PushImage(t.Context(), dir, tag); err == nil || !strings.Contains(err.Error(), "must have one file *oci.tar, and has 0") {
		t.Errorf("error %v", err)
	}
}
