package core

// This file defines the leader's side of replication: the followers' fetch sessions
// (KIP-227), and what a fetch is answered.

import (
	"slices"
	"time"

	"starfall/runtime/embedded/internal/rules"
)

// followerSession is a leader's memory of one follower's fetch session.
type followerSession struct {
	id         uint64
	from       int32
	partitions map[partitionKey]*remote // what was named; some have left the session since
	lastFetch  time.Duration
	news       []*remote // with something to tell, each once
	marks      []*remote // whose high-water mark or log start moved, each once
	spareNews  []*remote // the room of news when it is next told
	spareMarks []*remote
	parked     func() // answers the parked fetch; nil for none
	waking     bool
	lastSweep  time.Duration
	// answer is the last one, whose room the next one takes: a follower that asks again has
	// dealt with it.
	answer *replicaFetchAnswer
}

// drop takes a partition out of a session.
func (s *followerSession) drop(key partitionKey) {
	f := s.partitions[key]
	delete(s.partitions, key)
	if f != nil && f.session == s {
		f.leave()
	}
}

// queue notes that a partition has data for the follower.
func (s *followerSession) queue(f *remote) {
	f.queued = true
	s.news = append(s.news, f)
	if s.parked != nil && !s.waking {
		s.waking = true
		f.r.b.n.after(0, func() {
			s.waking = false
			if s.parked != nil {
				answer := s.parked
				s.parked = nil
				answer()
			}
		})
	}
}

func (b *broker) handleReplicaFetch(m *replicaFetch, respond func(any, int)) {
	s := b.sessions[m.from]
	if m.full {
		if s != nil {
			s.parked = nil
		}
		s = &followerSession{id: b.n.w.rng.Uint64() | 1, from: m.from, partitions: map[partitionKey]*remote{}}
		b.sessions[m.from] = s
	}
	if s == nil || !m.full && s.id != m.session {
		respond(&replicaFetchAnswer{code: codeFetchSessionIDNotFound}, 50)
		return
	}
	now := b.n.w.now
	s.lastFetch = now
	if s.answer == nil {
		s.answer = &replicaFetchAnswer{session: s.id}
	}
	answer := s.answer
	answer.partitions, answer.batches = answer.partitions[:0], answer.batches[:0]
	for _, key := range m.forgotten {
		s.drop(key)
	}
	for i := range m.partitions {
		if news, bad := b.judgeFetch(s, &m.partitions[i]); bad {
			answer.partitions = append(answer.partitions, news)
		}
	}
	b.sweep(s)
	b.collect(s, answer)
	if len(answer.partitions) > 0 {
		b.tellMarks(s, answer)
		respond(answer, answer.size())
		return
	}
	serial := s.lastFetch
	s.parked = func() {
		b.collect(s, answer)
		b.tellMarks(s, answer)
		respond(answer, answer.size())
	}
	b.n.after(b.n.cfg.replicaFetchWait, func() {
		if s.parked != nil && s.lastFetch == serial && b.sessions[m.from] == s {
			parked := s.parked
			s.parked = nil
			parked()
		}
	})
}

func (a *replicaFetchAnswer) size() int {
	n := 50
	for _, p := range a.partitions {
		n += 40
		for _, b := range p.batches {
			n += b.size()
		}
	}
	return n
}

// judgeFetch checks one partition of a fetch; what is wrong is answered at once. What is
// handed back and still in the session needs no looking up: it is of the topic that is meant,
// and led by this broker, because it leaves the session with the leadership.
func (b *broker) judgeFetch(s *followerSession, p *replicaFetchPartition) (replicaFetchNews, bool) {
	f := p.at
	known := f != nil && f.session == s
	var r *replica
	if known {
		r = f.r
	} else {
		r = b.replicas[*p.key]
	}
	fail := func(code int16) (replicaFetchNews, bool) {
		s.drop(*p.key)
		return replicaFetchNews{of: p.of, code: code}, true
	}
	switch {
	case r == nil:
		return fail(codeUnknownTopicOrPartition)
	case !known && r.log.topicID != *p.topicID:
		return fail(codeInconsistentTopicID)
	case p.currentEpoch < r.epoch && !b.without(rules.FetchEpoch):
		return fail(codeFencedLeaderEpoch)
	case p.currentEpoch > r.epoch && !b.without(rules.FetchEpoch):
		return fail(codeUnknownLeaderEpoch)
	case !r.leading:
		return fail(codeNotLeaderOrFollower)
	}
	if !known {
		if f = r.remote(s.from); f == nil {
			return fail(codeUnknownLeaderEpoch)
		}
		if f.session != s {
			f.leave() // whatever an older session had queued is gone with it
			f.session = s
			s.partitions[r.key] = f
		}
		f.of = p.of
	}
	f.agreed = false
	if p.lastEpoch >= 0 && !b.without(rules.Divergence) {
		epoch, end := r.log.endOffsetFor(p.lastEpoch)
		if epoch < 0 || end < 0 {
			return fail(codeOffsetOutOfRange)
		}
		if epoch < p.lastEpoch || end < p.offset {
			return replicaFetchNews{of: p.of, at: f, diverging: &epochEnd{epoch, end}, hw: r.hw, logStart: r.log.start}, true
		}
	}
	if p.offset < r.log.start || p.offset > r.log.next {
		return fail(codeOffsetOutOfRange)
	}
	f.agreed = true
	if r.hw > 0 {
		s.mark(f)
	}
	r.fetched(f, p.offset)
	if p.offset < r.log.next && !f.queued {
		s.queue(f)
	}
	return replicaFetchNews{}, false
}

// collect reads the news of a session into an answer. Entries of what has left the session
// since are passed over, and so is the second one of what has left and come back.
func (b *broker) collect(s *followerSession, answer *replicaFetchAnswer) {
	room := b.n.cfg.replicaFetchResponse
	news := s.news
	s.news = s.spareNews[:0]
	defer func() { s.spareNews = news }()
	for i, f := range news {
		if f.session != s || !f.queued {
			continue
		}
		r := f.r
		if r.holdsBack(f) {
			s.news = append(s.news, f) // with the next fetch perhaps
			continue
		}
		f.queued = false
		if !f.agreed {
			continue // it truncates first, and then asks for what follows
		}
		first := len(answer.batches)
		batches, size := r.log.read(answer.batches, f.end, r.log.next, min(b.n.cfg.replicaFetchMax, room), len(answer.partitions) == 0 || room > 0)
		if len(batches) == first {
			continue
		}
		answer.batches = batches
		room -= size
		r.sent(size)
		f.marked = false // told here
		answer.partitions = append(answer.partitions, replicaFetchNews{of: f.of, at: f, hw: r.hw, logStart: r.log.start, batches: batches[first:len(batches):len(batches)]})
		if room <= 0 {
			s.news = append(s.news, news[i+1:]...)
			return
		}
	}
}

// mark notes that a follower is to learn a new high-water mark or log start. It rides
// on the next answer; it does not cause one.
func (s *followerSession) mark(f *remote) {
	if !f.marked {
		f.marked = true
		s.marks = append(s.marks, f)
	}
}

func (b *broker) tellMarks(s *followerSession, answer *replicaFetchAnswer) {
	marks := s.marks
	s.marks = s.spareMarks[:0]
	defer func() { s.spareMarks = marks }()
	for _, f := range marks {
		if f.session != s || !f.marked {
			continue
		}
		f.marked = false
		if f.agreed {
			answer.partitions = append(answer.partitions, replicaFetchNews{of: f.of, at: f, hw: f.r.hw, logStart: f.r.log.start})
		}
	}
}

// sweep looks, twice a second, whether partitions that the follower has whole can let
// it join the in-sync replicas: nothing in an incremental fetch names them.
func (b *broker) sweep(s *followerSession) {
	if b.n.w.now-s.lastSweep < raftFetchMaxWait {
		return
	}
	s.lastSweep = b.n.w.now
	var outside []*remote
	for _, f := range s.partitions {
		if f.session == s && !f.queued && !slices.Contains(f.r.state.ISR, s.from) {
			outside = append(outside, f)
		}
	}
	slices.SortFunc(outside, func(a, b *remote) int { return a.r.key.compare(b.r.key) })
	for _, f := range outside {
		f.lastCaughtUp = max(f.lastCaughtUp, s.lastFetch)
		f.r.maybeExpand(f)
	}
}
