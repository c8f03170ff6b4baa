package main

import (
	"bytes"
	"io"
	"testing"
	"time"

	"starfall/runtime"
)

// TestProgress feeds two updates to a pipe, a terminal, and nobody.
func TestProgress(t *testing.T) {
	at := 30*time.Second + 3*time.Millisecond
	updates := []runtime.Progress{
		{Phase: runtime.PhaseRun, At: at - time.Second, Left: time.Minute, Sent: 1000, Acked: 999, Delivered: 998,
			Nodes: []runtime.NodeProgress{{Label: "kafka-1", State: "running"}, {Label: "kafka-2", State: "fenced"}}, Next: "outage", NextAt: 40 * time.Second},
		{Phase: runtime.PhaseRun, At: at, Left: 59 * time.Second, Line: "kill → kafka-2"},
	}
	const status1 = "run · 0:29 · 1:00 left · sent 1000/s acked 999/s delivered 998/s · kafka-2 fen…"
	const status2 = "run · 0:30 · 0:59 left · sent 1000/s acked 999/s delivered 998/s · kafka-2 fen…"
	for _, tt := range []struct {
		name     string
		terminal bool
		quiet    bool
		term     string
		want     string
	}{
		{"pipe", false, false, "", " 0:30.003  kill → kafka-2\n"},
		{"terminal", true, false, "xterm", status1 + "\r\x1b[K" + " 0:30.003  kill → kafka-2\n" + status2 + "\r\x1b[K"},
		{"dumb terminal", true, false, "dumb", " 0:30.003  kill → kafka-2\n"},
		{"quiet", true, true, "xterm", ""},
	} {
		var b bytes.Buffer
		e := &env{stderr: &b, terminal: func(io.Writer) bool { return tt.terminal }, getenv: func(string) string { return tt.term }}
		p := newProgress(e, tt.quiet)
		if tell := p.told(); tell != nil {
			for _, u := range updates {
				tell(u)
			}
		}
		p.end()
		if got := b.String(); got != tt.want {
			t.Errorf("%s: got\n%q\nwant\n%q", tt.name, got, tt.want)
		}
	}
}
