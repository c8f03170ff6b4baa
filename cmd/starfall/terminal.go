// This file defines console: a terminal that a screen has to itself, and the
// keys that are pressed on it.

package main

import (
	"io"
	"os"
	"sync"

	"golang.org/x/term"
)

// console is a terminal that is drawn on.
type console interface {
	io.Writer
	Size() (width, height int)
	// Keys gives the keys that are pressed; nil where nobody can press any.
	Keys() <-chan key
	// Release gives the terminal back as it was. It may be called again.
	Release()
}

// key is a key that means something to a screen.
type key int

// The keys, and which bytes they are.
//
//	key           bytes
//	keyQuit       q, Q
//	keyInterrupt  Ctrl-C, which makes no signal while a screen is shown
//	keyPause      space
//	keyBack       arrow left
//	keyForward    arrow right
//	keyFaster     +, =, arrow up
//	keySlower     -, arrow down
const (
	keyQuit key = iota
	keyInterrupt
	keyPause
	keyBack
	keyForward
	keyFaster
	keySlower
)

// readKeys finds keys in what a terminal sent.
func readKeys(b []byte) []key {
	var out []key
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case 'q', 'Q':
			out = append(out, keyQuit)
		case 3:
			out = append(out, keyInterrupt)
		case ' ':
			out = append(out, keyPause)
		case '+', '=':
			out = append(out, keyFaster)
		case '-':
			out = append(out, keySlower)
		case 0x1b:
			// ESC [ parameters letter, or ESC O letter: all of it is one key.
			if i+1 >= len(b) || b[i+1] != '[' && b[i+1] != 'O' {
				i++ // with Alt, or alone
				continue
			}
			for i += 2; i < len(b) && b[i] < '@'; i++ {
			}
			if i >= len(b) {
				continue
			}
			switch b[i] {
			case 'A':
				out = append(out, keyFaster)
			case 'B':
				out = append(out, keySlower)
			case 'C':
				out = append(out, keyForward)
			case 'D':
				out = append(out, keyBack)
			}
		}
	}
	return out
}

// What a terminal is told before a screen and after it: its other buffer, no
// cursor, no wrapping.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
	leaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
)

// tty is the console of this process.
type tty struct {
	out  *os.File
	in   *os.File    // nil: no keys
	was  *term.State // of in
	keys chan key
	end  func() // stops the reading of keys

	once sync.Once
}

var _ console = (*tty)(nil)

// openConsole takes the terminal that w is for a screen, with the keys of in
// when that is a terminal too. It is false for what is no terminal, or when it
// belongs to another job: a run in the background leaves it alone.
func openConsole(w io.Writer, in io.Reader) (console, bool) {
	out, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(out.Fd())) || !foreground(out) {
		return nil, false
	}
	t := &tty{out: out, end: func() {}}
	if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) && foreground(f) {
		t.takeKeys(f)
	}
	io.WriteString(out, enterScreen)
	return t, true
}

// takeKeys lets keys come one by one. Where that does not work, there are
// none, and Ctrl-C stays a signal.
func (t *tty) takeKeys(in *os.File) {
	chunks, end, err := reading(in)
	if err != nil {
		return
	}
	was, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		end()
		return
	}
	t.in, t.was, t.keys, t.end = in, was, make(chan key, 16), end
	go func() {
		defer close(t.keys)
		for b := range chunks {
			for _, k := range readKeys(b) {
				select {
				case t.keys <- k:
				default: // nobody is that quick
				}
			}
		}
	}()
}

func (t *tty) Write(b []byte) (int, error) { return t.out.Write(b) }

func (t *tty) Size() (width, height int) {
	w, h, err := term.GetSize(int(t.out.Fd()))
	if err != nil {
		return 0, 0
	}
	return w, h
}

func (t *tty) Keys() <-chan key { return t.keys }

func (t *tty) Release() {
	t.once.Do(func() {
		t.end()
		io.WriteString(t.out, leaveScreen)
		if t.was != nil {
			term.Restore(int(t.in.Fd()), t.was)
		}
	})
}
