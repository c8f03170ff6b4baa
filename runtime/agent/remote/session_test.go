package remote

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/embedded"
	"starfall/runtime/judge"
	"starfall/runtime/kafka"
	"starfall/runtime/record"
)

const small = `
scenario(run_for = "20s", seed = 1)
kafka = cluster(brokers = 1)
orders = topic(kafka, partitions = 3, replicas = 1)
shop = producer(orders, rate = 200)
billing = consumer(orders, group = "billing")
expect(billing.missing.none())
`

// TestDeath cuts the connection to one agent in mid-run: the run ends soon, as
// an error of the engine with a reason, and what came before is recorded.
func TestDeath(t *testing.T) {
	for _, tt := range []struct {
		name string
		of   func(b *bed) *agent
		want string
	}{
		{"load", func(b *bed) *agent { return b.load[plan.ImpliedSite] }, "load agent of " + plan.ImpliedSite},
		{"control", func(b *bed) *agent { return b.control }, "control agent"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := compile(t, small)
			b := newBed(t, p)
			cut := make(chan struct{})
			var once sync.Once
			o := runtime.Options{Connect: b.connect, Speed: 2, Progress: func(x runtime.Progress) {
				if x.Phase == runtime.PhaseRun && x.At > 3*time.Second && x.Delivered > 0 {
					once.Do(func() {
						close(cut)
						tt.of(b).cut()
					})
				}
			}}
			out := run(t, p, o)
			select {
			case <-cut:
			default:
				t.Fatalf("the run ended before the cut: %v", out.err)
			}
			var phase *runtime.PhaseError
			if !errors.As(out.err, &phase) || !strings.Contains(out.err.Error(), tt.want+":") {
				t.Errorf("error: got %v, want one of a phase about the %s", out.err, tt.want)
			}
			if out.verdict.Result != judge.EngineError {
				t.Errorf("verdict: got %s, want %s", out.verdict.Result, judge.EngineError)
			}
			if got := out.verdict.Producers[0].Acked; got == 0 {
				t.Error("acked before the cut: got none in the recording, want some")
			}
			if end := out.rec.Events[len(out.rec.Events)-1].At; end > 18*time.Second {
				t.Errorf("end: got %v, want soon after the cut", end)
			}
			if !out.rec.Whole {
				t.Errorf("recording: got cut off (%s), want closed", out.rec.Cut)
			}
		})
	}
}

// TestInterrupt ends a run by its interrupt and by its context.
func TestInterrupt(t *testing.T) {
	for _, twice := range []bool{false, true} {
		p := compile(t, small)
		b := newBed(t, p)
		stop := make(chan struct{}, 2)
		var once sync.Once
		out := run(t, p, runtime.Options{Connect: b.connect, Speed: 2, Interrupt: stop, Progress: func(x runtime.Progress) {
			if x.Phase == runtime.PhaseRun && x.At > 2*time.Second {
				once.Do(func() {
					stop <- struct{}{}
					if twice {
						stop <- struct{}{}
					}
				})
			}
		}})
		if got := errors.Is(out.err, runtime.ErrInterrupted); got != twice || !twice && out.err != nil {
			t.Errorf("error when interrupted twice %v: got %v", twice, out.err)
		}
		if !out.result.Interrupted {
			t.Errorf("interrupted twice %v: got a result that was not", twice)
		}
		if !twice && out.verdict.Consumers[0].Distinct != out.verdict.Producers[0].Acked {
			t.Errorf("after one interrupt: got %d delivered of %d acknowledged, want all",
				out.verdict.Consumers[0].Distinct, out.verdict.Producers[0].Acked)
		}
	}
}

// world is a cluster with a session on it, and no run.
type world struct {
	runtime.World
	t     *testing.T
	ctx   context.Context
	plan  *plan.Plan
	rec   *record.Writer
	env   runtime.Env
	agent *agent
	*Session
}

// startedClock is a clock that runs.
type startedClock struct{ zero time.Time }

func (c startedClock) Now() time.Duration                      { return time.Since(c.zero) }
func (c startedClock) Zero(context.Context) (time.Time, error) { return c.zero, nil }

func newWorld(t *testing.T, source string, set func(*Options)) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	w := &world{t: t, ctx: ctx, plan: compile(t, source), agent: newAgent(t)}
	var err error
	if w.World, err = (embedded.Engine{}).Up(ctx, w.plan, runtime.UpOptions{Speed: 1}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.World.Close(context.Background()) })
	w.rec = record.NewMemory(w.plan, record.Info{ID: 7, Speed: 1})
	w.env = runtime.Env{RunID: 7, Seed: 1, Speed: 1, Clock: startedClock{time.Now()}, Log: func(s string) { t.Log(s) }}
	o := Options{Name: "agent", Open: w.agent.open, Plan: w.plan, Env: w.env, Record: w.rec,
		Bootstrap: func(c string) ([]string, error) { return w.World.Bootstrap(c, runtime.Place{}) }}
	if set != nil {
		set(&o)
	}
	if w.Session, err = Start(ctx, o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Session.Close() })
	if err := w.Create(ctx, w.plan.Clusters[0].Name, w.plan.Topics); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) spec(bootstrap []string) runtime.ProducerSpec {
	return runtime.ProducerSpec{Env: w.env, Producer: w.plan.Producers[0], Topic: w.plan.Topics[0], Member: 1, Members: 1, Bootstrap: bootstrap}
}

func (w *world) addresses(client string) []string {
	w.t.Helper()
	b, err := w.World.Bootstrap(w.plan.Clusters[0].Name, runtime.Place{Client: client, Member: 1, Site: plan.ImpliedSite})
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// counted is what a recording holds.
type counted struct {
	acked, delivered, audited uint64
	marks, segments, left     int
	times                     []time.Duration // of acknowledgements
}

func (w *world) counted() counted {
	w.t.Helper()
	var c counted
	// What a live judge sees: nothing is forced into the recording here.
	err := w.follower(func(b *record.Block) error {
		c.marks += len(b.Audits)
		c.segments += len(b.Segments)
		for _, g := range b.Changes {
			if g.Left {
				c.left++
			}
		}
		return b.Spans(func(_ record.Stream, spans []record.Span) error {
			for _, s := range spans {
				switch s.Op {
				case record.OpAcked:
					c.acked += uint64(s.N)
					c.times = append(c.times, s.At)
				case record.OpDelivered:
					c.delivered += uint64(s.N)
				case record.OpAudited:
					c.audited += uint64(s.N)
				}
			}
			return nil
		})
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) follower(f func(*record.Block) error) error {
	_, err := w.rec.Recording().Scan(f)
	return err
}

// TestBarrier checks that what a member and an audit recorded is there when
// they have ended.
func TestBarrier(t *testing.T) {
	w := newWorld(t, small, nil)
	follow := w.rec.Follow()
	p, err := w.Producer(w.ctx, w.spec(w.addresses("shop")))
	if err != nil {
		t.Fatal(err)
	}
	c, err := w.Consumer(w.ctx, runtime.ConsumerSpec{Env: w.env, Consumer: w.plan.Consumers[0], Member: 1, Bootstrap: w.addresses("billing")})
	if err != nil {
		t.Fatal(err)
	}
	p.Begin(w.env.Clock.Now(), 500)
	seen := func(what string, enough func(counted) bool) counted {
		t.Helper()
		var sum counted
		err := follow.Next(func(b *record.Block) error {
			sum.marks += len(b.Audits)
			sum.segments += len(b.Segments)
			for _, g := range b.Changes {
				if g.Left {
					sum.left++
				}
			}
			return b.Spans(func(_ record.Stream, spans []record.Span) error {
				for _, s := range spans {
					switch s.Op {
					case record.OpAcked:
						sum.acked += uint64(s.N)
					case record.OpAudited:
						sum.audited += uint64(s.N)
					}
				}
				return nil
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		if !enough(sum) {
			t.Errorf("%s: got %+v", what, sum)
		}
		return sum
	}
	time.Sleep(300 * time.Millisecond)
	p.SetRate(1000)
	time.Sleep(300 * time.Millisecond)
	if err := p.Stop(w.ctx); err != nil {
		t.Fatal(err)
	}
	acked := seen("after Stop of the producer: two segments and the end", func(c counted) bool { return c.segments == 3 && c.acked > 0 }).acked
	if err := c.Stop(w.ctx); err != nil {
		t.Fatal(err)
	}
	seen("after Stop of the consumer: it has left", func(c counted) bool { return c.left == 1 })
	ends := map[int32]int64{}
	state, err := w.World.Inspect(w.ctx, w.plan.Clusters[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range state.Partitions {
		if p.Topic == "orders" {
			ends[p.Partition] = p.HighWater
		}
	}
	if err := w.Audit(w.ctx, w.plan.Clusters[0].Name, "orders", ends, nil); err != nil {
		t.Fatal(err)
	}
	seen("after Audit: each partition and all records", func(c counted) bool { return c.marks == 3 && c.audited == acked })
}

// TestFrom checks from which address members dial, on all their connections.
func TestFrom(t *testing.T) {
	if _, err := os.Stat(socketTable); err != nil {
		t.Skipf("this system does not tell its connections: %v", err)
	}
	from := map[string]netip.Addr{"shop": netip.MustParseAddr("127.0.0.2"), "billing": netip.MustParseAddr("127.0.0.3")}
	w := newWorld(t, small, func(o *Options) {
		o.From = func(client string, member int) netip.Addr { return from[client] }
	})
	p, err := w.Producer(w.ctx, w.spec(w.addresses("shop")))
	if err != nil {
		t.Fatal(err)
	}
	c, err := w.Consumer(w.ctx, runtime.ConsumerSpec{Env: w.env, Consumer: w.plan.Consumers[0], Member: 1, Bootstrap: w.addresses("billing")})
	if err != nil {
		t.Fatal(err)
	}
	follow := w.rec.Follow()
	p.Begin(w.env.Clock.Now(), 200)
	for acked, delivered := false, false; !acked || !delivered; {
		err := follow.Next(func(b *record.Block) error {
			return b.Spans(func(_ record.Stream, spans []record.Span) error {
				for _, s := range spans {
					acked = acked || s.Op == record.OpAcked
					delivered = delivered || s.Op == record.OpDelivered
				}
				return nil
			})
		})
		if err != nil || w.ctx.Err() != nil {
			t.Fatalf("records: got %v, %v, want them acknowledged and delivered", err, w.ctx.Err())
		}
		time.Sleep(10 * time.Millisecond)
	}
	// The listeners are each member's own.
	for client, want := range from {
		seen := map[netip.Addr]int{}
		n := 0
		for _, to := range w.addresses(client) {
			for _, a := range connections(t, netip.MustParseAddrPort(to)) {
				seen[a]++
				n++
			}
		}
		// Metadata, and partitions or the group.
		if n < 2 || seen[want] != n {
			t.Errorf("%s: got connections from %v, want two or more, all from %v", client, seen, want)
		}
	}
	p.Crash()
	c.Crash()
}

const socketTable = "/proc/net/tcp"

// connections gives from where the connections to an address on loopback come.
func connections(t *testing.T, to netip.AddrPort) []netip.Addr {
	t.Helper()
	b, err := os.ReadFile(socketTable)
	if err != nil {
		t.Fatal(err)
	}
	var out []netip.Addr
	for _, line := range strings.Split(string(b), "\n")[1:] {
		f := strings.Fields(line)
		if len(f) < 4 || f[3] != "01" { // established
			continue
		}
		if remote, ok := tableAddr(f[2]); ok && remote == to {
			if local, ok := tableAddr(f[1]); ok {
				out = append(out, local.Addr())
			}
		}
	}
	return out
}

// tableAddr reads 0200007F:1F90: the address in the order of this machine's
// bytes, the port in hex.
func tableAddr(s string) (netip.AddrPort, bool) {
	host, port, ok := strings.Cut(s, ":")
	a, err := strconv.ParseUint(host, 16, 32)
	p, perr := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil || perr != nil {
		return netip.AddrPort{}, false
	}
	var raw [4]byte
	binary.NativeEndian.PutUint32(raw[:], uint32(a))
	return netip.AddrPortFrom(netip.AddrFrom4(raw), uint16(p)), true
}

// TestContexts checks that ends of contexts cross, with their kind.
func TestContexts(t *testing.T) {
	nobody := []string{"127.0.0.1:1"}
	var dead atomic.Bool
	w := newWorld(t, small, func(o *Options) {
		alive := o.Bootstrap
		o.Bootstrap = func(cluster string) ([]string, error) {
			if dead.Load() {
				return nobody, nil
			}
			return alive(cluster)
		}
	})
	gone := errors.New("gone fishing")
	for _, tt := range []struct {
		name string
		ctx  func() (context.Context, context.CancelFunc)
		want error
	}{
		{"deadline", func() (context.Context, context.CancelFunc) { return context.WithTimeout(w.ctx, 200*time.Millisecond) }, context.DeadlineExceeded},
		{"cancelled", func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(w.ctx)
			time.AfterFunc(200*time.Millisecond, func() { cancel(gone) })
			return ctx, func() {}
		}, context.Canceled},
	} {
		ctx, cancel := tt.ctx()
		_, err := w.Producer(ctx, w.spec(nobody))
		cancel()
		if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("%s: producer: got %v, want %v and what was in the way", tt.name, err, tt.want)
		}
		ctx, cancel = tt.ctx()
		_, err = w.Consumer(ctx, runtime.ConsumerSpec{Env: w.env, Consumer: w.plan.Consumers[0], Member: 1, Bootstrap: nobody})
		cancel()
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: consumer: got %v, want %v", tt.name, err, tt.want)
		}
	}
	ctx, cancel := context.WithCancelCause(w.ctx)
	time.AfterFunc(200*time.Millisecond, func() { cancel(gone) })
	dead.Store(true)
	if _, err := w.Group(ctx, w.plan.Clusters[0].Name, "billing"); err == nil || !strings.Contains(err.Error(), gone.Error()) {
		t.Errorf("group: got %v, want the cause %v", err, gone)
	}
	if err := w.Err(); err != nil {
		t.Errorf("session: got %v, want it to live on", err)
	}
}

// TestAdmin checks what has values: proofs, configs, groups, states.
func TestAdmin(t *testing.T) {
	w := newWorld(t, small, nil)
	cluster := w.plan.Clusters[0].Name
	target := plan.Ref{Kind: plan.RefTopic, Name: "orders"}
	before := time.Now()
	proof, err := w.Do(w.ctx, cluster, plan.Action{Verb: plan.Configure, Targets: []plan.Ref{target}, Config: map[string]string{"retention.ms": "600000"}})
	if err != nil || !proof.OK {
		t.Fatalf("configure: got %+v, %v", proof, err)
	}
	if slack := w.Slack() + time.Millisecond; proof.At.Before(before.Add(-slack)) || proof.At.After(time.Now().Add(slack)) {
		t.Errorf("proof: got moment %v, want between call and answer", proof.At)
	}
	values, err := w.Configs(w.ctx, cluster, target, []string{"retention.ms", "segment.ms"})
	if err != nil {
		t.Fatal(err)
	}
	if v := values["retention.ms"]; v == nil || *v != "600000" {
		t.Errorf("configs: got retention.ms %v, want 600000", v)
	}
	if v, ok := values["segment.ms"]; v != nil || !ok {
		t.Errorf("configs: got segment.ms %v, %v, want that it is not set", v, ok)
	}
	values["retention.ms"] = nil
	if proof, err := w.Restore(w.ctx, cluster, target, values); err != nil || !proof.OK {
		t.Errorf("restore: got %+v, %v", proof, err)
	}
	proof, err = w.Do(w.ctx, cluster, plan.Action{Verb: plan.Send, Targets: []plan.Ref{target}, Text: "hello"})
	if err != nil || proof.Wrote == nil || proof.Wrote.Topic != "orders" {
		t.Errorf("send: got %+v, %v, want where it landed", proof, err)
	}
	if _, err := w.Do(w.ctx, cluster, plan.Action{Verb: plan.Kill, Targets: []plan.Ref{target}}); err == nil {
		t.Error("kill: got no error, want that admin cannot do it")
	}
	g, err := w.Group(w.ctx, cluster, "nobody")
	if err != nil || g.Members != 0 {
		t.Errorf("group: got %+v, %v, want an empty one", g, err)
	}
	if id, err := w.Coordinator(w.ctx, cluster, "nobody"); err != nil || id != 1 {
		t.Errorf("coordinator: got %d, %v, want 1", id, err)
	}
}

// TestClock checks that times inside are the run's.
func TestClock(t *testing.T) {
	w := newWorld(t, small, nil)
	p, err := w.Producer(w.ctx, w.spec(w.addresses("shop")))
	if err != nil {
		t.Fatal(err)
	}
	begun := w.env.Clock.Now()
	p.Begin(begun, 200)
	time.Sleep(200 * time.Millisecond)
	if err := p.Stop(w.ctx); err != nil {
		t.Fatal(err)
	}
	ended := w.env.Clock.Now()
	c := w.counted()
	if len(c.times) == 0 {
		t.Fatal("got no acknowledgement")
	}
	slack := w.Slack() + time.Millisecond
	for _, at := range c.times {
		if at < begun-slack || at > ended+slack {
			t.Errorf("acknowledged: got %v, want from %v to %v", at, begun, ended)
		}
	}
	t.Logf("clocks may be apart by %v", w.Slack())
}

// TestMembers checks what ends of members do to each other.
func TestMembers(t *testing.T) {
	w := newWorld(t, small, nil)
	p, err := w.Producer(w.ctx, w.spec(w.addresses("shop")))
	if err != nil {
		t.Fatal(err)
	}
	p.Begin(w.env.Clock.Now(), 200)
	p.Crash()
	p.Crash()
	if err := p.Stop(w.ctx); err != nil {
		t.Errorf("stop after crash: got %v, want nothing to do", err)
	}
	p.SetRate(100)
	again, err := w.Producer(w.ctx, w.spec(w.addresses("shop")))
	if err != nil {
		t.Fatal(err)
	}
	again.Begin(w.env.Clock.Now(), 200)
	// The session ends with a member that runs: it is crashed, and what it
	// recorded comes in.
	time.Sleep(200 * time.Millisecond)
	if err := w.Session.Close(); err != nil {
		t.Errorf("close: got %v", err)
	}
	if c := w.counted(); c.acked == 0 || c.segments != 6 {
		t.Errorf("recording: got %+v, want two lives of a schedule that begins, ends, and ends with its process", c)
	}
	if _, err := w.Producer(w.ctx, w.spec(w.addresses("shop"))); err == nil {
		t.Error("producer after close: got no error")
	}
	if err := w.Err(); err != nil {
		t.Errorf("health after close: got %v, want none", err)
	}
	if errs := w.agent.failures(); len(errs) > 0 {
		t.Errorf("streams: got %v, want all in order", errs)
	}
}

// TestStart checks what a session cannot begin with.
func TestStart(t *testing.T) {
	p := compile(t, small)
	env := runtime.Env{Clock: startedClock{time.Now()}, Log: func(string) {}}
	a := newAgent(t)
	bad := *p
	bad.Format = plan.Format + 1
	other := func(conn func() net.Conn) func(context.Context) (net.Conn, error) {
		return func(context.Context) (net.Conn, error) { return conn(), nil }
	}
	short, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	for _, tt := range []struct {
		name string
		ctx  context.Context
		o    Options
		want string
	}{
		{"nothing", nil, Options{}, "Open is not set"},
		{"no zero", nil, Options{Open: a.open, Plan: p, Env: runtime.Env{Clock: nowhereClock{}, Log: env.Log}}, "does not tell when its zero is"},
		{"no stream", nil, Options{Open: func(context.Context) (net.Conn, error) { return nil, errors.New("no such agent") }, Plan: p, Env: env}, "no such agent"},
		{"newer plan", nil, Options{Open: a.open, Plan: &bad, Env: env}, "update starfall"},
		{"nobody answers", short, Options{Open: other(func() net.Conn { c, far := net.Pipe(); go discard(far); return c }), Plan: p, Env: env}, "deadline exceeded"},
		{"noise", nil, Options{Open: other(func() net.Conn { c, far := net.Pipe(); go noise(far); return c }), Plan: p, Env: env}, "frame"},
	} {
		ctx := tt.ctx
		if ctx == nil {
			ctx = context.Background()
		}
		s, err := Start(ctx, tt.o)
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

type nowhereClock struct{}

func (nowhereClock) Now() time.Duration { return 0 }

func discard(c net.Conn) {
	buf := make([]byte, 4096)
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
	}
}

func noise(c net.Conn) {
	go discard(c)
	r := rand.New(rand.NewPCG(1, 2))
	buf := make([]byte, 64)
	for i := range buf {
		buf[i] = byte(r.Uint32()) | 0x80
	}
	c.Write(buf)
}

var _ runtime.Connect = kafka.Connect

// TestTextKey checks that records which are written inside are signed with the
// run's key, plain ones and those of a transaction: whoever reads them outside
// may be a program that knows text only.
func TestTextKey(t *testing.T) {
	key := []byte("key of the run")
	for _, sends := range []string{"rate = 200", "rate = 200, transaction = 10"} {
		source := strings.Replace(small, "rate = 200", sends, 1)
		w := newWorld(t, source, func(o *Options) { o.Env.TextKey = key })
		p, err := w.Producer(w.ctx, w.spec(w.addresses("shop")))
		if err != nil {
			t.Fatal(err)
		}
		p.Begin(w.env.Clock.Now(), 200)
		reader, err := sarama.NewConsumer(w.addresses("billing"), nil)
		if err != nil {
			t.Fatal(err)
		}
		orders, err := reader.ConsumePartition("orders", 0, sarama.OffsetOldest)
		if err != nil {
			t.Fatal(err)
		}
		select {
		case m := <-orders.Messages():
			text, ok := record.TextIDOf(string(m.Value))
			if !ok {
				t.Fatalf("%s: got the value %q, want a text", sends, m.Value)
			}
			if id, ok := record.ParseTextID(text, key); !ok || id.Run != 7 || id.Member != 1 {
				t.Errorf("%s: got %+v, %v, want a record of member 1 of run 7, signed with its key", sends, id, ok)
			}
		case <-w.ctx.Done():
			t.Fatalf("%s: no record came", sends)
		}
		p.Crash()
		if err := reader.Close(); err != nil {
			t.Error(err)
		}
	}
}
