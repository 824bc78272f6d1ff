// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/match"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"noderestriction.plus/tools/release/gobuild"
)

// references returns the annotations by which programs that read an OCI layout name the image.
func references(tag name.Tag) map[string]string {
	return map[string]string{
		"org.opencontainers.image.ref.name": tag.TagStr(), // skopeo, podman, oras
		// ctr images import, kind load image-archive. The kubelet asks containerd for docker.io, not for the host behind it.
		"io.containerd.image.name": strings.Replace(tag.Name(), name.DefaultRegistry+"/", "docker.io/", 1),
	}
}

// WriteLayout writes an index into a new OCI layout, a directory. If the directory exists, it is replaced.
func WriteLayout(dir string, index v1.ImageIndex, tag name.Tag) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	path, err := layout.Write(dir, mutate.IndexMediaType(empty.Index, types.OCIImageIndex))
	if err != nil {
		return err
	}
	return path.AppendIndex(index, layout.WithAnnotations(references(tag)))
}

// ReadLayout returns the only index of an OCI layout.
func ReadLayout(dir string) (v1.ImageIndex, error) {
	root, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, err
	}
	manifest, err := root.IndexManifest()
	if err != nil {
		return nil, err
	}
	if len(manifest.Manifests) != 1 || manifest.Manifests[0].MediaType != types.OCIImageIndex {
		return nil, fmt.Errorf("%s: must have one image index", dir)
	}
	return root.ImageIndex(manifest.Manifests[0].Digest)
}

// ForPlatform returns the image of an index for a platform.
func ForPlatform(index v1.ImageIndex, p gobuild.Platform) (v1.Image, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	is := match.Platforms(v1.Platform{OS: p.OS, Architecture: p.Arch})
	for _, m := range manifest.Manifests {
		if is(m) {
			return index.Image(m.Digest)
		}
	}
	return nil, fmt.Errorf("the image has no %s", p)
}

// WriteArchive writes an image into a file for docker load, podman load, ctr images import and kind load image-archive: an OCI layout
// as a tar, with the manifest.json that Docker reads.
func WriteArchive(file string, image v1.Image, tag name.Tag) (err error) {
	dir, err := os.MkdirTemp(filepath.Dir(file), ".image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path, err := layout.Write(dir, mutate.IndexMediaType(empty.Index, types.OCIImageIndex))
	if err != nil {
		return err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return err
	}
	if err := path.AppendImage(image, layout.WithAnnotations(references(tag)), layout.WithPlatform(*config.Platform())); err != nil {
		return err
	}
	docker, err := dockerManifest(image, tag)
	if err != nil {
		return err
	}
	if err := path.WriteFile("manifest.json", docker, 0o644); err != nil {
		return err
	}
	return WriteTar(file, dir)
}

// dockerManifest returns the manifest.json of docker save, which names the blobs of the layout.
func dockerManifest(image v1.Image, tag name.Tag) ([]byte, error) {
	blob := func(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }
	manifest, err := image.Manifest()
	if err != nil {
		return nil, err
	}
	// Docker shows the short name of an image of Docker Hub's library.
	entry := struct {
		Config   string
		RepoTags []string
		Layers   []string
	}{Config: blob(manifest.Config.Digest), RepoTags: []string{tag.String()}}
	for _, layer := range manifest.Layers {
		entry.Layers = append(entry.Layers, blob(layer.Digest))
	}
	return json.Marshal([]any{entry})
}

// WriteTar writes the files of a directory into a tar, in the order of their names and with the times of 1970.
func WriteTar(file, dir string) (err error) {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := out.Close(); err == nil {
			err = closeErr
		}
	}()
	w := tar.NewWriter(out)
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		relative, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return addFile(w, path, filepath.ToSlash(relative))
	})
	if err != nil {
		return err
	}
	return w.Close()
}

func addFile(w *tar.Writer, path, name string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	header := &tar.Header{Name: name, Mode: 0o644, Size: info.Size(), ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg}
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(w, in)
	return err
}
