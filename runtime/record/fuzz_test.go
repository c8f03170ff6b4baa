package record

import "testing"

// FuzzDecode feeds damaged payloads to the reader: an error or blocks, never a
// panic and no memory beyond what the payload could hold.
func FuzzDecode(f *testing.F) {
	p := onePlan(3, 2, "round_robin")
	w := NewMemory(p, Info{ID: 7})
	writeAll(w)
	w.Flush()
	for _, payload := range w.mem.payloads {
		f.Add(payload)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		b, err := newDecoder(p, Info{}).Decode(payload)
		if err != nil {
			return
		}
		err = b.Spans(func(_ Stream, spans []Span) error {
			for i := range spans {
				if spans[i].N == 0 {
					t.Errorf("got an empty span %+v", spans[i])
				}
			}
			return nil
		})
		_ = err // a damaged section is one
	})
}
