package docker

// This file defines the engine: what it is given, what it cannot do, and how it
// brings clusters up.

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/agent/network"
	"starfall/runtime/agent/relay"
)

// Name is how flags and tables call the engine.
const Name = "docker"

// Engine runs clusters of real Kafka in containers. Its zero value works, with
// the Docker engine that the docker command would use.
type Engine struct {
	Options
	// Keep leaves the clusters' containers running when the run is over.
	Keep bool
	// Kept, when set, is told how kept clusters are reached.
	Kept func(Kept)
	// Outside opens listeners on loopback, for programs on this host: one for
	// each site and broker. Without it Bootstrap knows no sites.
	Outside bool
	// JVM are more options for every JVM, after the engine's own
	// (see jvmOptions), so that they win.
	JVM []string
	// Program gives the file that becomes the agent in containers of a system
	// such as linux/amd64; nil: Program of this package.
	Program func(ctx context.Context, system string) (string, error)
	// Janitor is a command that removes what a run has left when this process
	// is killed: it is started with the run's id as last argument and reads
	// standard input, see Tidy. Empty: nobody does.
	Janitor []string
}

// Kept says how a kept cluster is reached and removed.
type Kept struct {
	Run       string // id
	Addresses []runtime.Address
}

var _ runtime.Engine = Engine{}

// Name gives docker.
func (Engine) Name() string { return Name }

// Refuse names what cannot run on real Kafka. What depends on the images or on
// the kernel under the containers shows only when they are there, and is then
// refused by Up, in the same way.
func (e Engine) Refuse(p *plan.Plan) []runtime.Refusal {
	var out []runtime.Refusal
	for i := range p.Clusters {
		c := &p.Clusters[i]
		out = append(out, refuseUsers(c)...)
		want := defaultRelease
		if c.Version != "" {
			r, ok := parseRelease(c.Version)
			if !ok {
				out = append(out, runtime.Refusal{Pos: c.Pos, Message: fmt.Sprintf("cluster %s: for parameter version: got %q, want a version such as 3.9.1", c.Name, c.Version)})
				continue
			}
			want = r
		} else if c.Image != "" || e.Image != "" {
			continue // its version is not known yet
		}
		out = append(out, refuseVersion(c, want)...)
	}
	return out
}

// refuseVersion names what a version of Kafka does not have.
func refuseVersion(c *plan.Cluster, v release) []runtime.Refusal {
	var out []runtime.Refusal
	if zooKeeper(c) && !v.before(4, 0) {
		out = append(out, runtime.Refusal{Pos: c.Pos, Message: fmt.Sprintf("cluster %s: for parameter zookeeper: Kafka %s has no ZooKeeper mode any more, 3.9 was the last", c.Name, v)})
	}
	if mechanism := mechanismOf(c.Auth); c.Auth != "" && mechanism != mechanismPlain && v.before(3, 5) {
		out = append(out, runtime.Refusal{Pos: c.Pos, Message: fmt.Sprintf("cluster %s: for parameter auth: got %s, want plain: Kafka %s has no SCRAM in KRaft mode, 3.5 was the first (KIP-900)", c.Name, c.Auth, v)})
	}
	if v.before(3, 3) {
		out = append(out, runtime.Refusal{Pos: c.Pos, Message: fmt.Sprintf("cluster %s: for parameter version: got %s, want 3.3 or newer", c.Name, v)})
	}
	return out
}

// Ready tells whether the Docker engine answers and has an image for every
// cluster of a plan, before anything is started. It gives the version of Kafka
// that would run, as far as names tell it.
func (e Engine) Ready(ctx context.Context, p *plan.Plan) (version string, err error) {
	h, err := open(ctx, e.Options)
	if err != nil {
		return "", err
	}
	defer h.api.Close()
	for i := range p.Clusters {
		info, err := h.imageOf(ctx, &p.Clusters[i], e.Image)
		if err != nil {
			return "", err
		}
		if _, tag, ok := strings.Cut(info.ref, ":"); ok && version == "" {
			version = tag
		}
	}
	return version, nil
}

// Up brings up the clusters of a plan and returns when every broker is
// registered and unfenced.
func (e Engine) Up(ctx context.Context, p *plan.Plan, o runtime.UpOptions) (_ runtime.World, err error) {
	if o.Speed != 0 && o.Speed != 1 {
		return nil, fmt.Errorf("speed: got %g, want 1: real Kafka has the speed it has", o.Speed)
	}
	h, err := open(ctx, e.Options)
	if err != nil {
		return nil, err
	}
	var id [8]byte
	rand.Read(id[:])
	w := &world{
		e: e, h: h, p: p, o: o, run: hex.EncodeToString(id[:]),
		containers: map[string]string{}, servers: map[runtime.NodeKey]*server{},
		sites: map[string]*box{}, stands: map[string]*box{}, relays: map[string]*relay.Relay{}, via: map[string]string{}, tools: map[string]*box{}, members: map[runtime.Place]netip.Addr{}, usage: map[runtime.NodeKey]*usage{},
		broken: make(chan struct{}), steps: steps{began: time.Now()},
	}
	w.life, w.end = context.WithCancel(context.Background())
	isUp := false
	defer w.noteSteps()
	defer func() {
		if isUp {
			return
		}
		// A panic comes here, too.
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		w.collect(limited)
		err = errors.Join(err, w.remove(limited))
	}()
	if err := w.bringUp(ctx); err != nil {
		return nil, w.preferLoss(err)
	}
	isUp = true
	return w, nil
}

// bringUp makes all containers side by side, and then starts Kafka: it keeps all
// processors busy for seconds, in which Docker would make no more containers.
func (w *world) bringUp(ctx context.Context) error {
	images := map[string]imageInfo{}
	for i := range w.p.Clusters {
		c := &w.p.Clusters[i]
		info, err := w.h.imageOf(ctx, c, w.e.Image)
		if err != nil {
			return err
		}
		images[c.Name] = info
	}
	w.images = images
	find := w.e.Program
	if find == nil {
		find = Program
	}
	path, err := find(ctx, w.h.status.System)
	if err != nil {
		return err
	}
	w.program = program{path: path, shown: show(w.h.status.Host, path), unseen: new(atomic.Bool)}
	if w.program.build, err = buildOf(path); err != nil {
		return err
	}
	if err := w.startJanitor(); err != nil {
		return err
	}
	if err := w.makeNetwork(ctx); err != nil {
		return err
	}
	w.steps.reach("network")
	if w.e.Outside {
		if err := w.openDoors(); err != nil {
			return err
		}
	}
	list := nodes(w.p)
	var launched group
	boxes := make([]*box, len(list))
	for i, n := range list {
		launched.Go(ctx, func(ctx context.Context) (err error) {
			boxes[i], err = w.launch(ctx, boxSpec{name: n.label, host: n.label, site: n.Site, image: images[n.cluster.Name]})
			return err
		})
	}
	w.launchOthers(ctx, &launched, images[w.p.Clusters[0].Name])
	if err := launched.Wait(); err != nil {
		return err
	}
	w.names = map[string]netip.Addr{}
	for i, n := range list {
		w.names[n.label] = boxes[i].addr
		key := runtime.NodeKey{Cluster: n.cluster.Name, ID: n.ID}
		w.servers[key] = &server{node: n, box: boxes[i]}
		w.order = append(w.order, key)
	}
	w.prefix = boxes[0].prefix
	if err := w.refuse(ctx); err != nil {
		return err
	}
	if err := w.meet(ctx); err != nil {
		return err
	}
	w.steps.reach("the nodes' containers reach each other")
	var ready group
	for _, key := range w.order {
		s := w.servers[key]
		ready.Go(ctx, func(ctx context.Context) error { return w.startServer(ctx, s) })
	}
	ready.Go(ctx, func(ctx context.Context) error {
		if err := w.tellNames(ctx, w.control); err != nil {
			return err
		}
		return w.startInspection(ctx)
	})
	for _, b := range w.sites {
		ready.Go(ctx, func(ctx context.Context) error {
			if err := b.prime(ctx); err != nil {
				return err
			}
			return w.tellNames(ctx, b)
		})
	}
	w.launchStands(ctx, &ready, images)
	if err := ready.Wait(); err != nil {
		return err
	}
	w.steps.reach("all ports are open")
	var up group
	for _, c := range w.p.Clusters {
		up.Go(ctx, func(ctx context.Context) error {
			err := w.awaitUp(ctx, c.Name)
			if err == nil {
				w.steps.reach("%s: every broker is registered and unfenced", c.Name)
			}
			return err
		})
	}
	if err := up.Wait(); err != nil {
		return err
	}
	if err := w.startRelays(ctx); err != nil {
		return err
	}
	w.serveDoors()
	return w.failed()
}

// launchOthers makes the boxes of the control side and of the sites.
func (w *world) launchOthers(ctx context.Context, g *group, image imageInfo) {
	g.Go(ctx, func(ctx context.Context) error {
		b, err := w.launch(ctx, boxSpec{name: "control", host: "control", image: image})
		if err != nil {
			return err
		}
		w.mu.Lock()
		w.control = b
		w.mu.Unlock()
		return nil
	})
	standing := clientSites(w.p)
	if w.e.Outside {
		standing = nil
		for _, s := range w.p.Sites {
			standing = append(standing, s.Name)
		}
	}
	for _, site := range standing {
		g.Go(ctx, func(ctx context.Context) error {
			b, err := w.launch(ctx, boxSpec{name: "clients-" + site, host: "clients", site: site, image: image})
			if err != nil {
				return err
			}
			w.mu.Lock()
			w.sites[site] = b
			w.mu.Unlock()
			return nil
		})
	}
}

// meet has the first node dial all others, where nobody listens yet: a host's
// firewall may keep containers apart, and Kafka would take a minute to say that
// it waits.
func (w *world) meet(ctx context.Context) error {
	if len(w.order) < 2 {
		return nil
	}
	first := w.servers[w.order[0]]
	var probes []network.Probe
	for _, key := range w.order[1:] {
		probes = append(probes, network.Probe{Peer: addrPort(w.servers[key]), Wait: 3 * time.Second})
	}
	out, err := first.box.agent.Reach(ctx, probes)
	if err != nil {
		return err
	}
	for i, o := range out {
		if o.Answer == network.Silent || o.Answer == network.Failed {
			return fmt.Errorf("%w: %s does not reach %s (%s)", ErrApart, first.label, w.servers[w.order[i+1]].label, o.Answer)
		}
	}
	return nil
}

// ErrApart is in the chain of an error when containers on one network do not
// reach each other.
var ErrApart = errors.New("containers on one network cannot reach each other")

// refuse looks at what only the containers can tell: the version of Kafka in
// them, and what their kernel can do to the network.
func (w *world) refuse(ctx context.Context) error {
	var refusals []runtime.Refusal
	versions := map[string]release{} // by image
	for _, key := range w.order {
		s := w.servers[key]
		v, ok := versions[s.cluster.Name]
		if !ok {
			var err error
			if v, err = versionIn(ctx, s.box); err != nil {
				return err
			}
			versions[s.cluster.Name] = v
			refusals = append(refusals, refuseVersion(s.cluster, v)...)
			if want, ok := parseRelease(s.cluster.Version); ok && !v.is(want) {
				refusals = append(refusals, runtime.Refusal{Pos: s.cluster.Pos, Message: fmt.Sprintf("cluster %s: for parameter version: got %s, but the image has Kafka %s", s.cluster.Name, want, v)})
			}
		}
		s.version = v
	}
	needs := networkNeeds(w.p)
	if len(needs) > 0 {
		can, err := w.servers[w.order[0]].box.agent.Support(ctx)
		if err != nil {
			return err
		}
		refusals = append(refusals, unsupported(needs, can)...)
	}
	if len(refusals) > 0 {
		slices.SortStableFunc(refusals, func(a, b runtime.Refusal) int { return comparePos(a.Pos, b.Pos) })
		return &runtime.RefusedError{Engine: Name, Refusals: refusals}
	}
	return nil
}
