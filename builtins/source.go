// This file defines Source: a parsed file in which calls are found by their
// positions, so that errors point at arguments and claims keep their words.

package builtins

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"go.starlark.net/syntax"

	"starfall/interp/plan"
)

// Source is one file that is evaluated.
type Source struct {
	Name string // as in positions
	Text string

	file    *syntax.File
	lines   []int // offset of each line
	calls   map[place]*syntax.CallExpr
	dots    map[place]*syntax.DotExpr
	ignored map[syntax.Node]bool // left operands of and and or
	above   map[syntax.Node]syntax.Node
}

type place struct{ line, col int32 }

// NewSource indexes a file. f is its syntax tree.
func NewSource(name, text string, f *syntax.File) *Source {
	s := &Source{
		Name: name, Text: text, file: f, lines: []int{0},
		calls:   map[place]*syntax.CallExpr{},
		dots:    map[place]*syntax.DotExpr{},
		ignored: map[syntax.Node]bool{},
	}
	for i := range len(text) {
		if text[i] == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.BinaryExpr:
			if n.Op == syntax.AND || n.Op == syntax.OR {
				x := n.X
				for {
					p, ok := x.(*syntax.ParenExpr)
					if !ok {
						break
					}
					x = p.X
				}
				s.ignored[x] = true
			}
		case *syntax.CallExpr:
			s.calls[placeOf(n.Lparen)] = n
		case *syntax.DotExpr:
			s.dots[placeOf(n.Dot)] = n
		}
		return true
	})
	return s
}

// parent gives the node around n, or nil. Only errors ask.
func (s *Source) parent(n syntax.Node) syntax.Node {
	if s.above == nil {
		s.above = map[syntax.Node]syntax.Node{}
		var stack []syntax.Node
		syntax.Walk(s.file, func(n syntax.Node) bool {
			if n == nil {
				stack = stack[:len(stack)-1]
				return true
			}
			if len(stack) > 0 {
				s.above[n] = stack[len(stack)-1]
			}
			stack = append(stack, n)
			return true
		})
	}
	return s.above[n]
}

func placeOf(p syntax.Position) place { return place{p.Line, p.Col} }

// pos turns a position in the file into the plan's.
func (s *Source) pos(p syntax.Position) plan.Pos {
	return plan.Pos{File: s.Name, Line: int(p.Line), Col: int(p.Col)}
}

// text gives the source of a node on one line.
func (s *Source) text(n syntax.Node) string {
	start, end := n.Span()
	from, to := s.offset(start), s.offset(end)
	if from >= to {
		return ""
	}
	return OneLine(s.Text[from:to])
}

// offset turns a position, whose columns count characters, into bytes.
func (s *Source) offset(p syntax.Position) int {
	if p.Line < 1 || int(p.Line) > len(s.lines) {
		return len(s.Text)
	}
	at := s.lines[p.Line-1]
	for range p.Col - 1 {
		if at >= len(s.Text) {
			break
		}
		_, n := utf8.DecodeRuneInString(s.Text[at:])
		at += n
	}
	return at
}

// OneLine puts an expression that goes over several lines on one. Comments and
// the last comma of a list go; what stands on one line stays as it is.
func OneLine(src string) string {
	if !strings.ContainsAny(src, "\n#") {
		return src
	}
	out := make([]byte, 0, len(src))
	for i := 0; i < len(src); {
		switch c := src[i]; {
		case c == '"' || c == '\'':
			end := stringEnd(src, i)
			out = append(out, strings.NewReplacer("\r\n", `\n`, "\n", `\n`).Replace(src[i:end])...)
			i = end
		case c == '#' || c == '\n' || c == '\r':
			out, i = joinLines(out, src, i)
		case c == '\\' && i+1 < len(src) && (src[i+1] == '\n' || src[i+1] == '\r'):
			out, i = joinLines(out, src, i+1)
		default:
			out = append(out, c)
			i++
		}
	}
	return string(out)
}

// joinLines skips comments and white space from i on and leaves at most one
// space for them.
func joinLines(out []byte, src string, i int) ([]byte, int) {
	for i < len(src) {
		if src[i] == '#' {
			for i < len(src) && src[i] != '\n' {
				i++
			}
		} else if strings.IndexByte(" \t\r\n", src[i]) >= 0 {
			i++
		} else {
			break
		}
	}
	out = bytes.TrimRight(out, " \t")
	opened := len(out) > 0 && strings.IndexByte("([{.", out[len(out)-1]) >= 0
	closes := i < len(src) && strings.IndexByte(")]}.", src[i]) >= 0
	if closes && src[i] != '.' {
		out = bytes.TrimSuffix(out, []byte(","))
	}
	if !opened && !closes && i < len(src) {
		out = append(out, ' ')
	}
	return out, i
}

// stringEnd gives the offset behind the string literal that begins at i.
func stringEnd(src string, i int) int {
	q := src[i : i+1]
	if strings.HasPrefix(src[i:], strings.Repeat(q, 3)) {
		q = strings.Repeat(q, 3)
	}
	for j := i + len(q); j < len(src); j++ {
		if src[j] == '\\' {
			j++
		} else if strings.HasPrefix(src[j:], q) {
			return j + len(q)
		}
	}
	return len(src)
}

// site is where a word is used: the innermost place in a file, and the call or
// attribute there.
type site struct {
	pos  plan.Pos
	src  *Source
	call *syntax.CallExpr // nil when the word is not called by name there
	expr syntax.Expr
}

func (s site) text() string {
	if s.src == nil || s.expr == nil {
		return ""
	}
	return s.src.text(s.expr)
}

// here finds the site of the word that is being called or looked up.
func (e *Env) here() site {
	depth := e.thread.CallStackDepth()
	for d := range depth {
		p := e.thread.CallFrame(d).Pos
		src := e.sources[p.Filename()]
		if src == nil {
			continue
		}
		s := site{pos: src.pos(p), src: src}
		if c := src.calls[placeOf(p)]; c != nil {
			s.call, s.expr = c, c
		} else if dot := src.dots[placeOf(p)]; dot != nil {
			s.expr = dot
		}
		if s.expr != nil {
			start, _ := s.expr.Span()
			s.pos = src.pos(start)
		}
		s.pos.Via = e.via(depth, d)
		return s
	}
	return site{}
}

// herePos points at the word itself: behind the dot for attributes.
func (e *Env) herePos() plan.Pos {
	s := e.here()
	if s.src == nil {
		return s.pos
	}
	via := s.pos.Via
	switch x := s.expr.(type) {
	case *syntax.DotExpr:
		s.pos = s.src.pos(x.Name.NamePos)
	case *syntax.CallExpr:
		if dot, ok := x.Fn.(*syntax.DotExpr); ok {
			s.pos = s.src.pos(dot.Name.NamePos)
		}
	}
	s.pos.Via = via
	return s.pos
}

// via gives the place in the scenario's top level from which the frame at
// depth d was reached, or nil when it is that top level.
func (e *Env) via(depth, d int) *plan.Pos {
	if d == depth-1 {
		return nil
	}
	p := e.thread.CallFrame(depth - 1).Pos
	src := e.sources[p.Filename()]
	if src == nil {
		return nil
	}
	pos := src.pos(p)
	if c := src.calls[placeOf(p)]; c != nil {
		start, _ := c.Span()
		pos = src.pos(start)
	}
	return &pos
}
