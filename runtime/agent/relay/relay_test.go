package relay

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"
)

// bed is a relay of one route to a listener of the test.
type bed struct {
	relay *Relay
	port  uint16
	far   *net.TCPListener
	over  chan error // what Serve returned
}

func newBed(t *testing.T) *bed {
	t.Helper()
	far, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	b := &bed{port: freePort(t), far: far, over: make(chan error, 1)}
	body, err := json.Marshal(Request{Routes: []Route{{b.port, far.Addr().(*net.TCPAddr).AddrPort()}}})
	if err != nil {
		t.Fatal(err)
	}
	outside, inner := net.Pipe()
	go func() { b.over <- Serve(context.Background(), inner, body) }()
	if b.relay, err = Start(t.Context(), outside); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.relay.Close() })
	return b
}

func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}

// dial connects through the relay; the far end is nil where nobody accepts.
func (b *bed) dial(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	c, err := net.Dial("tcp4", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), b.port).String())
	if err != nil {
		t.Fatal(err)
	}
	near = c.(*net.TCPConn)
	near.SetDeadline(time.Now().Add(10 * time.Second))
	t.Cleanup(func() { near.Close() })
	b.far.SetDeadline(time.Now().Add(10 * time.Second))
	if far, err = b.far.AcceptTCP(); err != nil {
		return near, nil
	}
	far.SetDeadline(time.Now().Add(10 * time.Second))
	t.Cleanup(func() { far.Close() })
	return near, far
}

func read(t *testing.T, c net.Conn, want string) {
	t.Helper()
	buf := make([]byte, len(want))
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != want {
		t.Fatalf("got %q, %v, want %q", buf, err, want)
	}
}

func write1(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

func TestCarry(t *testing.T) {
	b := newBed(t)
	near, far := b.dial(t)
	write1(t, near, "hello")
	read(t, far, "hello")
	write1(t, far, "you")
	read(t, near, "you")
	if c, err := b.relay.Count(t.Context()); err != nil || c != (Count{Accepted: 1, Reached: 1, Open: 1}) {
		t.Errorf("got %+v, %v, want one that is carried", c, err)
	}
	near.CloseWrite()
	if rest, err := io.ReadAll(far); err != nil || len(rest) > 0 {
		t.Errorf("the far end: got %q, %v, want its end", rest, err)
	}
	write1(t, far, "more")
	far.Close()
	if rest, err := io.ReadAll(near); err != nil || string(rest) != "more" {
		t.Errorf("the near end: got %q, %v, want what came after its own end", rest, err)
	}
}

// TestReset wants a reset on either side to be one on the other.
func TestReset(t *testing.T) {
	for _, name := range []string{"near", "far"} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			near, far := b.dial(t)
			write1(t, near, "x")
			read(t, far, "x")
			broken, other := near, far
			if name == "far" {
				broken, other = far, near
			}
			broken.SetLinger(0)
			broken.Close()
			if _, err := other.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("got %v, want a reset", err)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	b := newBed(t)
	b.far.Close()
	// The reset may come before connect has returned.
	near, err := net.Dial("tcp4", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), b.port).String())
	if err == nil {
		defer near.Close()
		near.SetDeadline(time.Now().Add(10 * time.Second))
		_, err = near.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
	if c, err := b.relay.Count(t.Context()); err != nil || c.Accepted != 1 || c.Reached != 0 {
		t.Errorf("got %+v, %v, want one that reached nothing", c, err)
	}
}

func TestClose(t *testing.T) {
	b := newBed(t)
	near, far := b.dial(t)
	write1(t, near, "x")
	read(t, far, "x") // else the relay may not carry it yet
	b.relay.Close()
	for _, c := range []net.Conn{near, far} {
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("got %v, want a reset", err)
		}
	}
	if err := <-b.over; err != nil {
		t.Errorf("got %v, want an end in order", err)
	}
	if _, err := net.Dial("tcp4", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), b.port).String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, want nobody to listen", err)
	}
}

func TestStartFails(t *testing.T) {
	taken, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).AddrPort().Port()
	body, _ := json.Marshal(Request{Routes: []Route{{port, netip.MustParseAddrPort("127.0.0.1:1")}}})
	for _, tt := range []struct{ name, body, want string }{
		{"no routes", `{}`, "relay: request: it has no routes"},
		{"no request", `x`, "relay: request: invalid character"},
		{"port taken", string(body), "address already in use"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			outside, inner := net.Pipe()
			go Serve(context.Background(), inner, json.RawMessage(tt.body))
			if _, err := Start(t.Context(), outside); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
