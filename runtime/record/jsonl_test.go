// This file compares the recording with what one would write instead: a line of
// JSON for each thing that happened to a record, plain and through zstd.

package record

import (
	"bufio"
	"encoding/json"
	"io"
	"io/fs"
	"math/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// line is what a line of JSON says of a record.
type line struct {
	At        int64  `json:"at"` // ns
	Kind      string `json:"kind"`
	Name      string `json:"name"`
	Member    int    `json:"member"`
	Seq       uint64 `json:"seq"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// BenchmarkKeep keeps the same run as lines of JSON, as the same lines through
// zstd at its fastest, and as a recording: each record accepted, acknowledged
// and delivered, at 100,000 records a second, and written to a file.
func BenchmarkKeep(b *testing.B) {
	const rate, gap = 100_000, 10 * time.Microsecond
	play := func(n int, f func(kind string, seq uint64, k int32, offset int64, at time.Duration)) {
		r := rand.New(rand.NewSource(1))
		var acked, delivered time.Duration // of this batch
		for i := range n {
			// Six batches of 60 records by turns, as round robin makes them,
			// each acknowledged and delivered at a moment of its own.
			batch, within := i/360, i%360
			k, j := within/60, within%60
			if j == 0 {
				acked = time.Duration(batch*360+359)*gap + 3*time.Millisecond + time.Duration(r.Intn(4000))*time.Microsecond
				delivered = acked + time.Millisecond + time.Duration(r.Intn(2000))*time.Microsecond
			}
			seq := uint64(batch*360 + j*6 + k)
			step := time.Duration(j) * 4 * time.Microsecond // what sarama takes for each
			f("accepted", uint64(i), 0, 0, time.Duration(i)*gap)
			f("acked", seq, int32(k), int64(batch*60+j), acked+step)
			f("delivered", seq, int32(k), int64(batch*60+j), delivered+step)
		}
	}
	lines := func(b *testing.B, wrap func(io.Writer) io.WriteCloser) {
		file, err := os.Create(filepath.Join(b.TempDir(), "run.jsonl"))
		if err != nil {
			b.Fatal(err)
		}
		defer file.Close()
		w := wrap(file)
		buffer := bufio.NewWriterSize(w, 1<<16)
		enc := json.NewEncoder(buffer)
		b.ReportAllocs()
		b.ResetTimer()
		names := map[string]string{"accepted": "shop", "acked": "shop", "delivered": "billing"}
		play(b.N, func(kind string, seq uint64, k int32, offset int64, at time.Duration) {
			l := line{At: int64(at), Kind: kind, Name: names[kind], Member: 1, Seq: seq, Partition: k, Offset: offset}
			if err := enc.Encode(&l); err != nil {
				b.Fatal(err)
			}
		})
		if err := buffer.Flush(); err != nil {
			b.Fatal(err)
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		info, err := file.Stat()
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size())/float64(b.N), "disk-B/record")
	}
	b.Run("by=json", func(b *testing.B) {
		lines(b, func(w io.Writer) io.WriteCloser { return plain{w} })
	})
	b.Run("by=json+zstd", func(b *testing.B) {
		lines(b, func(w io.Writer) io.WriteCloser {
			z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
			if err != nil {
				b.Fatal(err)
			}
			return z
		})
	})
	b.Run("by=starfall", func(b *testing.B) {
		dir := b.TempDir()
		w, err := Create(dir, onePlan(6, 1, "round_robin"), Info{})
		if err != nil {
			b.Fatal(err)
		}
		p, c := w.Producer("shop", 1), w.Consumer("billing", 1)
		p.Due(0, 0, rate, 6)
		b.ReportAllocs()
		b.ResetTimer()
		play(b.N, func(kind string, seq uint64, k int32, offset int64, at time.Duration) {
			switch kind {
			case "accepted":
				p.Accepted(seq, 1, at)
			case "acked":
				p.Acked(seq, k, offset, at)
			default:
				c.Delivered("orders", k, offset, Identity{Member: 1, Seq: seq}, at)
			}
		})
		if err := w.Close(0); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		var size int64
		err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			size += info.Size()
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(size)/float64(b.N), "disk-B/record")
	})
}

// plain is a writer whose end is somebody else's.
type plain struct{ io.Writer }

func (plain) Close() error { return nil }
