package interp_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"starfall/builtins"
)

// TestStubSatisfiesPyright checks the samples, the examples and the standard
// library with a Python type checker that knows the generated stub.
func TestStubSatisfiesPyright(t *testing.T) {
	pyright, err := exec.LookPath("pyright")
	if err != nil {
		t.Skip("pyright is not there; to run this test: pip install pyright==1.1.405")
	}
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("__builtins__.pyi", builtins.Stub())
	write("pyrightconfig.json", `{"typeCheckingMode": "standard", "reportSelfClsParameterName": false}`)
	n := 0
	for _, glob := range []string{"testdata/samples/*.star", "testdata/scenarios/*.star", "../examples/*.star", "../scenarios/lib/*.star"} {
		paths, err := filepath.Glob(glob)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			name := strings.TrimSuffix(filepath.Base(path), ".star")
			if strings.HasPrefix(glob, "../scenarios/lib") {
				name = "std_" + name
			} else {
				name = fmt.Sprintf("s%d_%s", n, strings.ReplaceAll(name, "-", "_"))
			}
			n++
			write(name+".py", importsOf(string(text)))
		}
	}
	if n < 5 {
		t.Fatalf("got %d files to check, want at least the samples", n)
	}
	// A mistake must be found, or the check proves nothing.
	write("mistake.py", "kafka = cluster(brokers = \"three\")\n")
	out, _ := exec.Command(pyright, "--project", dir).CombinedOutput()
	text := string(out)
	if !strings.Contains(text, "mistake.py:1") {
		t.Fatalf("got\n%s\nwant an error in mistake.py", text)
	}
	for line := range strings.Lines(text) {
		if strings.Contains(line, " - error") && !strings.Contains(line, "mistake.py") {
			t.Error(strings.TrimSpace(line))
		}
	}
}

var loadPattern = regexp.MustCompile(`(?m)^load\("(@std)?//([\w/]+)\.star", ([^)]*)\)`)

// importsOf turns load statements into Python's imports.
func importsOf(text string) string {
	return loadPattern.ReplaceAllStringFunc(text, func(s string) string {
		m := loadPattern.FindStringSubmatch(s)
		module := strings.ReplaceAll(m[2], "/", ".")
		if m[1] != "" {
			module = "std_" + module
		}
		return "from " + module + " import " + strings.ReplaceAll(m[3], `"`, "")
	})
}
