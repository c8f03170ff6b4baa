// This file defines store: the bytes of a bundle by their digests, with the
// manifests that hold them together.

package bundle

import (
	"bytes"
	"context"
	"encoding/json"
	"io"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"

	"starfall/runtime/record"
)

// store is what is written to a tar file, a layout or a registry.
type store struct {
	blobs      map[digest.Digest][]byte
	experiment ocispec.Descriptor
	results    []ocispec.Descriptor
}

func newStore() *store { return &store{blobs: map[digest.Digest][]byte{}} }

var _ content.ReadOnlyStorage = (*store)(nil)

// Fetch implements content.Fetcher.
func (s *store) Fetch(_ context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	b, ok := s.blobs[d.Digest]
	if !ok {
		return nil, errdef.ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

// Exists implements content.ReadOnlyStorage.
func (s *store) Exists(_ context.Context, d ocispec.Descriptor) (bool, error) {
	_, ok := s.blobs[d.Digest]
	return ok, nil
}

func (s *store) add(mediaType string, b []byte) ocispec.Descriptor {
	d := content.NewDescriptorFromBytes(mediaType, b)
	s.blobs[d.Digest] = b
	return d
}

// layer adds a file by its title.
func (s *store) layer(title string, b []byte) ocispec.Descriptor {
	d := s.add(typeFile, b)
	d.Annotations = map[string]string{ocispec.AnnotationTitle: title}
	return d
}

// manifest adds a manifest. It has no time in it, so that the same content always is
// the same manifest.
func (s *store) manifest(m ocispec.Manifest) ocispec.Descriptor {
	m.Versioned = specs.Versioned{SchemaVersion: 2}
	m.MediaType = ocispec.MediaTypeImageManifest
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // strings, numbers, and maps of strings
	}
	d := s.add(m.MediaType, b)
	d.ArtifactType = m.ArtifactType
	return d
}

func (s *store) addExperiment(lock, plan []byte, files, std []File, title string) {
	layers := []ocispec.Descriptor{s.layer(record.FilePlan, plan)}
	for _, f := range files {
		layers = append(layers, s.layer(DirFiles+"/"+f.Path, f.Data))
	}
	for _, f := range std {
		layers = append(layers, s.layer(DirStd+"/"+f.Path, f.Data))
	}
	m := ocispec.Manifest{ArtifactType: TypeExperiment, Config: s.add(typeLock, lock), Layers: layers}
	if title != "" {
		m.Annotations = map[string]string{ocispec.AnnotationTitle: title}
	}
	s.experiment = s.manifest(m)
}

// addResult gives the digest of the result's manifest.
func (s *store) addResult(files []File) string {
	var layers []ocispec.Descriptor
	for _, f := range files {
		layers = append(layers, s.layer(f.Path, f.Data))
	}
	s.blobs[ocispec.DescriptorEmptyJSON.Digest] = ocispec.DescriptorEmptyJSON.Data
	config := ocispec.DescriptorEmptyJSON
	config.Data = nil
	subject := s.experiment
	subject.ArtifactType = ""
	d := s.manifest(ocispec.Manifest{
		ArtifactType: TypeResult, Config: config, Layers: layers, Subject: &subject,
	})
	s.keepResult(d)
	return d.Digest.String()
}

func (s *store) keepResult(d ocispec.Descriptor) {
	for _, x := range s.results {
		if x.Digest == d.Digest {
			return
		}
	}
	s.results = append(s.results, d)
}
