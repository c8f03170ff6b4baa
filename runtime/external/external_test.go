package external

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/record"
)

// TestMain lets the test binary be the client, too: clients are processes.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "client" {
		client(os.Args[2])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// client behaves as mode says. It has no Kafka: what it answers is what counts.
func client(mode string) {
	in := bufio.NewScanner(os.Stdin)
	say := func(format string, args ...any) { fmt.Printf(format+"\n", args...) }
	switch mode {
	case "good", "mute", "fail", "lie", "die", "forge":
		for n := 0; in.Scan(); n++ {
			var o order
			if err := json.Unmarshal(in.Bytes(), &o); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			switch {
			case o.Bootstrap != "":
				fmt.Fprintln(os.Stderr, "moves to", o.Bootstrap, o.Topic)
			case mode == "good":
				say(`{"acked":%q,"partition":%d,"offset":%d}`, o.Send, n%3, n/3)
			case mode == "mute":
				say(`{"acked":%q}`, o.Send)
			case mode == "fail" && n%2 == 0:
				say(`{"failed":%q,"reason":"no room"}`, o.Send)
			case mode == "fail":
				say(`{"unknown":%q}`, o.Send)
			case mode == "lie" && n == 0:
				say(`{"acked":%q,"partition":0,"offset":0}`, strings.Repeat("A", len(o.Send)))
			case mode == "die" && n == 20:
				fmt.Fprintln(os.Stderr, "boom")
				os.Exit(3)
			}
		}
	case "hang":
		signal.Ignore(syscall.SIGTERM)
		time.Sleep(time.Minute)
	case "flood":
		for range 3 * maxNonsense {
			say("nonsense")
		}
		time.Sleep(time.Minute)
	case "read", "made_up", "nowhere":
		say(`{"ready":true}`)
		// What it "gets" stands in a file beside its log, put there by the test.
		for value := range strings.FieldsSeq(os.Getenv("TOPIC")) {
			switch mode {
			case "read":
				say(`{"got":%q,"partition":1,"offset":7}`, value)
			case "made_up":
				say(`{"got":%q,"partition":1,"offset":7}`, "sf1."+strings.Repeat("A", 54))
			case "nowhere":
				say(`{"got":%q}`, value)
			}
		}
		for in.Scan() {
			say(`{"ready":true}`)
		}
	case "silent":
		for in.Scan() {
		}
	}
}

// bed is a run without a cluster.
type bed struct {
	t      *testing.T
	plan   *plan.Plan
	log    *record.Writer
	env    runtime.Env
	load   *Load
	folder string

	mu   sync.Mutex
	news []record.Event
}

type wall struct{ zero time.Time }

func (w wall) Now() time.Duration { return time.Since(w.zero) }

func newBed(t *testing.T, mode string) *bed {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{t: t, folder: t.TempDir(), plan: &plan.Plan{
		Clusters:  []plan.Cluster{{Name: "kafka"}},
		Topics:    []plan.Topic{{Name: "orders", Cluster: "kafka", Partitions: 3}},
		Producers: []plan.Producer{{Name: "shop", Topic: "orders", Members: 1, Size: 100, Buffer: 100 * 1000, Timeout: plan.Duration(time.Minute)}},
		Consumers: []plan.Consumer{{Name: "billing", Topics: []string{"orders"}, Group: "billing"}},
	}}
	b.log = record.NewMemory(b.plan, record.Info{ID: 7, Speed: 1})
	b.env = runtime.Env{RunID: 7, Speed: 1, Clock: wall{time.Now()}, Log: func(string) {}, Tell: func(e record.Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.news = append(b.news, e)
	}}
	line := fmt.Sprintf("'%s' client %s", exe, mode)
	b.load, err = New(Options{
		Commands: map[string]string{"shop": line, "billing": line}, Folder: b.folder, Key: []byte("key"), Environ: os.Environ(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bed) producer() runtime.Producer {
	b.t.Helper()
	p, err := b.load.Producer(b.t.Context(), runtime.ProducerSpec{
		Env: b.env, Producer: b.plan.Producers[0], Topic: b.plan.Topics[0], Member: 1, Members: 1,
		Bootstrap: []string{"127.0.0.1:9"}, Log: b.log.Producer("shop", 1),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

// told gives the news of a kind whose text holds a part.
func (b *bed) told(kind record.Kind, part string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.news, func(e record.Event) bool {
		return e.Kind == kind && strings.Contains(e.What+" "+e.Error, part)
	})
}

// fates counts the records of the recording by what became of them.
func (b *bed) fates() map[record.Op]int {
	b.t.Helper()
	out := map[record.Op]int{}
	_, err := b.log.Recording().Scan(func(x *record.Block) error {
		return x.Spans(func(_ record.Stream, spans []record.Span) error {
			for _, s := range spans {
				out[s.Op] += int(s.N)
			}
			return nil
		})
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

// eventually waits for what another process does.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: it did not come about", what)
		}
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestProducerWhoseClientAnswers(t *testing.T) {
	for _, tt := range []struct {
		mode                   string
		acked, failed, unknown bool
		told                   string
	}{
		{"good", true, false, false, ""},
		{"mute", true, false, false, "does not say partitions"},
		{"fail", false, true, true, ""},
	} {
		t.Run(tt.mode, func(t *testing.T) {
			b := newBed(t, tt.mode)
			p := b.producer()
			p.Begin(b.env.Clock.Now(), 2000)
			eventually(t, "200 records", func() bool {
				f := b.fates()
				return f[record.OpAcked]+f[record.OpFailed]+f[record.OpUnknown] >= 200
			})
			if err := p.Stop(within(t, 20*time.Second)); err != nil {
				t.Fatal(err)
			}
			f := b.fates()
			if got := f[record.OpAcked] + f[record.OpFailed] + f[record.OpUnknown]; got != f[record.OpAccepted] {
				t.Errorf("got %d fates of %d records: %v", got, f[record.OpAccepted], f)
			}
			for _, x := range []struct {
				op   record.Op
				want bool
			}{{record.OpAcked, tt.acked}, {record.OpFailed, tt.failed}, {record.OpUnknown, tt.unknown}} {
				if got := f[x.op] > 0; got != x.want {
					t.Errorf("fate %d: got %d records, want some: %v", x.op, f[x.op], x.want)
				}
			}
			if tt.told != "" && !b.told(record.KindClient, tt.told) {
				t.Errorf("got news %v, want %q", b.news, tt.told)
			}
			if b.told(record.KindLie, "") {
				t.Errorf("an honest client was called a liar: %v", b.news)
			}
		})
	}
}

func TestProducerWhoseClientLies(t *testing.T) {
	b := newBed(t, "lie")
	p := b.producer()
	p.Begin(b.env.Clock.Now(), 1000)
	eventually(t, "the lie", func() bool { return b.told(record.KindLie, "answered for a record that it was never given") })
	p.Crash()
	if f := b.fates(); f[record.OpAcked] != 0 {
		t.Errorf("got %d acknowledged records by a lie, want none", f[record.OpAcked])
	}
}

func TestProducerWhoseClientDies(t *testing.T) {
	b := newBed(t, "die")
	p := b.producer()
	p.Begin(b.env.Clock.Now(), 1000)
	eventually(t, "its end", func() bool { return b.told(record.KindClient, "exit status 3: boom") })
	eventually(t, "what is due fails", func() bool { return b.fates()[record.OpFailed] > 10 })
	if err := p.Stop(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	if f := b.fates(); f[record.OpUnknown] < 20 || f[record.OpAcked] != 0 {
		t.Errorf("got %v, want what it had taken to be unknown and nothing acknowledged", f)
	}
}

func TestProducerWhoseClientHangs(t *testing.T) {
	b := newBed(t, "hang")
	b.plan.Producers[0].Timeout = plan.Duration(200 * time.Millisecond)
	b.plan.Producers[0].Buffer = 50 * 100
	p := b.producer()
	p.Begin(b.env.Clock.Now(), 1000)
	eventually(t, "what it took is unknown, the rest fails", func() bool {
		f := b.fates()
		return f[record.OpUnknown] >= 50 && f[record.OpFailed] > 50
	})
	err := p.Stop(within(t, 300*time.Millisecond))
	if err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("Stop: got %v, want that it was killed", err)
	}
	// A busy machine may make a few late before the client's buffer is full; what
	// waits for a client that does not read is not.
	if f := b.fates(); 5*f[record.OpLate] > f[record.OpFailed] {
		t.Errorf("got %d late records of %d that failed, want next to none: it is the client that does not read", f[record.OpLate], f[record.OpFailed])
	}
	if pid := p.(*producer).proc.cmd.Process.Pid; syscall.Kill(-pid, 0) == nil {
		t.Errorf("process group %d is there still", pid)
	}
}

func TestProducerWhoseClientFloods(t *testing.T) {
	b := newBed(t, "flood")
	p := b.producer()
	eventually(t, "its end", func() bool { return b.told(record.KindClient, "it floods") })
	<-p.(*producer).proc.gone
	p.Crash()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.news) > 10 {
		t.Errorf("got %d news of %d lines, want a few", len(b.news), 3*maxNonsense)
	}
}

func TestProducerGoesOnAfterACrash(t *testing.T) {
	b := newBed(t, "hang")
	p := b.producer()
	p.Begin(b.env.Clock.Now(), 1000)
	eventually(t, "some records", func() bool { return b.fates()[record.OpAccepted] >= 20 })
	p.Crash()
	first := b.load.left[memberKey{"shop", 1}]
	if uint64(len(first.open)) != first.next || first.next < 20 {
		t.Fatalf("got %d records left of %d, want all", len(first.open), first.next)
	}
	for name, line := range b.load.o.Commands {
		b.load.o.Commands[name] = strings.Replace(line, "client hang", "client good", 1)
	}
	p = b.producer()
	p.Begin(b.env.Clock.Now(), 1000)
	eventually(t, "what was left and more", func() bool { return b.fates()[record.OpAcked] > len(first.open)+20 })
	if err := p.Stop(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	if b.told(record.KindLie, "") {
		t.Errorf("got %v, want no lie", b.news)
	}
}

func TestProducerMoves(t *testing.T) {
	b := newBed(t, "good")
	b.plan.Topics = append(b.plan.Topics, plan.Topic{Name: "west/orders", Kafka: "orders", Cluster: "west", Partitions: 3})
	b.log = record.NewMemory(b.plan, record.Info{ID: 7, Speed: 1})
	p := b.producer()
	err := p.(runtime.Redirecter).Redirect(t.Context(), runtime.Destination{Bootstrap: []string{"127.0.0.1:10"}, Topics: b.plan.Topics[1:]})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the client's own log", func() bool {
		text, _ := os.ReadFile(filepath.Join(b.folder, "shop-1.log"))
		return strings.Contains(string(text), "moves to 127.0.0.1:10 orders")
	})
	p.Crash()
}

// consume runs a consumer whose client gets values in its topic's name.
func (b *bed) consume(values ...string) (runtime.Member, error) {
	b.plan.Topics[0].Kafka = strings.Join(values, " ")
	return b.load.Consumer(b.t.Context(), runtime.ConsumerSpec{
		Env: b.env, Consumer: b.plan.Consumers[0], Topics: b.plan.Topics, Member: 1, Log: b.log.Consumer("billing", 1),
	})
}

func TestConsumer(t *testing.T) {
	value := record.TextValue(record.TextID(record.Identity{Run: 7, Producer: 0, Member: 1, Seq: 3}, []byte("key")), 100)
	forged := record.TextValue(record.TextID(record.Identity{Run: 7, Producer: 0, Member: 1, Seq: 4}, []byte("other")), 100)
	for _, tt := range []struct {
		mode      string
		values    []string
		delivered int
		foreign   int
		lie       string
		nonsense  string
	}{
		{mode: "read", values: []string{value}, delivered: 1},
		{mode: "read", values: []string{value, value, "something-else"}, delivered: 2, foreign: 1},
		{mode: "read", values: []string{forged}, lie: "that nobody sent"},
		{mode: "made_up", values: []string{"x"}, lie: "that nobody sent"},
		{mode: "nowhere", values: []string{value}, nonsense: `without "partition" and "offset"`},
	} {
		t.Run(tt.mode, func(t *testing.T) {
			b := newBed(t, tt.mode)
			c, err := b.consume(tt.values...)
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "what it says", func() bool {
				f := b.fates()
				return f[record.OpDelivered] == tt.delivered && f[record.OpForeign] == tt.foreign &&
					b.load.Silent("billing") == (tt.mode == "nowhere") && !b.load.Silent("kiosk") &&
					(tt.lie == "" || b.told(record.KindLie, tt.lie)) && (tt.nonsense == "" || b.told(record.KindClient, tt.nonsense))
			})
			if tt.lie == "" && b.told(record.KindLie, "") {
				t.Errorf("got %v, want no lie", b.news)
			}
			if err := c.Stop(within(t, 20*time.Second)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestConsumerThatSaysNothing(t *testing.T) {
	b := newBed(t, "silent")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(context.DeadlineExceeded)
	// A run that ends meanwhile does not wait for it.
	if _, err := b.load.Consumer(ctx, runtime.ConsumerSpec{Env: b.env, Consumer: b.plan.Consumers[0], Topics: b.plan.Topics, Member: 1, Log: b.log.Consumer("billing", 1)}); err == nil {
		t.Fatal("got a consumer that is not ready from a run that has ended")
	}
}

func TestConsumerThatEndsAtOnce(t *testing.T) {
	b := newBed(t, "no such mode")
	if _, err := b.consume("orders"); err == nil || !strings.Contains(err.Error(), "ended before it was ready: exit status 0") {
		t.Errorf("got %v, want that it ended", err)
	}
}

func TestNoSuchProgram(t *testing.T) {
	b := newBed(t, "good")
	b.load.o.Commands["shop"] = "/no/such/program --flag"
	_, err := b.load.Producer(t.Context(), runtime.ProducerSpec{Env: b.env, Producer: b.plan.Producers[0], Topic: b.plan.Topics[0], Member: 1, Log: b.log.Producer("shop", 1)})
	if err == nil || !strings.Contains(err.Error(), "start /no/such/program") {
		t.Errorf("got %v, want that it cannot be started", err)
	}
}

func TestWords(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want []string
		err  error
	}{
		{"python shop.py", []string{"python", "shop.py"}, nil},
		{"  a\tb \n", []string{"a", "b"}, nil},
		{`a 'b c' "d e" f\ g ''`, []string{"a", "b c", "d e", "f g", ""}, nil},
		{`a"b"'c'`, []string{"abc"}, nil},
		{`'a\b' "c\"d"`, []string{`a\b`, `c"d`}, nil},
		{"", nil, errNoCommand},
		{"''", nil, errNoCommand},
		{"a 'b", nil, errQuote},
		{`a\`, nil, errQuote},
	} {
		got, err := Words(tt.in)
		if err != tt.err || !slices.Equal(got, tt.want) {
			t.Errorf("Words(%q): got %q, %v, want %q, %v", tt.in, got, err, tt.want, tt.err)
		}
	}
}

// FuzzAnswer: whatever a client writes, there is an answer or an error.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{`{"acked":"x"}`, `{"got":"","partition":0,"offset":1}`, `{"ready":true}`, `[]`, `{"got":null}`, "\x00", `{"acked":1}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		a, err := parse(line)
		if err == nil && a.Acked == "" && a.Failed == "" && a.Unknown == "" && !a.Ready && a.Got == nil {
			t.Errorf("parse(%q): got an answer that says nothing", line)
		}
	})
}

func TestEnvironment(t *testing.T) {
	got := environment([]string{"PATH=/bin", "AWS_SECRET_ACCESS_KEY=x", "HOME=/h", "TOPIC=other"}, map[string]string{"TOPIC": "orders", "GROUP": "g"})
	want := []string{"PATH=/bin", "HOME=/h", "GROUP=g", "TOPIC=orders"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
