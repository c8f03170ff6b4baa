package network

// This file defines the nftables table of a namespace. Its chains and their rules
// stay; what changes is the elements of its maps, and they change for every packet in
// one moment. (The chains must stay: when a base chain goes, the kernel drops every
// packet that waits in any queue of the namespace.)
//
//	input:   loopback                    accept
//	         @dark                       drop
//	         not IPv4                    accept
//	         saddr . daddr  @in          drop | goto a loss chain | goto queue | accept
//	         saddr          @in_any      the same
//	output:  likewise, saddr . daddr @out, daddr @out_any: goto queue | accept
//	loss_N:  random mod 2³⁰ < N          goto lost
//	loss_N_queue: the same, then         goto queue
//	lost:    saddr . daddr  @lost        drop, counted by rule
//	         saddr          @lost_any    the same
//	         drop
//	queue:   to the scheduler, which drops what is cut
//
// What is cut on its way out goes to the scheduler, for a sender that learns of a drop
// acts on it: TCP takes the segment for one not sent, and tries again at other times
// than those for one that was lost. Where there is no queue it is dropped all the same.
//
// Each element counts the packets that met it.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	tableName   = "starfall"
	lossModulus = 1 << 30
	chunk       = 500     // elements in a message, whose attributes end at 64 KiB
	writeBuffer = 4 << 20 // a transaction is one write
)

// The maps of the table, by name. Those of addresses are keyed as packets have them:
// source, then destination.
const (
	mapDark    = "dark"
	mapIn      = "in"
	mapInAny   = "in_any"
	mapOut     = "out"
	mapOutAny  = "out_any"
	mapLost    = "lost"
	mapLostAny = "lost_any"
)

const chainQueue = "queue"

// element is a key of a map with its verdict: "drop", "accept", or the chain that a
// packet goes to.
type element struct{ in, key string }

const (
	toDrop   = "drop"
	toAccept = "accept"
)

// lossChain is the name of the chain for a share of packets lost.
func lossChain(loss float64, slow bool) string {
	name := fmt.Sprintf("loss_%d", max(1, int64(math.Round(loss*lossModulus))))
	if slow {
		name += "_queue"
	}
	return name
}

// elements are what rules are in the table: for each element the verdict. With a
// queue, packets on their way out are dropped there.
func elements(s State, queue bool) map[element]string {
	all := make(map[element]string, len(s.Rules))
	for _, r := range s.Rules {
		peer, local := r.Peer.As4(), [4]byte{}
		if r.Local.IsValid() {
			local = r.Local.As4()
		}
		var in, lost element
		switch {
		case r.Out && r.Local.IsValid():
			in = element{mapOut, string(local[:]) + string(peer[:])}
		case r.Out:
			in = element{mapOutAny, string(peer[:])}
		case r.Local.IsValid():
			in = element{mapIn, string(peer[:]) + string(local[:])}
			lost = element{mapLost, in.key}
		default:
			in = element{mapInAny, string(peer[:])}
			lost = element{mapLostAny, in.key}
		}
		c := r.Condition
		switch {
		case cut(c) && r.Out && queue:
			all[in] = chainQueue
		case cut(c):
			all[in] = toDrop
		case r.Out:
			all[in] = toAccept
		case lossy(c):
			all[in] = lossChain(c.Loss, slow(c))
			all[lost] = toDrop
		case slow(c):
			all[in] = chainQueue
		default:
			all[in] = toAccept
		}
	}
	if s.Dark {
		for _, family := range []byte{unix.NFPROTO_IPV4, unix.NFPROTO_IPV6} {
			all[element{mapDark, string([]byte{family})}] = toDrop
		}
	}
	return all
}

// table is the table in the kernel, and what is known to be in it.
type table struct {
	conn   *nftables.Conn
	socket *netlink.Conn // under conn
	t      *nftables.Table
	sets   map[string]*nftables.Set
	queue  expr.Any // nil: this kernel has none
	now    map[element]string
}

// dialTable opens a connection in the namespace of the calling thread, and gives the
// socket under it too.
func dialTable() (conn *nftables.Conn, socket *netlink.Conn, err error) {
	conn, err = nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		socket = c
		return c.SetWriteBuffer(writeBuffer)
	}))
	if err != nil {
		return nil, nil, fmt.Errorf("nftables: %w", err)
	}
	return conn, socket, nil
}

// newTable makes an empty table in the namespace of the calling thread, in place of one that an earlier process left.
func newTable(queue expr.Any) (*table, error) {
	conn, socket, err := dialTable()
	if err != nil {
		return nil, err
	}
	t := &table{conn: conn, socket: socket, queue: queue, t: &nftables.Table{Name: tableName, Family: nftables.TableFamilyINet}}
	conn.AddTable(t.t) // so that there is one to delete
	conn.DelTable(t.t)
	err = t.build()
	if err == nil {
		err = conn.Flush()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("nftables: table %s: %w", tableName, err), conn.CloseLasting())
	}
	return t, nil
}

// build queues the messages that make the table.
func (t *table) build() error {
	t.conn.AddTable(t.t)
	t.sets, t.now = map[string]*nftables.Set{}, map[element]string{}
	pair := nftables.SetDatatype{Name: "ipv4_addr . ipv4_addr", Bytes: 8}
	pair.SetNFTMagic(nftables.TypeIPAddr.GetNFTMagic()<<nftables.SetConcatTypeBits | nftables.TypeIPAddr.GetNFTMagic())
	for id, m := range []struct {
		name string
		key  nftables.SetDatatype
	}{
		{mapDark, nftables.TypeNFProto},
		{mapIn, pair}, {mapInAny, nftables.TypeIPAddr},
		{mapOut, pair}, {mapOutAny, nftables.TypeIPAddr},
		{mapLost, pair}, {mapLostAny, nftables.TypeIPAddr},
	} {
		s := &nftables.Set{
			Table: t.t, ID: uint32(id + 1), Name: m.name, IsMap: true, Counter: true,
			KeyType: m.key, DataType: nftables.TypeVerdict, Concatenation: m.key.Name == pair.Name,
		}
		if err := t.conn.AddSet(s, nil); err != nil {
			return err
		}
		t.sets[m.name] = s
	}

	lost := t.chain("lost")
	t.rule(lost, append(sourceDest(), t.verdict(mapLost))...)
	t.rule(lost, append(source(), t.verdict(mapLostAny))...)
	t.rule(lost, &expr.Verdict{Kind: expr.VerdictDrop})
	queue := t.chain(chainQueue)
	if t.queue != nil {
		t.rule(queue, t.queue)
	}

	for _, base := range []struct {
		name      string
		hook      *nftables.ChainHook
		priority  *nftables.ChainPriority
		device    expr.MetaKey
		pair, any string
		peer      []expr.Any
	}{
		{"input", nftables.ChainHookInput, nftables.ChainPriorityRaw, expr.MetaKeyIIF, mapIn, mapInAny, source()},
		// After redirects: a packet's path is that to where it goes.
		{"output", nftables.ChainHookOutput, nftables.ChainPriorityFilter, expr.MetaKeyOIF, mapOut, mapOutAny, dest()},
	} {
		c := t.conn.AddChain(&nftables.Chain{
			Name: base.name, Table: t.t, Type: nftables.ChainTypeFilter,
			Hooknum: base.hook, Priority: base.priority,
		})
		accept := &expr.Verdict{Kind: expr.VerdictAccept}
		loopback := binary.NativeEndian.AppendUint32(nil, 1) // LOOPBACK_IFINDEX in every namespace
		family := &expr.Meta{Key: expr.MetaKeyNFPROTO, Register: unix.NFT_REG_1}
		t.rule(c, &expr.Meta{Key: base.device, Register: unix.NFT_REG_1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: loopback}, accept)
		t.rule(c, family, t.verdict(mapDark))
		t.rule(c, family, &expr.Cmp{Op: expr.CmpOpNeq, Register: unix.NFT_REG_1, Data: []byte{unix.NFPROTO_IPV4}}, accept)
		t.rule(c, append(sourceDest(), t.verdict(base.pair))...)
		t.rule(c, append(base.peer, t.verdict(base.any))...)
	}
	return nil
}

// Both addresses of an IPv4 header stand side by side, so that one load is the
// concatenation of both.
func sourceDest() []expr.Any { return []expr.Any{address(12, 8)} }
func source() []expr.Any     { return []expr.Any{address(12, 4)} }
func dest() []expr.Any       { return []expr.Any{address(16, 4)} }

func address(offset, length uint32) expr.Any {
	return &expr.Payload{DestRegister: unix.NFT_REG_1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length}
}

// verdict looks what is loaded up in a map and does what it says.
func (t *table) verdict(name string) expr.Any {
	s := t.sets[name]
	return &expr.Lookup{SourceRegister: unix.NFT_REG_1, DestRegister: unix.NFT_REG_VERDICT, IsDestRegSet: true, SetName: s.Name, SetID: s.ID}
}

func (t *table) chain(name string) *nftables.Chain {
	return t.conn.AddChain(&nftables.Chain{Name: name, Table: t.t})
}

func (t *table) rule(c *nftables.Chain, exprs ...expr.Any) {
	t.conn.AddRule(&nftables.Rule{Table: t.t, Chain: c, Exprs: exprs})
}

// lossRule lets one packet of a share through to the rule's own verdict.
func lossRule(threshold uint32) []expr.Any {
	return []expr.Any{
		&expr.Numgen{Register: unix.NFT_REG_1, Modulus: lossModulus, Type: unix.NFT_NG_RANDOM},
		// Comparing is byte by byte.
		&expr.Byteorder{SourceRegister: unix.NFT_REG_1, DestRegister: unix.NFT_REG_1, Op: expr.ByteorderHton, Len: 4, Size: 4},
		&expr.Cmp{Op: expr.CmpOpLt, Register: unix.NFT_REG_1, Data: binaryutil.BigEndian.PutUint32(threshold)},
		&expr.Verdict{Kind: expr.VerdictGoto, Chain: "lost"},
	}
}

// lossChains are the chains for loss that elements go to.
func lossChains(all map[element]string) map[string]bool {
	names := map[string]bool{}
	for _, to := range all {
		if to != toDrop && to != toAccept && to != chainQueue {
			names[to] = true
		}
	}
	return names
}

// apply makes the elements of the table those that are wanted, in one transaction:
// all or, when it gives an error, none. What is the same is left alone, and its
// counters go on.
func (t *table) apply(wanted map[element]string) error {
	add, del := map[string][]nftables.SetElement{}, map[string][]nftables.SetElement{}
	for e, to := range wanted {
		if was, ok := t.now[e]; !ok || was != to {
			add[e.in] = append(add[e.in], setElement(e, to))
		}
	}
	for e, was := range t.now {
		if to, ok := wanted[e]; !ok || was != to {
			del[e.in] = append(del[e.in], setElement(e, was))
		}
	}
	if len(add) == 0 && len(del) == 0 {
		return nil
	}
	had, want := lossChains(t.now), lossChains(wanted)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if had[name] {
			continue
		}
		var threshold uint32
		if _, err := fmt.Sscanf(name, "loss_%d", &threshold); err != nil {
			return fmt.Errorf("chain %s: %w", name, err)
		}
		c := t.chain(name)
		t.rule(c, lossRule(threshold)...)
		if name != fmt.Sprintf("loss_%d", threshold) {
			t.rule(c, &expr.Verdict{Kind: expr.VerdictGoto, Chain: chainQueue})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.sets)) {
		for part := range slices.Chunk(del[name], chunk) {
			if err := t.conn.SetDeleteElements(t.sets[name], part); err != nil {
				return err
			}
		}
		for part := range slices.Chunk(add[name], chunk) {
			if err := t.conn.SetAddElements(t.sets[name], part); err != nil {
				return err
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(had)) {
		if !want[name] {
			c := &nftables.Chain{Name: name, Table: t.t}
			t.conn.FlushChain(c)
			t.conn.DelChain(c)
		}
	}
	if err := t.conn.Flush(); err != nil {
		return errors.Join(fmt.Errorf("nftables: %w", err), t.drain())
	}
	t.now = wanted
	return nil
}

// drain reads the answers that an error left in the socket, lest they be taken for
// answers to what is asked next. A new socket would not do: the thread may be in another
// namespace by now.
func (t *table) drain() error {
	for {
		// The kernel has answered before it took the question for asked.
		if err := t.socket.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			return err
		}
		if _, err := t.socket.Receive(); errors.Is(err, os.ErrDeadlineExceeded) {
			return t.socket.SetReadDeadline(time.Time{})
		}
	}
}

func setElement(e element, to string) nftables.SetElement {
	v := &expr.Verdict{Kind: expr.VerdictGoto, Chain: to}
	switch to {
	case toDrop:
		v = &expr.Verdict{Kind: expr.VerdictDrop}
	case toAccept:
		v = &expr.Verdict{Kind: expr.VerdictAccept}
	}
	return nftables.SetElement{Key: []byte(e.key), VerdictData: v}
}

// counts reads how many packets have met each element.
func (t *table) counts() (map[element]uint64, error) {
	counts := map[element]uint64{}
	for name, s := range t.sets {
		elems, err := t.conn.GetSetElements(s)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("nftables: map %s: %w", name, err), t.drain())
		}
		for _, e := range elems {
			if e.Counter == nil {
				return nil, fmt.Errorf("nftables: map %s: %w: this kernel does not count the packets of elements", name, ErrUnsupported)
			}
			counts[element{name, string(e.Key)}] = e.Counter.Packets
		}
	}
	return counts, nil
}

// close takes the table out of the kernel.
func (t *table) close() error {
	t.conn.DelTable(t.t)
	err := t.conn.Flush()
	if err != nil {
		err = fmt.Errorf("nftables: table %s: %w", tableName, err)
	}
	return errors.Join(err, t.conn.CloseLasting())
}

// The two ways to a packet queue. Both spread paths over the queues by a hash of
// the addresses, and neither lets packets pass when nobody reads a queue.

// nativeQueue is nftables' own expression.
func nativeQueue(first, n uint16) expr.Any {
	return &expr.Queue{Num: first, Total: n}
}

// targetQueue is the target of iptables, through nftables' layer for such. Its struct
// xt_NFQ_info_v3 is three u16: number, total, flags; padded to eight bytes.
func targetQueue(first, n uint16) expr.Any {
	info := make(xt.Unknown, 8)
	binary.NativeEndian.PutUint16(info[0:], first)
	binary.NativeEndian.PutUint16(info[2:], n)
	return &expr.Target{Name: "NFQUEUE", Rev: 3, Info: &info}
}
