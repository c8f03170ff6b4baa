// This file defines what a record carries to be recognised: run, producer,
// member and sequence number, as the first bytes of its value.

package record

import (
	"encoding/binary"
	"hash/crc32"
)

// Identity names one record of a run. Producer is the producer's index in
// plan.Producers, Member counts from 1 and Seq from 0 in each member; a
// restarted member goes on counting.
type Identity struct {
	Run      uint64
	Producer int
	Member   int
	Seq      uint64
}

// IdentitySize is how many bytes of a value the identity takes, and so the
// smallest value that Encode makes.
const IdentitySize = 28

// identityMagic opens every value. Layout, big endian:
//
//	0  4  magic
//	4  8  run
//	12 2  producer
//	14 2  member
//	16 8  sequence
//	24 4  CRC-32C of the 24 bytes before
//	28    filler up to the size asked for
const identityMagic = 0x5fa11001

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Encode appends the value of a record to dst: its identity and filler up to
// size bytes (at least IdentitySize). The filler depends on the sequence
// number only and does not compress well, as payloads in practice are no rows
// of zeros.
func Encode(dst []byte, id Identity, size int) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, identityMagic)
	dst = binary.BigEndian.AppendUint64(dst, id.Run)
	dst = binary.BigEndian.AppendUint16(dst, uint16(id.Producer))
	dst = binary.BigEndian.AppendUint16(dst, uint16(id.Member))
	dst = binary.BigEndian.AppendUint64(dst, id.Seq)
	dst = binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[start:start+24], castagnoli))
	for x := id.Seq; len(dst)-start < size; {
		x = mix(x + 0x9e3779b97f4a7c15)
		if left := size - (len(dst) - start); left < 8 {
			var last [8]byte
			binary.LittleEndian.PutUint64(last[:], x)
			dst = append(dst, last[:left]...)
			break
		}
		dst = binary.LittleEndian.AppendUint64(dst, x)
	}
	return dst
}

// Decode reads the identity from a value. It is false for what neither Encode
// nor TextValue made; the caller compares Run to tell records of another run.
func Decode(value []byte) (Identity, bool) {
	if len(value) > len(textPrefix) && string(value[:len(textPrefix)]) == textPrefix {
		return decodeText(value)
	}
	if len(value) < IdentitySize || binary.BigEndian.Uint32(value) != identityMagic ||
		binary.BigEndian.Uint32(value[24:]) != crc32.Checksum(value[:24], castagnoli) {
		return Identity{}, false
	}
	return Identity{
		Run:      binary.BigEndian.Uint64(value[4:]),
		Producer: int(binary.BigEndian.Uint16(value[12:])),
		Member:   int(binary.BigEndian.Uint16(value[14:])),
		Seq:      binary.BigEndian.Uint64(value[16:]),
	}, true
}

// mix is the finalizer of SplitMix64: a cheap bijection that spreads bits.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
