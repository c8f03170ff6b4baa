// This file defines how source becomes a syntax tree, with hints for those who
// know Python better than Starlark.

package interp

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"go.starlark.net/syntax"

	"starfall/internal/spell"
	"starfall/interp/plan"
)

// deepestTree bounds the depth of the syntax tree, which later passes walk
// recursively. A sum of that many terms is as deep.
const deepestTree = 2000

// parse gives the syntax tree of a file, or what is wrong with it.
func parse(name, text string, limit int) (*syntax.File, []Problem) {
	one := func(line, col int, message, suggestion string) (*syntax.File, []Problem) {
		return nil, []Problem{{Pos: plan.Pos{File: name, Line: line, Col: col}, Severity: Error, Message: message, Suggestion: suggestion}}
	}
	if len(text) > limit {
		return one(0, 0, fmt.Sprintf("the file is too large: more than %d bytes", limit), "")
	}
	if !utf8.ValidString(text) {
		line := 1 + strings.Count(text[:invalidAt(text)], "\n")
		return one(line, 1, "the file is not UTF-8", "")
	}
	f, err := dialect().Parse(name, text, 0)
	var se syntax.Error
	switch {
	case errors.As(err, &se):
		n, col := int(se.Pos.Line), int(se.Pos.Col)
		if strings.HasPrefix(se.Msg, "got newline") && col == 1 && n > 1 {
			// The parser is past the end of the line by then.
			n--
			col = utf8.RuneCountInString(lineOf(text, n)) + 1
		}
		message, suggestion := syntaxHint(se.Msg, lineOf(text, n))
		return one(n, col, message, suggestion)
	case err != nil:
		return one(0, 0, err.Error(), "")
	}
	if p, ok := tooDeep(f); ok {
		return one(int(p.Line), int(p.Col), "the expression is nested too deeply", "make it with a loop, or in several steps")
	}
	return f, nil
}

func invalidAt(text string) int {
	for i, r := range text {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(text[i:]); n == 1 {
				return i
			}
		}
	}
	return len(text)
}

func lineOf(text string, line int) string {
	for l := range strings.Lines(text) {
		if line--; line == 0 {
			return strings.TrimRight(l, "\r\n")
		}
	}
	return ""
}

// tooDeep finds a place where the tree is deeper than what is allowed.
func tooDeep(f *syntax.File) (at syntax.Position, found bool) {
	depth := 0
	syntax.Walk(f, func(n syntax.Node) bool {
		if n == nil {
			depth--
			return true
		}
		depth++
		if depth > deepestTree && !found {
			at, _ = n.Span()
			found = true
		}
		if found {
			depth-- // Walk does not come back for what is refused
			return false
		}
		return true
	})
	return at, found
}

// slip is something that Python has and Starlark has not, or that is often
// mistyped, with what to say instead. The pattern is looked for on the line of
// a syntax error.
type slip struct {
	pattern string
	hint    string
	rx      *regexp.Regexp
}

// slips is in order: the first that fits is told. It is compiled when the first
// syntax error asks.
var slips = sync.OnceValue(func() []slip {
	list := []slip{
		{pattern: "^\ufeff", hint: "the file begins with a byte order mark; save it as plain UTF-8"},
		{pattern: `[“”„‘’]`, hint: `use straight quotes: "`},
		{pattern: `^\s*class\b`, hint: "there are no classes; struct(a = 1) makes a value with fields"},
		{pattern: `^\s*(try|except|finally|raise)\b`, hint: "there are no exceptions; fail(\"why\") ends the evaluation"},
		{pattern: `^\s*(import|from)\b`, hint: `files are loaded by load("//lib/faults.star", "rolling")`},
		{pattern: `^\s*with\b`, hint: "there is no with; nothing is opened in a scenario"},
		{pattern: `^\s*(global|nonlocal)\b`, hint: "a function cannot rebind a global; let it return the value"},
		{pattern: `^\s*(assert)\b`, hint: "what must hold in the run is said by expect(…)"},
		{pattern: `^\s*(async|await)\b|\b(yield|async|await)\b`, hint: "a scenario is evaluated before the run; what happens in time is said by at, every and when"},
		{pattern: `^\s*del\b`, hint: "there is no del; d.pop(key) takes an entry from a dict"},
		{pattern: `^\s*else\s+if\b`, hint: "say elif"},
		{pattern: `^\s*(switch|match|case)\s+\S.*:`, hint: "branch with if and elif, or look the value up in a dict"},
		{pattern: `\bis\b`, hint: "there is no is; compare with =="},
		{pattern: `\b[fF]["']`, hint: `there are no f-strings: say "%s of %d" % (a, b), or "{} of {}".format(a, b)`},
		{pattern: `\*\*\s*[\w(]`, hint: "there is no ** for powers: say x * x"},
		{pattern: `:=`, hint: "there is no :=; assign on a line of its own"},
		{pattern: `->`, hint: "types are not written in a scenario: def f(a, b):"},
		{pattern: `\+\+|--\s*$`, hint: "there is no ++: say x = x + 1"},
		{pattern: `&&`, hint: "say and; for claims, both(a, b)"},
		{pattern: `\|\|`, hint: "say or; for claims, either(a, b)"},
		{pattern: `(^|[^=!<>])![^=]`, hint: "say not; for claims, no(claim)"},
		{pattern: `<>`, hint: "say !="},
		{pattern: `;`, hint: "one statement a line"},
		{pattern: `\b\d+(\.\d+)?(ms|s|m|h)\b`, hint: `a duration is a string, as in "30s", or a product, as in 30 * second`},
		{pattern: `\b\d+(B|KB|MB|GB)\b`, hint: `a size is a string, as in "4KB", or a product, as in 4 * KB`},
		{pattern: `//`, hint: "a comment begins with #"},
		{pattern: `^\s*\w+\s*:\s*\w+\s*=`, hint: "types are not written in a scenario: x = 1"},
	}
	for i := range list {
		list[i].rx = regexp.MustCompile(list[i].pattern)
	}
	return list
})

// syntaxHint adds to a parser's message what a beginner may have meant.
func syntaxHint(msg, line string) (message, suggestion string) {
	line = line[:min(len(line), 500)] // nobody writes longer ones by hand
	for _, s := range slips() {
		if at := s.rx.FindStringIndex(line); at != nil && !inString(line, at[0]) {
			return msg, s.hint
		}
	}
	switch {
	case strings.Contains(msg, "unterminated"), strings.Contains(msg, "unexpected newline in string"):
		return msg, `a quote is missing; a text over several lines stands between """`
	case strings.Contains(msg, "load statement must import"):
		return msg, `name what to load: load("//lib/faults.star", "rolling")`
	case strings.Contains(msg, "want ':'"):
		return msg, "a colon is missing at the end of the line"
	case strings.Contains(msg, "want ','"), strings.Contains(msg, "want ')'"), strings.Contains(msg, "want ']'"), strings.Contains(msg, "want '}'"):
		return msg, "a comma or a closing bracket may be missing before it"
	case strings.Contains(msg, "indent"):
		return msg, "lines of one block begin in the same column"
	case strings.Contains(msg, "got end of file"):
		return msg, "a bracket may not be closed"
	}
	return msg, ""
}

// inString reports whether the place stands within quotes or a comment on its
// line.
func inString(line string, at int) bool {
	quote := byte(0)
	for i := range at {
		switch c := line[i]; {
		case quote != 0:
			if c == '\\' {
				continue
			}
			if c == quote {
				quote = 0
			}
		case c == '#':
			return true
		case c == '"' || c == '\'':
			quote = c
		}
	}
	return quote != 0
}

var (
	undefinedPattern = regexp.MustCompile(`^undefined: (\S+)`)
	rebindPattern    = regexp.MustCompile(`^cannot reassign (global|top-level|local) (\S+)( declared at (.*))?`)
)

// resolverHint says in the language's words what the resolver found. names are
// all that may have been meant.
func resolverHint(msg string, names []string) (message, suggestion string) {
	if m := undefinedPattern.FindStringSubmatch(msg); m != nil {
		switch m[1] {
		case "true", "false":
			return "undefined: " + m[1], "did you mean " + strings.ToUpper(m[1][:1]) + m[1][1:] + "?"
		case "null", "nil", "none":
			return "undefined: " + m[1], "did you mean None?"
		case "sum", "map", "filter", "round", "pow", "input", "open", "isinstance", "super", "iter", "next":
			return "undefined: " + m[1], "Starlark has no " + m[1]
		case "s", "seconds", "sec", "minutes", "milliseconds":
			return "undefined: " + m[1], "the units are ms, second and minute"
		}
		// Words of the kind allow, tool or deny are near to some that nobody
		// mistypes.
		names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "all" || n == "any" || n == "bool" })
		if near, ok := spell.Nearest(m[1], slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == m[1] })); ok {
			return "undefined: " + m[1], "did you mean " + near + "?"
		}
		return "undefined: " + m[1], "`starfall doc` lists the words of the language"
	}
	if m := rebindPattern.FindStringSubmatch(msg); m != nil {
		message := m[2] + " is bound a second time"
		suggestion := "a global is bound once: branch with a if c else b or a dict, and put loops that rebind into a function"
		if m[4] != "" {
			suggestion = "the first time is at " + shortPlace(m[4]) + "\n" + suggestion
		}
		return message, suggestion
	}
	switch {
	case strings.Contains(msg, "while loops"):
		return "there are no while loops", "say for i in range(10): …; what repeats in time is said by every(…)"
	case strings.Contains(msg, "load statement within"):
		return msg, "load stands at the top of the file"
	case strings.Contains(msg, "positional argument may not follow named"):
		return msg, "give the names last"
	}
	return msg, ""
}

// shortPlace leaves the path of a position away: it is the same file.
func shortPlace(place string) string {
	parts := strings.Split(place, ":")
	if len(parts) < 3 {
		return place
	}
	return "line " + parts[len(parts)-2]
}

// evalHint says in the language's words what ended the evaluation.
func evalHint(msg string, predeclared func(string) bool) (message, suggestion string) {
	if m := earlyPattern.FindStringSubmatch(msg); m != nil && predeclared(m[2]) {
		return msg, m[2] + " is a word of the language; give the variable another name"
	}
	msg = strings.TrimPrefix(msg, "Starlark computation cancelled: ")
	switch {
	case strings.HasPrefix(msg, "more than "):
		return "the evaluation does not end: " + msg, "a loop may go on for too long"
	case strings.Contains(msg, "called recursively"):
		return msg, "functions cannot call themselves; use a loop"
	case strings.HasPrefix(msg, "invalid call of non-function"):
		return msg, "it takes no parentheses"
	case strings.HasPrefix(msg, "unhandled index operation builtin_function_or_method"):
		return strings.Replace(msg, "builtin_function_or_method", "function", 1), "a word is called with round brackets: kafka.broker(1), orders.leader(partition = 0)"
	case strings.HasPrefix(msg, "builtin_function_or_method has no ."):
		return strings.Replace(msg, "builtin_function_or_method", "function", 1), "the word before it is called: add its parentheses, as in .at_end().none()"
	case strings.HasPrefix(msg, "nodes index"):
		return msg, ".brokers counts from 0, and brokers from 1: kafka.broker(1) is kafka.brokers[0]"
	case strings.Contains(msg, "nodes") && (strings.Contains(msg, "unhandled index operation") || strings.Contains(msg, "not iterable")):
		return msg, "which nodes they are is known only when the event fires; orders.leader(partition = 0) and orders.follower(partition = 0) name one"
	case strings.HasPrefix(msg, "cluster value is not iterable"), strings.HasPrefix(msg, "unhandled index operation cluster"):
		return msg, "its brokers are kafka.brokers"
	case strings.Contains(msg, "instant") && strings.Contains(msg, "unknown binary op"):
		return msg, "a moment takes a duration more or less: outage.end + 10 * second; what lies between two is the window .during(a, b)"
	case strings.HasPrefix(msg, "unknown binary op: claim") && strings.HasSuffix(msg, "claim"):
		return msg, "claims combine by both(a, b) and either(a, b)"
	case handlePattern.MatchString(msg):
		return msg, "nothing measured is known while the scenario is read: claims are said with bounds, such as expect(shop.rate.never_below(800))"
	case strings.Contains(msg, "string") && strings.Contains(msg, "unknown binary op") && (strings.Contains(msg, "int") || strings.Contains(msg, "float")):
		return msg, `a duration in a string does not calculate: say 30 * second instead of "30s"; str(x) makes a string of a number`
	case strings.Contains(msg, "not iterable"), strings.Contains(msg, "unhashable"), strings.Contains(msg, "frozen"):
		return msg, ""
	}
	return msg, ""
}

var notFoundPattern = regexp.MustCompile(`^load: name (\S+) not found in module (\S+)`)

var earlyPattern = regexp.MustCompile(`^(global|local) variable (\w+) referenced before assignment`)

var handlePattern = regexp.MustCompile(`\b(measure|claim)\b.*(not implemented|unknown binary op)|(not implemented|unknown (bi|u)nary op).*\b(measure|claim)\b|\bmeasure [<>=!]+|[<>=!]+ measure\b`)
