// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package dist

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"noderestriction.plus/tools/release/gobuild"
	"noderestriction.plus/tools/release/image"
	"noderestriction.plus/tools/release/sbom"
)

const (
	// ociArchive ends the name of the archive with the image for all platforms.
	ociArchive    = "oci.tar"
	sbomExtension = ".spdx.json"
)

func imagePrefix(version string) string { return "node-restriction-plus_" + version + "_image_" }

// WriteImage writes an image into files whose names begin with the prefix: an OCI layout for all platforms in oci.tar, an archive that
// container runtimes load for each platform, such as linux_amd64.tar, and its SBOM, such as linux_amd64.spdx.json.
func WriteImage(index v1.ImageIndex, programs []image.Programs, tag name.Tag, licenses sbom.Licenses, prefix string) error {
	layout, err := os.MkdirTemp("", "layout-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(layout)
	if err := image.WriteLayout(layout, index, tag); err != nil {
		return err
	}
	if err := image.WriteTar(prefix+ociArchive, layout); err != nil {
		return err
	}
	for _, p := range programs {
		one, err := image.ForPlatform(index, p.Platform)
		if err != nil {
			return err
		}
		file := prefix + p.Platform.OS + "_" + p.Platform.Arch
		if err := image.WriteArchive(file+".tar", one, tag); err != nil {
			return err
		}
		hash, err := one.Digest()
		if err != nil {
			return err
		}
		subject := sbom.Subject{Name: tag.Name() + " for " + p.Platform.String(), Version: tag.TagStr(), Digest: hash.Hex, Purpose: "CONTAINER"}
		if err := writeSBOM(file+sbomExtension, subject, licenses, p.Paths); err != nil {
			return err
		}
	}
	return nil
}

func writeSBOM(file string, subject sbom.Subject, licenses sbom.Licenses, programs []string) error {
	document, err := sbom.Document(subject, licenses, programs)
	if err != nil {
		return err
	}
	return os.WriteFile(file, document, 0o644)
}

// PushImage pushes the image among the files that WriteImage or Write has written into a directory, with its SBOMs, and returns its
// digest.
func PushImage(ctx context.Context, dir string, tag name.Tag) (digest name.Digest, err error) {
	archives, err := filepath.Glob(filepath.Join(dir, "*"+ociArchive))
	if err != nil {
		return digest, err
	}
	if len(archives) != 1 {
		return digest, fmt.Errorf("%s: must have one file *%s, and has %d: run make image or make release", dir, ociArchive, len(archives))
	}
	layout, err := os.MkdirTemp("", "layout-")
	if err != nil {
		return digest, err
	}
	defer os.RemoveAll(layout)
	if err := unpack(archives[0], layout); err != nil {
		return digest, err
	}
	index, err := image.ReadLayout(layout)
	if err != nil {
		return digest, err
	}
	sboms := map[gobuild.Platform][]byte{}
	manifest, err := index.IndexManifest()
	if err != nil {
		return digest, err
	}
	for _, m := range manifest.Manifests {
		p := gobuild.Platform{OS: m.Platform.OS, Arch: m.Platform.Architecture}
		file := strings.TrimSuffix(archives[0], ociArchive) + p.OS + "_" + p.Arch + sbomExtension
		if sboms[p], err = os.ReadFile(file); err != nil {
			return digest, err
		}
	}
	return image.Push(ctx, tag, index, sboms)
}

// unpack unpacks a tar of files into a directory.
func unpack(archive, dir string) error {
	in, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer in.Close()
	root, err := os.OpenRoot(dir) // refuses names that leave the directory
	if err != nil {
		return err
	}
	defer root.Close()
	for r := tar.NewReader(in); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", archive, err)
		}
		if err := root.MkdirAll(filepath.Dir(header.Name), 0o755); err != nil {
			return err
		}
		if err := unpackFile(root, header.Name, r); err != nil {
			return err
		}
	}
}

func unpackFile(root *os.Root, name string, in io.Reader) error {
	out, err := root.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
