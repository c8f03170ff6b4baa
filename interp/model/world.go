// This file defines what the model knows at a moment: nodes, topics, clients,
// and what events have done to them.

package model

import (
	"slices"
	"strconv"

	"starfall/interp/plan"
)

// state is what a node's process and host do.
type state int

const (
	running state = iota
	dead          // the process is gone, the host answers with resets
	off           // the host is gone
	paused        // the process is frozen
)

// transition is what a verb does to a node that is in a state: the next state,
// or why it cannot be done, and what was probably meant.
//
//	verb        running            dead             off              paused
//	kill        dead               already down     already down     dead
//	stop        dead               already down     already down     cannot, frozen
//	restart     dead, then running already down     already down     cannot, frozen
//	power_off   off                off              already off      off
//	pause       paused             already down     already down     already paused
//	start       already running    running          running          cannot, resume
//	resume      not paused         not paused       not paused       running
//
// A stopped process is dead too: what differs is how its peers learn of it.
func transition(v plan.Verb, s state) (next state, why, hint string) {
	switch v {
	case plan.Kill, plan.Stop, plan.Restart:
		switch {
		case s == dead || s == off:
			return s, "is already down", ""
		case s == paused && v != plan.Kill:
			return s, "is paused and cannot shut down in order", "resume it first, or use kill"
		}
		return dead, "", ""
	case plan.PowerOff:
		if s == off {
			return s, "is already off", ""
		}
		return off, "", ""
	case plan.Pause:
		switch s {
		case running:
			return paused, "", ""
		case paused:
			return s, "is already paused", ""
		}
		return s, "is down", ""
	case plan.StartNode:
		switch s {
		case running:
			return s, "is running already", ""
		case paused:
			return s, "is paused, not down", "use resume"
		}
		return running, "", ""
	case plan.Resume:
		switch s {
		case paused:
			return running, "", ""
		case running:
			return s, "is not paused", ""
		}
		return s, "is down, not paused", "use start"
	}
	return s, "", ""
}

// node is one process of a cluster as the model knows it.
type node struct {
	cluster *clusterState
	plan.Node
	state state
	since plan.Duration // when it came into this state
	by    *effect       // what brought it into this state, nil at first
	sure  bool          // it certainly was in another state before
	may   bool          // an event of unknown time touches it
}

func (n *node) label() string { return n.cluster.c.Label(n.ID) }

// hidden is what a selector hit: count nodes out of several. It is over when
// its effect is undone.
type hidden struct {
	from  []*node
	count int
	state state
	may   bool // some of them may have been brought back by name
}

type clusterState struct {
	c                *plan.Cluster
	nodes            []*node
	byID             map[int32]*node
	brokers          []*node
	voters           []*node
	quorum           string // what the voters are called together
	hidden           []*hidden
	quorumLost, dark bool
}

func newClusterState(c *plan.Cluster) *clusterState {
	s := &clusterState{c: c, byID: make(map[int32]*node), quorum: "quorum"}
	var combined, controllers, keepers []*node
	for _, pn := range c.Nodes {
		n := &node{cluster: s, Node: pn}
		s.nodes = append(s.nodes, n)
		s.byID[pn.ID] = n
		switch pn.Role {
		case plan.RoleCombined:
			combined = append(combined, n)
		case plan.RoleController:
			controllers = append(controllers, n)
		case plan.RoleZooKeeper:
			keepers = append(keepers, n)
		}
		if pn.Role == plan.RoleCombined || pn.Role == plan.RoleBroker {
			s.brokers = append(s.brokers, n)
		}
	}
	switch {
	case len(controllers) > 0:
		s.voters = append(controllers, combined...)
	case len(keepers) > 0:
		s.voters, s.quorum = keepers, "ZooKeeper ensemble"
	default:
		s.voters = combined
	}
	return s
}

// controllers are the nodes that may be the active controller: the voters, or
// with ZooKeeper the brokers.
func (s *clusterState) controllers() []*node {
	if len(s.voters) > 0 && s.voters[0].Role == plan.RoleZooKeeper {
		return s.brokers
	}
	return s.voters
}

// unsure reports whether a node may be in another state than its own, because
// a selector or an event of unknown time may have hit it.
func (n *node) unsure() bool {
	if n.may {
		return true
	}
	for _, h := range n.cluster.hidden {
		if slices.Contains(h.from, n) {
			return true
		}
	}
	return false
}

// up counts how many of the nodes can be running at most.
func up(nodes []*node) int {
	n := 0
	for _, x := range nodes {
		if x.state != dead && x.state != off || x.may {
			n++
		}
	}
	if len(nodes) > 0 {
		n -= nodes[0].cluster.hiddenDown(nodes)
	}
	return n
}

// down counts how many of the nodes certainly do not work.
func down(nodes []*node) int {
	n := 0
	for _, x := range nodes {
		if x.state != running && x.sure && !x.may {
			n++
		}
	}
	if len(nodes) > 0 {
		n += nodes[0].cluster.hiddenDown(nodes)
	}
	return n
}

// hiddenDown counts those that selectors certainly took out of these nodes.
func (s *clusterState) hiddenDown(nodes []*node) int {
	n := 0
	for _, h := range s.hidden {
		inside := !h.may && !slices.ContainsFunc(h.from, func(x *node) bool { return !slices.Contains(nodes, x) })
		if inside {
			n += h.count
		}
	}
	return n
}

// change is a value from a time on.
type change struct {
	at    plan.Duration
	value float64
}

// spanOf gives the least and the greatest value that a series has between two
// times. A change at lo counts as done.
func spanOf(s []change, lo, hi plan.Duration) (least, most float64) {
	if len(s) == 0 {
		return 0, 0
	}
	least, most = s[0].value, s[0].value
	for _, x := range s {
		switch {
		case x.at <= lo:
			least, most = x.value, x.value
		case x.at < hi:
			least, most = min(least, x.value), max(most, x.value)
		}
	}
	return least, most
}

func last(s []change) float64 { return s[len(s)-1].value }

type topicState struct {
	t         *plan.Topic
	cluster   *clusterState // nil when the plan does not have it
	parts     []change
	most      int // partitions that it may ever have
	replicas  int // the most that a partition may ever have
	may       bool
	deleted   bool
	deletedAt plan.Duration
	placement map[int][]int32 // of partitions that were not moved
	config    map[string]string
}

func newTopicState(t *plan.Topic, cluster *clusterState) *topicState {
	s := &topicState{
		t: t, cluster: cluster,
		parts: []change{{0, float64(t.Partitions)}}, most: t.Partitions, replicas: t.Replicas,
		placement: make(map[int][]int32, len(t.Placement)),
		config:    make(map[string]string, len(t.Config)+1),
	}
	for p, ids := range t.Placement {
		s.placement[p] = ids
	}
	s.config["min.insync.replicas"] = strconv.Itoa(t.MinInsync)
	for k, v := range t.Config {
		s.config[k] = v
	}
	return s
}

// now is the present number of partitions.
func (s *topicState) now() int { return int(last(s.parts)) }

// limit is the number of partitions that a partition number must be below.
func (s *topicState) limit() int {
	if s.may {
		return s.most
	}
	return s.now()
}

// hosts are the brokers that may hold a partition.
func (s *topicState) hosts(partition int) []*node {
	ids, ok := s.placement[partition]
	if !ok || s.cluster == nil {
		if s.cluster == nil {
			return nil
		}
		return s.cluster.brokers
	}
	var out []*node
	for _, id := range ids {
		if n := s.cluster.byID[id]; n != nil {
			out = append(out, n)
		}
	}
	return out
}

type clientState struct {
	name, site string
	producer   *plan.Producer // one of the two is set
	consumer   *plan.Consumer
	topics     []*topicState
	members    []change
	most       int // members that it may ever have
	rates      []change
	crashed    map[int]*effect
	may        bool // an event of unknown time scales or crashes it
	rateMay    bool
	disturbed  bool // it is scaled, crashed or redirected at some time

	abroad      *mirrorState // it has failed over to this one
	abroadSince plan.Duration
	abroadMay   bool      // an event of unknown time redirects it
	routes      []*effect // of reroute, in force
	viaMay      bool      // an event of unknown time reroutes it
}

func newClientState(name, site string, members int) *clientState {
	return &clientState{
		name: name, site: site, most: members,
		members: []change{{0, float64(members)}},
		crashed: make(map[int]*effect),
	}
}

func (s *clientState) now() int { return int(last(s.members)) }

// cluster is where it works now, nil when that is not known: where its topics
// are, or where it has failed over to.
func (s *clientState) cluster() *clusterState {
	if s.abroad != nil {
		return s.abroad.to
	}
	if len(s.topics) == 0 {
		return nil
	}
	return s.topics[0].cluster
}

// partitions gives the number that its topics have together. A consumer that
// has failed over reads a topic of the same name beside each copy, unless the
// copy itself has that name.
func (s *clientState) partitions() int {
	n := 0
	for _, t := range s.topics {
		n += t.now()
	}
	if s.consumer != nil && s.abroad != nil && s.abroad.m.Rename != plan.RenameIdentity {
		n *= 2
	}
	return n
}

// effect is what one action of one firing did, until it is undone.
type effect struct {
	ev       *eventState
	a        *plan.Action
	nodes    []*node // those it brought into a state that is to be undone
	hidden   *hidden
	client   *clientState // of a crash
	crashed  []int
	since    plan.Duration  // when it crashed them
	rerouted []*clientState // of a reroute
	undone   bool
	undoneAt plan.Duration
}

// lasts reports whether a verb leaves something behind that must be undone.
func lasts(v plan.Verb) bool {
	return takesNodes(v) || cutsPaths(v) || v == plan.Crash || v == plan.Reroute
}

func takesNodes(v plan.Verb) bool {
	switch v {
	case plan.Kill, plan.Stop, plan.Restart, plan.PowerOff, plan.Pause:
		return true
	}
	return false
}

func cutsPaths(v plan.Verb) bool {
	switch v {
	case plan.Netsplit, plan.Slow, plan.Lose, plan.Throttle:
		return true
	}
	return false
}

// undoneBy gives the verb that undoes another one by hand, "" when there is
// none.
func undoneBy(v plan.Verb) plan.Verb {
	switch v {
	case plan.Kill, plan.Stop, plan.PowerOff, plan.Restart:
		return plan.StartNode
	case plan.Pause:
		return plan.Resume
	case plan.Netsplit, plan.Slow, plan.Lose, plan.Throttle:
		return plan.Heal
	}
	return ""
}

// length is how long an action lasts when nobody interferes; false when it
// lasts until it is undone by hand.
func length(a *plan.Action) (plan.Duration, bool) {
	switch {
	case a.Verb == plan.Restart:
		return a.DownFor, true
	case a.UndoAfter != nil:
		return *a.UndoAfter, true
	}
	return 0, !lasts(a.Verb)
}

// undoParameter is how the language says UndoAfter.
func undoParameter(v plan.Verb) string {
	switch {
	case v == plan.Pause:
		return "resume_after"
	case v == plan.Configure:
		return "revert_after"
	case v == plan.Reroute:
		return "restore_after"
	case cutsPaths(v):
		return "heal_after"
	case v == plan.Restart:
		return "down_for"
	}
	return "restart_after"
}
