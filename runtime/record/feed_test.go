package record

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"starfall/interp/plan"
)

func feedPlan() *plan.Plan {
	return &plan.Plan{
		Format:    plan.Format,
		Clusters:  []plan.Cluster{{Name: "kafka"}},
		Topics:    []plan.Topic{{Name: "orders", Cluster: "kafka", Partitions: 2}},
		Producers: []plan.Producer{{Name: "shop", Topic: "orders"}, {Name: "kiosk", Topic: "orders"}},
		Consumers: []plan.Consumer{{Name: "billing", Topics: []string{"orders"}}},
	}
}

// tell writes the n-th 50 ms of a run: each function to the Writer of its part.
func tell(n int, shop, kiosk, billing *Writer) {
	at := time.Duration(n) * 50 * time.Millisecond
	for i, w := range []*Writer{shop, kiosk} {
		name := []string{"shop", "kiosk"}[i]
		l := w.Producer(name, 1)
		if n == 0 {
			l.Due(0, 0, 200, 2)
		}
		for k := range 10 {
			seq := uint64(n*10 + k)
			l.Accepted(seq, 1, at)
			if seq%7 == 3 {
				l.Failed(seq, int32(seq%2), at, fmt.Sprintf("reason %d", n))
				continue
			}
			l.Acked(seq, int32(seq%2), int64(seq), at+time.Millisecond)
		}
	}
	c := billing.Consumer("billing", 1)
	if n == 0 {
		c.Assigned(1, []TopicPartition{{"orders", 0}, {"orders", 1}}, 0)
		c.Position("orders", 0, 0, 0)
	}
	for k := range 10 {
		seq := uint64(n*10 + k)
		c.Delivered("orders", int32(seq%2), int64(seq), Identity{Run: 1, Producer: 0, Member: 1, Seq: seq}, at+2*time.Millisecond)
	}
	c.Foreign("orders", 1, int64(1000+n), at+2*time.Millisecond)
}

// contents is a recording's evidence in words, in order.
func contents(t *testing.T, r *Recording) []string {
	t.Helper()
	var out []string
	cut, err := r.Scan(func(b *Block) error {
		for _, s := range b.Segments {
			out = append(out, fmt.Sprintf("segment %+v", s))
		}
		for _, g := range b.Changes {
			out = append(out, fmt.Sprintf("change %+v", g))
		}
		for _, m := range b.Audits {
			out = append(out, fmt.Sprintf("mark %+v", m))
		}
		for _, s := range b.Samples {
			out = append(out, fmt.Sprintf("sample %+v", s))
		}
		return b.Spans(func(s Stream, spans []Span) error {
			for _, x := range spans {
				out = append(out, fmt.Sprintf("%v %+v %q", s, x, r.Reason(s, x.Reason)))
			}
			return nil
		})
	})
	if err != nil || cut != "" {
		t.Fatalf("scan: got %q, %v", cut, err)
	}
	return out
}

// TestFeed writes the same with one Writer and in three parts that come in at
// their own pace: the recordings are equal.
func TestFeed(t *testing.T) {
	p, info := feedPlan(), Info{ID: 1, Speed: 1}
	whole, run := NewMemory(p, info), NewMemory(p, info)
	shop, rest, audit := NewPart(p, info), NewPart(p, info), NewPart(p, info)
	fShop, fRest, fAudit := run.Feed("a"), run.Feed("b"), run.Feed("c")
	absorb := func(f *Feed, payload []byte, through time.Duration) {
		t.Helper()
		if err := f.Absorb(payload, through); err != nil {
			t.Fatal(err)
		}
	}
	follow := run.Follow()
	whole.Follow()
	blocks := func() int {
		t.Helper()
		n := 0
		if err := follow.Next(func(*Block) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	const step = 50 * time.Millisecond
	var late [][]byte
	for n := range 40 {
		tell(n, whole, whole, whole)
		tell(n, shop, rest, rest)
		s := Sample{At: time.Duration(n)*step + 10*time.Millisecond, Cluster: "kafka", Controller: 1}
		whole.Sample(s)
		run.Sample(s)
		whole.cutMu.Lock()
		whole.cut()
		whole.cutMu.Unlock()
		through := time.Duration(n+1) * step
		absorb(fShop, shop.Take(), through)
		late = append(late, rest.Take())
		if n < 5 {
			absorb(fRest, late[0], through)
			late = late[1:]
			// At first nobody knows yet that the other part has load.
			if got := blocks(); got != 1 && n > 0 {
				t.Errorf("cut %d: got %d blocks, want one of all parts", n, got)
			}
			continue
		}
		// The other part holds all up, four cuts at a time.
		if n%4 != 0 {
			if got := run.Through(time.Hour); got > through-step {
				t.Errorf("cut %d: got complete through %v, want no more than %v", n, got, through-step)
			}
			if got := blocks(); got != 0 {
				t.Errorf("cut %d: got %d blocks ahead of a part, want none", n, got)
			}
			continue
		}
		for i, payload := range late {
			absorb(fRest, payload, through-time.Duration(len(late)-1-i)*step)
		}
		late = nil
		if got := run.Through(time.Hour); got != through {
			t.Errorf("cut %d: got complete through %v, want %v", n, got, through)
		}
		blocks()
	}
	for i, payload := range late {
		absorb(fRest, payload, time.Duration(40-len(late)+1+i)*step)
	}
	for _, w := range []*Writer{whole, audit} {
		l := w.Audit("orders", 1, 0, 9)
		l.Record(3, Identity{Run: 1, Member: 1, Seq: 3})
		l.Aborted(4, Identity{Run: 1, Member: 1, Seq: 4})
		l.Foreign(5)
		l.Close(fmt.Errorf("gave up"))
	}
	absorb(fAudit, audit.Take(), 0) // it waits for nobody
	absorb(fAudit, nil, 0)
	for _, f := range []*Feed{fShop, fRest, fAudit} {
		f.Close()
	}
	got, want := contents(t, run.Recording()), contents(t, whole.Recording())
	if len(got) != len(want) {
		t.Fatalf("got %d things, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("thing %d: got %s, want %s", i, got[i], want[i])
		}
	}
	// The series count the same.
	for i := range p.Producers {
		_, g := run.producers[i].take(true)
		_, w := whole.producers[i].take(true)
		if !reflect.DeepEqual(g, w) {
			t.Errorf("series of %s: got %+v, want %+v", p.Producers[i].Name, g, w)
		}
	}
	if got := run.Through(time.Hour); got != time.Hour {
		t.Errorf("with all feeds closed: got complete through %v, want 1h", got)
	}
}

// TestFeedFlush puts what one feed holds into the recording at once.
func TestFeedFlush(t *testing.T) {
	p, info := feedPlan(), Info{ID: 1, Speed: 1}
	run := NewMemory(p, info)
	a, b := NewPart(p, info), NewPart(p, info)
	fa, fb := run.Feed("a"), run.Feed("b")
	follow := run.Follow()
	a.Producer("shop", 1).Accepted(0, 1, time.Second)
	b.Producer("kiosk", 1).Accepted(0, 1, time.Second)
	for f, w := range map[*Feed]*Writer{fb: b} {
		if err := f.Absorb(w.Take(), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := fa.Absorb(a.Take(), 2*time.Second); err != nil {
		t.Fatal(err)
	}
	count := func() (n int) {
		follow.Next(func(k *Block) error {
			return k.Spans(func(s Stream, spans []Span) error {
				if s.Index == 0 {
					n += len(spans)
				}
				return nil
			})
		})
		return n
	}
	if got := count(); got != 0 {
		t.Errorf("ahead of the other feed: got %d spans, want none", got)
	}
	fa.Flush()
	if got := count(); got != 1 {
		t.Errorf("after Flush: got %d spans, want 1", got)
	}
}

// TestFeedRefuses gives a feed what is damaged or not its own: nothing of it is
// recorded, and what came before stays readable.
func TestFeedRefuses(t *testing.T) {
	p, info := feedPlan(), Info{ID: 1, Speed: 1}
	good := func() []byte {
		w := NewPart(p, info)
		w.Producer("shop", 1).Accepted(0, 5, 0)
		w.Producer("shop", 1).Acked(0, 0, 0, 0)
		return w.Take()
	}
	cut := good()
	other := NewPart(&plan.Plan{Producers: make([]plan.Producer, 3)}, info)
	other.Producer("", 1).Accepted(0, 1, 0)
	sample := NewPart(p, info)
	sample.Sample(Sample{Cluster: "kafka"})
	mixed := good()
	mixed[0] = sectionConsumer // what follows is a producer's
	tail := append(good(), sectionProducer, 0, 200)
	for _, tt := range []struct {
		name    string
		payload []byte
		want    string
	}{
		{"cut off", cut[:len(cut)-3], "damaged"},
		{"damaged at the end", tail, "damaged"},
		{"noise", []byte("these are words"), "damaged"},
		{"unknown section", appendSection(nil, 99, 0, nil), "section kind"},
		{"another plan", other.Take(), "not in the plan"},
		{"a sample", sample.Take(), "section kind"},
		{"wrong actor", mixed, "damaged"},
		{"mark of no topic", appendSection(nil, sectionAuditMark, 9, appendMark(nil, AuditMark{})), "damaged"},
		{"reason of a sample", append([]byte{sectionReason, sectionSample, 0, 1}, 0), "damaged"},
	} {
		run := NewMemory(p, info)
		f, own := run.Feed("an agent"), run.Feed("another")
		first := NewPart(p, info)
		first.Producer("kiosk", 1).Accepted(0, 5, 0)
		if err := own.Absorb(first.Take(), time.Second); err != nil {
			t.Fatal(err)
		}
		before := contents(t, run.Recording())
		err := f.Absorb(tt.payload, time.Second)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "an agent") {
			t.Errorf("%s: got %v, want %q of an agent", tt.name, err, tt.want)
		}
		if again := f.Absorb(nil, time.Second); again == nil {
			t.Errorf("%s: got more taken in", tt.name)
		}
		if err := own.Absorb(nil, 2*time.Second); err != nil {
			t.Errorf("%s: another feed: got %v", tt.name, err)
		}
		if got := contents(t, run.Recording()); !reflect.DeepEqual(got, before) {
			t.Errorf("%s: got %v recorded, want %v", tt.name, got, before)
		}
		if got := run.Through(time.Hour); got != 2*time.Second {
			t.Errorf("%s: got complete through %v, want what the other feed tells", tt.name, got)
		}
	}
	run := NewMemory(p, info)
	f := run.Feed("an agent")
	if err := f.Absorb(good(), 0); err != nil {
		t.Fatal(err)
	}
	if err := run.Feed("another").Absorb(good(), 0); err == nil || !strings.Contains(err.Error(), "comes from an agent already") {
		t.Errorf("a stream of two feeds: got %v", err)
	}
}

// TestFeedAfterClose loses nothing without a word.
func TestFeedAfterClose(t *testing.T) {
	p := feedPlan()
	w, err := Create(t.TempDir()+"/run", p, Info{ID: 1})
	if err != nil {
		t.Fatal(err)
	}
	f := w.Feed("an agent")
	if err := w.Close(0); err != nil {
		t.Fatal(err)
	}
	if err := f.Absorb(nil, 0); err == nil {
		t.Error("absorb after close: got no error")
	}
}

// BenchmarkFeed weighs what it costs that a recording comes in parts: 50 ms of
// 50,000 records a second, acknowledged and delivered, cut and read by the
// follower of a live screen.
func BenchmarkFeed(b *testing.B) {
	const records, batch = 2500, 25
	p, info := feedPlan(), Info{ID: 1, Speed: 1}
	for _, parts := range []bool{false, true} {
		b.Run(fmt.Sprintf("parts=%v", parts), func(b *testing.B) {
			w := NewMemory(p, info)
			from := w
			var f *Feed
			if parts {
				from, f = NewPart(p, info), w.Feed("part")
			}
			follow := w.Follow()
			shop, billing := from.Producer("shop", 1), from.Consumer("billing", 1)
			shop.Due(0, 0, 50_000, 2)
			seq := uint64(0)
			b.ReportAllocs()
			for n := range b.N {
				at := time.Duration(n) * 50 * time.Millisecond
				for range records / batch {
					part := int32(seq / batch % 2)
					shop.Accepted(seq, batch, at)
					for range batch {
						shop.Acked(seq, part, int64(seq), at)
						billing.Delivered("orders", part, int64(seq), Identity{Run: 1, Member: 1, Seq: seq}, at)
						seq++
					}
					at += 50 * time.Millisecond / (records / batch)
				}
				if parts {
					if err := f.Absorb(from.Take(), at); err != nil {
						b.Fatal(err)
					}
				}
				err := follow.Next(func(k *Block) error { return k.Spans(func(Stream, []Span) error { return nil }) })
				if err != nil {
					b.Fatal(err)
				}
				w.flush()
				w.mem.payloads = w.mem.payloads[:0]
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/records, "ns/record")
		})
	}
}
