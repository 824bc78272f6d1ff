// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package image makes the container image of the project, without a container runtime: the same source always gives the same digest.
package image

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"noderestriction.plus/tools/release/gobuild"
)

// Keys of labels that depend on what the image was built from. The annotations of its manifests have the same.
const (
	labelVersion    = "org.opencontainers.image.version"
	labelRevision   = "org.opencontainers.image.revision"
	labelCreated    = "org.opencontainers.image.created"
	labelBaseName   = "org.opencontainers.image.base.name"
	labelBaseDigest = "org.opencontainers.image.base.digest"
)

// Homepage is the site of the project, and Repository its source.
const (
	Homepage   = "https://noderestriction.plus"
	Repository = "https://github.com/noderestriction-plus/node-restriction-plus"
)

// Base is an image that the project's is built on.
type Base struct {
	name  string // without its digest
	index v1.ImageIndex
	hash  v1.Hash
}

// PullBase reads the index of a base from its registry. The reference must have a digest: with a tag alone, the same source would give
// another image tomorrow.
func PullBase(ctx context.Context, reference string) (*Base, error) {
	digest, err := name.NewDigest(reference)
	if err != nil {
		return nil, fmt.Errorf("base %q: must be pinned as <image>@sha256:<digest>: %w", reference, err)
	}
	index, err := remote.Index(digest, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if err != nil {
		return nil, fmt.Errorf("base %q: must be an index of images that a registry has: %w", reference, err)
	}
	hash, err := index.Digest()
	return &Base{name: digest.Repository.Name(), index: index, hash: hash}, err
}

// image returns the base's image for the platform.
func (b *Base) image(p gobuild.Platform) (v1.Image, error) {
	manifest, err := b.index.IndexManifest()
	if err != nil {
		return nil, err
	}
	for _, m := range manifest.Manifests {
		if m.Platform != nil && m.Platform.OS == p.OS && m.Platform.Architecture == p.Arch {
			return b.index.Image(m.Digest)
		}
	}
	return nil, fmt.Errorf("base %s@%s has no image for %s", b.name, b.hash, p)
}

// Programs are the built programs of an image.
type Programs struct {
	Platform gobuild.Platform
	Paths    []string // the first is the entrypoint
}

// New returns the image of the project for the platforms of the programs. Without a base it has the files of System.
func New(root string, programs []Programs, base *Base) (v1.ImageIndex, error) {
	if len(programs) == 0 || len(programs[0].Paths) == 0 {
		return nil, errors.New("an image needs programs")
	}
	info, err := gobuild.Read(programs[0].Paths[0])
	if err != nil {
		return nil, err
	}
	labels := labels(info, base)
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, p := range programs {
		image, err := newImage(root, p, base, labels, info.Time)
		if err != nil {
			return nil, fmt.Errorf("image for %s: %w", p.Platform, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: p.Platform.OS, Architecture: p.Platform.Arch},
		}})
	}
	return mutate.Annotations(index, labels).(v1.ImageIndex), nil
}

func newImage(root string, p Programs, base *Base, labels map[string]string, created time.Time) (v1.Image, error) {
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	files, err := Licenses(root)
	if err != nil {
		return nil, err
	}
	if base != nil {
		if image, err = base.image(p.Platform); err != nil {
			return nil, err
		}
		image = mutate.ConfigMediaType(mutate.MediaType(image, types.OCIManifestSchema1), types.OCIConfigJSON)
	} else {
		files = append(files, System()...)
	}
	binaries, err := executables(p.Paths)
	if err != nil {
		return nil, err
	}
	// The programs have a layer of their own, because the other files seldom change from one release to the next.
	for _, content := range []struct {
		name  string
		files []File
	}{{"system and licenses", files}, {"programs", binaries}} {
		layer, err := layer(content.files)
		if err != nil {
			return nil, err
		}
		image, err = mutate.Append(image, mutate.Addendum{
			Layer: layer, MediaType: types.OCILayer,
			History: v1.History{Created: v1.Time{Time: created}, CreatedBy: "make image", Comment: content.name},
		})
		if err != nil {
			return nil, err
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = p.Platform.OS, p.Platform.Arch, v1.Time{Time: created}
	if p.Platform.Arch == "arm64" {
		config.Variant = "" // v8 is the default, and is left out by convention
	}
	config.Config = v1.Config{
		Entrypoint: []string{"/" + p.Platform.Executable(gobuild.Webhook())},
		Env:        config.Config.Env,
		Labels:     labels,
		User:       fmt.Sprintf("%d:%d", User, User),
	}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return nil, err
	}
	return mutate.Annotations(image, labels).(v1.Image), nil
}

// StaticLabels returns the labels that do not depend on what the image was built from. The Dockerfile has the same.
func StaticLabels() map[string]string {
	return map[string]string{
		"org.opencontainers.image.title":         "node-restriction-plus",
		"org.opencontainers.image.description":   "Restricts what the credential of a kubelet may write, beyond the NodeRestriction admission plugin",
		"org.opencontainers.image.url":           Homepage,
		"org.opencontainers.image.documentation": Homepage + "/docs/README.md",
		"org.opencontainers.image.source":        Repository,
		"org.opencontainers.image.licenses":      "Apache-2.0",
		"org.opencontainers.image.vendor":        "The NodeRestriction-plus Authors",
	}
}

func labels(info gobuild.Info, base *Base) map[string]string {
	all := maps.Clone(StaticLabels())
	all[labelCreated] = info.Time.Format(time.RFC3339)
	if info.Version != "" {
		all[labelVersion] = info.Version
	}
	if info.Revision != "" {
		all[labelRevision] = info.Revision
	}
	if base != nil {
		all[labelBaseName], all[labelBaseDigest] = base.name, base.hash.String()
	}
	return all
}
