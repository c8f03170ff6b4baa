// This file defines the phases of a run, from bringing up to the audit.

package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// How long the phases may take: real time where it is the machine's or the
// engine's doing. The scenario's drain limits the rest.
const (
	upLimit       = 3 * time.Minute
	loadLimit     = 2 * time.Minute
	auditLimit    = 5 * time.Minute
	stopFloor     = 5 * time.Second // for members to end in order
	takeDownLimit = 30 * time.Second
	startLead     = 20 * time.Millisecond // from the last client ready to t = 0
)

// phases are those of Phase, in order.
func (r *run) phases() error {
	if err := r.prepareClusters(true); err != nil {
		return r.because(err)
	}
	r.enter(PhaseLoad)
	if err := r.startLoad(); err != nil {
		return r.because(err)
	}
	r.play()
	<-r.soft.Done()
	r.load.hush()
	if r.hard.Err() == nil {
		r.enter(PhaseHeal)
		r.wind()
	}
	if err := r.broken(); err != nil {
		return err
	}
	r.enter(PhaseDrain)
	r.drainMirrors()
	ends := r.noteEnds()
	r.drain(ends)
	r.stopMembers(false)
	r.noteSilent()
	r.stopMirrors()
	if err := r.broken(); err != nil {
		return err
	}
	r.enter(PhaseAudit)
	r.audit(ends)
	return r.broken()
}

// broken tells whether the run must go on to taking down at once.
func (r *run) broken() error {
	if r.hard.Err() != nil {
		return r.because(context.Cause(r.hard))
	}
	if h := r.clients.Health; h != nil && h.Err() != nil {
		r.failClients(h) // the watch may not have seen it yet
	}
	return r.failure()
}

// watchHealth ends the run when the clients no longer work.
func (r *run) watchHealth() {
	h := r.clients.Health
	if h == nil {
		return
	}
	r.background.Go(func() {
		select {
		case <-h.Failed():
			r.failClients(h)
		case <-r.hard.Done():
		}
	})
}

func (r *run) failClients(h Health) { r.fail(fmt.Errorf("clients: %w", h.Err())) }

// prepareClusters brings clusters up, makes their topics, gives users their
// rights and waits until all is settled. Nothing is impaired yet: links apply from startLoad on.
func (r *run) prepareClusters(load bool) error {
	ctx, cancel := context.WithTimeout(r.calm, upLimit)
	defer cancel()
	world, err := r.o.Engine.Up(ctx, r.p, UpOptions{
		Speed: r.o.Speed, Folder: r.logs.dir(), Observe: r.journal.change, FixedPorts: r.o.FixedPorts,
		Operators: r.env.Operators,
	})
	if err != nil {
		return fmt.Errorf("%s: %w", r.o.Engine.Name(), err)
	}
	r.world = world
	r.push("cluster", world.Close)
	procs, _ := world.(Processes)
	network, _ := world.(Network)
	r.nodes = newNodes(r.p, procs)
	r.clients, err = r.o.Connect(world, r.env, r.p, r.rec)
	if r.clients.Close != nil {
		r.push("clients", func(context.Context) error { return r.clients.Close() })
	}
	if err != nil {
		return fmt.Errorf("clients: %w", err)
	}
	if r.clients.Admin == nil || r.clients.Audit == nil || load && r.clients.Load == nil {
		return errors.New("clients: Connect gave no Load, Admin or Audit")
	}
	r.watchHealth()
	r.prepared("clients are connected")
	starter := r.clients.Load
	if !load {
		starter = nil
	}
	r.load = newLoad(r.p, r.env, world, starter, r.rec)
	r.load.strangers = r.o.Strangers
	r.shaper = newShaper(network, r.p.Links, r.endpoints)
	r.load.refresh = r.shaper.refresh
	r.shaper.relays = relays(r.p)
	if _, ok := world.(Relayer); !ok {
		r.shaper.routes = r.routes.all
	}
	r.resolver = &resolver{
		p: r.p, inspect: world.Inspect,
		coordinator: r.clients.Admin.Coordinator, hit: r.effects.held, at: r.load.at,
	}
	r.sampler = newSampler(r.p, r.clock, r.sample)
	r.sampler.tell = func(e record.Event) { r.journal.add(time.Now(), e) }
	r.sampler.inspect, r.sampler.describe = world.Inspect, r.clients.Audit.Group
	r.sampler.coordinator = r.clients.Admin.Coordinator
	for _, c := range r.p.Clusters {
		var topics []plan.Topic
		for _, t := range r.p.Topics {
			if t.Cluster == c.Name && t.Origin != plan.Mirrored {
				topics = append(topics, t)
			}
		}
		if len(topics) == 0 {
			continue
		}
		if err := r.clients.Admin.Create(ctx, c.Name, topics); err != nil {
			return fmt.Errorf("topics of %s: %w", c.Name, err)
		}
		r.prepared("topics of " + c.Name + " are settled")
	}
	return r.grant(ctx)
}

// prepared tells the world of a step of prepare, when it keeps a list of them.
func (r *run) prepared(what string) {
	if w, ok := r.world.(interface{ Reached(step string) }); ok {
		w.Reached(what)
	}
}

// sample records a sample, where there is a recording.
func (r *run) sample(s record.Sample) {
	if r.rec != nil {
		r.rec.Sample(s)
	}
}

// endpoints gives every end of a path: nodes, mirrors, relays, members, and in
// Up strangers.
func (r *run) endpoints() []end {
	var out []end
	for _, c := range r.p.Clusters {
		for _, n := range c.Nodes {
			out = append(out, end{Endpoint: Endpoint{Node: NodeKey{c.Name, n.ID}}, site: n.Site})
		}
	}
	for i := range r.p.Mirrors {
		place := mirrorPlace(&r.p.Mirrors[i])
		out = append(out, end{Endpoint: Endpoint{Place: place}, site: place.Site})
	}
	if _, ok := r.world.(Relayer); ok {
		out = append(out, r.shaper.relays...)
	}
	if r.rec != nil {
		return append(out, r.load.ends()...)
	}
	for _, s := range r.p.Sites {
		out = append(out, end{Endpoint: Endpoint{Place: Place{Site: s.Name}}, site: s.Name})
	}
	return out
}

// startLoad starts every mirror, then every client, over the plan's links.
func (r *run) startLoad() error {
	ctx, cancel := context.WithTimeout(r.calm, loadLimit)
	defer cancel()
	r.push("members", func(context.Context) error {
		r.load.crashAll()
		return nil
	})
	if err := errors.Join(r.load.places(), r.placeMirrors()); err != nil {
		return err
	}
	if err := r.applyLinks(ctx); err != nil {
		return err
	}
	r.watch = newWatcher(r.p, r.clock, r.rec.Follow(), r.o.Progress != nil)
	if err := r.startMirrors(r.calm); err != nil {
		return err
	}
	ctx, cancel = context.WithTimeout(r.calm, loadLimit)
	defer cancel()
	if err := r.load.start(ctx); err != nil {
		return err
	}
	return ctx.Err()
}

// applyLinks puts the plan's links in force.
func (r *run) applyLinks(ctx context.Context) error {
	proof, err := r.shaper.refresh(ctx)
	if err == nil && !proof.OK {
		err = errors.New(unprovedText(proof, nil))
	}
	if err != nil {
		return fmt.Errorf("links: %w", err)
	}
	return nil
}

// play starts the clock, the schedules, the sampler, alarms and the timeline,
// and ends soft at run_for.
func (r *run) play() {
	r.clock.set(time.Now().Add(startLead))
	r.journal.flow()
	r.load.begin()
	r.enter(PhaseRun)
	ctx := r.hard
	for _, c := range r.p.Clusters {
		r.background.Go(func() { defer r.recoverAs("sampler"); r.sampler.cluster(ctx, c.Name) })
	}
	for _, c := range r.p.Consumers {
		if c.Observes != "" {
			continue
		}
		where := func() string { return r.load.at(c.Name).cluster }
		r.background.Go(func() { defer r.recoverAs("sampler"); r.sampler.group(ctx, where, c.Group) })
	}
	r.background.Go(func() { defer r.recoverAs("progress"); r.watchProgress(ctx) })
	for _, ev := range r.p.Events {
		if at, ok := r.edges.planned(ev.Trigger.At, len(r.p.Events)); ok && ev.Trigger.Kind != plan.TriggerWhen {
			r.upcoming(ev.Name, at)
		}
	}
	r.watchAlarms()
	r.startTimeline()
	r.background.Go(func() {
		if r.clock.until(r.soft, r.runFor()) {
			r.stopSoft(errRunOver)
		}
	})
}

// errRunOver is why soft ends when all goes well.
var errRunOver = errors.New("the run is over")

func (r *run) runFor() time.Duration { return r.p.Scenario.RunFor.Std() }

// after gives a channel that is closed at a scenario time, or when hard ends.
func (r *run) after(at time.Duration) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.clock.until(r.soft, at)
	}()
	return done
}

// wind ends the load and undoes everything that is broken, side by side: the
// producers have to finish what is in flight, which needs what is healed.
func (r *run) wind() {
	r.timeline.Wait()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		defer r.recoverAs("stop")
		r.stopMembers(true)
	}()
	r.healAll()
	<-stopped
	// An action that was under way may have started one.
	r.stopMembers(true)
}

// stopMembers ends producers or consumers in order. What a producer cannot
// finish within the scenario's drain is unknown.
func (r *run) stopMembers(producers bool) {
	limit := max(r.clock.wall(r.p.Scenario.Drain.Std()), stopFloor)
	ctx, cancel := context.WithTimeout(r.hard, limit)
	defer cancel()
	if err := r.load.stop(ctx, producers); err != nil {
		r.journal.add(time.Now(), record.Event{Kind: record.KindClient, What: "not stopped in order", Error: err.Error()})
	}
}

// patience is the context of the drain: an interrupt ends it, unless it was an
// interrupt that brought the run here.
func (r *run) patience() context.Context {
	if r.wasInterrupted() {
		return r.hard
	}
	return r.calm
}

// noteEnds gives the end of each partition's log: its high-water mark, once it has a
// leader, everything is replicated and every transaction has ended, or as it stands when
// drain is over; -1 for a partition without a leader.
func (r *run) noteEnds() map[string]map[int32]int64 {
	ctx, cancel := context.WithTimeout(r.patience(), max(r.clock.wall(r.p.Scenario.Drain.Std()), stopFloor))
	defer cancel()
	ends := make(map[string]map[int32]int64)
	for _, c := range r.p.Clusters {
		for {
			state, err := r.world.Inspect(ctx, c.Name)
			if err == nil && r.settled(c.Name, state, ends) {
				break
			}
			if !sleep(ctx, max(r.clock.wall(checkEvery), time.Millisecond)) {
				break
			}
		}
	}
	for _, topic := range sorted(ends) {
		for _, part := range sorted(ends[topic]) {
			if ends[topic][part] < 0 {
				r.journal.add(time.Now(), record.Event{
					Kind: record.KindCluster, Topic: topic, Partition: part,
					What: fmt.Sprintf("%s/%d has no leader at the end: nobody knows how far it goes", topic, part),
				})
			}
		}
	}
	return ends
}

// settled notes the ends that the state of a cluster shows, and tells whether
// they are final.
func (r *run) settled(cluster string, s State, ends map[string]map[int32]int64) bool {
	final := true
	for _, p := range s.Partitions {
		t := r.p.KafkaTopic(cluster, p.Topic)
		if t == nil || r.isDeleted(t.Name) {
			continue
		}
		p.Topic = t.Name
		if ends[p.Topic] == nil {
			ends[p.Topic] = make(map[int32]int64)
		}
		end := p.HighWater
		if p.Leader < 0 {
			end = -1
		}
		ends[p.Topic][p.Partition] = end
		final = final && p.Leader >= 0 && p.HighWater >= 0 && p.HighWater >= p.End
		if r.transacted(p.Topic) {
			final = final && p.Stable >= p.HighWater
			if r.stable == nil {
				r.stable = make(map[string]map[int32]int64)
			}
			if r.stable[p.Topic] == nil {
				r.stable[p.Topic] = make(map[int32]int64)
			}
			r.stable[p.Topic][p.Partition] = p.Stable
		}
	}
	return final
}

// transacted tells whether some producer writes to a topic in transactions.
func (r *run) transacted(topic string) bool {
	return slices.ContainsFunc(r.p.Producers, func(x plan.Producer) bool { return x.Topic == topic && x.Transaction > 0 })
}

// drain waits until each group has read to the ends, or drain is over.
func (r *run) drain(ends map[string]map[int32]int64) {
	limit := max(r.clock.wall(r.p.Scenario.Drain.Std()), time.Second)
	ctx, cancel := context.WithTimeout(r.patience(), limit)
	defer cancel()
	want := r.positions(ends)
	waiting := make(map[int32]bool)
	for i := range r.p.Consumers {
		waiting[int32(i)] = true
	}
	var asked time.Time
	for len(waiting) > 0 {
		ask := time.Since(asked) >= max(r.clock.wall(groupEvery), groupFloor)
		if ask {
			asked = time.Now()
		}
		for _, i := range sorted(waiting) {
			missing := r.watch.reached(i, want)
			if len(missing) > 0 && ask {
				missing = r.uncommitted(ctx, i, missing, want)
			}
			if len(missing) == 0 {
				delete(waiting, i)
				tell := r.journal.add
				if r.p.Consumers[i].Observes != "" {
					tell = r.journal.note // it is nobody's group
				}
				tell(time.Now(), record.Event{Kind: record.KindDrained, Name: r.p.Consumers[i].Name})
			} else if len(r.load.members(r.p.Consumers[i].Name)) == 0 {
				delete(waiting, i)
				r.drainLimit(i, missing, "no member runs")
			}
		}
		if len(waiting) > 0 && !sleep(ctx, max(r.clock.wall(checkEvery), 5*time.Millisecond)) {
			break
		}
	}
	for _, i := range sorted(waiting) {
		r.drainLimit(i, r.watch.reached(i, want), "drain is over")
	}
}

// lately is how long ago, in scenario time, what came last still shows that more
// was to come.
const lately = 2 * time.Second

// drainLimit journals that a group has not reached the end.
func (r *run) drainLimit(i int32, missing []position, why string) {
	r.journal.add(time.Now(), record.Event{
		Kind: record.KindDrainLimit, Name: r.p.Consumers[i].Name,
		Arriving: r.watch.arriving(i, r.clock.Now()-lately),
		What:     fmt.Sprintf("%s: %d partitions not read to the end: %s", r.p.Consumers[i].Name, len(missing), why),
	})
}

// positions gives the ends by consumer, of the topics that it reads now: those
// that it read before it failed over, or back, nobody brings it to the end of.
// For one that reads committed records only, the
// last stable offset, where a transaction that nobody ended begins. An end that nobody knows is never
// reached.
func (r *run) positions(ends map[string]map[int32]int64) map[position]int64 {
	out := make(map[position]int64)
	for c, consumer := range r.p.Consumers {
		reads := r.load.at(consumer.Name).names()
		for t, topic := range r.p.Topics {
			if !slices.Contains(reads, topic.Name) {
				continue
			}
			for part, end := range ends[topic.Name] {
				if stable, ok := r.stable[topic.Name][part]; ok && stable >= 0 && consumer.Isolation == "read_committed" {
					end = min(end, stable)
				}
				if end < 0 {
					end = unknownEnd
				}
				out[position{int32(c), int32(t), part}] = end
			}
		}
	}
	return out
}

const unknownEnd = int64(1) << 62

// uncommitted leaves out the partitions whose committed offset has reached the
// end: nothing was delivered there, because nothing was left to deliver.
func (r *run) uncommitted(ctx context.Context, i int32, missing []position, want map[position]int64) []position {
	c := r.p.Consumers[i]
	if c.Observes != "" {
		return missing
	}
	ctx, cancel := context.WithTimeout(ctx, max(r.clock.wall(groupStale), 2*time.Second))
	defer cancel()
	g, err := r.clients.Audit.Group(ctx, r.load.at(c.Name).cluster, c.Group)
	if err != nil {
		return missing
	}
	return slices.DeleteFunc(missing, func(p position) bool {
		offset, ok := g.Committed[r.p.Topics[p.topic].Name][p.partition]
		return ok && offset >= want[p]
	})
}

// audit reads every topic to its end. What could not be read is in the
// recording, and the verdict accounts for it.
func (r *run) audit(ends map[string]map[int32]int64) {
	ctx, cancel := context.WithTimeout(r.hard, auditLimit)
	defer cancel()
	seen := make(map[string]bool)
	for _, c := range r.p.Clusters {
		// Records that nobody waited for may have come since.
		if state, err := r.world.Inspect(ctx, c.Name); err == nil {
			r.settled(c.Name, state, ends)
			seen[c.Name] = true
		}
	}
	for _, t := range r.p.Topics {
		if r.isDeleted(t.Name) {
			continue
		}
		if seen[t.Cluster] && len(ends[t.Name]) == 0 {
			r.journal.add(time.Now(), record.Event{
				Kind: record.KindCluster, Cluster: t.Cluster, Topic: t.Name,
				What: t.Name + " is not there at the end",
			})
			continue
		}
		end := make(map[int32]int64)
		for part, at := range ends[t.Name] {
			if at >= 0 {
				end[part] = at
			}
		}
		err := r.clients.Audit.Audit(ctx, t.Cluster, t.Name, end, func(part int32, start, hw int64) *record.AuditLog {
			return r.rec.Audit(t.Name, part, start, hw)
		})
		if err != nil && r.hard.Err() == nil {
			r.journal.add(time.Now(), record.Event{
				Kind: record.KindCluster, Cluster: t.Cluster, Topic: t.Name,
				What: "audit of " + t.Name + " is not complete", Error: err.Error(),
			})
		}
	}
	r.compare(ctx, ends)
}

// isDeleted tells whether the scenario has deleted a topic.
func (r *run) isDeleted(topic string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.deleted[topic]
}
