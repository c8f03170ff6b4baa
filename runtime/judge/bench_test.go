package judge

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"starfall/internal/cputime"
	"starfall/interp/plan"
	"starfall/runtime/record"
)

// longPlan is one producer at 100,000 records a second and one group.
func longPlan(records int) *plan.Plan {
	p := testPlan()
	p.Events, p.Alarms = nil, nil
	p.Topics[0].Partitions = 6
	p.Producers[0].Rate = 100_000
	p.Producers[0].Keys = 0
	p.Scenario.RunFor = plan.Duration(time.Duration(records/100_000) * sec)
	p.Claims = []plan.Claim{
		billing("missing").none().expect(), billing("duplicates").none().expect(), billing("out_of_order").none().expect(),
		orders("lost").none().expect(), shop("rate").neverBelow(90_000).expect(), shop("stall").atMost(1).expect(),
		shop("latency").stat("p99").atMost(0.1).expect(),
	}
	return p
}

// longRun writes a healthy run of n records: round robin over six partitions,
// batches of what was due in batch, as acknowledgements come.
func longRun(w *record.Writer, n int, batch time.Duration) {
	const parts = 6
	w.Event(record.Event{Kind: record.KindPhase, Phase: record.PhaseRun})
	p, c := w.Producer("shop", 1), w.Consumer("billing", 1)
	c.Assigned(1, []record.TopicPartition{{Topic: "orders"}}, -sec)
	p.Due(0, 0, 100_000, parts)
	each := int(batch.Seconds() * 100_000 / parts)
	size := each * parts
	n = n / size * size
	// The rest of a batch's records, one each, so that no two batches are
	// equal: acknowledgements of a partition come at a time of their own.
	for at := 0; at < n; at += size {
		due := time.Duration(at) * 10 * time.Microsecond
		p.Accepted(uint64(at), size, due)
		for k := range parts {
			first := uint64(at + k)
			offset := int64(at / parts)
			ack := due + batch + time.Duration((at/size*7+k*13)%29)*100*time.Microsecond
			p.AckedRun(first, parts, each, int32(k), offset, ack)
			c.DeliveredRun("orders", int32(k), offset, record.Identity{Run: 7, Member: 1, Seq: first}, parts, each, ack+ms)
		}
		if at/size%2000 == 1999 {
			w.Flush()
		}
	}
	p.End(uint64(n), time.Duration(n)*10*time.Microsecond)
	for k := range parts {
		a := w.Audit("orders", int32(k), 0, int64(n/parts))
		a.Run(0, record.Identity{Run: 7, Member: 1, Seq: uint64(k)}, parts, n/parts)
		a.Close(nil)
	}
	end := time.Duration(n) * 10 * time.Microsecond
	w.Event(record.Event{At: end, Kind: record.KindPhase, Phase: record.PhaseHeal})
}

// unevenRun is longRun with batches as real clients make them: of 1 to most
// records, acknowledged 2 to 12 ms after the last was due and delivered up to
// 5 ms later, each at a moment of its own. What is even compresses to nothing.
func unevenRun(w *record.Writer, n, most int) {
	const parts, window = 6, 40 // records of a partition that fall due together
	random := rand.New(rand.NewPCG(1, 2))
	w.Event(record.Event{Kind: record.KindPhase, Phase: record.PhaseRun})
	p, c := w.Producer("shop", 1), w.Consumer("billing", 1)
	c.Assigned(1, []record.TopicPartition{{Topic: "orders"}}, -sec)
	p.Due(0, 0, 100_000, parts)
	n = n / (parts * window) * parts * window
	for at := 0; at < n; at += parts * window {
		due := time.Duration(at) * 10 * time.Microsecond
		p.Accepted(uint64(at), parts*window, due)
		for k := range parts {
			for i := 0; i < window; {
				size := min(1+random.IntN(most), window-i)
				first, offset := uint64(at+k+i*parts), int64(at/parts+i)
				ack := due + time.Duration((i+size)*parts)*10*time.Microsecond + 2*ms + time.Duration(random.IntN(10_000))*time.Microsecond
				p.AckedRun(first, parts, size, int32(k), offset, ack)
				c.DeliveredRun("orders", int32(k), offset, record.Identity{Run: 7, Member: 1, Seq: first}, parts, size, ack+time.Duration(random.IntN(5_000))*time.Microsecond)
				i += size
			}
		}
		if at/(parts*window)%400 == 399 {
			w.Flush()
		}
	}
	end := time.Duration(n) * 10 * time.Microsecond
	p.End(uint64(n), end)
	for k := range parts {
		a := w.Audit("orders", int32(k), 0, int64(n/parts))
		a.Run(0, record.Identity{Run: 7, Member: 1, Seq: uint64(k)}, parts, n/parts)
		a.Close(nil)
	}
	w.Event(record.Event{At: end, Kind: record.KindPhase, Phase: record.PhaseHeal})
}

func mustPass(tb testing.TB, p *plan.Plan, rec *record.Recording) {
	tb.Helper()
	v, err := Judge(p, rec)
	if err != nil {
		tb.Fatal(err)
	}
	if v.Result != Pass {
		tb.Fatalf("got %s: %+v, want PASS", v.Result, v.Reasons)
	}
}

// measured reports records a second of wall time and of processor time, which
// a machine with other work to do gives less of.
func measured(b *testing.B, records int, f func()) {
	runtime.GC()
	before := cputime.Used()
	b.ResetTimer()
	for range b.N {
		f()
	}
	b.StopTimer()
	all := float64(records) * float64(b.N) / 1e6
	b.ReportMetric(all/b.Elapsed().Seconds(), "Mrecords/s")
	if used := cputime.Used() - before; used > 0 {
		b.ReportMetric(all/used.Seconds(), "Mrecords/cpu-s")
	}
}

// BenchmarkJudge judges the same kind of run from memory and from disk. A
// record counts once, whatever was recorded about it: accepted, acknowledged,
// delivered and audited.
func BenchmarkJudge(b *testing.B) {
	const records = 10_000_000
	p := longPlan(records)
	for _, batch := range []time.Duration{20 * ms, 5 * ms, 60 * time.Microsecond} {
		name := "batches-of-" + batch.String()
		b.Run("memory/"+name, func(b *testing.B) {
			w := record.NewMemory(p, record.Info{ID: 7})
			longRun(w, records, batch)
			w.Event(record.Event{At: 1000 * sec, Kind: record.KindClosed})
			rec := w.Recording()
			measured(b, records, func() { mustPass(b, p, rec) })
		})
		b.Run("disk/"+name, func(b *testing.B) {
			dir := b.TempDir()
			w, err := record.Create(dir, p, record.Info{ID: 7})
			if err != nil {
				b.Fatal(err)
			}
			longRun(w, records, batch)
			if err := w.Close(1000 * sec); err != nil {
				b.Fatal(err)
			}
			defer func() { b.ReportMetric(megabytes(b, dir), "disk-MB") }()
			measured(b, records, func() {
				rec, err := record.Open(dir)
				if err != nil {
					b.Fatal(err)
				}
				mustPass(b, p, rec)
			})
		})
	}
}

// BenchmarkAgain judges a run folder of 10 million records with one group anew,
// as starfall judge does, and reports what the folder takes on disk. Batches are
// of as many records as load of some 10,000/s (20) and of 1,000/s (2) makes.
func BenchmarkAgain(b *testing.B) {
	const records = 10_000_000
	for _, most := range []int{39, 3} {
		b.Run(fmt.Sprintf("batches-of-%d", (most+1)/2), func(b *testing.B) {
			p := longPlan(records)
			dir := b.TempDir()
			w, err := record.Create(dir, p, record.Info{ID: 7})
			if err != nil {
				b.Fatal(err)
			}
			unevenRun(w, records, most)
			if err := w.Close(1000 * sec); err != nil {
				b.Fatal(err)
			}
			defer func() { b.ReportMetric(megabytes(b, dir), "disk-MB") }()
			measured(b, records, func() {
				rec, err := record.Open(dir)
				if err != nil {
					b.Fatal(err)
				}
				mustPass(b, p, rec)
			})
		})
	}
}

// megabytes is what a run folder takes on disk, all of it.
func megabytes(b *testing.B, dir string) float64 {
	var size int64
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return float64(size) / 1e6
}

// TestMemoryOfALongRun judges 100 million records of one group from disk in
// under 256 MB.
func TestMemoryOfALongRun(t *testing.T) {
	if testing.Short() {
		t.Skip("judges 100 million records")
	}
	const records = 100_000_000
	const limit = 256 << 20
	p := longPlan(records)
	dir := t.TempDir()
	w, err := record.Create(dir, p, record.Info{ID: 7})
	if err != nil {
		t.Fatal(err)
	}
	longRun(w, records, 20*ms)
	if err := w.Close(1000 * sec); err != nil {
		t.Fatal(err)
	}
	debug.FreeOSMemory() // what writing took
	rec, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	// What the heap held at most is what the runtime took for it beyond what it
	// held before: it gives nothing back within the seconds that judging takes.
	defer debug.SetGCPercent(debug.SetGCPercent(50))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	mustPass(t, p, rec)
	runtime.ReadMemStats(&after)
	held := after.HeapSys - after.HeapReleased
	total := after.TotalAlloc - before.TotalAlloc
	t.Logf("the heap took %d MB, %d MB were allocated in all", held>>20, total>>20)
	if held > limit {
		t.Errorf("the heap took %d MB, want at most %d MB", held>>20, limit>>20)
	}
	if total > limit {
		t.Errorf("got %d MB allocated in all, want at most %d MB", total>>20, limit>>20)
	}
}
