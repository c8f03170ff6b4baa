package core

// This file defines replication's messages and the follower's side of it: fetchers, one
// for each leader.

import (
	"time"

	"starfall/runtime/embedded/internal/rules"
)

type (
	// replicaFetch asks a leader for news. A full one begins a session and names every
	// partition; later ones name only what has changed.
	replicaFetch struct {
		from       int32
		full       bool
		session    uint64
		partitions []replicaFetchPartition
		forgotten  []partitionKey
	}
	replicaFetchPartition struct {
		// key and topicID never change; they are behind pointers because the leader mostly
		// needs neither.
		key          *partitionKey
		topicID      *topicID
		currentEpoch int32
		lastEpoch    int32 // -1 for unknown
		offset       int64
		// of is the follower's own replica and at what the leader knows of it, as it said
		// in an answer: each hands the other's back unseen, so that neither has to look up
		// what it is asked or told of.
		of *replica
		at *remote
	}
	replicaFetchAnswer struct {
		code       int16
		session    uint64
		partitions []replicaFetchNews
		batches    []*batch // of all partitions, one behind the other
	}
	replicaFetchNews struct {
		of       *replica
		at       *remote
		code     int16
		hw       int64
		logStart int64
		batches  []*batch
		// diverging, when not nil, is the leader's end of the follower's last epoch.
		diverging *epochEnd
	}
	epochEnd struct {
		epoch int32
		end   int64
	}
	// epochQuery is ListOffsets for the log start of a partition, which a follower asks
	// when its offset is out of range.
	epochQuery  struct{ key partitionKey }
	epochAnswer struct {
		code       int16
		start, end int64
	}
)

// fetcher is a follower's loop of fetches from one leader. One request is under way at
// a time; a partition in trouble pauses for replica.fetch.backoff.ms.
//
//	partition's answer                        what follows
//	batches                                   append, next fetch
//	diverging epoch                           truncate (KIP-595), next fetch
//	OFFSET_OUT_OF_RANGE                       ask where the leader's log begins and ends, truncate or restart
//	FENCED_LEADER_EPOCH                       leave the fetcher until metadata names a new epoch
//	any other error, no answer                pause
type fetcher struct {
	b          *broker
	leader     int32
	partitions map[partitionKey]*replica
	changed    []*replica              // those with changed set, each once; some have left meanwhile
	spare      []*replica              // the room of changed when it is next empty
	asked      []replicaFetchPartition // the room of the last request
	forgotten  []partitionKey
	session    uint64
	busy       bool
	dead       bool
	sleeping   bool
}

func (b *broker) fetcher(leader int32) *fetcher {
	f := b.fetchers[leader]
	if f == nil {
		f = &fetcher{b: b, leader: leader, partitions: map[partitionKey]*replica{}}
		b.fetchers[leader] = f
	}
	return f
}

// change has a replica named in the next fetch.
func (f *fetcher) change(r *replica) {
	if !r.changed {
		r.changed = true
		f.changed = append(f.changed, r)
	}
}

// leave takes a replica out of what is fetched.
func (f *fetcher) leave(r *replica) {
	delete(f.partitions, r.key)
	r.fetching, r.changed, r.leaderAt = false, false, nil
}

// add takes a partition in after d.
func (f *fetcher) add(r *replica, d time.Duration) {
	r.fetcher = f
	epoch := r.epoch
	f.b.n.after(d, func() { f.resume(r, epoch) })
}

// stopFetching takes the replica out of its fetcher. A fetcher without partitions ends,
// and its connection with it.
func (r *replica) stopFetching() {
	f := r.fetcher
	if f == nil {
		return
	}
	if r.fetching {
		f.leave(r)
		f.forgotten = append(f.forgotten, r.key)
	}
	r.fetcher = nil
	f.b.n.after(0, f.endIfIdle)
}

func (f *fetcher) endIfIdle() {
	if f.dead || len(f.partitions) > 0 || f.pausing() {
		return
	}
	f.dead = true
	delete(f.b.fetchers, f.leader)
	if c := f.b.n.w.conns[connKey{f.b.n.id, f.leader, chanFetch}]; c != nil && !c.closed {
		c.close()
	}
}

// pausing: some replica waits to come back into this fetcher.
func (f *fetcher) pausing() bool {
	for _, r := range f.b.replicas {
		if r.fetcher == f {
			return true
		}
	}
	return false
}

func (f *fetcher) loop() {
	if f.busy || f.dead || f.sleeping || len(f.partitions) == 0 {
		return
	}
	req := &replicaFetch{from: f.b.n.id, full: f.session == 0, session: f.session, forgotten: f.forgotten, partitions: f.asked[:0]}
	f.forgotten, f.asked = nil, nil
	name := func(r *replica) {
		r.changed = false
		req.partitions = append(req.partitions, replicaFetchPartition{&r.key, &r.log.topicID, r.epoch, r.log.epochs.last(), r.log.next, r, r.leaderAt})
	}
	changed := f.changed
	f.changed = f.spare[:0]
	if req.full {
		req.forgotten = nil
		for _, key := range sortedKeys(f.partitions) {
			name(f.partitions[key])
		}
	} else {
		for _, r := range changed {
			if r.changed && r.fetching && r.fetcher == f {
				name(r)
			}
		}
	}
	clear(changed)
	f.spare = changed
	f.busy = true
	f.b.n.call(f.leader, chanFetch, req, 100+60*len(req.partitions), f.b.n.cfg.replicaSocketTimeout, func(resp any, err error) {
		f.busy = false
		if f.dead {
			return
		}
		if err != nil {
			f.session = 0
			f.sleeping = true
			f.b.n.after(f.b.n.cfg.replicaFetchBackoff, func() {
				f.sleeping = false
				f.loop()
			})
			return
		}
		f.asked = req.partitions // the leader has dealt with it
		a := resp.(*replicaFetchAnswer)
		if a.code != 0 {
			f.session = 0
			f.loop()
			return
		}
		f.session = a.session
		for i := range a.partitions {
			a.partitions[i].of.lookAhead()
		}
		for i := range a.partitions {
			f.take(&a.partitions[i])
		}
		f.endIfIdle()
		f.loop()
	})
}

func (f *fetcher) take(p *replicaFetchNews) {
	r := p.of
	if r.fetcher != f || !r.fetching || r.changed {
		// Changed meanwhile: the answer speaks of an older state of this replica.
		return
	}
	r.leaderAt = p.at
	switch {
	case p.code == codeFencedLeaderEpoch:
		f.leave(r)
		r.fetcher = nil
	case p.code == codeOffsetOutOfRange:
		f.pause(r, 0)
		f.askOffsets(r)
	case p.code != 0:
		f.pause(r, f.b.n.cfg.replicaFetchBackoff)
	case p.diverging != nil:
		r.truncateAt(p.diverging)
		f.change(r)
	default:
		r.receive(p)
		if len(p.batches) > 0 {
			f.change(r)
			if r.taken(p.batches) {
				f.pause(r, f.b.n.cfg.replicaFetchWait)
			}
		}
	}
}

// pause takes a partition out for d; 0 leaves it out until resume.
func (f *fetcher) pause(r *replica, d time.Duration) {
	f.leave(r)
	f.forgotten = append(f.forgotten, r.key)
	if d > 0 {
		epoch := r.epoch
		f.b.n.after(d, func() { f.resume(r, epoch) })
	}
}

func (f *fetcher) resume(r *replica, epoch int32) {
	if r.fetcher == f && r.epoch == epoch && !f.dead && !r.fetching {
		f.partitions[r.key] = r
		r.fetching = true
		f.change(r)
		f.loop()
	}
}

// askOffsets mends an offset out of range (AbstractFetcherThread.fetchOffsetAndTruncate):
// a leader that ends earlier was elected uncleanly, one that begins later has deleted.
func (f *fetcher) askOffsets(r *replica) {
	epoch := r.epoch
	f.b.n.call(f.leader, chanFetch, &epochQuery{r.key}, 60, f.b.n.cfg.replicaSocketTimeout, func(resp any, err error) {
		if r.fetcher != f || r.epoch != epoch {
			return
		}
		a, ok := resp.(*epochAnswer)
		if err != nil || !ok || a.code != 0 {
			f.b.n.after(f.b.n.cfg.replicaFetchBackoff, func() { f.resume(r, epoch) })
			return
		}
		switch {
		case a.end < r.log.next:
			r.truncateTo(a.end)
		case a.start > r.log.next:
			r.log.reset(a.start)
			r.hw = a.start
			r.touched()
		default:
			// Nothing of the follower's last epoch is left at the leader.
			r.truncateTo(r.hw)
		}
		f.resume(r, epoch)
	})
}

func (b *broker) handleEpochQuery(m *epochQuery, respond func(any, int)) {
	r := b.replicas[m.key]
	if r == nil || !r.leading {
		respond(&epochAnswer{code: codeNotLeaderOrFollower}, 50)
		return
	}
	respond(&epochAnswer{start: r.log.start, end: r.log.next}, 50)
}

// truncateAt follows a leader's answer that the logs diverge.
func (r *replica) truncateAt(d *epochEnd) {
	if d.epoch < 0 {
		r.truncateTo(r.hw)
		return
	}
	epoch, end := r.log.endOffsetFor(d.epoch)
	if epoch != d.epoch && end < 0 {
		// This log does not have that epoch, nor one before it.
		end = r.log.start
	}
	r.truncateTo(min(d.end, end))
}

func (r *replica) truncateTo(offset int64) {
	from := r.log.next
	r.log.truncate(max(offset, r.log.start))
	if x := r.log.txns; x != nil && r.b.without(rules.AbortedKept) {
		x.aborted = nil
	}
	if r.log.next < from {
		r.b.n.w.emit(Event{Kind: EventTruncated, Node: r.b.n.id, Topic: r.key.topic, Partition: r.key.partition, Epoch: r.epoch, From: from, To: r.log.next})
	}
	r.hw = min(r.hw, r.log.next)
	r.touched()
}

// receive appends what the leader sent and takes over its high-water mark.
func (r *replica) receive(p *replicaFetchNews) {
	now := r.b.n.w.now
	for _, b := range p.batches {
		if b.base < r.log.next || b.freed() {
			break // a compacted log has gaps, but never goes back
		}
		r.roll(b)
		r.log.append(now, b)
	}
	if len(p.batches) > 0 {
		r.log.flushFull(now, r.settings)
	}
	r.log.advanceStart(min(p.logStart, r.log.next))
	if hw := min(p.hw, r.log.next); hw > r.hw {
		r.hw = hw
		r.log.txns.prune(hw)
	}
	r.touched()
}
