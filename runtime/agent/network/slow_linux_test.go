package network

// This file tests what makes packets slow, and that the rest stays fast.

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"starfall/interp/plan"
)

func TestLatency(t *testing.T) {
	hosts := lan(t, 3)
	a, b, c := hosts[0], hosts[1], hosts[2]
	b.listen(port, echo)
	c.listen(port, echo)
	n := a.open()
	slowly(t, n)
	toB, toC := a.dial(none4, b, port), a.dial(none4, c, port)
	r := apply(t, n, rules(in(b, plan.Condition{Latency: ms(50)}), out(c, plan.Condition{Latency: ms(50)})))
	if r.Slow != 1 || r.Delay == "" {
		t.Errorf("got %+v, want 1 slow at this end and its mechanism", r)
	}
	var slowest, fastest []time.Duration
	for range 10 {
		d, err := pingpong(t, toB, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		slowest = append(slowest, d)
		if d, err = pingpong(t, toC, 5*time.Second); err != nil {
			t.Fatal(err)
		}
		fastest = append(fastest, d)
	}
	least, median := slices.Min(slowest), slowest[len(slowest)/2]
	t.Logf("round trips with 50 ms: %v; without: %v", slowest, fastest)
	if least < 50*time.Millisecond || median > 150*time.Millisecond {
		t.Errorf("got at least %v, median %v; want 50 ms and little more", least, median)
	}
	if least := slices.Min(fastest); least >= 50*time.Millisecond {
		t.Errorf("got %v with the sender's end of the rule alone, want no latency", least)
	}
	counters, err := n.Counters(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", counters)
	if counters[0].Packets < 10 || counters[0].Dropped != 0 {
		t.Errorf("got %d packets and %d dropped, want 10 at least, none dropped", counters[0].Packets, counters[0].Dropped)
	}
}

// Latency from one peer does not hold up packets from another, and each address has its own.
func TestLatencyByAddress(t *testing.T) {
	hosts := lan(t, 2)
	a, b := hosts[0], hosts[1]
	b.listen(port, echo)
	n := a.open()
	slowly(t, n)
	member := netip.MustParseAddr("10.99.0.210")
	if err := n.AddAddress(netip.PrefixFrom(member, 24)); err != nil {
		t.Fatal(err)
	}
	apply(t, n, rules(Rule{Local: member, Peer: b.addr, Condition: plan.Condition{Latency: ms(60)}}, in(b, plan.Condition{Latency: ms(20)})))
	for _, test := range []struct {
		local netip.Addr
		want  time.Duration
	}{{member, 60 * time.Millisecond}, {a.addr, 20 * time.Millisecond}} {
		c := a.dial(test.local, b, port)
		var least time.Duration
		for range 5 {
			d, err := pingpong(t, c, 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if least == 0 || d < least {
				least = d
			}
		}
		if least < test.want || test.want == 20*time.Millisecond && least >= 60*time.Millisecond {
			t.Errorf("from %s: got %v, want %v and little more", test.local, least, test.want)
		}
	}
}

// collect reads the numbers of UDP packets until there are enough, or none comes for a
// while.
func collect(t *testing.T, c *net.UDPConn, enough int, quiet time.Duration) (numbers []uint32, at []time.Time) {
	t.Helper()
	buf := make([]byte, 2048)
	for len(numbers) < enough {
		c.SetReadDeadline(time.Now().Add(quiet))
		k, _, err := c.ReadFromUDPAddrPort(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return numbers, at
		}
		if err != nil || k < 4 {
			t.Fatalf("got %d bytes, %v", k, err)
		}
		numbers, at = append(numbers, binary.BigEndian.Uint32(buf)), append(at, time.Now())
	}
	return numbers, at
}

func TestJitter(t *testing.T) {
	hosts := lan(t, 2)
	a, b := hosts[0], hosts[1]
	n := a.open()
	slowly(t, n)
	at, src := a.udp(port), b.udp(port)
	apply(t, n, rules(in(b, plan.Condition{Latency: ms(20), Jitter: ms(15)})))
	const packets = 1000
	var sent [packets]time.Time
	all := make(chan struct{})
	go func() {
		defer close(all)
		for i := range packets {
			sent[i] = time.Now()
			src.WriteToUDPAddrPort(binary.BigEndian.AppendUint32(nil, uint32(i)), netip.AddrPortFrom(a.addr, port))
			if i%10 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	}()
	numbers, times := collect(t, at, packets, time.Second)
	<-all
	if len(numbers) != packets || !slices.IsSorted(numbers) {
		t.Fatalf("got %d packets, sorted %v; want %d in order", len(numbers), slices.IsSorted(numbers), packets)
	}
	least, most := time.Hour, time.Duration(0)
	for i, at := range times {
		least, most = min(least, at.Sub(sent[i])), max(most, at.Sub(sent[i]))
	}
	if least < 5*time.Millisecond || most < 25*time.Millisecond {
		t.Errorf("got delays from %v to %v, want 5 ms to 35 ms", least, most)
	}
	t.Logf("delays from %v to %v", least, most)
}

// A path can lose and delay at once.
func TestLossAndLatency(t *testing.T) {
	hosts := lan(t, 2)
	a, b := hosts[0], hosts[1]
	n := a.open()
	slowly(t, n)
	at, src := a.udp(port), b.udp(port)
	apply(t, n, rules(in(b, plan.Condition{Latency: ms(40), Loss: 0.5})))
	const packets = 1000
	begin := time.Now()
	for i := range uint32(packets) {
		if _, err := src.WriteToUDPAddrPort(binary.BigEndian.AppendUint32(nil, i), netip.AddrPortFrom(a.addr, port)); err != nil {
			t.Fatal(err)
		}
	}
	numbers, times := collect(t, at, packets, 500*time.Millisecond)
	// Seven standard deviations are 110 packets.
	if k := len(numbers); k < 390 || k > 610 || !slices.IsSorted(numbers) {
		t.Fatalf("got %d of %d packets, sorted %v; want half, in order", k, packets, slices.IsSorted(numbers))
	}
	if d := times[0].Sub(begin); d < 40*time.Millisecond {
		t.Errorf("got the first after %v, want 40 ms at least", d)
	}
	counters, err := n.Counters(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if c := counters[0]; c.Packets != packets || c.Dropped != uint64(packets-len(numbers)) {
		t.Errorf("got %d of %d counted as dropped, want %d of %d", c.Dropped, c.Packets, packets-len(numbers), packets)
	}
}

// await waits until the first rule has met a number of packets.
func await(t *testing.T, n *Net, packets uint64) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		counters, err := n.Counters(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if counters[0].Packets >= packets {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %d packets, want %d", counters[0].Packets, packets)
		}
	}
}

// What waits when the state changes goes on in order when its path becomes whole, and
// is dropped when it is cut.
func TestChangeWhileWaiting(t *testing.T) {
	hosts := lan(t, 2)
	a, b := hosts[0], hosts[1]
	n := a.open()
	slowly(t, n)
	at, src := a.udp(port), b.udp(port)
	for _, test := range []struct {
		name  string
		state State
		want  int
		quiet time.Duration
	}{
		{"whole", State{}, 100, 4 * time.Second},
		{"less slow", rules(in(b, plan.Condition{Latency: ms(10)})), 100, 4 * time.Second},
		{"a rule elsewhere", rules(in(b, plan.Condition{Latency: ms(5000)}), out(b, plan.Condition{Cut: true})), 100, 10 * time.Second},
		{"cut", rules(in(b, plan.Condition{Cut: true})), 0, 500 * time.Millisecond},
		{"dark", State{Dark: true}, 0, 500 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			apply(t, n, State{}) // so that the rule counts from 0
			apply(t, n, rules(in(b, plan.Condition{Latency: ms(5000)})))
			for i := range 100 {
				if _, err := src.WriteToUDPAddrPort(binary.BigEndian.AppendUint32(nil, uint32(i)), netip.AddrPortFrom(a.addr, port)); err != nil {
					t.Fatal(err)
				}
			}
			await(t, n, 100)
			apply(t, n, test.state)
			numbers, _ := collect(t, at, max(test.want, 1), test.quiet)
			if len(numbers) != test.want || !slices.IsSorted(numbers) {
				t.Errorf("got %d packets, sorted %v; want %d in order", len(numbers), slices.IsSorted(numbers), test.want)
			}
		})
	}
	// Close lets them go as well.
	apply(t, n, rules(in(b, plan.Condition{Latency: ms(5000)})))
	if _, err := src.WriteToUDPAddrPort(make([]byte, 4), netip.AddrPortFrom(a.addr, port)); err != nil {
		t.Fatal(err)
	}
	await(t, n, 1)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if numbers, _ := collect(t, at, 1, 4*time.Second); len(numbers) != 1 {
		t.Errorf("close: got %d packets, want the one that waited", len(numbers))
	}
}

// pour sends bytes from one host to another over TCP for a time and gives the rate at
// which they arrive, in bytes a second.
func pour(t testing.TB, from, to *host, port int, warm, measure time.Duration) float64 {
	t.Helper()
	rate, end := make(chan float64, 1), make(chan struct{})
	to.listen(port, func(c net.Conn) {
		defer close(end)
		buf := make([]byte, 256<<10)
		begin := time.Now()
		c.SetReadDeadline(begin.Add(30 * time.Second))
		total, start := 0, time.Time{}
		for {
			k, err := c.Read(buf)
			if err != nil {
				rate <- 0
				return
			}
			now := time.Now()
			switch {
			case !start.IsZero():
				total += k
				if d := now.Sub(start); d >= measure {
					rate <- float64(total) / d.Seconds()
					return
				}
			case now.Sub(begin) >= warm:
				start = now
			}
		}
	})
	c := from.dial(none4, to, port)
	go func() {
		buf := make([]byte, 256<<10)
		for {
			if _, err := c.Write(buf); err != nil {
				return
			}
		}
	}()
	r := <-rate
	<-end
	c.Close()
	if r == 0 {
		t.Fatal("the connection broke")
	}
	return r
}

func TestBandwidth(t *testing.T) {
	hosts := lan(t, 3)
	a, b, c := hosts[0], hosts[1], hosts[2]
	n := a.open()
	slowly(t, n)
	const want = 1e6
	apply(t, n, rules(in(b, plan.Condition{Bandwidth: want})))
	const measure = 3 * time.Second
	got := pour(t, b, a, port, time.Second, measure)
	counters, err := n.Counters(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("1 MB/s: got %.3f MB/s, at most %v late", got/1e6, counters[0].Late)
	// A machine that has no time for the scheduler is late at either end of the measure.
	tolerance := 0.1 + 2*counters[0].Late.Seconds()/measure.Seconds()
	if got < want*(1-tolerance) || got > want*(1+tolerance) {
		t.Errorf("got %.0f bytes a second, want %.0f within %.0f %%", got, want, tolerance*100)
	}
	if got := pour(t, c, a, port+1, 0, 200*time.Millisecond); got < 10*want {
		t.Errorf("from another peer: got %.0f bytes a second, want no limit", got)
	}
}

func TestThroughput(t *testing.T) {
	hosts := lan(t, 2)
	a, b := hosts[0], hosts[1]
	bare := pour(t, b, a, port, 100*time.Millisecond, 500*time.Millisecond)
	n := a.open()
	whole := pour(t, b, a, port+1, 100*time.Millisecond, 500*time.Millisecond)
	t.Logf("MB/s: %.0f without a table, %.0f with one", bare/1e6, whole/1e6)
	if whole < bare/10 {
		t.Errorf("got %.0f bytes a second with no rule in force, want about %.0f", whole, bare)
	}
	slowly(t, n)
	apply(t, n, rules(in(b, plan.Condition{Latency: ms(5)})))
	slow := pour(t, b, a, port+2, 500*time.Millisecond, time.Second)
	t.Logf("MB/s: %.0f with 5 ms", slow/1e6)
	// The bound is also a share of what the machine has left for this test.
	if want := min(50e6, whole/30); slow < want {
		t.Errorf("got %.0f bytes a second with 5 ms of latency, want more than %.0f", slow, want)
	}
}

// Loss is of segments as they would be on a wire, though virtual interfaces pass many at a time.
func TestLossOfSegments(t *testing.T) {
	hosts := lan(t, 2)
	a, b := hosts[0], hosts[1]
	n, m := a.open(), b.open()
	c := plan.Condition{Loss: 0.002}
	apply(t, n, rules(in(b, c)))
	apply(t, m, rules(out(a, c)))
	const total = 30 << 20
	got := make(chan int64, 1)
	a.listen(port, func(c net.Conn) {
		k, _ := io.Copy(io.Discard, c)
		got <- k
	})
	conn := b.dial(none4, a, port)
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := conn.Write(make([]byte, total)); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if k := <-got; k != total {
		t.Fatalf("got %d bytes, want %d", k, total)
	}
	counters, err := n.Counters(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", counters)
	if segments := uint64(total / 1500); counters[0].Packets < segments || counters[0].Dropped == 0 {
		t.Errorf("got %d packets, %d dropped; want %d at least, some dropped", counters[0].Packets, counters[0].Dropped, segments)
	}
}
