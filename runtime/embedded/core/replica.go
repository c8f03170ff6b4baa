package core

// This file defines a replica, above all as a leader: appending, the in-sync
// replicas, the high-water mark, and who waits for it.

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/runtime/embedded/internal/rules"
)

// replica is a broker's part in one partition.
//
//	role      becomes    when metadata says
//	-         leader     leader = this broker, higher leader epoch
//	-         follower   leader = another or none, higher leader epoch
//	leader    follower   the same
//	follower  leader     the same
//	any       gone       this broker is no replica any more, or the topic is deleted
//
// What every batch touches comes first, as in partitionLog.
type replica struct {
	b        *broker
	log      *partitionLog
	hw       int64
	settings *topicSettings
	epoch    int32 // leader epoch in force, -1 for none
	leading  bool
	underMin bool // as leader: fewer are in sync than min.insync.replicas

	// As follower:
	fetching bool // it is among the fetcher's partitions, and not paused
	changed  bool // it is to be named in the next fetch
	fetcher  *fetcher
	leaderAt *remote // what the leader wants handed back

	state *PartitionState // as metadata or an AlterPartition answer gave it

	// As leader:
	remotes    []*remote
	waiters    []*produceWaiter
	parked     []*clientFetch
	pendingISR []int32 // asked for, not yet answered; nil for none
	epochStart int64
	verifying  map[producerEpoch]*verification

	key partitionKey
}

// remote is what a leader knows of a follower.
type remote struct {
	r  *replica // the leader's
	id int32
	// awaited: it is in the maximal ISR, see there.
	awaited bool
	end     int64 // its log end offset, -1 for unknown
	// lastCaughtUp is when it last had everything (KIP-16: a follower is out of sync
	// when that is longer ago than replica.lag.time.max.ms).
	lastCaughtUp time.Duration
	lastFetch    time.Duration
	lastFetchEnd int64 // the leader's log end at its last fetch

	// In a fetch session:
	session *followerSession // nil for none
	of      *replica         // the follower's own
	// agreed: its log is known to be a prefix of the leader's; before that it gets nothing.
	agreed bool
	queued bool // in the session's list of partitions with news
	marked bool // in its list of those whose high-water mark moved
}

// leave ends a follower's part in a session, as far as the partition goes.
func (f *remote) leave() {
	f.session, f.of = nil, nil
	f.agreed, f.queued, f.marked = false, false, false
}

// remote is what this leader knows of a follower; nil for a broker that is none.
func (r *replica) remote(id int32) *remote {
	for _, f := range r.remotes {
		if f.id == id {
			return f
		}
	}
	return nil
}

// produceWaiter waits until the high-water mark has reached offset: a partition of a produce
// request, or whoever has put done.
type produceWaiter struct {
	offset int64
	s      *produceState
	r      *replica
	part   *kmsg.ProduceResponseTopicPartition
	done   func(code int16)
}

func (w *produceWaiter) finish(code int16) {
	if w.done != nil {
		w.done(code)
		return
	}
	w.part.ErrorCode = code
	if code != 0 {
		w.part.BaseOffset = -1
		w.r.b.nameLeader(w.s.resp, w.r.key, w.part)
	}
	w.s.settle()
}

// maximalISR is the set that the high-water mark waits for: what is committed and what
// has been asked for (KIP-497).
func (r *replica) maximalISR() []int32 {
	if r.pendingISR == nil || r.b.without(rules.MaximalISR) {
		return r.state.ISR
	}
	all := slices.Clone(r.state.ISR)
	for _, id := range r.pendingISR {
		if !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	return all
}

// isrChanged is called after each change of the in-sync replicas, of those asked for, and of
// min.insync.replicas.
func (r *replica) isrChanged() {
	r.underMin = len(r.state.ISR) < r.effectiveMinISR()
	isr := r.maximalISR()
	for _, f := range r.remotes {
		f.awaited = slices.Contains(isr, f.id)
	}
}

func (r *replica) becomeLeader(p *PartitionState) {
	if r.state != nil && p.PartitionEpoch <= r.state.PartitionEpoch && r.leading && r.epoch == p.LeaderEpoch {
		return
	}
	newEpoch := !r.leading || p.LeaderEpoch > r.epoch
	wasLeading := r.leading
	r.stopFetching()
	r.state = p
	r.leading = true
	r.pendingISR = nil
	if newEpoch {
		r.epoch = p.LeaderEpoch
		r.epochStart = r.log.next
		if epochs := &r.log.epochs; epochs.last() < r.epoch {
			// The epoch begins here even if nothing is ever written in it.
			epochs.dropFrom(r.log.next)
			epochs.begin(r.epoch, r.log.next)
		}
	}
	old := r.remotes
	r.remotes = nil
	now := r.b.n.w.now
	for _, f := range old {
		if newEpoch || !slices.Contains(p.Replicas, f.id) {
			f.leave()
			continue
		}
		r.remotes = append(r.remotes, f)
	}
	for _, id := range p.Replicas {
		if id == r.b.n.id || r.remote(id) != nil {
			continue
		}
		f := &remote{r: r, id: id, end: -1, lastFetchEnd: -1}
		switch {
		case slices.Contains(p.ISR, id):
			f.lastCaughtUp = now
		default:
			f.lastCaughtUp = -r.b.n.cfg.replicaLag - 1
		}
		r.remotes = append(r.remotes, f)
	}
	r.isrChanged()
	if r.key.topic == offsetsTopic && !wasLeading {
		r.b.loadGroups(r)
	}
	if r.key.topic == txnTopic && (!wasLeading || newEpoch) {
		r.b.txns.load(r)
	}
	r.advance()
	r.touched()
}

func (r *replica) becomeFollower(p *PartitionState) {
	if r.state != nil && p.PartitionEpoch <= r.state.PartitionEpoch && r.epoch >= p.LeaderEpoch {
		return
	}
	newEpoch := p.LeaderEpoch > r.epoch || r.leading
	r.state = p
	if newEpoch {
		r.epoch = p.LeaderEpoch
	}
	r.stopLeading(codeNotLeaderOrFollower)
	if newEpoch {
		r.stopFetching()
	}
	if p.Leader > 0 && r.fetcher == nil {
		r.b.fetcher(p.Leader).add(r, metadataApply)
	}
	r.touched()
}

// stopLeading answers everyone who waits on this leader.
func (r *replica) stopLeading(code int16) {
	if !r.leading {
		return
	}
	r.leading = false
	r.pendingISR = nil
	delete(r.b.isr.unsent, r.key)
	for _, f := range r.remotes {
		f.leave()
	}
	r.remotes = nil
	r.verifying = nil
	waiters := r.waiters
	r.waiters = nil
	if r.b.without(rules.LostLeadership) {
		code = 0
	}
	for _, w := range waiters {
		w.finish(code)
	}
	parked := r.parked
	r.parked = nil
	for _, f := range parked {
		f.answer()
	}
	if r.key.topic == offsetsTopic && r.b.groups != nil {
		r.b.groups.Unload(r.b.n.w.now, r.key.partition)
	}
	if r.key.topic == txnTopic {
		r.b.txns.unload(r.key.partition)
	}
}

// lookAhead reads the replica and its log, and that is all. With a thousand partitions they
// lie all over the memory: a loop that does nothing else has the processor fetch several of
// them at once, where the loop behind it would wait for one after the other.
func (r *replica) lookAhead() { _ = r.log.next }

// effectiveMinISR is min.insync.replicas, but not more than there are replicas.
func (r *replica) effectiveMinISR() int {
	if r.b.without(rules.MinISR) {
		return 1
	}
	return min(r.settings.minISR, len(r.state.Replicas))
}

// append writes a batch as the leader. The caller has checked it.
func (r *replica) append(b *batch) {
	now := r.b.n.w.now
	if r.settings.logAppendTime {
		b.stampAppendTime(r.b.n.w.wallMillis(now))
	}
	b.assign(r.log.next, r.epoch)
	r.roll(b)
	r.log.append(now, b)
	r.log.flushFull(now, r.settings)
	for _, f := range r.remotes {
		if f.session == nil || f.queued {
			continue
		}
		// Until this moment it had everything, as of its last fetch.
		f.lastCaughtUp = max(f.lastCaughtUp, f.session.lastFetch)
		f.session.queue(f)
	}
	r.advance()
}

// eligible: metadata allows the broker in the in-sync replicas (KIP-841).
func (r *replica) eligible(id int32) bool {
	return r.b.image().brokers[id].active() || r.b.without(rules.FencedJoin)
}

// caughtUp: a follower that has everything, or had so less than
// replica.lag.time.max.ms ago.
func (r *replica) caughtUp(f *remote) bool {
	return f.end == r.log.next || r.b.n.w.now-f.lastCaughtUp <= r.b.n.cfg.replicaLag
}

// advance moves the high-water mark: the smallest log end of the maximal ISR. Kafka also
// waits for a follower outside it that was caught up within the lag time and may join:
// this is why the partitions of a leader stall when a broker that was cut off for less
// than that is unfenced before its fetchers have come back to life.
//
// With fewer in-sync replicas than min.insync.replicas it stays (KIP-966,
// Partition.maybeIncrementLeaderHW): who waits for an acknowledgement waits on until the
// request times out, and readers see nothing new, whatever its acks. Nor does a lower
// min.insync.replicas move it by itself; the next append or fetched record does.
func (r *replica) advance() {
	hw := r.log.next
	for _, f := range r.remotes {
		if f.end < hw && (f.awaited && !r.b.without(rules.HighWatermark) ||
			r.eligible(f.id) && r.caughtUp(f) && !r.b.without(rules.CaughtUpWait)) {
			hw = f.end
		}
	}
	if hw <= r.hw || r.underMin {
		return
	}
	r.hw = hw
	r.log.txns.prune(hw)
	r.touched()
	for _, f := range r.remotes {
		if f.session != nil {
			f.session.mark(f)
		}
	}
	i := 0
	for i < len(r.waiters) && r.waiters[i].offset <= hw {
		i++
	}
	if i > 0 {
		// Copied, because what they do may make others wait.
		var room [4]*produceWaiter
		ready := append(room[:0], r.waiters[:i]...)
		r.waiters = slices.Delete(r.waiters, 0, i)
		for _, w := range ready {
			w.finish(0)
		}
	}
	r.wakeClients()
}

// wakeClients completes parked fetches that have enough now, at the end of this turn.
func (r *replica) wakeClients() {
	for _, f := range r.parked {
		f.check()
	}
}

// wait calls done once the high-water mark is at least offset.
func (r *replica) wait(offset int64, done func(code int16)) *produceWaiter {
	w := &produceWaiter{offset: offset, done: done}
	r.await(w)
	return w
}

func (r *replica) await(w *produceWaiter) {
	i := len(r.waiters)
	for i > 0 && r.waiters[i-1].offset > w.offset {
		i--
	}
	r.waiters = slices.Insert(r.waiters, i, w)
}

func (r *replica) forget(w *produceWaiter) {
	if i := slices.Index(r.waiters, w); i >= 0 {
		r.waiters = slices.Delete(r.waiters, i, i+1)
	}
}

// fetched takes note of a follower's fetch and of what it says about its log.
func (r *replica) fetched(f *remote, offset int64) {
	now := r.b.n.w.now
	if offset >= r.log.next {
		f.lastCaughtUp = now
	} else if f.lastFetchEnd >= 0 && offset >= f.lastFetchEnd {
		f.lastCaughtUp = max(f.lastCaughtUp, f.lastFetch)
	}
	f.lastFetch, f.lastFetchEnd = now, r.log.next
	if offset != f.end {
		f.end = offset
		r.advance()
	}
	r.maybeExpand(f)
}

func (r *replica) maybeExpand(f *remote) {
	if r.pendingISR != nil || f.awaited || !r.eligible(f.id) {
		return
	}
	if (f.end < r.hw || f.end < r.epochStart) && !r.b.without(rules.JoinCaughtUp) {
		return
	}
	r.alterISR(append(slices.Clone(r.state.ISR), f.id))
}

func (r *replica) maybeShrink() {
	if !r.leading || r.pendingISR != nil {
		return
	}
	isr := slices.DeleteFunc(slices.Clone(r.state.ISR), func(id int32) bool {
		f := r.remote(id)
		if f == nil {
			return false
		}
		if f.session != nil && !f.queued {
			f.lastCaughtUp = max(f.lastCaughtUp, f.session.lastFetch)
		}
		return !r.caughtUp(f)
	})
	if len(isr) < len(r.state.ISR) {
		r.alterISR(isr)
	}
}

// shrinkLoop looks for followers that lag, every half of replica.lag.time.max.ms.
func (b *broker) shrinkLoop() {
	b.n.after(b.n.cfg.replicaLag/2, func() {
		for _, key := range sortedKeys(b.replicas) {
			b.replicas[key].maybeShrink()
		}
		b.shrinkLoop()
	})
}

func (r *replica) alterISR(isr []int32) {
	r.pendingISR = isr
	r.isrChanged()
	r.b.isr.submit(r)
}

// isrManager is Kafka's AlterPartitionManager: one request at a time to the
// controller, with everything that has come up meanwhile.
type isrManager struct {
	b        *broker
	unsent   map[partitionKey]*replica
	inFlight bool
}

func (m *isrManager) submit(r *replica) {
	m.unsent[r.key] = r
	m.b.n.after(0, m.send)
}

func (m *isrManager) send() {
	if m.inFlight || len(m.unsent) == 0 {
		return
	}
	m.inFlight = true
	req := &alterPartition{broker: m.b.n.id, epoch: m.b.lifecycle.epoch}
	sent := map[partitionKey]*replica{}
	for _, key := range sortedKeys(m.unsent) {
		r := m.unsent[key]
		sent[key] = r
		req.partitions = append(req.partitions, alterISR{key, r.state.TopicID, r.epoch, r.state.PartitionEpoch, r.pendingISR})
	}
	clear(m.unsent)
	m.b.toController(chanAlter, req, 100+50*len(sent), 0, func(resp any) {
		m.inFlight = false
		a, ok := resp.(*alterPartitionAnswer)
		if !ok || a.code != 0 {
			// A stale broker epoch: this broker is about to learn its new one.
			for key, r := range sent {
				if r.pendingISR != nil && m.unsent[key] == nil {
					m.unsent[key] = r
				}
			}
			m.b.n.after(controllerRetry, m.send)
			return
		}
		for i, p := range a.partitions {
			r := sent[p.key]
			asked := req.partitions[i]
			if !r.leading || r.epoch != asked.leaderEpoch || r.pendingISR == nil || !slices.Equal(r.pendingISR, asked.isr) {
				continue
			}
			r.isrAnswered(p)
		}
		m.send()
	})
}

// isrAnswered: an answer that takes effect holds at once, before metadata brings it.
func (r *replica) isrAnswered(a alterISRAnswer) {
	switch a.code {
	case 0:
		r.pendingISR = nil
		if a.state.PartitionEpoch > r.state.PartitionEpoch {
			r.state = a.state
		}
		r.isrChanged()
		r.advance()
	case codeIneligibleReplica:
		// The controller says that the partition epoch is right and the change was not
		// made, and so no other controller can have made it: back to what is committed.
		r.pendingISR = nil
		r.isrChanged()
		r.advance()
	case codeNotController:
		// The controller has not got as far as this broker's metadata: ask again.
		pending := r.pendingISR
		r.b.n.after(controllerRetry, func() {
			if r.leading && r.pendingISR != nil && slices.Equal(pending, r.pendingISR) {
				r.b.isr.submit(r)
			}
		})
	default:
		// Fenced, deleted, a new leader, or an old partition epoch: the pending state holds
		// until metadata comes, so that nothing is acknowledged meanwhile. An old epoch can
		// mean that this very change was made when it was asked for before.
	}
}
