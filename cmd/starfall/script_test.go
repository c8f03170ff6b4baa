package main

import (
	"flag"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"starfall/internal/ociregistry"
	"starfall/internal/turn"
)

func TestMain(m *testing.M) {
	testscript.Main(turn.Taking(m), map[string]func(){"starfall": main})
}

// TestScripts runs testdata/script/*.txtar: the command as it is typed, with
// both streams, exit codes and files. With -update, what a script compares with
// cmp is written anew into the script.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code":   code,
			"record": recordScript,
			"schema": schemaScript,
			"amend":  amend,
		},
		Setup: func(e *testscript.Env) error {
			// No Docker engine, wherever the test runs.
			e.Setenv("DOCKER_HOST", "unix://"+e.WorkDir+"/no-docker.sock")
			e.Setenv("NO_COLOR", "1")
			// A registry for each script, for lab/x.
			r := httptest.NewServer(ociregistry.New("lab/x"))
			e.Defer(r.Close)
			e.Setenv("REGISTRY", strings.TrimPrefix(r.URL, "http://"))
			return nil
		},
	})
}

var update = flag.Bool("update", false, "write what tests compare anew")

// code runs a command and wants its exit code: code 2 starfall check x.star.
// What the command wrote is there for stdout, stderr and cmp. A run that says
// that the machine was too busy to offer the load says nothing about the
// command: it is tried again, up to five times, and the log says so.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N command…")
	}
	for try := 1; ; try++ {
		err := ts.Exec(args[1], args[2:]...)
		got := "0"
		if err != nil {
			exit, ok := err.(interface{ ExitCode() int })
			if !ok {
				ts.Fatalf("%v: %v", args[1:], err)
			}
			got = strconv.Itoa(exit.ExitCode())
		}
		if got == args[0] {
			return
		}
		if got == "3" && try < 5 && strings.Contains(ts.ReadFile("stdout"), tooBusy) {
			ts.Logf("try %d: the machine was too busy", try)
			continue
		}
		ts.Fatalf("got exit code %s, want %s", got, args[0])
	}
}

// recordScript records a run that nobody ran: record FOLDER FILE.star word=value …
// (takeOf).
func recordScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: record FOLDER FILE.star [word=value…]")
	}
	x, err := takeOf(args[2:])
	ts.Check(err)
	ts.Check(x.recordAs(ts.MkAbs(args[0]), ts.MkAbs(args[1])))
}

// schemaScript validates a file against the published JSON Schema: in the strict
// form, in which no field is undescribed.
func schemaScript(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: schema FILE")
	}
	err := validate(ts.ReadFile(args[0]))
	if neg != (err != nil) {
		ts.Fatalf("got %v", err)
	}
}

// amend replaces text in a file: amend FILE OLD NEW. The text has to be there.
func amend(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: amend FILE OLD NEW")
	}
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s has no %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(text, args[1], args[2], 1)), 0o666))
}

// tooBusy is in every result whose load the machine could not keep up.
const tooBusy = "the machine offered"

// repoRoot is where README.md and examples are.
func repoRoot(t testing.TB) string {
	t.Helper()
	const root = "../.."
	if _, err := os.Stat(root + "/go.mod"); err != nil {
		t.Fatal(err)
	}
	return root
}
