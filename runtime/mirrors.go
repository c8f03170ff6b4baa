// This file defines how the mirrors of a plan are run, drained and compared.

package runtime

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// How long the copies of a mirror must have stood still until they count as
// drained, in scenario time.
//
//	copies                                            still for
//	hold as many records as their sources             copyStill
//	cannot be counted: the source has transactions    copyStillUncounted
//	or is compacted, or others write the copy too
//	hold fewer                                        never: drain limits it
const (
	copyStill          = time.Second
	copyStillUncounted = 5 * time.Second
	copyFloor          = 200 * time.Millisecond // of real time, for either
	mirrorLimit        = 2 * time.Minute        // of real time, to start
)

// mirrors are those that run.
type mirrors struct {
	specs []MirrorSpec

	mu      sync.Mutex
	running map[string]Member
}

// power finds a power among those who may have it, the first of them first.
func power[T any](from ...any) (T, bool) {
	for _, x := range from {
		if p, ok := x.(T); ok {
			return p, true
		}
	}
	var none T
	return none, false
}

// mirrorPlace is where a mirror stands.
func mirrorPlace(m *plan.Mirror) Place { return Place{Client: m.Name, Member: 1, Site: m.Site} }

// placeMirrors makes the places of mirrors known to the world, so that the
// network can be shaped before they start.
func (r *run) placeMirrors() error {
	for i := range r.p.Mirrors {
		m := &r.p.Mirrors[i]
		s := MirrorSpec{Env: r.env, Mirror: *m, Place: mirrorPlace(m)}
		for _, name := range m.Topics {
			t, c := r.p.Topic(name), r.p.Copy(m.Name, name)
			if t == nil || c == nil {
				return fmt.Errorf("mirror %s: topic %s or its copy is not in the plan", m.Name, name)
			}
			s.Topics, s.Copies = append(s.Topics, *t), append(s.Copies, *c)
		}
		var err error
		if s.From, err = r.world.Bootstrap(m.From, s.Place); err == nil {
			s.To, err = r.world.Bootstrap(m.To, s.Place)
		}
		if err != nil {
			return fmt.Errorf("mirror %s: bootstrap: %w", m.Name, err)
		}
		r.mirrors.specs = append(r.mirrors.specs, s)
	}
	return nil
}

// startMirrors starts every mirror and returns once records pass.
func (r *run) startMirrors(ctx context.Context) error {
	if len(r.mirrors.specs) == 0 {
		return nil
	}
	runner, ok := power[Mirrorer](r.world, r.clients.Admin, r.clients.Load)
	if !ok {
		return errors.New("mirrors: neither the engine nor the clients can run one")
	}
	ctx, cancel := context.WithTimeout(ctx, mirrorLimit)
	defer cancel()
	r.push("mirrors", func(context.Context) error {
		for _, m := range r.mirrors.take() {
			m.Crash()
		}
		return nil
	})
	r.mirrors.running = make(map[string]Member)
	var starts []func(context.Context) error
	for _, s := range r.mirrors.specs {
		starts = append(starts, func(ctx context.Context) error {
			m, err := runner.Mirror(ctx, s)
			if err != nil {
				return fmt.Errorf("mirror %s: %w", s.Mirror.Name, err)
			}
			if !r.mirrors.keep(s.Mirror.Name, m) {
				m.Crash()
				return fmt.Errorf("mirror %s: the run is being taken down", s.Mirror.Name)
			}
			return nil
		})
	}
	return together(ctx, starts)
}

// keep notes a mirror that runs; false when all have been taken already.
func (x *mirrors) keep(name string, m Member) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.running == nil {
		return false
	}
	x.running[name] = m
	return true
}

// take gives the mirrors that run to the caller, who ends them.
func (x *mirrors) take() map[string]Member {
	x.mu.Lock()
	defer x.mu.Unlock()
	out := x.running
	x.running = nil
	return out
}

// stopMirrors ends the mirrors in order. One whose positions of groups are to
// be compared first gets the time to write those that the groups left.
func (r *run) stopMirrors() {
	wait := time.Duration(0)
	for _, s := range r.mirrors.specs {
		if slices.Contains(r.asked(s.Mirror.Name), "groups") && s.Mirror.SyncOffsetsEvery > 0 {
			// Kafka's emits checkpoints each second, and writes them when their interval is over.
			wait = max(wait, s.Mirror.SyncOffsetsEvery.Std()+2*time.Second)
		}
	}
	sleep(r.patience(), r.clock.wall(wait))
	limit := max(r.clock.wall(r.p.Scenario.Drain.Std()), stopFloor)
	ctx, cancel := context.WithTimeout(r.hard, limit)
	defer cancel()
	var stops []func(context.Context) error
	for name, m := range r.mirrors.take() {
		stops = append(stops, func(context.Context) error {
			if err := m.Stop(ctx); err != nil {
				r.journal.add(time.Now(), record.Event{Kind: record.KindClient, Name: name, What: "mirror not stopped in order", Error: err.Error()})
			}
			return nil
		})
	}
	if err := together(ctx, stops); err != nil {
		r.fail(err)
	}
}

// drainMirrors waits until each mirror's copies have what the sources have, or
// drain is over.
func (r *run) drainMirrors() {
	if len(r.mirrors.specs) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(r.patience(), max(r.clock.wall(r.p.Scenario.Drain.Std()), time.Second))
	defer cancel()
	type copying struct {
		ends  int64
		since time.Time
		text  string
	}
	open := make(map[string]*copying)
	for _, s := range r.mirrors.specs {
		open[s.Mirror.Name] = &copying{ends: -1}
	}
	for len(open) > 0 {
		states := make(map[string]State)
		for _, c := range r.p.Clusters {
			if s, err := r.world.Inspect(ctx, c.Name); err == nil {
				states[c.Name] = s
			}
		}
		for _, s := range r.mirrors.specs {
			x := open[s.Mirror.Name]
			if x == nil {
				continue
			}
			from, seen := states[s.Mirror.From]
			to, too := states[s.Mirror.To]
			if !seen || !too {
				continue
			}
			missing, ends := uncopied(s, from, to)
			if ends != x.ends {
				x.ends, x.since = ends, time.Now()
			}
			x.text = fmt.Sprintf("mirror %s: %d records not copied when drain was over", s.Mirror.Name, missing)
			still := copyStill
			if !r.counted(s) {
				still, missing = copyStillUncounted, 0
			}
			if missing == 0 && time.Since(x.since) >= max(r.clock.wall(still), copyFloor) {
				delete(open, s.Mirror.Name)
			}
		}
		if len(open) > 0 && !sleep(ctx, max(r.clock.wall(checkEvery), 5*time.Millisecond)) {
			break
		}
	}
	for _, name := range sorted(open) {
		if x := open[name]; x.text != "" {
			r.journal.add(time.Now(), record.Event{
				Kind: record.KindDrainLimit, Name: name, What: x.text,
				Arriving: time.Since(x.since) < max(r.clock.wall(lately), copyFloor),
			})
		}
	}
}

// uncopied tells how many records of the sources' logs the copies lack, by
// count, and where the copies end, all partitions together.
func uncopied(s MirrorSpec, from, to State) (missing, ends int64) {
	type key struct {
		topic     string
		partition int32
	}
	copied := make(map[key]int64)
	for _, p := range to.Partitions {
		copied[key{p.Topic, p.Partition}] = max(p.HighWater, 0)
	}
	for i, t := range s.Topics {
		for _, p := range from.Partitions {
			if p.Topic != t.KafkaName() {
				continue
			}
			got := copied[key{s.Copies[i].KafkaName(), p.Partition}]
			ends += got
			missing += max(p.HighWater-max(p.Start, 0)-got, 0)
		}
	}
	return missing, ends
}

// counted tells whether a copy is whole once it has as many records as offsets
// lie in its source.
func (r *run) counted(s MirrorSpec) bool {
	for i, t := range s.Topics {
		direct := r.p.FailOverTopic(s.Mirror.Name, t.Name)
		written := direct != nil && direct.Name == s.Copies[i].Name && slices.ContainsFunc(r.p.Events, func(e plan.Event) bool {
			return slices.ContainsFunc(e.Actions, func(a plan.Action) bool { return a.Verb == plan.FailOver && a.To != nil && a.To.Name == s.Mirror.Name })
		})
		if written || r.transacted(t.Name) || strings.Contains(t.Config["cleanup.policy"], "compact") {
			return false
		}
	}
	return true
}

// asked gives the aspects in which claims compare a mirror with its source.
func (r *run) asked(mirror string) []string {
	out := make(map[string]bool)
	var look func(plan.Expr)
	look = func(e plan.Expr) {
		if t := e.Term; t != nil && t.Subject.Kind == plan.RefMirror && t.Subject.Name == mirror && t.Measure == "identical" {
			out[t.Aspect] = true
		}
		for _, arg := range e.Args {
			look(arg)
		}
	}
	for _, c := range r.p.Claims {
		look(c.Expr)
	}
	return slices.Sorted(maps.Keys(out))
}

// compare reads both sides of each mirror that a claim compares.
func (r *run) compare(ctx context.Context, ends map[string]map[int32]int64) {
	for _, s := range r.mirrors.specs {
		asked := r.asked(s.Mirror.Name)
		if len(asked) == 0 {
			continue
		}
		known := make(map[string]map[int32]int64)
		for _, topics := range [][]plan.Topic{s.Topics, s.Copies} {
			for _, t := range topics {
				known[t.Name] = make(map[int32]int64)
				for part, at := range ends[t.Name] {
					if at >= 0 {
						known[t.Name][part] = at
					}
				}
			}
		}
		var groups []string
		for _, c := range r.p.Consumers {
			reads := slices.ContainsFunc(c.Topics, func(t string) bool { return slices.Contains(s.Mirror.Topics, t) })
			if c.Observes == "" && reads && !slices.Contains(groups, c.Group) {
				groups = append(groups, c.Group)
			}
		}
		var found []Comparison
		err := errors.New("these clients cannot read both sides")
		if x, ok := power[Comparer](r.clients.Admin, r.clients.Audit); ok {
			found, err = x.Compare(ctx, s, known, groups)
		}
		for _, c := range found {
			if !slices.Contains(asked, c.Aspect) {
				continue
			}
			e := record.Event{Kind: record.KindCompared, Name: s.Mirror.Name, Aspect: c.Aspect, Compared: c.Compared, Different: c.Different, Error: c.First}
			e.What = fmt.Sprintf("mirror %s, %s: %d of %d differ", s.Mirror.Name, c.Aspect, c.Different, c.Compared)
			r.journal.add(time.Now(), e)
		}
		if err != nil && r.hard.Err() == nil {
			r.journal.add(time.Now(), record.Event{
				Kind: record.KindCluster, Cluster: s.Mirror.To, Error: err.Error(),
				What: fmt.Sprintf("mirror %s was not compared", s.Mirror.Name),
			})
		}
	}
}
