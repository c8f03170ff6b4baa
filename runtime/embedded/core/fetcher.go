package core

// This file defines replication: the follower's fetchers, one for each leader, and
// the leader's side of them, with incremental fetch sessions (KIP-227).

import (
	"slices"
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
		key          partitionKey
		topicID      topicID
		currentEpoch int32
		offset       int64
		lastEpoch    int32 // -1 for unknown
		logStart     int64
		// of is the follower's own replica and at where the leader keeps the partition, as
		// it said in an answer: each hands the other's back unseen, so that neither has to
		// look up what it is asked or told of.
		of *replica
		at *sessionPartition
	}
	replicaFetchAnswer struct {
		code       int16
		session    uint64
		partitions []replicaFetchNews
		batches    []*batch // of all partitions, one behind the other
	}
	replicaFetchNews struct {
		key      partitionKey
		of       *replica
		at       *sessionPartition
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
		req.partitions = append(req.partitions, replicaFetchPartition{r.key, r.log.topicID, r.epoch, r.log.next, r.log.lastEpoch(), r.log.start, r, r.leaderAt})
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
			f.b.n.touched(r.key)
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
	if r.b.without(rules.AbortedKept) {
		r.log.txns.aborted = nil
	}
	if r.log.next < from {
		r.b.n.w.emit(Event{Kind: EventTruncated, Node: r.b.n.id, Topic: r.key.topic, Partition: r.key.partition, Epoch: r.epoch, From: from, To: r.log.next})
	}
	r.hw = min(r.hw, r.log.next)
	r.b.n.touched(r.key)
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
	r.b.n.touched(r.key)
}
