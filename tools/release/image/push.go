// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"noderestriction.plus/tools/release/gobuild"
)

const (
	spdxType = "application/spdx+json"
	// emptyType is the media type of the config of an artifact that has none.
	emptyType = "application/vnd.oci.empty.v1+json"
)

// Push writes an index to a registry, with the SBOM of each platform as an artifact that refers to the platform's image. It returns the
// digest of the index. Credentials are those of docker login.
func Push(ctx context.Context, tag name.Tag, index v1.ImageIndex, sboms map[gobuild.Platform][]byte) (name.Digest, error) {
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	hash, err := index.Digest()
	if err != nil {
		return name.Digest{}, err
	}
	if err := remote.WriteIndex(tag, index, options...); err != nil {
		return name.Digest{}, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return name.Digest{}, err
	}
	for _, m := range manifest.Manifests {
		p := gobuild.Platform{OS: m.Platform.OS, Arch: m.Platform.Architecture}
		sbom, found := sboms[p]
		if !found {
			continue
		}
		m.Platform, m.Annotations = nil, nil
		if err := pushArtifact(tag.Repository, m, sbom, options); err != nil {
			return name.Digest{}, fmt.Errorf("SBOM of %s: %w", p, err)
		}
	}
	return tag.Context().Digest(hash.String()), nil
}

// artifact is a manifest that a registry stores as it is.
type artifact struct{ raw []byte }

func (a artifact) RawManifest() ([]byte, error)        { return a.raw, nil }
func (a artifact) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// pushArtifact stores data as an artifact of the type SPDX that refers to a manifest.
func pushArtifact(repository name.Repository, subject v1.Descriptor, data []byte, options []remote.Option) error {
	manifest := v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: spdxType, Subject: &subject,
	}
	for _, blob := range []struct {
		data      []byte
		mediaType types.MediaType
		into      func(v1.Descriptor)
	}{
		{[]byte("{}"), emptyType, func(d v1.Descriptor) { manifest.Config = d }},
		{data, spdxType, func(d v1.Descriptor) { manifest.Layers = []v1.Descriptor{d} }},
	} {
		layer := static.NewLayer(blob.data, blob.mediaType)
		if err := remote.WriteLayer(repository, layer, options...); err != nil {
			return err
		}
		digest, err := layer.Digest()
		if err != nil {
			return err
		}
		blob.into(v1.Descriptor{MediaType: blob.mediaType, Size: int64(len(blob.data)), Digest: digest})
	}
	raw, err := json.Marshal(manifest)
	if err != nil {
		return err
	}
	hash, err := digestOf(raw)
	if err != nil {
		return err
	}
	return remote.Put(repository.Digest(hash.String()), artifact{raw}, options...)
}

func digestOf(raw []byte) (v1.Hash, error) {
	return static.NewLayer(raw, types.OCIManifestSchema1).Digest()
}
