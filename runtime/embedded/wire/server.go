// Package wire is the TCP shell of an embedded Kafka cluster: listeners on
// loopback, Kafka's framing, the network faults of clients, and the loop that
// steps the core in real time. The core (runtime/embedded/core) knows none of it.
//
// Who is calling is known by the address that was dialled: each place (a client
// member, a site) has a listener of its own for each broker, and metadata
// answers with the addresses of that same place.
package wire

// This file defines the server: the loop that owns the World of one cluster, and
// the registry of places, links and brokers around it.

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/runtime/embedded/core"
)

// World is what the shell needs from the core. All its methods are called from
// the loop.
type World interface {
	Advance(now time.Duration)
	Next() (time.Duration, bool)
	Request(broker int32, from core.ClientConn, req kmsg.Request, reply func(kmsg.Response))
}

// Disconnecter is implemented by a World that wants to know of clients that left.
type Disconnecter interface {
	Disconnected(broker int32, conn core.ConnID)
}

// Options are what a Server needs to know. The zero value serves at speed 1,
// from now, on ports that the system chooses.
type Options struct {
	// Brokers are the ids of the brokers that have listeners.
	Brokers []int32
	// Speed is how much faster than the wall clock scenario time goes; 0 means 1.
	Speed float64
	// Base is the wall clock at scenario time zero of the World; zero means now.
	Base time.Time
	// Seed drives jitter and loss.
	Seed uint64
	// MaxRequest is socket.request.max.bytes; 0 means DefaultMaxRequest.
	MaxRequest int
	// MaxLogin is sasl.server.max.receive.size, the largest frame of a client that has
	// not logged in yet where it has to; 0 means DefaultMaxLogin.
	MaxLogin int
	// Login says whether clients of a place have to log in; nil means that none has to.
	Login func(place string) bool
	// Versions are the requests that the World serves; every other one ends its
	// connection.
	Versions Versions
}

// slack is how far, by the wall clock, the World may run ahead: what is due within it
// is done at once. Messages between nodes take a tenth of a millisecond, and
// sleeping for each would cost ten times as much.
const slack = 500 * time.Microsecond

// ErrClosed says that the server has been closed.
var ErrClosed = errors.New("the cluster has been taken down")

// Server is the shell of one cluster.
//
// Its goroutines: the loop; for each open port one that accepts; for each
// connection one that reads, one that has requests served and writes, and, once
// an answer had to be delayed, one that delivers answers. Close ends them all.
type Server struct {
	opts    Options
	clock   clock
	decoder *decoder
	world   World

	inbox chan struct{} // holds one token while there is something in queue
	qmu   sync.Mutex
	queue []item

	mu      sync.Mutex
	places  map[string]map[int32]*port
	links   map[linkKey]*link
	brokers map[int32]*brokerState
	lastID  core.ConnID
	closed  bool

	done chan struct{} // closed by Close
	wg   sync.WaitGroup
}

type linkKey struct {
	place  string
	broker int32
	back   bool // from the broker to the place
}

// brokerState is what the shell knows of a broker's process.
//
//	listening  its ports   set by
//	true       accept      Up, and at first
//	false      refuse      Down
type brokerState struct {
	listening bool
	conns     map[core.ConnID]*conn
}

// item is something for the loop to do: a request, or a function.
type item struct {
	conn *conn
	req  kmsg.Request
	fn   func()
}

// New makes a server without a World, so that the World's options can refer to
// it. Nothing listens yet.
func New(opts Options) *Server {
	if opts.Speed == 0 {
		opts.Speed = 1
	}
	if opts.Base.IsZero() {
		opts.Base = time.Now()
	}
	if opts.MaxRequest == 0 {
		opts.MaxRequest = DefaultMaxRequest
	}
	if opts.MaxLogin == 0 {
		opts.MaxLogin = DefaultMaxLogin
	}
	s := &Server{
		opts: opts, clock: clock{opts.Base, opts.Speed}, decoder: newDecoder(opts.Versions),
		inbox:   make(chan struct{}, 1),
		places:  map[string]map[int32]*port{},
		links:   map[linkKey]*link{},
		brokers: map[int32]*brokerState{},
		done:    make(chan struct{}),
	}
	for _, id := range opts.Brokers {
		s.brokers[id] = &brokerState{listening: true, conns: map[core.ConnID]*conn{}}
	}
	return s
}

// Now is the scenario time of the World.
func (s *Server) Now() time.Duration { return s.clock.now() }

// WallAt gives the wall time of a scenario time of the World.
func (s *Server) WallAt(at time.Duration) time.Time { return s.clock.base.Add(s.clock.wall(at)) }

// Serve hands the World over to the loop. It must be called once.
func (s *Server) Serve(w World) {
	s.world = w
	s.wg.Add(1)
	go s.loop()
}

func (s *Server) loop() {
	defer s.wg.Done()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	ahead := s.clock.scenario(slack)
	var batch []item
	for {
		// Everything due, then what has come in; an answer at once is given at once.
		now := s.clock.now()
		s.world.Advance(now)
		s.qmu.Lock()
		batch, s.queue = s.queue, batch[:0]
		s.qmu.Unlock()
		for i := range batch {
			s.handle(&batch[i])
			batch[i] = item{}
		}
		next, ok := s.world.Next()
		for ok && next <= now+ahead {
			s.world.Advance(next)
			next, ok = s.world.Next()
		}
		wait := time.Hour
		if ok {
			wait = max(s.clock.wall(next-s.clock.now()), 0)
		}
		timer.Reset(wait)
		select {
		case <-s.inbox:
		case <-timer.C:
		case <-s.done:
			return
		}
	}
}

func (s *Server) handle(it *item) {
	if it.fn != nil {
		it.fn()
		return
	}
	c := it.conn
	if unanswered(it.req) {
		s.world.Request(c.broker, c.from, it.req, func(kmsg.Response) {})
		c.answer(nil)
		return
	}
	s.world.Request(c.broker, c.from, it.req, c.answer)
}

// post puts something into the loop's queue.
func (s *Server) post(it item) {
	s.qmu.Lock()
	s.queue = append(s.queue, it)
	s.qmu.Unlock()
	select {
	case s.inbox <- struct{}{}:
	default:
	}
}

// Do runs f in the loop, where the World may be touched, and waits for it. The
// World has been advanced to now. After an error f has not run and never will,
// so that the caller may use what f would have written.
func (s *Server) Do(ctx context.Context, f func()) error {
	ran := make(chan struct{})
	var taken atomic.Bool // by the loop, to run f, or by the caller, who gives up
	s.post(item{fn: func() {
		if taken.Swap(true) {
			return
		}
		f()
		close(ran)
	}})
	var err error
	select {
	case <-ran:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-s.done:
		err = ErrClosed
	}
	if taken.Swap(true) {
		<-ran
		return nil
	}
	return err
}

// Address is where a broker listens for a place, for core.Options.Address. A place
// that is not known gets port 0, which nothing can dial.
func (s *Server) Address(place string, broker int32) (host string, number int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.places[place][broker]; p != nil {
		return loopback, int32(p.number)
	}
	return loopback, 0
}

// Listen opens the listeners of a place, one a broker, and gives their addresses in
// the order of Options.Brokers. numbers chooses the ports, nil leaves that to the
// system. A place that has listeners keeps them.
func (s *Server) Listen(place string, numbers func(broker int32) int) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	ports := s.places[place]
	if ports == nil {
		ports = map[int32]*port{}
		for _, id := range s.opts.Brokers {
			number := 0
			if numbers != nil {
				number = numbers(id)
			}
			p, err := reserve(number)
			if err == nil {
				ports[id] = p
				if s.brokers[id].listening {
					err = s.open(p, place, id)
				}
			}
			if err != nil {
				for _, p := range ports {
					p.release()
				}
				return nil, fmt.Errorf("listener of broker %d for %s: %w", id, place, err)
			}
		}
		s.places[place] = ports
	}
	var out []string
	for _, id := range s.opts.Brokers {
		out = append(out, ports[id].address())
	}
	return out, nil
}

// open lets a port take connections. It needs the lock.
func (s *Server) open(p *port, place string, broker int32) error {
	ln, err := p.listen()
	if err != nil {
		return err
	}
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		s.accept(ln, place, broker)
	}()
	return nil
}

// link finds one direction of a path, whole until Shape says otherwise. It needs
// the lock.
func (s *Server) link(key linkKey) *link {
	l := s.links[key]
	if l == nil {
		h := fnv.New64a()
		fmt.Fprintf(h, "%d/%s/%d/%v", s.opts.Seed, key.place, key.broker, key.back)
		l = newLink(s.clock, h.Sum64())
		s.links[key] = l
	}
	return l
}

// Path names one direction between a place and a broker.
type Path struct {
	Place    string
	Broker   int32
	ToBroker bool
}

// Shape replaces the state of all paths at once: those that are not listed are
// whole.
func (s *Server) Shape(paths map[Path]core.Path) {
	s.mu.Lock()
	defer s.mu.Unlock()
	want := map[linkKey]core.Path{}
	for p, state := range paths {
		key := linkKey{p.Place, p.Broker, !p.ToBroker}
		s.link(key)
		want[key] = state
	}
	for key, l := range s.links {
		l.set(want[key])
	}
}

// Paths lists both directions between every place that listens and every broker.
func (s *Server) Paths() []Path {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Path
	for _, place := range slices.Sorted(maps.Keys(s.places)) {
		for _, id := range s.opts.Brokers {
			out = append(out, Path{place, id, true}, Path{place, id, false})
		}
	}
	return out
}

// Passes tells whether a byte sent now would pass, by the same link that carries the
// clients' bytes.
func (s *Server) Passes(p Path) bool {
	s.mu.Lock()
	l := s.link(linkKey{p.Place, p.Broker, !p.ToBroker})
	s.mu.Unlock()
	return !l.send(1).lost
}

// Reaches tells to which broker an address of a place belongs, and whether a byte sent
// there now would pass, and one back; 0 for an address that is none of the place's.
func (s *Server) Reaches(place, addr string) (broker int32, passes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, p := range s.places[place] {
		if p.address() == addr {
			return id, !s.link(linkKey{place, id, false}).cut() && !s.link(linkKey{place, id, true}).cut()
		}
	}
	return 0, false
}

// Down is for core.Options.OnDown: the process of a node has ended. Its ports refuse,
// its connections are reset, or closed in order.
func (s *Server) Down(node int32, abrupt bool) {
	s.mu.Lock()
	b := s.brokers[node]
	if b == nil {
		s.mu.Unlock()
		return
	}
	b.listening = false
	for _, ports := range s.places {
		ports[node].refuse()
	}
	var conns []*conn
	for _, c := range b.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.end(abrupt)
	}
}

// Up is for core.Options.OnUp: a started process listens again, on the same ports.
func (s *Server) Up(node int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.brokers[node]
	if b == nil || b.listening || s.closed {
		return
	}
	b.listening = true
	for place, ports := range s.places {
		if err := s.open(ports[node], place, node); err != nil {
			// The port is reserved, so this is want of file descriptors or the like:
			// clients see the port refuse, and Listening tells why nobody gets in.
			ports[node].err = err
		}
	}
}

// Listening says whether connections to a broker are taken now, on all its ports, and
// if not, why.
func (s *Server) Listening(node int32) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.brokers[node]
	if b == nil || !b.listening {
		return false, nil
	}
	for _, ports := range s.places {
		if p := ports[node]; p.err != nil {
			return false, p.err
		}
	}
	return true, nil
}

// CloseConn is for core.Options.CloseConn.
func (s *Server) CloseConn(broker int32, id core.ConnID) {
	s.mu.Lock()
	b := s.brokers[broker]
	var c *conn
	if b != nil {
		c = b.conns[id]
	}
	s.mu.Unlock()
	if c != nil {
		c.end(false)
	}
}

// Disconnect resets the connections that came in at the listeners of a place, cut off or
// not, as when the place itself gives them up. Its ports stay open.
func (s *Server) Disconnect(place string) {
	s.mu.Lock()
	var conns []*conn
	for _, b := range s.brokers {
		for _, c := range b.conns {
			if c.from.Listener == place {
				conns = append(conns, c)
			}
		}
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.finish(true)
	}
}

// Close ends every connection, port and goroutine, and the loop. It is safe to call
// twice.
func (s *Server) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		s.wg.Wait()
		return
	}
	s.closed = true
	var conns []*conn
	for _, b := range s.brokers {
		b.listening = false
		for _, c := range b.conns {
			conns = append(conns, c)
		}
	}
	for _, ports := range s.places {
		for _, p := range ports {
			p.release()
		}
	}
	s.mu.Unlock()
	close(s.done)
	for _, c := range conns {
		c.drop()
	}
	s.wg.Wait()
}
