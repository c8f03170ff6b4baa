// Package ociregistry is a registry in memory, for tests.
package ociregistry

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Registry is a registry of the OCI distribution specification 1.1, in memory: blobs
// that are put in one go, manifests by tag and digest, and the referrers API unless
// Plain is set, as registries were before it.
type Registry struct {
	Plain    bool
	Password string // wanted of any user; "": nobody has to say who he is

	repository string

	mu        sync.Mutex
	blobs     map[string][]byte
	manifests map[string][]byte // by digest
	tags      map[string]string
	pushed    int // blobs and manifests that came
	lies      map[string][]byte
}

// New makes the registry of one repository.
func New(repository string) *Registry {
	return &Registry{
		repository: repository, blobs: map[string][]byte{}, manifests: map[string][]byte{}, tags: map[string]string{}, lies: map[string][]byte{},
	}
}

// Pushed is how many blobs and manifests came.
func (r *Registry) Pushed() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pushed
}

// Lie has the registry send other bytes than those of a digest; nil ends it.
func (r *Registry) Lie(digest string, bytes []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if delete(r.lies, digest); bytes != nil {
		r.lies[digest] = bytes
	}
}

// ServeHTTP implements http.Handler.
func (r *Registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, p, _ := q.BasicAuth(); p != r.Password {
		w.Header().Set("WWW-Authenticate", `Basic realm="lab"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	path, ok := strings.CutPrefix(q.URL.Path, "/v2/"+r.repository+"/")
	kind, ref, found := strings.Cut(path, "/")
	if !ok || !found {
		http.NotFound(w, q)
		return
	}
	switch kind {
	case "blobs":
		r.blob(w, q, ref)
	case "manifests":
		r.manifest(w, q, ref)
	case "referrers":
		r.referrers(w, q, ref)
	default:
		http.NotFound(w, q)
	}
}

func (r *Registry) blob(w http.ResponseWriter, q *http.Request, ref string) {
	switch {
	case q.Method == http.MethodPost && ref == "uploads/":
		w.Header().Set("Location", "/v2/"+r.repository+"/blobs/uploads/1")
		w.WriteHeader(http.StatusAccepted)
	case q.Method == http.MethodPut:
		body, err := io.ReadAll(q.Body)
		want := q.URL.Query().Get("digest")
		if err != nil || digestOf(body) != want {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.blobs[want] = body
		r.pushed++
		w.WriteHeader(http.StatusCreated)
	default:
		r.send(w, q, r.blobs, ref, "application/octet-stream")
	}
}

func (r *Registry) manifest(w http.ResponseWriter, q *http.Request, ref string) {
	if q.Method != http.MethodPut {
		if of, ok := r.tags[ref]; ok {
			ref = of
		}
		mediaType := ocispec.MediaTypeImageManifest
		if strings.Contains(string(r.manifests[ref]), ocispec.MediaTypeImageIndex) {
			mediaType = ocispec.MediaTypeImageIndex
		}
		r.send(w, q, r.manifests, ref, mediaType)
		return
	}
	body, err := io.ReadAll(q.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	d := digestOf(body)
	r.manifests[d] = body
	r.pushed++
	if !strings.HasPrefix(ref, "sha256:") {
		r.tags[ref] = d
	}
	var m ocispec.Manifest
	if json.Unmarshal(body, &m) == nil && m.Subject != nil && !r.Plain {
		w.Header().Set("OCI-Subject", m.Subject.Digest.String())
	}
	w.Header().Set("Docker-Content-Digest", d)
	w.WriteHeader(http.StatusCreated)
}

func (r *Registry) referrers(w http.ResponseWriter, q *http.Request, ref string) {
	if r.Plain {
		http.NotFound(w, q)
		return
	}
	list := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
	for d, body := range r.manifests {
		var m ocispec.Manifest
		if json.Unmarshal(body, &m) == nil && m.Subject != nil && m.Subject.Digest.String() == ref {
			list.Manifests = append(list.Manifests, ocispec.Descriptor{
				MediaType: m.MediaType, ArtifactType: m.ArtifactType, Digest: digest.Digest(d), Size: int64(len(body)),
			})
		}
	}
	w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
	json.NewEncoder(w).Encode(list)
}

func (r *Registry) send(w http.ResponseWriter, q *http.Request, from map[string][]byte, ref, mediaType string) {
	body, ok := from[ref]
	if !ok {
		http.NotFound(w, q)
		return
	}
	if other, ok := r.lies[ref]; ok {
		body = other
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Docker-Content-Digest", ref)
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	if q.Method != http.MethodHead {
		w.Write(body)
	}
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}
