package main

import (
	"bytes"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"starfall/interp/plan"
	"starfall/report/screen"
	"starfall/runtime"
	"starfall/runtime/record"
)

// paper is a console that keeps what is drawn on it.
type paper struct {
	mu            sync.Mutex
	b             bytes.Buffer
	width, height int
	keys          chan key
	released      bool
	drawn         chan struct{} // one at each write, as far as somebody waits
}

func newPaper(keys chan key) *paper {
	return &paper{width: 80, height: 24, keys: keys, drawn: make(chan struct{}, 100)}
}

func (p *paper) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.b.Write(b)
	select {
	case p.drawn <- struct{}{}:
	default:
	}
	return len(b), nil
}
func (p *paper) Size() (int, int) { return p.width, p.height }
func (p *paper) Keys() <-chan key { return p.keys }
func (p *paper) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.released = true
}

func (p *paper) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.String()
}

// TestReadKeys takes apart what terminals send.
func TestReadKeys(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want []key
	}{
		{"q", []key{keyQuit}},
		{"Q", []key{keyQuit}},
		{"\x03", []key{keyInterrupt}},
		{" +-=", []key{keyPause, keyFaster, keySlower, keyFaster}},
		{"\x1b[C\x1b[D", []key{keyForward, keyBack}},
		{"\x1bOA\x1bOB", []key{keyFaster, keySlower}},
		{"\x1b[1;5C", []key{keyForward}},
		{"\x1b", nil},
		{"\x1bq", nil}, // Alt-q
		{"\x1b[15~q", []key{keyQuit}},
		{"\x1b[", nil},
		{"xyz\r\n", nil},
	} {
		if got := readKeys([]byte(tt.in)); !slices.Equal(got, tt.want) {
			t.Errorf("%q: got %v, want %v", tt.in, got, tt.want)
		}
	}
}

// TestDrawing writes only the lines that have changed, and all of them to a
// terminal of another size.
func TestDrawing(t *testing.T) {
	p := newPaper(nil)
	d := drawing{c: p}
	show := func(lines ...string) string {
		p.b.Reset()
		d.draw(func(int, int, bool) []string { return lines })
		return strings.NewReplacer("\x1b[?2026h", "<", "\x1b[?2026l", ">", "\x1b", "E").Replace(p.b.String())
	}
	for _, tt := range []struct {
		lines []string
		want  string
	}{
		{[]string{"a", "b"}, "<E[2JE[1;1HE[2KaE[2;1HE[2Kb>"},
		{[]string{"a", "b"}, ""},
		{[]string{"a", "c", "d"}, "<E[2;1HE[2KcE[3;1HE[2Kd>"},
		{[]string{"a"}, "<E[2;1HE[2KE[3;1HE[2K>"},
	} {
		if got := show(tt.lines...); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.lines, got, tt.want)
		}
	}
	p.width = 60
	if got, want := show("a"), "<E[2JE[1;1HE[2Ka>"; got != want {
		t.Errorf("another size: got %q, want %q", got, want)
	}
}

// TestLive presses q twice, writes to stderr meanwhile, and takes the screen
// away: each press is an interrupt that the screen tells of, and what was
// written comes after the screen.
func TestLive(t *testing.T) {
	stop := watch(&env{})
	defer stop.close()
	out := stop.channel()
	p := newPaper(make(chan key))
	var stderr bytes.Buffer
	l := newLive(p, &stderr, false, screen.New(""), stop)
	l.begin(0).told()(runtime.Progress{Phase: runtime.PhaseRun, At: time.Second, Left: time.Second, Line: "kill(kafka-2)"})
	until := func(text string) {
		t.Helper()
		limit := time.After(20 * time.Second)
		for !strings.Contains(p.String(), text) {
			select {
			case <-p.drawn:
			case <-limit:
				t.Fatalf("%q was never drawn:\n%s", text, p.String())
			}
		}
	}
	until("kill(kafka-2)")
	p.keys <- keyQuit
	until("stopping: heals and winds down · q again")
	io.WriteString(l, "a warning\n")
	until("a warning")
	p.keys <- keyPause // means nothing here
	p.keys <- keyInterrupt
	until("takes everything down at once")
	if len(out) != 2 || !stop.seen() {
		t.Errorf("got %d interrupts, want 2", len(out))
	}
	if stderr.Len() > 0 {
		t.Errorf("got %q on stderr under the screen", stderr.String())
	}
	l.close(true)
	l.close(true)
	if !p.released {
		t.Error("the terminal was not given back")
	}
	if got, want := stderr.String(), " 0:01.000  kill(kafka-2)\na warning\n"; got != want {
		t.Errorf("got %q on stderr, want %q", got, want)
	}
	io.WriteString(l, "later\n")
	if got := stderr.String(); !strings.HasSuffix(got, "\nlater\n") {
		t.Errorf("got %q on stderr, want what is written later, too", got)
	}
}

// TestGuard gives the terminal back when something panics.
func TestGuard(t *testing.T) {
	stop := watch(&env{})
	defer stop.close()
	p := newPaper(nil)
	l := newLive(p, io.Discard, false, screen.New(""), stop)
	defer l.close(false)
	func() {
		defer func() {
			if got := recover(); got != "a mistake" {
				t.Errorf("got panic %v, want it to go on", got)
			}
		}()
		defer l.guard()
		panic("a mistake")
	}()
	if !p.released {
		t.Error("the terminal was not given back")
	}
}

// TestNoScreen says where lines are written instead.
func TestNoScreen(t *testing.T) {
	small := newPaper(nil)
	small.width = screen.MinWidth - 1
	for _, tt := range []struct {
		name, term string
		console    func(io.Writer) (console, bool)
		want       bool
	}{
		{"a terminal", "xterm", func(io.Writer) (console, bool) { return newPaper(nil), true }, true},
		{"a dumb one", "dumb", func(io.Writer) (console, bool) { return newPaper(nil), true }, false},
		{"one that nothing is known of", "", func(io.Writer) (console, bool) { return newPaper(nil), true }, false},
		{"a small one", "xterm", func(io.Writer) (console, bool) { return small, true }, false},
		{"a pipe", "xterm", func(w io.Writer) (console, bool) { return openConsole(w, nil) }, false},
		{"nothing", "xterm", nil, false},
	} {
		e := &env{getenv: func(string) string { return tt.term }, console: tt.console}
		if _, got := e.screen(&bytes.Buffer{}); got != tt.want {
			t.Errorf("%s: got a screen %v, want %v", tt.name, got, tt.want)
		}
	}
	if !small.released {
		t.Error("the small terminal was not given back")
	}
}

// TestPlayerKeys plays the recording of a run with keys.
func TestPlayerKeys(t *testing.T) {
	p := shortPlay(t)
	view := func() string { return strings.Join(screen.View(p.s, 80, 24, false), "\n") }
	for _, step := range []struct {
		name   string
		key    key
		wait   time.Duration // real time, after the key
		at     time.Duration
		speed  float64
		paused bool
		keys   string
	}{
		{"plays", -1, time.Second, time.Second, 1, false, "×1 · space pauses"},
		{"faster", keyFaster, time.Second, 3 * time.Second, 2, false, "×2"},
		{"pauses", keyPause, time.Second, 3 * time.Second, 2, true, "paused · space goes on"},
		{"slower", keySlower, 0, 3 * time.Second, 1, true, "paused"},
		{"goes on", keyPause, time.Second, 4 * time.Second, 1, false, "×1"},
		{"back to the start", keyBack, 0, 0, 1, false, "×1"},
		{"forth", keyForward, 0, 10 * time.Second, 1, false, "×1"},
		{"to the end", keyForward, time.Hour, p.b.To, 1, true, "the end · space plays again"},
		{"again", keyPause, 0, 0, 1, false, "×1"},
	} {
		if step.key >= 0 && p.press(step.key) {
			t.Errorf("%s: the key ends the play", step.name)
		}
		p.advance(step.wait)
		if p.at != step.at || p.speed != step.speed || p.paused != step.paused {
			t.Errorf("%s: got %s, speed %g, paused %v, want %s, %g, %v", step.name, p.at, p.speed, p.paused, step.at, step.speed, step.paused)
		}
		if !strings.HasPrefix(p.keys(), step.keys) {
			t.Errorf("%s: got %q, want %q", step.name, p.keys(), step.keys)
		}
		if want := regexp.MustCompile(`(?m)^ (run|take down) `); !want.MatchString(view()) {
			t.Errorf("%s: got\n%s", step.name, view())
		}
	}
	// A leap and a slow walk end at the same screen.
	p.seek(0)
	for range 32 {
		p.advance(250 * time.Millisecond)
	}
	walked := view()
	p.seek(8 * time.Second)
	if got := view(); got != walked {
		t.Errorf("a leap: got\n%s\nwant\n%s", got, walked)
	}
	if !p.press(keyQuit) || !p.press(keyInterrupt) {
		t.Error("q and Ctrl-C do not end the play")
	}
}

// shortPlay records what a run of twelve seconds tells, without an engine.
func shortPlay(t *testing.T) *player {
	t.Helper()
	p := &plan.Plan{
		Format: plan.Format, Name: "short", Scenario: plan.Scenario{RunFor: plan.Duration(12 * time.Second)},
		Clusters:  []plan.Cluster{{Name: "kafka", Nodes: []plan.Node{{ID: 1, Role: plan.RoleCombined}}}},
		Topics:    []plan.Topic{{Name: "orders", Cluster: "kafka", Partitions: 1, Replicas: 1}},
		Producers: []plan.Producer{{Name: "shop", Topic: "orders"}},
	}
	w := record.NewMemory(p, record.Info{Engine: "embedded", Speed: 1, Seed: 1})
	w.Event(record.Event{Kind: record.KindPhase, Phase: record.PhaseRun})
	log := w.Producer("shop", 1)
	for i := range 12 {
		log.Accepted(uint64(i*10), 10, time.Duration(i)*time.Second)
	}
	w.Sample(record.Sample{At: time.Second, Cluster: "kafka", Brokers: []record.BrokerState{{ID: 1, Alive: true}}})
	w.Event(record.Event{At: 12 * time.Second, Kind: record.KindPhase, Phase: record.PhaseTakeDown})
	if err := w.Close(13 * time.Second); err != nil {
		t.Fatal(err)
	}
	b, err := runtime.NewPlayback(w.Recording())
	if err != nil {
		t.Fatal(err)
	}
	player := &player{b: b, title: p.Name, facts: "embedded", speed: 1}
	player.seek(0)
	return player
}
