package record

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

// history flattens what was recorded.
type history struct {
	segments []SegmentNote
	changes  []GroupChange
	samples  []Sample
	audits   []AuditMark
	spans    map[Stream][]Span
	records  int // by all spans
}

func read(t *testing.T, r *Recording) (history, string) {
	t.Helper()
	h := history{spans: map[Stream][]Span{}}
	cut, err := r.Scan(func(b *Block) error {
		h.segments = append(h.segments, b.Segments...)
		h.changes = append(h.changes, b.Changes...)
		h.samples = append(h.samples, b.Samples...)
		h.audits = append(h.audits, b.Audits...)
		return b.Spans(func(s Stream, spans []Span) error {
			h.spans[s] = append(h.spans[s], spans...)
			for _, x := range spans {
				h.records += int(x.N)
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return h, cut
}

// writeAll puts one of everything into a recording.
func writeAll(w *Writer) {
	p := w.Producer("shop", 1)
	p.Due(0, 0, 1000, 3)
	p.Accepted(0, 6, 0)
	p.Late(2, 4*time.Millisecond)
	p.Acked(0, 0, 10, 5*time.Millisecond)
	p.Acked(3, 0, 11, 5*time.Millisecond+20*time.Microsecond)
	p.AckedRun(6, 3, 4, 0, 12, 5*time.Millisecond+30*time.Microsecond)
	p.Failed(1, 1, 7*time.Millisecond, "message too large")
	p.Unknown(2, 2, 8*time.Millisecond, "timed out")
	p.End(6, 9*time.Second)
	c := w.Consumer("billing", 2)
	c.Assigned(3, []TopicPartition{{"orders", 0}, {"orders", 1}}, -time.Second)
	c.Position("orders", 0, 10, -time.Millisecond)
	c.Delivered("orders", 0, 10, Identity{Run: 7, Member: 1, Seq: 0}, 9*time.Millisecond)
	c.Delivered("orders", 0, 11, Identity{Run: 7, Member: 1, Seq: 3}, 9*time.Millisecond)
	c.Foreign("orders", 1, 4, 10*time.Millisecond)
	c.Left(11 * time.Second)
	w.Sample(Sample{At: 200 * time.Millisecond, Cluster: "kafka", ActiveControllers: 1, Controller: 2,
		Brokers: []BrokerState{{ID: 1, Alive: true, Usage: true, CPU: 0.5, Memory: 1 << 20}, {ID: 2}},
		Partitions: []PartitionState{{Topic: "orders", Partition: 1, Leader: -1, Epoch: 4, ISR: []int32{1}, Replicas: []int32{1, 2, 3},
			MinInsync: 2, LogStart: 0, LogEnd: 12, HighWater: 11, Size: 4096}},
		Groups: []GroupState{{"billing", "Stable", 2, 1}}})
	a := w.Audit("orders", 0, 10, 14)
	a.Record(10, Identity{Run: 7, Member: 1, Seq: 0})
	a.Record(11, Identity{Run: 7, Member: 1, Seq: 3})
	a.Foreign(12)
	a.Record(13, Identity{Run: 7, Member: 1, Seq: 6})
	a.Close(nil)
	w.Audit("orders", 1, 0, 5).Close(errors.New("no leader"))
	w.Event(Event{At: time.Second, Kind: KindFired, Name: "outage", What: "kill(kafka.broker(1))"})
}

func checkAll(t *testing.T, r *Recording) {
	t.Helper()
	h, cut := read(t, r)
	if cut != "" || !r.Whole {
		t.Errorf("got cut %q, whole %v, want a whole recording", cut, r.Whole)
	}
	ms := time.Millisecond
	wantSpans := map[Stream][]Span{
		{ActorProducer, 0}: {
			{Op: OpLate, Source: 1, N: 2, Stride: 1, At: 4 * ms},
			{Op: OpAcked, Source: 1, N: 6, First: 0, Stride: 3, Offset: 10, At: 5 * ms},
			{Op: OpAccepted, Source: 1, N: 6, First: 0, Stride: 1},
			{Op: OpFailed, Source: 1, Partition: 1, N: 1, First: 1, Reason: 1, At: 7 * ms},
			{Op: OpUnknown, Source: 1, Partition: 2, N: 1, First: 2, Reason: 2, At: 8 * ms},
		},
		{ActorConsumer, 0}: {
			{Op: OpPosition, Member: 2, N: 1, Stride: 1, Offset: 10, At: -ms},
			{Op: OpDelivered, Member: 2, Source: 1, N: 2, Stride: 3, Offset: 10, At: 9 * ms},
			{Op: OpForeign, Member: 2, Partition: 1, N: 1, Stride: 1, Offset: 4, At: 10 * ms},
		},
		{ActorAudit, 0}: {
			{Op: OpAudited, Source: 1, N: 2, Stride: 3, Offset: 10},
			{Op: OpForeign, N: 1, Stride: 1, Offset: 12},
			{Op: OpAudited, Source: 1, N: 1, Stride: 3, First: 6, Offset: 13},
		},
	}
	for s, want := range wantSpans {
		got := h.spans[s]
		// The stride of a single record says nothing.
		for _, list := range [][]Span{got, want} {
			for i := range list {
				if list[i].N == 1 {
					list[i].Stride = 0
				}
			}
		}
		if s.Actor == ActorProducer && len(got) == 5 && got[1].Op == OpAccepted {
			got[1], got[2] = got[2], got[1]
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("stream %v:\ngot  %+v\nwant %+v", s, got, want)
		}
	}
	if got, want := r.Reason(Stream{ActorProducer, 0}, 2), "timed out"; got != want {
		t.Errorf("got reason %q, want %q", got, want)
	}
	wantSegments := []SegmentNote{{0, 1, Segment{0, 0, 1000, 3}, false}, {0, 1, Segment{6, 9 * time.Second, 0, 0}, true}}
	if !reflect.DeepEqual(h.segments, wantSegments) {
		t.Errorf("got segments %+v, want %+v", h.segments, wantSegments)
	}
	if len(h.changes) != 2 || len(h.changes[0].Assigned) != 2 || h.changes[0].Generation != 3 || !h.changes[1].Left {
		t.Errorf("got changes %+v", h.changes)
	}
	if len(h.samples) != 1 || h.samples[0].Brokers[0].CPU != 0.5 || h.samples[0].Partitions[0].HighWater != 11 ||
		h.samples[0].Groups[0].State != "Stable" || h.samples[0].Cluster != "kafka" {
		t.Errorf("got samples %+v", h.samples)
	}
	wantAudits := []AuditMark{{0, 0, 10, 14, true, ""}, {0, 1, 0, 5, false, "no leader"}}
	if !reflect.DeepEqual(h.audits, wantAudits) {
		t.Errorf("got audits %+v, want %+v", h.audits, wantAudits)
	}
	if len(r.Events) != 2 || r.Events[0].What != "kill(kafka.broker(1))" {
		t.Errorf("got events %+v", r.Events)
	}
}

func TestMemoryRoundTrip(t *testing.T) {
	w := NewMemory(onePlan(3, 2, "round_robin"), Info{ID: 7})
	writeAll(w)
	w.Event(Event{At: 12 * time.Second, Kind: KindClosed})
	checkAll(t, w.Recording())
}

func TestFolderRoundTrip(t *testing.T) {
	dir := t.TempDir()
	w, err := Create(dir, onePlan(3, 2, "round_robin"), Info{ID: 7})
	if err != nil {
		t.Fatal(err)
	}
	writeAll(w)
	if err := w.Close(12 * time.Second); err != nil {
		t.Fatal(err)
	}
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	checkAll(t, r)
	for name, want := range map[string]string{
		"shop.csv":    "second,sending,rate,failed,unknown,late\n0,6,6,1,1,2\n",
		"billing.csv": "second,rate,foreign,dropped\n0,2,1,0\n",
		"kafka.csv":   "second,alive,active_controllers,offline,under_replicated,under_min_insync\n0.200,1,1,1,1,1\n",
	} {
		got, err := os.ReadFile(filepath.Join(dir, "series", name))
		if err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
		}
	}
	if _, err := Create(dir, onePlan(3, 2, "round_robin"), Info{}); err == nil || !strings.Contains(err.Error(), "holds a recording already") {
		t.Errorf("got %v, want a refusal to write over a recording", err)
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	dir := t.TempDir()
	w, err := Create(dir, onePlan(1, 1, "round_robin"), Info{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(0); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, FileInfo), []byte(`{"format": 3, "engine": {}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = Open(dir)
	if want := "record: run.json: got format 3, want 1 to 2: update starfall to read this run"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestCutOffAnywhere cuts the evidence and the journal at every byte: what was
// written before the cut is read, and the cut is told.
func TestCutOffAnywhere(t *testing.T) {
	dir := t.TempDir()
	w, err := Create(dir, onePlan(3, 1, "round_robin"), Info{ID: 7})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		p := w.Producer("shop", 1)
		p.Acked(uint64(i), 0, int64(i), time.Duration(i)*time.Second)
		w.Event(Event{At: time.Duration(i) * time.Second, Kind: KindNote, What: "x"})
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(3 * time.Second); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{fileEvidence, FileJournal} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		last := -1
		for n := range len(whole) {
			if err := os.WriteFile(path, whole[:n], 0o644); err != nil {
				t.Fatal(err)
			}
			r, err := Open(dir)
			if err != nil {
				t.Fatalf("%s cut at %d: %v", name, n, err)
			}
			h, cut := read(t, r)
			got := h.records
			if name == FileJournal {
				got, cut = len(r.Events), r.Cut
				if r.Whole {
					t.Fatalf("%s cut at %d: got a whole recording", name, n)
				}
			}
			if got < last {
				t.Fatalf("%s cut at %d: got %d records, had %d with less", name, n, got, last)
			}
			last = got
			// A cut between blocks shows in the number of records only.
			if cut == "" && name == fileEvidence && n != 0 && got == 0 {
				t.Fatalf("%s cut at %d: got no note", name, n)
			}
		}
		if want := 2; last < want {
			t.Errorf("%s: got %d before the last byte, want at least %d", name, last, want)
		}
		// A flipped byte ends the reading there and does no more.
		for n := range len(whole) {
			bad := bytes.Clone(whole)
			bad[n] ^= 0x10
			if err := os.WriteFile(path, bad, 0o644); err != nil {
				t.Fatal(err)
			}
			r, err := Open(dir)
			if err != nil {
				continue // the journal's header
			}
			if _, cut := read(t, r); name == fileEvidence && cut == "" {
				t.Errorf("%s: byte %d flipped: got no note", name, n)
			}
		}
		if err := os.WriteFile(path, whole, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// smallDisk takes some bytes, then nothing more.
type smallDisk struct {
	free   int
	closed int
}

var errFull = errors.New("no space left on device")

func (d *smallDisk) Create(string) (io.WriteCloser, error) { return smallFile{d}, nil }

type smallFile struct{ d *smallDisk }

func (f smallFile) Write(b []byte) (int, error) {
	if len(b) > f.d.free {
		n := f.d.free
		f.d.free = 0
		return n, errFull
	}
	f.d.free -= len(b)
	return len(b), nil
}

func (f smallFile) Close() error {
	f.d.closed++
	return nil
}

func TestFullDiskIsReportedOnce(t *testing.T) {
	d := &smallDisk{free: 1 << 30}
	w, err := createIn(d, onePlan(3, 1, "round_robin"), Info{})
	if err != nil {
		t.Fatal(err)
	}
	w.flushMu.Lock()
	d.free = 10
	w.flushMu.Unlock()
	load(w, 1000, 1000, 3, time.Millisecond, "round_robin", 1)
	if err := w.Flush(); !errors.Is(err, errFull) {
		t.Errorf("got %v from Flush, want %v", err, errFull)
	}
	select {
	case <-w.Failed():
	default:
		t.Error("Failed is still open after a write error")
	}
	load(w, 1000, 1000, 3, time.Millisecond, "round_robin", 1) // goes on without the disk
	if err := w.Close(time.Second); !errors.Is(err, errFull) {
		t.Errorf("got %v from Close, want %v", err, errFull)
	}
	if got, want := fmt.Sprint(w.Err()), "record: evidence: no space left on device"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCreateOnAFullDisk(t *testing.T) {
	if _, err := createIn(&smallDisk{free: 5}, onePlan(1, 1, "hash"), Info{}); !errors.Is(err, errFull) {
		t.Errorf("got %v, want %v", err, errFull)
	}
}

// TestSpansSayWhatWasSaid compares records one by one over all partitioners.
func TestSpansSayWhatWasSaid(t *testing.T) {
	for _, kind := range []string{"round_robin", "random"} {
		w := NewMemory(onePlan(7, 1, kind), Info{})
		const n = 20000
		load(w, n, 20000, 7, 5*time.Millisecond, kind, 3)
		part := NewPartitioner(kind, 1, 0, 1, 1, 0)
		h, _ := read(t, w.Recording())
		for s, op := range map[Stream]Op{{ActorProducer, 0}: OpAcked, {ActorConsumer, 0}: OpDelivered, {ActorAudit, 0}: OpAudited} {
			seen := make([]bool, n)
			next := make([]int64, 7)
			for _, x := range h.spans[s] {
				if x.Op != op {
					continue
				}
				for i := range uint64(x.N) {
					seq := x.First + i*x.Stride
					if seen[seq] {
						t.Fatalf("%s: record %d twice in stream %v", kind, seq, s)
					}
					seen[seq] = true
					if want := part.Partition(seq, 7); x.Partition != want {
						t.Fatalf("%s: record %d: got partition %d, want %d", kind, seq, x.Partition, want)
					}
					if got := x.Offset + int64(i); got != next[x.Partition] {
						t.Fatalf("%s: record %d: got offset %d, want %d", kind, seq, got, next[x.Partition])
					}
					next[x.Partition]++
				}
			}
			for seq, ok := range seen {
				if !ok {
					t.Fatalf("%s: record %d is missing in stream %v", kind, seq, s)
				}
			}
		}
	}
}

func TestFollowerSeesAll(t *testing.T) {
	w := NewMemory(onePlan(3, 1, "round_robin"), Info{})
	f := w.Follow()
	var records int
	count := func(b *Block) error {
		return b.Spans(func(_ Stream, spans []Span) error {
			for _, s := range spans {
				records += int(s.N)
			}
			return nil
		})
	}
	for i := range 10 {
		w.Producer("shop", 1).Acked(uint64(i), 0, int64(i), time.Duration(i)*time.Millisecond)
		if err := f.Next(count); err != nil {
			t.Fatal(err)
		}
		if want := i + 1; records != want {
			t.Errorf("got %d records, want %d", records, want)
		}
	}
}

// TestBytesOnDisk is the figure of the project: at most five bytes a record
// that was accepted, acknowledged, delivered and audited.
func TestBytesOnDisk(t *testing.T) {
	for _, tt := range []struct {
		rate      float64
		lingering time.Duration
		kind      string
	}{
		{1000, time.Millisecond, "round_robin"},
		{1000, time.Millisecond, "random"},
		{100000, 5 * time.Millisecond, "round_robin"},
		{100000, 5 * time.Millisecond, "random"},
	} {
		d := &smallDisk{free: 1 << 40}
		w, err := createIn(d, onePlan(6, 1, tt.kind), Info{})
		if err != nil {
			t.Fatal(err)
		}
		before := d.free
		const seconds = 4
		n := int(tt.rate) * seconds
		load(w, n, tt.rate, 6, tt.lingering, tt.kind, 1)
		if err := w.Close(seconds * time.Second); err != nil {
			t.Fatal(err)
		}
		per := float64(before-d.free) / float64(n)
		t.Logf("%s at %.0f/s: %.2f bytes a record", tt.kind, tt.rate, per)
		if per > 5 {
			t.Errorf("%s at %.0f/s: got %.2f bytes a record, want at most 5", tt.kind, tt.rate, per)
		}
	}
}

// BenchmarkRecord measures what a record costs: accepted, acknowledged,
// delivered, and written to disk.
func BenchmarkRecord(b *testing.B) {
	for _, rate := range []float64{1000, 100000} {
		b.Run(fmt.Sprintf("%.0f-a-second", rate), func(b *testing.B) {
			w, err := Create(b.TempDir(), onePlan(6, 1, "round_robin"), Info{})
			if err != nil {
				b.Fatal(err)
			}
			p, c := w.Producer("shop", 1), w.Consumer("billing", 1)
			p.Due(0, 0, rate, 6)
			gap := time.Duration(1e9 / rate)
			b.ReportAllocs()
			for i := range b.N {
				// Six batches of 60 records by turns, as round robin makes them.
				batch, within := i/360, i%360
				k, j := within/60, within%60
				seq := uint64(batch*360 + j*6 + k)
				at := time.Duration(batch*360)*gap + time.Duration(within)*min(gap, 4*time.Microsecond)
				p.Accepted(uint64(i), 1, time.Duration(i)*gap)
				p.Acked(seq, int32(k), int64(batch*60+j), at)
				c.Delivered("orders", int32(k), int64(batch*60+j), Identity{Member: 1, Seq: seq}, at+time.Millisecond)
			}
			if err := w.Close(0); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// TestManyWriters lets many goroutines write at once, with a follower and
// flushes between, and finds every record again.
func TestManyWriters(t *testing.T) {
	dir := t.TempDir()
	w, err := Create(dir, onePlan(4, 4, "round_robin"), Info{ID: 7})
	if err != nil {
		t.Fatal(err)
	}
	const each = 5000
	f := w.Follow()
	var group sync.WaitGroup
	for m := 1; m <= 4; m++ {
		group.Go(func() {
			p, c := w.Producer("shop", m), w.Consumer("billing", m)
			p.Due(0, 0, 1000, 4)
			for seq := range uint64(each) {
				at := time.Duration(seq) * time.Millisecond
				p.Accepted(seq, 1, at)
				p.Acked(seq, int32(seq%4), int64(seq), at)
				c.Delivered("orders", int32(seq%4), int64(seq), Identity{Member: m, Seq: seq}, at)
				if seq%1000 == 0 {
					w.Event(Event{At: at, Kind: KindNote})
					w.Sample(Sample{At: at, Cluster: "kafka"})
				}
			}
		})
	}
	followed := 0
	count := func(b *Block) error {
		return b.Spans(func(_ Stream, spans []Span) error {
			for _, s := range spans {
				followed += int(s.N)
			}
			return nil
		})
	}
	for range 20 {
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := f.Next(count); err != nil {
			t.Fatal(err)
		}
	}
	group.Wait()
	if err := f.Next(count); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(time.Minute); err != nil {
		t.Fatal(err)
	}
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	h, cut := read(t, r)
	want := 3 * 4 * each
	if h.records != want || followed != want || cut != "" || !r.Whole {
		t.Errorf("got %d records, %d followed, cut %q, whole %v, want %d", h.records, followed, cut, r.Whole, want)
	}
	if len(r.Events) != 21 || len(h.samples) != 20 || len(h.segments) != 4 {
		t.Errorf("got %d events, %d samples, %d segments, want 21, 20, 4", len(r.Events), len(h.samples), len(h.segments))
	}
}
