// This file defines what is shown while a run goes on: one line an event, and
// on a terminal a last line that tells where the run stands.

package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"starfall/report"
	"starfall/report/screen"
	"starfall/runtime"
)

// progress writes to stderr. Its zero writer shows nothing.
type progress struct {
	w     io.Writer
	live  bool // a terminal: the last line is written over
	width int
	shown bool             // a status line stands there
	last  runtime.Progress // the last update that carried rates
}

func newProgress(e *env, quiet bool) *progress {
	p := &progress{width: report.Width}
	if quiet {
		return p
	}
	p.w = e.stderr
	p.live = e.terminal(e.stderr) && e.getenv("TERM") != "dumb"
	if f, ok := e.stderr.(interface{ Fd() uintptr }); ok && p.live {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 20 {
			p.width = w
		}
	}
	return p
}

func (p *progress) told() func(runtime.Progress) {
	if p.w == nil {
		return nil
	}
	return p.update
}

// update is called for each event and four times a second.
func (p *progress) update(x runtime.Progress) {
	if x.Line != "" {
		p.clear()
		writeEvent(p.w, x)
		p.last.Phase, p.last.At, p.last.Left = x.Phase, x.At, x.Left
	} else {
		p.last = x
	}
	if p.live {
		p.clear()
		fmt.Fprint(p.w, cutTo(screen.Status(p.last), p.width-1))
		p.shown = true
	}
}

// end takes the status line away.
func (p *progress) end() {
	if p.w != nil {
		p.clear()
	}
}

// writeEvent writes an event as a line, with its time.
func writeEvent(w io.Writer, x runtime.Progress) {
	fmt.Fprintf(w, "%9s  %s\n", report.Moment(x.At), strings.ReplaceAll(x.Line, "\n", "; "))
}

func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.shown = false
	}
}

func cutTo(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}
