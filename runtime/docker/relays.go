package docker

// This file defines how a client's traffic goes through a relay in another site.
//
// The relay listens on one port for each broker. In the client's container the
// kernel leads connections of the client's members to brokers there, so that
// client and broker notice nothing but that what stood was reset. What the
// network does to the paths client to relay and relay to broker it does to them;
// the client's own path to the broker is not used any more.

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"time"

	"starfall/runtime"
	"starfall/runtime/agent/network"
	"starfall/runtime/agent/relay"
)

// serviceRelay is the agent's service that carries connections.
const serviceRelay = "relay"

// relayRoutes gives a relay's port for each broker, and where it leads.
func (w *world) relayRoutes() []relay.Route {
	var out []relay.Route
	for _, key := range w.order {
		s := w.servers[key]
		if s.broker() {
			out = append(out, relay.Route{Port: portRelay + uint16(len(out)), To: netip.AddrPortFrom(s.box.addr, portClients)})
		}
	}
	return out
}

// startRelays sets the relays to work. They carry nothing until a client is led
// to them.
func (w *world) startRelays(ctx context.Context) error {
	for _, site := range relaySites(w.p) {
		client := runtime.RelayPlace(site).Client
		b := w.standing(runtime.RelayPlace(site))
		stream, err := b.agent.Open(ctx, serviceRelay, relay.Request{Routes: w.relayRoutes()})
		if err != nil {
			return fmt.Errorf("relay in %s: %w", site, err)
		}
		r, err := relay.Start(ctx, stream)
		if err != nil {
			return fmt.Errorf("relay in %s: %w", site, err)
		}
		w.mu.Lock()
		w.relays[client] = r
		w.mu.Unlock()
	}
	return nil
}

// redirects are those of all relayed members in a site's container.
func (w *world) redirects(site string) []network.Redirect {
	routes := w.relayRoutes()
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []network.Redirect
	for p, addr := range w.members {
		if at, err := siteOf(w.p, p.Client); err != nil || at != site || w.via[p.Client] == "" {
			continue
		}
		by := w.stands[runtime.RelayPlace(w.via[p.Client]).Client]
		for _, r := range routes {
			out = append(out, network.Redirect{Local: addr, Peer: r.To, To: netip.AddrPortFrom(by.addr, r.Port)})
		}
	}
	return out
}

// relayNew leads a new member of a relayed client where the others are led.
func (w *world) relayNew(ctx context.Context, p runtime.Place, b *box) error {
	w.relaying.Lock()
	defer w.relaying.Unlock()
	w.mu.Lock()
	via := w.via[p.Client]
	w.mu.Unlock()
	if via == "" {
		return nil
	}
	_, err := b.agent.Redirect(ctx, w.redirects(b.site))
	return err
}

// Relay leads all members of a client through a site, or, with via "", straight
// again. What they have connected is reset.
func (w *world) Relay(ctx context.Context, client, via string) (runtime.Proof, error) {
	if err := w.failed(); err != nil {
		return runtime.Proof{}, err
	}
	site, err := siteOf(w.p, client)
	if err != nil {
		return runtime.Proof{}, err
	}
	w.mu.Lock()
	b := w.sites[site]
	by := w.relays[runtime.RelayPlace(via).Client]
	w.mu.Unlock()
	switch {
	case b == nil:
		return runtime.Proof{}, fmt.Errorf("client %s: nothing stands in site %s", client, site)
	case via != "" && by == nil:
		return runtime.Proof{}, fmt.Errorf("client %s: there is no relay in site %s", client, via)
	}
	w.relaying.Lock()
	defer w.relaying.Unlock()
	was := relay.Count{}
	if by != nil {
		if was, err = by.Count(ctx); err != nil {
			return runtime.Proof{}, err
		}
	}
	w.mu.Lock()
	w.via[client] = via
	w.mu.Unlock()
	got, err := b.agent.Redirect(ctx, w.redirects(site))
	if err != nil {
		return runtime.Proof{}, fmt.Errorf("client %s: %w", client, err)
	}
	at := time.Now()
	text := fmt.Sprintf("%d connections reset", got.Reset)
	if got.Why != "" {
		text = "connections are reset as they are used: " + got.Why
	}
	if via == "" {
		return runtime.Proof{OK: true, At: at, Text: "straight again, " + text}, nil
	}
	return w.proveRelay(ctx, client, via, b, by, was, at, text)
}

// relayPatience is how long a relay may take to be seen at work: the site that it
// stands in may be cut off, and then it is not.
const relayPatience = 10 * time.Second

// proveRelay has brokers asked something, as the client, until one has answered
// and the relay has carried it.
func (w *world) proveRelay(ctx context.Context, client, via string, b *box, by *relay.Relay, was relay.Count, at time.Time, text string) (runtime.Proof, error) {
	ctx, cancel := context.WithTimeout(ctx, relayPatience)
	defer cancel()
	var local netip.Addr
	w.mu.Lock()
	for p, addr := range w.members {
		if p.Client == client && (!local.IsValid() || p.Member == 1) {
			local = addr
		}
	}
	w.mu.Unlock()
	if !local.IsValid() {
		return runtime.Proof{OK: true, At: at, Text: fmt.Sprintf("members of %s will go through %s", client, via)}, nil
	}
	routes := w.relayRoutes()
	for {
		answered := make([]error, len(routes))
		var asked sync.WaitGroup
		for i, r := range routes {
			asked.Go(func() { answered[i] = askVersions(ctx, b, local, r.To) })
		}
		asked.Wait()
		n := 0
		for _, err := range answered {
			if err == nil {
				n++
			}
		}
		now, err := by.Count(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			return runtime.Proof{}, err
		case err == nil && n > 0 && now.Reached-was.Reached < int64(n):
			return runtime.Proof{}, fmt.Errorf("client %s: %d brokers answered, but the relay in %s carried %d connections", client, n, via, now.Reached-was.Reached)
		case err == nil && n > 0:
			return runtime.Proof{OK: true, At: at, Text: fmt.Sprintf("through the relay in %s %d of %d brokers answer, %s", via, n, len(routes), text)}, nil
		}
		select {
		case <-ctx.Done():
			return runtime.Proof{Text: fmt.Sprintf("led to the relay in %s, but no broker answers through it: %v", via, errors.Join(answered...))}, nil
		case <-time.After(settleEvery):
		}
	}
}

// askVersions asks a broker which versions of requests it takes, from inside a
// box: the one question that needs no login.
func askVersions(ctx context.Context, b *box, local netip.Addr, broker netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(ctx, answerIn)
	defer cancel()
	conn, err := b.agent.Dial(ctx, local, broker.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(answerIn)); err != nil {
		return err
	}
	// ApiVersions, version 0, correlation 7, without a client id.
	if _, err := conn.Write([]byte{0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff}); err != nil {
		return err
	}
	var head [8]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return fmt.Errorf("%s: %w", broker, err)
	}
	if id := binary.BigEndian.Uint32(head[4:]); id != 7 {
		return fmt.Errorf("%s: got an answer to question %d, want 7", broker, id)
	}
	return nil
}
