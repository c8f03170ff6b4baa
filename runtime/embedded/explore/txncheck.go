package explore

// This file defines what must hold of transactions, and how it is checked.
//
// The checker knows two things of them: what their producers know, and, for each
// partition, which transactions have records but no marker in what is committed. From the
// second follows the last stable offset to the number; from the first what a reader of
// committed records must get, and must not.
//
//	rule             when something is checked                 excused
//	last stable      a replica changed                         exact value: unclean; any partition has lost data
//	aborted unseen   a read_committed reader gets records      the same
//	committed whole  the same; at the end                      the same
//	fenced           a request of a producer that was fenced   the same; a coordinator or leader that was replaced
//	                 succeeds                                  and does not know
//	offsets          the group's coordinator tells an offset   the same
//	nothing hangs,   at the end                                the same
//	work goes on

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/runtime/embedded/core"
)

// openTxn is a transaction that has records in a partition, all committed, and no marker.
type openTxn struct {
	producer, first int64
}

// mark takes note of a batch that is committed now.
func (p *partition) mark(b committedBatch) {
	switch b.kind {
	case txnBatch:
		if !slices.ContainsFunc(p.open, func(t openTxn) bool { return t.producer == b.producer }) {
			p.open = append(p.open, openTxn{b.producer, b.base})
		}
	case commitMarker, abortMarker:
		p.open = slices.DeleteFunc(p.open, func(t openTxn) bool { return t.producer == b.producer })
	}
}

// remark does it again for everything, after a loss.
func (p *partition) remark() {
	p.open = nil
	for _, b := range p.committed {
		p.mark(b)
	}
}

// stable is the last stable offset of what is committed.
func (p *partition) stable() int64 {
	if len(p.open) > 0 {
		return p.open[0].first
	}
	return p.end
}

// txnExcused: what transactions promise may have been lost.
func (c *checker) txnExcused() bool { return c.lost || c.m.s.Unclean }

// lastStable checks a replica's last stable offset: that of a leader to the number.
func (c *checker) lastStable(broker int32, p *partition, r *replica, s core.ReplicaState) {
	if s.LastStable > s.HighWatermark {
		c.breaks(RuleStable, "%s-%d on broker %d: %d is above the high-water mark %d", p.topic, p.id, broker, s.LastStable, s.HighWatermark)
	}
	if !c.txnExcused() {
		if s.LastStable < r.stable {
			c.breaks(RuleStable, "%s-%d on broker %d: from %d back to %d", p.topic, p.id, broker, r.stable, s.LastStable)
		}
		if want := p.stable(); s.Leader && s.LeaderEpoch >= p.state.LeaderEpoch && (s.HighWatermark == p.end && s.LastStable != want || s.LastStable > want) {
			c.breaks(RuleStable, "%s-%d on broker %d: got %d with the high-water mark %d, want %d", p.topic, p.id, broker, s.LastStable, s.HighWatermark, want)
		}
	}
	r.stable = s.LastStable
}

// readCommitted checks what a reader of committed records got from an offset on, filters
// it as a client does, and returns where to go on. What lies below once it has read before.
func (c *checker) readCommitted(id int32, offset, once int64, a *kmsg.FetchResponseTopicPartition) int64 {
	p := c.parts[id]
	excused := c.txnExcused()
	if a.LastStableOffset > a.HighWatermark {
		c.breaks(RuleStable, "%s-%d: a reader was told %d, with the high-water mark %d", p.topic, id, a.LastStableOffset, a.HighWatermark)
	}
	next := c.read(id, offset, a.RecordBatches)
	if next > offset && next > a.LastStableOffset && !excused {
		c.breaks(RuleStable, "%s-%d: a reader got records up to %d, and the last stable offset is %d", p.topic, id, next, a.LastStableOffset)
	}
	list := a.AbortedTransactions
	slices.SortFunc(list, func(a, b kmsg.FetchResponseTopicPartitionAbortedTransaction) int {
		return int(a.FirstOffset - b.FirstOffset)
	})
	var gone []int64 // producers whose records are of an aborted transaction
	for batches := a.RecordBatches; len(batches) >= batchHeader; {
		size := 12 + int(binary.BigEndian.Uint32(batches[8:]))
		base := int64(binary.BigEndian.Uint64(batches))
		batch := batches[:min(size, len(batches))]
		batches = batches[len(batch):]
		for len(list) > 0 && list[0].FirstOffset <= base {
			gone = append(gone, list[0].ProducerID)
			list = list[1:]
		}
		kind, producer := kindOf(batch)
		switch kind {
		case commitMarker, abortMarker:
			gone = slices.DeleteFunc(gone, func(id int64) bool { return id == producer })
		case txnBatch:
			if v, ok := valueOf(batch); ok && base >= offset && !excused {
				c.met(p, base, v, !slices.Contains(gone, producer), base >= once)
			}
		}
	}
	return next
}

// met: a reader of committed records met one that was written in a transaction, and shows
// it or not, for the first time or again.
func (c *checker) met(p *partition, offset int64, value uint64, shown, first bool) {
	t := c.transactions[value>>16&0xffffffff]
	switch {
	case shown && (t.outcome == begun || t.outcome == aborted):
		c.breaks(RuleAborted, "%s-%d offset %d: shown, but transaction %d of %s is %v", p.topic, p.id, offset, t.number, t.id.name, t.outcome)
	case !shown && t.outcome == committed:
		c.breaks(RuleWhole, "%s-%d offset %d: not shown, but transaction %d of %s is committed", p.topic, p.id, offset, t.number, t.id.name)
	case shown && first:
		t.seen[p.id]++
	}
}

// fencedActs: a request succeeded that a producer sent when a later one of its id had its
// epoch.
func (c *checker) fencedActs(x *transactor, broker int32, r kmsg.Response) {
	at := c.txns
	switch a := r.(type) {
	case *kmsg.ProduceResponse:
		at = c.parts[a.Topics[0].Partitions[0].Partition]
	case *kmsg.TxnOffsetCommitResponse:
		at = c.offsets
	}
	if c.txnExcused() || !c.inOffice(broker, at) {
		return
	}
	c.breaks(RuleFenced, "%s: producer %d was answered by broker %d without error, %T, after producer %d had its epoch", x.id.name, x.turn, broker, r, x.id.turns)
}

// txnOffset: the coordinator of a transactional id's group told its offset. acked is what
// was known to be committed when it was asked. An offset whose commit is decided may be
// pending still, which only a request for stable offsets notices.
func (c *checker) txnOffset(i *txnID, broker int32, offset, acked int64, stable bool) {
	if c.txnExcused() || !c.inOffice(broker, c.offsets) {
		return
	}
	switch {
	case offset != -1 && !i.doubtful[offset]:
		c.breaks(RuleTxnOffsets, "group %s: broker %d says %d, which nobody committed", i.name, broker, offset)
	case stable && offset < acked:
		c.breaks(RuleTxnOffsets, "group %s: committed is %d, and broker %d says %d", i.name, acked, broker, offset)
	}
}

// whole says what is missing at the end: every transaction is over, and readers got
// all or nothing of it.
func (m *sim) whole() error {
	c := m.check
	if c.txnExcused() {
		return nil
	}
	for _, i := range m.txnIDs {
		if !i.finished {
			return fmt.Errorf("%s: not at rest", i.name)
		}
	}
	for _, p := range c.parts {
		if !p.known {
			continue
		}
		s, ok := m.w.Replica(p.state.Leader, p.topic, p.id)
		if !ok || s.LastStable != s.LogEnd {
			return fmt.Errorf("%s-%d: a transaction hangs: the last stable offset is %d, the log ends at %d", p.topic, p.id, s.LastStable, s.LogEnd)
		}
	}
	for _, r := range m.readers {
		if p := c.parts[r.partition]; r.isolation != 0 && r.offset < p.end {
			return fmt.Errorf("%s-%d: a reader has got to %d of %d", p.topic, p.id, r.offset, p.end)
		}
	}
	for _, t := range c.transactions {
		some, all := false, true
		for p := range t.made {
			some = some || t.seen[p] > 0
			all = all && t.seen[p] == t.made[p]
		}
		if some && !all || t.outcome == committed && !all {
			c.breaks(RuleWhole, "transaction %d of %s is %v: readers got %v of %v", t.number, t.id.name, t.outcome, t.seen, t.made)
		}
	}
	return nil
}
