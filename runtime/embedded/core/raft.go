package core

// This file defines KRaft: the replicated metadata log, its elections, and how every
// node learns what is committed (KIP-595; timings and rules of Kafka 3.9, which has
// no pre-vote, so a voter that comes back from a split unseats the leader).

import (
	"maps"
	"slices"
	"time"

	"starfall/runtime/embedded/internal/rules"
)

const (
	// raftFetchMaxWait is how long the leader parks a fetch of the metadata log.
	raftFetchMaxWait = 500 * time.Millisecond
	// raftRetryBackoff is controller.quorum.retry.backoff.ms.
	raftRetryBackoff = 20 * time.Millisecond
	// raftElectionBackoffBase is the unit of the exponential backoff after a lost election.
	raftElectionBackoffBase = 100 * time.Millisecond
	// noOpInterval is metadata.max.idle.interval.ms: the active controller writes a record
	// that often. A follower learns a new high-water mark only with its next fetch, so
	// this is also what bounds how late the others apply the last change.
	noOpInterval = 500 * time.Millisecond
	// timerJitter is how late a process may notice its timers. Without it two followers
	// that were answered at the same instant would always stand for election at the same
	// instant and split the vote; in the JVM that is the exception.
	timerJitter = 20 * time.Millisecond
)

// raftRole is what a node is in the quorum.
//
//	role        becomes     when
//	unattached  follower    it learns a leader of its epoch
//	unattached  candidate   election timeout (voters)
//	follower    candidate   no successful fetch for fetch timeout (voters)
//	follower    unattached  a vote request or answer with a higher epoch
//	candidate   leader      a majority granted its vote
//	candidate   candidate   election timeout or rejection by a majority, after a backoff
//	candidate   follower    it learns the leader
//	leader      resigned    no majority has fetched for 1.5 × fetch timeout (KAFKA-15489), or it shuts down
//	leader      unattached  a higher epoch
//	resigned    candidate   election timeout
//
// Observers (brokers that do not vote) are unattached or follower.
type raftRole int8

const (
	unattached raftRole = iota
	follower
	candidate
	leader
	resigned
)

// raftDisk is written through before anything is answered, so it survives a power cut.
type raftDisk struct {
	epoch int32
	voted int32 // 0 for nobody
	log   []metaEntry
}

type metaEntry struct {
	epoch int32
	rec   any
}

type raft struct {
	n    *node
	disk *raftDisk

	role     raftRole
	leaderID int32 // -1 for unknown
	hw       int64 // offsets below are committed
	applied  int64 // offsets below are in the image
	image    *image

	timer        uint64        // number of the election or fetch timer in force
	deadline     time.Duration // when that timer ends
	fetchSerial  uint64        // number of the fetch loop in force
	lastContact  time.Duration
	electionTry  int
	granted      map[int32]bool
	rejected     map[int32]bool
	voterOffsets map[int32]int64 // as leader
	voterContact map[int32]time.Duration
	seen         map[int32]*quorumReplica // as leader: who fetches, voters and observers
	epochStart   int64
	activated    bool
	parked       []*parkedRaftFetch
	commits      []commitWaiter
}

// quorumReplica is what DescribeQuorum tells of a replica of the metadata log.
type quorumReplica struct {
	end               int64
	fetched, caughtUp time.Duration
	everCaughtUp      bool
}

type commitWaiter struct {
	offset int64
	done   func(ok bool)
}

type parkedRaftFetch struct {
	req     *raftFetch
	respond func(any, int)
	done    bool
}

// The messages of the quorum.
type (
	raftVote struct {
		epoch, candidate int32
		lastEpoch        int32
		endOffset        int64
	}
	raftVoteAnswer struct {
		epoch, leader int32
		granted       bool
	}
	raftBegin struct{ epoch, leader int32 }
	raftEnd   struct {
		epoch, leader int32
		successors    []int32
	}
	raftAck   struct{ epoch, leader int32 }
	raftFetch struct {
		from      int32
		voter     bool
		epoch     int32
		offset    int64
		lastEpoch int32
	}
	raftFetchAnswer struct {
		epoch, leader int32
		notLeader     bool
		diverges      bool
		truncateTo    int64
		entries       []metaEntry
		hw            int64
	}
)

func newRaft(n *node) *raft {
	m := newImage()
	maps.Copy(m.scram, n.w.formatted)
	return &raft{n: n, disk: &n.disk.raft, leaderID: -1, image: m}
}

func (r *raft) end() int64 { return int64(len(r.disk.log)) }

func (r *raft) lastEpoch() int32 {
	if len(r.disk.log) == 0 {
		return 0
	}
	return r.disk.log[len(r.disk.log)-1].epoch
}

func (r *raft) fetchTimeout() time.Duration    { return r.n.cfg.quorumFetchTimeout }
func (r *raft) electionTimeout() time.Duration { return r.n.cfg.quorumElectionTimeout }

func (r *raft) majority() int { return len(r.n.w.voters)/2 + 1 }

func (r *raft) start() {
	if r.n.isVoter && len(r.n.w.voters) == 1 {
		r.toCandidate()
		return
	}
	r.toUnattached(r.disk.epoch)
}

// arm replaces the one timer of the role.
func (r *raft) arm(d time.Duration, fn func()) {
	if d > 0 {
		d += r.n.w.random(timerJitter)
	}
	r.timer++
	serial := r.timer
	r.deadline = r.n.w.now + d
	r.n.after(d, func() {
		if r.timer == serial {
			fn()
		}
	})
}

func (r *raft) leaveLeadership() {
	if r.role != leader {
		return
	}
	parked := r.parked
	r.parked = nil
	for _, p := range parked {
		if !p.done {
			p.done = true
			p.respond(&raftFetchAnswer{epoch: r.disk.epoch, leader: r.leaderID, notLeader: true}, 100)
		}
	}
	waiters := r.commits
	r.commits = nil
	for _, c := range waiters {
		c.done(false)
	}
	if r.n.ctl != nil {
		r.n.ctl = nil
		r.n.w.emit(Event{Kind: EventResigned, Node: r.n.id, Epoch: r.disk.epoch})
	}
}

func (r *raft) setEpoch(epoch int32) {
	if epoch > r.disk.epoch {
		r.disk.epoch = epoch
		r.disk.voted = 0
	}
}

func (r *raft) toUnattached(epoch int32) {
	// A voter that only learns of a higher epoch keeps what is left of its timer, so one
	// that stands again and again without a chance cannot put off the others.
	timeout := r.electionTimeout() + r.n.w.random(r.electionTimeout())
	if r.role != leader && r.deadline > 0 {
		timeout = max(0, r.deadline-r.n.w.now)
	}
	r.leaveLeadership()
	r.setEpoch(epoch)
	r.role = unattached
	r.leaderID = -1
	r.fetchSerial++
	if r.n.isVoter {
		r.arm(timeout, r.toCandidate)
	} else {
		r.timer++
	}
	// A node without a leader asks any voter who leads; for voters that are up to
	// date this changes nothing, because the answer only names a leader.
	r.fetchAnyVoter(r.fetchSerial)
}

func (r *raft) toFollower(epoch, leaderID int32) {
	if r.role == follower && r.disk.epoch == epoch && r.leaderID == leaderID {
		return
	}
	r.leaveLeadership()
	r.setEpoch(epoch)
	r.role = follower
	r.leaderID = leaderID
	r.electionTry = 0
	r.lastContact = r.n.w.now
	r.armFetchTimeout()
	r.fetchSerial++
	r.fetchLeader(r.fetchSerial)
}

func (r *raft) armFetchTimeout() {
	if !r.n.isVoter {
		return
	}
	r.arm(r.fetchTimeout(), r.toCandidate)
}

func (r *raft) toCandidate() {
	r.leaveLeadership()
	r.disk.epoch++
	r.disk.voted = r.n.id
	r.role = candidate
	r.leaderID = -1
	r.fetchSerial++
	r.granted = map[int32]bool{r.n.id: true}
	r.rejected = map[int32]bool{}
	r.electionTry++
	if len(r.granted) >= r.majority() {
		r.toLeader()
		return
	}
	r.arm(r.electionTimeout()+r.n.w.random(r.electionTimeout()), r.electionLost)
	vote := &raftVote{r.disk.epoch, r.n.id, r.lastEpoch(), r.end()}
	for _, v := range r.n.w.voters {
		if v != r.n.id {
			r.requestVote(v, vote)
		}
	}
}

func (r *raft) requestVote(v int32, vote *raftVote) {
	r.n.call(v, chanRaft, vote, 100, r.n.cfg.quorumRequestTimeout, func(resp any, err error) {
		if r.role != candidate || r.disk.epoch != vote.epoch {
			return
		}
		if err != nil {
			r.n.after(raftRetryBackoff, func() {
				if r.role == candidate && r.disk.epoch == vote.epoch && !r.granted[v] && !r.rejected[v] {
					r.requestVote(v, vote)
				}
			})
			return
		}
		a := resp.(*raftVoteAnswer)
		if r.observe(a.epoch, a.leader) {
			return
		}
		if a.granted {
			r.granted[v] = true
			if len(r.granted) >= r.majority() {
				r.toLeader()
			}
			return
		}
		r.rejected[v] = true
		if len(r.n.w.voters)-len(r.rejected) < r.majority() {
			r.electionLost()
		}
	})
}

// electionLost waits Kafka's binary exponential backoff and tries again.
func (r *raft) electionLost() { r.arm(r.backoff(r.electionTry), r.toCandidate) }

func (r *raft) backoff(try int) time.Duration {
	steps := int64(2) << min(10, try-1)
	return min(r.n.cfg.quorumElectionBackoff, raftElectionBackoffBase*time.Duration(r.n.w.rng.Int64N(steps)))
}

func (r *raft) toLeader() {
	r.role = leader
	r.leaderID = r.n.id
	r.electionTry = 0
	r.activated = false
	r.timer++
	r.fetchSerial++
	r.voterOffsets = map[int32]int64{}
	r.voterContact = map[int32]time.Duration{}
	r.seen = map[int32]*quorumReplica{}
	for _, v := range r.n.w.voters {
		r.voterContact[v] = r.n.w.now
	}
	r.epochStart = r.end()
	r.append(&leaderChangeRecord{r.n.id})
	r.checkQuorum(r.disk.epoch)
	begin := &raftBegin{r.disk.epoch, r.n.id}
	for _, v := range r.n.w.voters {
		if v != r.n.id {
			r.announce(v, begin)
		}
	}
	r.noOpLoop(r.disk.epoch)
}

func (r *raft) announce(v int32, begin *raftBegin) {
	r.n.call(v, chanRaft, begin, 100, r.n.cfg.quorumRequestTimeout, func(resp any, err error) {
		if r.role != leader || r.disk.epoch != begin.epoch {
			return
		}
		if err != nil {
			r.n.after(raftRetryBackoff, func() {
				if r.role == leader && r.disk.epoch == begin.epoch {
					r.announce(v, begin)
				}
			})
			return
		}
		a := resp.(*raftAck)
		r.observe(a.epoch, a.leader)
	})
}

// checkQuorum resigns when no majority has fetched for 1.5 × fetch timeout.
func (r *raft) checkQuorum(epoch int32) {
	if r.role != leader || r.disk.epoch != epoch || len(r.n.w.voters) == 1 {
		return
	}
	limit := r.fetchTimeout() * 3 / 2
	var contacts []time.Duration
	for _, v := range r.n.w.voters {
		if v == r.n.id {
			contacts = append(contacts, r.n.w.now)
		} else {
			contacts = append(contacts, r.voterContact[v])
		}
	}
	slices.Sort(contacts)
	last := contacts[len(contacts)-r.majority()]
	if r.n.w.now-last >= limit {
		r.resign(false)
		return
	}
	r.n.after(last+limit-r.n.w.now, func() { r.checkQuorum(epoch) })
}

// resign gives up the leadership of the quorum. A process that ends tells the others,
// and the most advanced of them stands for election at once (EndQuorumEpoch).
func (r *raft) resign(ending bool) {
	if r.role != leader {
		return
	}
	successors := without(r.n.w.voters, r.n.id)
	slices.SortStableFunc(successors, func(a, b int32) int {
		return int(r.voterOffsets[b] - r.voterOffsets[a])
	})
	r.leaveLeadership()
	r.role = resigned
	r.leaderID = -1
	end := &raftEnd{r.disk.epoch, r.n.id, successors}
	for _, v := range successors {
		r.n.call(v, chanRaft, end, 100, r.n.cfg.quorumRequestTimeout, func(resp any, err error) {
			if err == nil {
				a := resp.(*raftAck)
				r.observe(a.epoch, a.leader)
			}
		})
	}
	if ending {
		r.timer++
		return
	}
	r.arm(r.electionTimeout()+r.n.w.random(r.electionTimeout()), r.toCandidate)
}

// observe takes note of an epoch and leader that another node named. It reports
// whether this node changed its role.
func (r *raft) observe(epoch, leaderID int32) bool {
	switch {
	case epoch > r.disk.epoch && leaderID > 0 && leaderID != r.n.id:
		r.toFollower(epoch, leaderID)
		return true
	case epoch > r.disk.epoch:
		r.toUnattached(epoch)
		return true
	case epoch == r.disk.epoch && leaderID > 0 && leaderID != r.n.id && r.leaderID == -1 && r.role != leader && r.role != resigned:
		r.toFollower(epoch, leaderID)
		return true
	}
	return false
}

func (r *raft) handle(req any, respond func(any, int)) {
	switch m := req.(type) {
	case *raftVote:
		respond(r.handleVote(m), 100)
	case *raftBegin:
		r.observe(m.epoch, m.leader)
		respond(&raftAck{r.disk.epoch, r.leaderID}, 100)
	case *raftEnd:
		r.handleEnd(m)
		respond(&raftAck{r.disk.epoch, r.leaderID}, 100)
	case *raftFetch:
		r.handleFetch(m, respond)
	}
}

func (r *raft) handleVote(m *raftVote) *raftVoteAnswer {
	if m.epoch < r.disk.epoch {
		return &raftVoteAnswer{r.disk.epoch, r.leaderID, false}
	}
	if m.epoch > r.disk.epoch {
		r.toUnattached(m.epoch)
	}
	upToDate := m.lastEpoch > r.lastEpoch() || m.lastEpoch == r.lastEpoch() && m.endOffset >= r.end()
	upToDate = upToDate || r.n.w.opts.Without.Lacks(rules.VoteUpToDate)
	grant := r.role == unattached && upToDate && (r.disk.voted == 0 || r.disk.voted == m.candidate || r.n.w.opts.Without.Lacks(rules.VoteOnce))
	if grant && r.disk.voted == 0 {
		r.disk.voted = m.candidate
		r.arm(r.electionTimeout()+r.n.w.random(r.electionTimeout()), r.toCandidate)
	}
	return &raftVoteAnswer{r.disk.epoch, r.leaderID, grant}
}

func (r *raft) handleEnd(m *raftEnd) {
	if m.epoch < r.disk.epoch {
		return
	}
	if m.epoch > r.disk.epoch {
		r.toUnattached(m.epoch)
	}
	if !r.n.isVoter || r.role == leader || r.role == candidate {
		return
	}
	// The first of the successors stands at once, the others after a growing backoff.
	position := slices.Index(m.successors, r.n.id)
	if position <= 0 {
		r.arm(0, r.toCandidate)
		return
	}
	r.arm(r.backoff(position), r.toCandidate)
}
