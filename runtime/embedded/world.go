package embedded

// This file defines the running clusters: their addresses, their true state and what
// they tell by themselves.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/embedded/core"
	"starfall/runtime/embedded/wire"
)

// world is the clusters of one plan. Each has a loop of its own; what touches a core
// runs there (cluster.server.Do).
type world struct {
	opts     runtime.UpOptions
	clusters map[string]*cluster
	order    []string
	telling  sync.Mutex // Observe is never called concurrently
}

var (
	_ runtime.World        = (*world)(nil)
	_ runtime.Processes    = (*world)(nil)
	_ runtime.Network      = (*world)(nil)
	_ runtime.Reacher      = (*world)(nil)
	_ runtime.Disconnecter = (*world)(nil)
)

type cluster struct {
	plan    *plan.Cluster
	server  *wire.Server
	core    *core.World      // in the loop only
	files   *fileStore       // nil without a folder; in the loop only
	observe func(core.Event) // nil when nobody listens
	// registered says when a node last registered; in the loop only.
	registered map[int32]time.Duration
}

func (w *world) cluster(name string) (*cluster, error) {
	c := w.clusters[name]
	if c == nil {
		return nil, fmt.Errorf("cluster %s: there is no such cluster", name)
	}
	return c, nil
}

func (c *cluster) label(id int32) string { return c.plan.Label(toPlan(id)) }

// Bootstrap gives the brokers' addresses on the listeners of a place, which are opened
// when the place is new.
func (w *world) Bootstrap(name string, from runtime.Place) ([]string, error) {
	c, err := w.cluster(name)
	if err != nil {
		return nil, err
	}
	addrs, err := c.server.Listen(placeKey(from), nil)
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", name, err)
	}
	return addrs, nil
}

// Reaches tells whether a place's packets come through to the broker at an address: the
// path is whole both ways and the broker's host is not off.
func (w *world) Reaches(from runtime.Place, addr string) bool {
	for _, name := range w.order {
		c := w.clusters[name]
		broker, passes := c.server.Reaches(placeKey(from), addr)
		if broker == 0 {
			continue
		}
		off := false
		err := c.server.Do(context.Background(), func() { off = c.state(broker).Process == core.PoweredOff })
		return passes && !off && err == nil
	}
	return true
}

// Disconnect resets the connections from a place to the brokers of every cluster.
func (w *world) Disconnect(from runtime.Place) {
	for _, name := range w.order {
		w.clusters[name].server.Disconnect(placeKey(from))
	}
}

// Close takes all clusters down; nothing of them is left when it returns.
func (w *world) Close(context.Context) error { return w.close() }

func (w *world) close() error {
	var errs []error
	for _, name := range w.order {
		c := w.clusters[name]
		c.server.Close() // the loop has ended
		if c.files != nil {
			errs = append(errs, c.files.remove())
		}
	}
	return errors.Join(errs...)
}

// Inspect gives the state as the active controller has it. A partition's offsets are
// those of its leader. What a node uses of the machine is not known: all share a process.
func (w *world) Inspect(ctx context.Context, name string) (runtime.State, error) {
	c, err := w.cluster(name)
	if err != nil {
		return runtime.State{}, err
	}
	var out runtime.State
	err = c.server.Do(ctx, func() { out = c.inspect() })
	return out, err
}

func (c *cluster) inspect() runtime.State {
	var out runtime.State
	type key struct {
		topic     string
		partition int32
		broker    int32
	}
	replicas := map[key]core.ReplicaState{}
	for _, n := range c.plan.Brokers() {
		for _, r := range c.core.Replicas(n.ID) {
			replicas[key{r.Topic, r.Partition, r.Broker}] = r
		}
	}
	epochs := map[int32]int32{} // of those that consider themselves active
	for _, n := range c.core.Nodes() {
		out.Nodes = append(out.Nodes, runtime.NodeState{
			ID: toPlan(n.ID), Process: process(n.Process),
			Alive: n.Broker && n.Registered && !n.Fenced,
		})
		if n.Active {
			id := toPlan(n.ID)
			epochs[id] = n.QuorumEpoch
			out.Controllers = append(out.Controllers, id)
		}
	}
	slices.SortFunc(out.Controllers, func(a, b int32) int { return cmp.Compare(epochs[b], epochs[a]) })
	for _, p := range c.core.Partitions(0) {
		s := runtime.PartitionState{
			Topic: p.Topic, Partition: p.Partition, Leader: p.Leader, Epoch: p.LeaderEpoch,
			Replicas: p.Replicas, ISR: p.ISR, Start: -1, HighWater: -1, Stable: -1, End: -1,
		}
		if r, ok := replicas[key{p.Topic, p.Partition, p.Leader}]; ok {
			s.Start, s.HighWater, s.Stable, s.End, s.Size = r.LogStart, r.HighWatermark, r.LastStable, r.LogEnd, r.Size
		}
		out.Partitions = append(out.Partitions, s)
	}
	return out
}

// process is a process state in the runtime's words.
func process(p core.Process) string {
	switch p {
	case core.Paused:
		return "paused"
	case core.Running, core.Starting, core.Stopping:
		return "running"
	}
	return "stopped"
}

// await waits until a condition that is looked at in the loop holds.
func (c *cluster) await(ctx context.Context, holds func() bool) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		ok := false
		if err := c.server.Do(ctx, func() { ok = holds() }); err != nil {
			return err
		}
		if ok {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// state gives a node's state; it must be called in the loop.
func (c *cluster) state(id int32) core.NodeState {
	for _, n := range c.core.Nodes() {
		if n.ID == id {
			return n
		}
	}
	return core.NodeState{}
}

// event takes what the core tells, in the loop.
func (c *cluster) event(e core.Event) {
	if e.Kind == core.EventRegistered {
		c.registered[e.Node] = e.At
	}
	if c.observe != nil {
		c.observe(e)
	}
}

// observer turns events of the core into changes for the runtime.
func (w *world) observer(p *plan.Cluster) func(core.Event) {
	if w.opts.Observe == nil {
		return nil
	}
	return func(e core.Event) {
		change, ok := translate(p, e)
		if !ok {
			return
		}
		change.At = time.Now()
		w.telling.Lock()
		defer w.telling.Unlock()
		w.opts.Observe(change)
	}
}

func translate(p *plan.Cluster, e core.Event) (runtime.Change, bool) {
	change := runtime.Change{Cluster: p.Name, Node: toPlan(max(e.Node, 0)), Topic: e.Topic, Part: e.Partition}
	label := "nobody"
	if e.Node > 0 {
		label = p.Label(change.Node)
	}
	where := fmt.Sprintf("%s/%d", e.Topic, e.Partition)
	switch e.Kind {
	case core.EventActiveController:
		change.Kind, change.Text = runtime.ChangeController, fmt.Sprintf("%s is the active controller", label)
	case core.EventFenced:
		change.Kind, change.Text = runtime.ChangeFenced, label+" fenced"
	case core.EventUnfenced:
		change.Kind, change.Text = runtime.ChangeUnfenced, label+" unfenced"
	case core.EventLeader:
		change.Kind, change.Text = runtime.ChangeLeader, fmt.Sprintf("%s: leader is %s, epoch %d", where, label, e.Epoch)
	case core.EventUnclean:
		change.Kind, change.Text = runtime.ChangeUnclean, fmt.Sprintf("%s: unclean leader %s, epoch %d", where, label, e.Epoch)
	case core.EventISR:
		change.Kind, change.Text = runtime.ChangeISR, fmt.Sprintf("%s: in-sync replicas %v", where, e.ISR)
	case core.EventTruncated:
		change.Kind, change.Text = runtime.ChangeTruncated, fmt.Sprintf("%s: %s truncated from %d to %d", where, label, e.From, e.To)
	default:
		return runtime.Change{}, false
	}
	return change, true
}
