// This file defines source: the scenario's text line by line, with anchors, and
// what each line led to.

package html

import (
	"fmt"
	"strings"

	"starfall/interp/plan"
)

// source is one file.
type source struct {
	Path  string
	Open  bool // shown at once: the scenario itself
	Lines []line
}

// line is one line of a file. Links are to the claims and the rows of the
// timeline that come from it.
type line struct {
	ID     string
	Number int
	Parts  []part
	Class  string
	Links  []link
}

// part is a piece of a line with what it is: com, str, or nothing.
type part struct{ Class, Text string }

type link struct{ Class, Href, Text, Say string }

func sourcesOf(p *plan.Plan) []source {
	var out []source
	for i, f := range p.Files {
		s := source{Path: f.Path, Open: i == 0}
		var scan scanner
		for n, text := range strings.Split(strings.TrimSuffix(f.Text, "\n"), "\n") {
			id := fmt.Sprintf("L%d", n+1)
			if i > 0 {
				id = fmt.Sprintf("F%dL%d", i+1, n+1)
			}
			s.Lines = append(s.Lines, line{ID: id, Number: n + 1, Parts: scan.line(strings.TrimSuffix(text, "\r"))})
		}
		out = append(out, s)
	}
	return out
}

// places is the id of every line.
type places map[plan.Pos]string

// place names a position, the shorter when it is in the scenario itself, and
// gives its anchor; "" when its file is not there.
func (p places) place(pos plan.Pos) (text, anchor string) {
	anchor = p[plan.Pos{File: pos.File, Line: pos.Line}]
	if strings.HasPrefix(anchor, "L") {
		return fmt.Sprintf("line %d", pos.Line), anchor
	}
	return pos.Short(), anchor
}

func anchors(list []source) places {
	out := places{}
	for _, s := range list {
		for _, l := range s.Lines {
			out[plan.Pos{File: s.Path, Line: l.Number}] = l.ID
		}
	}
	return out
}

// mark puts into the source what its lines led to.
func mark(list []source, claims []claimView, rows []rowView) {
	at := map[string]*line{}
	for i := range list {
		for k := range list[i].Lines {
			at[list[i].Lines[k].ID] = &list[i].Lines[k]
		}
	}
	for _, c := range claims {
		if l := at[c.Line]; l != nil {
			l.Links = append(l.Links, link{c.Class, "#" + c.ID, c.Mark, "the claim of this line: " + c.Word})
			if l.Class != "broken" {
				l.Class = c.Class
			}
		}
	}
	for _, r := range rows {
		if l := at[r.Line]; l != nil && len(l.Links) < 4 {
			l.Links = append(l.Links, link{"event", "#" + r.ID, r.At, "what this line did, in the timeline"})
		}
	}
}

// scanner tells comments and strings of Starlark from the rest, as far as
// colours need it; a string in three quotes goes on over lines.
type scanner struct{ open string }

func (s *scanner) line(text string) []part {
	var out []part
	add := func(class, t string) {
		if t != "" {
			out = append(out, part{class, t})
		}
	}
	for text != "" {
		if s.open != "" {
			i := closing(text, s.open)
			if i < 0 {
				add("str", text)
				if len(s.open) == 1 {
					s.open = ""
				}
				return out
			}
			add("str", text[:i])
			text, s.open = text[i:], ""
			continue
		}
		i := strings.IndexAny(text, "#\"'")
		if i < 0 {
			add("", text)
			return out
		}
		add("", text[:i])
		if text = text[i:]; text[0] == '#' {
			add("com", text)
			return out
		}
		quote := text[:1]
		if strings.HasPrefix(text, strings.Repeat(quote, 3)) {
			quote = text[:3]
		}
		n := closing(text[len(quote):], quote)
		if n < 0 {
			add("str", text)
			if len(quote) == 3 {
				s.open = quote
			}
			return out
		}
		add("str", text[:len(quote)+n])
		text = text[len(quote)+n:]
	}
	return out
}

// closing is where a string ends, behind its quote; -1: not on this line.
func closing(text, quote string) int {
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' {
			i++
		} else if strings.HasPrefix(text[i:], quote) {
			return i + len(quote)
		}
	}
	return -1
}
