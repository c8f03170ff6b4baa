package explore

// This file defines how schedules are run: one, many, and smaller ones of one that
// breaks something.

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"starfall/runtime/embedded/core"
	"starfall/runtime/embedded/internal/rules"
)

// Options are for tests; the zero value explores the core as it is.
type Options struct {
	// Without leaves rules of the protocol out.
	Without rules.Set
	// Trace, when not nil, is told what happens, in order, for people to read.
	Trace func(line string)
}

// Stats count what happened in a run; a run in which nothing happens proves nothing.
type Stats struct {
	Steps     int // events of the World
	Acked     int // records acknowledged with acks=all
	Elections int // of partition leaders
	Commits   int // of offsets
	Committed int // transactions
	Lost      int // schedules in which power took what was committed
	Virtual   time.Duration
}

// Run makes the schedule of a seed and replays it. The violation is nil when everything
// held.
func Run(seed uint64, o Options) (Schedule, *Violation) {
	s := Generate(seed)
	v, _, err := Replay(s, o)
	if err != nil {
		panic(err) // a generated schedule is valid
	}
	return s, v
}

// Replay runs a schedule until something breaks or it is over. The same schedule gives
// the same result, event by event. The error says that the schedule cannot be run.
func Replay(s Schedule, o Options) (*Violation, Stats, error) {
	var stats Stats
	if err := s.validate(); err != nil {
		return nil, stats, err
	}
	m, err := newSim(s, o)
	if err != nil {
		return nil, stats, err
	}
	m.play()
	stats.Steps, stats.Virtual = m.steps, m.now()
	for _, p := range m.producers {
		stats.Acked += p.acked
	}
	for _, c := range m.members {
		stats.Commits += c.commits
	}
	if m.check.lost {
		stats.Lost = 1
	}
	for _, i := range m.txnIDs {
		stats.Committed += i.committed
	}
	for _, p := range m.check.parts {
		stats.Elections += len(p.leaders)
	}
	return m.check.broken, stats, nil
}

// settleWithin is how long a cluster may take to settle once everything is mended, in
// virtual time. The longest wait in it is a TCP retransmission after a cut.
const settleWithin = 120 * sec

func (m *sim) play() {
	if !m.waitFor(RuleSettles, m.w.Settled) {
		return
	}
	configs := map[string]string{"min.insync.replicas": "2"}
	if m.s.Unclean {
		configs["unclean.leader.election.enable"] = "true"
	}
	m.ask(1, createTopic(topicName, m.s.Partitions, configs), 10*sec, nothing)
	m.run(m.now() + sec)
	if !m.waitFor(RuleSettles, m.w.Settled) {
		return
	}
	noises := m.startLoad()
	m.check.watchLeaders()
	begin := m.now()
	for _, a := range m.s.Actions {
		m.run(begin + a.At)
		if m.check.broken != nil {
			return
		}
		if a.On != "" {
			m.armed = append(m.armed, a)
			continue
		}
		m.act(a)
		m.check.verify()
	}
	m.run(begin + m.s.For)
	m.armed = nil
	if m.check.broken != nil {
		return
	}
	m.act(Action{Verb: Heal})
	if !m.waitFor(RuleSettles, m.mended) {
		return
	}
	for _, n := range noises {
		n.stopped = true
	}
	for _, i := range m.txnIDs {
		i.hurry = true
	}
	// Work must go on now, and then everything come to rest.
	since := m.now()
	m.run(since + 2*sec)
	if !m.waitFor(RuleGoesOn, func() error { return m.progress(since) }) {
		return
	}
	for _, p := range m.producers {
		p.stopped = true
	}
	for _, r := range m.readers {
		r.stopped = r.isolation == 0
	}
	for _, c := range m.members {
		c.stopped = true
	}
	if len(m.txnIDs) > 0 {
		dying := m.rng.IntN(4) == 0
		for _, i := range m.txnIDs {
			i.stop(dying)
		}
	}
	m.run(m.now() + sec)
	if m.waitFor(RuleRest, m.whole) {
		m.waitFor(RuleSameLogs, m.audit)
	}
}

// progress says who has got nothing done since a time.
func (m *sim) progress(since time.Duration) error {
	for _, p := range m.producers {
		if p.ackedAt < since {
			return fmt.Errorf("partition %d: nothing was acknowledged since %v", p.partition, since)
		}
	}
	if m.s.Members > 0 && !slices.ContainsFunc(m.members, func(c *member) bool { return c.committedAt >= since }) {
		return fmt.Errorf("group: nothing was committed since %v", since)
	}
	for _, i := range m.txnIDs {
		// Where power took an epoch that producers had been given, leaders refuse the next
		// ones, and the transaction never ends: in Kafka too.
		if i.committedAt < since && !m.check.txnExcused() {
			return fmt.Errorf("%s: no transaction was committed since %v", i.name, since)
		}
	}
	return nil
}

// waitFor runs until ok gives nil; after settleWithin the rule is broken.
func (m *sim) waitFor(rule string, ok func() error) bool {
	end := m.now() + settleWithin
	for m.check.broken == nil {
		err := ok()
		if err == nil {
			return true
		}
		if m.now() >= end {
			m.check.breaks(rule, "not within %v: %v", settleWithin, err)
			return false
		}
		m.run(m.now() + 100*ms)
	}
	return false
}

// mended brings back what is down and says what is still missing.
func (m *sim) mended() error {
	var missing error
	for _, h := range m.nodes {
		switch h.state {
		case core.Paused:
			_ = m.w.Resume(h.id)
		case core.Stopped, core.Killed, core.PoweredOff:
			_ = m.w.Start(h.id)
		}
		if h.state != core.Running {
			missing = fmt.Errorf("node %d is %v", h.id, h.state)
		}
	}
	if missing != nil {
		return missing
	}
	return m.w.Settled()
}

func (m *sim) startLoad() []*noise {
	var noises []*noise
	for i := range m.s.Partitions {
		p := &producer{m: m, partition: int32(i), every: 150 * ms}
		m.producers = append(m.producers, p)
		p.send()
		r := &reader{m: m, partition: int32(i)}
		m.readers = append(m.readers, r)
		r.read()
		if m.s.Transactions > 0 {
			r := &reader{m: m, partition: int32(i), isolation: 1}
			m.readers = append(m.readers, r)
			r.read()
		}
		n := &noise{m: m, partition: int32(i)}
		noises = append(noises, n)
		n.send()
	}
	for range m.s.Members {
		c := &member{m: m, position: make([]int64, m.s.Partitions)}
		m.members = append(m.members, c)
		c.again()
	}
	for i := range m.s.Transactions {
		id := &txnID{m: m, name: fmt.Sprintf("x%d", i+1), acked: -1, doubtful: map[int64]bool{}}
		m.txnIDs = append(m.txnIDs, id)
		id.come()
	}
	return noises
}

// audit compares the logs in the end.
func (m *sim) audit() error {
	for _, p := range m.check.parts {
		if !p.known {
			continue
		}
		leader, ok := m.w.DiskLog(p.state.Leader, p.topic, p.id)
		if !ok {
			return fmt.Errorf("%s-%d: leader %d has no log", p.topic, p.id, p.state.Leader)
		}
		for _, id := range p.state.Replicas {
			log, ok := m.w.DiskLog(id, p.topic, p.id)
			if !ok || log.End() != leader.End() {
				return fmt.Errorf("%s-%d: the logs of brokers %d and %d end differently", p.topic, p.id, p.state.Leader, id)
			}
			for at := max(log.Start(), leader.Start()); at < log.End(); {
				a, okA := leader.At(at)
				b, okB := log.At(at)
				if !okA || !okB || a.Sum != b.Sum || a.Base != b.Base || a.Epoch != b.Epoch {
					return fmt.Errorf("%s-%d offset %d: the logs of brokers %d and %d differ", p.topic, p.id, at, p.state.Leader, id)
				}
				at = a.Last + 1
			}
		}
	}
	return nil
}

// Found is a schedule that breaks something.
type Found struct {
	Schedule  Schedule
	Violation *Violation
}

// Many runs the schedules of the seeds from first on, in parallel on all processors, and
// ends at the first violation, or when ctx does. Of several violations it returns that
// of the smallest seed it has seen. Stats are the sums over all schedules that were run.
func Many(ctx context.Context, first uint64, count int, o Options) (*Found, int, Stats) {
	var (
		next  atomic.Int64
		mu    sync.Mutex
		found *Found
		done  int
		sum   Stats
		wg    sync.WaitGroup
	)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := next.Add(1) - 1
				if i >= int64(count) {
					return
				}
				s := Generate(first + uint64(i))
				v, stats, err := Replay(s, o)
				if err != nil {
					panic(err) // a generated schedule is valid
				}
				mu.Lock()
				done++
				sum.Steps += stats.Steps
				sum.Acked += stats.Acked
				sum.Elections += stats.Elections
				sum.Commits += stats.Commits
				sum.Committed += stats.Committed
				sum.Lost += stats.Lost
				sum.Virtual += stats.Virtual
				if v != nil {
					if found == nil || s.Seed < found.Schedule.Seed {
						found = &Found{s, v}
					}
					next.Store(int64(count))
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return found, done, sum
}

// Shrink makes a schedule that breaks a rule smaller for as long as it still breaks the
// same one: it leaves out actions, in halves and then one by one, and ends it sooner. It
// replays at most the given number of schedules.
func Shrink(f Found, o Options, replays int) Found {
	try := func(s Schedule) bool {
		if replays <= 0 {
			return false
		}
		replays--
		v, _, err := Replay(s, o)
		if err != nil || v == nil || v.Rule != f.Violation.Rule {
			return false
		}
		f = Found{s, v}
		return true
	}
	for size := (len(f.Schedule.Actions) + 1) / 2; size > 0; size /= 2 {
		for at := 0; at < len(f.Schedule.Actions); {
			s := f.Schedule
			s.Actions = slices.Delete(slices.Clone(s.Actions), at, min(at+size, len(s.Actions)))
			if !try(s) {
				at += size
			}
		}
	}
	if s := f.Schedule; s.Members > 0 {
		s.Members = 0
		try(s)
	}
	if s := f.Schedule; s.Transactions > 0 {
		s.Transactions = 0
		try(s)
	}
	if s := f.Schedule; len(s.Actions) > 0 {
		s.For = s.Actions[len(s.Actions)-1].At
		try(s)
	}
	return f
}
