package interp_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"starfall/internal/kafkaconf"
	"starfall/interp"
	"starfall/interp/plan"
	"starfall/scenarios"
)

// The files of testdata/errors are cut into chunks by lines of "---". Each
// chunk is a scenario; its lines say what is wrong with them:
//
//	orders = topic(kafka, partitons = 6)  ### "unknown parameter partitons"
//
// Several quoted patterns are several problems on that line. What a chunk does
// not expect must not be reported, and warnings are not looked at. The first
// chunk of a file is put before each of the others. A chunk may set parameters
// with a line `# set: name=value`.
type chunk struct {
	file   string
	line   int // of its first line in the file
	text   string
	before int // lines of the prelude in text
	set    map[string]string
}

func readChunks(t *testing.T, path string) []chunk {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(b), "\n---\n")
	if len(parts) < 2 {
		t.Fatalf("%s: got %d chunks, want a prelude and one at least", path, len(parts))
	}
	prelude := strings.TrimSuffix(parts[0], "\n") + "\n"
	line := 1 + strings.Count(parts[0], "\n") + 2
	var out []chunk
	for _, p := range parts[1:] {
		c := chunk{file: path, line: line, text: prelude + p + "\n", before: strings.Count(prelude, "\n"), set: map[string]string{}}
		if strings.HasPrefix(p, "# alone") {
			c.text, c.before = p+"\n", 0
		}
		for l := range strings.Lines(p) {
			if rest, ok := strings.CutPrefix(l, "# set: "); ok {
				name, value, _ := strings.Cut(strings.TrimSpace(rest), "=")
				c.set[name] = value
			}
		}
		out = append(out, c)
		line += strings.Count(p, "\n") + 2
	}
	return out
}

// expectations gives the patterns of each line of the chunk's text.
func (c chunk) expectations(t *testing.T) map[int][]*regexp.Regexp {
	t.Helper()
	out := map[int][]*regexp.Regexp{}
	for i, l := range strings.Split(c.text, "\n") {
		_, rest, ok := strings.Cut(l, "###")
		if !ok {
			continue
		}
		for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				t.Fatalf("%s:%d: got %s, want quoted patterns", c.file, c.at(i+1), rest)
			}
			rest = rest[len(quoted):]
			pattern, err := strconv.Unquote(quoted)
			if err != nil {
				t.Fatal(err)
			}
			out[i+1] = append(out[i+1], regexp.MustCompile(pattern))
		}
	}
	return out
}

// at turns a line of the chunk's text into one of its file.
func (c chunk) at(line int) int { return c.line + line - 1 - c.before }

// moduleFS holds the files that chunks may load.
func moduleFS(t testing.TB, scenario string) fs.FS {
	t.Helper()
	files := fstest.MapFS{"chunk.star": {Data: []byte(scenario)}}
	modules := os.DirFS("testdata/modules")
	err := fs.WalkDir(modules, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(modules, path)
		files[path] = &fstest.MapFile{Data: b}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func loadText(t testing.TB, text string, o interp.Options) error {
	t.Helper()
	o.FS, o.Std = moduleFS(t, text), scenarios.Std()
	if o.Clients == nil {
		o.Clients = mappedClients
	}
	if o.Print == nil {
		o.Print = func(plan.Pos, string) {}
	}
	_, err := interp.Load("chunk.star", o)
	return err
}

// mappedClients stands for what the load clients honour.
func mappedClients(scope kafkaconf.Scope) []string {
	switch scope {
	case kafkaconf.Producer:
		return []string{"batch.size", "compression.type", "linger.ms"}
	case kafkaconf.Consumer:
		return []string{"fetch.max.wait.ms", "fetch.min.bytes", "max.poll.records"}
	}
	return nil
}

// runChunks gives the text of every problem that the chunks cause.
func runChunks(t *testing.T) []string {
	paths, err := filepath.Glob("testdata/errors/*.star")
	if err != nil || len(paths) == 0 {
		t.Fatalf("got %d files of chunks (%v), want some", len(paths), err)
	}
	var said []string
	for _, path := range paths {
		for _, c := range readChunks(t, path) {
			t.Run(fmt.Sprintf("%s:%d", filepath.Base(path), c.line), func(t *testing.T) {
				want := c.expectations(t)
				if len(want) == 0 {
					t.Fatal("the chunk expects no error")
				}
				err := loadText(t, c.text, interp.Options{Set: c.set})
				list, ok := err.(*interp.Errors)
				if !ok {
					t.Fatalf("got %v, want problems", err)
				}
				for _, p := range list.Problems {
					said = append(said, p.String())
					c.match(t, want, p)
				}
				for line, patterns := range want {
					for _, rx := range patterns {
						t.Errorf("%s:%d: no problem matches %q", c.file, c.at(line), rx)
					}
				}
			})
		}
	}
	return said
}

// match takes the pattern that fits p out of want.
func (c chunk) match(t *testing.T, want map[int][]*regexp.Regexp, p interp.Problem) {
	t.Helper()
	line := p.Pos.Line
	if p.Pos.File != "chunk.star" && p.Pos.Via != nil {
		line = p.Pos.Via.Line // what a module does is expected where it is called
	}
	if p.Pos.Line < 1 || p.Pos.Col < 1 {
		t.Errorf("%s:%d: a problem without a place: %s", c.file, c.line, p)
	}
	for i, rx := range want[line] {
		if rx.MatchString(p.Message + "\n" + p.Suggestion) {
			want[line] = append(want[line][:i:i], want[line][i+1:]...)
			return
		}
	}
	t.Errorf("%s:%d: unexpected: %s", c.file, c.at(line), p)
}

// TestErrors runs the chunks. Each text of an error in the code of the language
// must be caused by one of them.
func TestErrors(t *testing.T) { wantAllMessages(t, strings.Join(runChunks(t), "\n")) }
