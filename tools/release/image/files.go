// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"bytes"
	"cmp"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// User is the user and the group that the programs run as: nonroot in distroless images.
const User = 65532

// File is a file or a directory of the image. Times are those of 1970, so that equal files give equal layers.
type File struct {
	Path  string // relative to the root, with slashes
	Mode  fs.FileMode
	Owner int // user and group
	Data  []byte
}

// System returns the files that an image without a base needs: users, public CAs for a kubeconfig whose server has a certificate of
// one, and directories that Go programs expect.
func System() []File {
	return []File{
		{Path: "etc", Mode: fs.ModeDir | 0o755},
		{Path: "etc/group", Mode: 0o644, Data: []byte("root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n")},
		{Path: "etc/nsswitch.conf", Mode: 0o644, Data: []byte("hosts: files dns\n")},
		{Path: "etc/passwd", Mode: 0o644, Data: []byte("root:x:0:0:root:/root:/sbin/nologin\n" +
			"nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n")},
		{Path: "etc/ssl", Mode: fs.ModeDir | 0o755},
		{Path: "etc/ssl/certs", Mode: fs.ModeDir | 0o755},
		{Path: "etc/ssl/certs/ca-certificates.crt", Mode: 0o644, Data: publicCAs()},
		{Path: "home", Mode: fs.ModeDir | 0o755},
		{Path: "home/nonroot", Mode: fs.ModeDir | 0o700, Owner: User},
		{Path: "tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777},
	}
}

// publicCAs returns the CAs of Mozilla's trust store as PEM, without those that are trusted only for older certificates, which PEM
// cannot say. go.sum pins their version.
func publicCAs() []byte {
	var out bytes.Buffer
	out.WriteString("# Certificates of Mozilla's NSS trust store (MPL-2.0), from the Go module golang.org/x/crypto/x509roots/fallback.\n")
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			out.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	return out.Bytes()
}

// Licenses returns the licence files of the project as files of the image.
func Licenses(root string) ([]File, error) {
	files := []File{{Path: "licenses", Mode: fs.ModeDir | 0o755}}
	for _, name := range []string{"LICENSE", "THIRD_PARTY_NOTICES"} {
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return nil, err
		}
		files = append(files, File{Path: "licenses/" + name, Mode: 0o644, Data: data})
	}
	return files, nil
}

// executables returns programs as files of the image, in its root.
func executables(paths []string) ([]File, error) {
	var files []File
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		files = append(files, File{Path: filepath.Base(path), Mode: 0o755, Data: data})
	}
	return files, nil
}

// layer returns the files as a layer of an image.
func layer(files []File) (v1.Layer, error) {
	files = slices.SortedFunc(slices.Values(files), func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		header := &tar.Header{
			Name: f.Path, Mode: unixMode(f.Mode), Uid: f.Owner, Gid: f.Owner, ModTime: time.Unix(0, 0), Size: int64(len(f.Data)),
			Typeflag: tar.TypeReg, Format: tar.FormatPAX,
		}
		if f.Mode.IsDir() {
			header.Name, header.Typeflag = f.Path+"/", tar.TypeDir
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.Data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}

func unixMode(mode fs.FileMode) int64 {
	bits := int64(mode.Perm())
	if mode&fs.ModeSticky != 0 {
		bits |= 0o1000
	}
	return bits
}

// WriteFiles writes files into a directory, as the Dockerfile does. It can set owners only as root.
func WriteFiles(dir string, files []File) error {
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.Path))
		if !strings.HasPrefix(path, filepath.Clean(dir)+string(filepath.Separator)) {
			return fmt.Errorf("%s is outside %s", f.Path, dir)
		}
		var err error
		if f.Mode.IsDir() {
			err = os.MkdirAll(path, 0o755)
		} else {
			err = os.WriteFile(path, f.Data, 0o600)
		}
		if err != nil {
			return err
		}
		if f.Owner != 0 && os.Geteuid() == 0 {
			if err := os.Chown(path, f.Owner, f.Owner); err != nil {
				return err
			}
		}
		// After the creation, because of the umask, and after chown, which clears bits.
		if err := os.Chmod(path, f.Mode&(fs.ModePerm|fs.ModeSticky)); err != nil {
			return err
		}
	}
	return nil
}
