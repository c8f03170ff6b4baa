package network

// This file tests what reaches whom: for each condition one case in which it must
// bite and one in which it must not.

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"starfall/interp/plan"
)

const port = 9092

var none4 netip.Addr // any local address

func TestSupport(t *testing.T) {
	h := lan(t, 1)[0]
	var s Support
	h.do(func() error {
		s = Supported()
		return nil
	})
	if s.Cut != "" || s.Loss != "" || (s.Delay == "") != (s.DelayBy != "") {
		t.Errorf("got %+v, want cut and loss, and delay by something or a reason", s)
	}
	t.Logf("%+v", s)
}

func TestCut(t *testing.T) {
	hosts := lan(t, 3)
	a, b, c := hosts[0], hosts[1], hosts[2]
	for _, h := range hosts {
		h.listen(port, echo)
	}
	n := a.open()
	cut := plan.Condition{Cut: true}
	for _, test := range []struct {
		name     string
		state    State
		from, to *host
		want     Answer
	}{
		{"whole", State{}, a, b, Connected},
		{"out", rules(out(b, cut)), a, b, Silent},
		{"out, answers do not come", rules(out(b, cut)), b, a, Silent},
		{"in, answers do not come", rules(in(b, cut)), a, b, Silent},
		{"in", rules(in(b, cut)), b, a, Silent},
		{"other peer", rules(in(b, cut), out(b, cut)), a, c, Connected},
		{"other peers", rules(in(b, cut), out(b, cut)), b, c, Connected},
		{"loses everything", rules(in(b, plan.Condition{Loss: 1})), b, a, Silent},
		{"exception", rules(in(b, cut), Rule{Local: a.addr, Peer: b.addr}), b, a, Connected},
		{"loopback", rules(in(a, cut), out(a, cut)), a, a, Connected},
		{"dark", State{Dark: true}, a, c, Silent},
		{"dark, from outside", State{Dark: true}, c, a, Silent},
		{"dark, loopback", State{Dark: true}, a, a, Connected},
		{"dark, others", State{Dark: true}, b, c, Connected},
		{"light", State{}, c, a, Connected},
	} {
		t.Run(test.name, func(t *testing.T) {
			apply(t, n, test.state)
			if got := test.from.probe(none4, test.to, port, test.want); got != test.want {
				t.Errorf("from %s to %s: got %s, want %s", test.from.addr, test.to.addr, got, test.want)
			}
		})
	}
}

// A one-way cut lets the other way through.
func TestCutOneWay(t *testing.T) {
	hosts := lan(t, 2)
	a, b := hosts[0], hosts[1]
	n := a.open()
	at, bt := a.udp(port), b.udp(port)
	got := func(from, to *host, want bool) bool {
		t.Helper()
		src, dst := at, bt
		if from == b {
			src, dst = bt, at
		}
		_, err := src.WriteToUDPAddrPort([]byte("x"), netip.AddrPortFrom(to.addr, port))
		if err != nil && !errors.Is(err, os.ErrPermission) { // the kernel's word for a packet dropped on its way out
			t.Fatal(err)
		}
		dst.SetReadDeadline(time.Now().Add(patience(want)))
		_, _, err = dst.ReadFromUDPAddrPort(make([]byte, 10))
		return err == nil
	}
	for _, test := range []struct {
		state    State
		ab, ba   bool
		name     string
		counters []uint64
	}{
		{State{}, true, true, "whole", nil},
		{rules(in(b, plan.Condition{Cut: true})), true, false, "in", []uint64{1}},
		{rules(out(b, plan.Condition{Cut: true})), false, true, "out", []uint64{1}},
		{rules(out(b, plan.Condition{Cut: true}), in(b, plan.Condition{Cut: true})), false, false, "both", []uint64{2, 1}},
	} {
		apply(t, n, test.state)
		if ab, ba := got(a, b, test.ab), got(b, a, test.ba); ab != test.ab || ba != test.ba {
			t.Errorf("%s: got %v and %v, want %v and %v", test.name, ab, ba, test.ab, test.ba)
		}
		counters, err := n.Counters(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range counters {
			// A rule that was there before goes on counting.
			if c.Dropped != test.counters[i] || c.Packets != c.Dropped {
				t.Errorf("%s: %s: got %d of %d dropped, want %d", test.name, c.Rule, c.Dropped, c.Packets, test.counters[i])
			}
		}
	}
}

// Members of one host stand on addresses of their own, and cuts tell them apart.
func TestCutOneAddress(t *testing.T) {
	hosts := lan(t, 2)
	a, b := hosts[0], hosts[1]
	b.listen(port, echo)
	n := a.open()
	first, second := netip.MustParseAddr("10.99.0.201"), netip.MustParseAddr("10.99.0.202")
	for _, addr := range []netip.Addr{first, second, first} { // the third is none more
		if err := n.AddAddress(netip.PrefixFrom(addr, 24)); err != nil {
			t.Fatal(err)
		}
	}
	cut := plan.Condition{Cut: true}
	apply(t, n, rules(Rule{Local: first, Peer: b.addr, Out: true, Condition: cut}, Rule{Local: first, Peer: b.addr, Condition: cut}))
	for _, test := range []struct {
		local netip.Addr
		want  Answer
	}{{first, Silent}, {second, Connected}, {a.addr, Connected}} {
		if got := a.probe(test.local, b, port, test.want); got != test.want {
			t.Errorf("from %s: got %s, want %s", test.local, got, test.want)
		}
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if got := a.probe(second, b, port, Failed); got != Failed {
		t.Errorf("from %s after close: got %s, want %s: the address is gone", second, got, Failed)
	}
}

// An open connection hangs while its path is cut, and goes on when it is healed.
func TestHeal(t *testing.T) {
	for _, test := range []struct {
		name   string
		broken func(peer *host) State
	}{
		{"in", func(b *host) State { return rules(in(b, plan.Condition{Cut: true})) }},
		{"out", func(b *host) State { return rules(out(b, plan.Condition{Cut: true})) }},
		{"both", func(b *host) State {
			return rules(in(b, plan.Condition{Cut: true}), out(b, plan.Condition{Cut: true}))
		}},
		{"dark", func(*host) State { return State{Dark: true} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			hosts := lan(t, 2)
			a, b := hosts[0], hosts[1]
			b.listen(port, echo)
			n := a.open()
			c := a.dial(none4, b, port)
			if _, err := pingpong(t, c, time.Second); err != nil {
				t.Fatal(err)
			}
			apply(t, n, test.broken(b))
			if _, err := pingpong(t, c, 500*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("while cut: got %v, want %v", err, os.ErrDeadlineExceeded)
			}
			if got := unacked(t, c); got == 0 && test.name != "dark" && n.Support().Delay == "" {
				t.Errorf("while cut: got no segment that waits for an answer, want one: TCP must not learn of the drop")
			}
			apply(t, n, State{})
			// TCP's timer has doubled to some 0.8 s.
			c.SetDeadline(time.Now().Add(10 * time.Second))
			begin := time.Now()
			var buf [1]byte
			if _, err := c.Read(buf[:]); err != nil || buf[0] != '!' {
				t.Fatalf("after healing: got %q, %v", buf, err)
			}
			t.Logf("came back after %v", time.Since(begin))
		})
	}
}

func TestLoss(t *testing.T) {
	hosts := lan(t, 3)
	a, b, c := hosts[0], hosts[1], hosts[2]
	n := a.open()
	const packets, p = 20000, 0.3
	apply(t, n, rules(in(b, plan.Condition{Loss: p}), in(c, plan.Condition{})))
	at := a.udp(port)
	for _, test := range []struct {
		from *host
		want float64
	}{{b, packets * p}, {c, 0}} {
		src := test.from.udp(port)
		lost := packets
		for k := range packets / 100 { // in portions, lest the socket's buffer be the one that loses
			for range 100 {
				if _, err := src.WriteToUDPAddrPort([]byte("x"), netip.AddrPortFrom(a.addr, port)); err != nil {
					t.Fatal(err)
				}
			}
			buf, quiet := make([]byte, 10), 5*time.Millisecond
			if k == packets/100-1 {
				quiet = patience(false)
			}
			for {
				at.SetReadDeadline(time.Now().Add(quiet))
				if _, _, err := at.ReadFromUDPAddrPort(buf); err != nil {
					break
				}
				lost--
			}
		}
		// Six standard deviations are 390 packets.
		if diff := float64(lost) - test.want; diff < -500 || diff > 500 || test.want == 0 && lost != 0 {
			t.Errorf("from %s: got %d of %d lost, want about %.0f", test.from.addr, lost, packets, test.want)
		}
		counters, err := n.Counters(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range counters {
			if c.Rule.Peer == test.from.addr && (c.Dropped != uint64(lost) || c.Packets != packets) {
				t.Errorf("%s: got %d of %d counted, want %d of %d", c.Rule, c.Dropped, c.Packets, lost, packets)
			}
		}
	}
}

func TestReplaceAndClose(t *testing.T) {
	hosts := lan(t, 3)
	a, b, c := hosts[0], hosts[1], hosts[2]
	for _, h := range hosts {
		h.listen(port, echo)
	}
	n := a.open()
	cut := plan.Condition{Cut: true}
	if r := apply(t, n, rules(in(b, cut), out(b, cut), out(c, plan.Condition{Loss: 0.1}))); r.Cut != 2 || r.Lossy != 0 || r.Slow != 0 || r.Dark {
		t.Errorf("got %+v, want 2 cut and nothing else at this end", r)
	}
	if segs := a.gsoMaxSegs(); segs != 1 {
		t.Errorf("loss on the way out: got gso_max_segs %d, want 1", segs)
	}
	if r := apply(t, n, rules(in(c, cut))); r.Cut != 1 {
		t.Errorf("got %+v, want 1 cut", r)
	}
	if segs := a.gsoMaxSegs(); segs != n.segs {
		t.Errorf("no loss: got gso_max_segs %d, want %d", segs, n.segs)
	}
	if got, want := a.probe(none4, b, port, Connected), Connected; got != want {
		t.Errorf("to the peer that was cut before: got %s, want %s", got, want)
	}
	if got, want := a.probe(none4, c, port, Silent), Silent; got != want {
		t.Errorf("to the peer that is cut now: got %s, want %s", got, want)
	}
	var before, after int
	a.do(func() (err error) { before, err = tables(); return err })
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	a.do(func() (err error) { after, err = tables(); return err })
	if before != 1 || after != 0 {
		t.Errorf("got %d tables before close and %d after, want 1 and 0", before, after)
	}
	if got, want := a.probe(none4, c, port, Connected), Connected; got != want {
		t.Errorf("after close: got %s, want %s", got, want)
	}
	if _, err := n.Apply(context.Background(), State{}); !errors.Is(err, errClosed) {
		t.Errorf("apply after close: got %v, want %v", err, errClosed)
	}
	// An agent's table that was left is replaced.
	a.do(func() error {
		_, err := newTable(nil)
		return err
	})
	a.open()
	a.do(func() (err error) { after, err = tables(); return err })
	if after != 1 {
		t.Errorf("got %d tables, want 1", after)
	}
}

func tables() (int, error) {
	conn, _, err := dialTable()
	if err != nil {
		return 0, err
	}
	defer conn.CloseLasting()
	all, err := conn.ListTables()
	return len(all), err
}

func TestReach(t *testing.T) {
	hosts := lan(t, 2)
	a, b := hosts[0], hosts[1]
	b.listen(port, echo)
	n := b.open()
	hidden := netip.MustParseAddr("10.99.0.77")
	if err := n.AddAddress(netip.PrefixFrom(hidden, 24)); err != nil {
		t.Fatal(err)
	}
	apply(t, n, rules(Rule{Local: hidden, Peer: a.addr, Condition: plan.Condition{Cut: true}}))
	wait, patient := patience(false), patience(true)
	kinds := []struct {
		probe Probe
		want  Answer
	}{
		{Probe{Peer: netip.AddrPortFrom(b.addr, port), Wait: patient}, Connected},
		{Probe{Local: a.addr, Peer: netip.AddrPortFrom(b.addr, port), Wait: patient}, Connected},
		{Probe{Peer: netip.AddrPortFrom(b.addr, port+1), Wait: patient}, Refused},
		{Probe{Peer: netip.AddrPortFrom(hidden, port), Wait: wait}, Silent},
		{Probe{Peer: netip.AddrPortFrom(netip.MustParseAddr("10.99.0.99"), port), Wait: wait}, Silent},
		{Probe{Local: netip.MustParseAddr("10.99.0.98"), Peer: netip.AddrPortFrom(b.addr, port), Wait: wait}, Failed},
		{Probe{Peer: netip.MustParseAddrPort("[::1]:9092"), Wait: wait}, Failed},
	}
	var probes []Probe
	for i := range 350 {
		probes = append(probes, kinds[i%len(kinds)].probe)
	}
	begin := time.Now()
	outcomes := a.reach(probes...)
	t.Logf("%d probes took %v", len(probes), time.Since(begin))
	for i, o := range outcomes {
		if want := kinds[i%len(kinds)].want; o.Answer != want {
			t.Errorf("probe %d, %+v: got %s (%s), want %s", i, probes[i], o.Answer, o.Error, want)
		}
	}

	ctx, cancel := context.WithCancel(context.Background())
	go cancel()
	a.do(func() error {
		o := Reach(ctx, []Probe{{Peer: netip.AddrPortFrom(hidden, port), Wait: time.Minute}})
		if o[0].Answer != Failed || o[0].Took > 30*time.Second {
			t.Errorf("cancelled: got %+v, want %s at once", o[0], Failed)
		}
		return nil
	})
}

// From one state to another there is no moment in which what is cut in both passes.
func TestAtomic(t *testing.T) {
	hosts := lan(t, 2)
	a, b := hosts[0], hosts[1]
	n := a.open()
	at, src := a.udp(port), b.udp(port)
	var states [2]State
	for k := range states {
		states[k] = rules(in(b, plan.Condition{Cut: true}))
		for i := range 200 {
			other := netip.AddrFrom4([4]byte{10, 99, byte(k + 1), byte(i)})
			states[k].Rules = append(states[k].Rules, Rule{Peer: other, Condition: plan.Condition{Cut: i%2 == 0, Loss: 0.5}})
		}
	}
	// The rule for the peer itself is another in each: cut, or losing everything but by address.
	states[1].Rules[0] = Rule{Local: a.addr, Peer: b.addr, Condition: plan.Condition{Loss: 1}}
	states[1].Rules = append(states[1].Rules, in(b, plan.Condition{Cut: true}))
	apply(t, n, states[0])
	stop, sent := make(chan struct{}), make(chan int)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				sent <- i
				return
			default:
				src.WriteToUDPAddrPort([]byte("x"), netip.AddrPortFrom(a.addr, port))
			}
		}
	}()
	for i := range 100 {
		apply(t, n, states[(i+1)%2])
	}
	close(stop)
	total := <-sent
	at.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	k, from, err := at.ReadFromUDPAddrPort(make([]byte, 10))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %d bytes from %s, %v; want nothing", k, from, err)
	}
	if total < 1000 {
		t.Errorf("got %d packets sent meanwhile, want more, else this proves nothing", total)
	}
	t.Logf("%d packets sent", total)
}

// What cannot be is refused, and the former state stays in force.
func TestApplyRefuses(t *testing.T) {
	hosts := lan(t, 2)
	a, b := hosts[0], hosts[1]
	b.listen(port, echo)
	n := a.open()
	apply(t, n, rules(in(b, plan.Condition{Cut: true})))
	if _, err := n.Apply(context.Background(), rules(Rule{Peer: b.addr, Condition: plan.Condition{Loss: 2}})); err == nil {
		t.Errorf("loss 2: got no error")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := n.Apply(ctx, State{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v, want %v", err, context.Canceled)
	}
	// The kernel refuses: what is to be deleted is not there.
	n.table.now = map[element]string{{mapOutAny, "none"}: toDrop}
	if _, err := n.Apply(context.Background(), State{}); err == nil {
		t.Errorf("deleting what is not there: got no error")
	}
	n.table.now = elements(n.state, n.delayer != nil)
	if got := a.probe(none4, b, port, Silent); got != Silent {
		t.Errorf("after refusals: got %s, want %s", got, Silent)
	}
	apply(t, n, State{})
	if got := a.probe(none4, b, port, Connected); got != Connected {
		t.Errorf("whole again: got %s, want %s", got, Connected)
	}
}
