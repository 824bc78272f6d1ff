// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package image_test

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"noderestriction.plus/tools/release/image"
	"noderestriction.plus/tools/release/releasetest"
)

// testFiles checks every file of the image.
func testFiles(t *testing.T, one v1.Image) {
	got := content(t, one)
	want := map[string]string{
		"etc": "drwxr-xr-x 0", "etc/group": "-rw-r--r-- 0", "etc/nsswitch.conf": "-rw-r--r-- 0", "etc/passwd": "-rw-r--r-- 0",
		"etc/ssl": "drwxr-xr-x 0", "etc/ssl/certs": "drwxr-xr-x 0", "etc/ssl/certs/ca-certificates.crt": "-rw-r--r-- 0",
		"home": "drwxr-xr-x 0", "home/nonroot": "drwx------ 65532", "tmp": "dtrwxrwxrwx 0",
		"licenses": "drwxr-xr-x 0", "licenses/LICENSE": "-rw-r--r-- 0", "licenses/THIRD_PARTY_NOTICES": "-rw-r--r-- 0",
		"kubectl-nrp": "-rwxr-xr-x 0", "node-restriction-plus": "-rwxr-xr-x 0",
	}
	if !maps.Equal(got, want) {
		t.Errorf("files %v\nwant %v", got, want)
	}
}

// content returns mode and owner of each file of an image.
func content(t *testing.T, one v1.Image) map[string]string {
	t.Helper()
	in := mutate.Extract(one)
	defer in.Close()
	files := map[string]string{}
	for r := tar.NewReader(in); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		releasetest.Check(t, err)
		if header.Uid != header.Gid || header.ModTime.Unix() != 0 {
			t.Errorf("%s: user %d, group %d, time %s", header.Name, header.Uid, header.Gid, header.ModTime)
		}
		mode := header.FileInfo().Mode().String()
		owner := map[int]string{0: "0", image.User: "65532"}[header.Uid]
		files[strings.TrimSuffix(header.Name, "/")] = mode + " " + owner
	}
}

// TestPublicCAs checks that a Go program can use the CAs.
func TestPublicCAs(t *testing.T) {
	i := slices.IndexFunc(image.System(), func(f image.File) bool { return strings.HasSuffix(f.Path, "/ca-certificates.crt") })
	data := image.System()[i].Data
	if n := bytes.Count(data, []byte("BEGIN CERTIFICATE")); n < 50 {
		t.Errorf("%d CAs", n)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(data) {
		t.Error("Go reads no CA")
	}
}

// testDockerfile compares what the Dockerfile says with the image that New makes, and the files that it copies with those of the image.
func testDockerfile(t *testing.T, one v1.Image) {
	data, err := os.ReadFile(filepath.Join(releasetest.Root(t), "Dockerfile"))
	releasetest.Check(t, err)
	joined := strings.ReplaceAll(string(data), "\\\n", "")
	_, last, found := strings.Cut(joined, "\nFROM scratch\n")
	if !found {
		t.Fatal("the last stage of the Dockerfile is not from scratch")
	}
	config, err := one.ConfigFile()
	releasetest.Check(t, err)

	for _, line := range []string{
		"COPY --from=build /out/ /", "USER " + config.Config.User, `ENTRYPOINT ["` + strings.Join(config.Config.Entrypoint, `", "`) + `"]`,
	} {
		if !slices.Contains(strings.Split(last, "\n"), line) {
			t.Errorf("the last stage of the Dockerfile lacks %q", line)
		}
	}
	labels := map[string]string{}
	for _, m := range regexp.MustCompile(`(org\.opencontainers\.[\w.]+)="([^"]*)"`).FindAllStringSubmatch(last, -1) {
		labels[m[1]] = m[2]
	}
	for key, value := range config.Config.Labels {
		if static, found := image.StaticLabels()[key]; found && labels[key] != static {
			t.Errorf("the Dockerfile has %s=%q, want %q", key, labels[key], static)
		}
		if _, found := labels[key]; !found {
			t.Errorf("the Dockerfile lacks the label %s=%q", key, value)
		}
		delete(labels, key)
	}
	if len(labels) > 0 {
		t.Errorf("the Dockerfile has labels that the image lacks: %v", labels)
	}
	if !strings.Contains(joined, "RUN go -C tools/release run . rootfs -C ../.. -o /out -platform $TARGETOS/$TARGETARCH\n") {
		t.Error("the Dockerfile does not make its files by the command rootfs")
	}
}

// TestRootfsHasTheFilesOfTheImage writes the files as the Dockerfile does.
func TestRootfsHasTheFilesOfTheImage(t *testing.T) {
	root := releasetest.Project(t)
	files, err := image.Licenses(root)
	releasetest.Check(t, err)
	files = append(files, image.System()...)
	dir := t.TempDir()
	releasetest.Check(t, image.WriteFiles(dir, files))
	for _, f := range files {
		info, err := os.Stat(filepath.Join(dir, f.Path))
		releasetest.Check(t, err)
		if want := f.Mode & (fs.ModeType | fs.ModePerm | fs.ModeSticky); info.Mode() != want {
			t.Errorf("%s: mode %s, want %s", f.Path, info.Mode(), want)
		}
		if f.Mode.IsRegular() {
			if data, err := os.ReadFile(filepath.Join(dir, f.Path)); err != nil || !bytes.Equal(data, f.Data) {
				t.Errorf("%s: other content: %v", f.Path, err)
			}
		}
	}
	if err := image.WriteFiles(dir, []image.File{{Path: "../outside"}}); err == nil {
		t.Error("a file was written outside the directory")
	}
}
