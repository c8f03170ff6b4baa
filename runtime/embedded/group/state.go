package group

// This file defines what the coordinator remembers about one group and its
// members, and the rules that need nothing else: which protocol wins, who
// leads, who still has to come back.

import (
	"slices"
	"sort"
	"time"
)

// state is the state of a group in the classic protocol.
//
//	state                what happens                                    next
//	Empty                no members; offsets may be left                 PreparingRebalance (a member joins), Dead (offsets gone, deleted)
//	PreparingRebalance   heartbeats say REBALANCE_IN_PROGRESS; joins     CompletingRebalance (all joined, or time is up), Empty (all left), Dead
//	                     are parked until all have joined
//	CompletingRebalance  joins are answered; syncs are parked until      Stable (assignment committed), PreparingRebalance (a member joins
//	                     the leader's assignment is committed            anew, leaves, fails), Dead
//	Stable               heartbeats are answered NONE                    PreparingRebalance (as above, or the leader joins again), Dead
//	Dead                 deleted or handed to another broker             none
//
// A group is unloaded (Dead here, alive on another broker) from each state.
type state int8

const (
	empty state = iota
	preparingRebalance
	completingRebalance
	stable
	dead
)

// String gives the state's name as DescribeGroups spells it.
func (s state) String() string {
	switch s {
	case empty:
		return "Empty"
	case preparingRebalance:
		return "PreparingRebalance"
	case completingRebalance:
		return "CompletingRebalance"
	case stable:
		return "Stable"
	}
	return "Dead"
}

// protocol is one assignor that a member offers, with its subscription.
type protocol struct {
	name     string
	metadata []byte
}

// member is one member of a group.
type member struct {
	id               string
	instance         string // group.instance.id, "" for a dynamic member
	clientID         string
	clientHost       string
	rebalanceTimeout time.Duration
	sessionTimeout   time.Duration
	protocols        []protocol
	assignment       []byte

	// join and sync are the answers that are parked, nil when none is.
	join func(joinResult)
	sync func(syncResult)

	// fresh says that the member has never been answered: until then it is
	// kept for newMemberJoinTimeout, because a client that gave up waiting
	// does not know its id and joins as another.
	fresh bool

	// expires is when the session ends. The session timer fires at an older
	// instant than that after heartbeats, and then only winds itself up again.
	expires time.Duration
	session *timer
}

func (m *member) static() bool { return m.instance != "" }

// awaiting says that the coordinator owes the member an answer; such a
// member cannot send heartbeats and does not expire.
func (m *member) awaiting() bool { return m.join != nil || m.sync != nil }

// metadata gives what the member said under the protocol's name.
func (m *member) metadata(name string) []byte {
	for _, p := range m.protocols {
		if p.name == name {
			return p.metadata
		}
	}
	return nil
}

// offers says whether the member offers exactly these protocols.
func (m *member) offers(protocols []protocol) bool {
	return slices.EqualFunc(m.protocols, protocols, func(a, b protocol) bool {
		return a.name == b.name && slices.Equal(a.metadata, b.metadata)
	})
}

func (m *member) reply(r joinResult) {
	if f := m.join; f != nil {
		m.join = nil
		f(r)
	}
}

func (m *member) replySync(r syncResult) {
	if f := m.sync; f != nil {
		m.sync = nil
		f(r)
	}
}

// topicPartition names a partition that an offset belongs to.
type topicPartition struct {
	topic     string
	partition int32
}

// offset is a committed position.
type offset struct {
	offset      int64
	leaderEpoch int32
	metadata    string
	committed   int64 // epoch milliseconds
	expires     int64 // epoch milliseconds, -1 where the group's retention rules
	order       uint64
}

// group is one group, coordinated here.
type group struct {
	id         string
	partition  int32 // of __consumer_offsets
	state      state
	since      int64 // epoch milliseconds of the last change of state, -1 if unknown
	generation int32

	protocolType string // "" until a member said it
	protocol     string // "" when none is selected
	leader       string

	members map[string]*member
	order   []string          // of members, by first join, so that nothing depends on map order
	static  map[string]string // group.instance.id to member id
	pending map[string]*timer // member ids given out and not used yet (KIP-394)

	offsets map[topicPartition]offset
	txns    map[int64]map[topicPartition]offset // of open transactions, by producer id
	// writing counts the requests with an offset for some transaction that are not answered:
	// the partition is unstable from the request on.
	writing map[topicPartition]int

	// joinTimer ends PreparingRebalance, syncTimer throws out who joined and
	// did not sync.
	joinTimer   *timer
	syncTimer   *timer
	pendingSync map[string]bool

	// initial is set while the first rebalance of an empty group waits for
	// more members (group.initial.rebalance.delay.ms, KIP-134).
	initial          bool
	initialRemaining time.Duration
	newMemberAdded   bool
}

func newGroup(id string, partition int32) *group {
	return &group{
		id: id, partition: partition, state: empty, since: -1,
		members: map[string]*member{}, static: map[string]string{}, pending: map[string]*timer{},
		offsets: map[topicPartition]offset{}, txns: map[int64]map[topicPartition]offset{}, writing: map[topicPartition]int{}, pendingSync: map[string]bool{},
	}
}

// each calls f for every member in the order of first joining; f may remove.
func (g *group) each(f func(*member)) {
	for _, id := range slices.Clone(g.order) {
		if m := g.members[id]; m != nil {
			f(m)
		}
	}
}

func (g *group) add(m *member) {
	g.members[m.id] = m
	g.order = append(g.order, m.id)
	if m.static() {
		g.static[m.instance] = m.id
	}
	if g.leader == "" {
		g.leader = m.id
	}
}

func (g *group) remove(m *member) {
	delete(g.members, m.id)
	delete(g.pendingSync, m.id)
	if i := slices.Index(g.order, m.id); i >= 0 {
		g.order = slices.Delete(g.order, i, i+1)
	}
	if m.static() && g.static[m.instance] == m.id {
		delete(g.static, m.instance)
	}
	if g.leader == m.id {
		g.leader = ""
		if len(g.order) > 0 {
			g.leader = g.order[0]
		}
	}
}

// rename gives a static member that came back its new id in the old place.
func (g *group) rename(m *member, id string) {
	delete(g.members, m.id)
	if g.pendingSync[m.id] {
		delete(g.pendingSync, m.id)
		g.pendingSync[id] = true
	}
	if i := slices.Index(g.order, m.id); i >= 0 {
		g.order[i] = id
	}
	if g.leader == m.id {
		g.leader = id
	}
	m.id = id
	g.members[id] = m
	g.static[m.instance] = id
}

// allJoined says that nobody is missing from the rebalance, neither a member
// nor a client that was given an id a moment ago.
func (g *group) allJoined() bool {
	for _, m := range g.members {
		if m.join == nil {
			return false
		}
	}
	return len(g.pending) == 0
}

// electJoinedLeader makes sure the leader is a member that has joined; it
// reports false when no member has.
func (g *group) electJoinedLeader() bool {
	if m := g.members[g.leader]; m != nil && m.join != nil {
		return true
	}
	for _, id := range g.order {
		if g.members[id].join != nil {
			g.leader = id
			return true
		}
	}
	return false
}

// rebalanceTimeout is the longest any member wants for coming back.
func (g *group) rebalanceTimeout() time.Duration {
	var longest time.Duration
	for _, m := range g.members {
		longest = max(longest, m.rebalanceTimeout)
	}
	return longest
}

// common lists the protocols that every member offers.
func (g *group) common() map[string]bool {
	count := map[string]int{}
	for _, m := range g.members {
		for _, p := range m.protocols {
			count[p.name]++
		}
	}
	all := map[string]bool{}
	for name, n := range count {
		if n == len(g.members) {
			all[name] = true
		}
	}
	return all
}

// supports says whether a member with these protocols fits the group: of the
// same type, and with at least one protocol that all others offer too.
func (g *group) supports(protocolType string, protocols []protocol) bool {
	if protocolType == "" || len(protocols) == 0 {
		return false
	}
	if len(g.members) == 0 {
		return true
	}
	if protocolType != g.protocolType {
		return false
	}
	common := g.common()
	return slices.ContainsFunc(protocols, func(p protocol) bool { return common[p.name] })
}

// selectProtocol lets each member vote for the first of its protocols that
// all offer; most votes win, and the earlier vote wins a tie.
func (g *group) selectProtocol() string {
	common := g.common()
	votes := map[string]int{}
	var seen []string
	for _, id := range g.order {
		for _, p := range g.members[id].protocols {
			if common[p.name] {
				if votes[p.name] == 0 {
					seen = append(seen, p.name)
				}
				votes[p.name]++
				break
			}
		}
	}
	best := ""
	for _, name := range seen {
		if best == "" || votes[name] > votes[best] {
			best = name
		}
	}
	return best
}

// sortedOffsets lists the partitions with a committed offset in order.
func (g *group) sortedOffsets() []topicPartition {
	keys := make([]topicPartition, 0, len(g.offsets))
	for k := range g.offsets {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool {
		if keys[i].topic != keys[j].topic {
			return keys[i].topic < keys[j].topic
		}
		return keys[i].partition < keys[j].partition
	})
	return keys
}
