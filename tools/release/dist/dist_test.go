// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package dist_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"sigs.k8s.io/krew/pkg/index"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/tools/release/dist"
	"noderestriction.plus/tools/release/gobuild"
	"noderestriction.plus/tools/release/releasetest"
)

const repository = "registry.example.com/team/node-restriction-plus"

// helmPath returns the helm that the Makefile builds, or the one that NRP_HELM names.
func helmPath(t *testing.T) string {
	t.Helper()
	path := os.Getenv("NRP_HELM")
	if path == "" {
		out, err := exec.Command("make", "--no-print-directory", "-s", "-C", releasetest.Root(t), "helm-path").Output()
		releasetest.Check(t, err)
		path = strings.TrimSpace(string(out))
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("helm is not built: run make test-release, which builds it once, or set NRP_HELM to a helm binary: %v", err)
	}
	return path
}

// options are those of a release for few platforms, in a new directory.
func options(t *testing.T, source gobuild.Source) dist.Options {
	t.Helper()
	image, err := name.NewRepository(repository)
	releasetest.Check(t, err)
	return dist.Options{
		Source: source, Out: filepath.Join(t.TempDir(), "dist"), Image: image, Images: []gobuild.Platform{releasetest.Native()},
		Plugins:   []gobuild.Platform{releasetest.Native(), {OS: "windows", Arch: "amd64"}},
		Downloads: "https://example.com/releases/download", Helm: helmPath(t), Log: t.Logf,
	}
}

// project returns the source of a project whose programs are built with the Go of this test.
func project(t *testing.T, tag string) gobuild.Source {
	t.Helper()
	dir := releasetest.Project(t)
	releasetest.Write(t, filepath.Join(dir, "Dockerfile"), "FROM golang:"+strings.TrimPrefix(runtime.Version(), "go")+" AS build\n")
	return releasetest.Commit(t, dir, tag)
}

// TestEverythingHasTheVersionOfTheTag makes a release twice, in two directories.
func TestEverythingHasTheVersionOfTheTag(t *testing.T) {
	o, again := options(t, project(t, "v0.1.0")), options(t, project(t, "v0.1.0"))
	for _, o := range []dist.Options{o, again} {
		version, err := dist.Write(t.Context(), o)
		releasetest.Check(t, err)
		if version != "v0.1.0" {
			t.Fatalf("version %s", version)
		}
	}
	first, second := read(t, o.Out, dist.ChecksumsFile), read(t, again.Out, dist.ChecksumsFile)
	if !bytes.Equal(first, second) {
		t.Errorf("the checksums of one source in two directories differ:\n%s\n%s", first, second)
	}

	arch := runtime.GOARCH
	var files []string
	entries, err := os.ReadDir(o.Out)
	releasetest.Check(t, err)
	for _, entry := range entries {
		files = append(files, entry.Name())
	}
	want := []string{
		"checksums.txt", "install.yaml", "nrp.yaml", "node-restriction-plus-0.1.0.tgz",
		"kubectl-nrp_v0.1.0_linux_" + arch + ".tar.gz", "kubectl-nrp_v0.1.0_linux_" + arch + ".tar.gz.spdx.json",
		"kubectl-nrp_v0.1.0_windows_amd64.zip", "kubectl-nrp_v0.1.0_windows_amd64.zip.spdx.json",
		"node-restriction-plus_v0.1.0_linux_" + arch + ".tar.gz", "node-restriction-plus_v0.1.0_linux_" + arch + ".tar.gz.spdx.json",
		"node-restriction-plus_v0.1.0_image_oci.tar", "node-restriction-plus_v0.1.0_image_linux_" + arch + ".tar",
		"node-restriction-plus_v0.1.0_image_linux_" + arch + ".spdx.json",
	}
	slices.Sort(want)
	if !slices.Equal(files, want) {
		t.Errorf("files %q\nwant %q", files, want)
	}

	t.Run("checksums", func(t *testing.T) { testChecksums(t, o.Out) })
	t.Run("archives", func(t *testing.T) { testArchives(t, o.Out) })
	t.Run("chart and install.yaml", func(t *testing.T) { testChart(t, o) })
	t.Run("manifest for krew", func(t *testing.T) { testKrew(t, o.Out) })
	t.Run("push", func(t *testing.T) { testPush(t, o) })
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	releasetest.Check(t, err)
	return data
}

// testChecksums has the tool that users have check the checksums, and finds a changed file.
func testChecksums(t *testing.T, dir string) {
	check := func() (string, error) {
		cmd := exec.Command("sha256sum", "--check", "--strict", dist.ChecksumsFile)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := check(); err != nil || strings.Count(out, ": OK") != 12 {
		t.Errorf("%v\n%s", err, out)
	}
	install := read(t, dir, "install.yaml")
	releasetest.Write(t, filepath.Join(dir, "install.yaml"), string(install)+"# changed\n")
	if out, err := check(); err == nil || !strings.Contains(out, "install.yaml: FAILED") {
		t.Errorf("a changed file is not found: %v\n%s", err, out)
	}
	releasetest.Write(t, filepath.Join(dir, "install.yaml"), string(install))
}

func testArchives(t *testing.T, dir string) {
	for _, program := range []string{"kubectl-nrp", "node-restriction-plus"} {
		files := readTarGz(t, read(t, dir, program+"_v0.1.0_linux_"+runtime.GOARCH+".tar.gz"))
		if names := slices.Sorted(maps.Keys(files)); !slices.Equal(names, slices.Sorted(slices.Values([]string{"LICENSE", "THIRD_PARTY_NOTICES", program}))) {
			t.Errorf("%s: files %q", program, names)
		}
		path := filepath.Join(t.TempDir(), program)
		releasetest.Check(t, os.WriteFile(path, files[program], 0o755))
		if out, err := exec.Command(path).Output(); err != nil || string(out) != "v0.1.0\n" {
			t.Errorf("%s says %q: %v", program, out, err)
		}
	}
	data := read(t, dir, "kubectl-nrp_v0.1.0_windows_amd64.zip")
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	releasetest.Check(t, err)
	var names []string
	for _, f := range archive.File {
		names = append(names, f.Name)
	}
	if !slices.Equal(names, []string{"kubectl-nrp.exe", "LICENSE", "THIRD_PARTY_NOTICES"}) {
		t.Errorf("files %q", names)
	}
}

// readTarGz returns the files of an archive, by name.
func readTarGz(t *testing.T, data []byte) map[string][]byte {
	t.Helper()
	plain, err := gzip.NewReader(bytes.NewReader(data))
	releasetest.Check(t, err)
	files := map[string][]byte{}
	for r := tar.NewReader(plain); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		releasetest.Check(t, err)
		if files[header.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

// testChart checks that the chart and install.yaml install the image of the release by its digest.
func testChart(t *testing.T, o dist.Options) {
	files := readTarGz(t, read(t, o.Out, "node-restriction-plus-0.1.0.tgz"))
	var chart struct {
		Version     string            `json:"version"`
		AppVersion  string            `json:"appVersion"`
		Annotations map[string]string `json:"annotations"`
	}
	releasetest.Check(t, yaml.Unmarshal(files["node-restriction-plus/Chart.yaml"], &chart))
	if chart.Version != "0.1.0" || chart.AppVersion != "v0.1.0" || chart.Annotations["artifacthub.io/prerelease"] != "false" {
		t.Errorf("chart %+v", chart)
	}
	var values struct {
		Image struct{ Repository, Digest, Tag string } `json:"image"`
	}
	releasetest.Check(t, yaml.Unmarshal(files["node-restriction-plus/values.yaml"], &values))
	if values.Image.Repository != repository || !strings.HasPrefix(values.Image.Digest, "sha256:") || values.Image.Tag != "" {
		t.Errorf("image %+v", values.Image)
	}
	var images []struct{ Image string }
	releasetest.Check(t, yaml.Unmarshal([]byte(chart.Annotations["artifacthub.io/images"]), &images))
	if len(images) != 1 || images[0].Image != repository+":v0.1.0@"+values.Image.Digest {
		t.Errorf("images %+v", images)
	}
	install := string(read(t, o.Out, "install.yaml"))
	var used []string
	for _, m := range regexp.MustCompile(`(?m)^ +image: "?([^"\n]+)"?$`).FindAllStringSubmatch(install, -1) {
		used = append(used, m[1])
	}
	if len(used) == 0 || slices.ContainsFunc(used, func(image string) bool { return image != repository+"@"+values.Image.Digest }) {
		t.Errorf("install.yaml has the images %q", used)
	}
	for _, want := range []string{"# NodeRestriction-plus v0.1.0 for kubectl", "app.kubernetes.io/version: v0.1.0", "kind: Namespace"} {
		if !strings.Contains(install, want) {
			t.Errorf("install.yaml lacks %q", want)
		}
	}
	if strings.Contains(install, "helm.sh/hook") {
		t.Error("install.yaml has a hook of Helm, which kubectl would apply as an object")
	}
	table := string(files["node-restriction-plus/README.md"])
	if !strings.Contains(table, "| `image.digest` | `\""+values.Image.Digest+"\"`") {
		t.Error("the table of values in the chart's README lacks the digest")
	}
}

// testKrew has krew's own programs validate the manifest, and install from it.
func testKrew(t *testing.T, dir string) {
	manifest := filepath.Join(dir, "nrp.yaml")
	if out, err := exec.Command("go", "tool", "validate-krew-manifest", "-manifest="+manifest, "-skip-install").CombinedOutput(); err != nil {
		t.Fatalf("validate-krew-manifest: %v\n%s", err, out)
	}
	var plugin index.Plugin
	releasetest.Check(t, yaml.UnmarshalStrict(read(t, dir, "nrp.yaml"), &plugin))
	if plugin.Spec.Version != "v0.1.0" || len(plugin.Spec.Platforms) != 2 || len(plugin.Spec.ShortDescription) > 50 {
		t.Errorf("plugin %+v", plugin.Spec)
	}
	archive := "kubectl-nrp_v0.1.0_linux_" + runtime.GOARCH + ".tar.gz"
	if uri := plugin.Spec.Platforms[0].URI; uri != "https://example.com/releases/download/v0.1.0/"+archive {
		t.Errorf("URI %s", uri)
	}
	home := t.TempDir()
	cmd := exec.Command("go", "tool", "krew", "install", "--manifest="+manifest, "--archive="+filepath.Join(dir, archive))
	cmd.Env = append(os.Environ(), "KREW_ROOT="+home, "KREW_OS=linux", "KREW_ARCH="+runtime.GOARCH, "KREW_NO_UPGRADE_CHECK=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("krew install: %v\n%s", err, out)
	}
	if out, err := exec.Command(filepath.Join(home, "bin", "kubectl-nrp")).Output(); err != nil || string(out) != "v0.1.0\n" {
		t.Errorf("the installed plugin says %q: %v", out, err)
	}
	if _, err := os.Stat(filepath.Join(home, "store", "nrp", "v0.1.0", "LICENSE")); err != nil {
		t.Errorf("krew does not install the licence: %v", err)
	}
}
