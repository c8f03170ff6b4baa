package docker

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestLoaded runs what is left of a program that is cut behind what is loaded.
func TestLoaded(t *testing.T) {
	exe, err := exec.LookPath("go") // as good as any
	if err != nil {
		t.Skip(err)
	}
	f, err := os.Open(exe)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	header, end, ok := loaded(f)
	if !ok {
		t.Skip("it is no 64-bit ELF file")
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if end <= 0 || end > info.Size() {
		t.Fatalf("end: got %d of %d bytes", end, info.Size())
	}
	content, err := io.ReadAll(io.NewSectionReader(f, 0, end))
	if err != nil {
		t.Fatal(err)
	}
	copy(content, header)
	path := filepath.Join(t.TempDir(), "cut")
	if err := os.WriteFile(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
	cut := exec.Command(path, "version")
	cut.Env = append(os.Environ(), "GOROOT="+t.TempDir()) // it does without, and is not where it looks for it
	out, err := cut.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "go version ") {
		t.Errorf("got %v, %s", err, out)
	}
	if _, _, ok := loaded(bytes.NewReader([]byte("#!/bin/sh\necho a script is copied as it is, whatever its length may be\n"))); ok {
		t.Error("a script was taken for an ELF file")
	}
}
