//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// steps gives the shell commands of a workflow, those behind each run: in it.
func steps(lines []string) []string {
	indent := func(s string) int { return len(s) - len(strings.TrimLeft(s, " ")) }
	var out []string
	for i := 0; i < len(lines); i++ {
		at := strings.Index(lines[i], "run: ")
		if at < 0 || strings.TrimLeft(lines[i][:at], " -") != "" {
			continue
		}
		text := lines[i][at+len("run: "):]
		if text != "|" {
			out = append(out, text)
			continue
		}
		var block []string
		for i+1 < len(lines) && (indent(lines[i+1]) > at || strings.TrimSpace(lines[i+1]) == "") {
			i++
			block = append(block, strings.TrimSpace(lines[i]))
		}
		out = append(out, strings.Join(block, "\n"))
	}
	return out
}

// TestWorkflow runs the shell commands of the GitHub Actions workflow that
// docs/ci.md shows, as a runner does: bash -e, one after the other, in a
// checkout. Installing is left out: it is this program that is tested.
func TestWorkflow(t *testing.T) {
	root := repoRoot(t)
	blocks, err := quotes(filepath.Join(root, "docs", "ci.md"))
	if err != nil {
		t.Fatal(err)
	}
	var flow []string
	for _, q := range blocks {
		if q.language == "yaml" {
			flow = q.lines
		}
	}
	pinned := regexp.MustCompile(`^ *- uses: [a-z-]+/[a-z-]+@v\d+\.\d+\.\d+$`)
	for _, line := range flow {
		if strings.Contains(line, "uses:") && !pinned.MatchString(line) {
			t.Errorf("got %q, want the action's whole version", line)
		}
	}
	commands := steps(flow)
	if len(commands) != 3 || !strings.HasPrefix(commands[0], "go install ") {
		t.Fatalf("got the steps %q, want to install, to run and to show", commands)
	}
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("no bash, in which a runner runs steps")
	}
	bin, dir := plainBinary(t), t.TempDir()
	copyExamples(t, dir)
	for _, c := range commands[1:] {
		for try := 1; ; try++ {
			if try > 2 {
				c = strings.Replace(c, "--speed 4", "--speed 1", 1)
			}
			cmd := exec.Command("bash", "-e", "-o", "pipefail", "-c", c)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "GITHUB_STEP_SUMMARY="+filepath.Join(dir, "step.md"), "STARFALL_ENGINE=")
			out, err := cmd.CombinedOutput()
			if err == nil {
				break
			}
			if try < 5 && strings.Contains(string(out), tooBusy) {
				t.Logf("try %d: the machine was too busy", try)
				continue
			}
			t.Fatalf("%s: %v\n%s", c, err, out)
		}
	}
	for name, want := range map[string]string{"step.md": "### ✅ PASS · ", "scenario.xml": `errors="0"`} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), want) {
			t.Errorf("%s: got %s, want %s in it", name, text, want)
		}
	}
	if found, err := filepath.Glob(filepath.Join(dir, "runs", "*", "run.json")); err != nil || len(found) == 0 {
		t.Errorf("got the run folders %v (%v), want one to keep", found, err)
	}
}
