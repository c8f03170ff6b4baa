package core

// This file defines what a log remembers of idempotent producers (KIP-98): the epoch
// and the last five batches of each, by which it recognises duplicates and gaps.

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// rememberedBatches is how many batches of a producer a partition remembers.
const rememberedBatches = 5

type producerState struct {
	epoch   int16
	batches []producerBatch // oldest first, at most rememberedBatches
	// txnFirst is where the open transaction begins, -1 for none; coordinatorEpoch that
	// of the last marker, -1 for none; lastTime the time of the last batch or marker.
	txnFirst         int64
	coordinatorEpoch int32
	lastTime         int64
}

type producerBatch struct {
	firstSequence, lastSequence int32
	base, last                  int64
	time                        int64
}

func (p *producerState) lastSequence() int32 {
	if len(p.batches) == 0 {
		return -1
	}
	return p.batches[len(p.batches)-1].lastSequence
}

// updateProducer takes note of a batch that was appended.
func (l *partitionLog) updateProducer(b *batch) {
	if b.producerID < 0 {
		return
	}
	p := l.producers[b.producerID]
	if p == nil {
		p = &producerState{epoch: b.producerEpoch, txnFirst: -1, coordinatorEpoch: -1}
		l.producers[b.producerID] = p
	}
	if p.epoch != b.producerEpoch {
		// A new epoch counts its sequence numbers from 0.
		p.epoch, p.batches = b.producerEpoch, nil
	}
	p.lastTime = b.maxTime
	if b.control() {
		if commit, coordinatorEpoch, ok := b.marker(); ok {
			p.coordinatorEpoch = max(p.coordinatorEpoch, coordinatorEpoch)
			if p.txnFirst >= 0 {
				l.txns.end(b.producerID, b.last, commit)
				p.txnFirst = -1
			}
		}
		return
	}
	if len(p.batches) == rememberedBatches {
		p.batches = slices.Delete(p.batches, 0, 1)
	}
	if p.batches == nil {
		p.batches = make([]producerBatch, 0, rememberedBatches)
	}
	p.batches = append(p.batches, producerBatch{b.sequence, b.lastSequence(), b.base, b.last, b.maxTime})
	if b.transactional() && p.txnFirst < 0 {
		p.txnFirst = b.base
		if l.txns == nil {
			l.txns = &txnIndex{}
		}
		l.txns.begin(b.producerID, b.base)
	}
}

// rebuildProducers reads the states again from the log, after a truncation.
func (l *partitionLog) rebuildProducers() {
	l.producers = map[int64]*producerState{}
	l.txns = nil
	for _, e := range l.entries {
		l.updateProducer(e.b)
	}
}

// checkSequence judges a batch of an idempotent producer before it is appended: a
// duplicate gives the batch that was written before, an error code refuses it.
//
//	producer known  epoch         sequence           answer
//	no              any           any                append: what came before may have been deleted
//	yes, in a transaction, batch without one         INVALID_TXN_STATE
//	yes             older         any                INVALID_PRODUCER_EPOCH
//	yes             newer         0                  append
//	yes             newer         other              OUT_OF_ORDER_SEQUENCE_NUMBER
//	yes             same          a remembered batch duplicate
//	yes             same          last + 1           append; 0 after a marker that brought the epoch
//	yes             same          other              OUT_OF_ORDER_SEQUENCE_NUMBER
func (l *partitionLog) checkSequence(b *batch) (duplicate *producerBatch, code int16) {
	p := l.producers[b.producerID]
	if p == nil {
		return nil, 0
	}
	switch {
	case b.producerEpoch < p.epoch:
		return nil, codeInvalidProducerEpoch
	case b.producerEpoch > p.epoch:
		if b.sequence != 0 {
			return nil, codeOutOfOrderSequence
		}
		return nil, 0
	}
	for i := range p.batches {
		if p.batches[i].firstSequence == b.sequence && p.batches[i].lastSequence == b.lastSequence() {
			return &p.batches[i], 0
		}
	}
	if len(p.batches) == 0 && b.sequence != 0 || len(p.batches) > 0 && addSequence(p.lastSequence(), 1) != b.sequence {
		return nil, codeOutOfOrderSequence
	}
	if p.txnFirst >= 0 && !b.transactional() {
		return nil, codeInvalidTxnState
	}
	return nil, 0
}

// producerIDs lists the producers that the log knows, in order.
func (l *partitionLog) producerIDs() []int64 { return slices.Sorted(maps.Keys(l.producers)) }

// expireProducersLoop lets every log forget idle producers, every
// producer.id.expiration.check.interval.ms.
func (b *broker) expireProducersLoop() {
	b.n.after(b.n.cfg.ms("producer.id.expiration.check.interval.ms"), func() {
		value, _, _ := b.image().brokerConfig(b.n.cfg, b.n.id, "producer.id.expiration.ms")
		limit, _ := strconv.ParseInt(strings.TrimSpace(value), 10, 64) // checked when it was set
		for _, key := range sortedKeys(b.replicas) {
			b.replicas[key].expireProducers(limit)
		}
		b.expireProducersLoop()
	})
}

// expireProducers forgets the producers without an open transaction whose last batch is so
// many milliseconds old, by the batch's own time (ProducerStateManager.isProducerExpired).
func (r *replica) expireProducers(limit int64) {
	w := r.b.n.w
	maps.DeleteFunc(r.log.producers, func(_ int64, p *producerState) bool {
		return p.txnFirst < 0 && w.wallMillis(w.now)-w.recordMillis(p.lastTime, r.settings.logAppendTime) >= limit
	})
}
