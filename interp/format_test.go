package interp_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.starlark.net/syntax"

	"starfall/interp"
)

// shape writes a file's syntax tree without positions, comments and layout.
func shape(t testing.TB, src string) string {
	t.Helper()
	f, err := (&syntax.FileOptions{Set: true, TopLevelControl: true}).Parse("x.star", src, 0)
	if err != nil {
		t.Fatalf("%v in\n%s", err, src)
	}
	var b strings.Builder
	var open []string
	syntax.Walk(f, func(n syntax.Node) bool {
		if n == nil {
			b.WriteString(open[len(open)-1])
			open = open[:len(open)-1]
			return true
		}
		end := ")"
		switch n := n.(type) {
		case *syntax.ParenExpr:
			end = "" // the tree says what they say
		case *syntax.Literal:
			fmt.Fprintf(&b, "(%v", n.Value)
		case *syntax.Ident:
			fmt.Fprintf(&b, "(%s", n.Name)
		case *syntax.BinaryExpr:
			fmt.Fprintf(&b, "(%s", n.Op)
		case *syntax.UnaryExpr:
			fmt.Fprintf(&b, "(%s", n.Op)
		case *syntax.AssignStmt:
			fmt.Fprintf(&b, "(%s", n.Op)
		case *syntax.BranchStmt:
			fmt.Fprintf(&b, "(%s", n.Token)
		default:
			fmt.Fprintf(&b, "(%T", n)
		}
		open = append(open, end)
		return true
	})
	return b.String()
}

func TestFormatKeepsMeaning(t *testing.T) {
	n := 0
	for _, glob := range []string{"testdata/*/*.star", "../examples/*.star", "../scenarios/lib/*.star"} {
		paths, err := filepath.Glob(glob)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if strings.HasPrefix(path, "testdata/errors") {
				continue
			}
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			n++
			out, err := interp.Format(path, src)
			if err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			if shape(t, string(out)) != shape(t, string(src)) {
				t.Errorf("%s: got another meaning after formatting:\n%s", path, out)
			}
			again, err := interp.Format(path, out)
			if err != nil || string(again) != string(out) {
				t.Errorf("%s: got another layout the second time (%v)", path, err)
			}
			if string(out) != string(src) {
				t.Errorf("%s is not formatted", path)
			}
		}
	}
	if n < 6 {
		t.Fatalf("got %d files, want at least the samples", n)
	}
}

func TestFormat(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"x=1", "x = 1\n"},
		{"kafka=cluster( brokers=3 )\n\n\n\nexpect( a )  # why\n", "kafka = cluster(brokers = 3)\n\nexpect(a)  # why\n"},
		{"at('30s',kill(x))\n", "at(\"30s\", kill(x))\n"},
		{"x=[\n1,2]\n", "x = [\n    1,\n    2,\n]\n"},
		{"topic(b=1,a=2)\n", "topic(b = 1, a = 2)\n"},
		{"x = {\"b\": 1, \"a\": 2}\n", "x = {\"b\": 1, \"a\": 2}\n"},
	} {
		got, err := interp.Format("x.star", []byte(tt.in))
		if err != nil || string(got) != tt.want {
			t.Errorf("%q: got %q (%v), want %q", tt.in, got, err, tt.want)
		}
	}
	_, err := interp.Format("x.star", []byte("x = (1\n"))
	if list, ok := err.(*interp.Errors); !ok || list.Problems[0].Pos.Line == 0 {
		t.Errorf("got %v, want a problem with its line", err)
	}
}
