package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"starfall/examples"
)

// quote is a fenced block of a document with what the comment right above it
// says about it:
//
//	<!-- exit 1 -->          its last command ends with this code (0 if not said)
//	<!-- until "text" -->    its command holds: once stderr has the text, Ctrl-C
//	<!-- file: x.star -->    it is the content of that file
//	<!-- not run: why -->    it is not run, and why
//
// Blocks marked sh hold commands, one a line; of those marked console only
// lines that begin with $ are commands.
type quote struct {
	at       string // file:line
	language string
	lines    []string
	exit     int
	until    string
	file     string
	skip     string
}

var directive = regexp.MustCompile(`^<!-- (exit|until|file:|not run:) (.*) -->$`)

func quotes(path string) ([]quote, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out []quote
	var next quote
	open := false
	for i, line := range strings.Split(string(text), "\n") {
		switch {
		case open && strings.HasPrefix(line, "```"):
			out = append(out, next)
			open, next = false, quote{}
		case open:
			next.lines = append(next.lines, line)
		case strings.HasPrefix(line, "```"):
			open = true
			next.language = strings.TrimPrefix(line, "```")
			next.at = fmt.Sprintf("%s:%d", filepath.Base(path), i+1)
		default:
			if m := directive.FindStringSubmatch(line); m != nil {
				switch m[1] {
				case "exit":
					if next.exit, err = strconv.Atoi(m[2]); err != nil {
						return nil, fmt.Errorf("%s:%d: %w", path, i+1, err)
					}
				case "until":
					next.until = strings.Trim(m[2], `"`)
				case "file:":
					next.file = m[2]
				default:
					next.skip = m[2]
				}
			} else if strings.TrimSpace(line) != "" {
				next = quote{}
			}
		}
	}
	return out, nil
}

func (q quote) commands() []string {
	var out []string
	for _, line := range q.lines {
		switch q.language {
		case "sh":
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				out = append(out, line)
			}
		case "console":
			if c, ok := strings.CutPrefix(line, "$ "); ok {
				out = append(out, c)
			}
		}
	}
	return out
}

// TestQuotedCommands runs every command that README.md and docs/*.md quote, in
// a folder that has the examples, and wants the exit code that they promise.
func TestQuotedCommands(t *testing.T) {
	root := repoRoot(t)
	docs, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	bin := plainBinary(t)
	ran := 0
	for _, path := range append([]string{filepath.Join(root, "README.md")}, docs...) {
		blocks, err := quotes(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			dir := t.TempDir()
			copyExamples(t, dir)
			without := false // a run that later commands need
			for _, q := range blocks {
				if q.file != "" {
					if err := os.WriteFile(filepath.Join(dir, q.file), []byte(strings.Join(q.lines, "\n")+"\n"), 0o666); err != nil {
						t.Fatal(err)
					}
					continue
				}
				commands := q.commands()
				if q.skip != "" {
					if len(strings.Fields(q.skip)) < 3 {
						t.Errorf("%s: got the reason %q for not running it, want a sentence", q.at, q.skip)
					}
					continue
				}
				for i, c := range commands {
					if without = without || testing.Short() && strings.Contains(c, "--out"); without {
						continue
					}
					if testing.Short() && strings.Contains(c, "starfall run") {
						continue
					}
					want := 0
					if i == len(commands)-1 {
						want = q.exit
					}
					runQuoted(t, bin, dir, q, c, want)
					ran++
				}
			}
		})
	}
	if ran == 0 {
		t.Error("got no quoted commands, want some")
	}
}

func copyExamples(t *testing.T, dir string) {
	t.Helper()
	err := os.CopyFS(filepath.Join(dir, "examples"), examples.FS())
	if err != nil {
		t.Fatal(err)
	}
}

// runQuoted runs one command. A run that says that the machine was too busy is
// tried again at a lower speed, and the log says so.
func runQuoted(t *testing.T, bin, dir string, q quote, command string, want int) {
	t.Helper()
	shell := strings.ReplaceAll(command, "go run ./cmd/starfall", "starfall")
	for try, slower := range []string{"", " --speed 4", " --speed 2"} {
		c := shell
		if !strings.Contains(shell, "--speed") {
			c = strings.Replace(shell, "starfall run", "starfall run"+slower, 1)
			c = strings.Replace(c, "starfall replay", "starfall replay"+slower, 1)
		}
		got, stdout, stderr := execQuoted(t, bin, dir, q, c)
		if got == want {
			return
		}
		if got == 3 && try < 2 && strings.Contains(stdout, tooBusy) {
			t.Logf("%s: %s: the machine was too busy", q.at, c)
			continue
		}
		t.Errorf("%s: %s: got exit code %d, want %d\n%s%s", q.at, c, got, want, stdout, stderr)
		return
	}
}

func execQuoted(t *testing.T, bin, dir string, q quote, shell string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	if !strings.ContainsAny(shell, "|;&<>") {
		shell = "exec " + shell // so that signals reach the command itself
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", shell)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "DOCKER_HOST=unix://"+dir+"/no-docker.sock", "STARFALL_ENGINE=")
	var out, errs bytes.Buffer
	cmd.Stdout = &out
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	sc := bufio.NewScanner(pipe)
	for sc.Scan() {
		fmt.Fprintln(&errs, sc.Text())
		if q.until != "" && strings.Contains(sc.Text(), q.until) {
			cmd.Process.Signal(syscall.SIGINT)
		}
	}
	cmd.Wait()
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func TestQuotes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.md")
	text := "<!-- exit 1 -->\n```console\n$ a b\noutput\n```\n\n```sh\nc\n# no\nd\n```\n<!-- not run: it takes an hour -->\n```sh\ne\n```\n"
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	qs, err := quotes(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, q := range qs {
		got = append(got, fmt.Sprintf("%s %d %q %v", q.at, q.exit, q.skip, q.commands()))
	}
	want := []string{`x.md:2 1 "" [a b]`, `x.md:7 0 "" [c d]`, `x.md:13 0 "it takes an hour" [e]`}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestReadmeScenario wants README.md to show the scenario that it runs.
func TestReadmeScenario(t *testing.T) {
	root := repoRoot(t)
	blocks, err := quotes(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(root, "examples", "failover.star"))
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, q := range blocks {
		if q.language != "python" {
			continue
		}
		shown++
		if !strings.HasSuffix(strings.TrimSpace(string(source)), strings.Join(q.lines, "\n")) {
			t.Errorf("%s: is not what examples/failover.star says", q.at)
		}
	}
	if shown != 1 {
		t.Errorf("got %d scenarios, want 1", shown)
	}
}
