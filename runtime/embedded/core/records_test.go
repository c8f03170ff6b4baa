package core

// This file tests what is done with the records inside batches.

import (
	"bytes"
	"math"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/runtime/embedded/codec"
)

// packedBatch makes a batch of records at times (milliseconds), packed.
func packedBatch(t testing.TB, kind codec.Type, times ...int64) []byte {
	t.Helper()
	var plain []byte
	last := times[0]
	for i, at := range times {
		rec := kmsg.Record{OffsetDelta: int32(i), TimestampDelta64: at - times[0], Key: []byte("k"), Value: []byte("value value value")}
		rec.Length = int32(len(rec.AppendTo(nil)) - 1)
		plain = rec.AppendTo(plain)
		last = max(last, at)
	}
	return sealed(t, kind, int32(len(times)), times[0], last, plain)
}

func sealed(t testing.TB, kind codec.Type, count int32, first, last int64, plain []byte) []byte {
	t.Helper()
	var c codec.Codec
	body, err := c.Compress(nil, kind, 0, bytes.NewReader(plain), math.MaxInt32)
	if err != nil {
		t.Fatal(err)
	}
	rb := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, Attributes: int16(kind), LastOffsetDelta: count - 1, FirstTimestamp: first, MaxTimestamp: last,
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: count, Records: body,
	}
	b := batch{data: rb.AppendTo(nil), attributes: int16(kind)}
	b.seal()
	return b.data
}

var everyCodec = []codec.Type{codec.None, codec.Gzip, codec.Snappy, codec.LZ4, codec.Zstd}

func TestListOffsetsLooksIntoBatches(t *testing.T) {
	for _, kind := range everyCodec {
		w := one(t, nil)
		produced(t, w, 1, 1, packedBatch(t, kind, 1000, 1500, 1200, 2000))
		produced(t, w, 1, 1, packedBatch(t, kind, 3000, 3500))
		list := func(timestamp int64) (int64, int64) {
			req := at(kmsg.NewPtrListOffsetsRequest())
			rt := kmsg.NewListOffsetsRequestTopic()
			rt.Topic = "t"
			rp := kmsg.NewListOffsetsRequestTopicPartition()
			rp.Timestamp, rp.CurrentLeaderEpoch = timestamp, -1
			rt.Partitions = append(rt.Partitions, rp)
			req.Topics = append(req.Topics, rt)
			p := ask(t, w, 1, req).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
			return p.Offset, p.Timestamp
		}
		tests := []struct{ timestamp, offset, at int64 }{
			{900, 0, 1000}, {1001, 1, 1500}, {1500, 1, 1500}, {1501, 3, 2000}, {2500, 4, 3000}, {3400, 5, 3500}, {3501, -1, -1},
			{timestampMax, 5, 3500}, {timestampTiered, -1, -1},
		}
		for _, tt := range tests {
			if offset, when := list(tt.timestamp); offset != tt.offset || when != tt.at {
				t.Errorf("compression %d, time %d: got offset %d time %d, want %d and %d", kind, tt.timestamp, offset, when, tt.offset, tt.at)
			}
		}
		del := at(kmsg.NewPtrDeleteRecordsRequest())
		del.TimeoutMillis = 100
		dt := kmsg.NewDeleteRecordsRequestTopic()
		dt.Topic = "t"
		dp := kmsg.NewDeleteRecordsRequestTopicPartition()
		dp.Offset = 2
		dt.Partitions = append(dt.Partitions, dp)
		del.Topics = append(del.Topics, dt)
		ask(t, w, 1, del)
		if offset, _ := list(1); offset != 2 {
			t.Errorf("compression %d: got offset %d after what is before 2 was deleted, want 2", kind, offset)
		}
	}
}

func TestPackedBatchesAreLookedInto(t *testing.T) {
	plain := packedBatch(t, codec.None, 1, 2, 3)[batchHeader:]
	for _, kind := range everyCodec[1:] {
		cut := packedBatch(t, kind, 1, 2, 3, 4, 5)
		cut = bytes.Clone(cut[:len(cut)-8])
		cutBatch := batch{data: cut, attributes: int16(kind)}
		cutBatch.seal()
		garbage := append(bytes.Clone(cut[:batchHeader]), "garbage garbage garbage"...)
		garbageBatch := batch{data: garbage, attributes: int16(kind)}
		garbageBatch.seal()
		tests := []struct {
			name string
			data []byte
			want []int16
		}{
			{"good", packedBatch(t, kind, 1, 2, 3), []int16{0}},
			{"fewer records than the header says", sealed(t, kind, 4, 1, 3, plain), []int16{codeInvalidRecord}},
			{"more records than the header says", sealed(t, kind, 2, 1, 3, plain), []int16{codeInvalidRecord}},
			{"cut short", cut, []int16{codeInvalidRecord, codeCorruptMessage}},
			{"garbage", garbage, []int16{codeCorruptMessage, codeInvalidRecord}},
		}
		for _, tt := range tests {
			w := one(t, nil)
			got := produced(t, w, 1, 1, tt.data).ErrorCode
			ok := false
			for _, code := range tt.want {
				ok = ok || got == code
			}
			if !ok {
				t.Errorf("compression %d, %s: got error %d, want one of %v", kind, tt.name, got, tt.want)
			}
		}
	}
}

func TestTopicsCompression(t *testing.T) {
	for _, name := range []string{"uncompressed", "gzip", "snappy", "lz4", "zstd", "producer"} {
		want, own := codec.Named(name)
		for _, sent := range everyCodec {
			if !own {
				want = sent
			}
			w := one(t, map[string]string{"compression.type": name})
			if got := produced(t, w, 1, 1, packedBatch(t, sent, 5, 6, 7)); got.ErrorCode != 0 || got.BaseOffset != 0 {
				t.Fatalf("%s: got error %d", name, got.ErrorCode)
			}
			p := ask(t, w, 1, fetchRequest(0, 0, 1, 1<<20)).(*kmsg.FetchResponse).Topics[0].Partitions[0]
			b, err := parseBatch(p.RecordBatches, 1<<20)
			if err != nil || b.codec() != want {
				t.Fatalf("%s, sent in %d: got error %v, compression %d, want %d", name, sent, err, b.codec(), want)
			}
			var c codec.Codec
			n := 0
			if err := b.eachRecord(&c, codec.MaxUnpacked, func(i int32, h recordHead) bool {
				if h.timeDelta != int64(i) || !h.hasKey {
					t.Errorf("%s: record %d: got time %d, want %d", name, i, h.timeDelta, i)
				}
				n++
				return true
			}); err != nil || n != 3 {
				t.Errorf("%s: got %d records and error %v, want 3", name, n, err)
			}
		}
	}
}

func TestZstdNeedsNewRequests(t *testing.T) {
	w := one(t, nil)
	old := produceRequest("t", 0, 1, packedBatch(t, codec.Zstd, 1))
	old.SetVersion(6)
	if got := ask(t, w, 1, old).(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode; got != codeUnsupportedCompression {
		t.Errorf("produce v6: got error %d, want %d", got, codeUnsupportedCompression)
	}
	produced(t, w, 1, 1, packedBatch(t, codec.Zstd, 1))
	fetch := fetchRequest(0, 0, 1, 1<<20)
	fetch.SetVersion(9)
	if got := ask(t, w, 1, fetch).(*kmsg.FetchResponse).Topics[0].Partitions[0]; got.ErrorCode != codeUnsupportedCompression || len(got.RecordBatches) != 0 {
		t.Errorf("fetch v9: got error %d, want %d", got.ErrorCode, codeUnsupportedCompression)
	}
}

func TestCompactedTopicWantsKeys(t *testing.T) {
	w := one(t, map[string]string{"cleanup.policy": "compact"})
	if got := produced(t, w, 1, 1, makeBatch(0, 2, 10, -1, -1, -1)); got.ErrorCode != codeInvalidRecord || got.ErrorMessage == nil {
		t.Errorf("without keys: got error %d, want %d with a message", got.ErrorCode, codeInvalidRecord)
	}
	if got := produced(t, w, 1, 1, packedBatch(t, codec.LZ4, 1, 2)); got.ErrorCode != 0 {
		t.Errorf("with keys: got error %d", got.ErrorCode)
	}
}

func TestTimesOutOfRange(t *testing.T) {
	const hour = int64(3_600_000)
	tests := []struct {
		name   string
		config map[string]string
		offset int64 // of the second record's time from now
		want   int16
	}{
		{"no limit", nil, 9999 * hour, 0},
		{"in range", map[string]string{"message.timestamp.after.max.ms": "3600000", "message.timestamp.before.max.ms": "3600000"}, hour / 2, 0},
		{"too new", map[string]string{"message.timestamp.after.max.ms": "3600000"}, 2 * hour, codeInvalidTimestamp},
		{"too old", map[string]string{"message.timestamp.before.max.ms": "3600000"}, -2 * hour, codeInvalidTimestamp},
		{"the broker's time", map[string]string{"message.timestamp.before.max.ms": "3600000", "message.timestamp.type": "LogAppendTime"}, -2 * hour, 0},
	}
	for _, tt := range tests {
		for _, kind := range []codec.Type{codec.None, codec.Zstd} {
			w := one(t, tt.config)
			if got := produced(t, w, 1, 1, packedBatch(t, kind, wall(w), wall(w)+tt.offset)); got.ErrorCode != tt.want || (got.ErrorMessage != nil) != (tt.want != 0) {
				t.Errorf("%s, compression %d: got error %d, want %d", tt.name, kind, got.ErrorCode, tt.want)
			}
		}
	}
}
