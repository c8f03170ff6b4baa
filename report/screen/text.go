// This file defines styled text of a known width on the screen.

package screen

import (
	"strings"

	"github.com/clipperhouse/displaywidth"
)

// style is how a piece of text stands out. Nothing is told by it alone.
type style string

// The styles, as parameters of the terminal's SGR sequence.
const (
	plain style = ""
	dim   style = "2"
	bold  style = "1"
	good  style = "32"
	warn  style = "33"
	bad   style = "31"

	accent style = "36"
)

type span struct {
	style style
	text  string
}

// row is one line of the screen.
type row struct {
	spans []span
	width int
}

func (r *row) add(st style, s string) *row {
	if s != "" {
		r.spans = append(r.spans, span{st, s})
		r.width += displaywidth.String(s)
	}
	return r
}

// to fills with spaces up to a column.
func (r *row) to(column int) *row {
	if n := column - r.width; n > 0 {
		r.add(plain, strings.Repeat(" ", n))
	}
	return r
}

// right puts text at the right end of a width, if there is room for it.
func (r *row) right(st style, s string, width int) *row {
	if at := width - displaywidth.String(s); s != "" && at >= r.width+2 {
		r.to(at).add(st, s)
	}
	return r
}

func (r *row) join(o row) *row {
	for _, s := range o.spans {
		r.add(s.style, s.text)
	}
	return r
}

// write gives the row cut to a width, without spaces at the end.
func (r *row) write(b *strings.Builder, width int, color bool) {
	left := width
	last := len(r.spans) - 1
	for i, s := range r.spans {
		text := s.text
		if i == last {
			text = strings.TrimRight(text, " ")
		}
		if w := displaywidth.String(text); w > left || w == left && r.more(i+1) {
			text = cut(text+" ", left)
		}
		left -= displaywidth.String(text)
		if text == "" {
			continue
		}
		if color && s.style != plain {
			b.WriteString("\x1b[" + string(s.style) + "m" + text + "\x1b[0m")
		} else {
			b.WriteString(text)
		}
		if left <= 0 {
			return
		}
	}
}

// more tells whether something other than space follows span i.
func (r *row) more(i int) bool {
	for _, s := range r.spans[i:] {
		if strings.TrimSpace(s.text) != "" {
			return true
		}
	}
	return false
}

// cut shortens text to a width, with a sign that something is missing.
func cut(s string, width int) string {
	if displaywidth.String(s) <= width {
		return s
	}
	if width <= 0 {
		return ""
	}
	return displaywidth.TruncateString(s, width, "…")
}

// shorten cuts the row to a width.
func (r *row) shorten(width int) {
	if r.width <= width {
		return
	}
	var out row
	for _, s := range r.spans {
		text := s.text
		if out.width+displaywidth.String(text) > width {
			text = cut(text, width-out.width)
			out.add(s.style, text)
			break
		}
		out.add(s.style, text)
	}
	*r = out
}
