// This file defines the formatter of scenario files.

package interp

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/bazelbuild/buildtools/build"
	"go.starlark.net/syntax"

	"starfall/interp/plan"
)

// Format lays a scenario out in the one style, as starfall fmt does. What is
// written, its order and its meaning stay; formatting the result changes
// nothing. The error is an *Errors: src does not parse, or laying it out would
// change what it says.
func Format(name string, src []byte) ([]byte, error) {
	before, ps := parse(name, string(src), Limits{}.withDefaults().Source)
	if len(ps) > 0 {
		return nil, &Errors{Problems: ps}
	}
	refuse := func(why string) ([]byte, error) {
		return nil, &Errors{Problems: []Problem{{Pos: plan.Pos{File: name}, Severity: Error, Message: "fmt: " + why, Suggestion: "the file is left as it is"}}}
	}
	out := src
	for range 4 {
		// The default kind of file is neither sorted nor rewritten: only the
		// layout changes.
		f, err := build.ParseDefault(name, out)
		if err != nil {
			return refuse(err.Error())
		}
		next := build.FormatWithoutRewriting(f)
		if bytes.Equal(next, out) {
			break
		}
		out = next
	}
	after, ps := parse(name, string(out), 2*Limits{}.withDefaults().Source)
	if len(ps) > 0 || skeleton(before) != skeleton(after) {
		return refuse("laying the file out would change its meaning")
	}
	return out, nil
}

// skeleton writes what a file says: its syntax tree without positions,
// parentheses and comments.
func skeleton(f *syntax.File) string {
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
			end = ""
		case *syntax.Literal:
			fmt.Fprintf(&b, "(%v %q", n.Token, fmt.Sprint(n.Value))
		case *syntax.Ident:
			b.WriteString("(" + n.Name)
		case *syntax.BinaryExpr:
			b.WriteString("(" + n.Op.String())
		case *syntax.UnaryExpr:
			b.WriteString("(" + n.Op.String())
		case *syntax.AssignStmt:
			b.WriteString("(" + n.Op.String())
		case *syntax.BranchStmt:
			b.WriteString("(" + n.Token.String())
		case *syntax.Comprehension:
			fmt.Fprintf(&b, "(comprehension %v", n.Curly)
		case *syntax.LoadStmt:
			// Walk leaves the names of the loaded module out.
			b.WriteString("(load " + n.ModuleName())
			for i := range n.From {
				b.WriteString(" " + n.To[i].Name + "=" + n.From[i].Name)
			}
		case *syntax.SliceExpr:
			fmt.Fprintf(&b, "(slice %v %v %v", n.Lo != nil, n.Hi != nil, n.Step != nil)
		default:
			fmt.Fprintf(&b, "(%T", n)
		}
		open = append(open, end)
		return true
	})
	return b.String()
}
