package bundle

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"starfall/runtime/judge"
	"starfall/runtime/record"
)

// rig is a bundle that is built wrongly: the digests are right, what they are of is
// not.
type rig struct {
	*store
	lock   *Lock
	layers map[string][]byte // of the experiment, by title
}

func newRig(t *testing.T) *rig {
	t.Helper()
	b := testBundle(t)
	canonical, err := b.Plan.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	lock := *b.Lock
	return &rig{newStore(), &lock, map[string][]byte{
		record.FilePlan: canonical, "files/x.star": []byte("scenario()\n"), "files/lib/load.star": []byte("rate = 2\n"), "std/alerts.star": []byte("rule = 1\n"),
	}}
}

// seal makes the manifest, after a change to it.
func (r *rig) seal(t *testing.T, change func(*ocispec.Manifest)) {
	t.Helper()
	text, err := r.lock.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	m := ocispec.Manifest{ArtifactType: TypeExperiment, Config: r.add(typeLock, text)}
	for _, title := range slices.Sorted(maps.Keys(r.layers)) {
		m.Layers = append(m.Layers, r.layer(title, r.layers[title]))
	}
	if change != nil {
		change(&m)
	}
	r.experiment = r.manifest(m)
}

func (r *rig) read(t *testing.T) error {
	t.Helper()
	_, err := ReadTar(context.Background(), "evil.tar", bytes.NewReader(tarOf(t, &Bundle{store: r.store})))
	return err
}

// TestHostileManifests reads bundles whose manifests ask for harm.
func TestHostileManifests(t *testing.T) {
	type change = func(*ocispec.Manifest)
	rename := func(title string) change {
		return func(m *ocispec.Manifest) { m.Layers[0].Annotations = map[string]string{ocispec.AnnotationTitle: title} }
	}
	for _, tt := range []struct {
		name   string
		rig    func(*rig)
		change change
		want   string
	}{
		{"nothing wrong", nil, nil, ""},
		{"a path that leads out", nil, rename("../../.ssh/authorized_keys"), "../../.ssh/authorized_keys: a path that leads out"},
		{"an absolute path", nil, rename("/etc/cron.d/x"), "/etc/cron.d/x: an absolute path"},
		{"a drive", nil, rename(`C:/x`), "C:/x: an absolute path"},
		{"a backslash", nil, rename(`files\..\..\x`), "not every system allows"},
		{"an escape sequence", nil, rename("files/\x1b[2Jx"), `files/\x1b[2Jx`},
		{"no name", nil, rename(""), "a file without a name"},
		{"a long path", nil, rename(strings.Repeat("x", 500)), "a path that is too long"},
		{"many folders", nil, rename(strings.Repeat("x/", 30) + "x"), "too many folders"},
		{"a file twice", nil, func(m *ocispec.Manifest) { m.Layers = append(m.Layers, m.Layers[0]) }, "a second file of this name"},
		{"the same file in capitals", func(r *rig) { r.layers["files/X.star"] = nil }, nil, "a second file of this name"},
		{"a file as a folder", func(r *rig) { r.layers["files/x.star/x"] = nil }, nil, "it lies below a file"},
		{"a file that the lock does not name", func(r *rig) { r.layers["files/.bashrc"] = []byte("x") }, nil, "files/.bashrc: experiment.lock does not name this file"},
		{"a file that is missing", func(r *rig) { delete(r.layers, "files/lib/load.star") }, nil, "files/lib/load.star: experiment.lock names this file, and it is not there"},
		{"another file than the lock's", func(r *rig) { r.layers["files/x.star"] = []byte("other") }, nil, "files/x.star: it is not the file that experiment.lock names"},
		{"another plan", func(r *rig) {
			r.layers[record.FilePlan] = bytes.Replace(r.layers[record.FilePlan], []byte(`"title": "An x"`), []byte(`"title": "A y"`), 1)
		}, nil, "plan.json: it is not the file that experiment.lock names"},
		{"a plan of other files", func(r *rig) {
			r.layers[record.FilePlan] = bytes.Replace(r.layers[record.FilePlan], []byte(`"path": "x.star"`), []byte(`"path": "y.star"`), 1)
			r.lock.Plan = Sum(r.layers[record.FilePlan])
		}, nil, "plan.json: it is of other files than experiment.lock names"},
		{"a seed that is not the plan's", func(r *rig) { r.lock.Seed = 8 }, nil, "it is of another scenario or seed"},
		{"a size that lies", nil, func(m *ocispec.Manifest) { m.Layers[0].Size = 5 }, "it is too large: got 9 bytes, want at most 5"},
		{"a size beyond all", nil, func(m *ocispec.Manifest) { m.Layers[0].Size = 1 << 40 }, "it is too large"},
		{"a negative size", nil, func(m *ocispec.Manifest) { m.Layers[0].Size = -1 }, "it is too large"},
		{"a size that promises more", nil, func(m *ocispec.Manifest) { m.Layers[0].Size = 100 }, "it is shorter than the 100 bytes that it says"},
		{"a blob that is not there", nil, func(m *ocispec.Manifest) { m.Config.Digest = digest.FromString("nothing") }, "experiment.lock: it is missing"},
		{"another algorithm", nil, func(m *ocispec.Manifest) { m.Config.Digest = "sha512:" + digest.Digest(strings.Repeat("0", 128)) }, "want a SHA-256"},
		{"a digest that is a path", nil, func(m *ocispec.Manifest) { m.Config.Digest = "sha256:../../../../etc/passwd" }, "want a SHA-256"},
		{"a layer of another type", nil, func(m *ocispec.Manifest) { m.Layers[0].MediaType = ocispec.MediaTypeImageLayerGzip }, "it holds a layer of type"},
		{"many layers", nil, func(m *ocispec.Manifest) { m.Layers = make([]ocispec.Descriptor, MaxFiles+1) }, "it holds too many files"},
		{"a large lock", nil, func(m *ocispec.Manifest) { m.Config.Size = maxLock + 1 }, "experiment.lock: it is too large"},
		{"another artifact", nil, func(m *ocispec.Manifest) { m.ArtifactType = "application/vnd.other" }, "this is no bundle of starfall"},
		{"a result", nil, func(m *ocispec.Manifest) { m.ArtifactType = TypeResult }, "this is a result, want the experiment"},
		{"a container image", nil, func(m *ocispec.Manifest) { m.ArtifactType, m.Config.MediaType = "", ocispec.MediaTypeImageConfig }, "this is no bundle of starfall"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			if tt.rig != nil {
				tt.rig(r)
			}
			r.seal(t, tt.change)
			err := r.read(t)
			if tt.want == "" {
				if err != nil {
					t.Errorf("got %v, want no error", err)
				}
				return
			}
			wantError(t, err, tt.want)
			if err != nil && strings.ContainsAny(err.Error(), "\x1b") {
				t.Errorf("got an escape sequence in the message %q", err)
			}
		})
	}
}

// TestHostileResults attaches results that ask for harm.
func TestHostileResults(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(files map[string][]byte, m *ocispec.Manifest)
		want   string
	}{
		{"nothing wrong", nil, ""},
		{"a path that leads out", func(f map[string][]byte, _ *ocispec.Manifest) { f["evidence/../../../x"] = nil }, "leads out of the bundle"},
		{"a file of no run folder", func(f map[string][]byte, _ *ocispec.Manifest) { f["report.html"] = nil }, "report.html: a result holds a file that no run folder has"},
		{"no verdict", func(f map[string][]byte, _ *ocispec.Manifest) { delete(f, record.FileVerdict) }, "verdict.json: the result has no such file"},
		{"a verdict that is none", func(f map[string][]byte, _ *ocispec.Manifest) { f[record.FileVerdict] = []byte("null") }, "verdict.json: it holds no verdict"},
		{"a deep verdict", func(f map[string][]byte, _ *ocispec.Manifest) {
			f[record.FileVerdict] = []byte(strings.Repeat("[", 1_000_000))
		}, "verdict.json: it cannot be read"},
		{"another plan", func(f map[string][]byte, _ *ocispec.Manifest) { f[record.FilePlan] = []byte("{}") }, "a result is attached that is of another plan or engine"},
		{"another engine", func(f map[string][]byte, _ *ocispec.Manifest) { f[record.FileInfo] = []byte(`{"engine":"docker"}`) }, "a result is attached that is of another plan or engine"},
		{"a large configuration", func(_ map[string][]byte, m *ocispec.Manifest) { m.Config.Size = 1 << 30 }, "a result's configuration: it is too large"},
		{"another kind", func(_ map[string][]byte, m *ocispec.Manifest) { m.ArtifactType = "application/vnd.signature" }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := testBundle(t)
			files := map[string][]byte{}
			for _, f := range testResult(t, judge.Pass, dayOf(1)).Files {
				files[f.Path] = f.Data
			}
			b.store.blobs[ocispec.DescriptorEmptyJSON.Digest] = ocispec.DescriptorEmptyJSON.Data
			m := ocispec.Manifest{ArtifactType: TypeResult, Config: ocispec.DescriptorEmptyJSON, Subject: &b.store.experiment}
			if tt.change != nil {
				tt.change(files, &m)
			}
			for name, data := range files {
				m.Layers = append(m.Layers, b.store.layer(name, data))
			}
			b.store.results = append(b.store.results, b.store.manifest(m))
			_, err := ReadTar(context.Background(), "evil.tar", bytes.NewReader(tarOf(t, b)))
			if tt.want == "" && err != nil {
				t.Errorf("got %v, want no error", err)
			}
			if tt.want != "" {
				wantError(t, err, tt.want)
			}
		})
	}
}

// entries reads a tar file.
func entries(t *testing.T, b []byte) (heads []tar.Header, bodies [][]byte) {
	t.Helper()
	r := tar.NewReader(bytes.NewReader(b))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return heads, bodies
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		heads, bodies = append(heads, *h), append(bodies, body)
	}
}

// TestHostileTars reads tar files that no layout is.
func TestHostileTars(t *testing.T) {
	good := tarOf(t, testBundle(t))
	heads, bodies := entries(t, good)
	with := func(extra ...tar.Header) func(*tar.Writer) {
		return func(w *tar.Writer) {
			for _, h := range extra {
				if err := w.WriteHeader(&h); err != nil {
					t.Fatal(err)
				}
				if _, err := io.CopyN(w, zeros{}, h.Size); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	replaced := func(name string, body []byte) func(*tar.Writer) {
		return func(w *tar.Writer) {
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(body))}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(body); err != nil {
				t.Fatal(err)
			}
		}
	}
	blob := "blobs/sha256/" + strings.Repeat("a", 64)
	for _, tt := range []struct {
		name  string
		extra func(*tar.Writer)
		less  string // entry that is left out
		want  string
	}{
		{"nothing wrong", with(tar.Header{Typeflag: tar.TypeDir, Name: "./blobs/"}), "", ""},
		{"a path that leads out", with(tar.Header{Typeflag: tar.TypeReg, Name: "../../x"}), "", "it holds ../../x, which no bundle has"},
		{"an absolute path", with(tar.Header{Typeflag: tar.TypeReg, Name: "/etc/passwd"}), "", "it holds /etc/passwd, which no bundle has"},
		{"a symbolic link", with(tar.Header{Typeflag: tar.TypeSymlink, Name: blob, Linkname: "/etc/passwd"}), "", "the kind symbolic link"},
		{"a hard link", with(tar.Header{Typeflag: tar.TypeLink, Name: blob, Linkname: "oci-layout"}), "", "the kind hard link"},
		{"a device", with(tar.Header{Typeflag: tar.TypeChar, Name: blob}), "", "the kind device"},
		{"a folder", with(tar.Header{Typeflag: tar.TypeDir, Name: "etc"}), "", "the kind folder"},
		{"a file twice", with(tar.Header{Typeflag: tar.TypeReg, Name: "./oci-layout"}), "", "./oci-layout twice"},
		{"a blob that is another", with(tar.Header{Typeflag: tar.TypeReg, Name: blob, Size: 3}), "", "it is not what its name says"},
		{"no version", nil, "oci-layout", "it holds no oci-layout"},
		{"no index", nil, "index.json", "it holds no index.json"},
		{"another version", replaced("oci-layout", []byte(`{"imageLayoutVersion":"9"}`)), "oci-layout", `got version "9", want 1.0.0`},
		{"a large version", replaced("oci-layout", bytes.Repeat([]byte(" "), 5000)), "oci-layout", "oci-layout: it is too large"},
		{"an index that is no JSON", replaced("index.json", []byte("{")), "index.json", "index.json: it cannot be read"},
		{"a deep index", replaced("index.json", []byte(strings.Repeat(`{"manifests":[`, 100_000))), "index.json", "index.json: it cannot be read"},
		{"a large index", replaced("index.json", bytes.Repeat([]byte(" "), maxIndex+1)), "index.json", "index.json: it is too large"},
		{"an empty index", replaced("index.json", []byte(`{"schemaVersion":2}`)), "index.json", "it holds no experiment"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var buf bytes.Buffer
			w := tar.NewWriter(&buf)
			for i := range heads {
				if heads[i].Name == tt.less {
					continue
				}
				if err := w.WriteHeader(&heads[i]); err != nil {
					t.Fatal(err)
				}
				if _, err := w.Write(bodies[i]); err != nil {
					t.Fatal(err)
				}
			}
			if tt.extra != nil {
				tt.extra(w)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			_, err := ReadTar(context.Background(), "evil.tar", &buf)
			if tt.want == "" && err != nil {
				t.Errorf("got %v, want no error", err)
			}
			if tt.want != "" {
				wantError(t, err, tt.want)
			}
		})
	}
	t.Run("cut off", func(t *testing.T) {
		for _, n := range []int{0, 1, 511, 512, 600, len(good) / 2} {
			if _, err := ReadTar(context.Background(), "cut.tar", bytes.NewReader(good[:n])); err == nil {
				t.Errorf("cut off at byte %d: got no error", n)
			}
		}
	})
	t.Run("flipped bits", func(t *testing.T) {
		// Of a file's content, any change is found. Headers have a checksum of their own.
		at := bytes.Index(good, []byte("scenario()\n"))
		bad := bytes.Clone(good)
		bad[at] ^= 1
		_, err := ReadTar(context.Background(), "bad.tar", bytes.NewReader(bad))
		wantError(t, err, "it is not what its name says")
	})
	t.Run("a giant entry", func(t *testing.T) {
		// Only its header: what says that it is too large is refused before it is read.
		var buf bytes.Buffer
		if err := tar.NewWriter(&buf).WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: blob, Size: 1 << 40}); err != nil {
			t.Fatal(err)
		}
		_, err := ReadTar(context.Background(), "evil.tar", &buf)
		wantError(t, err, "it is too large: got 1099511627776 bytes")
	})
	t.Run("too many entries", func(t *testing.T) {
		var buf bytes.Buffer
		w := tar.NewWriter(&buf)
		for i := range 2*MaxFiles + 10 {
			body := fmt.Appendf(nil, "%d", i)
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "blobs/sha256/" + Sum(body), Size: int64(len(body))}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(body); err != nil {
				t.Fatal(err)
			}
		}
		_, err := ReadTar(context.Background(), "evil.tar", &buf)
		wantError(t, err, "it holds too many files")
	})
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// TestHostileFolder reads layout folders whose files are not files.
func TestHostileFolder(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	place := func(t *testing.T) (Place, string) {
		dir := filepath.Join(t.TempDir(), "layout")
		p := Place{Kind: Folder, Path: dir}
		if err := testBundle(t).Write(context.Background(), p, Access{}); err != nil {
			t.Fatal(err)
		}
		return p, dir
	}
	p, dir := place(t)
	if err := os.Remove(filepath.Join(dir, "oci-layout")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(dir, "oci-layout")); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	_, err := Read(context.Background(), p, Access{})
	wantError(t, err, "oci-layout: it cannot be read: path escapes from parent")

	p, dir = place(t)
	blobs := filepath.Join(dir, "blobs", "sha256")
	list, err := os.ReadDir(blobs)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range list {
		path := filepath.Join(blobs, x.Name())
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Read(context.Background(), p, Access{}); err == nil {
		t.Error("got no error from blobs that are not what they were")
	}
}

// FuzzParse reads whatever comes as a tar file's index, a manifest, a lock.
func FuzzParse(f *testing.F) {
	b, err := New(testPlan(), testLock(), nil)
	if err != nil {
		f.Fatal(err)
	}
	lock, err := b.Lock.Canonical()
	if err != nil {
		f.Fatal(err)
	}
	index, err := json.Marshal(ocispec.Index{Manifests: []ocispec.Descriptor{b.store.experiment}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(lock)
	f.Add(index)
	f.Add(b.store.blobs[b.store.experiment.Digest])
	f.Fuzz(func(t *testing.T, text []byte) {
		if l, err := ParseLock(text); err == nil {
			if _, err := l.Canonical(); err != nil {
				t.Error(err)
			}
		}
		files := map[string][]byte{"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`), "index.json": text}
		for d, data := range b.store.blobs {
			files[blobPath(d)] = data
		}
		if m, err := parseManifest("m", text); err == nil {
			titles("m", m)
		}
		l, err := openLayout("x", func(path string, limit int64) ([]byte, error) {
			data, ok := files[path]
			if !ok || int64(len(data)) > limit {
				return nil, os.ErrNotExist
			}
			return data, nil
		})
		if err != nil {
			return
		}
		read(context.Background(), l, "")
	})
}
