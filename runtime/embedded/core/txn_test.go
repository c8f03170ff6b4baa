package core

// This file tests transactions under the virtual clock: what clients are answered, what
// readers see, fencing, timeouts, fail-over of the coordinator.

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// txnClient is a transactional producer by hand.
type txnClient struct {
	t     testing.TB
	w     *World
	id    string
	pid   int64
	epoch int16
	seq   map[int32]int32
}

func (s *txnClient) coordinator() int32 {
	s.t.Helper()
	req := at(kmsg.NewPtrFindCoordinatorRequest())
	req.CoordinatorType, req.CoordinatorKeys = 1, []string{s.id}
	var node int32
	err := within(s.w, 60*sec, func() error {
		for _, n := range s.w.nodes {
			if n.isBroker && n.state == Running {
				c := ask(s.t, s.w, n.id, req).(*kmsg.FindCoordinatorResponse).Coordinators[0]
				if c.ErrorCode == 0 && s.w.byID[c.NodeID].state == Running {
					node = c.NodeID
					return nil
				}
				return fmt.Errorf("coordinator: error %d", c.ErrorCode)
			}
		}
		return fmt.Errorf("no broker")
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return node
}

// insist asks the coordinator until the answer is none of those that waiting mends.
func (s *txnClient) insist(req kmsg.Request, code func(kmsg.Response) int16) int16 {
	s.t.Helper()
	var got int16
	err := within(s.w, 60*sec, func() error {
		got = code(ask(s.t, s.w, s.coordinator(), req))
		if slices.Contains([]int16{codeConcurrentTransactions, codeNotCoordinator, codeCoordinatorNotAvailable, codeCoordinatorLoading}, got) {
			return fmt.Errorf("error %d", got)
		}
		return nil
	})
	if err != nil {
		s.t.Fatalf("%s: %v", kmsg.NameForKey(req.Key()), err)
	}
	return got
}

func (s *txnClient) init(timeout time.Duration) int16 {
	s.t.Helper()
	req := at(kmsg.NewPtrInitProducerIDRequest())
	req.TransactionalID, req.TransactionTimeoutMillis = &s.id, int32(timeout/time.Millisecond)
	req.ProducerID, req.ProducerEpoch = -1, -1
	return s.insist(req, func(r kmsg.Response) int16 {
		resp := r.(*kmsg.InitProducerIDResponse)
		s.pid, s.epoch, s.seq = resp.ProducerID, resp.ProducerEpoch, map[int32]int32{}
		return resp.ErrorCode
	})
}

func (s *txnClient) add(topic string, partitions ...int32) int16 {
	s.t.Helper()
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.SetVersion(3)
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = s.id, s.pid, s.epoch
	req.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: topic, Partitions: partitions}}
	return s.insist(req, func(r kmsg.Response) int16 {
		return r.(*kmsg.AddPartitionsToTxnResponse).Topics[0].Partitions[0].ErrorCode
	})
}

func (s *txnClient) produce(partition int32, first int64, n int) int16 {
	s.t.Helper()
	data := makeTxnBatch(first, n, s.pid, s.epoch, s.seq[partition])
	req := produceRequest("t", partition, -1, data)
	req.TransactionID = &s.id
	var code int16
	err := within(s.w, 60*sec, func() error {
		code = ask(s.t, s.w, leaders(s.w, "t")[partition], req).(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode
		if code == codeNotEnoughReplicas || code == codeNotLeaderOrFollower {
			return fmt.Errorf("error %d", code)
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if code == 0 {
		s.seq[partition] += int32(n)
	}
	return code
}

func (s *txnClient) end(commit bool) int16 {
	s.t.Helper()
	req := at(kmsg.NewPtrEndTxnRequest())
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = s.id, s.pid, s.epoch, commit
	return s.insist(req, func(r kmsg.Response) int16 { return r.(*kmsg.EndTxnResponse).ErrorCode })
}

func (s *txnClient) state() string {
	s.t.Helper()
	req := at(kmsg.NewPtrDescribeTransactionsRequest())
	req.TransactionalIDs = []string{s.id}
	d := ask(s.t, s.w, s.coordinator(), req).(*kmsg.DescribeTransactionsResponse).TransactionStates[0]
	if d.ErrorCode != 0 {
		return fmt.Sprint("error ", d.ErrorCode)
	}
	return d.State
}

// settled waits until the transaction is over.
func (s *txnClient) settled(want string) {
	s.t.Helper()
	if err := within(s.w, 60*sec, func() error {
		if got := s.state(); got != want {
			return fmt.Errorf("got state %s, want %s", got, want)
		}
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
}

func makeTxnBatch(first int64, n int, pid int64, epoch int16, seq int32) []byte {
	b, err := parseBatch(makeBatch(first, n, 8, pid, epoch, seq), 1<<20)
	if err != nil {
		panic(err)
	}
	b.setProducer(pid, epoch, attrTransactional, seq)
	return b.data
}

// read fetches a partition from the start as a client of an isolation level does.
func read(t testing.TB, w *World, partition int32, isolation int8) []int64 {
	t.Helper()
	var out []int64
	offset := int64(0)
	for {
		req := fetchRequest(offset, 0, 1, 1<<20)
		req.IsolationLevel = isolation
		req.Topics[0].Partitions[0].Partition = partition
		p := ask(t, w, leaders(w, "t")[partition], req).(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if p.ErrorCode != 0 {
			t.Fatalf("fetch: error %d", p.ErrorCode)
		}
		if len(p.RecordBatches) == 0 {
			return out
		}
		got, next := filter(p, isolation)
		out = append(out, got...)
		offset = next
	}
}

// filter gives the numbers in a fetched partition as the Java consumer shows them: with
// read_committed an aborted transaction's batches are left out from its first offset to
// its marker.
func filter(p kmsg.FetchResponseTopicPartition, isolation int8) (out []int64, next int64) {
	aborted := map[int64]bool{}
	list := slices.Clone(p.AbortedTransactions)
	slices.SortFunc(list, func(a, b kmsg.FetchResponseTopicPartitionAbortedTransaction) int {
		return int(a.FirstOffset - b.FirstOffset)
	})
	for data := p.RecordBatches; len(data) > 0; {
		var rb kmsg.RecordBatch
		if err := rb.ReadFrom(data); err != nil {
			panic(err)
		}
		b := &batch{data: data[:rb.Length+12], attributes: rb.Attributes, count: rb.NumRecords, producerID: rb.ProducerID, producerEpoch: rb.ProducerEpoch}
		data = data[rb.Length+12:]
		last := rb.FirstOffset + int64(rb.LastOffsetDelta)
		next = last + 1
		for len(list) > 0 && list[0].FirstOffset <= last {
			aborted[list[0].ProducerID] = true
			list = list[1:]
		}
		switch {
		case b.control():
			delete(aborted, b.producerID)
		case isolation == readCommitted && b.transactional() && aborted[b.producerID]:
		default:
			l := newPartitionLog(topicID{}, nil)
			l.entries = append(l.entries, logEntry{b: b})
			out = append(out, values(l)...)
		}
	}
	return out, next
}

// txnWorld has topic t with two partitions on three brokers, and a session.
func txnWorld(t testing.TB, config map[string]string) (*World, *txnClient) {
	t.Helper()
	all := map[string]string{"broker.session.timeout.ms": "1000", "broker.heartbeat.interval.ms": "200", "transaction.state.log.num.partitions": "5"}
	for k, v := range config {
		all[k] = v
	}
	w := newWorld(t, Options{Brokers: 3, Config: all})
	settle(t, w)
	createTopic(t, w, 1, "t", 2, 3, nil, [][]int32{{1, 2, 3}, {2, 3, 1}})
	return w, &txnClient{t: t, w: w, id: "x"}
}

func expect(t testing.TB, what string, got, want int16) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got error %d, want %d", what, got, want)
	}
}

func TestTransactionIsSeenWholeOrNotAtAll(t *testing.T) {
	for _, commit := range []bool{true, false} {
		t.Run(fmt.Sprint("commit ", commit), func(t *testing.T) {
			w, s := txnWorld(t, nil)
			expect(t, "init", s.init(60*sec), 0)
			expect(t, "add", s.add("t", 0, 1), 0)
			expect(t, "produce", s.produce(0, 10, 3), 0)
			expect(t, "produce", s.produce(1, 20, 2), 0)
			for p := range int32(2) {
				if got := read(t, w, p, readCommitted); len(got) != 0 {
					t.Errorf("partition %d before the end: got %v, want nothing", p, got)
				}
				if got := read(t, w, p, 0); len(got) == 0 {
					t.Errorf("partition %d before the end: read_uncommitted got nothing", p)
				}
			}
			expect(t, "end", s.end(commit), 0)
			want, state := [][]int64{{10, 11, 12}, {20, 21}}, "CompleteCommit"
			if !commit {
				want, state = [][]int64{nil, nil}, "CompleteAbort"
			}
			s.settled(state)
			for p := range int32(2) {
				if got := read(t, w, p, readCommitted); !slices.Equal(got, want[p]) {
					t.Errorf("partition %d: got %v, want %v", p, got, want[p])
				}
				req := at(kmsg.NewPtrListOffsetsRequest())
				req.IsolationLevel = readCommitted
				req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Partition: p, CurrentLeaderEpoch: -1, Timestamp: timestampLatest}}}}
				lo := ask(t, w, leaders(w, "t")[p], req).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
				if want := int64(4 - p); lo.Offset != want {
					t.Errorf("partition %d: got latest offset %d, want %d, past the marker", p, lo.Offset, want)
				}
			}
			// The same request again is answered as before; the other is not valid any more.
			expect(t, "the same end again", s.end(commit), 0)
			expect(t, "the other end", s.end(!commit), codeInvalidTxnState)
			// And the next transaction works.
			expect(t, "add", s.add("t", 0), 0)
			expect(t, "produce", s.produce(0, 30, 1), 0)
			expect(t, "end", s.end(true), 0)
			s.settled("CompleteCommit")
			if got := read(t, w, 0, readCommitted); !slices.Contains(got, 30) {
				t.Errorf("got %v, want the next transaction's record", got)
			}
		})
	}
}

func TestTransactionRequestsThatAreRefused(t *testing.T) {
	w, s := txnWorld(t, map[string]string{"transaction.max.timeout.ms": "100000"})
	expect(t, "timeout too long", s.init(101*sec), codeInvalidTxnTimeout)
	expect(t, "no timeout", s.init(0), codeInvalidTxnTimeout)
	expect(t, "unknown id", (&txnClient{t: t, w: w, id: "unknown"}).add("t", 0), codeInvalidProducerIDMapping)
	expect(t, "init", s.init(60*sec), 0)
	expect(t, "end of nothing", s.end(true), codeInvalidTxnState)
	expect(t, "a partition that does not exist", s.add("t", 0, 99), codeOperationNotAttempted)
	expect(t, "a batch outside a transaction", s.produce(0, 1, 1), codeInvalidTxnState)
	other := *s
	other.epoch = 7
	expect(t, "another epoch", other.add("t", 0), codeProducerFenced)
	other.epoch, other.pid = s.epoch, s.pid+1
	expect(t, "another producer id", other.add("t", 0), codeInvalidProducerIDMapping)
	expect(t, "add", s.add("t", 0), 0)
	expect(t, "a partition that was not added", s.produce(1, 1, 1), codeInvalidTxnState)
	expect(t, "produce", s.produce(0, 1, 1), 0)
	plain := produced(t, w, 1, -1, makeBatch(0, 1, 8, s.pid, s.epoch, 1))
	expect(t, "a plain batch in a transaction", plain.ErrorCode, codeInvalidTxnState)
	old := at(kmsg.NewPtrEndTxnRequest())
	old.SetVersion(1)
	old.TransactionalID, old.ProducerID, old.ProducerEpoch = s.id, s.pid, s.epoch+1
	got := ask(t, w, s.coordinator(), old).(*kmsg.EndTxnResponse).ErrorCode
	expect(t, "an old client that is fenced", got, codeInvalidProducerEpoch)
}

func TestANewProducerFencesItsPredecessor(t *testing.T) {
	w, s := txnWorld(t, nil)
	expect(t, "init", s.init(60*sec), 0)
	expect(t, "add", s.add("t", 0), 0)
	expect(t, "produce", s.produce(0, 10, 2), 0)
	next := &txnClient{t: t, w: w, id: s.id}
	expect(t, "init of the next", next.init(60*sec), 0)
	// One for the fence that aborted what was open, one for the new producer.
	if next.pid != s.pid || next.epoch != s.epoch+2 {
		t.Errorf("got producer %d epoch %d after %d epoch %d, want the same and two epochs more", next.pid, next.epoch, s.pid, s.epoch)
	}
	expect(t, "commit of the old one", s.end(true), codeProducerFenced)
	expect(t, "add of the old one", s.add("t", 1), codeProducerFenced)
	expect(t, "batch of the old one", s.produce(0, 12, 1), codeInvalidProducerEpoch)
	expect(t, "add", next.add("t", 0), 0)
	expect(t, "produce", next.produce(0, 20, 1), 0)
	expect(t, "end", next.end(true), 0)
	next.settled("CompleteCommit")
	if got := read(t, w, 0, readCommitted); !slices.Equal(got, []int64{20}) {
		t.Errorf("got %v, want only the record of the new producer", got)
	}
}

func TestInitWithEpochRaisesItOnce(t *testing.T) {
	w, s := txnWorld(t, nil)
	expect(t, "init", s.init(60*sec), 0)
	again := func(pid int64, epoch int16) *kmsg.InitProducerIDResponse {
		req := at(kmsg.NewPtrInitProducerIDRequest())
		req.TransactionalID, req.TransactionTimeoutMillis = &s.id, 60_000
		req.ProducerID, req.ProducerEpoch = pid, epoch
		return ask(t, w, s.coordinator(), req).(*kmsg.InitProducerIDResponse)
	}
	for _, tt := range []struct {
		name      string
		pid       int64
		epoch     int16
		wantCode  int16
		wantEpoch int16
	}{
		{"the current epoch is raised", s.pid, 0, 0, 1},
		{"the same request again is not", s.pid, 0, 0, 1},
		{"a later one is", s.pid, 1, 0, 2},
		{"an older one is fenced", s.pid, 0, codeProducerFenced, -1},
		{"another producer is fenced", s.pid + 5, 2, codeProducerFenced, -1},
		{"an id without an epoch", s.pid, -1, codeInvalidRequest, -1},
	} {
		if got := again(tt.pid, tt.epoch); got.ErrorCode != tt.wantCode || got.ProducerEpoch != tt.wantEpoch {
			t.Errorf("%s: got error %d epoch %d, want %d and %d", tt.name, got.ErrorCode, got.ProducerEpoch, tt.wantCode, tt.wantEpoch)
		}
	}
}

func TestUsedUpEpochsGetAnotherProducerID(t *testing.T) {
	w, s := txnWorld(t, nil)
	expect(t, "init", s.init(60*sec), 0)
	c := w.byID[s.coordinator()].broker.txns
	_, x, _ := c.find(s.id)
	x.epoch = maxTxnEpoch
	old := s.pid
	expect(t, "init", s.init(60*sec), 0)
	if s.pid == old || s.epoch != 0 {
		t.Errorf("got producer %d epoch %d after producer %d with epoch %d, want a new one at 0", s.pid, s.epoch, old, maxTxnEpoch)
	}
}

func TestTransactionTimesOut(t *testing.T) {
	w, s := txnWorld(t, nil)
	expect(t, "init", s.init(5*sec), 0)
	expect(t, "add", s.add("t", 0, 1), 0)
	expect(t, "produce", s.produce(0, 10, 2), 0)
	w.Advance(w.Now() + 4*sec)
	if got := s.state(); got != "Ongoing" {
		t.Fatalf("before its timeout: got %s, want Ongoing", got)
	}
	w.Advance(w.Now() + 12*sec) // the check runs every ten seconds
	s.settled("CompleteAbort")
	expect(t, "commit", s.end(true), codeProducerFenced)
	if got := read(t, w, 0, readCommitted); len(got) != 0 {
		t.Errorf("got %v, want nothing of the aborted transaction", got)
	}
	if r := w.Replicas(leaders(w, "t")[0]); r[0].LastStable != r[0].HighWatermark {
		for _, x := range r {
			if x.Topic == "t" && x.LastStable != x.HighWatermark {
				t.Errorf("partition %d: got last stable offset %d, want the high-water mark %d", x.Partition, x.LastStable, x.HighWatermark)
			}
		}
	}
}

func TestTransactionalIDExpires(t *testing.T) {
	w, s := txnWorld(t, map[string]string{"transactional.id.expiration.ms": "60000", "transaction.remove.expired.transaction.cleanup.interval.ms": "10000"})
	expect(t, "init", s.init(60*sec), 0)
	w.Advance(w.Now() + 50*sec)
	if got := s.state(); got != "Empty" {
		t.Fatalf("got %s, want Empty", got)
	}
	w.Advance(w.Now() + 30*sec)
	if got := s.state(); got != fmt.Sprint("error ", codeTxnIDNotFound) {
		t.Errorf("got %s, want TRANSACTIONAL_ID_NOT_FOUND", got)
	}
	expect(t, "add", s.add("t", 0), codeInvalidProducerIDMapping)
	// It stays forgotten for the next coordinator.
	must(t, w.Kill(s.coordinator()))
	w.Advance(w.Now() + 8*sec)
	if got := s.state(); got != fmt.Sprint("error ", codeTxnIDNotFound) {
		t.Errorf("after a fail-over: got %s, want TRANSACTIONAL_ID_NOT_FOUND", got)
	}
}

func TestCoordinatorDiesBetweenDecisionAndMarkers(t *testing.T) {
	for _, commit := range []bool{true, false} {
		t.Run(fmt.Sprint("commit ", commit), func(t *testing.T) {
			w, s := txnWorld(t, nil)
			expect(t, "init", s.init(60*sec), 0)
			expect(t, "add", s.add("t", 0, 1), 0)
			expect(t, "produce", s.produce(0, 10, 2), 0)
			expect(t, "produce", s.produce(1, 20, 2), 0)
			dead := s.coordinator()
			req := at(kmsg.NewPtrEndTxnRequest())
			req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = s.id, s.pid, s.epoch, commit
			answered := false
			w.Request(dead, ClientConn{ID: 1}, req, func(kmsg.Response) { answered = true; must(t, w.Kill(dead)) })
			w.Advance(w.Now() + 8*sec)
			if !answered {
				t.Fatal("got no answer to EndTxn")
			}
			want, state := [][]int64{{10, 11}, {20, 21}}, "CompleteCommit"
			if !commit {
				want, state = [][]int64{nil, nil}, "CompleteAbort"
			}
			s.settled(state)
			for p := range int32(2) {
				if got := read(t, w, p, readCommitted); !slices.Equal(got, want[p]) {
					t.Errorf("partition %d: got %v, want %v", p, got, want[p])
				}
			}
		})
	}
}

func TestMarkersWaitForALeader(t *testing.T) {
	w, s := txnWorld(t, nil)
	createTopic(t, w, 1, "alone", 3, 1, nil, [][]int32{{1}, {2}, {3}})
	expect(t, "init", s.init(60*sec), 0)
	c := s.coordinator()
	away := c%3 + 1
	expect(t, "add", s.add("alone", away-1), 0)
	must(t, w.Kill(away))
	w.Advance(w.Now() + 5*sec)
	expect(t, "end", s.end(true), 0)
	w.Advance(w.Now() + 30*sec)
	if got := s.state(); got != "PrepareCommit" {
		t.Errorf("with a partition offline: got %s, want PrepareCommit", got)
	}
	expectOne := at(kmsg.NewPtrAddPartitionsToTxnRequest())
	expectOne.SetVersion(3)
	expectOne.TransactionalID, expectOne.ProducerID, expectOne.ProducerEpoch = s.id, s.pid, s.epoch
	expectOne.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: []int32{0}}}
	got := ask(t, w, s.coordinator(), expectOne).(*kmsg.AddPartitionsToTxnResponse).Topics[0].Partitions[0].ErrorCode
	expect(t, "the next transaction meanwhile", got, codeConcurrentTransactions)
	must(t, w.Start(away))
	s.settled("CompleteCommit")
}

func TestAdministratorsSeeTransactions(t *testing.T) {
	w, s := txnWorld(t, nil)
	expect(t, "init", s.init(60*sec), 0)
	expect(t, "add", s.add("t", 0), 0)
	expect(t, "produce", s.produce(0, 10, 2), 0)
	list := at(kmsg.NewPtrListTransactionsRequest())
	list.DurationFilterMillis = -1
	list.StateFilters = []string{"Ongoing", "Nonsense"}
	l := ask(t, w, s.coordinator(), list).(*kmsg.ListTransactionsResponse)
	if len(l.TransactionStates) != 1 || l.TransactionStates[0].TransactionalID != "x" || !slices.Equal(l.UnknownStateFilters, []string{"Nonsense"}) {
		t.Errorf("got transactions %v, unknown states %v, want x and Nonsense", l.TransactionStates, l.UnknownStateFilters)
	}
	list.DurationFilterMillis = 3_600_000
	if l := ask(t, w, s.coordinator(), list).(*kmsg.ListTransactionsResponse); len(l.TransactionStates) != 0 {
		t.Errorf("running for an hour: got %v, want none", l.TransactionStates)
	}
	dp := at(kmsg.NewPtrDescribeProducersRequest())
	dp.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: "t", Partitions: []int32{0}}}
	a := ask(t, w, leaders(w, "t")[0], dp).(*kmsg.DescribeProducersResponse).Topics[0].Partitions[0].ActiveProducers
	if len(a) != 1 || a[0].ProducerID != s.pid || a[0].LastSequence != 1 || a[0].CurrentTxnStartOffset != 0 || a[0].CoordinatorEpoch != -1 {
		t.Errorf("got producers %+v, want the open transaction from offset 0", a)
	}
	// An administrator ends it by hand.
	m := at(kmsg.NewPtrWriteTxnMarkersRequest())
	m.Markers = []kmsg.WriteTxnMarkersRequestMarker{{ProducerID: s.pid, ProducerEpoch: s.epoch, CoordinatorEpoch: 0,
		Topics: []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: "t", Partitions: []int32{0}}}}}
	got := ask(t, w, leaders(w, "t")[0], m).(*kmsg.WriteTxnMarkersResponse).Markers[0].Topics[0].Partitions[0].ErrorCode
	expect(t, "markers by hand", got, 0)
	a = ask(t, w, leaders(w, "t")[0], dp).(*kmsg.DescribeProducersResponse).Topics[0].Partitions[0].ActiveProducers
	if len(a) != 1 || a[0].CurrentTxnStartOffset != -1 || a[0].CoordinatorEpoch != 0 {
		t.Errorf("got producers %+v, want no open transaction", a)
	}
	m.Markers[0].ProducerEpoch = -1
	got = ask(t, w, leaders(w, "t")[0], m).(*kmsg.WriteTxnMarkersResponse).Markers[0].Topics[0].Partitions[0].ErrorCode
	expect(t, "an old producer's marker", got, codeInvalidProducerEpoch)
}

// TestLastStableOffsetAfterARestart: a process that knows a lower high-water mark than the
// one before it had does not take a transaction for done whose marker is above that.
func TestLastStableOffsetAfterARestart(t *testing.T) {
	w, s := txnWorld(t, nil)
	expect(t, "init", s.init(60*sec), 0)
	expect(t, "add", s.add("t", 0), 0)
	expect(t, "produce", s.produce(0, 10, 1), 0)
	must(t, within(w, 2*checkpointInterval, func() error {
		if got := w.byID[3].disk.logs[partitionKey{"t", 0}].checkpoint; got != 1 {
			return fmt.Errorf("got high-water mark %d on the disk, want 1", got)
		}
		return nil
	}))
	expect(t, "end", s.end(true), 0)
	s.settled("CompleteCommit")
	w.Advance(w.Now() + sec)
	if r, _ := w.Replica(3, "t", 0); r.HighWatermark != 2 || r.LastStable != 2 {
		t.Fatalf("before: got %+v, want high-water mark and last stable offset 2", r)
	}
	must(t, w.Kill(3))
	seen := map[int64]int64{} // high-water mark to last stable offset
	w.opts.OnReplica = func(broker int32, topic string, partition int32) {
		if r, ok := w.Replica(broker, topic, partition); ok && broker == 3 && topic == "t" && partition == 0 {
			seen[r.HighWatermark] = r.LastStable
		}
	}
	must(t, w.Start(3))
	w.Advance(w.Now() + 10*sec)
	if at1, ok := seen[1]; !ok || at1 != 0 || seen[2] != 2 {
		t.Errorf("got last stable offsets by high-water mark %v, want 1:0 and 2:2", seen)
	}
}

// TestCoordinatorWaitsForWhatItHasRead: a new coordinator whose last record is on no other
// broker says that it is loading; what it would say from memory could be taken back.
func TestCoordinatorWaitsForWhatItHasRead(t *testing.T) {
	w := newWorld(t, Options{Brokers: 3, Controllers: 1, Config: map[string]string{
		"broker.session.timeout.ms": "1000", "broker.heartbeat.interval.ms": "200", "transaction.state.log.num.partitions": "1"}})
	settle(t, w)
	createTopic(t, w, 1, "t", 1, 3, nil, [][]int32{{1, 2, 3}})
	s := &txnClient{t: t, w: w, id: "x"}
	expect(t, "init", s.init(60*sec), 0)
	var order []int32 // of leaders
	for _, p := range w.Partitions(0) {
		if p.Topic == txnTopic {
			order = p.Replicas
		}
	}
	// The third broker fetches nothing and stays in sync for replica.lag.time.max.ms.
	third := order[2]
	w.SetPaths(func(from, to int32) Path {
		return Path{Cut: (from == third || to == third) && from < ControllerID(1) && to < ControllerID(1)}
	})
	add := func() *kmsg.AddPartitionsToTxnRequest {
		req := kmsg.NewPtrAddPartitionsToTxnRequest()
		req.SetVersion(3)
		req.TransactionalID, req.ProducerID, req.ProducerEpoch = s.id, s.pid, s.epoch
		req.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: []int32{0}}}
		return req
	}
	w.Request(order[0], ClientConn{ID: 1}, add(), func(kmsg.Response) {})
	w.Advance(w.Now() + sec)
	must(t, w.Kill(order[0]))
	must(t, within(w, 10*sec, func() error {
		if r, _ := w.Replica(order[1], txnTopic, 0); !r.Leader {
			return fmt.Errorf("broker %d does not lead", order[1])
		}
		return nil
	}))
	if r, _ := w.Replica(order[1], txnTopic, 0); r.HighWatermark >= r.LogEnd {
		t.Fatalf("got %+v, want a record that is not committed", r)
	}
	a := ask(t, w, order[1], add()).(*kmsg.AddPartitionsToTxnResponse)
	expect(t, "add before all is committed", a.Topics[0].Partitions[0].ErrorCode, codeCoordinatorLoading)
	list := ask(t, w, order[1], at(kmsg.NewPtrListTransactionsRequest())).(*kmsg.ListTransactionsResponse)
	expect(t, "list before all is committed", list.ErrorCode, codeCoordinatorLoading)
	w.SetPaths(nil)
	expect(t, "add", s.add("t", 0), 0)
	expect(t, "produce", s.produce(0, 10, 1), 0)
	expect(t, "end", s.end(true), 0)
	s.settled("CompleteCommit")
}

// TestOffsetsPartitionMustBeKnown: what the coordinator has not heard of it could not send a
// marker to, so it takes it into no transaction.
func TestOffsetsPartitionMustBeKnown(t *testing.T) {
	w, s := txnWorld(t, nil)
	expect(t, "init", s.init(60*sec), 0)
	req := at(kmsg.NewPtrAddOffsetsToTxnRequest())
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = s.id, s.pid, s.epoch, "g"
	code := func(r kmsg.Response) int16 { return r.(*kmsg.AddOffsetsToTxnResponse).ErrorCode }
	expect(t, "add offsets before the topic is there", code(ask(t, w, s.coordinator(), req)), codeCoordinatorLoading)
	expect(t, "add offsets", s.insist(req, code), 0)
	expect(t, "end", s.end(true), 0)
	s.settled("CompleteCommit")
	if leaders(w, offsetsTopic)[s.w.byID[1].broker.groupPartition("g")] == 0 {
		t.Errorf("got no leader of the group's partition")
	}
}
