// This file defines peer: a connection to one node that is kept between
// questions, and gather, which puts questions to many nodes at once and waits
// for no node longer than it is worth.

package kafka

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/runtime"
)

// How long an inspection waits, in wall time. A frozen node accepts connections
// and never answers; on a machine whose processors are all busy a healthy one
// may take some tenths of a second.
const (
	// peerPatience is how long the others are waited for once one has answered.
	peerPatience = 750 * time.Millisecond
	// peerLimit is how long a node may owe an answer before its connection is
	// given up. It is longer than the patience, so that a slow node needs no new
	// connection; nobody waits for it meanwhile.
	peerLimit = 3 * time.Second
	// peerDial is how long a connection may take.
	peerDial = time.Second
)

// peerFrame bounds an answer, against a peer that is no Kafka.
const peerFrame = 64 << 20

// errUnasked is a request that the node does not know.
var errUnasked = errors.New("the node does not answer this kind of request")

// peer is one node's connection. Questions go one after the other; whoever asks
// holds busy.
//
// sarama's Broker is not used here: it cannot ask DescribeQuorum, and costs three
// goroutines and a metrics registry for each connection and request.
type peer struct {
	addr  string
	login runtime.Login // zero: it says nothing

	mu     sync.Mutex
	busy   bool // an answer is owed
	slow   bool // the last one did not come, or not when the others came
	closed bool
	conn   net.Conn

	// Of whoever has set busy.
	in       *bufio.Reader
	versions map[int16][2]int16 // by request, lowest and highest
	number   int32              // of the last request
	buf      []byte
}

// take makes the caller the one who asks; false when an answer is owed.
func (p *peer) take() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy || p.closed {
		return false
	}
	p.busy = true
	return true
}

func (p *peer) isSlow() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.slow
}

// leave ends what take began. With an error the connection is gone, and the next
// one is not waited for: a broker that starts takes connections long before it
// answers.
func (p *peer) leave(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy = false
	p.slow = err != nil && !errors.Is(err, errUnasked)
	if p.slow && p.conn != nil {
		p.conn.Close()
		p.conn = nil
	}
}

// abandon notes that nobody waits any longer for what is owed.
func (p *peer) abandon() {
	p.mu.Lock()
	p.slow = p.slow || p.busy
	p.mu.Unlock()
}

func (p *peer) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.conn != nil {
		p.conn.Close()
	}
}

// dial connects, learns which versions the node speaks, and logs in.
func (p *peer) dial(ctx context.Context) error {
	d := net.Dialer{Timeout: peerDial}
	conn, err := d.DialContext(ctx, "tcp", p.addr)
	if err != nil {
		return err
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		conn.Close()
		return errCut
	}
	p.conn = conn
	p.mu.Unlock()
	p.in = bufio.NewReaderSize(conn, 32<<10)
	p.versions = map[int16][2]int16{int16(kmsg.ApiVersions): {0, 0}}
	resp, err := p.exchange(kmsg.NewPtrApiVersionsRequest()) // version 0: every Kafka answers it
	if err != nil {
		return err
	}
	known := resp[0].(*kmsg.ApiVersionsResponse)
	if known.ErrorCode != 0 {
		return fmt.Errorf("ApiVersions: error code %d", known.ErrorCode)
	}
	for _, k := range known.ApiKeys {
		p.versions[k.ApiKey] = [2]int16{k.MinVersion, k.MaxVersion}
	}
	if p.login.Mechanism == "" {
		return nil
	}
	if err := p.logIn(); err != nil {
		p.mu.Lock()
		p.conn.Close() // no question may follow on it
		p.conn = nil
		p.mu.Unlock()
		return fmt.Errorf("login of %s: %w", p.login.User, err)
	}
	return nil
}

// logIn says who asks (KIP-43 and KIP-152): the mechanism first, then its tokens.
func (p *peer) logIn() error {
	hand := kmsg.NewPtrSASLHandshakeRequest()
	hand.Version, hand.Mechanism = 1, p.login.Mechanism
	resp, err := p.exchange(hand)
	if err != nil {
		return err
	}
	if code := resp[0].(*kmsg.SASLHandshakeResponse).ErrorCode; code != 0 {
		return sarama.KError(code)
	}
	token := func(b []byte) ([]byte, error) {
		req := kmsg.NewPtrSASLAuthenticateRequest()
		req.Version, req.SASLAuthBytes = 2, b
		resp, err := p.exchange(req)
		if err != nil {
			return nil, err
		}
		r := resp[0].(*kmsg.SASLAuthenticateResponse)
		if r.ErrorCode != 0 {
			return nil, told(sarama.KError(r.ErrorCode), r.ErrorMessage)
		}
		return r.SASLAuthBytes, nil
	}
	x := &scram{}
	switch p.login.Mechanism {
	case sarama.SASLTypePlaintext:
		_, err := token([]byte("\x00" + p.login.User + "\x00" + p.login.Password))
		return err
	case sarama.SASLTypeSCRAMSHA256:
		x.hash = sha256.New
	case sarama.SASLTypeSCRAMSHA512:
		x.hash = sha512.New
	default:
		return fmt.Errorf("for parameter mechanism: got %q, want PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", p.login.Mechanism)
	}
	if err := x.Begin(p.login.User, p.login.Password, ""); err != nil {
		return err
	}
	challenge := ""
	for {
		answer, err := x.Step(challenge)
		if err != nil || x.Done() {
			return err
		}
		b, err := token([]byte(answer))
		if err != nil {
			return err
		}
		challenge = string(b)
	}
}

// ask sends requests in one go and reads the answers, which come in the same
// order: a broker works on one request of a connection at a time. The version set
// in a request is the highest wanted; an older node gets its own highest.
func (p *peer) ask(ctx context.Context, reqs ...kmsg.Request) ([]kmsg.Response, error) {
	p.mu.Lock()
	connected := p.conn != nil
	p.mu.Unlock()
	if !connected {
		if err := p.dial(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", p.addr, err)
		}
	}
	resp, err := p.exchange(reqs...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.addr, err)
	}
	return resp, nil
}

func (p *peer) exchange(reqs ...kmsg.Request) ([]kmsg.Response, error) {
	p.mu.Lock()
	conn := p.conn
	p.mu.Unlock()
	format := kmsg.NewRequestFormatter(kmsg.FormatterClientID(controlID))
	p.buf = p.buf[:0]
	first := p.number + 1
	for _, r := range reqs {
		v, ok := p.versions[r.Key()]
		if !ok || r.GetVersion() < v[0] {
			return nil, fmt.Errorf("%s: %w", kmsg.NameForKey(r.Key()), errUnasked)
		}
		r.SetVersion(min(r.GetVersion(), v[1]))
		p.number++
		// The formatter puts the length at the very start of what it is given.
		p.buf = append(p.buf, format.AppendRequest(nil, r, p.number)...)
	}
	if err := conn.SetDeadline(time.Now().Add(peerLimit)); err != nil {
		return nil, err
	}
	if _, err := conn.Write(p.buf); err != nil {
		return nil, err
	}
	out := make([]kmsg.Response, len(reqs))
	for i, r := range reqs {
		resp, err := p.read(r, first+int32(i))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kmsg.NameForKey(r.Key()), err)
		}
		out[i] = resp
	}
	return out, nil
}

func (p *peer) read(r kmsg.Request, number int32) (kmsg.Response, error) {
	var head [8]byte
	if _, err := io.ReadFull(p.in, head[:]); err != nil {
		return nil, err
	}
	size := int(int32(binary.BigEndian.Uint32(head[:])))
	if size < 4 || size > peerFrame {
		return nil, fmt.Errorf("answer: got %d bytes, want 4 to %d", size, peerFrame)
	}
	if got := int32(binary.BigEndian.Uint32(head[4:])); got != number {
		return nil, fmt.Errorf("answer: got correlation id %d, want %d", got, number)
	}
	body := make([]byte, size-4) // the answer's strings point into it
	if _, err := io.ReadFull(p.in, body); err != nil {
		return nil, err
	}
	resp := r.ResponseKind()
	if resp.IsFlexible() && resp.Key() != int16(kmsg.ApiVersions) {
		// Response header version 1: tagged fields, of which there are none.
		if len(body) == 0 || body[0] != 0 {
			return nil, errors.New("answer: got tagged fields in its header, want none")
		}
		body = body[1:]
	}
	return resp, resp.ReadFrom(body)
}

// answer is what a peer said.
type answer[T any] struct {
	peer *peer
	got  T
	err  error
}

// gather puts a question to each peer that owes no answer and gives the answers
// that came. A peer that was slow before is asked but not waited for, unless need
// is set and no other has answered. spawn runs a goroutine and tells whether it
// could.
func gather[T any](ctx context.Context, spawn func(func()) bool, peers []*peer, need bool, question func(context.Context, *peer) (T, error)) []answer[T] {
	answers := make(chan answer[T], len(peers))
	asked := map[*peer]bool{} // answers that are owed; true: and waited for
	waiting := 0
	for _, p := range peers {
		if !p.take() {
			continue
		}
		wait := !p.isSlow()
		if !spawn(func() {
			got, err := question(ctx, p)
			p.leave(err)
			answers <- answer[T]{p, got, err}
		}) {
			p.leave(errCut)
			break
		}
		asked[p] = wait
		if wait {
			waiting++
		}
	}
	defer func() {
		for p := range asked {
			p.abandon()
		}
	}()
	timer := time.NewTimer(peerPatience)
	defer timer.Stop()
	var out []answer[T]
	good := false
	for len(asked) > 0 && (waiting > 0 || need && !good) {
		select {
		case a := <-answers:
			if asked[a.peer] {
				waiting--
			}
			delete(asked, a.peer)
			out = append(out, a)
			if a.err == nil && !good {
				good = true
				timer.Reset(peerPatience)
			}
		case <-timer.C:
			return out
		case <-ctx.Done():
			return out
		}
	}
	return out
}
