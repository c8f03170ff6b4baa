// This file defines recordings in memory, for tests and for judging without a
// folder.

package record

import "starfall/interp/plan"

// memory is a sink that keeps payloads as they are.
type memory struct{ payloads [][]byte }

func (m *memory) block(payload []byte) error {
	m.payloads = append(m.payloads, payload)
	return nil
}
func (m *memory) journal([]byte) error                { return nil }
func (m *memory) series(string, string, []byte) error { return nil }
func (m *memory) size() int64                         { return 0 }
func (m *memory) seriesSizes() map[string]int64       { return nil }
func (m *memory) close() error                        { return nil }

// NewMemory makes a Writer that keeps everything in memory. Recording gives
// what was written.
func NewMemory(p *plan.Plan, info Info) *Writer {
	m := &memory{}
	w := newWriter(p, info, m)
	w.mem = m
	close(w.done)
	return w
}

// Recording gives what a Writer of NewMemory has so far; nil for a Writer of a
// folder, whose recording is to be opened.
func (w *Writer) Recording() *Recording {
	if w.mem == nil {
		return nil
	}
	w.Flush()
	w.flushMu.Lock()
	payloads := w.mem.payloads
	w.flushMu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	r := &Recording{Plan: w.plan, Info: w.info, Events: append([]Event(nil), w.events...), payloads: payloads}
	r.seal()
	return r
}
