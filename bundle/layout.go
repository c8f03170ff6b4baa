// This file defines layout: an OCI image layout, in a folder or a tar file, as a
// source of bundles.

package bundle

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
)

// layout reads files of a layout by their slash paths in it. A file that is not
// there is fs.ErrNotExist.
type layout struct {
	name  string // for messages
	read  func(path string, limit int64) ([]byte, error)
	index ocispec.Index
}

var _ source = (*layout)(nil)

// openLayout reads the index.
func openLayout(name string, read func(string, int64) ([]byte, error)) (*layout, error) {
	l := &layout{name: name, read: read}
	b, err := read(ocispec.ImageLayoutFile, 1024)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, refuse(name, "this is no bundle: it holds no "+ocispec.ImageLayoutFile, "")
	}
	if err != nil {
		return nil, err
	}
	var version ocispec.ImageLayout
	if err := json.Unmarshal(b, &version); err != nil || version.Version != ocispec.ImageLayoutVersion {
		return nil, refuse(ocispec.ImageLayoutFile, fmt.Sprintf("got version %q, want %s", version.Version, ocispec.ImageLayoutVersion), "")
	}
	b, err = read(ocispec.ImageIndexFile, maxIndex)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, refuse(name, "this is no bundle: it holds no "+ocispec.ImageIndexFile, "")
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &l.index); err != nil {
		return nil, refuse(ocispec.ImageIndexFile, "it cannot be read: "+err.Error(), "")
	}
	return l, nil
}

// openFolder reads a layout folder. Links that lead out of it are not followed.
func openFolder(dir string) (*layout, func() error, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, err
	}
	l, err := openLayout(dir, func(path string, limit int64) ([]byte, error) {
		return readIn(root, path, limit)
	})
	if err != nil {
		root.Close()
		return nil, nil, err
	}
	return l, root.Close, nil
}

// readIn reads a regular file of at most limit bytes.
func readIn(root *os.Root, path string, limit int64) ([]byte, error) {
	info, err := root.Stat(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fs.ErrNotExist
		}
		return nil, refuse(path, "it cannot be read: "+reason(err), "")
	}
	if !info.Mode().IsRegular() {
		return nil, refuse(path, "it is no file", "")
	}
	if info.Size() > limit {
		return nil, tooLarge(path, info.Size(), limit)
	}
	f, err := root.Open(path)
	if err != nil {
		return nil, refuse(path, "it cannot be read: "+reason(err), "")
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if int64(len(b)) > limit {
		return nil, tooLarge(path, int64(len(b)), limit)
	}
	return b, nil
}

// reason is the cause of an error of the file system, without its path.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

func blobPath(d digest.Digest) string {
	algorithm, hex, _ := strings.Cut(string(d), ":")
	return ocispec.ImageBlobsDir + "/" + algorithm + "/" + hex
}

// Fetch implements source. The descriptor's digest has been checked.
func (l *layout) Fetch(_ context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	b, err := l.read(blobPath(d.Digest), d.Size)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errdef.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

// each gives the manifests that the index lists, each once. What cannot be read is
// left out: it may be anything that lies in the same folder.
func (l *layout) each(fn func(d ocispec.Descriptor, m *ocispec.Manifest)) {
	seen := map[digest.Digest]bool{}
	for _, d := range l.index.Manifests {
		if d.MediaType != ocispec.MediaTypeImageManifest || seen[d.Digest] || checkDigest("", d) != nil || d.Size < 0 || d.Size > maxManifest {
			continue
		}
		seen[d.Digest] = true
		b, err := l.read(blobPath(d.Digest), d.Size)
		if err != nil {
			continue
		}
		m, err := parseManifest("", b)
		if err != nil {
			continue
		}
		fn(d, m)
	}
}

// Resolve implements source.
func (l *layout) Resolve(_ context.Context, reference string) (ocispec.Descriptor, error) {
	if reference != "" {
		for _, d := range l.index.Manifests {
			if d.Annotations[ocispec.AnnotationRefName] == reference || d.Digest.String() == reference {
				return d, nil
			}
		}
		f := &Refused{[]Problem{{l.name, "it holds no " + shownPath(reference), ""}}}
		if tags := l.tags(); len(tags) > 0 {
			f.Problems[0].Fix = "it holds " + strings.Join(tags, ", ")
		}
		return ocispec.Descriptor{}, f
	}
	var found []ocispec.Descriptor
	l.each(func(d ocispec.Descriptor, m *ocispec.Manifest) {
		if m.ArtifactType == TypeExperiment {
			found = append(found, d)
		}
	})
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		if len(l.index.Manifests) == 1 { // whose own message says what is wrong with it
			return l.index.Manifests[0], nil
		}
		return ocispec.Descriptor{}, refuse(l.name, "it holds no experiment", "")
	}
	return ocispec.Descriptor{}, refuse(l.name, fmt.Sprintf("it holds %d experiments", len(found)), "name one: "+strings.Join(l.tags(), ", "))
}

// tags are the names in the index, at most ten.
func (l *layout) tags() []string {
	all := map[string]bool{}
	for _, d := range l.index.Manifests {
		if tag := d.Annotations[ocispec.AnnotationRefName]; tag != "" && len(all) < 10 {
			all[shownPath(tag)] = true
		}
	}
	return sorted(all)
}

// Predecessors implements source.
func (l *layout) Predecessors(_ context.Context, of ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	var out []ocispec.Descriptor
	l.each(func(d ocispec.Descriptor, m *ocispec.Manifest) {
		if m.Subject != nil && m.Subject.Digest == of.Digest {
			d.ArtifactType = m.ArtifactType
			out = append(out, d)
		}
	})
	return out, nil
}
