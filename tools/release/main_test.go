//go:build unix

// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"noderestriction.plus/tools/release/gobuild"
	"noderestriction.plus/tools/release/image"
	"noderestriction.plus/tools/release/releasetest"
)

// TestImageRuns builds the image of the project itself for this architecture, unpacks the archive that container runtimes load, and runs
// both programs of it: in this root file system and as its user, if the test is root. The profile is left out, because with it every
// package would be compiled again.
func TestImageRuns(t *testing.T) {
	root, dir := releasetest.Root(t), filepath.Join(t.TempDir(), "image")
	platforms := []gobuild.Platform{releasetest.Native()}
	programs, err := build(t.Context(), gobuild.Source{Root: root, Flags: []string{"-pgo=off"}}, platforms, t.TempDir())
	releasetest.Check(t, err)
	tag, err := imageTag(root, "node-restriction-plus")
	releasetest.Check(t, err)
	var out bytes.Buffer
	releasetest.Check(t, writeImage(&out, root, dir, programs, nil, tag))
	digest, err := os.ReadFile(filepath.Join(dir, "digest"))
	releasetest.Check(t, err)
	if got := tag.String() + "@" + string(digest); out.String() != got {
		t.Errorf("printed %q, want %q", out.String(), got)
	}

	archive := filepath.Join(dir, "linux_"+runtime.GOARCH+".tar")
	loaded, err := tarball.ImageFromPath(archive, &tag)
	releasetest.Check(t, err)
	config, err := loaded.ConfigFile()
	releasetest.Check(t, err)
	rootfs := t.TempDir()
	unpack(t, mutate.Extract(loaded), rootfs)
	for _, program := range []string{config.Config.Entrypoint[0], "/kubectl-nrp"} {
		output, err := runIn(rootfs, program, "version")
		if err != nil || !strings.HasPrefix(output, strings.TrimPrefix(program, "/")+" ") {
			t.Errorf("%s version: %v\n%s", program, err, output)
		}
	}
	// The SBOM names what go.mod does.
	var document struct{ Packages []struct{ Name string } }
	data, err := os.ReadFile(filepath.Join(dir, "linux_"+runtime.GOARCH+".spdx.json"))
	releasetest.Check(t, err)
	releasetest.Check(t, json.Unmarshal(data, &document))
	names := map[string]bool{}
	for _, p := range document.Packages {
		names[p.Name] = true
	}
	for _, want := range []string{"stdlib", "k8s.io/apimachinery", "sigs.k8s.io/controller-runtime", "node-restriction-plus", "kubectl-nrp"} {
		if !names[want] {
			t.Errorf("the SBOM lacks %s", want)
		}
	}
}

// unpack writes the files of an image into a directory.
func unpack(t *testing.T, in io.ReadCloser, dir string) {
	t.Helper()
	defer in.Close()
	var files []image.File
	for r := tar.NewReader(in); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		releasetest.Check(t, err)
		data, err := io.ReadAll(r)
		releasetest.Check(t, err)
		files = append(files, image.File{
			Path: strings.TrimSuffix(header.Name, "/"), Mode: header.FileInfo().Mode(), Owner: header.Uid, Data: data,
		})
	}
	releasetest.Check(t, image.WriteFiles(dir, files))
}

// runIn runs a program of a root file system.
func runIn(rootfs, program string, args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(rootfs, program), args...)
	if os.Geteuid() == 0 && runtime.GOOS == "linux" {
		if err := os.Chmod(rootfs, 0o755); err != nil {
			return "", err
		}
		cmd = exec.Command(program, args...)
		cmd.Dir, cmd.Env = "/", []string{"HOME=/home/nonroot"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: rootfs, Credential: &syscall.Credential{Uid: image.User, Gid: image.User}}
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestFlags checks that wrong arguments are named.
func TestFlags(t *testing.T) {
	for _, test := range []struct {
		name, problem string
		args          []string
	}{
		{"no command", "give a command", nil},
		{"an unknown command", "give a command", []string{"images"}},
		{"image without a directory", "-o: name a directory", []string{"image"}},
		{"image with another platform", `-platforms: platform "linux" must be`, []string{"image", "-C=../..", "-o=x", "-platforms=linux"}},
		{"image with a wrong name", "-name: ", []string{"image", "-C=../..", "-o=x", "-name=Upper/Case"}},
		{"image with an argument", `image: wants 0 arguments, and has ["x"]`, []string{"image", "x"}},
		{"image on a base that is not pinned", `base "gcr.io/base:latest": must be pinned`, []string{"image", "-C=../..", "-o=x", "-base=gcr.io/base:latest"}},
		{"dist without helm", "-o and -helm: must be given", []string{"dist", "-o=x"}},
		{"dist without an image", "-image: ", []string{"dist", "-o=x", "-helm=helm"}},
		{"install without a digest", `digest "": must be sha256:`, []string{"install", "-C=../..", "-o=x", "-helm=helm", "-image=a/b", "-version=v0.1.0"}},
		{"notes of no version", "notes: wants 1 arguments", []string{"notes"}},
		{"push without a tag", "the image must have a tag", []string{"push", "-dir=x", "ghcr.io/example/image"}},
		{"rootfs without a platform", `-platform: platform "" must be`, []string{"rootfs", "-o=x"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := run(t.Context(), io.Discard, test.args)
			if err == nil || !strings.Contains(err.Error(), test.problem) {
				t.Errorf("error %v, want %q", err, test.problem)
			}
		})
	}
}

// TestImageTag checks that the image has the tag that the chart of the source installs, unless it is given another.
func TestImageTag(t *testing.T) {
	for text, want := range map[string]string{
		"node-restriction-plus": "node-restriction-plus:v0.1.0", "registry.example.com/a:dev": "registry.example.com/a:dev",
	} {
		tag, err := imageTag(releasetest.Project(t), text)
		releasetest.Check(t, err)
		if tag.String() != want {
			t.Errorf("tag %s, want %s", tag, want)
		}
	}
}
