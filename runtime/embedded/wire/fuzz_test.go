package wire

// This file defines the fuzzing of what clients send: the body of each request, whole frames,
// and whole connections.

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/runtime/embedded/core"
)

// FuzzBody: what measuring lets pass can be decoded without a panic, takes no more memory than
// was measured, and survives the way back. What it refuses has cost nothing.
func FuzzBody(f *testing.F) {
	rng := rand.New(rand.NewPCG(5, 6))
	forEach(func(key, version int16, _ layout) {
		f.Add(key, version, kmsg.RequestForKey(key).AppendTo(nil))
		f.Add(key, version, sample(rng, key, version).AppendTo(nil))
	})
	all := newLayouts(everything())
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		l, ok := all[key]
		if !ok || version < 0 || version > kmsg.RequestForKey(key).MaxVersion() {
			return
		}
		var memory int
		var err error
		measuring := allocated(3, 0, func() { memory, err = l.measure(body, version, decodedTimes*len(body)+decodedConstant) })
		if measuring > 1<<10 {
			t.Fatalf("measuring %d bytes: allocated %d, want nothing", len(body), measuring)
		}
		if err != nil {
			return
		}
		r := kmsg.RequestForKey(key)
		r.SetVersion(version)
		most := withSlack(memory)
		if got := allocated(5, most, func() { err = r.ReadFrom(body) }); got > most {
			t.Fatalf("%s v%d of %d bytes: allocated %d, want at most %d", kmsg.NameForKey(key), version, len(body), got, most)
		}
		if err != nil {
			return // a tagged field that is no longer what it was
		}
		again := kmsg.RequestForKey(key)
		again.SetVersion(version)
		if err := again.ReadFrom(r.AppendTo(nil)); err != nil {
			t.Fatalf("%s v%d: what was decoded cannot be decoded again: %v", kmsg.NameForKey(key), version, err)
		}
	})
}

// FuzzRequest: no bytes make the reader of frames or the decoder panic, or take memory beyond
// what is said in decodedTimes, and every request that is let in can be answered.
func FuzzRequest(f *testing.F) {
	format := kmsg.NewRequestFormatter(kmsg.FormatterClientID("fuzz"))
	rng := rand.New(rand.NewPCG(7, 8))
	forEach(func(key, version int16, _ layout) {
		f.Add(format.AppendRequest(nil, sample(rng, key, version), 42))
	})
	f.Add([]byte{0, 0, 0, 10, 0, 18, 0x7f, 0xff, 0, 0, 0, 1, 0xff, 0xff})
	f.Add([]byte{0x7f, 0xff, 0xff, 0xff, 0})
	d := newDecoder(everything())
	f.Fuzz(func(t *testing.T, in []byte) {
		var req request
		var frame []byte
		var err error
		most := withSlack(leastTrust + 2*len(in) + decodedTimes*len(in) + decodedConstant)
		if got := allocated(3, most, func() {
			r := frames{r: bufio.NewReader(bytes.NewReader(in)), limit: func() int { return DefaultMaxRequest }}
			if frame, err = r.next(); err == nil {
				req, err = d.decode(frame)
			}
		}); got > most {
			t.Fatalf("%d bytes: allocated %d, want at most %d", len(in), got, most)
		}
		if err != nil {
			return
		}
		if len(frame) > len(in) {
			t.Fatalf("frame: got %d bytes out of %d", len(frame), len(in))
		}
		inward(req.body, 10)
		if out := encode(nil, req, req.body.ResponseKind()); len(out) < 8 {
			t.Fatalf("answer: got %d bytes, want a header at least", len(out))
		}
	})
}

// FuzzConnection: whatever bytes a connection brings, in whatever pieces, on a listener with or
// without a login, the server reads on or closes, takes memory by what has come, and serves
// another client as before.
func FuzzConnection(f *testing.F) {
	format := kmsg.NewRequestFormatter(kmsg.FormatterClientID("fuzz"))
	rng := rand.New(rand.NewPCG(9, 10))
	handshake := func(mechanism string, version int16) []byte {
		h := kmsg.NewPtrSASLHandshakeRequest()
		h.Mechanism, h.Version = mechanism, version
		return format.AppendRequest(nil, h, 1)
	}
	auth := kmsg.NewPtrSASLAuthenticateRequest()
	auth.SASLAuthBytes, auth.Version = []byte("\x00user\x00secret"), 2
	token := format.AppendRequest(nil, auth, 2)
	bare := append([]byte{0, 0, 0, 12}, "\x00user\x00secret"...)
	f.Add(true, uint16(7), bytes.Join([][]byte{handshake("PLAIN", 1), token}, nil))
	f.Add(true, uint16(0), bytes.Join([][]byte{handshake("PLAIN", 0), bare}, nil))
	f.Add(true, uint16(0), bytes.Join([][]byte{handshake("SCRAM-SHA-256", 0), bare, bare}, nil))
	f.Add(true, uint16(0), []byte{0, 0x10, 0, 0, 1, 2, 3})
	f.Add(false, uint16(0), []byte{5, 0, 0, 0, 1, 2, 3})
	f.Add(false, uint16(3), []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	for _, version := range []int16{-1, 0, 1, 2, 3, 4, 5, 99, 0x7fff} {
		b := []byte{0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0, 2, 'a', 2, 'b', 0}
		binary.BigEndian.PutUint16(b[2:], uint16(version))
		f.Add(false, uint16(5), append([]byte{0, 0, 0, byte(len(b))}, b...))
		f.Add(true, uint16(5), append([]byte{0, 0, 0, byte(len(b))}, b...))
	}
	forEach(func(key, version int16, _ layout) {
		one := format.AppendRequest(nil, sample(rng, key, version), 1)
		f.Add(false, uint16(rng.IntN(1000)), one)
		f.Add(false, uint16(0), append(format.AppendRequest(nil, metadata(1), 1), one[:len(one)-1]...))
	})
	left := make(chan core.ConnID, 1)
	s := New(Options{Brokers: []int32{1}, Versions: everything(), Login: func(place string) bool { return place == "login" }})
	s.Serve(&fake{left: left, forget: true})
	f.Cleanup(s.Close)
	other, end := net.Pipe()
	s.admit(end, "here", 1)
	ask := format.AppendRequest(nil, metadata(9), 5)
	f.Fuzz(func(t *testing.T, login bool, piece uint16, in []byte) {
		place := "here"
		if login {
			place = "login"
		}
		run := func() {
			c, end := net.Pipe()
			s.admit(end, place, 1)
			go func() { _, _ = io.Copy(io.Discard, c) }()
			for rest := in; len(rest) > 0; {
				n := len(rest)
				if piece > 0 {
					n = min(n, int(piece))
				}
				if _, err := c.Write(rest[:n]); err != nil {
					break // the server has closed
				}
				rest = rest[n:]
			}
			c.Close()
			select {
			case <-left:
			case <-time.After(20 * time.Second):
				t.Fatal("the connection has not come to its end")
			}
		}
		// 14 bytes are a request, and a request and its answer some kilobytes.
		most := uint64(256<<10 + 512*len(in))
		if got := allocated(2, most, run); got > most {
			t.Fatalf("%d bytes: allocated %d, want at most %d", len(in), got, most)
		}
		if err := other.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := other.Write(ask); err != nil {
			t.Fatalf("another client: %v", err)
		}
		answer := make([]byte, 8)
		if _, err := io.ReadFull(other, answer); err != nil || answer[7] != 5 {
			t.Fatalf("another client: got %x, %v, want its answer", answer, err)
		}
		if _, err := io.CopyN(io.Discard, other, int64(binary.BigEndian.Uint32(answer))-4); err != nil {
			t.Fatalf("another client: %v", err)
		}
	})
}
