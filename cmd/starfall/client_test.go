package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestClientsOfOnesOwn builds the client in Go of examples/clients and runs it in
// the place of both clients of the first example, as its README says. Those in
// other languages need packages from elsewhere: examples/clients/check runs them.
func TestClientsOfOnesOwn(t *testing.T) {
	if testing.Short() {
		t.Skip("runs for twenty seconds")
	}
	root := repoRoot(t)
	bin := filepath.Join(plainBinary(t), "starfall")
	shop := filepath.Join(t.TempDir(), "shop")
	if out, err := exec.Command("go", "build", "-o", shop, root+"/examples/clients/go").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	args := []string{
		"run", root + "/examples/01-first-message.star", "--out", t.TempDir(),
		"--client", "writer=" + shop + " produce", "--client", "reader=" + shop + " consume",
	}
	for try := 1; ; try++ {
		out, err := exec.Command(bin, args...).CombinedOutput()
		if err == nil {
			return
		}
		if try == 3 || !strings.Contains(string(out), tooBusy) {
			t.Fatalf("%v\n%s", err, out)
		}
		t.Logf("try %d: the machine was too busy", try)
	}
}
