package core

// This file tests answers in which Kafka 3.9 is particular; each test names the class that
// decides.

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// produceCodes are the codes of a produce answer, partition by partition.
func produceCodes(r kmsg.Response) (out []int16) {
	for _, rt := range r.(*kmsg.ProduceResponse).Topics {
		for _, rp := range rt.Partitions {
			out = append(out, rp.ErrorCode)
		}
	}
	return out
}

// KafkaApis.handleProduceRequest, RequestUtils.hasTransactionalRecords: the right to the
// transactional id is needed for transactional records alone.
func TestProduceNeedsItsTransactionalIDForTransactionalRecords(t *testing.T) {
	g := newGuarded(t)
	g.create("root", "t")
	g.may(onTopic, "t", opWrite)
	producerID, epoch := g.begin("x")
	id := "x"
	tests := []struct {
		name string
		data []byte
		id   *string
		want int16
	}{
		{"plain records with an id that is not its own", makeBatch(0, 1, 8, -1, -1, -1), &id, 0},
		{"plain records without an id", makeBatch(0, 1, 8, -1, -1, -1), nil, 0},
		{"transactional records with an id that is not its own", makeTxnBatch(0, 1, producerID, epoch, 0), &id, codeTxnIDAuthorization},
		{"transactional records without an id", makeTxnBatch(0, 1, producerID, epoch, 0), nil, codeTxnIDAuthorization},
	}
	for _, tt := range tests {
		req := produceRequest("t", 0, 1, tt.data)
		req.TransactionID = tt.id
		if got := produceCodes(g.as("ann", req)); !slices.Equal(got, []int16{tt.want}) {
			t.Errorf("%s: got errors %v, want %d", tt.name, got, tt.want)
		}
	}
}

// The same, without an authorizer: the request is refused as a whole, before anything in it
// is looked at.
func TestTransactionalRecordsWithoutAnID(t *testing.T) {
	var ended []ConnID
	w := newWorld(t, Options{CloseConn: func(_ int32, id ConnID) { ended = append(ended, id) }})
	settle(t, w)
	createTopic(t, w, 1, "t", 1, 1, nil, nil)
	req := produceRequest("t", 0, 1, makeBatch(0, 1, 8, -1, -1, -1))
	more := produceRequest("nope", 0, 1, makeTxnBatch(0, 1, 5, 0, 0))
	req.Topics = append(req.Topics, more.Topics...)
	if got, want := produceCodes(ask(t, w, 1, req)), []int16{53, 53}; !slices.Equal(got, want) {
		t.Errorf("got errors %v, want %v", got, want)
	}
	if r := w.Replicas(1)[0]; r.LogEnd != 0 {
		t.Errorf("got log end %d, want nothing written", r.LogEnd)
	}
	req.Acks = 0
	answered := false
	w.Request(1, ClientConn{ID: 9}, req, func(kmsg.Response) { answered = true })
	w.Advance(w.Now() + sec)
	if !answered || !slices.Equal(ended, []ConnID{9}) {
		t.Errorf("acks=0: got connections %v ended, want 9", ended)
	}
}

// ByteBufferLogInputStream, ProduceRequest.validateRecords: what is too short for a batch is
// none; seen on a broker of 3.9.1 too.
func TestProduceOfHalfABatch(t *testing.T) {
	whole := makeBatch(0, 1, 8, -1, -1, -1)
	with := func(change func([]byte)) []byte {
		b := slices.Clone(whole)
		change(b)
		return b
	}
	tests := []struct {
		name    string
		data    []byte
		version int16
		want    int16
	}{
		{"nothing", []byte{}, 9, codeInvalidRecord},
		{"ten bytes", make([]byte, 10), 9, codeInvalidRecord},
		{"cut off", whole[:len(whole)-1], 9, codeInvalidRecord},
		{"two batches", append(slices.Clone(whole), whole...), 9, codeInvalidRecord},
		{"zeros", make([]byte, 61), 9, codeCorruptMessage},
		{"a format that does not exist", with(func(b []byte) { b[batchMagic] = 3 }), 9, codeCorruptMessage},
		{"an old format", with(func(b []byte) { b[batchMagic] = 1 }), 9, codeInvalidRecord},
		{"an old format in an old request", with(func(b []byte) { b[batchMagic] = 1 }), 2, codeUnsupportedMessageFormat},
		{"less than a header", with(func(b []byte) { binary.BigEndian.PutUint32(b[batchLength:], 20) }), 9, codeCorruptMessage},
	}
	w := one(t, nil)
	for _, tt := range tests {
		req := produceRequest("t", 0, 1, tt.data)
		req.SetVersion(tt.version)
		if got := produceCodes(ask(t, w, 1, req)); !slices.Equal(got, []int16{tt.want}) {
			t.Errorf("%s: got errors %v, want %d", tt.name, got, tt.want)
		}
	}
}

// KafkaApis.handleAddPartitionsToTxnRequest: internal topics are refused as if unauthorized,
// and what could have been added is told that it was not tried.
func TestAddPartitionsThatAreRefused(t *testing.T) {
	w, s := txnWorld(t, nil)
	expect(t, "init", s.init(60*sec), 0)
	tests := []struct {
		topics []kmsg.AddPartitionsToTxnRequestTopic
		want   string
	}{
		{[]kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: []int32{0, 70}}, {Topic: offsetsTopic, Partitions: []int32{0}}, {Topic: "no", Partitions: []int32{0}}}, "[55 3 29 3]"},
		{[]kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: []int32{0, 70}}}, "[55 3]"},
		{[]kmsg.AddPartitionsToTxnRequestTopic{{Topic: txnTopic, Partitions: []int32{0}}}, "[29]"},
		{[]kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: []int32{0}}}, "[0]"},
	}
	for _, tt := range tests {
		req := kmsg.NewPtrAddPartitionsToTxnRequest()
		req.SetVersion(3)
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Topics = s.id, s.pid, s.epoch, tt.topics
		var got []int16
		for _, rt := range ask(t, w, s.coordinator(), req).(*kmsg.AddPartitionsToTxnResponse).Topics {
			for _, rp := range rt.Partitions {
				got = append(got, rp.ErrorCode)
			}
		}
		if fmt.Sprint(got) != tt.want {
			t.Errorf("%v: got errors %v, want %s", tt.topics, got, tt.want)
		}
	}
}

// ReplicationControlManager.createTopic: who may create a topic but not describe its configs
// is not told its configs nor its size. A refused topic has a list of configs all the same.
func TestCreateTopicsHidesConfigs(t *testing.T) {
	g := newGuarded(t)
	g.may(onCluster, clusterName, opCreate)
	g.may(onTopic, "open", opDescribeConfigs)
	req := at(kmsg.NewPtrCreateTopicsRequest())
	for _, name := range []string{"open", "shut", "no good"} {
		rt := kmsg.NewCreateTopicsRequestTopic()
		rt.Topic, rt.NumPartitions, rt.ReplicationFactor = name, 2, 1
		req.Topics = append(req.Topics, rt)
	}
	var got []string
	for _, rt := range g.as("ann", req).(*kmsg.CreateTopicsResponse).Topics {
		got = append(got, fmt.Sprint(rt.Topic, " ", rt.ErrorCode, rt.ConfigErrorCode, rt.NumPartitions, rt.ReplicationFactor, len(rt.Configs) > 0, rt.Configs == nil, rt.TopicID != [16]byte{}))
	}
	want := []string{"open 0 0 2 1 true false true", "shut 0 29 -1 -1 false false true", "no good 17 0 -1 -1 false false false"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// UnifiedLog.roll and LogManager.flushDirtyLogs: what lies before the active segment is on
// the disk, and flush.ms does nothing unless somebody looks, log.initial.task.delay.ms after
// the start and every log.flush.scheduler.interval.ms.
func TestWhatIsFlushedWhenThePowerGoes(t *testing.T) {
	size := len(makeBatch(0, 1, 8, -1, -1, -1))
	tests := []struct {
		name          string
		topic, broker map[string]string
		wait          int // seconds from the start until the five records are written
		rest          int // and from there until the power goes
		want          int64
	}{
		{"one segment", nil, nil, 50, 1, 0},
		{"segments of two records", map[string]string{"segment.bytes": fmt.Sprint(2 * size)}, nil, 50, 1, 4},
		{"flush.ms and nobody who looks", map[string]string{"flush.ms": "1"}, nil, 50, 2, 0},
		{"flush.ms and the first look", map[string]string{"flush.ms": "1"}, nil, 25, 10, 5},
		{"the first look without flush.ms", nil, nil, 25, 10, 0},
		{"flush.ms and looks", map[string]string{"flush.ms": "1"}, map[string]string{"log.flush.scheduler.interval.ms": "1000"}, 50, 2, 5},
		{"looks without flush.ms are its default", nil, map[string]string{"log.flush.scheduler.interval.ms": "1000"}, 50, 2, 5},
		{"looks and a flush.ms that has not come", map[string]string{"flush.ms": "90000"}, map[string]string{"log.flush.scheduler.interval.ms": "1000"}, 50, 2, 0},
	}
	for _, tt := range tests {
		w := newWorld(t, Options{Config: tt.broker})
		settle(t, w)
		createTopic(t, w, 1, "t", 1, 1, tt.topic, nil)
		w.Advance(sec * time.Duration(tt.wait))
		for i := range int64(5) {
			produced(t, w, 1, -1, makeBatch(i, 1, 8, -1, -1, -1))
		}
		w.Advance(w.Now() + sec*time.Duration(tt.rest))
		must(t, w.PowerOff(1))
		must(t, w.Start(1))
		settle(t, w)
		if got := w.Replicas(1)[0].LogEnd; got != tt.want {
			t.Errorf("%s: got log end %d, want %d", tt.name, got, tt.want)
		}
	}
}

// ProducerStateManager.removeExpiredProducers: an idle producer is forgotten by the time of
// its last batch, and what it sends then need not follow; one in a transaction is not.
func TestIdleProducersAreForgotten(t *testing.T) {
	w := newWorld(t, Options{Config: map[string]string{"producer.id.expiration.ms": "60000", "producer.id.expiration.check.interval.ms": "10000"}})
	settle(t, w)
	createTopic(t, w, 1, "t", 1, 1, nil, nil)
	r := w.byID[1].broker.replicas[partitionKey{"t", 0}]
	put := func(id int64, sequence int32, attributes int16) int16 {
		b := newBatch(wall(w), []GroupRecord{{Value: []byte("v")}})
		b.setProducer(id, 0, attributes, sequence)
		if attributes != 0 {
			r.append(b) // as if its coordinator had been asked
			return 0
		}
		return produced(t, w, 1, 1, b.data).ErrorCode
	}
	began := w.Now()
	expect(t, "first", put(7, 0, 0), 0)
	expect(t, "first of another", put(8, 0, 0), 0)
	put(9, 0, attrTransactional)
	expect(t, "a gap", put(7, 5, 0), codeOutOfOrderSequence)
	w.Advance(began + 50*sec)
	expect(t, "second", put(8, 1, 0), 0)
	w.Advance(began + 75*sec)
	if got, want := fmt.Sprint(r.log.producerIDs()), "[8 9]"; got != want {
		t.Errorf("got producers %s, want %s", got, want)
	}
	expect(t, "a gap after it was forgotten", put(7, 5, 0), 0)
	expect(t, "a gap of one that was not", put(8, 5, 0), codeOutOfOrderSequence)
}

// KafkaApis.handleListOffsetRequestV1AndAbove: special timestamps of later versions are not
// taken for anything, and a partition that is named twice is answered with an error.
func TestListOffsetsOfSpecialTimes(t *testing.T) {
	w := one(t, nil)
	tests := []struct {
		version int16
		times   []int64
		want    string
	}{
		{1, []int64{-1}, "[0]"},
		{1, []int64{-2}, "[0]"},
		{6, []int64{-3}, "[35]"},
		{7, []int64{-3}, "[0]"},
		{7, []int64{-4}, "[35]"},
		{8, []int64{-4}, "[0]"},
		{8, []int64{-5}, "[35]"},
		{9, []int64{-5}, "[0]"},
		{9, []int64{-6}, "[35]"},
		{9, []int64{-1, -2}, "[42 42]"},
	}
	for _, tt := range tests {
		req := kmsg.NewPtrListOffsetsRequest()
		req.SetVersion(tt.version)
		req.ReplicaID = -1
		rt := kmsg.ListOffsetsRequestTopic{Topic: "t"}
		for _, at := range tt.times {
			rt.Partitions = append(rt.Partitions, kmsg.ListOffsetsRequestTopicPartition{Timestamp: at, CurrentLeaderEpoch: -1})
		}
		req.Topics = append(req.Topics, rt)
		var got []int16
		for _, rp := range ask(t, w, 1, req).(*kmsg.ListOffsetsResponse).Topics[0].Partitions {
			got = append(got, rp.ErrorCode)
		}
		if fmt.Sprint(got) != tt.want {
			t.Errorf("version %d, times %v: got errors %v, want %s", tt.version, tt.times, got, tt.want)
		}
	}
}

// KafkaApis.handleInitProducerIdRequest: a producer id without an epoch, or the reverse, is
// refused with a transactional id or without.
func TestInitWithHalfAProducer(t *testing.T) {
	w, s := txnWorld(t, nil)
	for _, id := range []*string{nil, &s.id} {
		for _, p := range []producerEpoch{{5, -1}, {-1, 3}} {
			req := at(kmsg.NewPtrInitProducerIDRequest())
			req.TransactionalID, req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = id, 1000, p.id, p.epoch
			r := ask(t, w, s.coordinator(), req).(*kmsg.InitProducerIDResponse)
			if r.ErrorCode != codeInvalidRequest || r.ProducerID != -1 || r.ProducerEpoch != -1 {
				t.Errorf("%v: got error %d, id %d, epoch %d; want %d and neither", p, r.ErrorCode, r.ProducerID, r.ProducerEpoch, codeInvalidRequest)
			}
		}
	}
}

// ReplicaManager.deleteRecordsOnLocalLog: the coordinators' topics are not to be emptied.
func TestDeleteRecordsOfInternalTopics(t *testing.T) {
	w, s := txnWorld(t, nil)
	s.coordinator() // makes the topic
	req := at(kmsg.NewPtrDeleteRecordsRequest())
	for _, name := range []string{"t", txnTopic, "nope"} {
		rt := kmsg.DeleteRecordsRequestTopic{Topic: name, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Offset: 0}}}
		req.Topics = append(req.Topics, rt)
	}
	var got []int16
	for _, rt := range ask(t, w, leaders(w, "t")[0], req).(*kmsg.DeleteRecordsResponse).Topics {
		got = append(got, rt.Partitions[0].ErrorCode)
	}
	if want := []int16{0, codeInvalidTopic, codeUnknownTopicOrPartition}; !slices.Equal(got, want) {
		t.Errorf("got errors %v, want %v", got, want)
	}
}

// TestHighWaterMarkBelowMinISR: with fewer in-sync replicas than min.insync.replicas the
// high-water mark stays, whatever acks the records came with, and a lower setting alone
// does not move it (Partition.maybeIncrementLeaderHW, KIP-966; seen on 3.9.1).
func TestHighWaterMarkBelowMinISR(t *testing.T) {
	w := newWorld(t, Options{Brokers: 3, Controllers: 1, Config: map[string]string{"broker.session.timeout.ms": "2000", "broker.heartbeat.interval.ms": "500"}})
	settle(t, w)
	createTopic(t, w, 1, "t", 1, 3, map[string]string{"min.insync.replicas": "2"}, [][]int32{{1, 2, 3}})
	mark := func() int64 { return w.Replicas(1)[0].HighWatermark }
	record := func() {
		t.Helper()
		if got := produced(t, w, 1, 1, makeBatch(0, 1, 1, -1, -1, -1)); got.ErrorCode != 0 {
			t.Fatalf("acks 1: got error %d, want none", got.ErrorCode)
		}
		w.Advance(w.Now() + sec)
	}
	record()
	if got := mark(); got != 1 {
		t.Fatalf("all in sync: got a high-water mark of %d, want 1", got)
	}
	must(t, w.Kill(2))
	must(t, w.Kill(3))
	w.Advance(w.Now() + 4*sec)
	if p := w.Partitions(0)[0]; !slices.Equal(p.ISR, []int32{1}) {
		t.Fatalf("got in-sync replicas %v, want [1]", p.ISR)
	}
	record()
	if got := mark(); got != 1 {
		t.Errorf("one in sync, two wanted: got a high-water mark of %d, want 1", got)
	}
	if code, message := alter(t, w, resourceTopic, "t", "min.insync.replicas", "1"); code != 0 {
		t.Fatalf("alter: got error %d %s", code, message)
	}
	w.Advance(w.Now() + 5*sec)
	if got := mark(); got != 1 {
		t.Errorf("one wanted, nothing appended since: got a high-water mark of %d, want 1", got)
	}
	record()
	if got := mark(); got != 3 {
		t.Errorf("one wanted, a record appended: got a high-water mark of %d, want 3", got)
	}
}
