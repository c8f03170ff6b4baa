// Package embedded is the engine that needs nothing: a replicated Kafka in this
// process, which real clients reach over TCP on loopback. What Kafka does is in
// package core and its group coordinator in package group; package wire puts them
// behind sockets. This package gives them to the runtime as an engine.
package embedded

// This file defines the engine: what it cannot do, and how it brings clusters up.

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/internal/kafkaconf"
	"starfall/internal/kafkatools"
	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/embedded/core"
	"starfall/runtime/embedded/group"
	"starfall/runtime/embedded/wire"
)

// KafkaVersion is the version of Kafka whose behaviour the engine has.
const KafkaVersion = "3.9"

// Name is how flags and tables call the engine.
const Name = "embedded"

// The other engine, for what this one refuses.
const docker = "docker"

// Engine brings clusters up in this process. Its zero value is ready for use.
type Engine struct {
	// Security, when set, says who the clients of a cluster have to be and what they may
	// do, in place of the plan; a nil answer lets everybody do everything. Listeners are
	// named by ListenerOf.
	Security func(cluster string) *core.Security
	// Memory is how many bytes of records a cluster keeps in memory; what is beyond goes
	// to files in UpOptions.Folder, if there is one. 0 means core.DefaultMemory.
	Memory int64
}

var _ runtime.Engine = Engine{}

// Name gives embedded.
func (Engine) Name() string { return Name }

// Refuse names what only real Kafka can do.
func (Engine) Refuse(p *plan.Plan) []runtime.Refusal {
	var out []runtime.Refusal
	refuse := func(pos plan.Pos, message string) {
		out = append(out, runtime.Refusal{Pos: pos, Message: message, Engine: docker})
	}
	for _, c := range p.Clusters {
		if slices.ContainsFunc(c.Nodes, func(n plan.Node) bool { return n.Role == plan.RoleZooKeeper }) {
			refuse(c.Pos, fmt.Sprintf("cluster %s: for parameter zookeeper: the cluster runs in KRaft mode only", c.Name))
		}
		if c.Image != "" {
			refuse(c.Pos, fmt.Sprintf("cluster %s: for parameter image: there is no container to run %q in", c.Name, c.Image))
		}
		if c.Version != "" && c.Version != KafkaVersion && !strings.HasPrefix(c.Version, KafkaVersion+".") {
			refuse(c.Pos, fmt.Sprintf("cluster %s: for parameter version: got %q, want %s, whose behaviour this is", c.Name, c.Version, KafkaVersion))
		}
	}
	usage := func(pos plan.Pos, e plan.Expr) {
		walk(e, func(t *plan.Term) {
			if t.Subject.Kind == plan.RefCluster && (t.Measure == "cpu" || t.Measure == "memory") {
				refuse(pos, fmt.Sprintf("measure %s: all brokers share one process here, what one of them uses is not known", t.Measure))
			}
		})
	}
	for _, c := range p.Claims {
		usage(c.Pos, c.Expr)
	}
	for _, a := range p.Alarms {
		usage(a.Pos, a.Claim)
	}
	for _, e := range p.Events {
		if e.Trigger.Claim != nil {
			usage(e.Pos, *e.Trigger.Claim)
		}
		for _, a := range e.Actions {
			if a.Verb == plan.Tool {
				refuse(a.Pos, fmt.Sprintf("tool: %s needs Kafka's own processes%s", a.Tool, instead(a.Tool)))
			}
		}
	}
	return out
}

// instead says which word of the language does what a tool does; "" where none does.
func instead(tool string) string {
	if t, ok := kafkatools.Lookup(tool); ok && t.Word != "" {
		return ": here say " + t.Word
	}
	return ""
}

// walk visits the terms of a claim.
func walk(e plan.Expr, visit func(*plan.Term)) {
	if e.Term != nil {
		visit(e.Term)
	}
	for _, arg := range e.Args {
		walk(arg, visit)
	}
}

// Up brings up the clusters of a plan and returns when every broker is registered and
// unfenced and each quorum has a leader.
func (e Engine) Up(ctx context.Context, p *plan.Plan, o runtime.UpOptions) (runtime.World, error) {
	if o.Speed <= 0 {
		o.Speed = 1
	}
	w := &world{opts: o, clusters: map[string]*cluster{}}
	ports := func(int32) int { return 0 }
	if o.FixedPorts != 0 {
		next := o.FixedPorts
		ports = func(int32) int { next++; return next - 1 }
	}
	base := time.Now()
	for i := range p.Clusters {
		c, err := w.bringUp(e, &p.Clusters[i], p.Users, uint64(p.Scenario.Seed)+uint64(i), base)
		if err != nil {
			w.close()
			return nil, fmt.Errorf("cluster %s: %w", p.Clusters[i].Name, err)
		}
		for _, site := range p.Sites {
			if _, err := c.server.Listen(placeKey(runtime.Place{Site: site.Name}), ports); err != nil {
				w.close()
				return nil, fmt.Errorf("cluster %s: %w", c.plan.Name, err)
			}
		}
	}
	for _, name := range w.order {
		if err := w.clusters[name].awaitUp(ctx); err != nil {
			w.close()
			return nil, fmt.Errorf("cluster %s: %w", name, err)
		}
	}
	return w, nil
}

// bringUp starts one cluster and its control listeners.
func (w *world) bringUp(e Engine, p *plan.Cluster, users []plan.User, seed uint64, base time.Time) (*cluster, error) {
	c := &cluster{plan: p, observe: w.observer(p), registered: map[int32]time.Duration{}}
	options := core.Options{
		Seed: seed, Config: p.Config, Racks: map[int32]string{}, PerBroker: map[int32]map[string]string{},
		ClusterID: "starfall-" + p.Name,
		Groups:    func(env core.GroupEnv) core.GroupCoordinator { return group.New(env) },
		Memory:    e.Memory, ClientSpeed: w.opts.Speed,
	}
	if w.opts.Folder != "" {
		c.files = newFileStore(filepath.Join(w.opts.Folder, "embedded-"+p.Name))
		options.Store = c.files
	}
	options.Security = security(p, users, w.opts.Operators[p.Name])
	if e.Security != nil {
		options.Security = e.Security(p.Name)
	}
	var brokers []int32
	for _, n := range p.Nodes {
		switch n.Role {
		case plan.RoleCombined, plan.RoleBroker:
			brokers = append(brokers, n.ID)
			if n.Rack != "" {
				options.Racks[n.ID] = n.Rack
			}
			if len(n.Config) > 0 {
				options.PerBroker[n.ID] = n.Config
			}
		case plan.RoleController:
			options.Controllers++
		default:
			return nil, fmt.Errorf("node %d: for parameter role: got %s, want combined, broker or controller", n.ID, n.Role)
		}
	}
	options.Brokers = len(brokers)
	options.Config = kafkaconf.WithInternalTopics(p.Config, len(brokers))
	for i, id := range brokers {
		if id != int32(i+1) {
			return nil, fmt.Errorf("node %d: for parameter id: want brokers counted from 1 without a gap", id)
		}
	}
	born, err := core.Born(options)
	if err != nil {
		return nil, err
	}
	base = base.Add(-time.Duration(float64(born) / w.opts.Speed))
	options.Epoch = base
	shell := wire.Options{Brokers: brokers, Speed: w.opts.Speed, Base: base, Seed: seed, Versions: wire.Versions{}}
	if limit, err := strconv.Atoi(p.Config["socket.request.max.bytes"]); err == nil {
		shell.MaxRequest = limit
	}
	if limit, err := strconv.Atoi(p.Config["sasl.server.max.receive.size"]); err == nil {
		shell.MaxLogin = limit
	}
	if s := options.Security; s != nil && s.Mechanisms != nil {
		shell.Login = func(place string) bool { return len(s.Mechanisms(place)) > 0 }
	}
	for key := int16(0); key <= kmsg.MaxKey; key++ {
		if lowest, highest, ok := core.Supported(key); ok {
			shell.Versions[key] = wire.Range{Min: lowest, Max: highest}
		}
	}
	c.server = wire.New(shell)
	options.Address = c.server.Address
	options.OnDown, options.OnUp = c.server.Down, c.server.Up
	options.CloseConn = c.server.CloseConn
	options.OnEvent = c.event
	if c.core, err = core.New(options); err != nil {
		c.server.Close()
		return nil, err
	}
	c.server.Serve(c.core)
	w.clusters[p.Name] = c
	w.order = append(w.order, p.Name)
	if _, err := c.server.Listen(placeKey(runtime.Place{}), nil); err != nil {
		return nil, err
	}
	return c, nil
}

// awaitUp waits until the cluster can be worked with.
func (c *cluster) awaitUp(ctx context.Context) error {
	missing := ""
	err := c.await(ctx, func() bool {
		var wanting []string
		active := false
		for _, n := range c.core.Nodes() {
			active = active || n.Active
			if n.Broker && (!n.Registered || n.Fenced) {
				wanting = append(wanting, c.label(n.ID)+" is not registered")
			}
		}
		if !active {
			wanting = append(wanting, "no controller is active")
		}
		if len(wanting) == 0 {
			// What a client learns depends on whom it asks: wait for all of them.
			if err := c.core.Settled(); err != nil {
				wanting = append(wanting, err.Error())
			}
		}
		missing = strings.Join(wanting, ", ")
		return missing == ""
	})
	if err != nil && missing != "" {
		return fmt.Errorf("not up: %s: %w", missing, err)
	}
	return err
}

// ListenerOf names the listeners of a place, as core.Security.Mechanisms is asked for them.
func ListenerOf(p runtime.Place) string { return placeKey(p) }

// placeKey names a place's listeners.
func placeKey(p runtime.Place) string {
	switch {
	case p.Client != "":
		return p.Client + "/" + strconv.Itoa(p.Member)
	case p.Site != "":
		return "site " + p.Site
	}
	return "control"
}

// Node ids: a plan counts separate controllers from plan.FirstControllerID, the core
// from core.ControllerID(1).

func toCore(id int32) int32 {
	if id >= plan.FirstControllerID {
		return core.ControllerID(int(id-plan.FirstControllerID) + 1)
	}
	return id
}

func toPlan(id int32) int32 {
	if first := core.ControllerID(1); id >= first {
		return id - first + plan.FirstControllerID
	}
	return id
}
