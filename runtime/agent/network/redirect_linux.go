package network

// This file defines how redirects come into force: a table of its own, whose chain at
// the output hook translates addresses, and the end of what stood before.
//
//	output (nat, dstnat):  saddr Local daddr Peer tcp dport  dnat to To
//
// The kernel asks it about the first packet of a connection only. Its priority is
// before that of the table of conditions, whose output chain therefore sees packets
// as they leave (see build); on their way in packets still come from To where that
// table's input chain looks, for addresses are translated back after it.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const redirectTable = "starfall_redirect"

// redirector is the redirects of a namespace and what is needed to change them.
type redirector struct {
	conn  *nftables.Conn
	diag  *netlink.Handle
	now   []Redirect
	there bool // the table is
}

func newRedirector() (*redirector, error) {
	conn, _, err := dialTable()
	if err != nil {
		return nil, err
	}
	diag, err := netlink.NewHandle(unix.NETLINK_INET_DIAG)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sockets: %w", err), conn.CloseLasting())
	}
	return &redirector{conn: conn, diag: diag}, nil
}

// apply replaces the table by one with a list of redirects, in one transaction.
func (r *redirector) apply(list []Redirect) error {
	t := &nftables.Table{Name: redirectTable, Family: nftables.TableFamilyIPv4}
	r.conn.AddTable(t) // so that there is one to delete
	r.conn.DelTable(t)
	if len(list) > 0 {
		r.conn.AddTable(t)
		c := r.conn.AddChain(&nftables.Chain{
			Name: "output", Table: t, Type: nftables.ChainTypeNAT,
			Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityNATDest,
		})
		for _, x := range list {
			r.conn.AddRule(&nftables.Rule{Table: t, Chain: c, Exprs: redirection(x)})
		}
	}
	if err := r.conn.Flush(); err != nil {
		return fmt.Errorf("nftables: table %s: %w", redirectTable, err)
	}
	r.now, r.there = slices.Clone(list), len(list) > 0
	return nil
}

// redirection is the rule of a redirect.
func redirection(x Redirect) []expr.Any {
	local, peer, to := x.Local.As4(), x.Peer.Addr().As4(), x.To.Addr().As4()
	return []expr.Any{
		sourceDest()[0],
		&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: append(local[:], peer[:]...)},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: unix.NFT_REG_1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{DestRegister: unix.NFT_REG_1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: binaryutil.BigEndian.PutUint16(x.Peer.Port())},
		&expr.Immediate{Register: unix.NFT_REG_1, Data: to[:]},
		&expr.Immediate{Register: unix.NFT_REG_2, Data: binaryutil.BigEndian.PutUint16(x.To.Port())},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: unix.NFT_REG_1, RegProtoMin: unix.NFT_REG_2, Specified: true},
	}
}

// reset resets the connections of these redirects: those to a peer, which have not
// been led elsewhere or have, that both look the same to who made them.
func (r *redirector) reset(list []Redirect) (n int, why string, err error) {
	type pair struct {
		local, peer string
		port        uint16
	}
	wanted := map[pair]bool{}
	for _, x := range list {
		wanted[pair{x.Local.String(), x.Peer.Addr().String(), x.Peer.Port()}] = true
	}
	sockets, err := r.diag.SocketDiagTCP(unix.AF_INET)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return 0, "", fmt.Errorf("sockets: %w", err)
	}
	for _, s := range sockets {
		if !wanted[pair{s.ID.Source.String(), s.ID.Destination.String(), s.ID.DestinationPort}] {
			continue
		}
		err := r.diag.SocketDestroy(&net.TCPAddr{IP: s.ID.Source, Port: int(s.ID.SourcePort)}, &net.TCPAddr{IP: s.ID.Destination, Port: int(s.ID.DestinationPort)})
		switch {
		case err == nil:
			n++
		case errors.Is(err, unix.ENOENT): // it ended by itself
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EPERM):
			return n, fmt.Sprintf("this kernel does not end connections of others: %v", err), nil
		default:
			return n, "", fmt.Errorf("connection %s:%d to %s:%d: %w", s.ID.Source, s.ID.SourcePort, s.ID.Destination, s.ID.DestinationPort, err)
		}
	}
	return n, "", nil
}

// close takes the table out of the kernel.
func (r *redirector) close() error {
	var err error
	if r.there {
		err = r.apply(nil)
	}
	r.diag.Close()
	return errors.Join(err, r.conn.CloseLasting())
}

// Redirect replaces all redirects by others, at once for every new connection, and
// resets the connections that stand where something changes.
func (n *Net) Redirect(ctx context.Context, list []Redirect) (Redirected, error) {
	if err := validateRedirects(list); err != nil {
		return Redirected{}, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return Redirected{}, errClosed
	}
	if err := ctx.Err(); err != nil {
		return Redirected{}, err
	}
	out := Redirected{Redirects: len(list)}
	if n.redirects == nil {
		if len(list) == 0 {
			return out, nil
		}
		r, err := newRedirector()
		if err != nil {
			return Redirected{}, fmt.Errorf("redirect: %w", err)
		}
		n.redirects = r
	}
	touched := changed(n.redirects.now, list)
	if len(touched) == 0 {
		return out, nil
	}
	if err := n.redirects.apply(list); err != nil {
		return Redirected{}, fmt.Errorf("redirect: %w", err)
	}
	var err error
	if out.Reset, out.Why, err = n.redirects.reset(touched); err != nil {
		return out, fmt.Errorf("redirect: %w", err)
	}
	return out, nil
}
