package docker

// This file defines how programs on this host reach the clusters: listeners on
// loopback, one for each site and broker. What comes in is carried into the
// container that stands in the site, and from there to the broker's listener
// for that site, whose advertised address is that of the listener on loopback.
// So a program that dials a site's addresses stands in that site.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"

	"starfall/runtime"
	"starfall/runtime/agent"
)

// door is one listener.
type door struct {
	listener *net.TCPListener
	address  netip.AddrPort
	site     string
	node     runtime.NodeKey
	inside   uint16 // port of the broker's listener
}

// doors are all listeners of a run.
type doors struct {
	list []door

	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
}

// openDoors opens the listeners. Whoever dials before the brokers are there
// waits for them.
func (w *world) openDoors() error {
	w.doors.conns = map[net.Conn]bool{}
	port := w.o.FixedPorts
	for _, c := range w.p.Clusters {
		for i, site := range w.p.Sites {
			for _, n := range c.Brokers() {
				l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
				if err != nil {
					return fmt.Errorf("cluster %s: %w", c.Name, err)
				}
				if port != 0 {
					port++
				}
				w.doors.list = append(w.doors.list, door{
					listener: l.(*net.TCPListener), address: l.Addr().(*net.TCPAddr).AddrPort(),
					site: site.Name, node: runtime.NodeKey{Cluster: c.Name, ID: n.ID}, inside: portSites + uint16(i),
				})
			}
		}
	}
	return nil
}

// serveDoors lets in who dials, once everything is up.
func (w *world) serveDoors() {
	for _, d := range w.doors.list {
		go func() {
			for {
				conn, err := d.listener.AcceptTCP()
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err != nil { // out of descriptors: it may pass
					time.Sleep(10 * time.Millisecond)
					continue
				}
				go w.carry(d, conn)
			}
		}()
	}
}

// carry carries one connection. A broker that refuses resets it; one that does
// not answer leaves it silent for as long as the kernel inside tries.
func (w *world) carry(d door, conn *net.TCPConn) {
	if !w.doors.add(conn) {
		conn.Close()
		return
	}
	defer w.doors.drop(conn)
	s := w.servers[d.node]
	w.mu.Lock()
	b := w.sites[d.site]
	w.mu.Unlock()
	ctx, cancel := context.WithCancel(w.life)
	defer cancel()
	inside, err := b.agent.Dial(ctx, b.addr, netip.AddrPortFrom(s.box.addr, d.inside).String())
	if err != nil {
		if errors.Is(err, syscall.ECONNREFUSED) || w.life.Err() != nil {
			conn.SetLinger(0)
		}
		conn.Close()
		return
	}
	agent.Join(conn, inside)
}

// of gives the site listeners of a node.
func (d *doors) of(s *server) []siteListener {
	var out []siteListener
	for _, x := range d.list {
		if x.node == (runtime.NodeKey{Cluster: s.cluster.Name, ID: s.ID}) {
			out = append(out, siteListener{x.inside, x.address})
		}
	}
	return out
}

// addresses gives the addresses of a cluster's brokers for a site.
func (d *doors) addresses(cluster, site string) ([]string, error) {
	var out []string
	for _, x := range d.list {
		if x.node.Cluster == cluster && x.site == site {
			out = append(out, x.address.String())
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("cluster %s: no listener on this host stands for site %s", cluster, site)
	}
	return out, nil
}

func (d *doors) add(c net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.conns[c] = true
	return true
}

func (d *doors) drop(c net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, c)
}

// close closes the listeners and resets what is carried.
func (d *doors) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for _, x := range d.list {
		x.listener.Close()
	}
	for c := range d.conns {
		if t, ok := c.(*net.TCPConn); ok {
			t.SetLinger(0)
		}
		c.Close()
	}
}
