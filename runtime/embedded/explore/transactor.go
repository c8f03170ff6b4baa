package explore

// This file defines transactional producers: what they do, and what they know of it.

import (
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Error codes that transactional producers tell apart.
const (
	errNoAnswer       int16 = -1
	errUnknownTopic   int16 = 3
	errNotLeader      int16 = 6
	errTimedOut       int16 = 7
	errLoading        int16 = 14
	errNotAvailable   int16 = 15
	errNotCoordinator int16 = 16
	errNotEnough      int16 = 19
	errNotEnoughAfter int16 = 20
	errProducerEpoch  int16 = 47
	errProducerID     int16 = 49
	errConcurrentTxns int16 = 51
	errUnstableOffset int16 = 88
	errFenced         int16 = 90
)

// mends: the same request may do later.
func mends(code int16) bool {
	switch code {
	case errNoAnswer, errUnknownTopic, errNotLeader, errTimedOut, errLoading, errNotAvailable, errNotCoordinator, errNotEnough, errNotEnoughAfter, errConcurrentTxns, errUnstableOffset:
		return true
	}
	return false
}

// fences: another producer has taken over.
func fences(code int16) bool {
	return code == errFenced || code == errProducerEpoch || code == errProducerID
}

// outcome is what a producer knows of a transaction.
type outcome int8

const (
	begun     outcome = iota // nobody has asked for its end
	asked                    // commit was asked for, and nobody has said what came of it
	committed                // a coordinator has said so
	aborted                  // commit was never asked for, or refused for certain
)

// String gives the outcome as a word.
func (o outcome) String() string {
	return [...]string{"begun", "asked to commit", "committed", "aborted"}[o]
}

// transaction is one as its producer sees it.
type transaction struct {
	number int
	id     *txnID
	outcome
	made, seen []int // by partition: records acknowledged, and visible to read_committed
	added      []int32
	offset     bool // its number was committed as an offset in it
}

// txnID is a transactional id with those who use it, and a consumer group of the same
// name, where its transactions commit their numbers as offsets.
type txnID struct {
	m     *sim
	name  string
	live  []*transactor // all that have not been fenced and have not crashed
	turns int           // how often a producer was told an epoch without having had one

	acked    int64          // the last offset whose commit was acknowledged, -1 for none
	doubtful map[int64]bool // offsets whose commit was asked for

	committed   int
	committedAt time.Duration
	hurry       bool // commit everything, without pauses
	dying       bool // leave the next transaction open for ever
	stopped     bool
	finished    bool // the last look at the offset is done
}

// transactor is one producer. It does one transaction after the other, and begins with
// InitProducerId, with the epoch that it has when it is not sure of what is under way.
type transactor struct {
	m       *sim
	id      *txnID
	turn    int // which of the id's turns is its own, 0 before it has one
	pid     int64
	epoch   int16
	seq     []int32 // by partition
	leaders []int32 // by partition, 0 for unknown
	txns    int32   // coordinator of transactions, 0 for unknown
	groups  int32   // coordinator of the group, 0 for unknown
	now     *transaction
	over    bool
}

// come lets another producer of the id begin.
func (i *txnID) come() {
	if i.stopped {
		return
	}
	x := &transactor{m: i.m, id: i, pid: -1, epoch: -1, seq: make([]int32, i.m.s.Partitions), leaders: make([]int32, i.m.s.Partitions)}
	i.live = append(i.live, x)
	x.init()
}

// crash lets all producers of the id die, whatever they are doing, and the next one come
// after a while; negative means never. Some leave a batch on its way.
func (i *txnID) crash(next time.Duration) {
	for _, x := range i.live {
		x.over = true
		if x.now == nil {
			continue
		}
		if x.now.outcome == begun {
			x.now.outcome = aborted
			x.sendLate()
		}
		x.now = nil
	}
	i.live = nil
	if next >= 0 {
		i.m.after(next, i.come)
	}
}

// sendLate sends one more batch of the transaction, some time after its producer has
// given it up.
func (x *transactor) sendLate() {
	if len(x.now.added) == 0 {
		return // a client writes only where the coordinator knows that it does
	}
	partition := x.now.added[x.m.rng.IntN(len(x.now.added))]
	leader := x.leaders[partition]
	if leader == 0 {
		return
	}
	pid, epoch, seq, value := x.pid, x.epoch, x.seq[partition], txnValue(x.now.number, partition, 255)
	made := x.m.wall()
	x.m.after(time.Duration(x.m.rng.IntN(500)*x.m.rng.IntN(12))*ms, func() {
		x.m.ask(leader, x.batch(partition, pid, epoch, seq, value, made), clientTimeout, nothing)
	})
}

// txnValue is the number that a record in a transaction carries.
func txnValue(transaction int, partition int32, k int) uint64 {
	return 1<<62 | uint64(transaction)<<16 | uint64(partition)<<8 | uint64(k)
}

func (x *transactor) batch(partition int32, pid int64, epoch int16, seq int32, value uint64, made int64) kmsg.Request {
	req := produce(partition, -1, inTransaction(oneRecord(made, value, pid, epoch, seq)))
	req.TransactionID = &x.id.name
	return req
}

// tell adds a line to the trace.
func (x *transactor) tell(format string, args ...any) {
	if x.m.trace != nil {
		x.m.trace(fmt.Sprintf("%v %s/%d: %s", x.m.now(), x.id.name, x.turn, fmt.Sprintf(format, args...)))
	}
}

// place finds who is to get a request, and forgets when that proved wrong.
type place struct {
	at   *int32
	find func(cb func(broker int32))
}

func (x *transactor) coordinator(at *int32, kind int8) place {
	return place{at, func(cb func(int32)) { x.m.coordinator(kind, x.id.name, cb) }}
}

func (x *transactor) leader(partition int32) place {
	return place{&x.leaders[partition], func(cb func(int32)) { x.m.leaderOf(partition, cb) }}
}

// coordinator asks any broker for a coordinator; cb gets 0 when nobody could say.
func (m *sim) coordinator(kind int8, key string, cb func(broker int32)) {
	m.ask(int32(1+m.rng.IntN(m.s.Brokers)), findCoordinator(kind, key), clientTimeout, func(r kmsg.Response) {
		if a, ok := r.(*kmsg.FindCoordinatorResponse); ok && a.ErrorCode == 0 {
			cb(a.NodeID)
			return
		}
		cb(0)
	})
}

// try sends a request until its code is final, at most so many times. doubt tells that an
// earlier attempt may have taken effect. Nothing comes back to a producer that is over.
func (x *transactor) try(to place, times int, make func() kmsg.Request, done func(r kmsg.Response, code int16, doubt bool)) {
	doubt := false
	var send func()
	again := func() { x.m.after(100*ms, send) }
	send = func() {
		if x.over {
			return
		}
		if *to.at == 0 {
			if times--; times < 0 {
				done(nil, errNoAnswer, doubt)
				return
			}
			to.find(func(broker int32) {
				if *to.at = broker; broker == 0 {
					again()
					return
				}
				send()
			})
			return
		}
		broker, fenced := *to.at, x.turn > 0 && x.turn < x.id.turns
		x.m.ask(broker, make(), clientTimeout, func(r kmsg.Response) {
			if x.over {
				return
			}
			code := codeOf(r)
			if code == 0 && fenced {
				x.m.check.fencedActs(x, broker, r)
			}
			if !mends(code) {
				done(r, code, doubt)
				return
			}
			if code != errConcurrentTxns && code != errUnstableOffset {
				*to.at = 0
				doubt = doubt || code != errLoading
			}
			if times--; times <= 0 {
				done(r, code, doubt)
				return
			}
			again()
		})
	}
	send()
}

// forEver is more attempts than a schedule has time for.
const forEver = 1 << 20

// init fences the producers before this one; one that has an epoch already asks for the
// next, which leaves behind whatever is under way.
func (x *transactor) init() {
	x.try(x.coordinator(&x.txns, txnCoordinator), forEver, func() kmsg.Request {
		return initProducer(x.id.name, x.pid, x.epoch)
	}, func(r kmsg.Response, code int16, _ bool) {
		if code != 0 {
			x.end(code)
			return
		}
		a := r.(*kmsg.InitProducerIDResponse)
		if x.turn == 0 {
			x.id.turns++
			x.turn = x.id.turns
		}
		x.tell("epoch %d of producer %d", a.ProducerEpoch, a.ProducerID)
		x.pid, x.epoch = a.ProducerID, a.ProducerEpoch
		clear(x.seq)
		x.begin()
	})
}

// end is the end of a producer that cannot go on. Where it was the last one, a new one comes.
func (x *transactor) end(code int16) {
	x.tell("over, error %d", code)
	x.over = true
	i := x.id
	if at := slices.Index(i.live, x); at >= 0 {
		i.live = slices.Delete(i.live, at, at+1)
	}
	if len(i.live) > 0 {
		return
	}
	if i.stopped {
		i.finish()
		return
	}
	x.m.after(300*ms, i.come)
}

// begin begins the next transaction.
func (x *transactor) begin() {
	i := x.id
	if i.stopped && !i.dying {
		x.end(0)
		return
	}
	if x.m.rng.IntN(3) == 0 && !i.hurry {
		i.look(true, 3, func(bool) { x.open() })
		return
	}
	x.open()
}

func (x *transactor) open() {
	if x.over {
		return
	}
	m := x.m
	t := &transaction{number: len(m.check.transactions), id: x.id, made: make([]int, m.s.Partitions), seen: make([]int, m.s.Partitions)}
	m.check.transactions = append(m.check.transactions, t)
	x.now = t
	var parts []int32
	for p := range m.s.Partitions {
		if m.rng.IntN(4) > 0 || p == 0 {
			parts = append(parts, int32(p))
		}
	}
	x.try(x.coordinator(&x.txns, txnCoordinator), 20, func() kmsg.Request {
		return addPartitions(x.id.name, x.pid, x.epoch, parts)
	}, func(_ kmsg.Response, code int16, _ bool) {
		if code != 0 {
			x.fails(code)
			return
		}
		t.added = parts
		x.write(parts, m.rng.IntN(5) == 0)
	})
}

// write writes one record into each partition, or two.
func (x *transactor) write(parts []int32, twice bool) {
	if len(parts) == 0 {
		x.offsets()
		return
	}
	p, t := parts[0], x.now
	made := x.m.wall()
	value := txnValue(t.number, p, t.made[p])
	x.try(x.leader(p), 8, func() kmsg.Request {
		return x.batch(p, x.pid, x.epoch, x.seq[p], value, made)
	}, func(_ kmsg.Response, code int16, _ bool) {
		if code != 0 {
			x.fails(code)
			return
		}
		x.seq[p]++
		t.made[p]++
		if !twice || t.made[p] == 2 {
			parts = parts[1:]
		}
		x.write(parts, twice)
	})
}

// offsets commits the transaction's number as an offset in it, every other time.
func (x *transactor) offsets() {
	if x.m.rng.IntN(2) == 0 {
		x.decide()
		return
	}
	t := x.now
	x.try(x.coordinator(&x.txns, txnCoordinator), 20, func() kmsg.Request {
		return addOffsets(x.id.name, x.pid, x.epoch, x.id.name)
	}, func(_ kmsg.Response, code int16, _ bool) {
		if code != 0 {
			x.fails(code)
			return
		}
		x.try(x.coordinator(&x.groups, groupCoordinator), 10, func() kmsg.Request {
			return commitInTxn(x.id.name, x.pid, x.epoch, x.id.name, int64(t.number))
		}, func(_ kmsg.Response, code int16, _ bool) {
			if code != 0 {
				x.fails(code)
				return
			}
			t.offset = true
			x.id.look(false, 1, func(bool) { x.decide() })
		})
	})
}

// decide ends the transaction after a while: most commit.
func (x *transactor) decide() {
	if x.id.dying {
		x.id.crash(-1)
		x.id.finish()
		return
	}
	if x.id.hurry {
		x.finish(true, false)
		return
	}
	commit := x.m.rng.IntN(4) > 0
	late := !commit && x.m.rng.IntN(2) == 0
	x.m.after(time.Duration(x.m.rng.IntN(300))*ms, func() {
		if !x.over {
			x.finish(commit, late)
		}
	})
}

// finish asks for the end. late lets a batch of an aborted transaction arrive afterwards.
func (x *transactor) finish(commit, late bool) {
	t := x.now
	switch {
	case commit:
		t.outcome = asked
		if t.offset {
			x.id.doubtful[int64(t.number)] = true
		}
	case late:
		x.sendLate()
	}
	x.m.trigger(OnEnd)
	x.try(x.coordinator(&x.txns, txnCoordinator), 30, func() kmsg.Request {
		return endTxn(x.id.name, x.pid, x.epoch, commit)
	}, func(_ kmsg.Response, code int16, doubt bool) {
		x.tell("transaction %d: commit %t: error %d, doubt %t", t.number, commit, code, doubt)
		x.now = nil
		switch {
		case code == 0 && !x.m.check.inOffice(x.txns, x.m.check.txns):
			// A coordinator that has been replaced and does not know takes this for the end
			// of the transaction before, and so it is answered without being written, as in
			// Kafka before transaction.version 2 (KIP-890).
			t.outcome = asked
			if t.offset {
				x.id.doubtful[int64(t.number)] = true
			}
		case commit && code == 0:
			t.outcome = committed
			x.id.committed++
			x.id.committedAt = x.m.now()
			if t.offset {
				x.id.acked = int64(t.number)
			}
		case commit && (doubt || mends(code)):
			// It stays as it is: nobody knows.
		default:
			t.outcome = aborted
			delete(x.id.doubtful, int64(t.number))
		}
		switch {
		case fences(code):
			x.end(code)
		case code != 0 || late:
			x.init()
		default:
			pause := time.Duration(700+x.m.rng.IntN(900)) * ms
			if x.id.hurry {
				pause = 100 * ms
			}
			x.m.after(pause, func() {
				if !x.over {
					x.begin()
				}
			})
		}
	})
}

// fails gives the transaction up after an error.
func (x *transactor) fails(code int16) {
	x.tell("transaction %d: given up, error %d", x.now.number, code)
	x.now.outcome = aborted
	x.now = nil
	if fences(code) {
		x.end(code)
		return
	}
	x.try(x.coordinator(&x.txns, txnCoordinator), 20, func() kmsg.Request {
		return endTxn(x.id.name, x.pid, x.epoch, false)
	}, func(_ kmsg.Response, code int16, _ bool) {
		if fences(code) {
			x.end(code)
			return
		}
		x.init() // a batch may still be on its way
	})
}

// look asks for the group's offset, at most so many times, and has it checked.
func (i *txnID) look(stable bool, times int, done func(good bool)) {
	times--
	again := func() {
		if times <= 0 {
			done(false)
			return
		}
		i.m.after(100*ms, func() { i.look(stable, times, done) })
	}
	i.m.coordinator(groupCoordinator, i.name, func(broker int32) {
		if broker == 0 {
			again()
			return
		}
		acked := i.acked
		i.m.ask(broker, fetchOffset(i.name, stable), clientTimeout, func(r kmsg.Response) {
			if codeOf(r) != 0 {
				again()
				return
			}
			i.m.check.txnOffset(i, broker, r.(*kmsg.OffsetFetchResponse).Topics[0].Partitions[0].Offset, acked, stable)
			done(true)
		})
	})
}

// stop lets the producers end what they have begun, or one of them leave the next
// transaction open, for the coordinator to abort.
func (i *txnID) stop(dying bool) {
	i.stopped, i.dying = true, dying
	if len(i.live) == 0 {
		i.finish()
	}
}

// finish has a last look at the offset, when no transaction can be open any more.
func (i *txnID) finish() {
	i.look(true, forEver, func(bool) { i.finished = true })
}
