package docker

// This file defines how the clients of a run and the true state of its clusters
// are reached: by sessions with the agents in the boxes of clients and of the
// control side. What processes do, the agents of the nodes tell.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/agent"
	"starfall/runtime/agent/relay"
	"starfall/runtime/agent/remote"
	"starfall/runtime/record"
)

// connectLimit is how long the sessions of a run may take to begin.
const connectLimit = 30 * time.Second

// serviceClients is the agent's service that runs clients.
const serviceClients = "clients"

// Services are what the agent of this engine offers beside its own.
func Services() map[string]agent.Service {
	server := &remote.Server{}
	return map[string]agent.Service{
		serviceClients: func(ctx context.Context, stream net.Conn, _ json.RawMessage) error { return server.Serve(ctx, stream) },
		serviceRelay:   relay.Serve,
	}
}

// Connect makes the clients of a run on this engine: admin and audit in the
// control container, load in those of the sites.
func Connect(running runtime.World, e runtime.Env, p *plan.Plan, rec *record.Writer) (runtime.Clients, error) {
	w, ok := running.(*world)
	if !ok {
		return runtime.Clients{}, fmt.Errorf("docker: the clusters are of another engine (%T)", running)
	}
	ctx, cancel := context.WithTimeout(w.life, connectLimit)
	defer cancel()
	w.mu.Lock()
	sites := sortedKeys(w.sites)
	w.mu.Unlock()
	if rec == nil {
		sites = nil
	}
	// Beside each other: a session takes as long as comparing clocks takes.
	var control *remote.Session
	load := map[string]*remote.Session{}
	var begun group
	begun.Go(ctx, func(ctx context.Context) (err error) {
		control, err = remote.Start(ctx, w.session(w.control, e, rec))
		return err
	})
	var mu sync.Mutex
	for _, site := range sites {
		begun.Go(ctx, func(ctx context.Context) error {
			o := w.session(w.sites[site], e, rec)
			o.Bootstrap = nil
			o.From = func(client string, member int) netip.Addr {
				addr, _ := w.member(runtime.Place{Client: client, Member: member})
				return addr
			}
			s, err := remote.Start(ctx, o)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			load[site] = s
			return nil
		})
	}
	if err := begun.Wait(); err != nil {
		if control != nil {
			err = errors.Join(err, control.Close())
		}
		for _, s := range load {
			err = errors.Join(err, s.Close())
		}
		return runtime.Clients{}, err
	}
	c := remote.Together(control, load)
	c.Health = newHealth(w, c.Health)
	return c, nil
}

var _ runtime.Connect = Connect

// health is that of the clients and of every container: when one of a node is
// gone, nothing that is observed means anything any more.
type health struct {
	w       *world
	clients runtime.Health
	failed  chan struct{}
}

func newHealth(w *world, clients runtime.Health) *health {
	h := &health{w, clients, make(chan struct{})}
	go func() {
		select {
		case <-w.broken:
		case <-clients.Failed():
			// Whether it is a container that is gone shows at about the same time.
			select {
			case <-w.broken:
			case <-time.After(lossShows):
			}
		case <-w.life.Done():
			return
		}
		close(h.failed)
	}()
	return h
}

func (h *health) Failed() <-chan struct{} { return h.failed }

// Err prefers a container that is gone: the clients' error is then a consequence.
func (h *health) Err() error {
	if err := h.w.failed(); err != nil {
		return err
	}
	return h.clients.Err()
}

// session says how a session with the agent of a box begins.
func (w *world) session(b *box, e runtime.Env, rec *record.Writer) remote.Options {
	return remote.Options{
		Name: "agent of " + b.name, Plan: w.p, Env: e, Record: rec,
		Open: func(ctx context.Context) (net.Conn, error) { return b.agent.Open(ctx, serviceClients, nil) },
		Bootstrap: func(cluster string) ([]string, error) {
			return w.Bootstrap(cluster, runtime.Place{})
		},
		Controllers: w.controllers,
	}
}

// controllers gives the KRaft controllers of a cluster, as dialled inside.
func (w *world) controllers(cluster string) ([]string, error) {
	c := w.p.Cluster(cluster)
	if c == nil {
		return nil, fmt.Errorf("cluster %s: there is no such cluster", cluster)
	}
	var out []string
	for _, n := range c.Nodes {
		if n.Role == plan.RoleController || n.Role == plan.RoleCombined {
			out = append(out, c.Label(n.ID)+":"+strconv.Itoa(portController))
		}
	}
	return out, nil
}

// startInspection begins the session by which states are asked for.
func (w *world) startInspection(ctx context.Context) (err error) {
	w.inspection, err = remote.Start(ctx, w.session(w.control, runtime.Env{Run: w.p.Name, Log: func(string) {}, Operators: w.o.Operators}, nil))
	return err
}

// usage is what a node has used of the machine. Its processes count one after
// the other.
type usage struct {
	pid  int
	last float64 // processor seconds of the process as last seen
	done float64 // of those before it
}

// add takes in what a process has used and gives what all have.
func (u *usage) add(s agent.Status) float64 {
	if s.PID != u.pid || s.CPU < u.last {
		u.done += u.last
		u.pid, u.last = s.PID, 0
	}
	u.last = s.CPU
	return u.done + u.last
}

// Inspect gives the state of a cluster by its controllers and brokers, beside
// what each process does and uses.
func (w *world) Inspect(ctx context.Context, cluster string) (runtime.State, error) {
	c := w.p.Cluster(cluster)
	if c == nil {
		return runtime.State{}, fmt.Errorf("cluster %s: there is no such cluster", cluster)
	}
	if err := w.failed(); err != nil {
		return runtime.State{}, err
	}
	statuses := make([]agent.Status, len(c.Nodes))
	errs := make([]error, len(c.Nodes))
	var asked sync.WaitGroup
	for i, n := range c.Nodes {
		b := w.servers[runtime.NodeKey{Cluster: cluster, ID: n.ID}].box
		asked.Go(func() { statuses[i], errs[i] = b.agent.Status(ctx, process) })
	}
	state, err := w.inspection.Inspect(ctx, cluster)
	asked.Wait()
	if err = errors.Join(append(errs, err)...); err != nil {
		if lost := w.failed(); lost != nil {
			err = lost
		}
		return runtime.State{}, err
	}
	alive := map[int32]bool{}
	for _, n := range state.Nodes {
		alive[n.ID] = n.Alive
	}
	state.Nodes = nil
	for i, n := range c.Nodes {
		s := statuses[i]
		x := runtime.NodeState{ID: n.ID, Process: stateWord(s.State), Alive: alive[n.ID], CPU: w.used(runtime.NodeKey{Cluster: cluster, ID: n.ID}, s)}
		if s.State != agent.Exited {
			x.Memory = s.RSS
		}
		if n.Role == plan.RoleBroker || n.Role == plan.RoleCombined {
			state.Memory += x.Memory
			state.CPU += x.CPU
		}
		state.Nodes = append(state.Nodes, x)
	}
	return state, nil
}

func (w *world) used(key runtime.NodeKey, s agent.Status) float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.usage[key] == nil {
		w.usage[key] = &usage{}
	}
	return w.usage[key].add(s)
}

// stateWord is a process's state in the runtime's words.
func stateWord(s agent.State) string {
	switch s {
	case agent.Running:
		return "running"
	case agent.Paused:
		return "paused"
	}
	return "stopped"
}
