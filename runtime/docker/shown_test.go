package docker

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/network"

	"starfall/interp/plan"
)

// TestShow tells which engines may see a file of this host.
func TestShow(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	file, link := filepath.Join(dir, "starfall"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ endpoint, path, want string }{
		{"unix:///var/run/docker.sock", file, file},
		{"unix:///var/run/docker.sock", link, file},
		{"unix:///var/run/docker.sock", filepath.Join(dir, "gone"), ""},
		{"tcp://127.0.0.1:2375", file, ""},
		{"ssh://host", file, ""},
		{"npipe:////./pipe/docker_engine", file, ""},
	} {
		if got := show(tt.endpoint, tt.path); got != tt.want {
			t.Errorf("%s, %s: got %q, want %q", tt.endpoint, tt.path, got, tt.want)
		}
	}
}

// TestRealShown launches a container with a program that the engine sees, and
// with files that it does not see or that are no agent: those get a copy, and the
// containers that were tried before are gone.
func TestRealShown(t *testing.T) {
	e := real(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	h, err := open(ctx, e.Options)
	if err != nil {
		t.Fatal(err)
	}
	defer h.api.Close()
	image, err := h.imageOf(ctx, &plan.Cluster{Name: "kafka"}, "")
	if err != nil {
		t.Fatal(err)
	}
	path, err := e.Program(ctx, h.status.System)
	if err != nil {
		t.Fatal(err)
	}
	build, err := buildOf(path)
	if err != nil {
		t.Fatal(err)
	}
	if show(h.status.Host, path) == "" {
		t.Skipf("the engine at %s is not of this host", h.status.Host)
	}
	labels := map[string]string{labelRun: "shown-" + filepath.Base(t.TempDir()), labelOwner: self().String()}
	net, err := h.api.NetworkCreate(ctx, "starfall-shown", network.CreateOptions{Driver: "bridge", Labels: labels})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.api.NetworkRemove(context.Background(), net.ID); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, tt := range []struct {
		name, shown string
		tried       int // containers made
		seen        bool
		why         string // the program is copied
	}{
		{"the program", path, 1, true, ""},
		{"on no path of this host", "", 1, false, ""},
		{"on a path that is not there", filepath.Join(dir, "none"), 1, false, "does not exist"},
		{"a file that may not be run", file("data", "no program\n", 0o644), 2, false, "start: "},
		{"a folder", dir, 2, false, "start: "},
		{"a program that ends", file("ends", "#!/bin/sh\necho what is an agent >&2\n", 0o755), 2, false, "what is an agent"},
		{"a program that is no agent", file("talks", "#!/bin/sh\necho hello\nexec cat\n", 0o755), 2, false, "agent: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var mu sync.Mutex
			var made, steps []string
			unseen := new(atomic.Bool)
			spec := boxSpec{
				name: "control", host: "control", image: image, labels: labels, network: net.ID, prefix: "starfall-shown-",
				program:  program{path: path, build: build, shown: tt.shown, unseen: unseen},
				announce: func(id string) { mu.Lock(); defer mu.Unlock(); made = append(made, id) },
				reach:    func(step string) { mu.Lock(); defer mu.Unlock(); steps = append(steps, step) },
			}
			b, err := h.launch(ctx, spec)
			if b != nil {
				defer func() {
					b.agent.Close()
					if err := h.remove(ctx, b.id); err != nil {
						t.Error(err)
					}
				}()
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(made) != tt.tried {
				t.Errorf("got %d containers made, want %d", len(made), tt.tried)
			}
			for _, id := range made {
				if _, err := h.api.ContainerInspect(ctx, id); id == b.id && err != nil || id != b.id && !errdefs.IsNotFound(err) {
					t.Errorf("container %.12s: got %v; there must be the last only", id, err)
				}
			}
			info, err := h.api.ContainerInspect(ctx, b.id)
			if err != nil {
				t.Fatal(err)
			}
			mounted := len(info.Mounts) == 1 && info.Mounts[0].Source == tt.shown && info.Mounts[0].Destination == pathProgram && !info.Mounts[0].RW
			if mounted != tt.seen || !tt.seen && len(info.Mounts) != 0 {
				t.Errorf("got mounts %+v, want the program's only: %v", info.Mounts, tt.seen)
			}
			if failed := tt.why != ""; unseen.Load() != failed {
				t.Errorf("unseen: got %v, want %v", unseen.Load(), failed)
			}
			if all := strings.Join(steps, "\n"); !strings.Contains(all, tt.why) || strings.Contains(all, "starfall copied") == tt.seen {
				t.Errorf("got steps\n%s\nwant copied: %v, because of %q", all, !tt.seen, tt.why)
			}
			if tt.why == "" {
				return
			}
			// What was learned holds for the next.
			made = nil
			spec.name = "next"
			next, err := h.launch(ctx, spec)
			if err != nil {
				t.Fatal(err)
			}
			next.agent.Close()
			if err := h.remove(ctx, next.id); err != nil {
				t.Error(err)
			}
			if len(made) != 1 {
				t.Errorf("the next: got %d containers made, want 1", len(made))
			}
		})
	}
}
