// This file defines how a bundle is read: from a place that is taken for hostile,
// step by step, each with a limit.
//
//	step                     refused
//	the experiment's name    none of that name; several and none named
//	a manifest               too large, another digest or size, another kind
//	experiment.lock          another format, unknown fields, what no lock says
//	titles of layers         paths that lead out or are twice, more files than MaxFiles
//	each file                larger than it says or than MaxFile, another digest
//	all files                more than MaxBundle together, one that the lock does not
//	                         name, one that it names and that is not there
//	plan.json                another digest than the lock's; other files than it names
//	results                  not of this experiment, not a run folder, another plan

package bundle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// source is where a bundle is read from. Nothing that it gives is taken on trust.
type source interface {
	// Resolve gives the manifest of a tag or digest; "" is the only experiment.
	Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error)
	Fetch(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error)
	// Predecessors gives the manifests whose subject this one is.
	Predecessors(ctx context.Context, d ocispec.Descriptor) ([]ocispec.Descriptor, error)
}

// reader reads one bundle.
type reader struct {
	from  source
	left  int64 // bytes that may still come
	store *store
}

// read reads and checks a bundle.
func read(ctx context.Context, from source, reference string) (*Bundle, error) {
	r := &reader{from: from, left: MaxBundle, store: newStore()}
	root, err := from.Resolve(ctx, reference)
	if err != nil {
		return nil, err
	}
	return r.experiment(ctx, root)
}

// fetch gives what a descriptor describes, checked against it.
func (r *reader) fetch(ctx context.Context, what string, d ocispec.Descriptor, limit int64) ([]byte, error) {
	if err := checkDigest(what, d); err != nil {
		return nil, err
	}
	if d.Size < 0 || d.Size > limit {
		return nil, tooLarge(what, d.Size, limit)
	}
	if b, ok := r.store.blobs[d.Digest]; ok && int64(len(b)) == d.Size {
		return b, nil
	}
	if d.Size > r.left {
		return nil, refuse(what, fmt.Sprintf("the bundle is too large: want at most %d bytes together", MaxBundle), "")
	}
	rc, err := r.from.Fetch(ctx, d)
	if errors.Is(err, errdef.ErrNotFound) {
		return nil, refuse(what, "it is missing: "+d.Digest.String(), "")
	}
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	// What is allocated grows with what comes, not with what was announced.
	var buf bytes.Buffer
	n, err := io.Copy(&buf, io.LimitReader(rc, d.Size+1))
	switch {
	case n > d.Size:
		return nil, refuse(what, fmt.Sprintf("it is longer than the %d bytes that it says", d.Size), "")
	case err == nil && n < d.Size, errors.Is(err, io.ErrUnexpectedEOF):
		return nil, refuse(what, fmt.Sprintf("it is shorter than the %d bytes that it says: got %d", d.Size, n), "")
	case err != nil:
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if got := digest.NewDigestFromBytes(digest.SHA256, sum(buf.Bytes())); got != d.Digest {
		return nil, refuse(what, fmt.Sprintf("it is not what it says: got %s, want %s", got, d.Digest), "")
	}
	r.left -= n
	r.store.blobs[d.Digest] = buf.Bytes()
	return buf.Bytes(), nil
}

func sum(b []byte) []byte {
	s := sha256.Sum256(b)
	return s[:]
}

func checkDigest(what string, d ocispec.Descriptor) error {
	algorithm, hex, ok := strings.Cut(string(d.Digest), ":")
	if !ok || algorithm != "sha256" || !isSum(hex) {
		return refuse(what, fmt.Sprintf("got the digest %s, want a SHA-256", shownPath(string(d.Digest))), "")
	}
	return nil
}

// manifest reads a manifest and the layers that it lists, by title.
func (r *reader) manifest(ctx context.Context, what string, d ocispec.Descriptor) (*ocispec.Manifest, error) {
	b, err := r.fetch(ctx, what, d, maxManifest)
	if err != nil {
		return nil, err
	}
	return parseManifest(what, b)
}

func parseManifest(what string, b []byte) (*ocispec.Manifest, error) {
	var m ocispec.Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, refuse(what, "it cannot be read: "+err.Error(), "")
	}
	if m.MediaType != ocispec.MediaTypeImageManifest || m.SchemaVersion != 2 {
		return nil, refuse(what, fmt.Sprintf("got the media type %s, want %s", shownPath(m.MediaType), ocispec.MediaTypeImageManifest), "")
	}
	return &m, nil
}

// titles gives the titles of a manifest's layers, checked.
func titles(what string, m *ocispec.Manifest) ([]string, error) {
	if len(m.Layers) > MaxFiles {
		return nil, refuse(what, fmt.Sprintf("it holds too many files: got %d, want at most %d", len(m.Layers), MaxFiles), "")
	}
	var out []string
	for _, d := range m.Layers {
		if d.MediaType != typeFile {
			return nil, refuse(what, fmt.Sprintf("it holds a layer of type %s, want %s", shownPath(d.MediaType), typeFile), "")
		}
		out = append(out, d.Annotations[ocispec.AnnotationTitle])
	}
	return out, checkPaths(out)
}

func (r *reader) experiment(ctx context.Context, root ocispec.Descriptor) (*Bundle, error) {
	const what = "the experiment's manifest"
	m, err := r.manifest(ctx, what, root)
	if err != nil {
		return nil, err
	}
	switch {
	case m.ArtifactType == TypeResult:
		return nil, refuse("", "this is a result, want the experiment that it is of", "")
	case m.ArtifactType != TypeExperiment || m.Config.MediaType != typeLock:
		return nil, refuse("", fmt.Sprintf("this is no bundle of starfall: got the artifact type %q, want %s", m.ArtifactType, TypeExperiment), "")
	}
	names, err := titles(what, m)
	if err != nil {
		return nil, err
	}
	text, err := r.fetch(ctx, FileLock, m.Config, maxLock)
	if err != nil {
		return nil, err
	}
	b := &Bundle{store: r.store}
	if b.Lock, err = ParseLock(text); err != nil {
		return nil, err
	}
	want := map[string]string{record.FilePlan: b.Lock.Plan}
	executable := map[string]bool{}
	for _, x := range b.Lock.Modules {
		want[inBundle(x.Path)] = x.SHA256
	}
	for _, x := range b.Lock.Sources {
		want[DirFiles+"/"+x.Path] = x.SHA256
		executable[x.Path] = x.Executable
	}
	for i, name := range names {
		of, ok := want[name]
		if !ok {
			return nil, refuse(name, "experiment.lock does not name this file", "")
		}
		delete(want, name)
		if m.Layers[i].Digest != digest.NewDigestFromEncoded(digest.SHA256, of) {
			return nil, refuse(name, "it is not the file that experiment.lock names", "")
		}
		limit := int64(MaxFile)
		if name == record.FilePlan {
			limit = maxPlan
		}
		data, err := r.fetch(ctx, name, m.Layers[i], limit)
		if err != nil {
			return nil, err
		}
		if path, ok := strings.CutPrefix(name, DirFiles+"/"); ok {
			b.Files = append(b.Files, File{Path: path, Data: data, Executable: executable[path]})
		} else if path, ok := strings.CutPrefix(name, DirStd+"/"); ok {
			b.Std = append(b.Std, File{Path: path, Data: data})
		} else if b.Plan, err = plan.Read(bytes.NewReader(data)); err != nil {
			return nil, refuse(name, "it cannot be read: "+err.Error(), "")
		}
	}
	for _, name := range sorted(want) {
		return nil, refuse(name, "experiment.lock names this file, and it is not there", "")
	}
	if err := b.agrees(); err != nil {
		return nil, err
	}
	byPath(b.Files)
	byPath(b.Std)
	r.store.experiment = ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: TypeExperiment, Digest: root.Digest, Size: int64(len(r.store.blobs[root.Digest])),
	}
	return b, r.results(ctx, b)
}

// agrees wants the plan to be the one of the lock's modules.
func (b *Bundle) agrees() error {
	var files []Module
	for _, f := range b.Plan.Files {
		files = append(files, Module{Path: f.Path, SHA256: f.SHA256})
	}
	if !slices.Equal(files, b.Lock.Modules) {
		return refuse(record.FilePlan, "it is of other files than experiment.lock names", "")
	}
	if b.Plan.Name != b.Lock.Name || b.Plan.Scenario.Seed != b.Lock.Seed {
		return refuse(record.FilePlan, "it is of another scenario or seed than experiment.lock says", "")
	}
	return nil
}

// results reads all results that are attached.
func (r *reader) results(ctx context.Context, b *Bundle) error {
	list, err := r.from.Predecessors(ctx, r.store.experiment)
	if err != nil {
		return err
	}
	seen := map[digest.Digest]bool{}
	for _, d := range list {
		// Others may refer to an experiment too, a signature for one.
		if d.MediaType != ocispec.MediaTypeImageManifest || d.ArtifactType != TypeResult || seen[d.Digest] {
			continue
		}
		seen[d.Digest] = true
		if len(seen) > MaxResults {
			return refuse("", fmt.Sprintf("too many results are attached: want at most %d", MaxResults), "")
		}
		x, err := r.result(ctx, d)
		if err != nil {
			return err
		}
		of, err := x.planDigest()
		if err != nil {
			return err
		}
		if of != b.Lock.Plan || x.Info.Engine != b.Lock.Engine {
			return refuse("", "a result is attached that is of another plan or engine: "+d.Digest.String(), "")
		}
		b.Results = append(b.Results, x)
	}
	sortResults(b.Results)
	return nil
}

func (r *reader) result(ctx context.Context, d ocispec.Descriptor) (Result, error) {
	const what = "a result's manifest"
	m, err := r.manifest(ctx, what, d)
	if err != nil {
		return Result{}, err
	}
	if m.ArtifactType != TypeResult || m.Subject == nil || m.Subject.Digest != r.store.experiment.Digest {
		return Result{}, refuse(what, "it is not of this experiment: "+d.Digest.String(), "")
	}
	names, err := titles(what, m)
	if err != nil {
		return Result{}, err
	}
	if _, err := r.fetch(ctx, "a result's configuration", m.Config, 1024); err != nil {
		return Result{}, err
	}
	var files []File
	for i, name := range names {
		if !inRunFolder(name) {
			return Result{}, refuse(name, "a result holds a file that no run folder has", "")
		}
		data, err := r.fetch(ctx, name, m.Layers[i], MaxFile)
		if err != nil {
			return Result{}, err
		}
		files = append(files, File{Path: name, Data: data})
	}
	byPath(files)
	x, err := newResult(files)
	if err != nil {
		return Result{}, err
	}
	x.Digest = d.Digest.String()
	r.store.keepResult(ocispec.Descriptor{MediaType: d.MediaType, ArtifactType: TypeResult, Digest: d.Digest, Size: int64(len(r.store.blobs[d.Digest]))})
	return x, nil
}

func sorted[V any](m map[string]V) []string { return keys(m, nil) }
