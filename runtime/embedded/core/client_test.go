package core

// This file tests what clients are answered: produce, fetch, offsets, versions, metadata.

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// one makes a settled broker with topic t of one partition.
func one(t testing.TB, config map[string]string) *World {
	t.Helper()
	w := newWorld(t, Options{Brokers: 1})
	settle(t, w)
	createTopic(t, w, 1, "t", 1, 1, config, nil)
	return w
}

func produced(t testing.TB, w *World, broker int32, acks int16, data []byte) kmsg.ProduceResponseTopicPartition {
	t.Helper()
	return ask(t, w, broker, produceRequest("t", 0, acks, data)).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
}

func TestProduceAnswers(t *testing.T) {
	good := func() []byte { return makeBatch(0, 3, 10, -1, -1, -1) }
	spoil := func(at int, by byte) []byte {
		b := good()
		b[at] ^= by
		return b
	}
	tests := []struct {
		name  string
		topic string
		part  int32
		acks  int16
		data  []byte
		want  int16
	}{
		{"good", "t", 0, -1, good(), 0},
		{"unknown topic", "nope", 0, -1, good(), codeUnknownTopicOrPartition},
		{"unknown partition", "t", 7, -1, good(), codeUnknownTopicOrPartition},
		{"bad acks", "t", 0, 5, good(), codeInvalidRequiredAcks},
		{"checksum", "t", 0, 1, spoil(70, 1), codeCorruptMessage},
		{"old format", "t", 0, 1, spoil(batchMagic, 3), codeInvalidRecord},
		{"empty", "t", 0, 1, nil, codeInvalidRecord},
		{"cut short", "t", 0, 1, good()[:70], codeInvalidRecord},
		{"two batches", "t", 0, 1, append(good(), good()...), codeInvalidRecord},
		{"too large", "t", 0, 1, makeBatch(0, 3, 2000, -1, -1, -1), codeMessageTooLarge},
	}
	w := one(t, map[string]string{"max.message.bytes": "5000"})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ask(t, w, 1, produceRequest(tt.topic, tt.part, tt.acks, tt.data)).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
			if got.ErrorCode != tt.want {
				t.Errorf("got error %d, want %d", got.ErrorCode, tt.want)
			}
			if (got.BaseOffset >= 0) != (tt.want == 0) {
				t.Errorf("got offset %d with error %d", got.BaseOffset, got.ErrorCode)
			}
		})
	}
	if end := w.Replicas(1)[0].LogEnd; end != 3 {
		t.Errorf("got log end %d, want 3: refused batches must not be written", end)
	}
}

func TestProduceWithoutAcks(t *testing.T) {
	var closed []ConnID
	w := newWorld(t, Options{Brokers: 1, CloseConn: func(_ int32, c ConnID) { closed = append(closed, c) }})
	settle(t, w)
	createTopic(t, w, 1, "t", 1, 1, nil, nil)
	for _, topic := range []string{"t", "nope"} {
		answers := 0
		w.Request(1, ClientConn{ID: 9}, produceRequest(topic, 0, 0, makeBatch(0, 1, 10, -1, -1, -1)), func(r kmsg.Response) {
			if answers++; r != nil {
				t.Errorf("topic %s: got an answer %v, want none", topic, r)
			}
		})
		if answers != 1 {
			t.Errorf("topic %s: got reply called %d times, want once", topic, answers)
		}
	}
	if len(closed) != 1 || closed[0] != 9 {
		t.Errorf("got connections %v closed, want the one whose request failed", closed)
	}
}

func TestIdempotentProducer(t *testing.T) {
	type step struct {
		epoch      int16
		seq        int32
		n          int
		wantCode   int16
		wantOffset int64
	}
	tests := []struct {
		name  string
		steps []step
	}{
		{"in order", []step{{0, 0, 2, 0, 0}, {0, 2, 3, 0, 2}, {0, 5, 1, 0, 5}}},
		{"a duplicate gets its first offset", []step{{0, 0, 2, 0, 0}, {0, 2, 3, 0, 2}, {0, 0, 2, 0, 0}, {0, 2, 3, 0, 2}}},
		{"a duplicate older than five batches is out of order", []step{{0, 0, 1, 0, 0}, {0, 1, 1, 0, 1}, {0, 2, 1, 0, 2}, {0, 3, 1, 0, 3}, {0, 4, 1, 0, 4}, {0, 5, 1, 0, 5}, {0, 0, 1, codeOutOfOrderSequence, -1}}},
		{"a gap", []step{{0, 0, 2, 0, 0}, {0, 3, 1, codeOutOfOrderSequence, -1}, {0, 2, 1, 0, 2}}},
		{"unknown producer may begin anywhere", []step{{0, 17, 2, 0, 0}, {0, 19, 1, 0, 2}}},
		{"a newer epoch begins at zero", []step{{0, 0, 2, 0, 0}, {1, 2, 1, codeOutOfOrderSequence, -1}, {1, 0, 1, 0, 2}}},
		{"an older epoch is fenced", []step{{1, 0, 2, 0, 0}, {0, 2, 1, codeInvalidProducerEpoch, -1}}},
		{"sequence numbers wrap", []step{{0, 2147483646, 2, 0, 0}, {0, 0, 1, 0, 2}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := one(t, nil)
			for i, s := range tt.steps {
				got := produced(t, w, 1, -1, makeBatch(0, s.n, 10, 77, s.epoch, s.seq))
				if got.ErrorCode != s.wantCode || got.BaseOffset != s.wantOffset {
					t.Errorf("step %d: got error %d offset %d, want %d and %d", i, got.ErrorCode, got.BaseOffset, s.wantCode, s.wantOffset)
				}
			}
		})
	}
}

func TestProducerStateSurvivesFailOverAndRestart(t *testing.T) {
	w := newWorld(t, Options{Brokers: 3, Config: map[string]string{"broker.session.timeout.ms": "1000", "broker.heartbeat.interval.ms": "200"}})
	settle(t, w)
	createTopic(t, w, 1, "t", 1, 3, nil, [][]int32{{1, 2, 3}})
	for i := range int32(3) {
		if got := produced(t, w, 1, -1, makeBatch(0, 1, 10, 5, 0, i)); got.ErrorCode != 0 {
			t.Fatalf("got error %d", got.ErrorCode)
		}
	}
	must(t, w.Kill(1))
	w.Advance(w.Now() + 8*sec)
	lead := leaders(w, "t")[0]
	if lead == 1 {
		t.Fatal("the dead broker still leads")
	}
	if got := produced(t, w, lead, -1, makeBatch(0, 1, 10, 5, 0, 2)); got.ErrorCode != 0 || got.BaseOffset != 2 {
		t.Errorf("duplicate at the new leader: got error %d offset %d, want offset 2", got.ErrorCode, got.BaseOffset)
	}
	if got := produced(t, w, lead, -1, makeBatch(0, 1, 10, 5, 0, 9)); got.ErrorCode != codeOutOfOrderSequence {
		t.Errorf("gap at the new leader: got error %d, want %d", got.ErrorCode, codeOutOfOrderSequence)
	}
	// The restarted broker reads the state from its own log and the leader's.
	must(t, w.Start(1))
	settle(t, w)
	must(t, w.Stop(lead, nil))
	w.Advance(w.Now() + 3*sec)
	if lead = leaders(w, "t")[0]; lead != 1 {
		t.Fatalf("got leader %d, want the first replica again", lead)
	}
	if got := produced(t, w, 1, -1, makeBatch(0, 1, 10, 5, 0, 1)); got.ErrorCode != 0 || got.BaseOffset != 1 {
		t.Errorf("duplicate at the restarted broker: got error %d offset %d, want offset 1", got.ErrorCode, got.BaseOffset)
	}
}

func TestInitProducerIDsAreUnique(t *testing.T) {
	w := newWorld(t, Options{Brokers: 3})
	settle(t, w)
	seen := map[int64]bool{}
	for i := range 30 {
		r := ask(t, w, int32(i%3)+1, at(kmsg.NewPtrInitProducerIDRequest())).(*kmsg.InitProducerIDResponse)
		if r.ErrorCode != 0 || seen[r.ProducerID] {
			t.Errorf("got error %d, producer id %d, want a new one", r.ErrorCode, r.ProducerID)
		}
		seen[r.ProducerID] = true
	}
}

func fetchRequest(offset int64, wait int32, minBytes int32, max int32) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.SetVersion(12)
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = wait, minBytes, 50<<20
	req.SessionEpoch = -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic = "t"
	p := kmsg.NewFetchRequestTopicPartition()
	p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch, p.LastFetchedEpoch = offset, max, -1, -1
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

func TestFetch(t *testing.T) {
	w := one(t, nil)
	first := makeBatch(0, 3, 100, -1, -1, -1)
	size := int32(len(first))
	produced(t, w, 1, 1, first)
	produced(t, w, 1, 1, makeBatch(3, 2, 100, -1, -1, -1))
	tests := []struct {
		name     string
		offset   int64
		max      int32
		epoch    int32
		wantCode int16
		batches  int
	}{
		{"from the start", 0, 1 << 20, -1, 0, 2},
		{"one batch when only that fits", 0, size, -1, 0, 1},
		{"one batch even if it does not fit", 0, 10, -1, 0, 1},
		{"an offset inside a batch", 1, 1 << 20, -1, 0, 2},
		{"the second batch", 3, 1 << 20, -1, 0, 1},
		{"the end", 5, 1 << 20, -1, 0, 0},
		{"after the end", 6, 1 << 20, -1, codeOffsetOutOfRange, 0},
		{"before the start", -1, 1 << 20, -1, codeOffsetOutOfRange, 0},
		{"the right epoch", 0, 1 << 20, 0, 0, 2},
		{"a later epoch", 0, 1 << 20, 3, codeUnknownLeaderEpoch, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := fetchRequest(tt.offset, 0, 1, tt.max)
			req.Topics[0].Partitions[0].CurrentLeaderEpoch = tt.epoch
			p := ask(t, w, 1, req).(*kmsg.FetchResponse).Topics[0].Partitions[0]
			batches := 0
			for data := p.RecordBatches; len(data) > 0; batches++ {
				var rb kmsg.RecordBatch
				if err := rb.ReadFrom(data); err != nil {
					t.Fatal(err)
				}
				data = data[rb.Length+12:]
			}
			if p.ErrorCode != tt.wantCode || batches != tt.batches {
				t.Errorf("got error %d and %d batches, want %d and %d", p.ErrorCode, batches, tt.wantCode, tt.batches)
			}
			if tt.wantCode == 0 && (p.HighWatermark != 5 || p.LastStableOffset != 5) {
				t.Errorf("got high-water mark %d and last stable offset %d, want 5", p.HighWatermark, p.LastStableOffset)
			}
		})
	}
}

func TestFetchParksUntilEnoughOrLateOrGone(t *testing.T) {
	w := one(t, nil)
	tests := []struct {
		name    string
		min     int32
		produce bool
		gone    bool
		after   time.Duration // -1: no answer
	}{
		{"nothing comes", 1, false, false, 500 * ms},
		{"enough comes", 1, true, false, 100 * ms},
		{"too little comes", 1000, true, false, 500 * ms},
		{"the client goes", 1, true, true, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start, answered := w.Now(), time.Duration(-1)
			end := w.Replicas(1)[0].LogEnd
			w.Request(1, ClientConn{ID: 4}, fetchRequest(end, 500, tt.min, 1<<20), func(kmsg.Response) { answered = w.Now() - start })
			w.Advance(start + 100*ms)
			if tt.gone {
				w.Disconnected(1, 4)
			}
			if tt.produce {
				produced(t, w, 1, 1, makeBatch(0, 1, 100, -1, -1, -1))
			}
			w.Advance(start + 2*sec)
			if got := answered.Round(ms); tt.after >= 0 && got != tt.after || tt.after < 0 && answered != -1 {
				t.Errorf("got an answer after %v, want %v", answered, tt.after)
			}
			if n := len(w.byID[1].broker.fetches); n != 0 {
				t.Errorf("got %d fetches still parked, want none", n)
			}
		})
	}
}

func TestFetchTellsDivergingEpoch(t *testing.T) {
	w := newWorld(t, Options{Brokers: 3, Config: map[string]string{"broker.session.timeout.ms": "1000", "broker.heartbeat.interval.ms": "200"}})
	settle(t, w)
	createTopic(t, w, 1, "t", 1, 3, nil, [][]int32{{1, 2, 3}})
	produced(t, w, 1, -1, makeBatch(0, 4, 10, -1, -1, -1))
	must(t, w.Kill(1))
	w.Advance(w.Now() + 8*sec)
	lead := leaders(w, "t")[0]
	produced(t, w, lead, 1, makeBatch(0, 4, 10, -1, -1, -1))
	req := fetchRequest(6, 0, 1, 1<<20)
	req.Topics[0].Partitions[0].LastFetchedEpoch = 0
	p := ask(t, w, lead, req).(*kmsg.FetchResponse).Topics[0].Partitions[0]
	if p.DivergingEpoch.Epoch != 0 || p.DivergingEpoch.EndOffset != 4 {
		t.Errorf("got diverging epoch %d end %d, want epoch 0 end 4", p.DivergingEpoch.Epoch, p.DivergingEpoch.EndOffset)
	}
	ofle := at(kmsg.NewPtrOffsetForLeaderEpochRequest())
	ot := kmsg.NewOffsetForLeaderEpochRequestTopic()
	ot.Topic = "t"
	op := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	op.CurrentLeaderEpoch, op.LeaderEpoch = -1, 0
	ot.Partitions = append(ot.Partitions, op)
	ofle.Topics = append(ofle.Topics, ot)
	got := ask(t, w, lead, ofle).(*kmsg.OffsetForLeaderEpochResponse).Topics[0].Partitions[0]
	if got.ErrorCode != 0 || got.LeaderEpoch != 0 || got.EndOffset != 4 {
		t.Errorf("got error %d epoch %d end %d, want epoch 0 end 4", got.ErrorCode, got.LeaderEpoch, got.EndOffset)
	}
}

func TestListOffsets(t *testing.T) {
	w := one(t, nil)
	for i := range int64(3) {
		b := newBatch(1000*(i+1), []GroupRecord{{Value: []byte("a")}, {Value: []byte("b")}})
		produced(t, w, 1, 1, b.data)
	}
	list := func(timestamp int64) kmsg.ListOffsetsResponseTopicPartition {
		req := at(kmsg.NewPtrListOffsetsRequest())
		rt := kmsg.NewListOffsetsRequestTopic()
		rt.Topic = "t"
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Timestamp, rp.CurrentLeaderEpoch = timestamp, -1
		rt.Partitions = append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
		return ask(t, w, 1, req).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
	}
	tests := []struct {
		name       string
		timestamp  int64
		wantOffset int64
		wantTime   int64
	}{
		{"latest", timestampLatest, 6, -1},
		{"earliest", timestampEarliest, 0, -1},
		{"largest time", timestampMax, 4, 3000},
		{"before all", 500, 0, 1000},
		{"exactly", 2000, 2, 2000},
		{"between", 2001, 4, 3000},
		{"after all", 4000, -1, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := list(tt.timestamp); got.ErrorCode != 0 || got.Offset != tt.wantOffset || got.Timestamp != tt.wantTime {
				t.Errorf("got error %d offset %d time %d, want offset %d time %d", got.ErrorCode, got.Offset, got.Timestamp, tt.wantOffset, tt.wantTime)
			}
		})
	}
	req := at(kmsg.NewPtrDeleteRecordsRequest())
	req.TimeoutMillis = 1000
	dt := kmsg.NewDeleteRecordsRequestTopic()
	dt.Topic = "t"
	dp := kmsg.NewDeleteRecordsRequestTopicPartition()
	dp.Offset = 3
	dt.Partitions = append(dt.Partitions, dp)
	req.Topics = append(req.Topics, dt)
	if p := ask(t, w, 1, req).(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 || p.LowWatermark != 3 {
		t.Errorf("delete records: got error %d low watermark %d, want 3", p.ErrorCode, p.LowWatermark)
	}
	if got := list(timestampEarliest); got.Offset != 3 {
		t.Errorf("after deleting: got earliest offset %d, want 3", got.Offset)
	}
	if p := ask(t, w, 1, fetchRequest(1, 0, 1, 1000)).(*kmsg.FetchResponse).Topics[0].Partitions[0]; p.ErrorCode != codeOffsetOutOfRange {
		t.Errorf("a fetch of what is deleted: got error %d, want %d", p.ErrorCode, codeOffsetOutOfRange)
	}
}

// Who asks decides what latest is: a consumer gets the high-water mark, anybody else the
// end of the log, and a debugging one gets it from followers too (KafkaApis and
// Partition.fetchOffsetForTimestamp of 3.9).
func TestListOffsetsByWhoAsks(t *testing.T) {
	w := newWorld(t, Options{Brokers: 2})
	settle(t, w)
	createTopic(t, w, 1, "t", 1, 2, nil, [][]int32{{1, 2}})
	produced(t, w, 1, -1, makeBatch(0, 3, 10, -1, -1, -1))
	must(t, w.Pause(2))
	produced(t, w, 1, 1, makeBatch(3, 2, 10, -1, -1, -1))
	list := func(broker, replica, epoch int32) (code int16, offset int64) {
		req := at(kmsg.NewPtrListOffsetsRequest())
		req.ReplicaID = replica
		req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{{CurrentLeaderEpoch: epoch, Timestamp: timestampLatest}}}}
		p := ask(t, w, broker, req).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
		return p.ErrorCode, p.Offset
	}
	check := func(name string, broker, replica, epoch int32, wantCode int16, want int64) {
		t.Helper()
		if code, offset := list(broker, replica, epoch); code != wantCode || offset != want {
			t.Errorf("%s: got error %d offset %d, want error %d offset %d", name, code, offset, wantCode, want)
		}
	}
	check("a consumer at the leader", 1, consumerReplica, -1, 0, 3)
	check("a follower's id at the leader", 1, 2, -1, 0, 5)
	check("debugging at the leader", 1, debuggingReplica, 0, 0, 5)
	check("debugging in an epoch to come", 1, debuggingReplica, 7, codeUnknownLeaderEpoch, -1)
	must(t, w.Resume(2))
	if err := within(w, 10*sec, func() error {
		if r, _ := w.Replica(2, "t", 0); r.LogEnd < 5 {
			return fmt.Errorf("got end %d, want 5", r.LogEnd)
		}
		return nil
	}); err != nil {
		t.Fatalf("the follower does not catch up: %v", err)
	}
	check("a consumer at the follower", 2, consumerReplica, -1, codeNotLeaderOrFollower, -1)
	check("a follower's id at the follower", 2, 1, -1, codeNotLeaderOrFollower, -1)
	check("debugging at the follower", 2, debuggingReplica, 0, 0, 5)
	check("a consumer at the follower, in an epoch to come", 2, consumerReplica, 7, codeUnknownLeaderEpoch, -1)
}

func TestLogAppendTimeIsWritten(t *testing.T) {
	epoch := time.UnixMilli(5_000_000)
	w := newWorld(t, Options{Brokers: 1, Epoch: epoch})
	settle(t, w)
	createTopic(t, w, 1, "t", 1, 1, map[string]string{"message.timestamp.type": "LogAppendTime"}, nil)
	want := 5_000_000 + w.Now().Milliseconds()
	got := produced(t, w, 1, 1, makeBatch(0, 2, 10, -1, -1, -1))
	if got.LogAppendTime != want {
		t.Errorf("got log append time %d, want %d", got.LogAppendTime, want)
	}
	b := w.byID[1].disk.logs[partitionKey{"t", 0}].entries[0].b
	again, err := parseBatch(bytes.Clone(b.data), 1<<20)
	if err != nil || again.maxTime != want || again.attributes&attrLogAppendTime == 0 {
		t.Errorf("the batch as stored: %v, got time %d attributes %b, want %d and the append time bit", err, again.maxTime, again.attributes, want)
	}
}

func TestWrongBrokerNamesTheLeader(t *testing.T) {
	w := newWorld(t, Options{Brokers: 3, Address: func(listener string, id int32) (string, int32) { return listener, 9000 + id }})
	settle(t, w)
	createTopic(t, w, 1, "t", 1, 1, nil, [][]int32{{2}})
	var got *kmsg.ProduceResponse
	w.Request(1, ClientConn{Listener: "shop-1"}, produceRequest("t", 0, 1, makeBatch(0, 1, 1, -1, -1, -1)), func(r kmsg.Response) { got = r.(*kmsg.ProduceResponse) })
	p := got.Topics[0].Partitions[0]
	if p.ErrorCode != codeNotLeaderOrFollower || p.CurrentLeader.LeaderID != 2 || p.CurrentLeader.LeaderEpoch != 0 {
		t.Errorf("got error %d leader %d epoch %d, want 6, 2 and 0", p.ErrorCode, p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch)
	}
	if len(got.Brokers) != 1 || got.Brokers[0].Host != "shop-1" || got.Brokers[0].Port != 9002 {
		t.Errorf("got brokers %v, want the leader's address on the listener that was dialled", got.Brokers)
	}
}

func TestMetadata(t *testing.T) {
	w := newWorld(t, Options{Brokers: 3, Racks: map[int32]string{1: "a"}, Address: func(listener string, id int32) (string, int32) { return listener, 9000 + id }})
	settle(t, w)
	createTopic(t, w, 1, "t", 3, 3, nil, nil)
	meta := func(version int16, topics ...string) *kmsg.MetadataResponse {
		req := kmsg.NewPtrMetadataRequest()
		req.SetVersion(version)
		for _, name := range topics {
			mt := kmsg.NewMetadataRequestTopic()
			mt.Topic = kmsg.StringPtr(name)
			req.Topics = append(req.Topics, mt)
		}
		req.AllowAutoTopicCreation = version >= 4 && strings.HasPrefix(strings.Join(topics, ""), "auto")
		return ask(t, w, 2, req).(*kmsg.MetadataResponse)
	}
	all := meta(12)
	if len(all.Brokers) != 3 || *all.Brokers[0].Rack != "a" || all.Brokers[2].Port != 9003 || len(all.Topics) != 1 || len(all.Topics[0].Partitions) != 3 {
		t.Errorf("got %d brokers and %d topics, want 3 and 1", len(all.Brokers), len(all.Topics))
	}
	if all.ControllerID < 1 || all.ControllerID > 3 {
		t.Errorf("got controller %d, want some broker that is alive", all.ControllerID)
	}
	if got := meta(12, "bad name").Topics[0].ErrorCode; got != codeInvalidTopic {
		t.Errorf("bad name: got error %d, want %d", got, codeInvalidTopic)
	}
	if got := meta(12, "nope").Topics[0].ErrorCode; got != codeUnknownTopicOrPartition {
		t.Errorf("unknown: got error %d, want %d", got, codeUnknownTopicOrPartition)
	}
	if got := meta(12, "auto1").Topics[0].ErrorCode; got != codeUnknownTopicOrPartition {
		t.Errorf("auto-created, first answer: got error %d, want %d", got, codeUnknownTopicOrPartition)
	}
	w.Advance(w.Now() + 2*sec)
	if got := meta(12, "auto1").Topics[0]; got.ErrorCode != 0 || len(got.Partitions) != 1 {
		t.Errorf("auto-created: got error %d and %d partitions, want 0 and 1", got.ErrorCode, len(got.Partitions))
	}
	must(t, w.Kill(3))
	w.Advance(w.Now() + 15*sec)
	got := meta(7, "t")
	if len(got.Brokers) != 2 {
		t.Errorf("one is dead: got %d brokers, want 2", len(got.Brokers))
	}
	for _, p := range got.Topics[0].Partitions {
		if p.ErrorCode != 0 || p.Leader == 3 || len(p.ISR) != 2 || len(p.OfflineReplicas) != 1 || p.OfflineReplicas[0] != 3 {
			t.Errorf("partition %d: got error %d leader %d in sync %v offline %v", p.Partition, p.ErrorCode, p.Leader, p.ISR, p.OfflineReplicas)
		}
	}
}

func TestVersions(t *testing.T) {
	w := one(t, nil)
	for _, v := range apiVersions() {
		for version := v.Min; version <= v.Max; version++ {
			req := kmsg.RequestForKey(v.Key)
			if req == nil || version > req.MaxVersion() {
				t.Fatalf("key %d: version %d is beyond what can be spoken", v.Key, version)
			}
			req.SetVersion(version)
			if p, ok := req.(*kmsg.ProduceRequest); ok {
				p.Acks = 1 // with 0 there is no answer
			}
			// Through the wire form, as a client's request comes.
			read := kmsg.RequestForKey(v.Key)
			read.SetVersion(version)
			if err := read.ReadFrom(req.AppendTo(nil)); err != nil {
				t.Fatalf("%s v%d: %v", kmsg.NameForKey(v.Key), version, err)
			}
			var got kmsg.Response
			w.Request(1, ClientConn{ID: 1}, read, func(r kmsg.Response) { got = r })
			w.Advance(w.Now() + 2*sec)
			if got == nil {
				t.Errorf("%s v%d: got no answer", kmsg.NameForKey(v.Key), version)
				continue
			}
			back := kmsg.ResponseForKey(v.Key)
			back.SetVersion(version)
			if err := back.ReadFrom(got.AppendTo(nil)); err != nil || got.GetVersion() != version {
				t.Errorf("%s v%d: the answer of version %d does not read back: %v", kmsg.NameForKey(v.Key), version, got.GetVersion(), err)
			}
		}
	}
	req := kmsg.NewPtrApiVersionsRequest()
	for _, version := range []int16{-1, 99} {
		req.SetVersion(version)
		r := ask(t, w, 1, req).(*kmsg.ApiVersionsResponse)
		if r.GetVersion() != 0 || r.ErrorCode != codeUnsupportedVersion || len(r.ApiKeys) != 1 || r.ApiKeys[0].ApiKey != req.Key() {
			t.Errorf("version %d: got version %d error %d and %d keys, want version 0, error 35 and ApiVersions alone (KIP-511)", version, r.GetVersion(), r.ErrorCode, len(r.ApiKeys))
		}
	}
	for name, want := range map[string]int16{"kgo": 0, "apache-kafka.java": 0, "": codeInvalidRequest, "-x": codeInvalidRequest, "x.": codeInvalidRequest, "a b": codeInvalidRequest} {
		req.SetVersion(3)
		req.ClientSoftwareName, req.ClientSoftwareVersion = name, "1.0"
		if r := ask(t, w, 1, req).(*kmsg.ApiVersionsResponse); r.ErrorCode != want || (len(r.ApiKeys) == 0) != (want != 0) {
			t.Errorf("client software %q: got error %d and %d keys, want error %d", name, r.ErrorCode, len(r.ApiKeys), want)
		}
	}
	req.SetVersion(0)
	for _, k := range ask(t, w, 1, req).(*kmsg.ApiVersionsResponse).ApiKeys {
		if isGroupRequest(k.ApiKey) {
			t.Errorf("%s is advertised without a group coordinator", kmsg.NameForKey(k.ApiKey))
		}
	}
	if r := ask(t, w, 1, kmsg.NewPtrAddOffsetsToTxnRequest()); r == nil {
		t.Error("got no answer to what is not supported")
	}
}

// fakeGroups is a coordinator that keeps what it is given.
type fakeGroups struct {
	env    GroupEnv
	loaded map[int32][]GroupRecord
	gone   []int32
	ticks  []time.Duration
	wake   time.Duration
}

var (
	_ GroupCoordinator = (*fakeGroups)(nil)
	_ GroupTimers      = (*fakeGroups)(nil)
)

func (g *fakeGroups) Handle(now time.Duration, from ClientConn, req kmsg.Request, reply func(kmsg.Response)) {
	hb := req.(*kmsg.HeartbeatRequest)
	g.env.Storage.Append(g.env.Partition(hb.Group), []GroupRecord{{Key: []byte(hb.Group), Value: []byte(hb.MemberID)}}, func(code int16) {
		resp := req.ResponseKind().(*kmsg.HeartbeatResponse)
		resp.ErrorCode = code
		reply(resp)
	})
	g.wake = now + 300*ms
}
func (g *fakeGroups) Load(_ time.Duration, p int32, records []GroupRecord) { g.loaded[p] = records }
func (g *fakeGroups) Unload(_ time.Duration, p int32) {
	delete(g.loaded, p)
	g.gone = append(g.gone, p)
}
func (g *fakeGroups) Tick(now time.Duration) { g.ticks = append(g.ticks, now); g.wake = 0 }
func (g *fakeGroups) Next() (time.Duration, bool) {
	return g.wake, g.wake > 0
}

func TestCoordinatorFailsOverWithItsRecords(t *testing.T) {
	all := map[int32]*fakeGroups{}
	w := newWorld(t, Options{Brokers: 3, Groups: func(env GroupEnv) GroupCoordinator {
		g := &fakeGroups{env: env, loaded: map[int32][]GroupRecord{}}
		all[env.Broker] = g
		return g
	}})
	settle(t, w)
	find := func(via int32) (int32, int16) {
		req := at(kmsg.NewPtrFindCoordinatorRequest())
		req.CoordinatorKeys = []string{"billing"}
		c := ask(t, w, via, req).(*kmsg.FindCoordinatorResponse).Coordinators[0]
		return c.NodeID, c.ErrorCode
	}
	if _, code := find(1); code != codeCoordinatorNotAvailable {
		t.Errorf("before there is a topic: got error %d, want %d", code, codeCoordinatorNotAvailable)
	}
	w.Advance(w.Now() + 2*sec)
	coordinator, code := find(2)
	if code != 0 || coordinator < 1 {
		t.Fatalf("got coordinator %d error %d", coordinator, code)
	}
	if n := len(w.byID[1].raft.image.topics[offsetsTopic].partitions); n != 50 {
		t.Errorf("got %d partitions of %s, want 50", n, offsetsTopic)
	}
	settle(t, w)
	hb := at(kmsg.NewPtrHeartbeatRequest())
	hb.Group, hb.MemberID = "billing", "one"
	if r := ask(t, w, coordinator, hb).(*kmsg.HeartbeatResponse); r.ErrorCode != 0 {
		t.Fatalf("append: got error %d", r.ErrorCode)
	}
	w.Advance(w.Now() + sec)
	g := all[coordinator]
	if len(g.ticks) != 1 {
		t.Errorf("got %d ticks, want one at the time that Next gave", len(g.ticks))
	}
	partition := g.env.Partition("billing")
	must(t, w.Kill(coordinator))
	w.Advance(w.Now() + 15*sec)
	next, code := find(coordinator%3 + 1)
	if code != 0 || next == coordinator {
		t.Fatalf("after the kill: got coordinator %d error %d", next, code)
	}
	got := all[next].loaded[partition]
	if len(got) != 1 || string(got[0].Key) != "billing" || string(got[0].Value) != "one" || got[0].Timestamp == 0 {
		t.Errorf("the new coordinator loaded %v, want the record of billing", got)
	}
	for id, g := range all {
		if id != next && id != coordinator {
			ok := int16(-1)
			g.env.Storage.Append(partition, []GroupRecord{{Key: []byte("x")}}, func(code int16) { ok = code })
			if ok != codeNotLeaderOrFollower {
				t.Errorf("append at a broker that does not lead: got %d, want %d", ok, codeNotLeaderOrFollower)
			}
		}
	}
	must(t, w.Start(coordinator))
	settle(t, w)
	stopped := w.Now()
	must(t, w.Stop(next, nil))
	w.Advance(stopped + 100*ms)
	if len(all[next].gone) == 0 {
		t.Error("a broker that stops was not told that it lost its partitions")
	}
}

func TestJavaHash(t *testing.T) {
	tests := []struct {
		in   string
		want int32
	}{{"", 0}, {"a", 97}, {"polygenelubricants", -2147483648}, {"é", 233}, {"😀", 1772899}}
	for _, tt := range tests {
		if got := javaHash(tt.in); got != tt.want {
			t.Errorf("javaHash(%q) = %d, want %d", tt.in, got, tt.want)
		}
	}
}
