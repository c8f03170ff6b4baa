package network

// This file defines redirection, as it is wanted: connections that are made to one
// address and arrive at another.

import (
	"errors"
	"fmt"
	"net/netip"
)

// Redirect leads the TCP connections that are made from a local address to a peer to
// another peer instead. Whoever makes them does not notice. Rules see packets as they
// travel: from Local to To.
type Redirect struct {
	Local netip.Addr     `json:"local"`
	Peer  netip.AddrPort `json:"peer"`
	To    netip.AddrPort `json:"to"`
}

// Redirected is what is in force after Redirect.
type Redirected struct {
	Redirects int `json:"redirects"`
	// Reset counts the connections that stood between what is led elsewhere from now
	// on, or no longer, and were reset.
	Reset int `json:"reset"`
	// Why says why none could be reset, "" where that can be done: such a connection is
	// reset by the packet that it sends next, for that goes to somebody who does not
	// know it.
	Why string `json:"why,omitempty"`
}

// validateRedirects returns every problem of a list of redirects, joined.
func validateRedirects(list []Redirect) error {
	var errs []error
	type key struct {
		local netip.Addr
		peer  netip.AddrPort
	}
	seen := map[key]bool{}
	for _, r := range list {
		if !r.Local.Is4() || !r.Peer.Addr().Is4() || !r.To.Addr().Is4() || r.Peer.Port() == 0 || r.To.Port() == 0 {
			errs = append(errs, fmt.Errorf("redirect %s, %s, %s: want IPv4 addresses, and ports of the peers", r.Local, r.Peer, r.To))
		}
		k := key{r.Local, r.Peer}
		if seen[k] {
			errs = append(errs, fmt.Errorf("redirect %s, %s: given twice", r.Local, r.Peer))
		}
		seen[k] = true
	}
	return errors.Join(errs...)
}

// changed gives the redirects that are in one list only.
func changed(a, b []Redirect) []Redirect {
	count := map[Redirect]int{}
	for _, r := range a {
		count[r]++
	}
	for _, r := range b {
		count[r]--
	}
	var out []Redirect
	for _, list := range [][]Redirect{a, b} {
		for _, r := range list {
			if count[r] != 0 {
				out = append(out, r)
			}
		}
	}
	return out
}
