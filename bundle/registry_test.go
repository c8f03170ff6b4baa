package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"starfall/runtime/judge"
)

// testRegistry is a registry of the OCI distribution specification 1.1, in memory: blobs
// that are put in one go, manifests by tag and digest, and the referrers API unless
// plain is set, as registries were before it.
type testRegistry struct {
	plain    bool
	password string // wanted of user lab; "": nobody has to say who he is

	mu        sync.Mutex
	blobs     map[string][]byte
	manifests map[string][]byte // by digest
	tags      map[string]string
	pushed    int // blobs and manifests that came
	lie       map[string][]byte
}

func newRegistry(t *testing.T) (*testRegistry, string) {
	r := &testRegistry{blobs: map[string][]byte{}, manifests: map[string][]byte{}, tags: map[string]string{}, lie: map[string][]byte{}}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	return r, strings.TrimPrefix(s.URL, "http://")
}

var registryPath = regexp.MustCompile(`^/v2/lab/x/(blobs|manifests|referrers)/(.*)$`)

func (r *testRegistry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, p, _ := q.BasicAuth(); p != r.password {
		w.Header().Set("WWW-Authenticate", `Basic realm="lab"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	m := registryPath.FindStringSubmatch(q.URL.Path)
	if m == nil {
		http.NotFound(w, q)
		return
	}
	switch kind, ref := m[1], m[2]; kind {
	case "blobs":
		r.blob(w, q, ref)
	case "manifests":
		r.manifest(w, q, ref)
	case "referrers":
		r.referrers(w, q, ref)
	}
}

func (r *testRegistry) blob(w http.ResponseWriter, q *http.Request, ref string) {
	switch {
	case q.Method == http.MethodPost && ref == "uploads/":
		w.Header().Set("Location", "/v2/lab/x/blobs/uploads/1")
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

func (r *testRegistry) manifest(w http.ResponseWriter, q *http.Request, ref string) {
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
	if json.Unmarshal(body, &m) == nil && m.Subject != nil && !r.plain {
		w.Header().Set("OCI-Subject", m.Subject.Digest.String())
	}
	w.Header().Set("Docker-Content-Digest", d)
	w.WriteHeader(http.StatusCreated)
}

func (r *testRegistry) referrers(w http.ResponseWriter, q *http.Request, ref string) {
	if r.plain {
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

func (r *testRegistry) send(w http.ResponseWriter, q *http.Request, from map[string][]byte, ref, mediaType string) {
	body, ok := from[ref]
	if !ok {
		http.NotFound(w, q)
		return
	}
	if other, ok := r.lie[ref]; ok {
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

func parsed(t *testing.T, text string) Place {
	t.Helper()
	p, err := ParsePlace(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestRegistry pushes an experiment, then results one after the other, and pulls it,
// from a registry that has the referrers API and from one that has not.
func TestRegistry(t *testing.T) {
	for _, plain := range []bool{false, true} {
		t.Run(fmt.Sprintf("plain=%v", plain), func(t *testing.T) {
			ctx := context.Background()
			r, host := newRegistry(t)
			r.plain = plain
			to := parsed(t, host+"/lab/x:v1")
			b := testBundle(t, File{Path: "shop/empty.py"})
			if err := b.Write(ctx, to, Access{}); err != nil {
				t.Fatal(err)
			}
			got, err := Read(ctx, to, Access{})
			if err != nil {
				t.Fatal(err)
			}
			if got.Digest() != b.Digest() || len(got.Results) != 0 {
				t.Errorf("got %s with %d results, want %s with none", got.Digest(), len(got.Results), b.Digest())
			}
			// Somebody else attaches a result to what he pulled, and somebody a second one.
			for i, result := range []judge.Result{judge.Pass, judge.Fail} {
				other := testBundle(t, File{Path: "shop/empty.py"})
				if err := other.Attach(testResult(t, result, dayOf(i+1))); err != nil {
					t.Fatal(err)
				}
				before := r.pushed
				if err := other.Write(ctx, to, Access{}); err != nil {
					t.Fatal(err)
				}
				if i == 1 && r.pushed-before > 8 {
					t.Errorf("got %d blobs and manifests sent for a second result, want only what is new", r.pushed-before)
				}
			}
			if got, err = Read(ctx, to, Access{}); err != nil {
				t.Fatal(err)
			}
			var words []string
			for _, x := range got.Results {
				words = append(words, string(x.Verdict.Result))
			}
			if !slices.Equal(words, []string{"PASS", "FAIL"}) || got.Digest() != b.Digest() {
				t.Errorf("got results %v of %s, want PASS and FAIL of %s", words, got.Digest(), b.Digest())
			}
			byDigest, err := Read(ctx, parsed(t, host+"/lab/x@"+b.Digest()), Access{})
			if err != nil || len(byDigest.Results) != 2 {
				t.Errorf("by digest: got %v and %v, want both results", byDigest, err)
			}

			_, err = Read(ctx, parsed(t, host+"/lab/x:v2"), Access{})
			wantError(t, err, host+"/lab/x:v2: the registry has no such bundle")
		})
	}
}

// TestRegistryLies wants what a registry sends to be what it was asked for.
func TestRegistryLies(t *testing.T) {
	ctx := context.Background()
	r, host := newRegistry(t)
	to := parsed(t, host+"/lab/x:v1")
	b := testBundle(t)
	if err := b.Write(ctx, to, Access{}); err != nil {
		t.Fatal(err)
	}
	file := digestOf([]byte("scenario()\n"))
	r.lie[file] = []byte("scenariO()\n")
	_, err := Read(ctx, to, Access{})
	wantError(t, err, "files/x.star")
	delete(r.lie, file)

	r.lie[b.Digest()] = []byte("{}")
	if _, err := Read(ctx, to, Access{}); err == nil {
		t.Error("got no error from a manifest that is not the one of its digest")
	}
}

func TestRegistryLogin(t *testing.T) {
	ctx := context.Background()
	r, host := newRegistry(t)
	r.password = "hunter2"
	to := parsed(t, host+"/lab/x:v1")
	config := filepath.Join(t.TempDir(), "config.json")
	err := testBundle(t).Write(ctx, to, Access{Config: config})
	var u *UnreachableError
	if !errors.As(err, &u) || !u.Denied() {
		t.Errorf("without credentials: got %v, want that it is denied", err)
	}
	auth := fmt.Sprintf(`{"auths": {%q: {"auth": "bGFiOmh1bnRlcjI="}}}`, host) // lab:hunter2
	if err := os.WriteFile(config, []byte(auth), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := testBundle(t).Write(ctx, to, Access{Config: config}); err != nil {
		t.Errorf("with credentials: got %v, want no error", err)
	}
	if _, err := Read(ctx, to, Access{Config: config}); err != nil {
		t.Errorf("with credentials: got %v, want no error", err)
	}
}

func TestNoRegistry(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	host := strings.TrimPrefix(s.URL, "http://")
	s.Close()
	_, err := Read(context.Background(), parsed(t, host+"/lab/x:v1"), Access{})
	var u *UnreachableError
	if !errors.As(err, &u) || u.Denied() {
		t.Errorf("got %v, want that it cannot be reached", err)
	}
}

// TestLayoutFolder keeps two experiments in one folder.
func TestLayoutFolder(t *testing.T) {
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "shared")
	b := testBundle(t)
	if err := b.Attach(testResult(t, judge.Pass, dayOf(1))); err != nil {
		t.Fatal(err)
	}
	other := testBundle(t, File{Path: "y.py", Data: []byte("y")})
	if err := b.Write(ctx, parsed(t, "oci:"+dir+":one"), Access{}); err != nil {
		t.Fatal(err)
	}
	got, err := Read(ctx, parsed(t, dir), Access{})
	if err != nil || got.Digest() != b.Digest() || len(got.Results) != 1 {
		t.Fatalf("got %v and %v, want the only experiment with its result", got, err)
	}
	if err := other.Write(ctx, parsed(t, "oci:"+dir+":two"), Access{}); err != nil {
		t.Fatal(err)
	}
	_, err = Read(ctx, parsed(t, dir), Access{})
	wantError(t, err, "it holds 2 experiments")
	got, err = Read(ctx, parsed(t, "oci:"+dir+":two"), Access{})
	if err != nil || got.Digest() != other.Digest() || len(got.Results) != 0 {
		t.Errorf("got %v and %v, want the second one, without a result", got, err)
	}
	_, err = Read(ctx, parsed(t, "oci:"+dir+"@"+b.Digest()), Access{})
	if err != nil {
		t.Errorf("by digest: got %v, want no error", err)
	}
	_, err = Read(ctx, parsed(t, "oci:"+dir+":three"), Access{})
	wantError(t, err, "it holds no three")
	_, err = Read(ctx, parsed(t, "oci:"+dir+"-not"), Access{})
	wantError(t, err, "there is no such folder")

	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantError(t, b.Write(ctx, parsed(t, "oci:"+full), Access{}), "holds other things than an OCI image layout")
}

func TestParsePlace(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.Mkdir("lay", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	sum := "sha256:" + strings.Repeat("a", 64)
	for _, tt := range []struct {
		text string
		want string // kind path tag
	}{
		{"x.tar", "0 x.tar "},
		{"./x", "0 ./x "},
		{"file", "0 file "},
		{"lay", "1 lay "},
		{"oci:lay", "1 lay "},
		{"oci:lay:v1", "1 lay v1"},
		{"oci:lay@" + sum, "1 lay " + sum},
		{"oci:a:b/c", "1 a:b/c "},
		{"localhost:5000/lab/x:v1", "2  v1"},
		{"registry.example.com/lab/x", "2  latest"},
		{"registry.example.com/lab/x@" + sum, "2  " + sum},
		{"oci:", "error"},
		{"", "error"},
		{"nothing", "error"},
		{"lab/x:v1", "error"},
		{"registry.example.com/LAB/x", "error"},
	} {
		p, err := ParsePlace(tt.text)
		got := fmt.Sprintf("%d %s %s", p.Kind, p.Path, p.Tag)
		if err != nil {
			got = "error"
		}
		if got != tt.want {
			t.Errorf("%q: got %q (%v), want %q", tt.text, got, err, tt.want)
		}
	}
}

func TestIsLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "localhost:5000": true, "127.0.0.1:80": true, "[::1]:80": true, "127.9.9.9": true,
		"registry.example.com": false, "10.0.0.1:5000": false, "localhost.example.com": false, "0.0.0.0:80": false,
	} {
		if got := isLoopback(host); got != want {
			t.Errorf("%s: got %v, want %v", host, got, want)
		}
	}
}
