// This file defines where bundles are kept: a tar file, a layout folder, or a
// repository of a registry.

package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/errcode"
	"oras.land/oras-go/v2/registry/remote/retry"
)

// Kind is what kind of place it is.
type Kind int

// The kinds of Place.
const (
	Tar Kind = iota
	Folder
	Registry
)

// Place is where a bundle is read from or written to.
type Place struct {
	Kind Kind
	Path string // of a tar file or a folder
	Tag  string // in a folder or a registry, or a digest; "": of a folder its only experiment
	repo registry.Reference
}

// folderPrefix marks a layout folder, which need not be there yet.
const folderPrefix = "oci:"

// ParsePlace reads what a user types.
//
//	form                     means
//	oci:DIR, oci:DIR:TAG     an OCI image layout folder
//	a folder that is there   the same
//	x.tar, ./x, a file       a tar file
//	HOST/NAME:TAG            a repository of a registry; @sha256:… for a digest
func ParsePlace(text string) (Place, error) {
	if dir, ok := strings.CutPrefix(text, folderPrefix); ok {
		p := Place{Kind: Folder, Path: dir}
		if at := strings.LastIndexAny(dir, ":@"); at > 0 && !strings.ContainsAny(dir[at:], `/\`) {
			p.Path, p.Tag = dir[:at], dir[at+1:]
			if name, digest, ok := strings.Cut(dir, "@sha256:"); ok {
				p.Path, p.Tag = name, "sha256:"+digest
			}
		}
		if p.Path == "" {
			return p, refuse(text, "it names no folder", "say oci:DIR, or oci:DIR:TAG")
		}
		return p, nil
	}
	if info, err := os.Stat(text); err == nil {
		if info.IsDir() {
			return Place{Kind: Folder, Path: text}, nil
		}
		return Place{Kind: Tar, Path: text}, nil
	}
	switch {
	case text == "":
		return Place{}, refuse("", "got an empty name of a bundle", "")
	case strings.HasSuffix(text, ".tar"), strings.HasPrefix(text, "."), filepath.IsAbs(text):
		return Place{Kind: Tar, Path: text}, nil
	}
	ref, err := registry.ParseReference(text)
	if err != nil || !strings.ContainsAny(ref.Registry, ".:") && ref.Registry != "localhost" {
		return Place{}, refuse(text, "there is no such file, and it is no place in a registry", "say x.tar for a file, oci:DIR for a folder, or HOST/NAME:TAG for a registry")
	}
	p := Place{Kind: Registry, Tag: ref.Reference, repo: ref}
	if p.Tag == "" {
		p.Tag = Tag
	}
	return p, nil
}

// String is the place as it is typed.
func (p Place) String() string {
	switch p.Kind {
	case Folder:
		if p.Tag == "" {
			return folderPrefix + p.Path
		}
		return folderPrefix + p.Path + ":" + p.Tag
	case Registry:
		r := p.repo
		r.Reference = p.Tag
		return r.String()
	}
	return p.Path
}

// Access is how registries are spoken to.
type Access struct {
	// Config is the file with credentials, in the format of the docker command's
	// config.json. It need not be there.
	Config string
	Agent  string // how requests name the program
}

// UnreachableError is a registry that does not answer, or answers that it will not.
type UnreachableError struct {
	Place string
	Err   error
}

func (e *UnreachableError) Error() string { return fmt.Sprintf("%s: %v", e.Place, e.Err) }
func (e *UnreachableError) Unwrap() error { return e.Err }

// Denied tells whether it is credentials that are missing.
func (e *UnreachableError) Denied() bool {
	var answer *errcode.ErrorResponse
	return errors.Is(e.Err, auth.ErrBasicCredentialNotFound) || errors.As(e.Err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden)
}

func (p Place) repository(a Access) (*remote.Repository, error) {
	store, err := credentials.NewStore(a.Config, credentials.StoreOptions{DetectDefaultNativeStore: true})
	if err != nil {
		return nil, refuse(a.Config, "it cannot be read: "+err.Error(), "")
	}
	// Many registries let nobody delete, so an index of referrers that is replaced stays.
	r := &remote.Repository{Reference: p.repo, PlainHTTP: isLoopback(p.repo.Registry), MaxMetadataBytes: maxIndex, SkipReferrersGC: true}
	client := &auth.Client{Client: retry.DefaultClient, Cache: auth.NewCache(), Credential: credentials.Credential(store)}
	client.SetUserAgent(a.Agent)
	r.Client = client
	return r, nil
}

// isLoopback tells whether a registry is on this machine, where nobody listens in:
// only there is HTTP spoken without TLS.
func isLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return ip != nil && ip.IsLoopback()
}

// Read reads and checks the bundle of a place.
func Read(ctx context.Context, p Place, a Access) (*Bundle, error) {
	switch p.Kind {
	case Tar:
		return readTar(ctx, p.Path)
	case Folder:
		if _, err := os.Stat(filepath.Join(p.Path, FileLock)); err == nil {
			return nil, refuse(p.Path, "this is the folder of an unpacked bundle", "name the bundle itself: a tar file, oci:DIR, or a place in a registry")
		}
		l, closeFolder, err := openFolder(p.Path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, refuse(p.Path, "there is no such folder", "")
		}
		if err != nil {
			return nil, err
		}
		defer closeFolder()
		return read(ctx, l, p.Tag)
	}
	repo, err := p.repository(a)
	if err != nil {
		return nil, err
	}
	b, err := read(ctx, remoteSource{repo}, p.Tag)
	return b, p.trouble(err)
}

func readTar(ctx context.Context, path string) (*Bundle, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, refuse(path, "there is no such file", "")
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, refuse(path, "it is no file", "")
	case info.Size() > 2*MaxBundle:
		return nil, tooLarge(path, info.Size(), 2*MaxBundle)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadTar(ctx, path, f)
}

// ReadTar reads and checks the bundle of a tar file that messages call name.
func ReadTar(ctx context.Context, name string, r io.Reader) (*Bundle, error) {
	l, err := openTar(name, r)
	if err != nil {
		return nil, err
	}
	return read(ctx, l, "")
}

// trouble gives an error of a registry its kind.
func (p Place) trouble(err error) error {
	var refused *Refused
	if err == nil || errors.As(err, &refused) {
		return err
	}
	var inCopy *oras.CopyError
	if errors.As(err, &inCopy) {
		err = inCopy.Err
	}
	if errors.Is(err, errdef.ErrNotFound) {
		return refuse(p.String(), "the registry has no such bundle", "")
	}
	return &UnreachableError{p.String(), err}
}

// remoteSource is a repository of a registry.
type remoteSource struct{ repo *remote.Repository }

var _ source = remoteSource{}

func (s remoteSource) Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	return s.repo.Resolve(ctx, reference)
}

func (s remoteSource) Fetch(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	return s.repo.Fetch(ctx, d)
}

// Predecessors asks the referrers API, and where the registry has none, the tag that
// stands for it. Pages end after MaxResults.
func (s remoteSource) Predecessors(ctx context.Context, d ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	var out []ocispec.Descriptor
	err := s.repo.Referrers(ctx, d, TypeResult, func(page []ocispec.Descriptor) error {
		if out = append(out, page...); len(out) > MaxResults {
			return refuse("", fmt.Sprintf("too many results are attached: want at most %d", MaxResults), "")
		}
		return nil
	})
	return out, err
}

// Write puts the bundle into a place: the experiment under its tag, each result as a
// referrer of it. What is there already is not sent again.
func (b *Bundle) Write(ctx context.Context, p Place, a Access) error {
	tag := p.Tag
	if tag == "" {
		tag = Tag
	}
	switch p.Kind {
	case Tar:
		return b.SaveTar(p.Path)
	case Folder:
		if list, err := os.ReadDir(p.Path); err == nil && len(list) > 0 {
			if _, err := os.Stat(filepath.Join(p.Path, ocispec.ImageLayoutFile)); err != nil {
				return refuse(p.Path, "the folder holds other things than an OCI image layout", "choose another one")
			}
		}
		target, err := oci.New(p.Path)
		if err != nil {
			return err
		}
		return b.writeTo(ctx, target, tag)
	}
	repo, err := p.repository(a)
	if err != nil {
		return err
	}
	return p.trouble(b.writeTo(ctx, repo, tag))
}

func (b *Bundle) writeTo(ctx context.Context, to oras.Target, tag string) error {
	o := oras.CopyGraphOptions{Concurrency: 1}
	if err := oras.CopyGraph(ctx, b.store, to, b.store.experiment, o); err != nil {
		return err
	}
	for _, d := range b.store.results {
		if err := oras.CopyGraph(ctx, b.store, to, d, o); err != nil {
			return err
		}
	}
	if strings.HasPrefix(tag, "sha256:") {
		if tag != b.Digest() {
			return refuse(tag, "the bundle has another digest: "+b.Digest(), "push it under a tag")
		}
		return nil
	}
	return to.Tag(ctx, b.store.experiment, tag)
}
