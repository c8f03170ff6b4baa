package core

// This file defines what a log remembers of idempotent producers (KIP-98): the epoch
// and the last five batches of each, by which it recognises duplicates and gaps.

import "slices"

// rememberedBatches is how many batches of a producer a partition remembers.
const rememberedBatches = 5

type producerState struct {
	epoch   int16
	batches []producerBatch // oldest first, at most rememberedBatches
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

func (l *partitionLog) updateProducer(b *batch) {
	if b.producerID < 0 {
		return
	}
	p := l.producers[b.producerID]
	if p == nil || p.epoch != b.producerEpoch {
		p = &producerState{epoch: b.producerEpoch, batches: make([]producerBatch, 0, rememberedBatches)}
		l.producers[b.producerID] = p
	}
	if len(p.batches) == rememberedBatches {
		p.batches = slices.Delete(p.batches, 0, 1)
	}
	p.batches = append(p.batches, producerBatch{b.sequence, b.lastSequence(), b.base, b.last, b.maxTime})
}

// rebuildProducers reads the states again from the log, after a truncation.
func (l *partitionLog) rebuildProducers() {
	l.producers = map[int64]*producerState{}
	for _, e := range l.entries {
		l.updateProducer(e.b)
	}
}

// checkSequence judges a batch of an idempotent producer before it is appended: a
// duplicate gives the batch that was written before, an error code refuses it.
//
//	producer known  epoch         sequence           answer
//	no              any           any                append: what came before may have been deleted
//	yes             older         any                INVALID_PRODUCER_EPOCH
//	yes             newer         0                  append
//	yes             newer         other              OUT_OF_ORDER_SEQUENCE_NUMBER
//	yes             same          a remembered batch duplicate
//	yes             same          last + 1           append
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
	if len(p.batches) > 0 && addSequence(p.lastSequence(), 1) != b.sequence {
		return nil, codeOutOfOrderSequence
	}
	return nil, 0
}
