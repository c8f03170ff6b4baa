package network

// This file tests redirects: who is led elsewhere, who is not, and what becomes of
// what stood before.

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"starfall/interp/plan"
)

// says serves connections with one byte for each that it reads.
func says(b byte) func(net.Conn) {
	return func(c net.Conn) {
		var in [1]byte
		for {
			if _, err := c.Read(in[:]); err != nil {
				return
			}
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
		}
	}
}

// ask gives the byte that a connection answers with.
func ask(c net.Conn) (byte, error) {
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Write([]byte{'?'}); err != nil {
		return 0, err
	}
	var b [1]byte
	_, err := io.ReadFull(c, b[:])
	return b[0], err
}

func TestRedirect(t *testing.T) {
	hosts := lan(t, 3)
	a, b, c := hosts[0], hosts[1], hosts[2]
	b.listen(port, says('b'))
	c.listen(port+1, says('c'))
	n := a.open()
	second := netip.MustParseAddr("10.99.0.77")
	a.do(func() error { return n.AddAddress(netip.PrefixFrom(second, 24)) })
	want := func(what string, conn net.Conn, want byte) {
		t.Helper()
		if got, err := ask(conn); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", what, got, err, want)
		}
	}
	ended := func(what string, conn net.Conn) {
		t.Helper()
		if got, err := ask(conn); !errors.Is(err, syscall.ECONNABORTED) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: got %q, %v, want a reset", what, got, err)
		}
	}
	redirect := func(list ...Redirect) Redirected {
		t.Helper()
		var r Redirected
		a.do(func() (err error) {
			r, err = n.Redirect(context.Background(), list)
			return err
		})
		return r
	}
	stood, other := a.dial(second, b, port), a.dial(a.addr, b, port)
	want("before", stood, 'b')
	way := Redirect{Local: second, Peer: netip.AddrPortFrom(b.addr, port), To: netip.AddrPortFrom(c.addr, port+1)}
	if got := redirect(way); got != (Redirected{Redirects: 1, Reset: 1}) {
		t.Errorf("got %+v, want one connection reset", got)
	}
	ended("what stood", stood)
	want("from another address", other, 'b')
	led := a.dial(second, b, port)
	want("led elsewhere", led, 'c')
	if got := redirect(way); got.Reset != 0 {
		t.Errorf("the same again: got %+v, want nothing reset", got)
	}

	// The path counts that packets take.
	cut := plan.Condition{Cut: true}
	apply(t, n, rules(Rule{Local: second, Peer: b.addr, Out: true, Condition: cut}, Rule{Local: second, Peer: b.addr, Condition: cut}))
	want("where they would have gone is cut off", a.dial(second, b, port), 'c')
	apply(t, n, rules(Rule{Local: second, Peer: c.addr, Out: true, Condition: cut}, Rule{Local: second, Peer: c.addr, Condition: cut}))
	if got := a.probe(second, b, port, Silent); got != Silent {
		t.Errorf("where they go is cut off: got %s, want silence", got)
	}
	apply(t, n, State{})

	if got := redirect(); got.Redirects != 0 || got.Reset != 1 && got.Reset != 2 {
		t.Errorf("got %+v, want what was led elsewhere reset", got)
	}
	ended("what was led elsewhere", led)
	want("straight again", a.dial(second, b, port), 'b')
	want("from another address, at the end", other, 'b')
}

// A connection whose way was cut does not see the cut's end to learn that it is over.
func TestRedirectFromCut(t *testing.T) {
	hosts := lan(t, 3)
	a, b, c := hosts[0], hosts[1], hosts[2]
	b.listen(port, says('b'))
	c.listen(port, says('c'))
	n := a.open()
	stood := a.dial(a.addr, b, port)
	if _, err := ask(stood); err != nil {
		t.Fatal(err)
	}
	cut := plan.Condition{Cut: true}
	apply(t, n, rules(out(b, cut), in(b, cut)))
	stuck := make(chan error, 1)
	go func() {
		_, err := ask(stood)
		stuck <- err
	}()
	a.do(func() error {
		_, err := n.Redirect(context.Background(), []Redirect{{Local: a.addr, Peer: netip.AddrPortFrom(b.addr, port), To: netip.AddrPortFrom(c.addr, port)}})
		return err
	})
	begin := time.Now()
	// What it sends after the redirect meets a reset from there.
	if err := <-stuck; !errors.Is(err, syscall.ECONNABORTED) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want the connection ended", err)
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestRedirectInvalid(t *testing.T) {
	addr := netip.MustParseAddrPort
	good := Redirect{Local: netip.MustParseAddr("10.0.0.1"), Peer: addr("10.0.0.2:9092"), To: addr("10.0.0.3:1")}
	for _, tt := range []struct {
		name string
		list []Redirect
		want string
	}{
		{"good", []Redirect{good}, ""},
		{"no port", []Redirect{{good.Local, netip.AddrPortFrom(good.Peer.Addr(), 0), good.To}}, "redirect 10.0.0.1, 10.0.0.2:0, 10.0.0.3:1: want IPv4 addresses, and ports of the peers"},
		{"twice", []Redirect{good, good}, "redirect 10.0.0.1, 10.0.0.2:9092: given twice"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := validateRedirects(tt.list); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
