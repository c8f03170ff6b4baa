// This file compares judging with what one would write instead: a Go map of
// the records that were acknowledged, ticked off as they are delivered.

package judge

import (
	"runtime"
	"testing"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// tally is how often a record was acknowledged and delivered.
type tally struct{ acked, delivered uint32 }

// tickOff gives missing and duplicates of ids that are in memory already,
// decoded: nothing is read, and nothing is said of where and when.
func tickOff(acked, delivered []uint64) (missing, duplicates int) {
	seen := map[uint64]tally{}
	for _, id := range acked {
		t := seen[id]
		t.acked++
		seen[id] = t
	}
	for _, id := range delivered {
		t := seen[id]
		t.delivered++
		seen[id] = t
	}
	for _, t := range seen {
		if t.acked > 0 && t.delivered == 0 {
			missing++
		}
		if t.delivered > 1 {
			duplicates += int(t.delivered) - 1
		}
	}
	return missing, duplicates
}

// BenchmarkMissing asks how many records are missing and how many came twice,
// of the same run by a map and by Judge, which reads the recording on disk and
// answers all the rest of a verdict besides. Each is told of every record in
// the order in which things happened: batches of six partitions by turns.
func BenchmarkMissing(b *testing.B) {
	const records = 2_000_000
	const batch = 20 * ms
	b.Run("by=map", func(b *testing.B) {
		var acked []uint64
		const size = 2000 / 6 * 6 // a batch of longRun
		for at := 0; at < records/size*size; at += size {
			for k := range 6 {
				for i := k; i < size; i += 6 {
					acked = append(acked, uint64(at+i))
				}
			}
		}
		runtime.GC()
		b.ReportAllocs()
		measured(b, records, func() {
			if missing, duplicates := tickOff(acked, acked); missing+duplicates > 0 {
				b.Fatalf("got %d missing and %d duplicates, want none", missing, duplicates)
			}
		})
	})
	b.Run("by=starfall", func(b *testing.B) {
		p := longPlan(records)
		p.Claims = []plan.Claim{billing("missing").none().expect(), billing("duplicates").none().expect()}
		dir := b.TempDir()
		w, err := record.Create(dir, p, record.Info{ID: 7})
		if err != nil {
			b.Fatal(err)
		}
		longRun(w, records, batch)
		if err := w.Close(1000 * sec); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		measured(b, records, func() {
			rec, err := record.Open(dir)
			if err != nil {
				b.Fatal(err)
			}
			mustPass(b, p, rec)
		})
	})
}

func TestTickOff(t *testing.T) {
	missing, duplicates := tickOff([]uint64{1, 2, 3, 4}, []uint64{1, 3, 3, 3})
	if missing != 2 || duplicates != 2 {
		t.Errorf("got %d missing and %d duplicates, want 2 and 2", missing, duplicates)
	}
}
