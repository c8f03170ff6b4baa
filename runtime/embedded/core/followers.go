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
	partitions map[partitionKey]*sessionPartition
	lastFetch  time.Duration
	news       []newsItem // partitions with something to tell, each once
	marks      []newsItem // partitions whose high-water mark or log start moved, each once
	spareNews  []newsItem // the room of news when it is next told
	spareMarks []newsItem
	parked     func() // answers the parked fetch; nil for none
	waking     bool
	lastSweep  time.Duration
	// answer is the last one, whose room the next one takes: a follower that asks again has
	// dealt with it.
	answer *replicaFetchAnswer
}

// sessionPartition is one partition of a session: what the follower last said of it.
type sessionPartition struct {
	replicaFetchPartition
	session *followerSession
	r       *replica
	f       *remote
	// agreed: the follower's log is known to be a prefix of the leader's; before that no
	// high-water mark may be told.
	agreed bool
}

// current: the replica still leads, and the session is the follower's and has the partition.
func (p *sessionPartition) current(s *followerSession) bool {
	return p != nil && p.session == s && p.f != nil && p.f.session == s && p.f.at == p
}

// drop takes a partition out of a session.
func (s *followerSession) drop(key partitionKey) {
	p := s.partitions[key]
	if p == nil {
		return
	}
	delete(s.partitions, key)
	if p.current(s) {
		p.f.leave()
	}
}

// leave ends a follower's part in a session, as far as the partition goes.
func (f *remote) leave() { f.session, f.at = nil, nil }

type newsItem struct {
	f *remote
	r *replica
}

// queue notes that a partition has data for the follower.
func (s *followerSession) queue(f *remote, r *replica) {
	f.queued = true
	s.news = append(s.news, newsItem{f, r})
	if s.parked != nil && !s.waking {
		s.waking = true
		r.b.n.after(0, func() {
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
		s = &followerSession{id: b.n.w.rng.Uint64() | 1, from: m.from, partitions: map[partitionKey]*sessionPartition{}}
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
		p := &m.partitions[i]
		sp := p.at
		if !sp.current(s) {
			if sp = s.partitions[p.key]; sp == nil {
				sp = &sessionPartition{session: s}
				s.partitions[p.key] = sp
			}
		}
		sp.replicaFetchPartition, sp.agreed = *p, false
		if news, bad := b.judgeFetch(m.from, s, sp); bad {
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

// judgeFetch checks one partition of a fetch; what is wrong is answered at once.
func (b *broker) judgeFetch(from int32, s *followerSession, p *sessionPartition) (replicaFetchNews, bool) {
	known := p.current(s)
	r := p.r
	if !known {
		r = b.replicas[p.key]
	}
	fail := func(code int16) (replicaFetchNews, bool) {
		s.drop(p.key)
		return replicaFetchNews{key: p.key, of: p.of, code: code}, true
	}
	switch {
	case r == nil:
		return fail(codeUnknownTopicOrPartition)
	case r.state.TopicID != p.topicID:
		return fail(codeInconsistentTopicID)
	case p.currentEpoch < r.epoch && !b.without(rules.FetchEpoch):
		return fail(codeFencedLeaderEpoch)
	case p.currentEpoch > r.epoch && !b.without(rules.FetchEpoch):
		return fail(codeUnknownLeaderEpoch)
	case !r.leading:
		return fail(codeNotLeaderOrFollower)
	}
	f := p.f
	if !known {
		if f = r.remote(from); f == nil {
			return fail(codeUnknownLeaderEpoch)
		}
		if f.session != s {
			// Whatever an older session had queued is gone with it.
			f.session, f.queued, f.marked = s, false, false
		}
		p.r, p.f, f.at = r, f, p
	}
	if p.lastEpoch >= 0 && !b.without(rules.Divergence) {
		epoch, end := r.log.endOffsetFor(p.lastEpoch)
		if epoch < 0 || end < 0 {
			return fail(codeOffsetOutOfRange)
		}
		if epoch < p.lastEpoch || end < p.offset {
			return replicaFetchNews{key: p.key, of: p.of, at: p, diverging: &epochEnd{epoch, end}, hw: r.hw, logStart: r.log.start}, true
		}
	}
	if p.offset < r.log.start || p.offset > r.log.next {
		return fail(codeOffsetOutOfRange)
	}
	p.agreed = true
	if r.hw > 0 {
		s.mark(f, r)
	}
	r.fetched(f, p.offset)
	if p.offset < r.log.next && !f.queued {
		s.queue(f, r)
	}
	return replicaFetchNews{}, false
}

// collect reads the news of a session into an answer.
func (b *broker) collect(s *followerSession, answer *replicaFetchAnswer) {
	room := b.n.cfg.replicaFetchResponse
	news := s.news
	s.news = s.spareNews[:0]
	defer func() { s.spareNews = news }()
	for i, item := range news {
		r, f := item.r, item.f
		p := f.at
		current := p.current(s)
		if current && r.holdsBack(f) {
			s.news = append(s.news, item) // with the next fetch perhaps
			continue
		}
		f.queued = false
		if !current {
			continue
		}
		first := len(answer.batches)
		batches, size := r.log.read(answer.batches, p.offset, r.log.next, min(b.n.cfg.replicaFetchMax, room), len(answer.partitions) == 0 || room > 0)
		if len(batches) == first {
			continue
		}
		answer.batches = batches
		room -= size
		r.sent(size)
		f.marked = false // told here
		answer.partitions = append(answer.partitions, replicaFetchNews{key: r.key, of: p.of, at: p, hw: r.hw, logStart: r.log.start, batches: batches[first:len(batches):len(batches)]})
		if room <= 0 {
			s.news = append(s.news, news[i+1:]...)
			return
		}
	}
}

// mark notes that a follower is to learn a new high-water mark or log start. It rides
// on the next answer; it does not cause one.
func (s *followerSession) mark(f *remote, r *replica) {
	if !f.marked {
		f.marked = true
		s.marks = append(s.marks, newsItem{f, r})
	}
}

func (b *broker) tellMarks(s *followerSession, answer *replicaFetchAnswer) {
	marks := s.marks
	s.marks = s.spareMarks[:0]
	defer func() { s.spareMarks = marks }()
	for _, item := range marks {
		r, f := item.r, item.f
		told := !f.marked
		f.marked = false
		if p := f.at; !told && p.current(s) && p.agreed {
			answer.partitions = append(answer.partitions, replicaFetchNews{key: r.key, of: p.of, at: p, hw: r.hw, logStart: r.log.start})
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
	var outside []*sessionPartition
	for _, p := range s.partitions {
		if p.current(s) && !p.f.queued && !slices.Contains(p.r.state.ISR, s.from) {
			outside = append(outside, p)
		}
	}
	slices.SortFunc(outside, func(a, b *sessionPartition) int { return a.key.compare(b.key) })
	for _, p := range outside {
		p.f.lastCaughtUp = max(p.f.lastCaughtUp, s.lastFetch)
		p.r.maybeExpand(p.f)
	}
}
