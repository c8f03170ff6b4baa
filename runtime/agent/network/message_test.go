package network

// This file tests the reading of the kernel's messages, and of ours by the same reader.

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

// appendPacket appends a message as the kernel makes it.
func appendPacket(queue uint16, attrs ...attribute) []byte {
	return appendMessage(nil, msgPacket, 0, 0, queue, attrs...)
}

func packetHdr(id uint32) attribute {
	return attribute{attrPacketHdr, append(binary.BigEndian.AppendUint32(nil, id), 0x08, 0x00, 1)}
}

func ipv4(src, dst [4]byte) attribute {
	h := make([]byte, ipv4HdrLen)
	h[0] = 0x45
	copy(h[12:], src[:])
	copy(h[16:], dst[:])
	return attribute{attrPayload, h}
}

func be32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

func TestParseMessage(t *testing.T) {
	local, peer := [4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 2}
	both := ends{local: local, peer: peer}
	failed := binary.NativeEndian.AppendUint32(appendMessage(nil, 0, 0, 77, 0)[:nlmsgHdrLen], ^uint32(0)) // -1: EPERM
	binary.NativeEndian.PutUint32(failed, uint32(len(failed)))
	binary.NativeEndian.PutUint16(failed[4:], nlmsgError)
	packetOf := func(p packet) message { return message{packet: p, isPacket: true} }
	for _, test := range []struct {
		name string
		in   []byte
		want message
		err  string
	}{
		{"packet", appendPacket(7, packetHdr(42), ipv4(peer, local), attribute{attrCapLen, be32(1500)}), packetOf(packet{both, 7, 42, 1500}), ""},
		{"on its way out", appendPacket(7, attribute{attrPacketHdr, []byte{0, 0, 0, 42, 8, 0, hookOut}}, ipv4(local, peer)), packetOf(packet{ends{local, peer, true}, 7, 42, 20}), ""},
		{"whole in the payload", appendPacket(7, packetHdr(42), ipv4(peer, local)), packetOf(packet{both, 7, 42, 20}), ""},
		{"unknown attributes", appendPacket(7, attribute{99, []byte{1}}, packetHdr(42), attribute{15, be32(5)}, ipv4(peer, local)), packetOf(packet{both, 7, 42, 20}), ""},
		{"nested bit", appendPacket(7, packetHdr(42), attribute{attrCapLen | 1<<15, be32(60)}), packetOf(packet{ends{}, 7, 42, 60}), ""},
		{"IPv6", appendPacket(7, packetHdr(42), attribute{attrPayload, append([]byte{0x60}, make([]byte, 39)...)}), packetOf(packet{ends{}, 7, 42, 40}), ""},
		{"short payload", appendPacket(7, packetHdr(42), attribute{attrPayload, []byte{0x45}}), packetOf(packet{ends{}, 7, 42, 1}), ""},
		{"error", failed, message{seq: 77, errno: 1}, ""},
		{"nothing", nil, message{}, "netlink header: message is too short: 0 bytes"},
		{"no packet header", appendPacket(7, ipv4(peer, local)), message{}, "packet: got no header, want one with the packet's number"},
		{"short packet header", appendPacket(7, attribute{attrPacketHdr, []byte{1, 2}}), message{}, "packet header: message is too short: 2 bytes"},
		{"short length", appendPacket(7, packetHdr(1), attribute{attrCapLen, []byte{1}}), message{}, "packet length: message is too short: 1 bytes"},
		{"cut off", appendPacket(7, packetHdr(42))[:20], message{}, "netlink message: for length: got 32, want 16 to 20"},
		{"another type", appendMessage(nil, msgVerdict, 0, 0, 7), message{}, "netlink message: for type: got 0x301, want a packet or an answer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, rest, err := parseMessage(test.in)
			text := ""
			if err != nil {
				text = err.Error()
			}
			if text != test.err {
				t.Fatalf("got error %q, want %q", text, test.err)
			}
			if got != test.want || len(rest) != 0 {
				t.Errorf("got %+v and %d bytes more, want %+v", got, len(rest), test.want)
			}
		})
	}
}

// An attribute that ends beyond its message.
func TestParseBrokenAttribute(t *testing.T) {
	b := appendPacket(7, packetHdr(42))
	binary.NativeEndian.PutUint16(b[nlmsgHdrLen+nfgenLen:], 200)
	if _, _, err := parseMessage(b); err == nil || !strings.Contains(err.Error(), "attribute 1: for length: got 200, want 4 to 12") {
		t.Errorf("got %v, want attribute 1: for length: got 200, want 4 to 12", err)
	}
}

// What is sent is checked by the bytes, as the kernel will read them.
func TestAppendVerdict(t *testing.T) {
	b := appendVerdict(nil, verdict{queue: 0x0102, id: 0x03040506, accept: true})
	b = appendVerdict(b, verdict{queue: 1, id: 2})
	want := binary.NativeEndian.AppendUint32(nil, 32)
	want = binary.NativeEndian.AppendUint16(want, 0x0301)
	want = binary.NativeEndian.AppendUint16(want, 1)
	want = append(want, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2)
	want = binary.NativeEndian.AppendUint16(want, 12)
	want = binary.NativeEndian.AppendUint16(want, 2)
	want = append(want, 0, 0, 0, 1, 3, 4, 5, 6)
	if len(b) != 64 || !slices.Equal(b[:32], want) {
		t.Errorf("got % x, want % x and one more", b, want)
	}
	if drop := b[64-8:]; !slices.Equal(drop, []byte{0, 0, 0, 0, 0, 0, 0, 2}) {
		t.Errorf("drop: got % x, want verdict 0 for packet 2", drop)
	}
}

func FuzzParseMessage(f *testing.F) {
	f.Add(appendPacket(7, packetHdr(42), ipv4([4]byte{1}, [4]byte{2}), attribute{attrCapLen, be32(1500)}))
	f.Add(appendMessage(nil, msgVerdict, 0, 0, 7))
	f.Add(appendBind(nil, 1, 2, 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			m, rest, err := parseMessage(b)
			if err != nil {
				return
			}
			if len(rest) >= len(b) {
				t.Fatalf("got %d bytes left of %d, want fewer", len(rest), len(b))
			}
			if m.isPacket && m.packet.size < 0 {
				t.Fatalf("got a size of %d", m.packet.size)
			}
			b = rest
		}
	})
}
