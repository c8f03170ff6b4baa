package explore

// This file defines what must hold, and how it is checked.

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"starfall/runtime/embedded/core"
)

// Violation is something that must not happen and did.
type Violation struct {
	// Rule names what was broken, always in the same words.
	Rule string
	At   time.Duration
	Text string
}

// Error is the violation in one line.
func (v *Violation) Error() string { return fmt.Sprintf("at %v: %s: %s", v.At, v.Rule, v.Text) }

// The rules, as Violation names them.
const (
	RuleOneLeader  = "one leader an epoch"
	RuleWatermark  = "high-water mark monotone"
	RuleBounds     = "log start ≤ high-water mark ≤ log end"
	RuleCommitted  = "committed records stay"
	RuleInSync     = "in-sync replicas hold what is committed"
	RuleAcked      = "acknowledged is committed"
	RuleMinISR     = "acknowledged is on min.insync.replicas brokers"
	RuleOnce       = "idempotent records once and in order"
	RuleRead       = "what was read stays"
	RuleOwner      = "one owner a partition and generation"
	RuleGeneration = "old generations commit nothing"
	RuleOffsets    = "committed offsets never go back by themselves"
	RuleController = "one active controller an epoch"
	RuleFencedJoin = "in-sync replicas are not fenced, but for the last"
	RuleDeadLeader = "the dead lead nothing"
	RuleStorm      = "no storm of messages"
	RuleSettles    = "everything mended settles"
	RuleSameLogs   = "logs are equal in the end"
	RuleGoesOn     = "work goes on in the end"
	RuleStable     = "last stable offset"
	RuleAborted    = "no aborted record visible to read_committed"
	RuleWhole      = "committed transactions are whole"
	RuleFenced     = "fenced producers do nothing"
	RuleTxnOffsets = "offsets of a transaction hold when it is committed"
	RuleRest       = "no transaction hangs in the end"
)

// checker compares the World with what has been seen of it before. Its heart is, for
// each partition, the list of what some leader's high-water mark has once covered: what
// is committed. Everything else follows from that list.
//
//	rule             when something is checked                 excused
//	one leader       a replica leads                           -
//	watermark        a replica's mark changed                  unclean; over what the partition has lost
//	committed        a leader's mark changed; a broker leads   unclean; see below
//	controller       a controller takes office                 -
//	not fenced       the committed ISR changed                 -
//	dead leader      every second                              no controller for long enough
//	in sync          a replica, or the committed ISR changed   unclean; brokers that lost data when power went
//	acked            a producer gets an answer                 partition has lost data
//	min ISR          the same                                  power is or was off somewhere
//	once             a mark covers more                        unclean; partition has lost data
//	read             a reader gets records                     partition has lost data
//	groups           an answer of the coordinator              offsets topic has lost data
//
// Power that goes takes what was not flushed; that is Kafka's promise, not a bug. A broker
// that lost committed records is noted as such until it has them again; when it leads,
// because it was the last in sync, then what it lacks is not committed any more and the
// partition "has lost data".
//
// What must hold of transactions is written in txncheck.go.
type checker struct {
	m      *sim
	w      *core.World
	broken *Violation
	parts  []*partition // topic "t" by number, then offsets and txns
	dirty  []dirtyReplica

	offsets, txns *partition // the only ones of their topics
	lost          bool       // some partition has lost data

	transactions []*transaction

	controllers map[int32]int32 // quorum epoch → who was the active controller
	office      struct {        // of the active controller, as far as it gets things committed
		node   int32
		since  time.Duration
		offset int64
	}
	downSince []time.Duration // by broker; 0 for those that are not down

	group struct {
		owners     map[[2]int32]string // generation and partition
		generation int32               // highest that was given out
		acked      []int64             // by partition: last acknowledged commit, -1 for none
		doubtful   []map[int64]bool    // by partition: asked for since
	}
}

type dirtyReplica struct {
	broker int32
	p      *partition
}

type partition struct {
	topic     string
	id        int32
	committed []committedBatch
	end       int64
	lastValue uint64 // of the idempotent producer, plus one
	open      []openTxn
	leaders   map[int32]int32
	state     core.PartitionState // as committed
	known     bool
	lost      bool  // what was committed has gone, by permission
	lostEpoch int32 // leader epoch of the last loss
	loaded    int64 // log end of the last leader when it began
	replicas  []replica
}

type committedBatch struct {
	base, last int64
	producer   int64
	sum        uint32
	kind       batchKind
}

type replica struct {
	dirty  bool
	hw     int64  // of this process
	hwSum  uint32 // checksum of the last batch below it
	stable int64  // last stable offset of this process
	led    int32  // highest epoch in which its leadership was judged
	lacks  bool   // lost committed records when power went
	// outage: its power went, and it has been in sync ever since, for all that the
	// controllers know.
	outage bool
}

func newChecker(m *sim) *checker {
	c := &checker{m: m, controllers: map[int32]int32{}, downSince: make([]time.Duration, m.s.Brokers)}
	add := func(topic string, id int) *partition {
		p := &partition{topic: topic, id: int32(id), leaders: map[int32]int32{}, lostEpoch: -1}
		for range m.s.Brokers {
			p.replicas = append(p.replicas, replica{led: -1})
		}
		c.parts = append(c.parts, p)
		return p
	}
	for i := range m.s.Partitions {
		add(topicName, i)
		c.group.acked = append(c.group.acked, -1)
		c.group.doubtful = append(c.group.doubtful, map[int64]bool{})
	}
	c.offsets, c.txns = add(offsetsTopic, 0), add(txnTopic, 0)
	c.group.owners = map[[2]int32]string{}
	return c
}

func (c *checker) breaks(rule, format string, args ...any) {
	if c.broken == nil {
		c.broken = &Violation{Rule: rule, At: c.w.Now(), Text: fmt.Sprintf(format, args...)}
	}
}

func (c *checker) partition(topic string, id int32) *partition {
	switch topic {
	case offsetsTopic:
		return c.offsets
	case txnTopic:
		return c.txns
	}
	return c.parts[id]
}

// touch notes what the step has changed; verify looks at it when the step is over.
func (c *checker) touch(broker int32, topic string, id int32) {
	p := c.partition(topic, id)
	if r := &p.replicas[broker-1]; !r.dirty {
		r.dirty = true
		c.dirty = append(c.dirty, dirtyReplica{broker, p})
	}
}

// committed takes note of a partition's committed state. A controller that takes over
// says again what is known.
func (c *checker) committed(s core.PartitionState, active func(broker int32) bool) {
	p := c.partition(s.Topic, s.Partition)
	if p.known && s.PartitionEpoch <= p.state.PartitionEpoch {
		return
	}
	for _, id := range s.ISR {
		if len(s.ISR) > 1 && !active(id) {
			c.breaks(RuleFencedJoin, "%s-%d: broker %d is one of %v", p.topic, p.id, id, s.ISR)
		}
	}
	p.state, p.known = s, true
	for i := range p.replicas {
		p.replicas[i].outage = p.replicas[i].outage && slices.Contains(s.ISR, int32(i+1))
	}
	c.touch(s.ISR[0], s.Topic, s.Partition)
}

// controller takes note of who becomes the active controller.
func (c *checker) controller(node, epoch int32) {
	if other, ok := c.controllers[epoch]; ok && other != node {
		c.breaks(RuleController, "quorum epoch %d: node %d and node %d", epoch, other, node)
	}
	c.controllers[epoch] = node
}

// deadAfter is how long after a broker's end another must lead: its session, which a new
// controller begins anew, and some time to write it down.
const deadAfter = 5 * sec

// watchLeaders looks, every second, for leaders that are dead, while one controller has
// been getting things committed for long enough to notice.
func (c *checker) watchLeaders() {
	c.m.after(sec, c.watchLeaders)
	now := c.w.Now()
	node, ok := c.w.ActiveController()
	var offset int64
	if ok {
		offset = c.w.Nodes()[c.m.index(node)].MetadataOffset
	}
	if o := &c.office; !ok || node != o.node || offset <= o.offset {
		o.node, o.since, o.offset = node, now, offset
		return
	}
	c.office.offset = offset
	if now-c.office.since < deadAfter {
		return
	}
	for _, p := range c.parts {
		if l := p.state.Leader; p.known && l > 0 && c.downSince[l-1] > 0 && now-c.downSince[l-1] > deadAfter {
			c.breaks(RuleDeadLeader, "%s-%d: broker %d, down since %v, controller %d in office since %v", p.topic, p.id, l, c.downSince[l-1], node, c.office.since)
		}
	}
}

// started notes that a broker has a process.
func (c *checker) started(broker int32) {
	if broker >= 1 && int(broker) <= c.m.s.Brokers {
		c.downSince[broker-1] = 0
	}
}

// ended forgets what was true of a process.
func (c *checker) ended(broker int32) {
	if broker < 1 || int(broker) > c.m.s.Brokers {
		return
	}
	c.downSince[broker-1] = c.w.Now()
	for _, p := range c.parts {
		p.replicas[broker-1].hw, p.replicas[broker-1].stable = 0, 0
		p.replicas[broker-1].led = -1
		p.replicas[broker-1].outage = p.replicas[broker-1].outage || c.m.host(broker).state == core.PoweredOff
	}
}

func (c *checker) verify() {
	for i := 0; i < len(c.dirty) && c.broken == nil; i++ {
		d := c.dirty[i]
		d.p.replicas[d.broker-1].dirty = false
		c.replica(d.broker, d.p)
	}
	c.dirty = c.dirty[:0]
}

func (c *checker) replica(broker int32, p *partition) {
	r := &p.replicas[broker-1]
	if s, ok := c.w.Replica(broker, p.topic, p.id); ok {
		if s.Leader {
			c.leads(broker, p, r, s)
		}
		if s.HighWatermark > s.LogEnd || s.LogStart > s.HighWatermark {
			c.breaks(RuleBounds, "%s-%d on broker %d: log %d to %d, high-water mark %d", p.topic, p.id, broker, s.LogStart, s.LogEnd, s.HighWatermark)
		}
		if s.HighWatermark < r.hw && !c.m.s.Unclean && (!p.lost || p.has(r.hw-1, r.hwSum)) {
			c.breaks(RuleWatermark, "%s-%d on broker %d: from %d back to %d", p.topic, p.id, broker, r.hw, s.HighWatermark)
		}
		c.lastStable(broker, p, r, s)
		if s.HighWatermark != r.hw {
			r.hw, r.hwSum = s.HighWatermark, 0
			if log, ok := c.w.DiskLog(broker, p.topic, p.id); ok {
				b, _ := log.At(r.hw - 1)
				r.hwSum = b.Sum
			}
		}
		r.lacks = r.lacks && !c.holds(broker, p)
	} else if c.m.host(broker).state == core.PoweredOff {
		// What it lost may be committed only now: its last fetch can still be on its way.
		r.lacks = true
	}
	if c.m.s.Unclean || !p.known {
		return
	}
	for _, id := range p.state.ISR {
		if !p.replicas[id-1].lacks && !c.holds(id, p) {
			end := int64(0)
			if log, ok := c.w.DiskLog(id, p.topic, p.id); ok {
				end = log.End()
			}
			c.breaks(RuleInSync, "%s-%d: broker %d is one of %v, its log ends at %d, committed is up to %d", p.topic, p.id, id, p.state.ISR, end, p.end)
		}
	}
}

// holds: the log on the broker's disk contains everything that is committed. Logs that
// agree in one batch agree before it, so the last one tells.
func (c *checker) holds(broker int32, p *partition) bool {
	if len(p.committed) == 0 {
		return true
	}
	log, ok := c.w.DiskLog(broker, p.topic, p.id)
	if !ok {
		return false
	}
	last := p.committed[len(p.committed)-1]
	b, ok := log.At(last.base)
	return ok && b.Base == last.base && b.Last == last.last && b.Sum == last.sum
}

// leads checks a leader, and takes over what its high-water mark covers.
func (c *checker) leads(broker int32, p *partition, r *replica, s core.ReplicaState) {
	if other, ok := p.leaders[s.LeaderEpoch]; ok && other != broker {
		c.breaks(RuleOneLeader, "%s-%d epoch %d: broker %d and broker %d", p.topic, p.id, s.LeaderEpoch, other, broker)
	}
	p.leaders[s.LeaderEpoch] = broker
	log, ok := c.w.DiskLog(broker, p.topic, p.id)
	if !ok {
		return
	}
	if r.led < s.LeaderEpoch && s.LeaderEpoch >= p.state.LeaderEpoch {
		r.led = s.LeaderEpoch
		p.loaded = s.LogEnd
		if !c.holds(broker, p) {
			if !r.lacks && !c.m.s.Unclean {
				c.breaks(RuleCommitted, "%s-%d: broker %d leads in epoch %d without all that is committed up to %d, its log ends at %d", p.topic, p.id, broker, s.LeaderEpoch, p.end, s.LogEnd)
				return
			}
			c.mayLose(broker, p)
			c.lose(p, log, s.LeaderEpoch)
		}
	}
	if s.LeaderEpoch < p.lostEpoch || c.m.s.Unclean && s.LeaderEpoch < p.state.LeaderEpoch {
		return // it was replaced by one that was allowed to know less
	}
	for p.end < s.HighWatermark {
		b, ok := log.At(p.end)
		if !ok {
			c.breaks(RuleBounds, "%s-%d on broker %d: no record at %d below the high-water mark %d", p.topic, p.id, broker, p.end, s.HighWatermark)
			return
		}
		kind, producer := kindOf(b.Data)
		p.committed = append(p.committed, committedBatch{b.Base, b.Last, producer, b.Sum, kind})
		p.end = b.Last + 1
		if kind != plainBatch {
			p.mark(p.committed[len(p.committed)-1])
			continue
		}
		if v, ok := valueOf(b.Data); ok && p.topic == topicName && v>>63 == 0 && !p.lost && !c.m.s.Unclean {
			if v != p.lastValue {
				c.breaks(RuleOnce, "%s-%d offset %d: record %d, want %d", p.topic, p.id, b.Base, v, p.lastValue)
			}
			p.lastValue = v + 1
		}
	}
	if hw := s.HighWatermark; hw > s.LogStart && !p.lost && !c.m.s.Unclean {
		b, ok := log.At(hw - 1)
		if !ok || !p.has(hw-1, b.Sum) {
			c.breaks(RuleCommitted, "%s-%d: broker %d has another record at %d than was committed", p.topic, p.id, broker, hw-1)
		}
	}
}

// mayLose: a broker without all that is committed may lead only when every broker in sync
// has had an outage. Where one has not, the others must have been fenced and left the
// in-sync replicas before they came back.
func (c *checker) mayLose(broker int32, p *partition) {
	if c.m.s.Unclean {
		return
	}
	for _, id := range p.state.ISR {
		if !p.replicas[id-1].outage {
			c.breaks(RuleCommitted, "%s-%d: broker %d leads after an outage without all that is committed up to %d, and broker %d of %v has had none", p.topic, p.id, broker, p.end, id, p.state.ISR)
		}
	}
}

// lose takes back what a leader lacks by permission.
func (c *checker) lose(p *partition, log core.DiskLog, epoch int32) {
	p.lost, p.lostEpoch, c.lost = true, epoch, true
	for len(p.committed) > 0 {
		last := p.committed[len(p.committed)-1]
		if b, ok := log.At(last.base); ok && b.Sum == last.sum && b.Base == last.base {
			break
		}
		p.committed = p.committed[:len(p.committed)-1]
	}
	p.end = 0
	if n := len(p.committed); n > 0 {
		p.end = p.committed[n-1].last + 1
	}
	p.remark()
}

// has: this batch is committed at an offset.
func (p *partition) has(offset int64, sum uint32) bool {
	i := p.find(offset)
	return i >= 0 && p.committed[i].sum == sum
}

func (p *partition) find(offset int64) int {
	i, ok := slices.BinarySearchFunc(p.committed, offset, func(b committedBatch, o int64) int {
		switch {
		case b.last < o:
			return -1
		case b.base > o:
			return 1
		}
		return 0
	})
	if !ok {
		return -1
	}
	return i
}

// acknowledged: a producer was told that its batch is at an offset.
func (c *checker) acknowledged(id int32, offset int64, sum uint32) {
	p := c.parts[id]
	if p.lost || c.m.s.Unclean {
		return
	}
	if !p.has(offset, sum) {
		c.breaks(RuleAcked, "%s-%d offset %d: acknowledged, committed is up to %d", p.topic, id, offset, p.end)
		return
	}
	holders, excused := 0, false
	for i := range p.replicas {
		broker := int32(i + 1)
		if c.m.nodes[i].state == core.PoweredOff || p.replicas[i].lacks {
			excused = true
		}
		if log, ok := c.w.DiskLog(broker, p.topic, id); ok {
			if b, ok := log.At(offset); ok && b.Sum == sum {
				holders++
			}
		}
	}
	if holders < 2 && !excused {
		c.breaks(RuleMinISR, "%s-%d offset %d: acknowledged, but on %d brokers", p.topic, id, offset, holders)
	}
}

// inOffice: the broker leads a partition in its last leader epoch. One that has been
// replaced and does not know may answer from a log that has fallen behind.
func (c *checker) inOffice(broker int32, p *partition) bool {
	s, ok := c.w.Replica(broker, p.topic, p.id)
	return ok && s.Leader && s.LeaderEpoch >= p.state.LeaderEpoch
}

// sequenceRefused: a producer with one batch at a time was told that one is missing. It
// reports whether that means that acknowledged records are gone, by permission.
func (c *checker) sequenceRefused(broker, id int32, code int16) bool {
	p := c.parts[id]
	if !c.inOffice(broker, p) {
		return false
	}
	if !p.lost && !c.m.s.Unclean {
		c.breaks(RuleOnce, "%s-%d: broker %d refused the only batch under way with error %d", p.topic, id, broker, code)
	}
	return true
}

// rangeRefused: a reader was told that its offset is out of range. It reports whether it
// has to begin again.
func (c *checker) rangeRefused(broker, id int32) bool {
	p := c.parts[id]
	if !c.inOffice(broker, p) {
		return false
	}
	if !p.lost && !c.m.s.Unclean {
		c.breaks(RuleRead, "%s-%d: broker %d told a reader that its offset is out of range", p.topic, id, broker)
	}
	return true
}

// read checks what a reader got from an offset on, and returns where to go on.
func (c *checker) read(id int32, offset int64, batches []byte) int64 {
	p := c.parts[id]
	for len(batches) >= batchHeader {
		size := 12 + int(binary.BigEndian.Uint32(batches[8:]))
		base := int64(binary.BigEndian.Uint64(batches))
		last := base + int64(binary.BigEndian.Uint32(batches[23:]))
		if !p.lost && !c.m.s.Unclean {
			if !p.has(base, sumOf(batches)) {
				c.breaks(RuleRead, "%s-%d offset %d: read, but not what is committed, which is up to %d", p.topic, id, base, p.end)
			}
		}
		offset = max(offset, last+1)
		batches = batches[min(size, len(batches)):]
	}
	return offset
}

// groupExcused: what the group's members were told may have been lost.
func (c *checker) groupExcused() bool { return c.offsets.lost || c.m.s.Unclean }

// assigned: a coordinator gave a member its partitions. As in Kafka a new coordinator
// reads its log to the end, not to the high-water mark: what it says before that is
// committed may be forgotten again, and binds nobody.
func (c *checker) assigned(broker, generation int32, member string, partitions []byte) {
	offsets := c.offsets
	if c.groupExcused() || !c.inOffice(broker, offsets) || offsets.end < offsets.loaded {
		return
	}
	g := &c.group
	g.generation = max(g.generation, generation)
	for _, id := range partitions {
		key := [2]int32{generation, int32(id)}
		if other, ok := g.owners[key]; ok && other != member {
			c.breaks(RuleOwner, "partition %d in generation %d: %s and %s", id, generation, other, member)
		}
		g.owners[key] = member
	}
}

func (c *checker) committing(id int32, offset int64) { c.group.doubtful[id][offset] = true }

func (c *checker) commitAcknowledged(generation, id int32, offset int64) {
	if c.groupExcused() {
		return
	}
	g := &c.group
	if generation < g.generation {
		c.breaks(RuleGeneration, "partition %d: a commit of generation %d was taken after generation %d had begun", id, generation, g.generation)
	}
	g.acked[id] = offset
}

// committedOffset: the coordinator told what is committed. One that has been replaced and
// does not know may tell what was; the leader of the last epoch may not. A commit that
// nobody was told about may have taken effect or not.
func (c *checker) committedOffset(broker, id int32, offset int64) {
	p := c.offsets
	if c.groupExcused() || !c.inOffice(broker, p) {
		return
	}
	g := &c.group
	if offset < g.acked[id] || offset > g.acked[id] && !g.doubtful[id][offset] {
		c.breaks(RuleOffsets, "partition %d: committed is %d, and broker %d says %d", id, g.acked[id], broker, offset)
	}
}
