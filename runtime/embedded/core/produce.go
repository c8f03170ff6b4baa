package core

// This file defines how a broker answers Produce, and how it writes for the group
// coordinator.

import (
	"bytes"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/runtime/embedded/codec"
	"starfall/runtime/embedded/internal/rules"
)

// produceState is a produce request whose partitions are answered one by one.
type produceState struct {
	b    *broker
	from ClientConn
	req  *kmsg.ProduceRequest
	resp *kmsg.ProduceResponse
	// partitions is how many there are in all, and left how many of them still wait.
	partitions, left int
	reply            func(kmsg.Response)
	waiting          []produceWaiter // one a partition, two in a transaction; never grows beyond its room
	sent             bool            // every partition has been looked at
	timeout          *timer
	done             bool
	// unpack is how many bytes its batches may still unpack to.
	unpack int64
	// batches has room for the next of its batches, which lie together as their records do.
	batches []batch
	// kept are the bytes of those of its batches that are in logs or will be, and appended
	// those batches.
	kept     int
	appended []*batch
}

// A request may unpack to codec.MaxUnpacked, as each of its batches may, or to so many times
// its batches' size. Brokers unpack batches to look at each record, and while this one does,
// nobody is served.
const unpackedTimes = 20

// batchesTogether is how many batches of a request share a piece of memory at most, which is
// held for as long as one of them is.
const batchesTogether = 64

// place is where the next batch may be made; it is given again unless it is taken.
func (s *produceState) place() *batch {
	n := len(s.batches)
	if n == cap(s.batches) {
		n, s.batches = 0, make([]batch, 0, min(batchesTogether, s.partitions))
	}
	return &s.batches[:n+1][n]
}

// take keeps the batch that was made in place.
func (s *produceState) take() { s.batches = s.batches[:len(s.batches)+1] }

// waits adds what an unfinished partition waits for: the transaction's coordinator, or an
// offset.
func (s *produceState) waits(r *replica, part *kmsg.ProduceResponseTopicPartition, offset int64) *produceWaiter {
	part.ErrorCode = codePending
	s.left++
	if s.waiting == nil {
		room := s.partitions
		if s.req.TransactionID != nil {
			room *= 2
		}
		s.waiting = make([]produceWaiter, 0, room)
	}
	s.waiting = append(s.waiting, produceWaiter{offset: offset, s: s, r: r, part: part})
	return &s.waiting[len(s.waiting)-1]
}

// settle notes that a partition waits no more.
func (s *produceState) settle() {
	s.left--
	if s.left == 0 && s.sent && !s.done {
		s.finish()
	}
}

func (b *broker) produce(from ClientConn, req *kmsg.ProduceRequest, reply func(kmsg.Response)) {
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	came, partitions := 0, 0
	for i := range req.Topics {
		partitions += len(req.Topics[i].Partitions)
		for j := range req.Topics[i].Partitions {
			came += len(req.Topics[i].Partitions[j].Records)
		}
	}
	s := &produceState{
		resp: resp, b: b, from: from, req: req, reply: reply, partitions: partitions,
		unpack:   max(codec.MaxUnpacked, unpackedTimes*int64(came)),
		appended: make([]*batch, 0, partitions),
	}
	badAcks := req.Acks != 0 && req.Acks != 1 && req.Acks != -1
	resp.Topics = make([]kmsg.ProduceResponseTopic, len(req.Topics))
	for i := range req.Topics {
		t, rt := &req.Topics[i], &resp.Topics[i]
		rt.Topic = t.Topic
		replicas := b.byTopic[t.Topic]
		rt.Partitions = make([]kmsg.ProduceResponseTopicPartition, len(t.Partitions))
		for j := range t.Partitions {
			if r := replicaOf(replicas, t.Partitions[j].Partition); r != nil {
				r.lookAhead()
			}
		}
		for j := range t.Partitions {
			rp := &rt.Partitions[j]
			*rp = kmsg.NewProduceResponseTopicPartition()
			rp.Partition = t.Partitions[j].Partition
			rp.BaseOffset, rp.LogAppendTime, rp.LogStartOffset = -1, -1, -1
			if badAcks {
				rp.ErrorCode = codeInvalidRequiredAcks
				continue
			}
			b.produceTo(s, replicas, partitionKey{t.Topic, t.Partitions[j].Partition}, t.Partitions[j].Records, rp)
		}
	}
	if 2*s.kept < came {
		// What was refused came in the same piece of memory.
		for _, bt := range s.appended {
			bt.data = bytes.Clone(bt.data)
		}
	}
	s.appended = nil
	if req.Acks == 0 {
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if p.ErrorCode != 0 && p.ErrorCode != codePending {
					// There is no answer to put the error in.
					b.n.w.opts.CloseConn(b.n.id, from.ID)
					reply(nil)
					return
				}
			}
		}
		reply(nil)
		return
	}
	if s.left == 0 {
		s.finish()
		return
	}
	s.sent = true
	s.timeout = b.n.timer(time.Duration(max(req.TimeoutMillis, 0))*time.Millisecond, func() {
		if s.done {
			return
		}
		for i := range s.waiting {
			w := &s.waiting[i]
			w.r.forget(w)
			if w.part.ErrorCode == codePending {
				w.part.ErrorCode = codeRequestTimedOut
				w.part.BaseOffset = -1
			}
		}
		s.finish()
	})
}

// codePending marks a partition that waits for its replicas; it never leaves the broker.
const codePending int16 = -100

func (s *produceState) finish() {
	s.done = true
	s.timeout.stop()
	if s.resp.GetVersion() >= 10 {
		s.nameBrokers()
	}
	s.reply(s.resp)
}

// nameBrokers tells where the leaders are that nameLeader has named.
func (s *produceState) nameBrokers() {
	var seen map[int32]bool
	for i := range s.resp.Topics {
		parts := s.resp.Topics[i].Partitions
		for j := range parts {
			id := parts[j].CurrentLeader.LeaderID
			if id <= 0 || seen[id] {
				continue
			}
			if seen == nil {
				seen = map[int32]bool{}
			}
			seen[id] = true
			nb := kmsg.NewProduceResponseBroker()
			nb.NodeID = id
			nb.Host, nb.Port = s.b.n.w.opts.Address(s.from.Listener, id)
			nb.Rack = s.b.rackOf(id)
			s.resp.Brokers = append(s.resp.Brokers, nb)
		}
	}
}

// nameLeader tells a client that came to the wrong broker who leads (KIP-951).
func (b *broker) nameLeader(resp *kmsg.ProduceResponse, key partitionKey, part *kmsg.ProduceResponseTopicPartition) {
	if resp.GetVersion() < 10 || part.ErrorCode != codeNotLeaderOrFollower {
		return
	}
	if p := b.image().partition(key); p != nil {
		part.CurrentLeader.LeaderID, part.CurrentLeader.LeaderEpoch = p.Leader, p.LeaderEpoch
	}
}

func (b *broker) produceTo(s *produceState, replicas []*replica, key partitionKey, records []byte, part *kmsg.ProduceResponseTopicPartition) {
	req := s.req
	fail := func(code int16, message string) {
		part.ErrorCode = code
		if message != "" {
			part.ErrorMessage = &message
		}
		b.nameLeader(s.resp, key, part)
	}
	r := replicaOf(replicas, key.partition)
	if r == nil || !r.leading {
		_, code := b.leaderOf(key)
		fail(code, "")
		return
	}
	if internalTopic(key.topic) {
		fail(codeInvalidTopic, "")
		return
	}
	if req.Acks == -1 && r.underMin {
		fail(codeNotEnoughReplicas, "")
		return
	}
	bt := s.place()
	err := bt.parse(records, r.settings.maxMessageBytes)
	switch {
	case errors.Is(err, errTooLarge):
		fail(codeMessageTooLarge, "")
		return
	case errors.Is(err, errOldMagic) && req.GetVersion() < 3:
		fail(codeUnsupportedMessageFormat, "") // Kafka 3.9 would convert it
		return
	case errors.Is(err, errInvalidRecord), errors.Is(err, errOldMagic):
		fail(codeInvalidRecord, "One or more records have been rejected")
		return
	case err != nil:
		fail(codeCorruptMessage, "")
		return
	case bt.transactional() && bt.producerID < 0:
		fail(codeInvalidRecord, "One or more records have been rejected")
		return
	case bt.codec() == codec.Zstd && req.GetVersion() < 7:
		fail(codeUnsupportedCompression, "") // KIP-110
		return
	}
	if rules := r.rules(); bt.looksInside(rules) {
		code, message := bt.checkRecords(&b.n.w.codec, rules, min(s.unpack, codec.MaxUnpacked))
		s.unpack -= min(s.unpack, codec.MaxUnpacked) - b.n.w.codec.Left()
		if code != 0 {
			fail(code, message)
			return
		}
	}
	s.take()
	if !bt.transactional() {
		b.appendProduced(s, r, bt, part)
		return
	}
	// What waits for the transaction's coordinator waits as for replicas.
	s.kept += len(records)
	s.waits(r, part, 0)
	b.verifyTxn(r, *req.TransactionID, bt.producerID, bt.producerEpoch, func(code int16) {
		if s.done && req.Acks != 0 {
			return // timed out meanwhile: it must not be written after the answer
		}
		if code == codeTransactionAbortable && req.GetVersion() < 11 {
			code = codeInvalidTxnState
		}
		part.ErrorCode = code
		if code == 0 {
			b.appendProduced(s, r, bt, part)
		} else {
			b.nameLeader(s.resp, key, part)
		}
		s.settle()
	})
}

// appendProduced writes a batch that has been found good, unless its producer says no.
func (b *broker) appendProduced(s *produceState, r *replica, bt *batch, part *kmsg.ProduceResponseTopicPartition) {
	if bt.producerID >= 0 && !b.without(rules.Sequence) {
		duplicate, code := r.log.checkSequence(bt)
		if code != 0 && !(code == codeInvalidProducerEpoch && b.without(rules.ProducerEpoch)) {
			part.ErrorCode = code
			return
		}
		if duplicate != nil {
			part.BaseOffset, part.LogStartOffset = duplicate.base, r.log.start
			b.awaitISR(s, r, part, duplicate.last+1)
			return
		}
	}
	if !r.settings.compressAsSent && bt.codec() != r.settings.compression {
		var err error
		if bt, err = bt.repacked(&b.n.w.codec, r.settings.compression, r.settings.compressionLevel, r.settings.maxMessageBytes); err != nil {
			part.ErrorCode = codeCorruptMessage
			if errors.Is(err, codec.ErrTooLarge) {
				part.ErrorCode = codeMessageTooLarge
			}
			return
		}
	}
	s.kept += len(bt.data)
	s.appended = append(s.appended, bt)
	r.append(bt)
	part.BaseOffset, part.LogStartOffset = bt.base, r.log.start
	if r.settings.logAppendTime {
		part.LogAppendTime = bt.maxTime
	}
	b.awaitISR(s, r, part, bt.last+1)
}

// awaitISR lets a partition of an acks=all request wait until offset is committed.
func (b *broker) awaitISR(s *produceState, r *replica, part *kmsg.ProduceResponseTopicPartition, offset int64) {
	if s.req.Acks != -1 {
		return
	}
	if r.hw >= offset {
		if len(r.maximalISR()) < r.effectiveMinISR() {
			part.ErrorCode = codeNotEnoughReplicasAfter
		}
		return
	}
	r.await(s.waits(r, part, offset))
}

// leaderOf finds the replica that this broker leads, or the code that says why not.
func (b *broker) leaderOf(key partitionKey) (*replica, int16) {
	r := b.replicas[key]
	switch {
	case r != nil && r.leading:
		return r, 0
	case r == nil && b.image().partition(key) == nil:
		return nil, codeUnknownTopicOrPartition
	}
	return nil, codeNotLeaderOrFollower
}

// groupStorage is the GroupStorage of one broker process.
type groupStorage struct{ b *broker }

var _ GroupStorage = groupStorage{}

// Append writes records of the group coordinator, with acks=all.
func (g groupStorage) Append(partition int32, records []GroupRecord, done func(errorCode int16)) {
	b := g.b
	if len(records) == 0 {
		done(0)
		return
	}
	b.appendInternal(partitionKey{offsetsTopic, partition}, newBatch(b.n.w.wallMillis(b.n.w.now), records), b.n.cfg.ms("offsets.commit.timeout.ms"), func(code int16) {
		done(code)
		b.groupTimers()
	})
}

// AppendTxn writes offsets that a transaction commits.
func (g groupStorage) AppendTxn(partition int32, transactionalID string, txn GroupTxn, records []GroupRecord, done func(errorCode int16)) {
	b := g.b
	answer := func(code int16) {
		done(code)
		b.groupTimers()
	}
	key := partitionKey{offsetsTopic, partition}
	r, code := b.leaderOf(key)
	if code != 0 {
		answer(codeNotLeaderOrFollower)
		return
	}
	b.verifyTxn(r, transactionalID, txn.ProducerID, txn.ProducerEpoch, func(code int16) {
		if p := r.log.producers[txn.ProducerID]; code == 0 && p != nil && txn.ProducerEpoch < p.epoch {
			code = codeInvalidProducerEpoch
		}
		if code != 0 {
			answer(code)
			return
		}
		bt := newBatch(b.n.w.wallMillis(b.n.w.now), records)
		bt.setProducer(txn.ProducerID, txn.ProducerEpoch, attrTransactional, 0)
		b.appendInternal(key, bt, b.n.cfg.ms("offsets.commit.timeout.ms"), answer)
	})
}

// appendInternal writes a coordinator's batch with acks=all. done is called once, at once
// or later.
func (b *broker) appendInternal(key partitionKey, bt *batch, within time.Duration, done func(code int16)) {
	r, code := b.leaderOf(key)
	switch {
	case code != 0:
		done(codeNotLeaderOrFollower)
		return
	case r.underMin:
		done(codeNotEnoughReplicas)
		return
	case len(bt.data) > r.settings.maxMessageBytes:
		done(codeMessageTooLarge)
		return
	}
	r.append(bt)
	if r.hw > bt.last || b.without(rules.CommitStored) {
		done(0)
		return
	}
	var timeout *timer
	w := r.wait(bt.last+1, func(code int16) {
		timeout.stop()
		done(code)
	})
	timeout = b.n.timer(within, func() {
		r.forget(w)
		done(codeRequestTimedOut)
	})
}

// loadGroups hands the whole log of a partition of __consumer_offsets to the coordinator.
func (b *broker) loadGroups(r *replica) {
	if b.groups == nil {
		return
	}
	var records []GroupRecord
	for _, e := range r.log.entries {
		if !e.b.control() {
			records = append(records, e.b.groupRecords()...)
			continue
		}
		if commit, _, ok := e.b.marker(); ok {
			records = append(records, GroupRecord{Txn: &GroupTxn{e.b.producerID, e.b.producerEpoch, txnEnd(commit)}})
		}
	}
	b.groups.Load(b.n.w.now, r.key.partition, records)
}
