// Package network gives one network namespace of Linux the state that a scenario wants
// of it: which peers are out of reach, which paths lose, delay or narrow what comes
// over them, and whether the host has vanished. It speaks netlink alone, runs no
// other program, and needs CAP_NET_ADMIN in the namespace and nothing more.
package network

// This file defines what can be wanted and what is told about it, on every system;
// only Linux can do it.

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"starfall/interp/plan"
)

// ErrUnsupported says that this system or kernel cannot do what was wanted. What is
// wrapped round it says what is missing.
var ErrUnsupported = errors.New("not supported here")

// Options are for Open.
type Options struct {
	// Interface is the one that leads to the peers. "" is the one with the default
	// route, or the only one besides loopback.
	Interface string
	// Seed is for jitter. 0 is a seed of its own for each Net.
	Seed uint64
}

// State is all that is wanted of the network of a namespace. The zero State is a
// network that is whole. Loopback is never touched.
type State struct {
	Rules []Rule `json:"rules,omitempty"`
	// Dark is a host that has vanished: nothing in, nothing out, no resets.
	Dark bool `json:"dark,omitempty"`
}

// Rule is what the path between a local address and a peer does to packets in one
// direction. Both ends of a path are given it: what is cut is dropped at both; loss,
// latency, jitter and bandwidth happen at the receiving end, for what counts at
// both would count twice.
//
// A rule with a local address goes before one without. A rule with a zero Condition
// is a whole path: an exception to one without a local address.
type Rule struct {
	Local     netip.Addr     `json:"local,omitzero"` // zero: any
	Peer      netip.Addr     `json:"peer"`
	Out       bool           `json:"out,omitempty"` // from Local to Peer; else from Peer to Local
	Condition plan.Condition `json:"condition"`
}

func (r Rule) String() string {
	local := "any"
	if r.Local.IsValid() {
		local = r.Local.String()
	}
	if r.Out {
		return local + " to " + r.Peer.String()
	}
	return r.Peer.String() + " to " + local
}

// Report is what is in force after Apply.
type Report struct {
	At    time.Time     `json:"at"`    // when the kernel had taken it
	Took  time.Duration `json:"took"`  // how long Apply took
	Dark  bool          `json:"dark"`  // nothing in, nothing out
	Cut   int           `json:"cut"`   // rules that drop everything
	Lossy int           `json:"lossy"` // rules that drop a share, at this end
	Slow  int           `json:"slow"`  // rules with latency, jitter or bandwidth, at this end
	// Delay is the mechanism behind Slow: "" when there are none.
	Delay string `json:"delay,omitempty"`
}

// Counter is what a rule has done since it came into force. A rule that is the same in
// the former State and the new one goes on counting.
type Counter struct {
	Rule    Rule   `json:"rule"`
	Packets uint64 `json:"packets"` // that the rule was asked about
	Dropped uint64 `json:"dropped"` // of them, for a cut, by loss, or for want of room in a narrow path
	// Late is the most that a packet was held beyond its time.
	Late time.Duration `json:"late,omitempty"`
}

// Support is what a kernel can do. Each field is "" where it can, and otherwise the
// reason why not.
type Support struct {
	Cut   string `json:"cut,omitempty"`   // drop packets by address
	Loss  string `json:"loss,omitempty"`  // drop a share of them
	Delay string `json:"delay,omitempty"` // latency, jitter and bandwidth
	// DelayBy is the mechanism for Delay.
	DelayBy string `json:"delay_by,omitempty"`
}

// Probe asks whether a peer can be reached by TCP.
type Probe struct {
	Local netip.Addr     `json:"local,omitzero"` // zero: the kernel chooses
	Peer  netip.AddrPort `json:"peer"`
	Wait  time.Duration  `json:"wait"` // until silence counts as such
}

// Answer is how a probe ended.
type Answer string

// The answers to a probe.
const (
	Connected Answer = "connected" // the handshake went through; the connection was closed at once
	Refused   Answer = "refused"   // a reset: the host is there, nobody listens
	Silent    Answer = "silent"    // nothing came back within the wait
	Failed    Answer = "failed"    // the probe could not be made; Error says why
)

// Outcome is the answer to one Probe.
type Outcome struct {
	Answer Answer        `json:"answer"`
	Took   time.Duration `json:"took"`
	Error  string        `json:"error,omitempty"`
}

// Validate returns every problem of a State, joined.
func (s State) Validate() error {
	var errs []error
	type key struct {
		local, peer netip.Addr
		out         bool
	}
	seen := map[key]bool{}
	for _, r := range s.Rules {
		bad := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("rule %s: %w", r, fmt.Errorf(format, args...)))
		}
		if !r.Peer.Is4() {
			bad("for peer: got %s, want an IPv4 address", r.Peer)
		}
		if r.Local.IsValid() && !r.Local.Is4() {
			bad("for local: got %s, want an IPv4 address or none", r.Local)
		}
		k := key{r.Local, r.Peer, r.Out}
		if seen[k] {
			bad("given twice")
		}
		seen[k] = true
		c := r.Condition
		if c.Latency < 0 || c.Jitter < 0 {
			bad("for latency and jitter: got %s and %s, want neither below 0", c.Latency.Std(), c.Jitter.Std())
		}
		if !(c.Loss >= 0 && c.Loss <= 1) {
			bad("for loss: got %v, want 0 to 1", c.Loss)
		}
		if !(c.Bandwidth >= 0) {
			bad("for bandwidth: got %v, want bytes a second, 0 for no limit", c.Bandwidth)
		}
	}
	return errors.Join(errs...)
}

// cut says that nothing passes. A path that loses everything is cut, as on the
// embedded engine.
func cut(c plan.Condition) bool { return c.Cut || c.Loss >= 1 }

// slow says that packets of a path have to wait.
func slow(c plan.Condition) bool {
	return !cut(c) && (c.Latency > 0 || c.Jitter > 0 || c.Bandwidth > 0)
}

// lossy says that a share of a path's packets is lost.
func lossy(c plan.Condition) bool { return !cut(c) && c.Loss > 0 }
