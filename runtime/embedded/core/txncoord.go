package core

// This file defines the transaction coordinator of a broker: it leads partitions of
// __transaction_state and decides what becomes of the transactions there.

import (
	"maps"
	"slices"
	"time"

	"starfall/runtime/embedded/internal/rules"
)

// txnCoordinator coordinates the transactional ids of the partitions that its broker leads.
type txnCoordinator struct {
	b       *broker
	led     map[int32]*txnPartition
	markers markerSender
}

// txnPartition is a partition of __transaction_state that is led in one leader epoch.
type txnPartition struct {
	number int32
	epoch  int32 // the coordinator epoch of its markers
	txns   map[string]*txn
	// loading: what was read is not all committed yet.
	loading bool
}

func newTxnCoordinator(b *broker) *txnCoordinator {
	c := &txnCoordinator{b: b, led: map[int32]*txnPartition{}}
	c.markers = markerSender{c: c, busy: map[int32]bool{}}
	return c
}

func (c *txnCoordinator) start() {
	cfg := c.b.n.cfg
	c.repeat(cfg.ms("transaction.abort.timed.out.transaction.cleanup.interval.ms"), c.abortTimedOut)
	c.repeat(cfg.ms("transaction.remove.expired.transaction.cleanup.interval.ms"), c.removeExpired)
}

func (c *txnCoordinator) repeat(every time.Duration, fn func()) {
	c.b.n.after(every, func() {
		fn()
		c.repeat(every, fn)
	})
}

func (c *txnCoordinator) now() int64 { return c.b.n.w.wallMillis(c.b.n.w.now) }

// load takes over a partition. What its log says holds as soon as all of it is committed:
// until then the next leader may not have the last of it, and a client that was told so
// from memory would write in a transaction that nobody ends. Kafka does not wait, but
// answers COORDINATOR_LOAD_IN_PROGRESS for as long as it reads.
func (c *txnCoordinator) load(r *replica) {
	p := &txnPartition{number: r.key.partition, epoch: r.epoch, txns: readTxns(r.log), loading: true}
	c.led[p.number] = p
	end := r.log.next
	if r.hw >= end {
		c.loaded(p)
		return
	}
	r.wait(end, func(int16) {
		if c.leads(p) && r.hw >= end {
			c.loaded(p)
		}
	})
}

// loaded carries out what is decided.
func (c *txnCoordinator) loaded(p *txnPartition) {
	p.loading = false
	for _, t := range sortedTxns(p.txns) {
		if t.state.preparing() && !c.b.without(rules.FinishDecided) {
			c.complete(p, t)
		}
	}
}

func (c *txnCoordinator) unload(partition int32) { delete(c.led, partition) }

// partitions lists what is led and loaded, in order; all tells that nothing is loading.
func (c *txnCoordinator) partitions() (out []*txnPartition, all bool) {
	all = true
	for _, number := range slices.Sorted(maps.Keys(c.led)) {
		if c.led[number].loading {
			all = false
			continue
		}
		out = append(out, c.led[number])
	}
	return out, all
}

// leads: the partition is still the one that was loaded.
func (c *txnCoordinator) leads(p *txnPartition) bool { return c.led[p.number] == p }

// find gives a transactional id's partition and, when it is known, its transaction.
func (c *txnCoordinator) find(id string) (*txnPartition, *txn, int16) {
	if id == "" {
		return nil, nil, codeInvalidRequest
	}
	p := c.led[c.b.txnPartition(id)]
	if p == nil {
		return nil, nil, codeNotCoordinator
	}
	if p.loading {
		return nil, nil, codeCoordinatorLoading
	}
	return p, p.txns[id], 0
}

// store writes a transition and, once it is committed, lets it hold. The transaction's
// pending state is the new one until done is called.
func (c *txnCoordinator) store(p *txnPartition, t *txn, next txnMetadata, done func(code int16)) {
	t.pending = next.state
	bt := newBatch(c.now(), []GroupRecord{{Key: txnKey(t.id), Value: next.value()}})
	timeout := time.Duration(next.timeoutMS) * time.Millisecond
	c.b.appendInternal(partitionKey{txnTopic, p.number}, bt, timeout, func(code int16) {
		if !c.leads(p) {
			done(codeNotCoordinator)
			return
		}
		t.pending = txnNone
		switch code {
		case 0:
			if next.producerID != t.producerID {
				t.lastProducerID = t.producerID
			}
			t.txnMetadata = next
			t.failedFence = false
		case codeUnknownTopicOrPartition, codeNotEnoughReplicas, codeNotEnoughReplicasAfter, codeRequestTimedOut:
			code = codeCoordinatorNotAvailable
		case codeNotLeaderOrFollower, codeKafkaStorage:
			code = codeNotCoordinator
		default:
			code = codeUnknownServer
		}
		done(code)
	})
}

// initProducer answers InitProducerId of a transactional id: it fences every earlier
// producer of it. expected is the id and epoch that the client has (KIP-360), or none.
func (c *txnCoordinator) initProducer(id string, timeoutMS int32, expected producerEpoch, done func(producerID int64, epoch, code int16)) {
	fail := func(code int16) { done(-1, -1, code) }
	p, t, code := c.find(id)
	switch {
	case id != "" && (timeoutMS <= 0 || int64(timeoutMS) > c.b.n.cfg.long("transaction.max.timeout.ms")):
		fail(codeInvalidTxnTimeout)
	case code != 0:
		fail(code)
	case t != nil:
		c.initTxn(p, t, timeoutMS, expected, done)
	default:
		c.b.newProducerID(func(producerID int64, code int16) {
			switch {
			case code != 0:
				fail(code)
				return
			case !c.leads(p):
				fail(codeNotCoordinator)
				return
			}
			t := p.txns[id]
			if t == nil { // else another request was faster
				t = &txn{id: id, pending: txnNone, lastProducerID: -1, txnMetadata: txnMetadata{
					producerID: producerID, epoch: -1, lastEpoch: -1, timeoutMS: timeoutMS,
					partitions: map[partitionKey]bool{}, started: -1, updated: c.now(),
				}}
				p.txns[id] = t
			}
			c.initTxn(p, t, timeoutMS, expected, done)
		})
	}
}

// mayInit: a client that names its producer id and epoch must be the current producer, or
// the one before it whose epochs were used up.
func (t *txn) mayInit(e producerEpoch) bool {
	return e.id < 0 || t.epoch < 0 || e.id == t.producerID || e.id == t.lastProducerID && e.epoch >= maxTxnEpoch
}

func (c *txnCoordinator) initTxn(p *txnPartition, t *txn, timeoutMS int32, expected producerEpoch, done func(producerID int64, epoch, code int16)) {
	fail := func(code int16) { done(-1, -1, code) }
	write := func(next txnMetadata) {
		c.store(p, t, next, func(code int16) { done(next.producerID, next.epoch, code) })
	}
	empty := t.with(txnEmpty, c.now())
	empty.timeoutMS, empty.partitions, empty.started = timeoutMS, map[partitionKey]bool{}, -1
	switch {
	case t.pending != txnNone:
		fail(codeConcurrentTransactions)
	case !t.mayInit(expected):
		fail(codeProducerFenced)
	case t.state.preparing():
		fail(codeConcurrentTransactions)
	case t.state == txnOngoing:
		// The old producer's transaction is aborted first; the client asks again.
		c.end(p, t, producerEpoch{t.producerID, t.fence()}, false, false, func(code int16) {
			if code == 0 {
				code = codeConcurrentTransactions
			}
			fail(code)
		})
	case t.epoch >= maxTxnEpoch && (expected.id < 0 || expected.epoch == t.epoch):
		t.pending = txnEmpty
		c.b.newProducerID(func(producerID int64, code int16) {
			if !c.leads(p) {
				code = codeNotCoordinator
			}
			if code != 0 {
				t.pending = txnNone
				fail(code)
				return
			}
			empty.lastEpoch = -1
			if expected.id >= 0 {
				empty.lastEpoch = t.epoch
			}
			empty.producerID, empty.epoch = producerID, 0
			write(empty)
		})
	case expected.id < 0 && t.epoch >= 0 && c.b.without(rules.FenceOnInit):
		write(empty)
	case expected.id < 0:
		empty.epoch, empty.lastEpoch = t.epoch+1, -1
		write(empty)
	case t.epoch < 0 || expected.epoch == t.epoch:
		empty.epoch, empty.lastEpoch = t.epoch+1, t.epoch
		write(empty)
	case expected.epoch == t.lastEpoch:
		write(empty) // the same request again: nothing to raise
	default:
		fail(codeProducerFenced)
	}
}

// fence makes the abort of an ongoing transaction pending and gives the epoch, raised by
// one, that it is to have.
func (t *txn) fence() int16 {
	t.pending = txnPrepareEpochFence
	if t.failedFence {
		return t.epoch
	}
	return t.epoch + 1
}

// check finds the transaction that a producer speaks of, or why it may not.
func (c *txnCoordinator) check(id string, producer producerEpoch) (*txnPartition, *txn, int16) {
	p, t, code := c.find(id)
	switch {
	case code != 0:
		return nil, nil, code
	case t == nil || t.producerID != producer.id:
		return nil, nil, codeInvalidProducerIDMapping
	case t.epoch != producer.epoch:
		return nil, nil, codeProducerFenced
	}
	return p, t, 0
}

// addPartitions takes partitions into a producer's transaction, which begins with the first.
func (c *txnCoordinator) addPartitions(id string, producer producerEpoch, keys []partitionKey, done func(code int16)) {
	p, t, code := c.check(id, producer)
	switch {
	case code != 0:
		done(code)
		return
	case t.pending != txnNone || t.state.preparing():
		done(codeConcurrentTransactions)
		return
	}
	now := c.now()
	next := t.with(txnOngoing, now)
	if t.state != txnOngoing {
		next.partitions, next.started = map[partitionKey]bool{}, now
	}
	had := len(next.partitions)
	for _, key := range keys {
		next.partitions[key] = true
	}
	if t.state == txnOngoing && len(next.partitions) == had {
		done(0)
		return
	}
	c.store(p, t, next, done)
}

// verify tells a leader whether a partition is part of a producer's open transaction
// (KIP-890), so that a batch that comes late does not open one that nobody ends.
func (c *txnCoordinator) verify(q *txnQuestion) int16 {
	_, t, code := c.check(q.id, q.producer)
	switch {
	case code == codeProducerFenced && c.b.without(rules.ProducerEpoch):
		return 0
	case code != 0:
		return code
	case t.state.preparing():
		return codeConcurrentTransactions
	case !t.partitions[q.key]:
		return codeTransactionAbortable
	}
	return 0
}

// endTxn answers a client's EndTxn.
func (c *txnCoordinator) endTxn(id string, producer producerEpoch, commit bool, done func(code int16)) {
	p, t, code := c.find(id)
	switch {
	case code != 0:
		done(code)
	case t == nil:
		done(codeInvalidProducerIDMapping)
	default:
		c.end(p, t, producer, commit, true, done)
	}
}

// end decides a transaction. done is called when the decision is in the log; the markers
// follow.
func (c *txnCoordinator) end(p *txnPartition, t *txn, producer producerEpoch, commit, fromClient bool, done func(code int16)) {
	prepare, complete := txnPrepareAbort, txnCompleteAbort
	if commit {
		prepare, complete = txnPrepareCommit, txnCompleteCommit
	}
	switch {
	case t.producerID != producer.id:
		done(codeInvalidProducerIDMapping)
		return
	case fromClient && producer.epoch != t.epoch || producer.epoch < t.epoch:
		done(codeProducerFenced)
		return
	case t.pending != txnNone && (t.pending != txnPrepareEpochFence || fromClient):
		done(codeConcurrentTransactions)
		return
	case t.state == complete:
		done(0)
		return
	case t.state == prepare:
		done(codeConcurrentTransactions)
		return
	case t.state != txnOngoing:
		done(codeInvalidTxnState)
		return
	}
	fencing := t.pending == txnPrepareEpochFence
	if fencing {
		t.epoch, t.lastEpoch = producer.epoch, -1
	}
	if c.b.without(rules.DecidedFirst) {
		c.markers.send(&markerJob{p: p, t: t, commit: commit, left: maps.Clone(t.partitions), under: map[partitionKey]bool{}}, func() {})
	}
	c.store(p, t, t.with(prepare, c.now()), func(code int16) {
		if code != 0 && fencing {
			t.failedFence = true
		}
		if code == 0 {
			c.complete(p, t)
		}
		done(code)
	})
}

// complete sends the markers of a decided transaction and then writes that it is over.
func (c *txnCoordinator) complete(p *txnPartition, t *txn) {
	state := txnCompleteAbort
	if t.state == txnPrepareCommit {
		state = txnCompleteCommit
	}
	t.pending = state
	left := maps.Clone(t.partitions)
	if c.b.without(rules.EveryMarker) {
		for i, key := range sortedKeys(left) {
			if i > 0 {
				delete(left, key)
			}
		}
	}
	c.markers.send(&markerJob{p: p, t: t, commit: state == txnCompleteCommit, left: left, under: map[partitionKey]bool{}}, func() {
		c.writeComplete(p, t, state)
	})
}

func (c *txnCoordinator) writeComplete(p *txnPartition, t *txn, state txnState) {
	next := t.with(state, c.now())
	next.partitions = map[partitionKey]bool{}
	c.store(p, t, next, func(code int16) {
		if code == 0 || !c.leads(p) || code == codeNotCoordinator {
			return
		}
		t.pending = state
		c.b.n.after(txnRetry, func() {
			if c.leads(p) {
				c.writeComplete(p, t, state)
			}
		})
	})
}

// abortTimedOut aborts the transactions that have been open for longer than their
// producer said, and fences that producer.
func (c *txnCoordinator) abortTimedOut() {
	if c.b.without(rules.TxnTimeout) {
		return
	}
	now := c.now()
	partitions, _ := c.partitions()
	for _, p := range partitions {
		for _, t := range sortedTxns(p.txns) {
			if t.state == txnOngoing && t.pending == txnNone && t.started+int64(t.timeoutMS) < now {
				c.end(p, t, producerEpoch{t.producerID, t.fence()}, false, false, func(int16) {})
			}
		}
	}
}

// removeExpired forgets transactional ids that have not been used for
// transactional.id.expiration.ms.
func (c *txnCoordinator) removeExpired() {
	limit := c.now() - c.b.n.cfg.long("transactional.id.expiration.ms")
	partitions, _ := c.partitions()
	for _, p := range partitions {
		var gone []*txn
		var records []GroupRecord
		for _, t := range sortedTxns(p.txns) {
			over := t.state == txnEmpty || t.state == txnCompleteCommit || t.state == txnCompleteAbort
			if over && t.pending == txnNone && t.updated <= limit {
				t.pending = txnDead
				gone = append(gone, t)
				records = append(records, GroupRecord{Key: txnKey(t.id)})
			}
		}
		if len(gone) == 0 {
			continue
		}
		c.b.appendInternal(partitionKey{txnTopic, p.number}, newBatch(c.now(), records), c.b.n.cfg.requestTimeout, func(code int16) {
			for _, t := range gone {
				t.pending = txnNone
				if code == 0 && p.txns[t.id] == t {
					delete(p.txns, t.id)
				}
			}
		})
	}
}
