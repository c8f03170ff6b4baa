//go:build linux

package agent

// This file tests files.

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestFiles(t *testing.T) {
	a, _ := connected(t)
	dir := t.TempDir()
	big := bytes.Repeat([]byte("0123456789abcdef"), 200<<10) // more than a window
	if err := a.Write(t.Context(),
		File{Path: dir + "/a/b/one", Content: []byte("hello")},
		File{Path: dir + "/big", Content: big, Mode: 0o600},
		File{Path: dir + "/run", Content: []byte("#!/bin/sh\n"), Mode: 0o755},
		File{Path: dir + "/empty"},
	); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		path string
		tail int64
		want []byte
		mode fs.FileMode
	}{
		{"/a/b/one", 0, []byte("hello"), 0o644},
		{"/a/b/one", 2, []byte("lo"), 0o644},
		{"/a/b/one", 200, []byte("hello"), 0o644},
		{"/big", 0, big, 0o600},
		{"/big", 20, big[len(big)-20:], 0o600},
		{"/run", 0, []byte("#!/bin/sh\n"), 0o755},
		{"/empty", 0, nil, 0o644},
		{"/empty", 5, nil, 0o644},
	}
	for _, tt := range tests {
		got, err := a.Read(t.Context(), dir+tt.path, tt.tail)
		if err != nil || !bytes.Equal(got, tt.want) {
			t.Errorf("%s, tail %d: got %d bytes and %v, want %d", tt.path, tt.tail, len(got), err, len(tt.want))
		}
		if info, err := os.Stat(dir + tt.path); err != nil || info.Mode() != tt.mode {
			t.Errorf("%s: got mode %v and %v, want %v", tt.path, info.Mode(), err, tt.mode)
		}
	}
	if got, err := a.Read(t.Context(), "/proc/self/status", 0); err != nil || !bytes.Contains(got, []byte("VmRSS")) {
		t.Errorf("a file of /proc: got %q and %v", got, err)
	}
	list, err := a.List(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, fmt.Sprintf("%s %v %d", e.Name, e.Mode.IsDir(), e.Size*b2i(!e.Mode.IsDir())))
	}
	if got, want := strings.Join(names, ", "), fmt.Sprintf("a true 0, big false %d, empty false 0, run false 10", len(big)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if err := a.Remove(t.Context(), dir+"/a", dir+"/big", dir+"/not-there"); err != nil {
		t.Error(err)
	}
	if list, err := a.List(t.Context(), dir); err != nil || len(list) != 2 {
		t.Errorf("after remove: got %v and %v, want two", list, err)
	}
	for _, path := range []string{"/", "/tmp/..", "relative", ""} {
		err := a.Remove(t.Context(), path)
		if e := (*Error)(nil); !errors.As(err, &e) || e.Kind != KindInvalid {
			t.Errorf("remove %q: got %v, want it refused", path, err)
		}
	}
}

func b2i(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func TestWriteRefuses(t *testing.T) {
	a, _ := connected(t)
	dir := t.TempDir()
	big := bytes.Repeat([]byte("x"), 2<<20)
	tests := []struct {
		name string
		file File
		is   error
		want string
	}{
		{"a relative path", File{Path: "x", Content: big}, nil, `write: got path "x", want an absolute one`},
		{"a folder in its place", File{Path: dir + "/folder", Content: big}, nil, "file exists"},
		{"a file for a folder", File{Path: dir + "/file/x", Content: big}, nil, "not a directory"},
		{"no such file system", File{Path: "/proc/x/y", Content: big}, nil, ""},
	}
	if err := os.Mkdir(dir+"/folder", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/file", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := a.Write(t.Context(), tt.file)
			if e := (*Error)(nil); !errors.As(err, &e) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want the agent's error with %q", err, tt.want)
			}
		})
	}
	if list, err := a.List(t.Context(), dir); err != nil || len(list) != 2 {
		t.Errorf("got %v and %v, want nothing left over", list, err)
	}
	soon(t, "no stream is left", func() bool { return a.session.NumStreams() == 0 })
}

// A reader sees the old content or the new one, never a part.
func TestWriteIsAtomic(t *testing.T) {
	a, _ := connected(t)
	path := filepath.Join(t.TempDir(), "x")
	content := func(i int) []byte { return bytes.Repeat([]byte{byte('a' + i%26)}, 1<<20) }
	if err := a.Write(t.Context(), File{Path: path, Content: content(0)}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		for i := range 20 {
			if err := a.Write(t.Context(), File{Path: path, Content: content(i)}); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		b, err := os.ReadFile(path)
		if err != nil || len(b) != 1<<20 || len(bytes.Trim(b, string(b[:1]))) != 0 {
			t.Fatalf("got %d bytes and %v", len(b), err)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
	}
}

// Docker mounts /etc/hosts: such a file can be written but not replaced.
func TestWriteToAMountedFile(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	dir := t.TempDir()
	for _, name := range []string{"from", "to"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("old content, longer than the new"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("mount", "--bind", filepath.Join(dir, "from"), filepath.Join(dir, "to")).CombinedOutput(); err != nil {
		t.Skipf("mounting is not possible here: %s", out)
	}
	defer syscall.Unmount(filepath.Join(dir, "to"), syscall.MNT_DETACH)
	a, _ := connected(t)
	if err := a.Write(t.Context(), File{Path: filepath.Join(dir, "to"), Content: []byte("new")}); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "from")); string(b) != "new" {
		t.Errorf("got %q and %v", b, err)
	}
	if list, err := a.List(t.Context(), dir); err != nil || len(list) != 2 {
		t.Errorf("got %v and %v, want nothing left over", list, err)
	}
}
