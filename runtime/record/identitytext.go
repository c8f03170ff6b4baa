// This file defines the identity of a record as text, for clients that people
// write themselves: they pass values on as strings, and must not be able to
// make up a record that they were never given.

package record

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

// textPrefix opens a value that carries its identity as text.
const textPrefix = "sf1."

// macSize is how many bytes of the HMAC-SHA-256 stand behind the identity: 96
// bits, which nobody guesses within a run.
const macSize = 12

var textEncoding = base64.RawURLEncoding

// TextID gives a record's identity as text, signed with the key of a run.
func TextID(id Identity, key []byte) string {
	b := Encode(make([]byte, 0, IdentitySize+macSize), id, IdentitySize)
	return textEncoding.EncodeToString(append(b, sign(b, key)...))
}

// ParseTextID reads what TextID made. It is false for everything else, and for
// what another key has signed.
func ParseTextID(text string, key []byte) (Identity, bool) {
	if len(text) != textEncoding.EncodedLen(IdentitySize+macSize) {
		return Identity{}, false
	}
	b, err := textEncoding.DecodeString(text)
	if err != nil || !hmac.Equal(b[IdentitySize:], sign(b[:IdentitySize], key)) {
		return Identity{}, false
	}
	return Decode(b[:IdentitySize])
}

func sign(identity, key []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(identity)
	return h.Sum(nil)[:macSize]
}

// TextValue gives a value that carries a TextID, filled up to size bytes, as
// far as that is more than the identity takes.
func TextValue(textID string, size int) string {
	const letters = "abcdefghijklmnopqrstuvwxyz012345"
	out := make([]byte, 0, max(size, len(textPrefix)+len(textID)))
	out = append(append(out, textPrefix...), textID...)
	x := uint64(len(textID))
	if b, err := textEncoding.DecodeString(textID); err == nil && len(b) >= IdentitySize {
		x = binary.BigEndian.Uint64(b[16:]) // the sequence number
	}
	if len(out) < size {
		out = append(out, '.')
	}
	for len(out) < size {
		x = mix(x + 0x9e3779b97f4a7c15)
		for v, n := x, 0; n < 12 && len(out) < size; v, n = v>>5, n+1 {
			out = append(out, letters[v&31])
		}
	}
	return string(out)
}

// EncodeSigned is Encode where key is empty, and appends a TextValue elsewhere.
func EncodeSigned(dst []byte, id Identity, size int, key []byte) []byte {
	if len(key) == 0 {
		return Encode(dst, id, size)
	}
	return append(dst, TextValue(TextID(id, key), size)...)
}

// TextIDOf gives the TextID in a value that TextValue made; false for any other.
func TextIDOf(value string) (string, bool) {
	end := len(textPrefix) + textEncoding.EncodedLen(IdentitySize+macSize)
	if len(value) < end || value[:len(textPrefix)] != textPrefix {
		return "", false
	}
	return value[len(textPrefix):end], true
}

// decodeText reads the identity of a value that TextValue made, whoever signed
// it: the audit knows no key.
func decodeText(value []byte) (Identity, bool) {
	var buf [IdentitySize + macSize]byte
	end := len(textPrefix) + textEncoding.EncodedLen(len(buf))
	if len(value) < end {
		return Identity{}, false
	}
	if n, err := textEncoding.Decode(buf[:], value[len(textPrefix):end]); err != nil || n != len(buf) {
		return Identity{}, false
	}
	return Decode(buf[:IdentitySize])
}
