package core

// This file tests what is done with batches that are made to do harm.

import (
	"bytes"
	"encoding/binary"
	"io"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/runtime/embedded/codec"
)

// zeros gives so many bytes of a record's value.
type zeros struct{ left int }

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), z.left)
	clear(p[:n])
	z.left -= n
	return n, nil
}

// bomb is a batch of one record with a value of size zeros.
func bomb(t testing.TB, kind codec.Type, size int) []byte {
	t.Helper()
	var head []byte
	head = append(head, 0, 0, 0, 1) // attributes, deltas, no key
	head = binary.AppendVarint(head, int64(size))
	var record []byte
	record = binary.AppendVarint(record, int64(len(head)+size+1))
	record = append(record, head...)
	var c codec.Codec
	body, err := c.Compress(nil, kind, 0, io.MultiReader(bytes.NewReader(record), &zeros{size}, &zeros{1}), 1<<30) // no headers
	if err != nil {
		t.Fatal(err)
	}
	rb := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, Attributes: int16(kind), ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: 1, Records: body,
	}
	b := batch{data: rb.AppendTo(nil), attributes: int16(kind)}
	b.seal()
	return b.data
}

func TestBombs(t *testing.T) {
	for _, kind := range []codec.Type{codec.Gzip, codec.LZ4, codec.Zstd} {
		w := one(t, map[string]string{"max.message.bytes": "2000000"})
		data := bomb(t, kind, 99<<20)
		if got := produced(t, w, 1, 1, data); got.ErrorCode != 0 {
			t.Errorf("compression %d, 99 MB in %d bytes: got error %d, want none", kind, len(data), got.ErrorCode)
		}
		data = bomb(t, kind, 101<<20)
		if got := produced(t, w, 1, 1, data); got.ErrorCode != codeMessageTooLarge {
			t.Errorf("compression %d, 101 MB in %d bytes: got error %d, want %d", kind, len(data), got.ErrorCode, codeMessageTooLarge)
		}
	}
}

// TestManyBombs: one request has a budget for all its batches.
func TestManyBombs(t *testing.T) {
	w := newWorld(t, Options{Brokers: 1})
	settle(t, w)
	createTopic(t, w, 1, "t", 4, 1, nil, nil)
	req := at(kmsg.NewPtrProduceRequest())
	req.Acks = 1
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic = "t"
	for p := range int32(4) {
		rp := kmsg.NewProduceRequestTopicPartition()
		rp.Partition, rp.Records = p, bomb(t, codec.Zstd, 40<<20)
		rt.Partitions = append(rt.Partitions, rp)
	}
	req.Topics = append(req.Topics, rt)
	for i, p := range ask(t, w, 1, req).(*kmsg.ProduceResponse).Topics[0].Partitions {
		want := int16(0)
		if i >= 2 {
			want = codeMessageTooLarge
		}
		if p.ErrorCode != want {
			t.Errorf("partition %d: got error %d, want %d", i, p.ErrorCode, want)
		}
	}
}

// TestRepackedIsMeasuredAgain: max.message.bytes is for what is written (Kafka measures again
// after it has packed).
func TestRepackedIsMeasuredAgain(t *testing.T) {
	w := one(t, map[string]string{"compression.type": "uncompressed", "max.message.bytes": "100000"})
	if got := produced(t, w, 1, 1, bomb(t, codec.Gzip, 99_000)); got.ErrorCode != 0 {
		t.Errorf("99,000 bytes: got error %d", got.ErrorCode)
	}
	if got := produced(t, w, 1, 1, bomb(t, codec.Gzip, 100_000)); got.ErrorCode != codeMessageTooLarge {
		t.Errorf("100,000 bytes: got error %d, want %d", got.ErrorCode, codeMessageTooLarge)
	}
}

// TestWindowsAreNotBelieved: a frame of zstd says how much memory it wants; it gets as much as
// it fills. Kafka's zstd says 128 MB at its highest level.
func TestWindowsAreNotBelieved(t *testing.T) {
	plain := packedBatch(t, codec.None, 1, 2, 3)[batchHeader:]
	head := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3} // a window of 128 MB, nothing else
	raw := uint32(len(plain)<<3 | 1)                      // one block, the last
	body := append(append(head, byte(raw), byte(raw>>8), byte(raw>>16)), plain...)
	rb := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, Attributes: int16(codec.Zstd), LastOffsetDelta: 2, FirstTimestamp: 1, MaxTimestamp: 3,
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: 3, Records: body,
	}
	b := batch{data: rb.AppendTo(nil), attributes: int16(codec.Zstd)}
	b.seal()
	w := one(t, nil)
	produced(t, w, 1, 1, packedBatch(t, codec.Zstd, 1)) // makes a decoder
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if got := produced(t, w, 1, 1, b.data); got.ErrorCode != 0 {
		t.Errorf("a window of 128 MB: got error %d, want none", got.ErrorCode)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 4<<20 {
		t.Errorf("a window of 128 MB: allocated %d bytes, want less than 4 MB", got)
	}
}

// TestRefusedBatchesAreNotKept: a small batch that is taken does not keep in memory the large
// ones of its request that are not.
func TestRefusedBatchesAreNotKept(t *testing.T) {
	w := one(t, nil)
	for _, tt := range []struct {
		name   string
		junk   int
		shared bool
	}{{"most is good", 10, true}, {"most is refused", 1000, false}} {
		frame := makeBatch(0, 3, 10, -1, -1, -1)
		size := len(frame)
		frame = append(frame, make([]byte, tt.junk)...)
		req := produceRequest("t", 0, 1, frame[:size:size])
		junk := kmsg.NewProduceRequestTopicPartition()
		junk.Partition, junk.Records = 1, frame[size:]
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, junk)
		ask(t, w, 1, req)
		r := w.byID[1].broker.replicas[partitionKey{"t", 0}]
		last := r.log.entries[len(r.log.entries)-1].b
		if got := &last.data[0] == &frame[0]; got != tt.shared {
			t.Errorf("%s: batch shares the request's memory: got %v, want %v", tt.name, got, tt.shared)
		}
	}
}

// FuzzRecords: no batch makes the brokers panic or take memory beyond what it fills.
func FuzzRecords(f *testing.F) {
	for _, kind := range everyCodec {
		f.Add(packedBatch(f, kind, 1, 2, 3))
		f.Add(bomb(f, kind, 300_000))
	}
	f.Add(append(make([]byte, batchHeader), 0x28, 0xb5, 0x2f, 0xfd, 0x00, 17<<3, 1, 0, 0))
	var c codec.Codec
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) >= batchHeader {
			// A right checksum, so that what is behind it is reached.
			data = bytes.Clone(data)
			binary.BigEndian.PutUint32(data[batchLength:], uint32(len(data)-12))
			data[batchMagic] = 2
			(&batch{data: data, attributes: int16(binary.BigEndian.Uint16(data[batchAttributes:]))}).seal()
		}
		b, err := parseBatch(data, 1<<20)
		if err != nil {
			return
		}
		var code int16
		// Other goroutines may allocate too, and what is kept is allocated once: the least of
		// three. A block of zstd unpacks to 128 KiB.
		most := uint64(1<<20 + 128<<10*len(data)/3)
		least := ^uint64(0)
		for i := 0; i < 3 && least > most; i++ {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			code, _ = b.checkRecords(&c, recordRules{keys: true}, codec.MaxUnpacked)
			runtime.ReadMemStats(&after)
			least = min(least, after.TotalAlloc-before.TotalAlloc)
			if code == 0 {
				most = uint64(1<<20 + 4*(codec.MaxUnpacked-c.Left()))
			}
		}
		if least > most {
			t.Fatalf("a batch of %d bytes: allocated %d, want at most %d", len(data), least, most)
		}
		if code != 0 {
			return
		}
		b.assign(7, 0)
		if offset, _, ok := b.findTime(&c, 0, 0); ok && (offset < b.base || offset > b.last) {
			t.Errorf("got offset %d, want one of %d to %d", offset, b.base, b.last)
		}
		for _, to := range everyCodec {
			if out, err := b.repacked(&c, to, 0, 1<<20); err == nil {
				if code, message := out.checkRecords(&c, recordRules{keys: true}, codec.MaxUnpacked); code != 0 {
					t.Errorf("repacked in compression %d: got error %d %s", to, code, message)
				}
			}
		}
	})
}
