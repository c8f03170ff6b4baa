// This file defines how the run writes its journal: when load has not started
// yet, and for the people who watch.

package runtime

import (
	"cmp"
	"strings"
	"sync"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// sink is what the journal writes to. *record.Writer is one.
type sink interface{ Event(record.Event) }

// journal stamps events and hands them on. What happens before load starts has
// a time only once that start is known: it is held back until then, or until
// the run ends without it, when its last event is the zero.
type journal struct {
	p     *plan.Plan
	clock *clock
	tell  func(line string, at time.Duration) // a line for people; never nil

	mu      sync.Mutex
	to      sink // nil: nothing is recorded
	held    []heldEvent
	flowing bool
	over    bool // what clusters do while they are taken down is of no interest
	leaders map[partitionKey]int32
}

type heldEvent struct {
	at time.Time
	e  record.Event
}

type partitionKey struct {
	cluster, topic string
	partition      int32
}

func newJournal(p *plan.Plan, c *clock, to sink, tell func(string, time.Duration)) *journal {
	return &journal{p: p, clock: c, to: to, tell: tell, leaders: make(map[partitionKey]int32)}
}

// add writes an event that happened at a real moment, and tells people.
func (j *journal) add(at time.Time, e record.Event) {
	j.note(at, e)
	if l := line(e); l != "" {
		j.tell(l, j.clock.scenario(at))
	}
}

// note writes an event that people need not see as it happens.
func (j *journal) note(at time.Time, e record.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.flowing {
		j.held = append(j.held, heldEvent{at, e})
		return
	}
	j.write(at, e)
}

func (j *journal) write(at time.Time, e record.Event) {
	if j.to == nil {
		return
	}
	e.At = j.clock.scenario(at)
	j.to.Event(e)
}

// flow writes what was held back. The clock must have been set.
func (j *journal) flow() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, h := range j.held {
		j.write(h.at, h.e)
	}
	j.held, j.flowing = nil, true
}

// end leaves out changes from now on: the clusters are taken down.
func (j *journal) end() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.over = true
}

// change writes what a cluster did by itself, once load has started. Left out
// are Kafka's own topics, and changes of in-sync sets, which samples have.
func (j *journal) change(c Change) {
	if c.Kind == ChangeISR {
		return
	}
	if c.Topic != "" {
		t := j.p.KafkaTopic(c.Cluster, c.Topic)
		if t == nil {
			return
		}
		if t.Name != c.Topic {
			c.Text = strings.Replace(c.Text, c.Topic+"/", t.Name+"/", 1)
			c.Topic = t.Name
		}
	}
	if c.At.IsZero() {
		c.At = time.Now()
	}
	e := record.Event{
		Kind: record.KindCluster, Cluster: c.Cluster,
		Topic: c.Topic, Partition: c.Part, What: c.Text,
	}
	j.mu.Lock()
	if c.Kind == ChangeLeader || c.Kind == ChangeUnclean {
		e.Kind, e.Epoch, e.Unclean = record.KindElection, c.Epoch, c.Kind == ChangeUnclean
		e.From, e.To = -1, c.Node
		if c.Node <= 0 {
			e.To = -1
		}
		key := partitionKey{c.Cluster, c.Topic, c.Part}
		if from, ok := j.leaders[key]; ok {
			e.From = from
		}
		j.leaders[key] = e.To
	}
	flowing := j.flowing && !j.over
	if flowing {
		j.write(c.At, e)
	}
	j.mu.Unlock()
	if flowing && e.Kind == record.KindCluster {
		j.tell(c.Text, j.clock.scenario(c.At))
	}
}

// line gives an event as one line for people; "" for what would only flood
// them.
func line(e record.Event) string {
	targets := arrow(e.Targets)
	by := ""
	if e.By != "" {
		by = " by " + e.By
	}
	switch e.Kind {
	case record.KindPhase:
		return "phase: " + e.Phase
	case record.KindFired:
		return e.What + targets
	case record.KindEffect:
		return e.What + targets + ": proved: " + cmp.Or(e.Proof, "yes")
	case record.KindUndoing:
		return "undo of " + e.What + targets + by
	case record.KindUndone:
		return "undo of " + e.What + targets + ": proved: " + cmp.Or(e.Proof, "yes")
	case record.KindUnproved:
		what := e.What
		if e.Undo {
			what = "undo of " + what
		}
		return what + targets + ": NOT PROVED: " + e.Error
	case record.KindNotFired:
		return e.Name + ": not fired: " + e.What
	case record.KindAlarmRaised:
		return "alarm " + e.Name + " raised: " + e.What
	case record.KindAlarmCleared:
		return "alarm " + e.Name + " cleared"
	case record.KindDrained:
		return "group " + e.Name + " has reached the end"
	case record.KindDrainLimit:
		if strings.HasPrefix(e.What, "mirror ") {
			return e.What
		}
		return "group " + e.Name + ": drain limit reached before the end"
	case record.KindInterrupted:
		return "interrupted"
	case record.KindEngineError:
		return "engine error: " + e.Error
	case record.KindDenied:
		return e.What + ": " + e.Error
	case record.KindElection, record.KindComplete, record.KindSent, record.KindDeleted, record.KindTool:
		return ""
	}
	return e.What
}

// arrow gives what an action was done to, as it stands behind the action.
func arrow(targets []string) string {
	if len(targets) == 0 {
		return ""
	}
	return " → " + strings.Join(targets, ", ")
}

// happening names one action of one firing, as the journal does.
type happening struct {
	event      string
	occurrence int
	action     int
	planned    *time.Duration
	what       string
	verb       plan.Verb
	// writers are the actions of the same firing that still bring producers back.
	writers *sync.WaitGroup
}

func (h happening) entry(k record.Kind) record.Event {
	return record.Event{
		Kind: k, Name: h.event, Occurrence: h.occurrence, Action: h.action,
		What: h.what,
	}
}
