package network

// This file defines the machines of the tests: namespaces of their own, joined by a
// bridge in one more namespace, so that nothing outside them is touched.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"starfall/interp/plan"
)

// host is a namespace with an interface. Sockets made under do stay in it.
type host struct {
	t    testing.TB
	addr netip.Addr
	work chan func()
}

// spawn makes a namespace and a thread that lives in it.
func spawn(t testing.TB) *host {
	t.Helper()
	h := &host{t: t, work: make(chan func())}
	ready, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // never unlocked: the thread is of no use to others
		ns, err := netns.New()
		ready <- err
		if err != nil {
			return
		}
		defer ns.Close()
		for f := range h.work {
			f()
		}
	}()
	switch err := <-ready; {
	case errors.Is(err, os.ErrPermission):
		t.Skipf("needs CAP_SYS_ADMIN, to make network namespaces: %v", err)
	case err != nil:
		t.Fatalf("namespace: %v", err)
	}
	t.Cleanup(func() {
		close(h.work)
		<-ended
	})
	return h
}

// do runs f in the namespace.
func (h *host) do(f func() error) {
	h.t.Helper()
	done := make(chan error, 1)
	h.work <- func() { done <- f() }
	if err := <-done; err != nil {
		h.t.Fatalf("in the namespace of %v: %v", h.addr, err)
	}
}

// lan makes hosts 10.99.0.1, 10.99.0.2 … on one bridge. It skips the test where that may not
// be done.
func lan(t testing.TB, n int) []*host {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make network namespaces: run it with sudo")
	}
	bridge := spawn(t)
	fds := make(chan netns.NsHandle, 1)
	hosts := make([]*host, n)
	up := func(name string) error {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return netlink.LinkSetUp(l)
	}
	bridge.do(func() error {
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br"}}); err != nil {
			return fmt.Errorf("bridge: %w", err)
		}
		return up("br")
	})
	for i := range hosts {
		h := spawn(t)
		h.addr = netip.AddrFrom4([4]byte{10, 99, 0, byte(i + 1)})
		hosts[i] = h
		h.do(func() error {
			ns, err := netns.Get()
			fds <- ns
			return err
		})
		ns := <-fds
		bridge.do(func() error {
			defer ns.Close()
			port := fmt.Sprintf("port%d", i)
			veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: port}, PeerName: "eth0", PeerNamespace: netlink.NsFd(ns)}
			if err := netlink.LinkAdd(veth); err != nil {
				return fmt.Errorf("veth: %w", err)
			}
			br, err := netlink.LinkByName("br")
			if err != nil {
				return err
			}
			if err := netlink.LinkSetMaster(veth, br); err != nil {
				return fmt.Errorf("bridge port: %w", err)
			}
			return up(port)
		})
		h.do(func() error {
			if err := up("lo"); err != nil {
				return err
			}
			l, err := netlink.LinkByName("eth0")
			if err != nil {
				return err
			}
			a, err := netlink.ParseAddr(h.addr.String() + "/24")
			if err != nil {
				return err
			}
			if err := netlink.AddrAdd(l, a); err != nil {
				return err
			}
			return netlink.LinkSetUp(l)
		})
	}
	return hosts
}

// open opens the network of a host, and closes it with the test.
func (h *host) open() *Net {
	h.t.Helper()
	var n *Net
	h.do(func() (err error) {
		n, err = Open(Options{Seed: 1})
		return err
	})
	h.t.Cleanup(func() {
		if err := n.Close(); err != nil {
			h.t.Errorf("close: %v", err)
		}
	})
	return n
}

// slowly skips a test where the kernel cannot delay.
func slowly(t testing.TB, n *Net) {
	t.Helper()
	if s := n.Support(); s.Delay != "" {
		t.Skipf("this kernel cannot delay: %s", s.Delay)
	}
}

func apply(t testing.TB, n *Net, s State) Report {
	t.Helper()
	r, err := n.Apply(context.Background(), s)
	if err != nil {
		t.Fatalf("apply: %v", err)
	}
	return r
}

// in is a rule for what comes from a peer, out for what goes to one.
func in(peer *host, c plan.Condition) Rule { return Rule{Peer: peer.addr, Condition: c} }
func out(peer *host, c plan.Condition) Rule {
	return Rule{Peer: peer.addr, Out: true, Condition: c}
}

func rules(r ...Rule) State { return State{Rules: r} }

func ms(n int) plan.Duration { return plan.Duration(time.Duration(n) * time.Millisecond) }

// listen serves each connection to a port of a host.
func (h *host) listen(port int, serve func(net.Conn)) {
	h.t.Helper()
	var l net.Listener
	h.do(func() (err error) {
		l, err = net.Listen("tcp4", fmt.Sprintf("0.0.0.0:%d", port))
		return err
	})
	h.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
}

// dial connects from a local address (zero: any) to a port of a peer.
func (h *host) dial(local netip.Addr, peer *host, port int) *net.TCPConn {
	h.t.Helper()
	var c *net.TCPConn
	h.do(func() (err error) {
		var from *net.TCPAddr
		if local.IsValid() {
			from = &net.TCPAddr{IP: local.AsSlice()}
		}
		c, err = net.DialTCP("tcp4", from, &net.TCPAddr{IP: peer.addr.AsSlice(), Port: port})
		return err
	})
	h.t.Cleanup(func() { c.Close() })
	return c
}

// reach probes ports of a host from another.
func (h *host) reach(probes ...Probe) []Outcome {
	h.t.Helper()
	var o []Outcome
	h.do(func() error {
		o = Reach(context.Background(), probes)
		return nil
	})
	return o
}

// probe gives the answer of one peer's port. It is patient but where silence is wanted.
func (h *host) probe(local netip.Addr, peer *host, port int, want Answer) Answer {
	h.t.Helper()
	return h.reach(Probe{Local: local, Peer: netip.AddrPortFrom(peer.addr, uint16(port)), Wait: patience(want != Silent)})[0].Answer
}

// patience is how long to wait for what is to come, or is not.
func patience(comes bool) time.Duration {
	if comes {
		return 10 * time.Second
	}
	return 300 * time.Millisecond
}

// udp opens a UDP socket.
func (h *host) udp(port int) *net.UDPConn {
	h.t.Helper()
	var c *net.UDPConn
	h.do(func() (err error) {
		c, err = net.ListenUDP("udp4", &net.UDPAddr{Port: port})
		return err
	})
	if err := c.SetReadBuffer(8 << 20); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	return c
}

// echo answers what it reads with the same.
func echo(c net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}

// pingpong sends a byte and waits for it.
func pingpong(t testing.TB, c net.Conn, wait time.Duration) (time.Duration, error) {
	t.Helper()
	begin := time.Now()
	if err := c.SetDeadline(begin.Add(wait)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte{'!'}); err != nil {
		return 0, err
	}
	var b [1]byte
	_, err := c.Read(b[:])
	return time.Since(begin), err
}

// unacked tells how many segments TCP has sent and not seen acknowledged.
func unacked(t testing.TB, c *net.TCPConn) (n uint32) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if ctl := raw.Control(func(fd uintptr) {
		var info *unix.TCPInfo
		if info, err = unix.GetsockoptTCPInfo(int(fd), unix.SOL_TCP, unix.TCP_INFO); err == nil {
			n = info.Unacked
		}
	}); ctl != nil || err != nil {
		t.Fatal(ctl, err)
	}
	return n
}

// gsoMaxSegs is the setting of a host's interface.
func (h *host) gsoMaxSegs() (segs uint32) {
	h.t.Helper()
	h.do(func() error {
		l, err := netlink.LinkByName("eth0")
		if err == nil {
			segs = l.Attrs().GSOMaxSegs
		}
		return err
	})
	return segs
}
