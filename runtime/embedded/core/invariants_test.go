package core

// This file runs seeded random schedules of faults under load and checks what must hold
// whatever happens.

import (
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// schedules is how many random schedules are tried; more find rarer things.
var schedules = flag.Int("schedules", 40, "random fault schedules to try")

// chaos is one schedule: a cluster, its load, and the invariants as they are watched.
type chaos struct {
	w       *World
	rng     *rand.Rand
	loads   []*load
	unclean bool
	trace   []string
	broken  []string

	leaderOf map[string]int32       // partition and epoch → who led it
	epochs   map[partitionKey]int32 // highest leader epoch that a controller has written
	hw       map[string]int64       // broker, process and partition → last high-water mark
}

func newChaos(t testing.TB, seed uint64, unclean bool) *chaos {
	c := &chaos{rng: rand.New(rand.NewPCG(seed, 7)), unclean: unclean, leaderOf: map[string]int32{}, epochs: map[partitionKey]int32{}, hw: map[string]int64{}}
	o := Options{Brokers: 3 + int(seed%2)*2, Seed: seed, Config: map[string]string{
		"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500", "replica.lag.time.max.ms": "4000",
	}}
	if seed%3 == 0 {
		o.Controllers = 3
	}
	o.OnEvent = func(e Event) {
		if e.Kind == EventLeader {
			key := partitionKey{e.Topic, e.Partition}
			c.epochs[key] = max(c.epochs[key], e.Epoch)
		}
		c.trace = append(c.trace, fmt.Sprint(e.At, e.Kind, e.Node, e.Topic, e.Partition, e.Epoch, e.ISR, e.From, e.To, e.Text))
	}
	c.w = newWorld(t, o)
	settle(t, c.w)
	config := map[string]string{"min.insync.replicas": "2"}
	if unclean {
		config["unclean.leader.election.enable"] = "true"
	}
	createTopic(t, c.w, 1, "t", 3, 3, config, nil)
	for p := range 3 {
		l := &load{w: c.w, topic: "t", partition: int32(p), acks: -1, every: 40 * ms, readTimeout: 3 * sec}
		l.start()
		c.loads = append(c.loads, l)
	}
	return c
}

func (c *chaos) breaks(format string, args ...any) {
	c.broken = append(c.broken, fmt.Sprintf("at %v: ", c.w.Now())+fmt.Sprintf(format, args...))
}

// watch checks the invariants of this moment.
func (c *chaos) watch() {
	for _, id := range c.w.brokers {
		n := c.w.byID[id]
		for _, r := range c.w.Replicas(id) {
			if r.Leader {
				key := fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.LeaderEpoch)
				if other, ok := c.leaderOf[key]; ok && other != id {
					c.breaks("partition %d epoch %d: led by %d and by %d", r.Partition, r.LeaderEpoch, other, id)
				}
				c.leaderOf[key] = id
			}
			key := fmt.Sprintf("%d/%d/%s/%d", id, n.incarnation, r.Topic, r.Partition)
			if r.HighWatermark < c.hw[key] && !c.unclean {
				c.breaks("broker %d partition %d: high-water mark went from %d back to %d", id, r.Partition, c.hw[key], r.HighWatermark)
			}
			c.hw[key] = r.HighWatermark
			if r.HighWatermark > r.LogEnd || r.LogStart > r.HighWatermark {
				c.breaks("broker %d partition %d: log %d to %d, high-water mark %d", id, r.Partition, r.LogStart, r.LogEnd, r.HighWatermark)
			}
			if wrong := n.broker.replicas[partitionKey{r.Topic, r.Partition}].noted(); wrong != "" {
				c.breaks("broker %d partition %d: %s", id, r.Partition, wrong)
			}
			if r.Leader && !c.unclean {
				c.watchISR(n, r)
			}
		}
	}
}

// watchISR: each in-sync replica, as its leader and metadata have them, holds everything
// below the leader's high-water mark, also one that is dead.
func (c *chaos) watchISR(n *node, r ReplicaState) {
	key := partitionKey{r.Topic, r.Partition}
	mine := n.broker.replicas[key]
	if mine.epoch != c.epochs[key] {
		return // a leader that has been replaced and does not know it
	}
	for _, id := range mine.state.ISR {
		l := c.w.byID[id].disk.logs[key]
		if l == nil && r.HighWatermark > 0 || l != nil && l.next < r.HighWatermark {
			c.breaks("partition %d: broker %d is in sync with leader %d but its log ends before the high-water mark %d", r.Partition, id, n.id, r.HighWatermark)
		}
	}
}

// act does one random thing.
func (c *chaos) act() string {
	w := c.w
	n := w.nodes[c.rng.IntN(len(w.nodes))]
	switch c.rng.IntN(8) {
	case 0:
		return fmt.Sprint("kill ", n.id, w.Kill(n.id))
	case 1, 2:
		return fmt.Sprint("start ", n.id, w.Start(n.id))
	case 3:
		return fmt.Sprint("stop ", n.id, w.Stop(n.id, nil))
	case 4:
		return fmt.Sprint("pause ", n.id, w.Pause(n.id))
	case 5:
		return fmt.Sprint("resume ", n.id, w.Resume(n.id))
	case 6:
		heal(w)
		return "heal"
	}
	side := map[int32]bool{}
	for _, n := range w.nodes {
		side[n.id] = c.rng.IntN(3) == 0
	}
	oneWay := c.rng.IntN(4) == 0
	latency := time.Duration(c.rng.IntN(30)) * ms
	w.SetPaths(func(from, to int32) Path {
		return Path{Cut: side[from] != side[to] && (!oneWay || side[from]), Latency: latency, Jitter: latency / 2, Loss: float64(latency) / float64(3*sec)}
	})
	return fmt.Sprint("split ", side, oneWay, latency)
}

// run lets faults happen for d, and then brings everything back.
func (c *chaos) run(d time.Duration) error {
	w := c.w
	end := w.Now() + d
	next := w.Now()
	for w.Now() < end {
		if w.Now() >= next {
			c.trace = append(c.trace, c.act())
			next = w.Now() + time.Duration(c.rng.IntN(4000))*ms
		}
		w.Advance(w.Now() + 25*ms)
		c.watch()
	}
	heal(w)
	for _, n := range w.nodes {
		if n.state == Paused {
			w.Resume(n.id)
		}
		if !n.exists() {
			w.Start(n.id)
		}
	}
	err := within(w, 120*sec, func() error {
		c.watch()
		for _, n := range w.nodes {
			if !n.exists() {
				w.Start(n.id) // it was still stopping
			}
			if n.state != Running {
				return fmt.Errorf("node %d is %v", n.id, n.state)
			}
		}
		return w.Settled()
	})
	if err != nil {
		return fmt.Errorf("not settled 120s after everything is back: %w", err)
	}
	w.Advance(w.Now() + 5*sec)
	for _, l := range c.loads {
		l.stopped = true
	}
	w.Advance(w.Now() + 5*sec)
	return nil
}

// audit compares the logs in the end.
func (c *chaos) audit() {
	for _, p := range c.w.Partitions(0) {
		key := partitionKey{p.Topic, p.Partition}
		l := c.loads[p.Partition]
		got := values(c.w.byID[p.Leader].disk.logs[key])
		have := map[int64]bool{}
		for _, v := range got {
			have[v] = true
		}
		lost := 0
		for _, v := range l.acked {
			if !have[v] {
				lost++
			}
		}
		if lost > 0 && !c.unclean {
			c.breaks("partition %d: %d of %d acknowledged records lost", p.Partition, lost, len(l.acked))
		}
		if last := l.ackedAt; len(last) == 0 || last[len(last)-1] < c.w.Now()-6*sec {
			c.breaks("partition %d: nothing acknowledged in the end; errors %v", p.Partition, l.lastErrors)
		}
		for _, id := range p.Replicas {
			if other := values(c.w.byID[id].disk.logs[key]); !slices.Equal(got, other) {
				c.breaks("partition %d: the logs of leader %d (%d records) and of %d (%d) differ", p.Partition, p.Leader, len(got), id, len(other))
			}
		}
	}
}

func runChaos(t testing.TB, seed uint64, unclean bool) *chaos {
	c := newChaos(t, seed, unclean)
	if err := c.run(40 * sec); err != nil {
		c.breaks("%v", err)
	} else {
		c.audit()
	}
	return c
}

func TestInvariantsUnderRandomFaults(t *testing.T) {
	seeds := *schedules
	acked := 0
	for seed := range uint64(seeds) {
		c := runChaos(t, seed, false)
		for _, l := range c.loads {
			acked += len(l.acked)
		}
		if len(c.broken) > 0 {
			t.Errorf("seed %d: %d invariants broken, the first: %s", seed, len(c.broken), c.broken[0])
		}
	}
	if acked < 100*seeds {
		t.Errorf("got %d records acknowledged over %d schedules, want a load worth the name", acked, seeds)
	}
}

func TestUncleanElectionsStillConverge(t *testing.T) {
	for seed := range uint64(20) {
		if c := runChaos(t, 1000+seed, true); len(c.broken) > 0 {
			t.Errorf("seed %d: %d invariants broken, the first: %s", 1000+seed, len(c.broken), c.broken[0])
		}
	}
}

func TestSameSeedSameTrace(t *testing.T) {
	digest := func(seed uint64) (uint64, int) {
		c := runChaos(t, seed, false)
		h := fnv.New64a()
		for _, line := range c.trace {
			fmt.Fprintln(h, line)
		}
		for _, n := range c.w.nodes {
			for _, key := range sortedKeys(n.disk.logs) {
				fmt.Fprintln(h, n.id, key, values(n.disk.logs[key]))
			}
		}
		return h.Sum64(), len(c.trace)
	}
	for _, seed := range []uint64{3, 4, 5} {
		a, lines := digest(seed)
		b, _ := digest(seed)
		other, _ := digest(seed + 100)
		if a != b || lines < 30 {
			t.Errorf("seed %d: got digests %x and %x of %d lines, want them equal", seed, a, b, lines)
		}
		if a == other {
			t.Errorf("seeds %d and %d: got the same digest", seed, seed+100)
		}
	}
}
