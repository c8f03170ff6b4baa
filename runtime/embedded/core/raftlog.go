package core

// This file defines how the metadata log is written, replicated and committed.

import (
	"slices"

	"starfall/runtime/embedded/internal/rules"
)

func (r *raft) noOpLoop(epoch int32) {
	r.n.after(noOpInterval, func() {
		if r.role != leader || r.disk.epoch != epoch {
			return
		}
		if r.activated {
			r.append(&noOpRecord{})
		}
		r.noOpLoop(epoch)
	})
}

// append writes a record as the leader and returns its offset.
func (r *raft) append(rec any) int64 {
	offset := r.end()
	r.disk.log = append(r.disk.log, metaEntry{r.disk.epoch, rec})
	// Everything appended in one turn of the loop leaves in one answer.
	r.n.after(0, func() {
		if r.role == leader {
			r.wakeFetches()
			r.advance()
		}
	})
	return offset
}

// advance moves the high-water mark of the leader: the largest offset that a majority has.
func (r *raft) advance() {
	ends := []int64{}
	for _, v := range r.n.w.voters {
		if v == r.n.id {
			ends = append(ends, r.end())
		} else {
			ends = append(ends, r.voterOffsets[v])
		}
	}
	slices.Sort(ends)
	committed := ends[len(ends)-r.majority()]
	if r.n.w.opts.Without.Lacks(rules.MetadataMajority) {
		committed = r.end()
	}
	if committed > r.hw && committed > r.epochStart {
		r.commit(committed)
	}
}

// commit applies what is below the new high-water mark.
func (r *raft) commit(hw int64) {
	hw = min(hw, r.end())
	if hw <= r.hw {
		return
	}
	r.hw = hw
	d := newDelta()
	for ; r.applied < hw; r.applied++ {
		r.image.apply(r.applied, r.disk.log[r.applied].rec, d)
	}
	if r.n.broker != nil {
		r.n.broker.metadataChanged(d)
	}
	if r.role != leader {
		return
	}
	if r.n.w.opts.OnCommitted != nil {
		for _, key := range sortedKeys(d.partitions) {
			r.n.w.opts.OnCommitted(*r.image.partition(key), func(id int32) bool { return r.image.brokers[id].active() })
		}
	}
	if !r.activated && hw > r.epochStart {
		r.activated = true
		r.n.becomeController()
	}
	waiters := r.commits
	i := 0
	for i < len(waiters) && waiters[i].offset < hw {
		i++
	}
	r.commits = slices.Clone(waiters[i:])
	for _, c := range waiters[:i] {
		c.done(true)
	}
}

// whenCommitted calls done(true) once the offset is committed, or done(false) when the
// leadership ends before.
func (r *raft) whenCommitted(offset int64, done func(ok bool)) {
	if offset < r.hw {
		done(true)
		return
	}
	r.commits = append(r.commits, commitWaiter{offset, done})
}

func (r *raft) handleFetch(m *raftFetch, respond func(any, int)) {
	if m.epoch > r.disk.epoch {
		r.observe(m.epoch, -1)
	}
	if r.role != leader || m.epoch < r.disk.epoch {
		respond(&raftFetchAnswer{epoch: r.disk.epoch, leader: r.leaderID, notLeader: true}, 100)
		return
	}
	if m.offset > r.end() || m.offset > 0 && r.disk.log[m.offset-1].epoch != m.lastEpoch {
		to := min(m.offset, r.end())
		for to > 0 && r.disk.log[to-1].epoch > m.lastEpoch {
			to--
		}
		if to == m.offset {
			to--
		}
		respond(&raftFetchAnswer{epoch: r.disk.epoch, leader: r.n.id, diverges: true, truncateTo: to}, 100)
		return
	}
	seen := r.seen[m.from]
	if seen == nil {
		seen = &quorumReplica{}
		r.seen[m.from] = seen
	}
	seen.end, seen.fetched = m.offset, r.n.w.now
	if m.offset == r.end() {
		seen.caughtUp, seen.everCaughtUp = r.n.w.now, true
	}
	if m.voter {
		r.voterContact[m.from] = r.n.w.now
		if m.offset > r.voterOffsets[m.from] {
			r.voterOffsets[m.from] = m.offset
			r.advance()
			if r.role != leader {
				respond(&raftFetchAnswer{epoch: r.disk.epoch, leader: r.leaderID, notLeader: true}, 100)
				return
			}
		}
	}
	p := &parkedRaftFetch{req: m, respond: respond}
	if m.offset < r.end() {
		r.answer(p)
		return
	}
	r.parked = append(r.parked, p)
	r.n.after(raftFetchMaxWait, func() {
		if !p.done && r.role == leader {
			r.parked = slices.DeleteFunc(r.parked, func(q *parkedRaftFetch) bool { return q == p })
			r.answer(p)
		}
	})
}

func (r *raft) answer(p *parkedRaftFetch) {
	p.done = true
	entries := r.disk.log[p.req.offset:len(r.disk.log):len(r.disk.log)]
	p.respond(&raftFetchAnswer{epoch: r.disk.epoch, leader: r.n.id, entries: entries, hw: r.hw}, 200+100*len(entries))
}

func (r *raft) wakeFetches() {
	parked := r.parked
	r.parked = nil
	for _, p := range parked {
		if p.req.offset < r.end() {
			r.answer(p)
		} else {
			r.parked = append(r.parked, p)
		}
	}
}

// fetchLeader is the endless loop of a follower or observer.
func (r *raft) fetchLeader(serial uint64) {
	if serial != r.fetchSerial {
		return
	}
	r.fetch(r.leaderID, serial, func(ok bool) {
		switch {
		case serial != r.fetchSerial:
		case ok:
			r.fetchLeader(serial)
		case !r.n.isVoter && r.n.w.now-r.lastContact >= r.fetchTimeout():
			// An observer that does not get through asks whom the others follow.
			r.fetchAnyVoter(serial)
		default:
			r.n.after(raftRetryBackoff, func() { r.fetchLeader(serial) })
		}
	})
}

// fetchAnyVoter asks a voter, who answers with the leader's name.
func (r *raft) fetchAnyVoter(serial uint64) {
	others := without(r.n.w.voters, r.n.id)
	if serial != r.fetchSerial || len(others) == 0 {
		return
	}
	v := others[r.n.w.rng.IntN(len(others))]
	r.fetch(v, serial, func(ok bool) {
		if serial != r.fetchSerial {
			return
		}
		if ok {
			r.fetchLeader(serial)
			return
		}
		r.n.after(raftRetryBackoff*5, func() { r.fetchAnyVoter(serial) })
	})
}

func (r *raft) fetch(to int32, serial uint64, done func(ok bool)) {
	req := &raftFetch{r.n.id, r.n.isVoter, r.disk.epoch, r.end(), r.lastEpoch()}
	r.n.call(to, chanRaft, req, 150, r.n.cfg.quorumRequestTimeout, func(resp any, err error) {
		if serial != r.fetchSerial {
			return
		}
		if err != nil {
			done(false)
			return
		}
		a := resp.(*raftFetchAnswer)
		if a.epoch < r.disk.epoch || r.observe(a.epoch, a.leader) {
			done(false)
			return
		}
		if a.notLeader {
			if a.leader > 0 && a.leader != r.leaderID && !r.n.isVoter {
				r.toFollower(a.epoch, a.leader)
			}
			done(false)
			return
		}
		if r.role != follower || to != r.leaderID {
			done(false)
			return
		}
		r.lastContact = r.n.w.now
		r.armFetchTimeout()
		if a.diverges {
			r.disk.log = slices.Clone(r.disk.log[:max(a.truncateTo, r.hw)])
		} else {
			r.disk.log = append(r.disk.log, a.entries...)
			r.commit(a.hw)
		}
		done(true)
	})
}
