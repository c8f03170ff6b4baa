package network

// This file defines Net, which brings the wanted state into force.

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"starfall/interp/plan"
)

var errClosed = errors.New("network is closed")

// Net is the network of one namespace. It is safe for concurrent use.
type Net struct {
	support Support
	link    netlink.Link
	segs    uint32 // the interface's own gso_max_segs

	mu      sync.Mutex
	routes  *netlink.Handle
	table   *table
	delayer *delayer // nil: not supported
	state   State
	whole   bool // packets leave the interface in single segments
	addrs   []netlink.Addr
	// redirects is nil until there is one.
	redirects *redirector
	closed    bool
	closeErr  error
}

// Open takes the network of the calling thread's namespace over. It is whole then.
func Open(o Options) (_ *Net, err error) {
	support, queue := supported()
	if support.Cut != "" {
		return nil, fmt.Errorf("network: %w: %s", ErrUnsupported, support.Cut)
	}
	n := &Net{support: support}
	if n.routes, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return nil, fmt.Errorf("network: routes: %w", err)
	}
	defer func() {
		if err != nil {
			n.routes.Close()
		}
	}()
	if n.link, err = findLink(n.routes, o.Interface); err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	n.segs = n.link.Attrs().GSOMaxSegs
	if queue != nil {
		seed := o.Seed
		for seed == 0 {
			seed = rand.Uint64()
		}
		if n.delayer, err = newDelayer(firstQueue, queues, seed); err != nil {
			return nil, fmt.Errorf("network: %w", err)
		}
	}
	if n.table, err = newTable(queue); err != nil {
		if n.delayer != nil {
			err = errors.Join(err, n.delayer.discard())
		}
		return nil, fmt.Errorf("network: %w", err)
	}
	if n.delayer != nil {
		go n.delayer.run()
	}
	return n, nil
}

// findLink gives the interface of a name, or that with the default route, or the only
// one that is up besides loopback.
func findLink(h *netlink.Handle, name string) (netlink.Link, error) {
	if name != "" {
		l, err := h.LinkByName(name)
		if err != nil {
			return nil, fmt.Errorf("interface %s: %w", name, err)
		}
		return l, nil
	}
	links, err := h.LinkList()
	if err != nil {
		return nil, fmt.Errorf("interfaces: %w", err)
	}
	routes, err := h.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("routes: %w", err)
	}
	for _, r := range routes {
		if r.Dst != nil && !r.Dst.IP.IsUnspecified() {
			continue
		}
		for _, l := range links {
			if l.Attrs().Index == r.LinkIndex {
				return l, nil
			}
		}
	}
	var names []string
	// Some kernels put tunnels into every namespace, which are down.
	links = slices.DeleteFunc(links, func(l netlink.Link) bool {
		return l.Attrs().Flags&(net.FlagUp|net.FlagLoopback) != net.FlagUp
	})
	for _, l := range links {
		names = append(names, l.Attrs().Name)
	}
	if len(links) != 1 {
		return nil, fmt.Errorf("interface: got %d that are up besides loopback and no default route, want one: %q", len(links), names)
	}
	return links[0], nil
}

// Support tells what the kernel can do.
func (n *Net) Support() Support { return n.support }

// Interface is the name of the interface that leads to the peers.
func (n *Net) Interface() string { return n.link.Attrs().Name }

// Apply replaces the former state by another, at once for every packet. When it fails
// the former state is in force, but for packets that waited on paths that were to
// be cut or whole.
func (n *Net) Apply(ctx context.Context, s State) (Report, error) {
	begin := time.Now()
	if err := s.Validate(); err != nil {
		return Report{}, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return Report{}, errClosed
	}
	if err := ctx.Err(); err != nil {
		return Report{}, err
	}
	r := Report{Dark: s.Dark}
	single := false // whether a path out loses packets, and they should be single ones
	for _, rule := range s.Rules {
		c := rule.Condition
		switch {
		case cut(c):
			r.Cut++
		case rule.Out:
			single = single || lossy(c)
		default:
			if lossy(c) {
				r.Lossy++
			}
			if slow(c) {
				r.Slow++
			}
		}
	}
	if r.Lossy > 0 && n.support.Loss != "" {
		return Report{}, fmt.Errorf("loss: %w: %s", ErrUnsupported, n.support.Loss)
	}
	if r.Slow > 0 {
		if n.support.Delay != "" {
			return Report{}, fmt.Errorf("latency, jitter and bandwidth: %w: %s", ErrUnsupported, n.support.Delay)
		}
		r.Delay = n.support.DelayBy
	}
	s.Rules = slices.Clone(s.Rules)
	if err := n.apply(s, single); err != nil {
		return Report{}, errors.Join(err, n.apply(n.state, n.whole))
	}
	n.state, n.whole = s, single
	r.At = time.Now()
	r.Took = r.At.Sub(begin)
	return r, nil
}

// apply goes from the inside out: the scheduler knows a path's new condition
// before the kernel sends it packets, and lets those go that wait before the
// kernel lets others past the queue.
func (n *Net) apply(s State, single bool) error {
	if n.delayer != nil {
		if err := n.delayer.replace(conditions(s.Rules), s.Dark); err != nil {
			return err
		}
	}
	if err := n.table.apply(elements(s, n.delayer != nil)); err != nil {
		return err
	}
	return n.segment(single)
}

// segment makes packets leave in single segments, or as the interface would have
// them. Between virtual interfaces TCP's segments travel up to 64 KiB at a time, and the
// receiving end would lose all of them or none.
func (n *Net) segment(single bool) error {
	segs := n.segs
	if single {
		segs = 1
	}
	if segs == 0 || n.link.Attrs().GSOMaxSegs == segs {
		return nil
	}
	if err := n.routes.LinkSetGSOMaxSegs(n.link, int(segs)); err != nil {
		return fmt.Errorf("interface %s: for gso_max_segs %d: %w", n.Interface(), segs, err)
	}
	n.link.Attrs().GSOMaxSegs = segs
	return nil
}

// conditions are the rules as the scheduler needs to know them.
func conditions(rules []Rule) map[ends]plan.Condition {
	m := make(map[ends]plan.Condition, len(rules))
	for _, r := range rules {
		c := r.Condition
		if r.Out {
			c = plan.Condition{Cut: cut(c)} // the rest is for the receiving end
		}
		m[endsOf(r)] = c
	}
	return m
}

func endsOf(r Rule) ends {
	e := ends{peer: r.Peer.As4(), out: r.Out}
	if r.Local.IsValid() {
		e.local = r.Local.As4()
	}
	return e
}

// Counters tells what each rule has done, in the order of the State that is in force.
func (n *Net) Counters(ctx context.Context) ([]Counter, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, errClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	counts, err := n.table.counts()
	if err != nil {
		return nil, err
	}
	counters := make([]Counter, 0, len(n.state.Rules))
	for _, r := range n.state.Rules {
		c := Counter{Rule: r}
		for e := range elements(State{Rules: []Rule{r}}, n.delayer != nil) {
			switch {
			case e.in == mapLost || e.in == mapLostAny:
				c.Dropped += counts[e]
			case cut(r.Condition):
				c.Dropped += counts[e]
				c.Packets = counts[e]
			default:
				c.Packets = counts[e]
			}
		}
		if n.delayer != nil && !r.Out {
			dropped, late, err := n.delayer.counts(endsOf(r))
			if err != nil {
				return nil, err
			}
			c.Dropped += dropped
			c.Late = late
		}
		counters = append(counters, c)
	}
	return counters, nil
}

// AddAddress gives the interface one more address. One that it has already is none more.
func (n *Net) AddAddress(p netip.Prefix) error {
	if !p.IsValid() || !p.Addr().Is4() {
		return fmt.Errorf("address: got %s, want an IPv4 address with its prefix's length", p)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return errClosed
	}
	addr, err := netlink.ParseAddr(p.String())
	if err != nil {
		return fmt.Errorf("address %s: %w", p, err)
	}
	addr.Broadcast = nil
	switch err := n.routes.AddrAdd(n.link, addr); {
	case errors.Is(err, unix.EEXIST):
		return nil
	case err != nil:
		return fmt.Errorf("address %s on %s: %w", p, n.Interface(), err)
	}
	n.addrs = append(n.addrs, *addr)
	return nil
}

// Close makes the network whole, lets packets go that wait, and leaves nothing: no
// table, no queue, no address that AddAddress added.
func (n *Net) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return n.closeErr
	}
	n.closed = true
	errs := []error{n.apply(State{}, false)}
	if n.delayer != nil {
		errs = append(errs, n.delayer.replace(nil, false)) // for packets that came meanwhile
	}
	if n.redirects != nil {
		errs = append(errs, n.redirects.close())
	}
	errs = append(errs, n.table.close())
	if n.delayer != nil {
		errs = append(errs, n.delayer.close())
	}
	for _, a := range slices.Backward(n.addrs) {
		if err := n.routes.AddrDel(n.link, &a); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			errs = append(errs, fmt.Errorf("address %s: %w", a.IPNet, err))
		}
	}
	n.routes.Close()
	n.closeErr = errors.Join(errs...)
	return n.closeErr
}
