package judge

import (
	"testing"
	"time"
)

// TestTransactions judges literal histories of a transactional producer: what is aborted
// has failed though it stands in the log, and only its committed copy counts.
func TestTransactions(t *testing.T) {
	always := func(_ uint64, _ int32, ack time.Duration) []time.Duration { return []time.Duration{ack + 2*ms} }
	committed := func(x *world) { x.plan.Consumers[0].Isolation = readCommitted }
	abortedFor := func(n int, seqs ...uint64) func(uint64) int {
		hit := only(seqs...)
		return func(seq uint64) int {
			if hit(seq, 0) {
				return n
			}
			return 0
		}
	}
	tests := []struct {
		name   string
		claim  say
		change func(*world)
		want   Outcome
		says   string
	}{
		{"an aborted record has failed", shop("failed").none(), func(x *world) {
			x.fail, x.aborted = reasonFor("its transaction was aborted", 900), abortedFor(1, 900)
		}, Broken, "1 of 2 000"},
		{"an aborted record is no loss", billing("missing").none(), func(x *world) {
			committed(x)
			x.fail, x.aborted = reasonFor("its transaction was aborted", 900), abortedFor(1, 900)
		}, Held, ""},
		{"read_uncommitted rightly sees an aborted record", billing("phantoms").none(), func(x *world) {
			x.fail, x.aborted, x.deliver = reasonFor("its transaction was aborted", 900), abortedFor(1, 900), always
		}, Held, ""},
		{"to read_committed it is a phantom", billing("phantoms").none(), func(x *world) {
			committed(x)
			x.fail, x.aborted, x.deliver = reasonFor("its transaction was aborted", 900), abortedFor(1, 900), always
		}, Broken, "1 of 1 999"},
		{"a failed record that is not in the log is a phantom to both", billing("phantoms").none(), func(x *world) {
			x.fail, x.deliver = reasonFor("refused", 900), always
		}, Broken, "1 of 1 999"},
		{"an aborted copy is no duplicate in the log", orders("duplicates").none(), func(x *world) {
			x.aborted = abortedFor(2, 900, 901)
		}, Held, ""},
		{"two committed copies are", orders("duplicates").none(), func(x *world) {
			x.inLog = func(seq uint64) int { return 1 + abortedFor(1, 900)(seq) }
		}, Broken, "1 of 2 000"},
		{"an acknowledged record of which only an aborted copy stands is lost", orders("lost").none(), func(x *world) {
			x.aborted, x.inLog = abortedFor(1, 900), without(900)
		}, Broken, "1 of 2 000"},
		{"an aborted copy that comes first puts nothing out of order", orders("out_of_order").none(), func(x *world) {
			x.aborted = abortedFor(1, 900, 904)
		}, Held, ""},
		{"an unsure commit leaves records unknown", shop("unknown").none(), func(x *world) {
			x.unknown = reasonFor("nobody knows whether its transaction was committed", 900, 901)
		}, Broken, "2 of 2 000"},
		{"which are no phantoms when they are read", billing("phantoms").none(), func(x *world) {
			committed(x)
			x.unknown, x.deliver = reasonFor("nobody knows whether its transaction was committed", 900, 901), always
		}, Held, ""},
	}
	for _, tt := range tests {
		x := newWorld()
		x.plan.Producers[0].Transaction = 50
		tt.change(x)
		got := x.judge(t, tt.claim.expect()).Claims[0]
		if got.Outcome != tt.want {
			t.Errorf("%s: got %s (%s), want %s", tt.name, got.Outcome, got.Measured, tt.want)
		}
		if n := min(len(tt.says), len(got.Measured)); got.Measured[:n] != tt.says[:n] {
			t.Errorf("%s: got %q, want %q", tt.name, got.Measured, tt.says)
		}
	}
}
