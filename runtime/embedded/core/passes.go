package core

// This file defines the probe of a path between nodes, for proofs of network faults.

// Passes tells whether a packet sent now from one node would reach the other's host, by
// the same rule that carries every message. A host that is off is reached by nothing.
func (w *World) Passes(from, to int32) bool {
	a, b := w.byID[from], w.byID[to]
	return a != nil && b != nil && !w.path(a, b).Cut
}
