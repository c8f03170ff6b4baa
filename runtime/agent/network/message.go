package network

// This file defines the messages of the kernel's packet queues (nfnetlink_queue.h):
// those that set a queue up, the packets that come, and the verdicts that go. Netlink's
// headers and attributes are in the machine's byte order, what is inside them in the
// network's.

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	subsysQueue = 3 // NFNL_SUBSYS_QUEUE

	msgPacket  = 0 // NFQNL_MSG_PACKET
	msgVerdict = 1 // NFQNL_MSG_VERDICT
	msgConfig  = 2 // NFQNL_MSG_CONFIG

	attrPacketHdr  = 1  // NFQA_PACKET_HDR: be32 id, be16 protocol, u8 hook
	attrVerdictHdr = 2  // NFQA_VERDICT_HDR: be32 verdict, be32 id
	attrPayload    = 10 // NFQA_PAYLOAD: the first bytes of the packet
	attrCapLen     = 13 // NFQA_CAP_LEN: be32, its length when the payload is not all of it

	attrCfgCmd    = 1 // NFQA_CFG_CMD: u8 command, u8 padding, be16 family
	attrCfgParams = 2 // NFQA_CFG_PARAMS: be32 bytes to copy, u8 mode
	attrCfgMaxLen = 3 // NFQA_CFG_QUEUE_MAXLEN: be32
	attrCfgMask   = 4 // NFQA_CFG_MASK: be32
	attrCfgFlags  = 5 // NFQA_CFG_FLAGS: be32

	cmdBind    = 1      // NFQNL_CFG_CMD_BIND
	copyPacket = 2      // NFQNL_COPY_PACKET
	hookOut    = 3      // NF_INET_LOCAL_OUT
	flagGSO    = 1 << 2 // NFQA_CFG_F_GSO

	nlmsgError  = 2 // NLMSG_ERROR
	nlmRequest  = 1 // NLM_F_REQUEST
	nlmAck      = 4 // NLM_F_ACK
	nlmsgHdrLen = 16
	nfgenLen    = 4
	nlaHdrLen   = 4
	ipv4HdrLen  = 20

	verdictDrop   = 0 // NF_DROP
	verdictAccept = 1 // NF_ACCEPT
)

func align(n int) int { return (n + 3) &^ 3 }

// appendMessage appends one message to a queue. Its attributes come as pairs of a type and a value.
func appendMessage(b []byte, kind, flags uint16, seq uint32, queue uint16, attrs ...attribute) []byte {
	start := len(b)
	b = binary.NativeEndian.AppendUint32(b, 0) // length
	b = binary.NativeEndian.AppendUint16(b, subsysQueue<<8|kind)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = binary.NativeEndian.AppendUint32(b, seq)
	b = binary.NativeEndian.AppendUint32(b, 0) // port: the kernel knows
	b = append(b, 0, 0)                        // AF_UNSPEC, NFNETLINK_V0
	b = binary.BigEndian.AppendUint16(b, queue)
	for _, a := range attrs {
		b = binary.NativeEndian.AppendUint16(b, uint16(nlaHdrLen+len(a.value)))
		b = binary.NativeEndian.AppendUint16(b, a.kind)
		b = append(b, a.value...)
		b = append(b, make([]byte, align(len(a.value))-len(a.value))...)
	}
	binary.NativeEndian.PutUint32(b[start:], uint32(len(b)-start))
	return b
}

type attribute struct {
	kind  uint16
	value []byte
}

// appendBind appends the messages that open a queue: the first bytes of each
// packet are copied, enough for its addresses, and packets that are still to be
// segmented come whole. Fail-open is not asked for: when a queue is full its
// packets are dropped, as in a router, while fail-open would let them overtake.
func appendBind(b []byte, seq uint32, queue uint16, maxLen uint32) []byte {
	be32 := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	b = appendMessage(b, msgConfig, nlmRequest|nlmAck, seq, queue,
		attribute{attrCfgCmd, []byte{cmdBind, 0, 0, 0}})
	return appendMessage(b, msgConfig, nlmRequest|nlmAck, seq, queue,
		attribute{attrCfgParams, append(be32(ipv4HdrLen), copyPacket)},
		attribute{attrCfgMaxLen, be32(maxLen)},
		attribute{attrCfgMask, be32(flagGSO)},
		attribute{attrCfgFlags, be32(flagGSO)})
}

// appendVerdict appends a verdict. Verdicts for several packets go in one write; the
// kernel's own batch of verdicts is for all packets up to a number, and those of
// slower paths are in between.
func appendVerdict(b []byte, v verdict) []byte {
	var hdr [8]byte
	if v.accept {
		hdr[3] = verdictAccept
	}
	binary.BigEndian.PutUint32(hdr[4:], v.id)
	return appendMessage(b, msgVerdict, nlmRequest, 0, v.queue, attribute{attrVerdictHdr, hdr[:]})
}

// message is what one message from the kernel says: a packet, or the answer to a message of ours.
type message struct {
	packet   packet
	isPacket bool
	seq      uint32 // of the message that is answered
	errno    uint32 // 0: done
}

var errShort = errors.New("message is too short")

// parseMessage takes one message off the front of what was read and gives the rest.
func parseMessage(b []byte) (message, []byte, error) {
	if len(b) < nlmsgHdrLen {
		return message{}, nil, fmt.Errorf("netlink header: %w: %d bytes", errShort, len(b))
	}
	n := int(binary.NativeEndian.Uint32(b))
	if n < nlmsgHdrLen || n > len(b) {
		return message{}, nil, fmt.Errorf("netlink message: for length: got %d, want %d to %d", n, nlmsgHdrLen, len(b))
	}
	rest := b[min(align(n), len(b)):]
	kind, seq, body := binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint32(b[8:]), b[nlmsgHdrLen:n]
	switch kind {
	case nlmsgError:
		if len(body) < 4 {
			return message{}, nil, fmt.Errorf("netlink error: %w: %d bytes", errShort, len(body))
		}
		return message{seq: seq, errno: uint32(-int32(binary.NativeEndian.Uint32(body)))}, rest, nil
	case subsysQueue<<8 | msgPacket:
		p, err := parsePacket(body)
		return message{packet: p, isPacket: err == nil}, rest, err
	}
	return message{}, nil, fmt.Errorf("netlink message: for type: got %#x, want a packet or an answer", kind)
}

// parsePacket reads a packet message. A packet without IPv4's addresses has none; it
// is still one that wants a verdict.
func parsePacket(b []byte) (packet, error) {
	if len(b) < nfgenLen {
		return packet{}, fmt.Errorf("packet: %w: %d bytes", errShort, len(b))
	}
	p := packet{queue: binary.BigEndian.Uint16(b[2:])}
	var payload []byte
	length, found := -1, false
	for b = b[nfgenLen:]; len(b) > 0; {
		if len(b) < nlaHdrLen {
			return packet{}, fmt.Errorf("attribute: %w: %d bytes", errShort, len(b))
		}
		n, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])&0x3fff // less NLA_F_NESTED and NLA_F_NET_BYTEORDER
		if n < nlaHdrLen || n > len(b) {
			return packet{}, fmt.Errorf("attribute %d: for length: got %d, want %d to %d", kind, n, nlaHdrLen, len(b))
		}
		value := b[nlaHdrLen:n]
		b = b[min(align(n), len(b)):]
		switch kind {
		case attrPacketHdr:
			if len(value) < 7 {
				return packet{}, fmt.Errorf("packet header: %w: %d bytes", errShort, len(value))
			}
			p.id, found = binary.BigEndian.Uint32(value), true
			p.ends.out = value[6] == hookOut
		case attrPayload:
			payload = value
		case attrCapLen:
			if len(value) < 4 {
				return packet{}, fmt.Errorf("packet length: %w: %d bytes", errShort, len(value))
			}
			length = int(binary.BigEndian.Uint32(value))
		}
	}
	if !found {
		return packet{}, errors.New("packet: got no header, want one with the packet's number")
	}
	p.size = max(length, len(payload))
	if len(payload) >= ipv4HdrLen && payload[0]>>4 == 4 {
		source, dest := [4]byte(payload[12:16]), [4]byte(payload[16:20])
		p.ends.local, p.ends.peer = dest, source
		if p.ends.out {
			p.ends.local, p.ends.peer = source, dest
		}
	}
	return p, nil
}
