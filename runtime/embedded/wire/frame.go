package wire

// This file defines how bytes become requests and answers become bytes: frames,
// request headers and their versions, and what is refused.

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Kafka's defaults of socket.request.max.bytes and sasl.server.max.receive.size.
const (
	DefaultMaxRequest = 100 << 20
	DefaultMaxLogin   = 512 << 10
)

const (
	keyAPIVersions       = 18
	errMechanism         = 33
	errUnsupportedCode   = 35
	errAuthentication    = 58
	requestHeaderMinimum = 10 // with a client id that is null
)

// A malformed error ends the connection, as it does in Kafka.
type malformed string

func (m malformed) Error() string { return string(m) }

// Range is the versions of one request that a broker serves, both included.
type Range struct{ Min, Max int16 }

// Versions says which requests are served, by their protocol key.
type Versions map[int16]Range

// request is a decoded frame.
type request struct {
	correlation int32
	clientID    string
	body        kmsg.Request
	// fallback is set for an ApiVersions request of a version that is not ours, which is
	// answered in version 0 so that the client can step down (KIP-511).
	fallback bool
	// token is set for a SASL token without header, as it follows SaslHandshake
	// version 0; its answer is a bare token too.
	token bool
	size  int
}

// frames reads frames without their lengths. A frame is believed as it arrives: what a
// client announces and does not send costs no memory beyond a few times what it once sent.
type frames struct {
	r *bufio.Reader
	// limit is asked for the largest frame once there is one.
	limit func() int
	// trust is the size of frames that are believed before they have come: a few times that
	// of the largest of late, a little less with each that is smaller: sarama sends 200 bytes
	// and 5 MB by turns. Beyond it a frame is copied as it grows.
	trust int
}

const (
	leastTrust = 4 << 10
	mostTrust  = 16 << 20
	trustTimes = 4
	trustFades = 64 // trust becomes less by this part of it
)

func (f *frames) next() ([]byte, error) {
	head, err := f.r.Peek(4)
	if err != nil {
		if errors.Is(err, io.EOF) && len(head) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	size := int(int32(binary.BigEndian.Uint32(head)))
	if size < 0 {
		return nil, malformed(fmt.Sprintf("frame: got size %d, want a positive one", size))
	}
	if limit := f.limit(); size > limit {
		return nil, malformed(fmt.Sprintf("frame: got size %d, want at most %d", size, limit))
	}
	_, _ = f.r.Discard(4) // they are there
	buf := make([]byte, min(size, max(f.trust, leastTrust)))
	for read := 0; ; {
		n, err := io.ReadFull(f.r, buf[read:])
		read += n
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		if read == size {
			f.trust = min(max(f.trust-f.trust/trustFades, trustTimes*size), mostTrust)
			return buf, nil
		}
		grown := make([]byte, min(size, 2*len(buf)))
		copy(grown, buf)
		buf = grown
	}
}

// decoder makes requests of frames.
type decoder struct {
	versions Versions
	layouts  map[int16]layout
}

func newDecoder(served Versions) *decoder { return &decoder{served, newLayouts(served)} }

// decode reads a request. The request may keep parts of the frame.
//
//	header  of                                       holds
//	v1      versions that are not flexible           key, version, correlation id, client id
//	v2      flexible versions (KIP-482)              the same, tagged fields
func (d *decoder) decode(frame []byte) (request, error) {
	if len(frame) < requestHeaderMinimum {
		return request{}, malformed(fmt.Sprintf("request header: got %d bytes, want at least %d", len(frame), requestHeaderMinimum))
	}
	key := int16(binary.BigEndian.Uint16(frame))
	version := int16(binary.BigEndian.Uint16(frame[2:]))
	out := request{correlation: int32(binary.BigEndian.Uint32(frame[4:])), size: len(frame) + 4}
	served, ok := d.versions[key]
	layout, known := d.layouts[key]
	if !ok || !known {
		return request{}, malformed(fmt.Sprintf("request: key %d is not served", key))
	}
	inRange := version >= served.Min && version <= served.Max
	if !inRange && key != keyAPIVersions {
		return request{}, malformed(fmt.Sprintf("%s: got version %d, want %d to %d", kmsg.NameForKey(key), version, served.Min, served.Max))
	}
	body := kmsg.RequestForKey(key)
	body.SetVersion(version)
	out.body = body
	rest := frame[8:]
	n := int(int16(binary.BigEndian.Uint16(rest)))
	rest = rest[2:]
	if n > len(rest) {
		return request{}, malformed("request header: client id is cut short")
	}
	if n > 0 {
		out.clientID = string(rest[:n])
		rest = rest[n:]
	}
	if body.IsFlexible() {
		var err error
		if rest, err = skipTags(rest); err != nil {
			return request{}, err
		}
	}
	if !inRange {
		// What follows is of a version we do not know.
		out.fallback = true
		return out, nil
	}
	if _, err := layout.measure(rest, version, decodedTimes*len(frame)+decodedConstant); err != nil {
		return request{}, malformed(fmt.Sprintf("%s v%d: %v", kmsg.NameForKey(key), version, err))
	}
	if err := body.ReadFrom(rest); err != nil {
		return request{}, malformed(fmt.Sprintf("%s v%d: %v", kmsg.NameForKey(key), version, err))
	}
	unframe(body, len(frame))
	return out, nil
}

// unframe copies what brokers keep of a request out of its frame, where otherwise a few bytes
// would keep all of it in memory: records, unless they are most of the frame, and what groups
// and users are made of.
func unframe(req kmsg.Request, size int) {
	switch req := req.(type) {
	case *kmsg.ProduceRequest:
		records := 0
		for i := range req.Topics {
			for j := range req.Topics[i].Partitions {
				records += len(req.Topics[i].Partitions[j].Records)
			}
		}
		if 2*records >= size {
			return
		}
		for i := range req.Topics {
			for j := range req.Topics[i].Partitions {
				p := &req.Topics[i].Partitions[j]
				p.Records = bytes.Clone(p.Records)
			}
		}
	case *kmsg.JoinGroupRequest:
		for i := range req.Protocols {
			req.Protocols[i].Metadata = bytes.Clone(req.Protocols[i].Metadata)
		}
	case *kmsg.SyncGroupRequest:
		for i := range req.GroupAssignment {
			req.GroupAssignment[i].MemberAssignment = bytes.Clone(req.GroupAssignment[i].MemberAssignment)
		}
	case *kmsg.AlterUserSCRAMCredentialsRequest:
		for i := range req.Upsertions {
			u := &req.Upsertions[i]
			u.Salt, u.SaltedPassword = bytes.Clone(u.Salt), bytes.Clone(u.SaltedPassword)
		}
	}
}

// bareToken makes a request of a SASL token that has no header.
func bareToken(frame []byte) request {
	body := kmsg.NewPtrSASLAuthenticateRequest()
	body.SASLAuthBytes = frame
	return request{body: body, token: true, size: len(frame) + 4}
}

// bareTokens is how many tokens without header follow a request: those of one login, after
// SaslHandshake version 0 (KIP-43).
func bareTokens(req kmsg.Request) int {
	h, ok := req.(*kmsg.SASLHandshakeRequest)
	if !ok || h.Version != 0 {
		return 0
	}
	return tokensOf(h.Mechanism)
}

// tokensOf is how many tokens a client sends to log in.
func tokensOf(mechanism string) int {
	if mechanism == "PLAIN" {
		return 1
	}
	return 2 // SCRAM: the first message and the proof
}

// skipTags passes over the tagged fields of a header; none has a meaning yet.
func skipTags(b []byte) ([]byte, error) {
	n, used := binary.Uvarint(b)
	if used <= 0 {
		return nil, malformed("request header: tagged fields are cut short")
	}
	b = b[used:]
	for ; n > 0; n-- {
		for i := 0; i < 2; i++ { // the tag, then the size of its field
			v, used := binary.Uvarint(b)
			if used <= 0 {
				return nil, malformed("request header: tagged fields are cut short")
			}
			b = b[used:]
			if i == 1 {
				if v > uint64(len(b)) {
					return nil, malformed("request header: a tagged field is cut short")
				}
				b = b[v:]
			}
		}
	}
	return b, nil
}

// encode appends the frame of an answer. ApiVersions is always answered with
// the old header, because the client does not know yet what we speak.
func encode(dst []byte, req request, resp kmsg.Response) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	if req.token {
		dst = append(dst, resp.(*kmsg.SASLAuthenticateResponse).SASLAuthBytes...)
		binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-4))
		return dst
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(req.correlation))
	if req.fallback {
		resp.SetVersion(0)
		if r, ok := resp.(*kmsg.ApiVersionsResponse); ok && r.ErrorCode == 0 {
			r.ErrorCode = errUnsupportedCode
		}
	}
	if resp.IsFlexible() && resp.Key() != keyAPIVersions {
		dst = append(dst, 0)
	}
	if p, ok := resp.(*kmsg.ProduceResponse); ok {
		dst = appendProduce(dst, p)
	} else {
		dst = resp.AppendTo(dst)
	}
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-4))
	return dst
}

// refused says that an answer cannot be given: a login that fails after SaslHandshake
// version 0 just ends.
func refused(req request, resp kmsg.Response) bool {
	r, ok := resp.(*kmsg.SASLAuthenticateResponse)
	return ok && req.token && r.ErrorCode != 0
}

// last says that a connection ends behind an answer: one that refuses a login.
func last(resp kmsg.Response) bool {
	switch r := resp.(type) {
	case *kmsg.SASLAuthenticateResponse:
		return r.ErrorCode == errAuthentication
	case *kmsg.SASLHandshakeResponse:
		return r.ErrorCode == errMechanism
	}
	return false
}

// unanswered says that the protocol has no answer for the request.
func unanswered(req kmsg.Request) bool {
	p, ok := req.(*kmsg.ProduceRequest)
	return ok && p.Acks == 0
}
