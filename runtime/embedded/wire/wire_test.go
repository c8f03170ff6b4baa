package wire

// This file defines the tests of the shell, over real sockets, against a World that
// the tests write themselves.

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/runtime/embedded/core"
)

// fake is a World without events that lets a function answer.
type fake struct {
	mu       sync.Mutex
	serve    func(broker int32, from core.ClientConn, req kmsg.Request, reply func(kmsg.Response))
	requests []kmsg.Request
	left     chan core.ConnID
	forget   bool // keep no requests
}

func (f *fake) Advance(time.Duration)       {}
func (f *fake) Next() (time.Duration, bool) { return 0, false }
func (f *fake) Request(broker int32, from core.ClientConn, req kmsg.Request, reply func(kmsg.Response)) {
	f.mu.Lock()
	if !f.forget {
		f.requests = append(f.requests, req)
	}
	f.mu.Unlock()
	if f.serve != nil {
		f.serve(broker, from, req, reply)
		return
	}
	reply(req.ResponseKind())
}
func (f *fake) Disconnected(_ int32, conn core.ConnID) {
	select {
	case f.left <- conn:
	default:
	}
}

// everything is what brokers serve, in all versions that kmsg has.
func everything() Versions {
	v := Versions{}
	for key := int16(0); key <= kmsg.MaxKey; key++ {
		if _, _, ok := core.Supported(key); ok {
			v[key] = Range{0, kmsg.RequestForKey(key).MaxVersion()}
		}
	}
	v[keyAPIVersions] = Range{0, 3}
	return v
}

// start serves brokers 1 and 2 and checks at the end that nothing is left running.
func start(t *testing.T, f *fake, speed float64) *Server {
	t.Helper()
	before := runtime.NumGoroutine()
	s := New(Options{Brokers: []int32{1, 2}, Speed: speed, Seed: 1, Versions: everything()})
	if f.left == nil {
		f.left = make(chan core.ConnID, 100)
	}
	s.Serve(f)
	t.Cleanup(func() {
		s.Close()
		s.Close()
		deadline := time.Now().Add(5 * time.Second)
		for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
			runtime.Gosched()
		}
		if got := runtime.NumGoroutine(); got > before {
			buf := make([]byte, 1<<16)
			t.Errorf("goroutines after Close: got %d, want %d\n%s", got, before, buf[:runtime.Stack(buf, true)])
		}
	})
	return s
}

func listen(t *testing.T, s *Server, place string) []string {
	t.Helper()
	addrs, err := s.Listen(place, nil)
	if err != nil {
		t.Fatal(err)
	}
	return addrs
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

func send(t *testing.T, c net.Conn, correlation int32, req kmsg.Request) {
	t.Helper()
	f := kmsg.NewRequestFormatter(kmsg.FormatterClientID("tester"))
	if _, err := c.Write(f.AppendRequest(nil, req, correlation)); err != nil {
		t.Fatal(err)
	}
}

// TestDisconnect: the connections of one place are reset, through a cut too, and the
// place may connect anew.
func TestDisconnect(t *testing.T) {
	s := start(t, &fake{}, 1)
	a, b := listen(t, s, "a"), listen(t, s, "b")
	ask := func(c net.Conn) error {
		f := kmsg.NewRequestFormatter(kmsg.FormatterClientID("tester"))
		req := kmsg.NewPtrMetadataRequest()
		req.SetVersion(5)
		if _, err := c.Write(f.AppendRequest(nil, req, 1)); err != nil {
			return err
		}
		_, err := io.ReadFull(c, make([]byte, 4))
		return err
	}
	gone, stays := dial(t, a[0]), dial(t, b[0])
	for _, c := range []net.Conn{gone, stays} {
		if err := ask(c); err != nil {
			t.Fatal(err)
		}
	}
	s.Shape(map[Path]core.Path{{Place: "a", Broker: 1}: {Cut: true}, {Place: "a", Broker: 1, ToBroker: true}: {Cut: true}})
	s.Disconnect("a")
	// What was answered before may still stand in the socket.
	if _, err := io.Copy(io.Discard, gone); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got error %v, want a reset", err)
	}
	s.Shape(nil)
	if err := ask(dial(t, a[0])); err != nil {
		t.Errorf("anew: got error %v, want an answer", err)
	}
	if _, err := io.CopyN(io.Discard, stays, 1); err != nil {
		t.Errorf("another place: got error %v, want the rest of its answer", err)
	}
}

// receive reads one answer and gives its correlation id and what follows the header.
func receive(t *testing.T, c net.Conn) (int32, []byte) {
	t.Helper()
	var head [4]byte
	_, err := io.ReadFull(c, head[:])
	frame := make([]byte, binary.BigEndian.Uint32(head[:]))
	if err == nil {
		_, err = io.ReadFull(c, frame)
	}
	if err != nil {
		t.Fatalf("answer: %v", err)
	}
	return int32(binary.BigEndian.Uint32(frame)), frame[4:]
}

func metadata(version int16) kmsg.Request {
	r := kmsg.NewPtrMetadataRequest()
	r.Version = version
	return r
}

func TestAnswersInOrder(t *testing.T) {
	var held []func()
	f := &fake{}
	f.serve = func(_ int32, from core.ClientConn, req kmsg.Request, reply func(kmsg.Response)) {
		if from.ClientID != "tester" || from.Listener != "here" {
			t.Errorf("client: got id %q at %q, want tester at here", from.ClientID, from.Listener)
		}
		held = append(held, func() { reply(req.ResponseKind()) })
		for _, h := range held {
			h()
		}
		held = nil
	}
	s := start(t, f, 1)
	c := dial(t, listen(t, s, "here")[0])
	for i := int32(1); i <= 50; i++ {
		send(t, c, i, metadata(int16(i%13)))
	}
	for i := int32(1); i <= 50; i++ {
		if got, _ := receive(t, c); got != i {
			t.Fatalf("correlation id: got %d, want %d", got, i)
		}
	}
}

func TestOneRequestAtATime(t *testing.T) {
	replies := make(chan func(), 10)
	f := &fake{serve: func(_ int32, _ core.ClientConn, req kmsg.Request, reply func(kmsg.Response)) {
		replies <- func() { reply(req.ResponseKind()) }
	}}
	s := start(t, f, 1)
	c := dial(t, listen(t, s, "here")[0])
	send(t, c, 1, metadata(9))
	send(t, c, 2, metadata(9))
	first := <-replies
	if err := s.Do(context.Background(), func() {}); err != nil {
		t.Fatal(err)
	}
	if n := len(replies); n != 0 {
		t.Errorf("requests taken up before the first is answered: got %d, want 0", n)
	}
	first()
	receive(t, c)
	(<-replies)()
	if got, _ := receive(t, c); got != 2 {
		t.Errorf("correlation id: got %d, want 2", got)
	}
}

func TestProduceWithoutAcksHasNoAnswer(t *testing.T) {
	f := &fake{}
	s := start(t, f, 1)
	c := dial(t, listen(t, s, "here")[0])
	p := kmsg.NewPtrProduceRequest()
	p.Version, p.Acks = 7, 0
	send(t, c, 1, p)
	send(t, c, 2, p)
	send(t, c, 3, metadata(9))
	if got, _ := receive(t, c); got != 3 {
		t.Errorf("first answer: got correlation id %d, want 3, of the metadata", got)
	}
	if len(f.requests) != 3 {
		t.Errorf("requests served: got %d, want 3", len(f.requests))
	}
}

func TestAPIVersionsTooNew(t *testing.T) {
	f := &fake{}
	s := start(t, f, 1)
	c := dial(t, listen(t, s, "here")[0])
	r := kmsg.NewPtrApiVersionsRequest()
	r.Version = 4
	send(t, c, 7, r)
	got, body := receive(t, c)
	resp := kmsg.NewPtrApiVersionsResponse() // version 0
	if err := resp.ReadFrom(body); err != nil || got != 7 || resp.ErrorCode != 35 {
		t.Errorf("answer: got correlation id %d, error code %d, %v, want 7, 35 in version 0", got, resp.ErrorCode, err)
	}
	r.Version = 3
	send(t, c, 8, r)
	_, body = receive(t, c)
	resp.Version = 3
	if err := resp.ReadFrom(body); err != nil {
		t.Errorf("version 3 after stepping down: %v", err)
	}
}

// TestGarbage: what Kafka closes on, we close on, and others are not disturbed.
func TestGarbage(t *testing.T) {
	valid := kmsg.NewRequestFormatter().AppendRequest(nil, metadata(9), 1)
	for _, tt := range []struct {
		name  string
		bytes []byte
	}{
		{"negative size", []byte{0xff, 0xff, 0xff, 0xff}},
		{"size beyond socket.request.max.bytes", []byte{0x7f, 0xff, 0xff, 0xff}},
		{"empty frame", []byte{0, 0, 0, 0}},
		{"unknown key", []byte{0, 0, 0, 10, 0x70, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff}},
		{"unknown version", []byte{0, 0, 0, 10, 0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff}},
		{"negative version", []byte{0, 0, 0, 10, 0, 3, 0xff, 0xff, 0, 0, 0, 1, 0xff, 0xff}},
		{"client id longer than the frame", []byte{0, 0, 0, 10, 0, 3, 0, 1, 0, 0, 0, 1, 0x7f, 0xff}},
		{"body cut short", append([]byte{0, 0, 0, byte(len(valid) - 6)}, valid[4:len(valid)-2]...)},
		{"an HTTP request", []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &fake{}
			s := start(t, f, 1)
			addr := listen(t, s, "here")[0]
			other, c := dial(t, addr), dial(t, addr)
			if _, err := c.Write(tt.bytes); err != nil {
				t.Fatal(err)
			}
			if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, net.ErrClosed) {
				t.Errorf("read: got %d bytes, %v, want a closed connection", n, err)
			}
			send(t, other, 5, metadata(9))
			if got, _ := receive(t, other); got != 5 {
				t.Errorf("another client: got correlation id %d, want 5", got)
			}
			if len(f.requests) != 1 {
				t.Errorf("requests served: got %d, want 1", len(f.requests))
			}
		})
	}
}

func TestKillResetsAndRefuses(t *testing.T) {
	f := &fake{serve: func(int32, core.ClientConn, kmsg.Request, func(kmsg.Response)) {}}
	s := start(t, f, 1)
	addrs := listen(t, s, "here")
	waiting, idle, other := dial(t, addrs[0]), dial(t, addrs[0]), dial(t, addrs[1])
	send(t, waiting, 1, metadata(9))
	for { // until both are served, for a reset of what is in the backlog is not the point
		s.mu.Lock()
		n := len(s.brokers[1].conns)
		s.mu.Unlock()
		f.mu.Lock()
		n += len(f.requests)
		f.mu.Unlock()
		if n == 3 {
			break
		}
		runtime.Gosched()
	}
	if err := s.Do(context.Background(), func() { s.Down(1, true) }); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]net.Conn{"waiting": waiting, "idle": idle} {
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s connection: got %v, want %v", name, err, syscall.ECONNRESET)
		}
	}
	for range 3 {
		if _, err := net.Dial("tcp", addrs[0]); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial: got %v, want %v", err, syscall.ECONNREFUSED)
		}
	}
	if up, _ := s.Listening(1); up {
		t.Error("listening: got true, want false")
	}
	// The port is still ours.
	if ln, err := net.Listen("tcp", addrs[0]); err == nil {
		ln.Close()
		t.Error("a stranger could bind the port of the killed broker")
	}
	if err := s.Do(context.Background(), func() { s.Up(1) }); err != nil {
		t.Fatal(err)
	}
	if up, err := s.Listening(1); !up || err != nil {
		t.Errorf("listening: got %v, %v, want true", up, err)
	}
	dial(t, addrs[0])
	f.serve = nil
	send(t, other, 2, metadata(9))
	receive(t, other)
}

func TestStopClosesInOrder(t *testing.T) {
	s := start(t, &fake{}, 1)
	c := dial(t, listen(t, s, "here")[0])
	send(t, c, 1, metadata(9))
	receive(t, c)
	if err := s.Do(context.Background(), func() { s.Down(1, false) }); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read: got %v, want %v", err, io.EOF)
	}
}

func TestAddressesBelongToPlaces(t *testing.T) {
	s := start(t, &fake{}, 1)
	a, b := listen(t, s, "a"), listen(t, s, "b")
	if again := listen(t, s, "a"); again[0] != a[0] || again[1] != a[1] {
		t.Errorf("second Listen: got %v, want %v", again, a)
	}
	seen := map[string]bool{}
	for _, addr := range append(a, b...) {
		if seen[addr] {
			t.Errorf("address %s twice", addr)
		}
		seen[addr] = true
	}
	if _, port := s.Address("nowhere", 1); port != 0 {
		t.Errorf("port of an unknown place: got %d, want 0", port)
	}
}

func TestPortInUse(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	port := ln.Addr().(*net.TCPAddr).Port
	s := start(t, &fake{}, 1)
	_, err = s.Listen("here", func(int32) int { return port })
	if err == nil {
		t.Fatalf("listen on port %d: got no error, want one", port)
	}
	free := listen(t, s, "here") // nothing is left behind by the failed one
	if len(free) != 2 {
		t.Errorf("addresses: got %v, want two", free)
	}
}

func TestClientThatLeavesIsReported(t *testing.T) {
	f := &fake{serve: func(int32, core.ClientConn, kmsg.Request, func(kmsg.Response)) {}}
	s := start(t, f, 1)
	c := dial(t, listen(t, s, "here")[0])
	send(t, c, 1, metadata(9)) // never answered
	c.Close()
	select {
	case <-f.left:
	case <-time.After(10 * time.Second):
		t.Fatal("a client that left with an answer owed was not reported")
	}
}

// cutBoth cuts both directions between a place and broker 1.
func cutBoth(place string) map[Path]core.Path {
	return map[Path]core.Path{{place, 1, true}: {Cut: true}, {place, 1, false}: {Cut: true}}
}

func TestCutHoldsBytesUntilARetransmission(t *testing.T) {
	// At speed 100 the first retransmission is 2 ms after the byte, the tenth 1 s.
	s := start(t, &fake{}, 100)
	addrs := listen(t, s, "here")
	c, unhurt := dial(t, addrs[0]), dial(t, addrs[1])
	send(t, c, 1, metadata(9))
	receive(t, c)
	s.Shape(cutBoth("here"))
	if s.Passes(Path{"here", 1, true}) || s.Passes(Path{"here", 1, false}) || !s.Passes(Path{"here", 2, true}) {
		t.Error("passes: want broker 1 cut both ways and broker 2 whole")
	}
	sent := s.Now()
	send(t, c, 2, metadata(9))
	send(t, c, 3, metadata(9))
	send(t, unhurt, 9, metadata(9))
	receive(t, unhurt)
	if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, errTimeout(err)) {
		t.Fatalf("read through the cut: got %d bytes, %v, want a timeout", n, err)
	}
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	healed := s.Now()
	s.Shape(nil)
	for i := int32(2); i <= 3; i++ {
		if got, _ := receive(t, c); got != i {
			t.Fatalf("after healing: got correlation id %d, want %d", got, i)
		}
	}
	// 204 ms · 2^n after the first byte, at the first such instant after healing.
	came, instant := s.Now(), firstRTO
	for sent+instant < healed {
		instant *= 2
	}
	if came < sent+instant {
		t.Errorf("bytes came %v after they were sent, healed %v after: want not before %v", came-sent, healed-sent, instant)
	}
}

// errTimeout gives err back if it is a timeout.
func errTimeout(err error) error {
	var n net.Error
	if errors.As(err, &n) && n.Timeout() {
		return err
	}
	return errors.New("a timeout")
}

func TestDialThroughACutHangs(t *testing.T) {
	s := start(t, &fake{}, 100)
	addrs := listen(t, s, "here")
	s.Shape(map[Path]core.Path{{"here", 1, false}: {Cut: true}})
	c := dial(t, addrs[0]) // loopback shakes hands; nothing else passes
	send(t, c, 1, metadata(9))
	if err := c.SetReadDeadline(time.Now().Add(30 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, errTimeout(err)) {
		t.Fatalf("read: got %d bytes, %v, want a timeout", n, err)
	}
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	s.Shape(nil)
	if got, _ := receive(t, c); got != 1 {
		t.Errorf("after healing: got correlation id %d, want 1", got)
	}
}

func TestLatencyAndPipelining(t *testing.T) {
	s := start(t, &fake{}, 2)
	addrs := listen(t, s, "here")
	both := core.Path{Latency: 500 * time.Millisecond, Jitter: 100 * time.Millisecond}
	s.Shape(map[Path]core.Path{{"here", 1, true}: both, {"here", 1, false}: both})
	c := dial(t, addrs[0])
	began := s.Now()
	for i := int32(1); i <= 10; i++ {
		send(t, c, i, metadata(9))
	}
	for i := int32(1); i <= 10; i++ {
		if got, _ := receive(t, c); got != i {
			t.Fatalf("correlation id: got %d, want %d", got, i)
		}
	}
	// A handshake and a round trip, 2 s; ten round trips would be 10 s and more.
	if took := s.Now() - began; took < 2*time.Second || took > 9*time.Second {
		t.Errorf("ten requests at 500 ms each way: took %v, want about 2 s", took)
	}
}

func TestKillBehindACutIsSilent(t *testing.T) {
	s := start(t, &fake{}, 100)
	addrs := listen(t, s, "here")
	c := dial(t, addrs[0])
	send(t, c, 1, metadata(9))
	receive(t, c)
	s.Shape(cutBoth("here"))
	if err := s.Do(context.Background(), func() { s.Down(1, true) }); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(30 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, errTimeout(err)) {
		t.Fatalf("read: got %v, want a timeout", err)
	}
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	s.Shape(nil)
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after healing: got %v, want %v", err, syscall.ECONNRESET)
	}
}

// TestLinkArithmetic looks at the times alone.
func TestLinkArithmetic(t *testing.T) {
	l := &link{rng: rand.New(rand.NewPCG(1, 1))}
	at := func(sent time.Duration, size int) time.Duration {
		p := parcel{size: size, sent: sent}
		l.transmit(&p)
		return p.at
	}
	l.set(core.Path{Bandwidth: 1000, Latency: 10 * time.Millisecond})
	if got, want := at(0, 500), 510*time.Millisecond; got != want {
		t.Errorf("500 bytes at 1,000 bytes/s and 10 ms: got %v, want %v", got, want)
	}
	if got, want := at(100*time.Millisecond, 500), 1010*time.Millisecond; got != want {
		t.Errorf("500 more bytes behind them: got %v, want %v", got, want)
	}
	l.set(core.Path{Loss: 0.5})
	delayed, sum := 0, time.Duration(0)
	for range 10_000 {
		if d := at(0, 100); d > 0 {
			delayed++
			sum += d
			if n := d/firstRTO + 1; d%firstRTO != 0 || n&(n-1) != 0 {
				t.Fatalf("delay by loss: got %v, want 204 ms · (2^n − 1)", d)
			}
		}
	}
	if delayed < 4_800 || delayed > 5_200 {
		t.Errorf("parcels delayed at loss 0.5: got %d of 10,000, want about half", delayed)
	}
	l.set(core.Path{})
	if got := at(7, 100); got != 7 {
		t.Errorf("whole path: got %v, want no delay", got)
	}
}

func TestScale(t *testing.T) {
	join := kmsg.NewPtrJoinGroupRequest()
	join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = 1_000, 6_000
	inward(join, 10)
	if join.SessionTimeoutMillis != 10_000 || join.RebalanceTimeoutMillis != 60_000 {
		t.Errorf("join at speed 10: got %d and %d, want 10000 and 60000", join.SessionTimeoutMillis, join.RebalanceTimeoutMillis)
	}
	produce := kmsg.NewPtrProduceRequest()
	produce.TimeoutMillis = 150
	inward(produce, 10)
	if produce.TimeoutMillis != 1_500 {
		t.Errorf("produce timeout at speed 10: got %d, want 1500", produce.TimeoutMillis)
	}
	fetch := kmsg.NewPtrFetchRequest()
	fetch.MaxWaitMillis = 1 << 30
	inward(fetch, 10)
	if fetch.MaxWaitMillis != 1<<31-1 {
		t.Errorf("fetch wait beyond the range: got %d, want the longest", fetch.MaxWaitMillis)
	}
	resp := kmsg.NewPtrProduceResponse()
	resp.ThrottleMillis = 500
	outward(resp, 10)
	if resp.ThrottleMillis != 50 {
		t.Errorf("throttle at speed 10: got %d, want 50", resp.ThrottleMillis)
	}
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.RetentionTimeMillis = -1
	inward(commit, 10)
	if commit.RetentionTimeMillis != -1 {
		t.Errorf("no retention: got %d, want -1", commit.RetentionTimeMillis)
	}
	list := kmsg.NewPtrListTransactionsRequest()
	list.DurationFilterMillis = 100
	inward(list, 10)
	if list.DurationFilterMillis != 1_000 {
		t.Errorf("transactions that run for at least: got %d, want 1000", list.DurationFilterMillis)
	}
	describe := kmsg.NewPtrDescribeTransactionsResponse()
	describe.TransactionStates = []kmsg.DescribeTransactionsResponseTransactionState{{TimeoutMillis: 60_000}}
	outward(describe, 10)
	if got := describe.TransactionStates[0].TimeoutMillis; got != 6_000 {
		t.Errorf("a transaction's timeout: got %d, want 6000", got)
	}
}

func TestDoAfterClose(t *testing.T) {
	s := start(t, &fake{}, 1)
	s.Close()
	if err := s.Do(context.Background(), func() {}); !errors.Is(err, ErrClosed) {
		t.Errorf("Do: got %v, want %v", err, ErrClosed)
	}
	if _, err := s.Listen("here", nil); !errors.Is(err, ErrClosed) {
		t.Errorf("Listen: got %v, want %v", err, ErrClosed)
	}
}
