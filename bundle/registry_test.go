package bundle

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"starfall/internal/ociregistry"
	"starfall/runtime/judge"
)

func startRegistry(t *testing.T) (*ociregistry.Registry, string) {
	r := ociregistry.New("lab/x")
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	return r, strings.TrimPrefix(s.URL, "http://")
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
			r, host := startRegistry(t)
			r.Plain = plain
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
				before := r.Pushed()
				if err := other.Write(ctx, to, Access{}); err != nil {
					t.Fatal(err)
				}
				if i == 1 && r.Pushed()-before > 8 {
					t.Errorf("got %d blobs and manifests sent for a second result, want only what is new", r.Pushed()-before)
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
	r, host := startRegistry(t)
	to := parsed(t, host+"/lab/x:v1")
	b := testBundle(t)
	if err := b.Write(ctx, to, Access{}); err != nil {
		t.Fatal(err)
	}
	file := "sha256:" + Sum([]byte("scenario()\n"))
	r.Lie(file, []byte("scenariO()\n"))
	_, err := Read(ctx, to, Access{})
	wantError(t, err, "files/x.star")
	r.Lie(file, nil)

	r.Lie(b.Digest(), []byte("{}"))
	if _, err := Read(ctx, to, Access{}); err == nil {
		t.Error("got no error from a manifest that is not the one of its digest")
	}
}

func TestRegistryLogin(t *testing.T) {
	ctx := context.Background()
	r, host := startRegistry(t)
	r.Password = "hunter2"
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
