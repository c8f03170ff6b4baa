package core

// This file runs transactions under seeded random faults: what is committed is whole, what
// is aborted is never seen by a reader of committed records, whatever happens.

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// txnSchedules is how many random schedules of transactions are tried.
var txnSchedules = flag.Int("txnschedules", 25, "random fault schedules with transactions to try")

// outcome is what a client knows of a transaction.
type outcome int8

const (
	txnInFlight outcome = iota
	txnCommitted
	txnAborted
	txnUnsure // commit was asked for and nobody said what became of it
)

// txnRecord is a transaction as the client sees it: one value in each of its partitions.
type txnRecord struct {
	values map[int32]int64
	outcome
}

// txnLoad is a transactional producer that does one transaction after the other, commits
// most of them, and begins anew with InitProducerId on any trouble.
type txnLoad struct {
	c       *txnChaos
	id      string
	pid     int64
	epoch   int16
	seq     map[int32]int32
	now     *txnRecord
	stopped bool
}

// txnChaos is a chaos whose load are transactions.
type txnChaos struct {
	*chaos
	rng      *rand.Rand
	txns     []*txnRecord
	live     []*txnLoad
	seen     map[int64]int
	position map[int32]int64
}

// call sends a request to a broker; done gets nil when the connection breaks or the
// answer does not come in time.
func (c *txnChaos) call(broker int32, req kmsg.Request, done func(kmsg.Response)) {
	n := c.w.byID[broker]
	if n == nil || !n.accepts(chanFetch) {
		c.w.at(c.w.now+50*ms, func() { done(nil) })
		return
	}
	inc, deadline, settled := n.incarnation, c.w.now+5*sec, false
	finish := func(r kmsg.Response) {
		if !settled {
			settled = true
			done(r)
		}
	}
	var watch func()
	watch = func() {
		switch {
		case settled:
		case n.incarnation != inc || c.w.now >= deadline:
			finish(nil)
		default:
			c.w.at(c.w.now+50*ms, watch)
		}
	}
	watch()
	c.w.Request(broker, ClientConn{ID: 9}, req, finish)
}

// leader is who leads a partition by the metadata of the living.
func (c *txnChaos) leader(key partitionKey) int32 {
	for _, n := range c.w.nodes {
		if n.isBroker && n.accepts(chanFetch) {
			if p := n.broker.image().partition(key); p != nil && n.broker.image().aliveBroker(p.Leader) && c.w.byID[p.Leader].accepts(chanFetch) {
				return p.Leader
			}
		}
	}
	return 0
}

func (l *txnLoad) coordinator() int32 {
	for _, n := range l.c.w.nodes {
		if n.isBroker && n.accepts(chanFetch) {
			return l.c.leader(partitionKey{txnTopic, n.broker.txnPartition(l.id)})
		}
	}
	return 0
}

func mends(code int16) bool {
	return slices.Contains([]int16{codeConcurrentTransactions, codeNotCoordinator, codeCoordinatorNotAvailable, codeCoordinatorLoading, codeNotEnoughReplicas, codeNotEnoughReplicasAfter, codeNotLeaderOrFollower, codeRequestTimedOut, codeUnknownTopicOrPartition}, code)
}

// try sends a request until its code is final, at most tries times; 0 tries again for ever.
func (l *txnLoad) try(to func() int32, tries int, make func() kmsg.Request, code func(kmsg.Response) int16, done func(code int16)) {
	if l.stopped && l.now == nil {
		return
	}
	l.c.call(to(), make(), func(r kmsg.Response) {
		got := codeNetworkException
		if r != nil {
			got = code(r)
		}
		if (r == nil || mends(got)) && tries != 1 {
			l.c.w.at(l.c.w.now+100*ms, func() { l.try(to, max(tries-1, 0), make, code, done) })
			return
		}
		done(got)
	})
}

func (l *txnLoad) start() {
	if l.stopped {
		return
	}
	l.try(l.coordinator, 0, func() kmsg.Request {
		req := at(kmsg.NewPtrInitProducerIDRequest())
		req.TransactionalID, req.TransactionTimeoutMillis = &l.id, 15_000
		req.ProducerID, req.ProducerEpoch = -1, -1
		return req
	}, func(r kmsg.Response) int16 {
		resp := r.(*kmsg.InitProducerIDResponse)
		l.pid, l.epoch, l.seq = resp.ProducerID, resp.ProducerEpoch, map[int32]int32{}
		return resp.ErrorCode
	}, func(code int16) {
		if code != 0 {
			l.c.breaks("%s: InitProducerId: error %d", l.id, code)
			return
		}
		l.begin()
	})
}

// over ends the client's view of a transaction and goes on.
func (l *txnLoad) over(o outcome, anew bool) {
	l.now.outcome = o
	l.now = nil
	switch {
	case l.stopped:
	case anew:
		l.start()
	default:
		l.begin()
	}
}

func (l *txnLoad) begin() {
	if l.stopped {
		return
	}
	n := int64(len(l.c.txns))
	l.now = &txnRecord{values: map[int32]int64{}}
	l.c.txns = append(l.c.txns, l.now)
	var parts []int32
	for _, p := range l.c.rng.Perm(3)[:2] {
		parts = append(parts, int32(p))
		l.now.values[int32(p)] = n*10 + int64(p)
	}
	slices.Sort(parts)
	l.try(l.coordinator, 20, func() kmsg.Request {
		req := kmsg.NewPtrAddPartitionsToTxnRequest()
		req.SetVersion(3)
		req.TransactionalID, req.ProducerID, req.ProducerEpoch = l.id, l.pid, l.epoch
		req.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: parts}}
		return req
	}, func(r kmsg.Response) int16 {
		return r.(*kmsg.AddPartitionsToTxnResponse).Topics[0].Partitions[0].ErrorCode
	}, func(code int16) {
		if code != 0 {
			l.over(txnAborted, true)
			return
		}
		l.write(parts)
	})
}

func (l *txnLoad) write(parts []int32) {
	if len(parts) == 0 {
		l.end(l.c.rng.IntN(4) > 0)
		return
	}
	p := parts[0]
	l.try(func() int32 { return l.c.leader(partitionKey{"t", p}) }, 10, func() kmsg.Request {
		req := produceRequest("t", p, -1, makeTxnBatch(l.now.values[p], 1, l.pid, l.epoch, l.seq[p]))
		req.TransactionID = &l.id
		return req
	}, func(r kmsg.Response) int16 { return r.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode }, func(code int16) {
		if code != 0 {
			l.over(txnAborted, true) // commit was never asked for
			return
		}
		l.seq[p]++
		l.write(parts[1:])
	})
}

func (l *txnLoad) end(commit bool) {
	asked := 0
	l.try(l.coordinator, 30, func() kmsg.Request {
		asked++
		req := at(kmsg.NewPtrEndTxnRequest())
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = l.id, l.pid, l.epoch, commit
		return req
	}, func(r kmsg.Response) int16 { return r.(*kmsg.EndTxnResponse).ErrorCode }, func(code int16) {
		switch {
		case code == 0 && commit:
			l.over(txnCommitted, false)
		case code == 0:
			l.over(txnAborted, false)
		case !commit:
			l.over(txnAborted, true)
		case asked == 1 && code != codeNetworkException:
			l.over(txnAborted, true) // refused at the first time of asking
		default:
			l.over(txnUnsure, true)
		}
	})
}

// look reads on in each partition as a consumer with read_committed does.
func (c *txnChaos) look() {
	for p := range int32(3) {
		leader := c.leader(partitionKey{"t", p})
		if leader == 0 {
			continue
		}
		req := fetchRequest(c.position[p], 0, 1, 1<<20)
		req.IsolationLevel = readCommitted
		req.Topics[0].Partitions[0].Partition = p
		c.w.Request(leader, ClientConn{ID: 8}, req, func(r kmsg.Response) {
			part := r.(*kmsg.FetchResponse).Topics[0].Partitions[0]
			if part.ErrorCode != 0 || len(part.RecordBatches) == 0 || req.Topics[0].Partitions[0].FetchOffset != c.position[p] {
				return // an old leader, or a paused one that answers late
			}
			got, next := filter(part, readCommitted)
			c.position[p] = next
			for _, v := range got {
				c.seen[v]++
			}
		})
	}
}

// judge compares what was read with what the clients were told.
func (c *txnChaos) judge() (committed int) {
	for n, x := range c.txns {
		there := 0
		for _, v := range x.values {
			if c.seen[v] > 1 {
				c.breaks("transaction %d: value %d was read %d times", n, v, c.seen[v])
			}
			there += min(c.seen[v], 1)
		}
		switch {
		case x.outcome == txnCommitted && there != len(x.values):
			c.breaks("transaction %d: committed, %d of its %d records are there", n, there, len(x.values))
		case (x.outcome == txnAborted || x.outcome == txnInFlight) && there > 0:
			c.breaks("transaction %d: aborted, but %d of its records were read", n, there)
		case there > 0 && there < len(x.values):
			c.breaks("transaction %d: %d of its %d records were read", n, there, len(x.values))
		}
		if x.outcome == txnCommitted {
			committed++
		}
	}
	return committed
}

func runTxnChaos(t testing.TB, seed uint64) (*txnChaos, int) {
	c := &txnChaos{chaos: newChaos(t, seed, false), rng: rand.New(rand.NewPCG(seed, 11)), seen: map[int64]int{}, position: map[int32]int64{}}
	for _, l := range c.loads {
		l.stopped = true // only transactions
	}
	c.w.Advance(c.w.Now() + sec)
	for p := range int32(3) {
		c.position[p] = c.w.byID[c.leader(partitionKey{"t", p})].disk.logs[partitionKey{"t", p}].next
	}
	c.w.byID[1].broker.autoCreate(txnTopic)
	settle(t, c.w)
	start := func(i int) *txnLoad {
		l := &txnLoad{c: c, id: fmt.Sprint("id-", i%3)}
		c.live = append(c.live, l)
		l.start()
		return l
	}
	for i := range 3 {
		start(i)
	}
	// Twice another producer with the same id comes up while the old one is at work.
	for i := range 2 {
		c.w.at(c.w.now+time.Duration(10+15*i)*sec, func() { start(i) })
	}
	var looks func()
	looks = func() {
		c.look()
		c.w.at(c.w.now+25*ms, looks)
	}
	looks()
	if err := c.run(40 * sec); err != nil {
		c.breaks("%v", err)
		return c, 0
	}
	for _, l := range c.live {
		l.stopped = true
	}
	// Longer than a transaction's timeout and the check for it.
	c.w.Advance(c.w.Now() + 40*sec)
	for _, id := range c.w.brokers {
		for _, r := range c.w.Replicas(id) {
			if r.Leader && r.LastStable != r.HighWatermark {
				c.breaks("%s-%d: last stable offset %d stays behind the high-water mark %d", r.Topic, r.Partition, r.LastStable, r.HighWatermark)
			}
		}
	}
	return c, c.judge()
}

func TestTransactionsUnderRandomFaults(t *testing.T) {
	committed := 0
	for seed := range uint64(*txnSchedules) {
		c, n := runTxnChaos(t, seed)
		committed += n
		if len(c.broken) > 0 {
			t.Errorf("seed %d: %d invariants broken, the first: %s", seed, len(c.broken), c.broken[0])
		}
	}
	if committed < 40**txnSchedules {
		t.Errorf("got %d transactions committed over %d schedules, want a load worth the name", committed, *txnSchedules)
	}
	t.Logf("%d transactions committed", committed)
}
