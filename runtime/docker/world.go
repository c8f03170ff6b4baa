package docker

// This file defines the running clusters of a plan: what there is of them, and
// how it is taken down.

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/network"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/agent/relay"
	"starfall/runtime/agent/remote"
)

// world is the clusters of one plan.
type world struct {
	e       Engine
	h       host
	p       *plan.Plan
	o       runtime.UpOptions
	run     string // id, in hex
	program program
	janitor *janitor
	steps   steps

	life context.Context // ends with Close
	end  context.CancelFunc

	network    string // id
	prefix     netip.Prefix
	names      map[string]netip.Addr // of nodes
	servers    map[runtime.NodeKey]*server
	order      []runtime.NodeKey // as the plan has them
	control    *box
	inspection *remote.Session
	doors      doors

	mu         sync.Mutex
	containers map[string]string // id: what it is for
	sites      map[string]*box   // where clients stand
	stands     map[string]*box   // mirrors and relays, by their places' Client
	relays     map[string]*relay.Relay
	via        map[string]string // through which site a client is relayed
	members    map[runtime.Place]netip.Addr
	last       netip.Addr // the address given out last
	usage      map[runtime.NodeKey]*usage
	closing    bool
	gone       error         // why a box is gone that ought to be there
	broken     chan struct{} // closed then

	shaping sync.Mutex // held while the network changes
	shaped  shape

	relaying sync.Mutex // held while redirects change

	tooling sync.Mutex      // guards what follows
	tools   map[string]*box // for the tools of clusters whose image is another than the control side's
	toolRun int
	images  map[string]imageInfo

	once     sync.Once
	closeErr error
}

var (
	_ runtime.World     = (*world)(nil)
	_ runtime.Processes = (*world)(nil)
	_ runtime.Network   = (*world)(nil)
	_ runtime.Mirrorer  = (*world)(nil)
	_ runtime.Relayer   = (*world)(nil)
	_ runtime.Toolbox   = (*world)(nil)
)

// server is a node of a cluster, with the version of Kafka that it runs.
type server struct {
	node
	box     *box
	version release
	dark    bool // guarded by world.shaping
}

func (w *world) server(key runtime.NodeKey) (*server, error) {
	s := w.servers[key]
	if s == nil {
		return nil, fmt.Errorf("node %d: cluster %s has no such node", key.ID, key.Cluster)
	}
	return s, nil
}

// labels are on everything that a run makes.
func (w *world) labels() map[string]string {
	out := map[string]string{labelRun: w.run, labelName: w.p.Name, labelOwner: self().String()}
	if w.e.Keep {
		out[labelKeep] = "true"
	}
	return out
}

// makeNetwork makes the run's network. When Docker has no addresses left for
// one, what older runs have left is removed, and it is tried once more.
func (w *world) makeNetwork(ctx context.Context) error {
	create := func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), makeLimit)
		defer cancel()
		r, err := w.h.api.NetworkCreate(ctx, "starfall-"+w.run[:8], network.CreateOptions{
			Driver: "bridge", Labels: w.labels(),
			Options: map[string]string{"com.docker.network.bridge.enable_icc": "true"},
		})
		w.network = r.ID
		return err
	}
	err := create()
	if full := err != nil && strings.Contains(err.Error(), "address pool"); full {
		if _, sweepErr := sweep(ctx, w.h, false); sweepErr == nil {
			err = create()
		}
	} else if err == nil {
		// Not in the way of what is awaited, and no reason to fail.
		go sweep(w.life, w.h, false)
	}
	if err != nil && strings.Contains(err.Error(), "address pool") {
		return fmt.Errorf("%w: %w", ErrNoNetwork, err)
	}
	if err != nil {
		return fmt.Errorf("network: %w", err)
	}
	return nil
}

// ErrNoNetwork is in the chain of an error when Docker has no addresses left
// for another network.
var ErrNoNetwork = errors.New("no addresses are left for another network")

// launch makes a box of this run.
func (w *world) launch(ctx context.Context, s boxSpec) (*box, error) {
	s.labels, s.network, s.program = w.labels(), w.network, w.program
	s.prefix = "starfall-" + w.run[:8] + "-"
	s.announce = func(id string) {
		w.mu.Lock()
		w.containers[id] = s.name
		w.mu.Unlock()
	}
	s.reach = func(step string) { w.steps.reach("%s: %s", s.name, step) }
	b, err := w.h.launch(ctx, s)
	if err != nil {
		return nil, err
	}
	go func() {
		select {
		case <-b.agent.Done():
			w.lost(b)
		case <-w.life.Done():
		}
	}()
	return b, nil
}

// tellNames writes /etc/hosts of a box.
func (w *world) tellNames(ctx context.Context, b *box) error {
	return b.agent.Write(ctx, hostsFile(b, w.names))
}

// Bootstrap gives the brokers of a cluster as dialled from a place: by name from
// the control side, from mirrors, and from members, for which an address of their
// own is made in their site's container; on loopback from a site.
func (w *world) Bootstrap(cluster string, from runtime.Place) ([]string, error) {
	c := w.p.Cluster(cluster)
	if c == nil {
		return nil, fmt.Errorf("cluster %s: there is no such cluster", cluster)
	}
	if from.Client == "" && from.Site != "" {
		return w.doors.addresses(cluster, from.Site)
	}
	if from.Client != "" && w.standing(from) == nil {
		if _, err := w.member(from); err != nil {
			return nil, err
		}
	}
	var out []string
	for _, n := range c.Brokers() {
		out = append(out, c.Label(n.ID)+":"+strconv.Itoa(portClients))
	}
	return out, nil
}

// memberPatience limits how long making a member's address may take.
const memberPatience = 10 * time.Second

// member gives the address of a client member; a new one is made in its site's
// container. Addresses are taken from the upper end of the network downwards,
// Docker takes its own from the lower end upwards.
func (w *world) member(p runtime.Place) (netip.Addr, error) {
	p.Site = ""
	site, err := siteOf(w.p, p.Client)
	if err != nil {
		return netip.Addr{}, err
	}
	w.mu.Lock()
	b := w.sites[site]
	addr, known := w.members[p]
	if !known && b != nil {
		if !w.last.IsValid() {
			w.last = lastAddress(w.prefix)
		}
		w.last = w.last.Prev()
		addr = w.last
		w.members[p] = addr
	}
	w.mu.Unlock()
	switch {
	case b == nil:
		return netip.Addr{}, fmt.Errorf("client %s: nothing stands in site %s", p.Client, site)
	case known:
		return addr, nil
	}
	ctx, cancel := context.WithTimeout(w.life, memberPatience)
	defer cancel()
	err = b.agent.Address(ctx, netip.PrefixFrom(addr, w.prefix.Bits()))
	if err == nil {
		err = w.relayNew(ctx, p, b)
	}
	if err != nil {
		w.mu.Lock()
		delete(w.members, p)
		w.mu.Unlock()
		return netip.Addr{}, fmt.Errorf("client %s, member %d: its address: %w", p.Client, p.Member, err)
	}
	return addr, nil
}

// lastAddress is the broadcast address of an IPv4 network.
func lastAddress(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

// lost notes that a box's agent has gone without being told to.
func (w *world) lost(b *box) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closing || w.life.Err() != nil || w.gone != nil {
		return
	}
	err := fmt.Errorf("the container of %s is gone: it was removed, or the Docker engine was stopped", b.name)
	if text := b.errs.String(); text != "" {
		err = fmt.Errorf("%w; the last it said: %s", err, text)
	}
	w.gone = err
	close(w.broken)
}

// breaks notes that something else is gone that a run cannot do without. The
// first that is noted counts.
func (w *world) breaks(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closing || w.life.Err() != nil || w.gone != nil {
		return
	}
	w.gone = err
	close(w.broken)
}

// preferLoss gives the loss of a box instead of an error, when that is what the
// error comes of: the two are seen at about the same time.
func (w *world) preferLoss(err error) error {
	select {
	case <-w.broken:
		return w.failed()
	case <-time.After(lossShows):
		return err
	}
}

// lossShows is how long the end of an agent may take to be seen.
const lossShows = 300 * time.Millisecond

// failed gives the first loss of a box.
func (w *world) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gone
}

// Close takes everything down, or, when it is to be kept, lets go of it.
func (w *world) Close(ctx context.Context) error {
	w.once.Do(func() {
		w.mu.Lock()
		w.closing = true
		w.mu.Unlock()
		w.collect(ctx)
		if w.e.Keep && w.failed() == nil {
			w.closeErr = w.keep(ctx)
			return
		}
		w.closeErr = w.remove(ctx)
	})
	return w.closeErr
}

// remove removes the containers, then the network. It goes on until nothing is
// left or ctx ends: the Docker engine may be coming back from a restart.
func (w *world) remove(ctx context.Context) error {
	w.mu.Lock()
	w.closing = true
	w.mu.Unlock()
	w.doors.close()
	w.end()
	if w.inspection != nil {
		w.inspection.Close()
	}
	for _, b := range w.boxes() {
		b.agent.Close()
	}
	err := w.removeOnce(ctx)
	for err != nil && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(500 * time.Millisecond):
			err = w.removeOnce(ctx)
		}
	}
	if err == nil {
		w.janitor.dismiss()
	}
	w.h.api.Close()
	return err
}

// removeOnce removes what is known, and then whatever else has the run's label.
func (w *world) removeOnce(ctx context.Context) error {
	w.mu.Lock()
	ids := sortedKeys(w.containers)
	w.mu.Unlock()
	var gone group
	for _, id := range ids {
		gone.Go(ctx, func(ctx context.Context) error {
			if err := w.h.remove(ctx, id); err != nil {
				return err
			}
			w.mu.Lock()
			delete(w.containers, id)
			w.mu.Unlock()
			return nil
		})
	}
	if err := gone.Wait(); err != nil {
		return err
	}
	all, err := w.h.remains(ctx, labelIs(w.run))
	if err != nil {
		return err
	}
	for _, r := range all {
		if err := w.h.removeAll(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// boxes gives every box that is there.
func (w *world) boxes() []*box {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []*box
	for _, key := range w.order {
		out = append(out, w.servers[key].box)
	}
	for _, site := range sortedKeys(w.sites) {
		out = append(out, w.sites[site])
	}
	for _, client := range sortedKeys(w.stands) {
		out = append(out, w.stands[client])
	}
	if w.control != nil {
		out = append(out, w.control)
	}
	return out
}

// keep lets go of the nodes, which go on, and removes the rest.
func (w *world) keep(ctx context.Context) error {
	k := Kept{Run: w.run}
	for i := range w.p.Clusters {
		c := &w.p.Clusters[i]
		a := runtime.Address{Cluster: c.Name}
		for _, n := range c.Brokers() {
			s := w.servers[runtime.NodeKey{Cluster: c.Name, ID: n.ID}]
			a.Bootstrap = append(a.Bootstrap, netip.AddrPortFrom(s.box.addr, portHost).String())
		}
		k.Addresses = append(k.Addresses, a)
	}
	var kept group
	for _, key := range w.order {
		b := w.servers[key].box
		kept.Go(ctx, func(ctx context.Context) error { return b.agent.Keep(ctx) })
	}
	if err := kept.Wait(); err != nil {
		return errors.Join(fmt.Errorf("the cluster cannot be kept: %w", err), w.remove(ctx))
	}
	w.janitor.dismiss()
	w.doors.close()
	w.end()
	if w.inspection != nil {
		w.inspection.Close()
	}
	w.mu.Lock()
	for _, key := range w.order {
		delete(w.containers, w.servers[key].box.id)
	}
	w.mu.Unlock()
	for _, b := range w.boxes() {
		b.agent.Close()
	}
	w.mu.Lock()
	ids := sortedKeys(w.containers)
	w.mu.Unlock()
	var gone group
	for _, id := range ids {
		gone.Go(ctx, func(ctx context.Context) error { return w.h.remove(ctx, id) })
	}
	err := gone.Wait()
	w.h.api.Close()
	if w.e.Kept != nil {
		w.e.Kept(k)
	}
	return err
}
