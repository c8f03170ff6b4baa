package bundle

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starfall/runtime/judge"
)

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o600)
		if strings.HasSuffix(name, ".sh") {
			mode = 0o700
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSources(t *testing.T) {
	out, dir := t.TempDir(), t.TempDir()
	write(t, out, map[string]string{"secret": "s", "lib/x.py": "x"})
	write(t, dir, map[string]string{
		"shop/run.sh": "r", "shop/lib/a.py": "a", "shop/.env": "e", "shop/node_modules/x.js": "x", "shop/lib/__pycache__/a.pyc": "c", "one.py": "1",
	})
	for from, to := range map[string]string{
		"shop/link.py": "lib/a.py", "evil/secret": filepath.Join(out, "secret"), "evil2": out, "evil3/up": "../../" + filepath.Base(out) + "/secret",
		"dirlink/lib": "../shop/lib", "gone": "nowhere",
	} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(from)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, filepath.Join(dir, from)); err != nil {
			t.Skip("no symbolic links here:", err)
		}
	}
	for _, tt := range []struct {
		paths string
		want  string // files, then what is left out, or errors
	}{
		{"one.py", "one.py"},
		{"one.py ./one.py", "one.py"},
		{"shop", "shop/lib/a.py shop/link.py shop/run.sh* - shop/.env shop/lib/__pycache__ shop/node_modules"},
		{"shop/.env", "shop/.env"}, // Secrets has a word to say about it
		{"../x", "../x: it lies outside"},
		{"/etc/passwd", "/etc/passwd: an absolute path"},
		{".", ".: the whole folder"},
		{"shop/..", ".: the whole folder"},
		{"evil", "evil/secret: a symbolic link that leads out"},
		{"evil2", "evil2: a symbolic link that leads out"},
		{"evil2/secret", "evil2/secret: a symbolic link that leads out"},
		{"evil3", "evil3/up: a symbolic link that leads out"},
		{"dirlink", "dirlink/lib: a symbolic link to a folder"},
		{"gone", "gone: there is no such file"},
		{"none ../x", "none: there is no such file\n../x: it lies outside"},
	} {
		files, left, err := Sources(dir, strings.Fields(tt.paths))
		var got []string
		for _, f := range files {
			if f.Executable {
				f.Path += "*"
			}
			got = append(got, f.Path)
		}
		if len(left) > 0 {
			got = append(append(got, "-"), left...)
		}
		text := strings.Join(got, " ")
		if err != nil {
			text = err.Error()
		}
		if text != tt.want && (err == nil || !containsAll(text, tt.want)) {
			t.Errorf("%s: got %q, want %q", tt.paths, text, tt.want)
		}
	}
}

// containsAll wants each line of want to be the beginning of a line.
func containsAll(text, want string) bool {
	for line := range strings.SplitSeq(want, "\n") {
		if !strings.Contains("\n"+text, "\n"+line) {
			return false
		}
	}
	return true
}

func TestReadRun(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{"report.html": "<script>", "notes.txt": "mine", "logs/clients.log": "a log", "series/x.csv": "1"}
	for _, f := range testResult(t, judge.Pass, dayOf(1)).Files {
		files[f.Path] = string(f.Data)
	}
	write(t, dir, files)
	for _, logs := range []bool{false, true} {
		r, err := ReadRun(dir, logs)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range r.Files {
			got = append(got, f.Path)
		}
		want := "evidence/records.sfe journal.jsonl plan.json run.json series/x.csv verdict.json"
		if logs {
			want = strings.Replace(want, "plan.json", "logs/clients.log plan.json", 1)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("logs %v: got %v, want %s", logs, got, want)
		}
	}
	if err := os.Remove(filepath.Join(dir, "verdict.json")); err != nil {
		t.Fatal(err)
	}
	_, err := ReadRun(dir, false)
	var r *Refused
	if !errors.As(err, &r) {
		t.Errorf("got %v, want that it is refused", err)
	}
	wantError(t, err, "verdict.json: the result has no such file")
}
