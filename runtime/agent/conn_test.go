//go:build linux

package agent

// This file tests connections that are made inside.

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// peer listens and gives what connects to it.
func peer(t testing.TB) (string, chan *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan *net.TCPConn, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns <- c.(*net.TCPConn)
		}
	}()
	t.Cleanup(func() { l.Close() })
	return l.Addr().String(), conns
}

// dialled gives both ends of a connection made inside.
func dialled(t testing.TB, a *Agent) (*Conn, *net.TCPConn) {
	t.Helper()
	address, conns := peer(t)
	c, err := a.Dial(t.Context(), netip.Addr{}, address)
	if err != nil {
		t.Fatal(err)
	}
	p := <-conns
	t.Cleanup(func() { p.Close(); c.Close() })
	return c, p
}

func TestDial(t *testing.T) {
	a, _ := connected(t)
	address, conns := peer(t)
	local := netip.MustParseAddr("127.0.0.7")
	c, err := a.Dial(t.Context(), local, address)
	if err != nil {
		t.Fatal(err)
	}
	p := <-conns
	if got := p.RemoteAddr().String(); got != c.LocalAddr().String() || !netip.MustParseAddrPort(got).Addr().IsLoopback() || netip.MustParseAddrPort(got).Addr() != local {
		t.Errorf("the peer sees %s, the connection has %s, want both from %s", got, c.LocalAddr(), local)
	}
	if got := c.RemoteAddr().String(); got != address {
		t.Errorf("got remote address %s, want %s", got, address)
	}
	// Both directions at once, more than every buffer on the way holds.
	const n = 8 << 20
	sum := func(seed uint64) io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{byte(seed)}), n) }
	var wg sync.WaitGroup
	for i, end := range []interface {
		net.Conn
		CloseWrite() error
	}{c, p} {
		wg.Go(func() {
			if _, err := io.Copy(end, sum(uint64(i))); err != nil {
				t.Error(err)
			}
			if err := end.CloseWrite(); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			want, got := sha256.New(), sha256.New()
			io.Copy(want, sum(uint64(1-i)))
			if m, err := io.Copy(got, end); m != n || err != nil || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
				t.Errorf("end %d: got %d bytes and %v, want %d of the other's", i, m, err, n)
			}
		})
	}
	wg.Wait()
	c.Close()
	p.Close()
	soon(t, "no stream is left", func() bool { return a.session.NumStreams() == 0 })
}

func TestDialRefused(t *testing.T) {
	a, _ := connected(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	_, err = a.Dial(t.Context(), netip.Addr{}, address)
	if e := (*Error)(nil); !errors.Is(err, syscall.ECONNREFUSED) || !errors.As(err, &e) || e.Kind != KindRefused {
		t.Errorf("got %v, want ECONNREFUSED", err)
	}
	if _, err = a.Dial(t.Context(), netip.MustParseAddr("192.0.2.1"), address); err == nil {
		t.Error("a local address that is not here: got no error")
	}
	if _, err = a.Dial(t.Context(), netip.Addr{}, "no-such-host.invalid:1"); err == nil {
		t.Error("a name that is not known: got no error")
	}
}

func TestHalfClose(t *testing.T) {
	a, _ := connected(t)
	c, p := dialled(t, a)
	if err := p.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 10)
	if n, err := c.Read(b); n != 0 || err != io.EOF {
		t.Fatalf("got %d and %v, want io.EOF", n, err)
	}
	// The other direction is open still.
	io.WriteString(c, "hello")
	if _, err := io.ReadFull(p, b[:5]); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if n, err := p.Read(b); n != 0 || err != io.EOF {
		t.Fatalf("the peer got %d and %v, want io.EOF", n, err)
	}
	if _, err := c.Write(b); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("write after CloseWrite: got %v", err)
	}
}

func TestCloseDelivers(t *testing.T) {
	a, _ := connected(t)
	c, p := dialled(t, a)
	io.WriteString(c, "goodbye")
	c.Close()
	if b, err := io.ReadAll(p); string(b) != "goodbye" || err != nil {
		t.Errorf("the peer got %q and %v", b, err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write: got %v, want net.ErrClosed", err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read: got %v, want net.ErrClosed", err)
	}
	p.Close()
	soon(t, "no stream is left", func() bool { return a.session.NumStreams() == 0 })
}

func TestReset(t *testing.T) {
	t.Run("by the peer", func(t *testing.T) {
		a, _ := connected(t)
		c, p := dialled(t, a)
		p.SetLinger(0)
		p.Close()
		if _, err := c.Read(make([]byte, 10)); !errors.Is(err, ErrReset) {
			t.Errorf("got %v, want ErrReset", err)
		}
		c.Close()
		soon(t, "no stream is left", func() bool { return a.session.NumStreams() == 0 })
	})
	t.Run("by the host", func(t *testing.T) {
		a, _ := connected(t)
		c, p := dialled(t, a)
		c.Abort()
		if _, err := p.Read(make([]byte, 10)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the peer got %v, want ECONNRESET", err)
		}
		if _, err := c.Read(make([]byte, 10)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v, want net.ErrClosed", err)
		}
		soon(t, "no stream is left", func() bool { return a.session.NumStreams() == 0 })
	})
	t.Run("by the host, of a peer that does not read", func(t *testing.T) {
		a, _ := connected(t)
		c, p := dialled(t, a)
		wrote := make(chan error, 1)
		go func() {
			_, err := io.Copy(c, zeros{})
			wrote <- err
		}()
		// Once a deadline passes on a second writer's turn, every buffer is full.
		soon(t, "the writer waits", func() bool { return !writable(c) })
		c.Close()
		if err := <-wrote; !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the writer got %v, want it woken", err)
		}
		if _, err := io.Copy(io.Discard, p); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the peer got %v, want ECONNRESET", err)
		}
		soon(t, "no stream is left", func() bool { return a.session.NumStreams() == 0 })
	})
	t.Run("by the agent's death", func(t *testing.T) {
		a, inside := connected(t)
		c, _ := dialled(t, a)
		inside.cmd.Process.Kill()
		if _, err := c.Read(make([]byte, 10)); !errors.Is(err, ErrReset) {
			t.Errorf("got %v, want ErrReset", err)
		}
		soon(t, "writes fail", func() bool {
			_, err := c.Write([]byte("x"))
			return errors.Is(err, ErrReset)
		})
	})
	t.Run("by the host's death", func(t *testing.T) {
		a, _ := connected(t)
		_, p := dialled(t, a)
		a.Close()
		if _, err := p.Read(make([]byte, 10)); err == nil {
			t.Error("the peer got data")
		}
	})
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// writable says whether a write of another makes progress within a moment.
func writable(c *Conn) bool {
	for range 20 {
		if c.w.mu.TryLock() {
			c.w.mu.Unlock()
			return true
		}
		time.Sleep(time.Millisecond)
	}
	return false
}

func TestConnDeadlines(t *testing.T) {
	a, _ := connected(t)
	c, p := dialled(t, a)
	b := make([]byte, 10)
	for range 3 {
		c.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
		_, err := c.Read(b)
		var ne net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("got %v, want a timeout", err)
		}
	}
	c.SetReadDeadline(time.Time{})
	io.WriteString(p, "hello")
	if _, err := io.ReadFull(c, b[:5]); err != nil || string(b[:5]) != "hello" {
		t.Errorf("after the deadline: got %q and %v", b[:5], err)
	}
	c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := io.Copy(c, zeros{}); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write: got %v, want a timeout", err)
	}
	// A reader is woken by Close.
	done := make(chan error, 1)
	go func() {
		_, err := c.Read(b)
		done <- err
	}()
	c.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("read: got %v, want net.ErrClosed", err)
	}
}

// joined gives the outermost ends of a connection that is carried by Join.
func joined(t *testing.T, a *Agent) (client, server *net.TCPConn, done chan struct{}) {
	t.Helper()
	inside, server := dialled(t, a)
	address, conns := peer(t)
	d, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	done = make(chan struct{})
	outside := <-conns
	go func() {
		Join(outside, inside)
		close(done)
	}()
	t.Cleanup(func() { d.Close() })
	return d.(*net.TCPConn), server, done
}

func TestJoin(t *testing.T) {
	t.Run("in order", func(t *testing.T) {
		a, _ := connected(t)
		c, s, done := joined(t, a)
		io.WriteString(c, "question")
		c.CloseWrite()
		if b, err := io.ReadAll(s); string(b) != "question" || err != nil {
			t.Errorf("got %q and %v", b, err)
		}
		io.WriteString(s, "answer")
		s.Close()
		if b, err := io.ReadAll(c); string(b) != "answer" || err != nil {
			t.Errorf("got %q and %v", b, err)
		}
		<-done
		soon(t, "no stream is left", func() bool { return a.session.NumStreams() == 0 })
	})
	for _, tt := range []struct {
		name string
		swap bool
	}{{"the server resets", false}, {"the client resets", true}} {
		t.Run(tt.name, func(t *testing.T) {
			a, _ := connected(t)
			from, to, done := joined(t, a)
			if !tt.swap {
				from, to = to, from
			}
			io.WriteString(from, "x")
			if _, err := io.ReadFull(to, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			from.SetLinger(0)
			from.Close()
			if _, err := to.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("got %v, want ECONNRESET", err)
			}
			<-done
			soon(t, "no stream is left", func() bool { return a.session.NumStreams() == 0 })
		})
	}
	t.Run("the agent dies", func(t *testing.T) {
		a, inside := connected(t)
		c, _, done := joined(t, a)
		inside.cmd.Process.Kill()
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("got %v, want ECONNRESET", err)
		}
		<-done
	})
}

func TestDialGivesUp(t *testing.T) {
	a, _ := connected(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	// An address for documentation (RFC 5737): nobody answers, or there is no way to it.
	_, err := a.Dial(ctx, netip.Addr{}, "192.0.2.1:9")
	if err == nil {
		t.Error("got no error")
	}
	soon(t, "no stream is left", func() bool { return a.session.NumStreams() == 0 })
}

func BenchmarkDialRoundTrip(b *testing.B) {
	a, _ := connected(b)
	c, p := dialled(b, a)
	go io.Copy(p, p)
	msg := make([]byte, 200)
	for b.Loop() {
		c.Write(msg)
		if _, err := io.ReadFull(c, msg); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDialThroughput(b *testing.B) {
	a, _ := connected(b)
	c, p := dialled(b, a)
	go io.Copy(io.Discard, p)
	msg := make([]byte, 64<<10)
	b.SetBytes(int64(len(msg)))
	for b.Loop() {
		if _, err := c.Write(msg); err != nil {
			b.Fatal(err)
		}
	}
}
