// This file defines the tar file of a bundle: an OCI image layout whose bytes depend
// on nothing but the bundle.

package bundle

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Tag is what an experiment is called where nobody says otherwise.
const Tag = "latest"

// WriteTar writes the bundle as one tar file: entries sorted by name, all of one time,
// one mode and no owner, so that the same bundle is the same bytes.
func (b *Bundle) WriteTar(w io.Writer) error {
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	first := b.store.experiment
	first.Annotations = map[string]string{ocispec.AnnotationRefName: Tag}
	index.Manifests = append(index.Manifests, first)
	results := slices.Clone(b.store.results)
	slices.SortFunc(results, func(a, b ocispec.Descriptor) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
	index.Manifests = append(index.Manifests, results...)
	list, err := json.Marshal(index)
	if err != nil {
		return err
	}
	version, err := json.Marshal(ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
	if err != nil {
		return err
	}
	files := map[string][]byte{ocispec.ImageLayoutFile: version, ocispec.ImageIndexFile: list}
	for d, data := range b.store.blobs {
		files[blobPath(d)] = data
	}
	t := tar.NewWriter(w)
	for _, name := range sorted(files) {
		err := t.WriteHeader(&tar.Header{
			Typeflag: tar.TypeReg, Name: name, Size: int64(len(files[name])), Mode: 0o644, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR,
		})
		if err != nil {
			return err
		}
		if _, err := t.Write(files[name]); err != nil {
			return err
		}
	}
	return t.Close()
}

// SaveTar writes the tar file at path, whole or not at all.
func (b *Bundle) SaveTar(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".starfall-*.tar")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = b.WriteTar(f)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// openTar reads a layout's tar file into memory. An entry that no layout has is
// refused, so nothing in it can lead anywhere: paths are names of blobs.
func openTar(name string, r io.Reader) (*layout, error) {
	files := map[string][]byte{}
	left := int64(MaxBundle)
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, refuse(name, "it is no tar file, or a damaged one: "+err.Error(), "")
		}
		entry := strings.TrimSuffix(strings.TrimPrefix(h.Name, "./"), "/")
		if h.Typeflag == tar.TypeDir && (entry == "" || entry == "." || entry == ocispec.ImageBlobsDir || entry == ocispec.ImageBlobsDir+"/sha256") {
			continue
		}
		hex, isBlob := strings.CutPrefix(entry, ocispec.ImageBlobsDir+"/sha256/")
		isBlob = isBlob && isSum(hex)
		_, twice := files[entry]
		switch {
		case h.Typeflag != tar.TypeReg:
			return nil, refuse(name, fmt.Sprintf("it holds %s of %s, want plain files", shownPath(h.Name), kindOf(h.Typeflag)), "")
		case !isBlob && entry != ocispec.ImageLayoutFile && entry != ocispec.ImageIndexFile:
			return nil, refuse(name, "it holds "+shownPath(h.Name)+", which no bundle has", "")
		case twice:
			return nil, refuse(name, "it holds "+shownPath(h.Name)+" twice", "")
		case h.Size > MaxFile:
			return nil, tooLarge(name+": "+entry, h.Size, MaxFile)
		case h.Size > left:
			return nil, refuse(name, fmt.Sprintf("it is too large: want at most %d bytes together", MaxBundle), "")
		case len(files) > 2*MaxFiles:
			return nil, refuse(name, "it holds too many files", "")
		}
		var buf bytes.Buffer
		n, err := io.Copy(&buf, io.LimitReader(t, MaxFile+1))
		if err != nil {
			return nil, refuse(name, shownPath(h.Name)+": it is cut off or damaged: "+err.Error(), "")
		}
		left -= n
		if isBlob && sumOf(buf.Bytes()) != hex {
			return nil, refuse(name, entry+": it is not what its name says: got sha256:"+sumOf(buf.Bytes()), "")
		}
		files[entry] = buf.Bytes()
	}
	return openLayout(name, func(path string, limit int64) ([]byte, error) {
		b, ok := files[path]
		if !ok {
			return nil, fs.ErrNotExist
		}
		if int64(len(b)) > limit {
			return nil, tooLarge(path, int64(len(b)), limit)
		}
		return b, nil
	})
}

func kindOf(flag byte) string {
	switch flag {
	case tar.TypeLink:
		return "the kind hard link"
	case tar.TypeSymlink:
		return "the kind symbolic link"
	case tar.TypeDir:
		return "the kind folder"
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return "the kind device"
	}
	return fmt.Sprintf("the kind %q", flag)
}
