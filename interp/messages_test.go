// This file defines how tests find the texts of all errors in the code.

package interp_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// wantAllMessages finds the texts of errors in the code of the language and
// fails for each that was not said.
func wantAllMessages(t *testing.T, said string) {
	t.Helper()
	n := 0
	for _, dir := range []string{".", "../builtins"} {
		paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, path, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for at, text := range messages(f) {
				n++
				if !strings.Contains(said, text) && !elsewhereTested(text) {
					t.Errorf("%s: no chunk causes the message %q", fset.Position(at), text)
				}
			}
		}
	}
	if n < 100 {
		t.Fatalf("got %d texts of messages, want at least 100: the test no longer finds them", n)
	}
}

// elsewhereTested lists what a chunk cannot cause, with the test that does.
func elsewhereTested(text string) bool {
	switch text {
	case "load failed": // never shown: the reason has been recorded
		return true
	case "the file is too large", "the file is too large: more than ", "the file is not UTF-8", "the expression is nested too deeply", // TestSourceLimits
		"make it with a loop, or in several steps",
		"a bracket may not be closed",                                                             // TestSourceLimits
		"the scenario is not under the root ", ", want one without .. from the root of the files", // TestRoots
		"it is no file", "reading it is not permitted", "there is no built-in library here",
		"--set ", ": there is no such parameter", "it has ", "the scenario has no parameters", // TestSet
		"more than ", " MB of memory", // TestMemory
		"the evaluation does not end: ", "internal error: ": // what must not happen
		return true
	}
	return false
}

var verbPattern = regexp.MustCompile(`%[-+# 0-9.*]*[a-zA-Z]`)

// messages gives the longest constant part of each text that is handed to a
// function that records or makes an error.
func messages(f *ast.File) map[token.Pos]string {
	out := map[token.Pos]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		c, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		name := ""
		switch fn := c.Fun.(type) {
		case *ast.Ident:
			name = fn.Name
		case *ast.SelectorExpr:
			name = fn.Sel.Name
		}
		switch name {
		case "wrong", "errorAt", "Report", "add", "Errorf", "New", "one", "bad":
		default:
			return true
		}
		for _, arg := range c.Args {
			ast.Inspect(arg, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CallExpr:
					if id, ok := n.Fun.(*ast.SelectorExpr); ok && id.Sel.Name == "Sprintf" {
						return true
					}
					return false
				case *ast.IndexExpr:
					return false // c.raw["name"]
				case *ast.BasicLit:
					if n.Kind != token.STRING {
						return true
					}
					s, err := strconv.Unquote(n.Value)
					if err != nil {
						return true
					}
					longest := ""
					for _, part := range verbPattern.Split(s, -1) {
						if len(part) > len(longest) {
							longest = part
						}
					}
					if len(longest) >= 6 && strings.Contains(longest, " ") {
						out[n.Pos()] = longest
					}
				}
				return true
			})
		}
		return true
	})
	return out
}
