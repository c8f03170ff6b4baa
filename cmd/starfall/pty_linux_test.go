package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pseudo is a terminal that a program runs on, with everything that the
// program has written to it.
type pseudo struct {
	master *os.File
	slave  *os.File

	mu   sync.Mutex
	text bytes.Buffer
	more *sync.Cond
}

// newPseudo opens a pseudo terminal of 80×24.
func newPseudo(t *testing.T) *pseudo {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	p := &pseudo{master: master, slave: slave}
	p.more = sync.NewCond(&p.mu)
	p.resize(t, 80, 24)
	t.Cleanup(func() {
		slave.Close()
		master.Close()
	})
	go func() {
		b := make([]byte, 1<<14)
		for {
			n, err := master.Read(b)
			p.mu.Lock()
			p.text.Write(b[:n])
			p.more.Broadcast()
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return p
}

func (p *pseudo) resize(t *testing.T, width, height uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(p.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height}); err != nil {
		t.Fatal(err)
	}
}

func (p *pseudo) settings(t *testing.T) unix.Termios {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *s
}

// until waits for text after a place in the output, and gives the place behind
// it.
func (p *pseudo) until(t *testing.T, from int, text string) int {
	t.Helper()
	limit := time.AfterFunc(2*time.Minute, func() { p.more.Broadcast() })
	defer limit.Stop()
	began := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if i := strings.Index(p.text.String()[from:], text); i >= 0 {
			return from + i + len(text)
		}
		if time.Since(began) > 2*time.Minute {
			t.Fatalf("%q did not come:\n%q", text, p.text.String()[from:])
		}
		p.more.Wait()
	}
}

func (p *pseudo) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// TestScreenOnATerminal runs a scenario on a pseudo terminal: a screen that
// follows the terminal's size, q stops the run, and the terminal is as before
// and has the table.
func TestScreenOnATerminal(t *testing.T) {
	for _, tt := range []struct {
		name    string
		noColor bool
		piped   bool // stdout is no terminal
	}{
		{name: "in colour"},
		{name: "without colour, stdout in a file", noColor: true, piped: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPseudo(t)
			dir := t.TempDir()
			const scenario = `scenario(run_for = "10m")
kafka = cluster(brokers = 3)
orders = topic(kafka, replicas = 3)
shop = producer(orders, rate = 20)
billing = consumer(orders, group = "g")
expect(orders.lost.none())
`
			if err := os.WriteFile(filepath.Join(dir, "s.star"), []byte(scenario), 0o666); err != nil {
				t.Fatal(err)
			}
			before := p.settings(t)
			cmd := exec.Command("starfall", "run", "s.star", "--speed", "2")
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "TERM=xterm-256color", "NO_COLOR=")
			if tt.noColor {
				cmd.Env = append(cmd.Env, "NO_COLOR=1")
			}
			cmd.Stdin, cmd.Stdout, cmd.Stderr = p.slave, p.slave, p.slave
			var stdout bytes.Buffer
			if tt.piped {
				cmd.Stdout = &stdout
			}
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := false
			defer func() {
				if !ended {
					cmd.Process.Kill()
					cmd.Wait()
				}
			}()

			at := p.until(t, 0, enterScreen)
			p.until(t, at, "sent/s")
			at = p.until(t, at, "left")
			if now := p.settings(t); now.Lflag&unix.ECHO != 0 {
				t.Error("keys are echoed while the screen is shown")
			}
			p.resize(t, 120, 40)
			at = p.until(t, at, "\x1b[40;1H\x1b[2K") // the last line of the larger terminal
			p.resize(t, 30, 5)
			at = p.until(t, at, "run · 0:")
			p.resize(t, 80, 24)
			at = p.until(t, at, "sent/s")
			if _, err := p.master.WriteString("q"); err != nil {
				t.Fatal(err)
			}
			// What it says then, TestLive looks at: so short a run may be over first.
			at = p.until(t, at, leaveScreen)
			err := cmd.Wait()
			ended = true
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != exitInterrupted {
				t.Errorf("got %v, want exit code %d", err, exitInterrupted)
			}
			if after := p.settings(t); after != before {
				t.Errorf("got terminal settings %+v, want those from before %+v", after, before)
			}
			table := stdout.String()
			if !tt.piped {
				p.until(t, at, "INCONCLUSIVE")
				table = p.String()[at:]
			}
			if !strings.Contains(table, "INCONCLUSIVE") || !strings.Contains(table, "orders.lost.none()") {
				t.Errorf("got %q after the screen, want the table", table)
			}
			if tt.piped && strings.Contains(table, "\x1b") {
				t.Errorf("got control sequences on stdout: %q", table)
			}
			if got := strings.Contains(p.String(), "\x1b[36m"); got == tt.noColor {
				t.Errorf("got colour on the screen %v, want %v", got, !tt.noColor)
			}
		})
	}
}
