// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package image_test

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"noderestriction.plus/tools/release/gobuild"
	"noderestriction.plus/tools/release/image"
	"noderestriction.plus/tools/release/releasetest"
)

func platforms() []gobuild.Platform {
	return []gobuild.Platform{{OS: "linux", Arch: "amd64"}, {OS: "linux", Arch: "arm64"}}
}

// buildPrograms builds the programs of a project.
func buildPrograms(t *testing.T, source gobuild.Source, platforms ...gobuild.Platform) []image.Programs {
	t.Helper()
	var programs []image.Programs
	for _, p := range platforms {
		built := image.Programs{Platform: p}
		dir := t.TempDir()
		for _, program := range []gobuild.Program{gobuild.Webhook(), gobuild.Plugin()} {
			path, err := source.Build(t.Context(), program, p, dir)
			releasetest.Check(t, err)
			built.Paths = append(built.Paths, path)
		}
		programs = append(programs, built)
	}
	return programs
}

func newImage(t *testing.T, root string, programs []image.Programs, base *image.Base) v1.ImageIndex {
	t.Helper()
	index, err := image.New(root, programs, base)
	releasetest.Check(t, err)
	return index
}

func digest(t *testing.T, of interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	hash, err := of.Digest()
	releasetest.Check(t, err)
	return hash.String()
}

// TestImage makes the image of one project, for two platforms.
func TestImage(t *testing.T) {
	source := releasetest.Commit(t, releasetest.Project(t), "v0.1.0")
	programs := buildPrograms(t, source, platforms()...)
	index := newImage(t, source.Root, programs, nil)
	amd64, err := image.ForPlatform(index, platforms()[0])
	releasetest.Check(t, err)

	t.Run("the same source has the same digest", func(t *testing.T) {
		again := releasetest.Commit(t, releasetest.Project(t), "v0.1.0")
		if first, second := digest(t, index), digest(t, newImage(t, again.Root, buildPrograms(t, again, platforms()...), nil)); first != second {
			t.Errorf("the digests of one source in two directories are %s and %s", first, second)
		}
		releasetest.Write(t, filepath.Join(again.Root, "LICENSE"), "Another licence.\n")
		if digest(t, newImage(t, again.Root, programs, nil)) == digest(t, index) {
			t.Error("another licence has the same digest")
		}
	})
	t.Run("config", func(t *testing.T) { testConfig(t, index) })
	t.Run("files", func(t *testing.T) { testFiles(t, amd64) })
	t.Run("Dockerfile", func(t *testing.T) { testDockerfile(t, amd64) })
	t.Run("archive", func(t *testing.T) { testArchive(t, amd64) })
	t.Run("base", func(t *testing.T) { testBase(t, source.Root, programs, index) })
	t.Run("push to a registry with referrers", func(t *testing.T) { testPush(t, index, true) })
	t.Run("push to a registry that keeps referrers under a tag", func(t *testing.T) { testPush(t, index, false) })
}

func testConfig(t *testing.T, index v1.ImageIndex) {
	for _, p := range platforms() {
		one, err := image.ForPlatform(index, p)
		releasetest.Check(t, err)
		config, err := one.ConfigFile()
		releasetest.Check(t, err)
		manifest, err := one.Manifest()
		releasetest.Check(t, err)
		if config.OS != p.OS || config.Architecture != p.Arch || config.Created.UTC().Hour() != 10 {
			t.Errorf("%s: config is for %s/%s, of %s", p, config.OS, config.Architecture, config.Created)
		}
		for key, want := range map[string]string{
			"org.opencontainers.image.version": "v0.1.0", "org.opencontainers.image.created": "2026-12-01T10:00:00Z",
			"org.opencontainers.image.licenses": "Apache-2.0",
		} {
			if config.Config.Labels[key] != want || manifest.Annotations[key] != want {
				t.Errorf("%s: label %s is %q, annotation %q, want %q", p, key, config.Config.Labels[key], manifest.Annotations[key], want)
			}
		}
		if revision := config.Config.Labels["org.opencontainers.image.revision"]; len(revision) != 40 {
			t.Errorf("%s: revision %q", p, revision)
		}
	}
	if _, err := image.ForPlatform(index, gobuild.Platform{OS: "linux", Arch: "s390x"}); err == nil {
		t.Error("the image has s390x")
	}
}

// TestWithoutVersionControl checks that an image of an unpacked archive has no invented version or time.
func TestWithoutVersionControl(t *testing.T) {
	root := releasetest.Project(t)
	programs := buildPrograms(t, gobuild.Source{Root: root}, platforms()[0])
	one, err := image.ForPlatform(newImage(t, root, programs, nil), platforms()[0])
	releasetest.Check(t, err)
	config, err := one.ConfigFile()
	releasetest.Check(t, err)
	if _, found := config.Config.Labels["org.opencontainers.image.version"]; found || config.Created.Unix() != 0 {
		t.Errorf("labels %v, created %s", config.Config.Labels, config.Created)
	}
}

// newRegistry returns the host of a registry on loopback.
func newRegistry(t *testing.T, options ...registry.Option) string {
	t.Helper()
	server := httptest.NewServer(registry.New(append(options, registry.Logger(log.New(io.Discard, "", 0)))...))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func newTag(t *testing.T, text string) name.Tag {
	t.Helper()
	tag, err := name.NewTag(text)
	releasetest.Check(t, err)
	return tag
}

func testPush(t *testing.T, index v1.ImageIndex, referrers bool) {
	tag := newTag(t, newRegistry(t, registry.WithReferrersSupport(referrers))+"/example/image:v0.1.0")
	sboms := map[gobuild.Platform][]byte{platforms()[0]: []byte(`{"spdxVersion":"SPDX-2.3"}`)}
	pushed, err := image.Push(t.Context(), tag, index, sboms)
	releasetest.Check(t, err)
	if pushed.DigestStr() != digest(t, index) {
		t.Errorf("pushed %s, want %s", pushed, digest(t, index))
	}
	one, err := image.ForPlatform(pull(t, pushed), platforms()[0])
	releasetest.Check(t, err)
	checkSBOM(t, tag.Digest(digest(t, one)), string(sboms[platforms()[0]]))
}

// pull returns a valid index from a registry.
func pull(t *testing.T, reference name.Digest) v1.ImageIndex {
	t.Helper()
	index, err := remote.Index(reference)
	releasetest.Check(t, err)
	releasetest.Check(t, validate.Index(index))
	return index
}

// checkSBOM checks that an image has one artifact that refers to it, with this content.
func checkSBOM(t *testing.T, of name.Digest, want string) {
	t.Helper()
	referrers, err := remote.Referrers(of)
	releasetest.Check(t, err)
	list, err := referrers.IndexManifest()
	releasetest.Check(t, err)
	if len(list.Manifests) != 1 {
		t.Fatalf("referrers %+v", list.Manifests)
	}
	artifact, err := remote.Image(of.Context().Digest(list.Manifests[0].Digest.String()))
	releasetest.Check(t, err)
	manifest, err := artifact.Manifest()
	releasetest.Check(t, err)
	if manifest.ArtifactType != "application/spdx+json" || manifest.Subject == nil || manifest.Subject.Digest.String() != of.DigestStr() {
		t.Errorf("manifest %+v", manifest)
	}
	layers, err := artifact.Layers()
	releasetest.Check(t, err)
	content, err := layers[0].Compressed()
	releasetest.Check(t, err)
	defer content.Close()
	data, err := io.ReadAll(content)
	releasetest.Check(t, err)
	if len(layers) != 1 || string(data) != want {
		t.Errorf("%d layers, content %s", len(layers), data)
	}
}

func testBase(t *testing.T, root string, programs []image.Programs, index v1.ImageIndex) {
	host := newRegistry(t)
	pushed, err := image.Push(t.Context(), newTag(t, host+"/base:latest"), index, nil)
	releasetest.Check(t, err)
	base, err := image.PullBase(t.Context(), pushed.String())
	releasetest.Check(t, err)
	built, err := image.Push(t.Context(), newTag(t, host+"/image:latest"), newImage(t, root, programs, base), nil)
	releasetest.Check(t, err)
	one, err := image.ForPlatform(pull(t, built), platforms()[1])
	releasetest.Check(t, err)
	config, err := one.ConfigFile()
	releasetest.Check(t, err)
	labels := config.Config.Labels
	if labels["org.opencontainers.image.base.digest"] != pushed.DigestStr() || labels["org.opencontainers.image.base.name"] != host+"/base" {
		t.Errorf("labels %v", labels)
	}
	if len(config.RootFS.DiffIDs) != 4 {
		t.Errorf("%d layers, want those of the base and two more", len(config.RootFS.DiffIDs))
	}
	for _, test := range []struct{ name, reference, problem string }{
		{"a tag is not pinned", host + "/base:latest", "must be pinned as <image>@sha256:<digest>"},
		{"a digest that the registry lacks", host + "/base@sha256:" + strings.Repeat("0", 64), "must be an index of images that a registry has"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := image.PullBase(t.Context(), test.reference); err == nil || !strings.Contains(err.Error(), test.problem) {
				t.Errorf("error %v, want %q", err, test.problem)
			}
		})
	}
}

func testArchive(t *testing.T, one v1.Image) {
	file, again := filepath.Join(t.TempDir(), "image.tar"), filepath.Join(t.TempDir(), "image.tar")
	tag := newTag(t, "node-restriction-plus:v0.1.0")
	for _, path := range []string{file, again} {
		releasetest.Check(t, image.WriteArchive(path, one, tag))
	}
	first, err := os.ReadFile(file)
	releasetest.Check(t, err)
	second, err := os.ReadFile(again)
	releasetest.Check(t, err)
	if string(first) != string(second) {
		t.Error("two archives of one image differ")
	}

	t.Run("as docker load reads it", func(t *testing.T) {
		loaded, err := tarball.ImageFromPath(file, &tag)
		releasetest.Check(t, err)
		releasetest.Check(t, validate.Image(loaded))
		want, err := one.ConfigName()
		releasetest.Check(t, err)
		if got, err := loaded.ConfigName(); err != nil || got != want {
			t.Errorf("config %s, want %s: %v", got, want, err)
		}
	})
	t.Run("as containerd imports it", func(t *testing.T) {
		files := readTar(t, file)
		var list v1.IndexManifest
		releasetest.Check(t, json.Unmarshal(files["index.json"], &list))
		if len(list.Manifests) != 1 || list.Manifests[0].Digest.String() != digest(t, one) {
			t.Fatalf("index.json has %+v, want %s", list.Manifests, digest(t, one))
		}
		d := list.Manifests[0]
		if got := d.Annotations["io.containerd.image.name"]; got != "docker.io/library/node-restriction-plus:v0.1.0" {
			t.Errorf("name %q", got)
		}
		if d.MediaType != types.OCIManifestSchema1 || len(files["oci-layout"]) == 0 || len(files["blobs/sha256/"+d.Digest.Hex]) != int(d.Size) {
			t.Errorf("descriptor %+v, oci-layout %s", d, files["oci-layout"])
		}
	})
}

// readTar returns the files of a tar, by name.
func readTar(t *testing.T, file string) map[string][]byte {
	t.Helper()
	in, err := os.Open(file)
	releasetest.Check(t, err)
	defer in.Close()
	files := map[string][]byte{}
	for r := tar.NewReader(in); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		releasetest.Check(t, err)
		data, err := io.ReadAll(r)
		releasetest.Check(t, err)
		files[header.Name] = data
	}
}
