package wire

// This file defines the fuzzing of what clients send.

import (
	"bytes"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// FuzzRequest: no bytes make the decoder panic, and what it takes it can give back.
func FuzzRequest(f *testing.F) {
	format := kmsg.NewRequestFormatter(kmsg.FormatterClientID("fuzz"))
	for key := int16(0); key <= kmsg.MaxKey; key++ {
		r := kmsg.RequestForKey(key)
		if r == nil {
			continue
		}
		for _, v := range []int16{0, r.MaxVersion()} {
			r.SetVersion(v)
			f.Add(format.AppendRequest(nil, r, 42))
		}
	}
	f.Add([]byte{0, 0, 0, 10, 0, 18, 0x7f, 0xff, 0, 0, 0, 1, 0xff, 0xff})
	f.Add([]byte{0x7f, 0xff, 0xff, 0xff, 0})
	versions := everything()
	f.Fuzz(func(t *testing.T, in []byte) {
		frame, err := readFrame(bytes.NewReader(in), 1<<20)
		if err != nil {
			return
		}
		if len(frame) > len(in) {
			t.Fatalf("frame: got %d bytes out of %d", len(frame), len(in))
		}
		req, err := decode(frame, versions)
		if err != nil {
			return
		}
		inward(req.body, 10)
		if req.fallback {
			return
		}
		again := kmsg.RequestForKey(req.body.Key())
		again.SetVersion(req.body.GetVersion())
		if err := again.ReadFrom(req.body.AppendTo(nil)); err != nil {
			t.Fatalf("%s v%d: what was decoded cannot be decoded again: %v", kmsg.NameForKey(req.body.Key()), req.body.GetVersion(), err)
		}
		resp := req.body.ResponseKind()
		if out := encode(nil, req, resp); len(out) < 8 {
			t.Fatalf("answer: got %d bytes, want a header at least", len(out))
		}
	})
}
