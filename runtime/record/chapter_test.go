package record

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"starfall/interp/plan"
)

// mirrorPlan is a topic with its copy and its fail-over topic on another
// cluster.
func mirrorPlan() *plan.Plan {
	return &plan.Plan{
		Format: plan.Format, Name: "test",
		Clusters: []plan.Cluster{{Name: "east"}, {Name: "west"}},
		Topics: []plan.Topic{
			{Name: "orders", Cluster: "east", Partitions: 2},
			{Name: "west/east.orders", Kafka: "east.orders", Origin: plan.Mirrored, Of: "orders", Mirror: "copy", Cluster: "west", Partitions: 2},
			{Name: "west/orders", Kafka: "orders", Origin: plan.FailedTo, Of: "orders", Mirror: "copy", Cluster: "west", Partitions: 2},
		},
		Producers: []plan.Producer{{Name: "shop", Topic: "orders", Members: 1}},
		Consumers: []plan.Consumer{{Name: "billing", Topics: []string{"orders"}, Group: "billing", Members: 1}},
	}
}

func writeMirror(w *Writer) {
	const ms = time.Millisecond
	p := w.Producer("shop", 1)
	p.Due(0, 0, 1000, 2)
	p.Accepted(0, 6, 0)
	away := p.On("west/orders")
	p.Acked(0, 0, 10, 5*ms)
	away.Acked(2, 0, 0, 6*ms)
	p.Acked(4, 0, 11, 6*ms)
	away.Failed(3, 1, 7*ms, "error 29: no right")
	c := w.Consumer("billing", 1)
	id := func(seq uint64) Identity { return Identity{Run: 7, Member: 1, Seq: seq} }
	c.Delivered("orders", 0, 10, id(0), 8*ms)
	c.Delivered("west/orders", 0, 0, id(2), 8*ms)
	c.Dropped("west/east.orders", 0, 5, id(0), 9*ms)
	c.Dropped("west/east.orders", 0, 6, id(1), 9*ms)
	c.Delivered("west/east.orders", 0, 7, id(2), 9*ms)
	c.Dropped("orders", 1, 3, Identity{Run: 7, Producer: 5, Member: 1}, 10*ms)
	c.State(4096, 200*ms)
	c.State(0, 400*ms)
}

func checkMirror(t *testing.T, r *Recording) {
	t.Helper()
	const ms = time.Millisecond
	var states []StateNote
	spans := map[Stream][]Span{}
	cut, err := r.Scan(func(b *Block) error {
		states = append(states, b.States...)
		return b.Spans(func(s Stream, list []Span) error {
			for _, x := range list {
				if x.N == 1 {
					x.Stride = 0
				}
				spans[s] = append(spans[s], x)
			}
			return nil
		})
	})
	if err != nil || cut != "" {
		t.Fatalf("got %q, %v, want a whole recording", cut, err)
	}
	want := map[Stream][]Span{
		{ActorProducer, 0}: {
			{Op: OpAcked, Source: 1, N: 1, First: 0, Offset: 10, At: 5 * ms},
			{Op: OpAccepted, Source: 1, N: 6, Stride: 1},
			{Op: OpAcked, Source: 1, Topic: 2, N: 1, First: 2, Offset: 0, At: 6 * ms},
			{Op: OpAcked, Source: 1, N: 1, First: 4, Offset: 11, At: 6 * ms},
			{Op: OpFailed, Source: 1, Topic: 2, Partition: 1, N: 1, First: 3, Reason: 1, At: 7 * ms},
		},
		{ActorConsumer, 0}: {
			{Op: OpDelivered, Member: 1, Source: 1, N: 1, First: 0, Offset: 10, At: 8 * ms},
			{Op: OpDelivered, Member: 1, Source: 1, Topic: 2, N: 1, First: 2, Offset: 0, At: 8 * ms},
			{Op: OpDropped, Member: 1, Source: 1, Topic: 1, N: 2, First: 0, Stride: 1, Offset: 5, At: 9 * ms},
			{Op: OpDelivered, Member: 1, Source: 1, Topic: 1, N: 1, First: 2, Offset: 7, At: 9 * ms},
			{Op: OpForeign, Member: 1, Partition: 1, N: 1, Offset: 3, At: 10 * ms},
		},
	}
	for s, list := range want {
		if !reflect.DeepEqual(spans[s], list) {
			t.Errorf("stream %v:\ngot  %+v\nwant %+v", s, spans[s], list)
		}
	}
	if want := []StateNote{{200 * ms, 0, 1, 4096}, {400 * ms, 0, 1, 0}}; !reflect.DeepEqual(states, want) {
		t.Errorf("got states %+v, want %+v", states, want)
	}
}

// TestFailOverInOneStream tells of two topics, of dropped records and of the
// memory of dedup: in one process, and in a part that another takes in.
func TestFailOverInOneStream(t *testing.T) {
	p, info := mirrorPlan(), Info{ID: 7}
	w := NewMemory(p, info)
	writeMirror(w)
	w.Event(Event{At: time.Second, Kind: KindClosed})
	checkMirror(t, w.Recording())

	run, elsewhere := NewMemory(p, info), NewPart(p, info)
	feed := run.Feed("a")
	writeMirror(elsewhere)
	if err := feed.Absorb(elsewhere.Take(), time.Second); err != nil {
		t.Fatal(err)
	}
	feed.Close()
	run.Event(Event{At: time.Second, Kind: KindClosed})
	checkMirror(t, run.Recording())
}

// TestTopicOutsideThePlan breaks the recording: such evidence would count for
// another topic.
func TestTopicOutsideThePlan(t *testing.T) {
	w := NewMemory(mirrorPlan(), Info{ID: 7})
	w.Consumer("billing", 1).Delivered("east.orders", 0, 0, Identity{Run: 7, Member: 1}, 0)
	if err, want := w.Err(), `record: topic "east.orders": not in the plan`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	defer func() {
		if got := recover(); got != `record: topic "nowhere": not in the plan` {
			t.Errorf("got panic %v", got)
		}
	}()
	w.Producer("shop", 1).On("nowhere")
}

// TestOlderFormatIsRead opens a folder as the first format wrote it.
func TestOlderFormatIsRead(t *testing.T) {
	dir := t.TempDir()
	w, err := Create(dir, onePlan(3, 2, "round_robin"), Info{ID: 7})
	if err != nil {
		t.Fatal(err)
	}
	writeAll(w)
	if err := w.Close(12 * time.Second); err != nil {
		t.Fatal(err)
	}
	older := func(name, now, was string) {
		path := filepath.Join(dir, name)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(b), now) {
			t.Fatalf("%s: got %s, want it to hold %s", name, b, now)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(string(b), now, was, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	older(FileInfo, `"format": 2`, `"format": 1`)
	older(FileJournal, `"format":2`, `"format":1`)
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	checkAll(t, r)
	older(FileInfo, `"format": 1`, `"format": 0`)
	_, err = Open(dir)
	if want := "record: run.json: got format 0, want 1 to 2: read this run with the starfall that wrote it"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestDenied(t *testing.T) {
	for _, tt := range []struct {
		reason string
		want   bool
	}{
		{"error 29: kafka server: the client is not authorized to access this topic", true},
		{"delivery timeout: never handed to a broker: error 58: kafka server: SASL Authentication failed", true},
		{"error 31: kafka server: the client is not authorized", true},
		{"error 53: kafka server: the transactional id is not authorized", true},
		{"error 10: kafka server: message too large", false},
		{"error 290: what is this", false},
		{"delivery timeout", false},
		{"", false},
	} {
		if got := Denied(tt.reason); got != tt.want {
			t.Errorf("%q: got %v, want %v", tt.reason, got, tt.want)
		}
	}
}

// TestOwnedPartitions gives each member partitions of its own: p is of member p
// mod members + 1.
func TestOwnedPartitions(t *testing.T) {
	for _, kind := range []string{"round_robin", "hash", "random", "available"} {
		for _, members := range []int{1, 3, 4} {
			got := map[int32]int{}
			for m := 1; m <= members; m++ {
				p := NewPartitioner(kind, 1, 0, m, members, 40)
				p.Owns = true
				for seq := range uint64(400) {
					part := p.Partition(seq, 7)
					if int(part)%members+1 != m {
						t.Fatalf("%s: member %d of %d: got partition %d, another's", kind, m, members, part)
					}
					got[part]++
				}
			}
			if len(got) != 7 {
				t.Errorf("%s: %d members: got partitions %v, want all 7", kind, members, got)
			}
		}
	}
	// More members than partitions share them.
	p := NewPartitioner("round_robin", 1, 0, 5, 5, 0)
	p.Owns = true
	if got := p.Partition(3, 2); got != 0 {
		t.Errorf("got partition %d, want 0", got)
	}
}
