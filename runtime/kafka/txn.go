// This file defines a transactor: the way of a transactional producer's records
// into transactions of so many records each, and to their fate.

package kafka

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"starfall/runtime/record"
)

// addBackoff is the first pause after CONCURRENT_TRANSACTIONS, scenario time: the markers
// of the last transaction are still being written. Java waits as long
// (ADD_PARTITIONS_RETRY_BACKOFF_MS).
const addBackoff = 20 * time.Millisecond

// transactor sends the records of all partitions, in the order in which they were due, in
// transactions of spec.Producer.Transaction records.
//
//	in a transaction                                  its records
//	all written, commit accepted                      acknowledged
//	one is refused for good (too large …)             that one failed; the others are sent again
//	an error, a delivery timeout, no commit asked for sent again in another transaction, failed
//	                                                  when their own timeout is over
//	commit refused at the first asking (fenced …)     the same: it did not commit
//	commit asked for, no clear answer                 unknown, not sent again
//
// A transaction is committed early when half of transaction.timeout.ms is over and when the
// producer stops. After trouble the next sarama producer begins with InitProducerId, which
// aborts whatever the one before left open and fences it (KIP-98).
type transactor struct {
	p     *producer
	r     *route
	every int
	ready chan struct{}
	wake  chan struct{}

	mu         sync.Mutex
	dialing    *client
	begun      bool
	flushing   bool
	closed     bool
	queue      ring[entry]
	refusal    error   // the last one, while there is no pipe
	now        []*item // of the open transaction
	committing bool
	pipe       *txnPipe
	said       time.Time // when trouble was last logged
}

var _ outlet = (*transactor)(nil)

// txnPipe is one sarama producer.
type txnPipe struct {
	client  *client
	prod    sarama.AsyncProducer
	results chan txnResult
	stop    chan struct{} // closed by cut
	once    sync.Once
	retries *atomic.Int64 // pauses that sarama has made
}

type txnResult struct {
	it  *item
	err error
}

func newTransactor(p *producer, r *route) *transactor {
	return &transactor{p: p, r: r, every: p.spec.Producer.Transaction, ready: make(chan struct{}), wake: make(chan struct{}, 1)}
}

func (x *transactor) standing() <-chan struct{} { return x.ready }

func (x *transactor) poke() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// put takes what the last incarnation left.
func (x *transactor) put(entries []entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range entries {
		x.queue.push(e)
	}
}

func (x *transactor) begin() {
	x.mu.Lock()
	x.begun = true
	x.mu.Unlock()
	x.poke()
}

func (x *transactor) take(entries []entry) {
	x.mu.Lock()
	for _, e := range entries {
		x.queue.push(e)
	}
	x.mu.Unlock()
	x.poke()
}

func (x *transactor) flush() {
	x.mu.Lock()
	x.flushing = true
	x.mu.Unlock()
	x.poke()
}

// run makes sarama producers, one after the other, until the transactor is closed.
func (x *transactor) run() {
	set := x.p.set
	for {
		p, err := x.dial()
		x.mu.Lock()
		closed := x.closed
		if err == nil && !closed {
			x.pipe, x.refusal = p, nil
			select {
			case <-x.ready:
			default:
				close(x.ready)
			}
		}
		x.mu.Unlock()
		switch {
		case err != nil:
			if no := refusalIn(err); no != nil {
				x.denied(no)
			}
			x.say(err)
		case closed:
			p.cut(true)
		default:
			x.serve(p)
			x.mu.Lock()
			x.pipe = nil
			closed = x.closed
			x.mu.Unlock()
			p.cut(true)
		}
		if closed || !x.r.cluster.pause(set.wall(set.backoff)) {
			return
		}
	}
}

// denied takes note of a refusal.
func (x *transactor) denied(no error) {
	x.mu.Lock()
	x.refusal = no
	x.mu.Unlock()
	x.p.refused(x.r, no)
}

func (x *transactor) say(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if now := time.Now(); now.Sub(x.said) > x.p.set.wall(10*time.Second) && !x.closed {
		x.said = now
		x.p.spec.Env.Log(fmt.Sprintf("%s: %s", memberID(x.p.spec.Producer.Name, x.p.spec.Member), reason(err)))
	}
}

// dial makes a sarama producer; that asks for the producer id and so fences any other of
// the same transactional id.
func (x *transactor) dial() (*txnPipe, error) {
	set, spec := x.r.set, x.p.spec
	id := memberID(spec.Producer.Name, spec.Member)
	d := set.dialer()
	conf, err := set.producerConfig(id, spec.Producer, d, int(x.p.size))
	if err != nil {
		return nil, err
	}
	conf.ChannelBufferSize = min(x.every, widest)
	conf.Producer.Partitioner = sarama.NewManualPartitioner
	conf.Producer.Transaction.ID = id
	conf.Producer.Transaction.Timeout = set.wall(set.txnTimeout)
	c := newClient(x.r.cluster, conf, d)
	c.refused = x.denied
	var retries atomic.Int64
	conf.Producer.Retry.BackoffFunc = func(int, int) time.Duration {
		if c.Closed() {
			return 0
		}
		return set.wall(set.backoff)
	}
	conf.Producer.Transaction.Retry.BackoffFunc = func(tried, _ int) time.Duration {
		retries.Add(1)
		switch {
		case c.Closed():
			return 0
		case tried < 5:
			return set.wall(min(addBackoff, set.backoff))
		}
		return set.wall(set.backoff)
	}
	x.mu.Lock()
	x.dialing = c
	closed := x.closed
	x.mu.Unlock()
	defer func() {
		x.mu.Lock()
		x.dialing = nil
		x.mu.Unlock()
	}()
	if closed {
		return nil, sarama.ErrClosedClient
	}
	prod, err := sarama.NewAsyncProducerFromClient(c)
	if err != nil {
		c.end(true)
		return nil, err
	}
	p := &txnPipe{client: c, prod: prod, results: make(chan txnResult, x.every), stop: make(chan struct{}), retries: &retries}
	go p.read()
	return p, nil
}

// read passes on what sarama reports, to its end. A transaction's records fit into results,
// so it never holds sarama up.
func (p *txnPipe) read() {
	acks, errs := p.prod.Successes(), p.prod.Errors()
	for acks != nil || errs != nil {
		var r txnResult
		select {
		case msg, ok := <-acks:
			if !ok {
				acks = nil
				continue
			}
			r = txnResult{msg.Metadata.(*item), nil}
		case e, ok := <-errs:
			if !ok {
				errs = nil
				continue
			}
			r = txnResult{e.Msg.Metadata.(*item), e.Err}
		}
		select {
		case p.results <- r:
		case <-p.stop:
		}
	}
}

// cut ends a sarama producer. Only the goroutine of run sends to it, so its input is not
// closed under a send.
func (p *txnPipe) cut(reset bool) {
	p.sever(reset)
	p.prod.AsyncClose()
}

// sever takes its connections away, so that everything in it comes to an end. Sarama 1.61.1
// races with itself then: transactionManager.lastError is written under one lock and read
// under another (publishTxnPartitions), always after it was set once. What is read is only
// handed back to records that nobody listens for any more.
func (p *txnPipe) sever(reset bool) {
	p.once.Do(func() {
		p.client.end(reset)
		close(p.stop)
	})
}

// errGivenUp ends a transaction whose producer was taken away.
var errGivenUp = errors.New("the producer was given up")

// serve does transactions until something goes wrong with this sarama producer.
func (x *transactor) serve(p *txnPipe) {
	for {
		if !x.wait(p) {
			return
		}
		if err := p.prod.BeginTxn(); err != nil {
			x.say(err)
			return
		}
		bad := x.fill(p)
		if bad == nil {
			bad = x.commit(p)
			if bad == nil {
				continue
			}
		} else if x.giveBack(); !errors.Is(bad, errGivenUp) {
			if err := p.prod.AbortTxn(); err == nil && p.prod.TxnStatus()&sarama.ProducerTxnFlagFatalError == 0 {
				x.say(bad)
				if x.r.cluster.pause(x.p.set.wall(x.p.set.backoff)) {
					continue
				}
			}
		}
		x.say(bad)
		return
	}
}

// wait waits for the first record of a transaction.
func (x *transactor) wait(p *txnPipe) bool {
	for {
		x.mu.Lock()
		some, closed := x.begun && x.queue.len() > 0, x.closed
		x.mu.Unlock()
		switch {
		case closed:
			return false
		case some:
			return true
		}
		select {
		case <-x.wake:
		case <-p.stop:
			return false
		}
	}
}

// fill hands the records of one transaction to sarama as they come and waits until each is
// written. Its error says why the transaction must not commit.
func (x *transactor) fill(p *txnPipe) error {
	early := time.NewTimer(x.p.set.wall(x.p.set.txnTimeout / 2))
	defer early.Stop()
	var bad error
	left := 0
	hear := func(r txnResult) {
		left--
		if r.err != nil {
			x.refused(r.it, r.err)
			if bad == nil {
				bad = r.err
			}
		}
	}
	sent := 0
	for over := false; !over && bad == nil && sent < x.every; {
		batch, flushing := x.next(min(x.every-sent, sendAtOnce))
		for _, it := range batch {
			select {
			case p.prod.Input() <- &it.msg:
				left++
				sent++
			case <-p.stop:
				return errGivenUp
			}
		}
		if len(batch) > 0 {
			select {
			case r := <-p.results:
				hear(r)
			default:
			}
			continue
		}
		if flushing {
			break
		}
		select {
		case r := <-p.results:
			hear(r)
		case <-x.wake:
		case <-early.C:
			over = true
		case <-p.stop:
			return errGivenUp
		}
	}
	for left > 0 {
		select {
		case r := <-p.results:
			hear(r)
		case <-p.stop:
			return errGivenUp
		}
	}
	return bad
}

// next moves records from the queue into the open transaction.
func (x *transactor) next(n int) (batch []*item, flushing bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	spec := &x.p.spec
	for len(batch) < n && x.queue.len() > 0 && !x.closed {
		it := &item{entry: x.queue.pop()}
		it.value = record.EncodeSigned(nil, record.Identity{
			Run: spec.RunID, Producer: spec.Index, Member: spec.Member, Seq: it.seq,
		}, spec.Producer.Size, spec.TextKey)
		it.msg = sarama.ProducerMessage{Topic: x.r.topic.KafkaName(), Value: it, Metadata: it, Partition: it.part, Offset: -1}
		if x.p.keys != nil {
			it.msg.Key = x.p.keys[record.KeyOf(spec.Seed, spec.Index, spec.Member, it.seq, spec.Producer.Keys)]
		}
		x.now = append(x.now, it)
		batch = append(batch, it)
	}
	return batch, x.flushing
}

// refused takes a record out of its transaction when it can never be written.
func (x *transactor) refused(it *item, err error) {
	if no := refusalIn(err); no != nil {
		x.p.refused(x.r, no)
	}
	if judgeError(err) != definite {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	i := slices.Index(x.now, it)
	if i < 0 {
		return
	}
	x.now = slices.Delete(x.now, i, i+1)
	x.r.log.Failed(it.seq, it.part, x.p.spec.Clock.Now(), reason(err))
	x.p.release(1)
}

// giveBack puts the records of a transaction that does not commit back to the head of the
// queue.
func (x *transactor) giveBack() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.recall()
}

func (x *transactor) recall() {
	back := make([]entry, 0, len(x.now))
	for _, it := range x.now {
		it.aborted = true
		back = append(back, it.entry)
	}
	x.queue.unpop(back)
	x.now = nil
}

// refusedCommit tells whether an answer to EndTxn says that the transaction did not commit.
func refusedCommit(err error) bool {
	var k sarama.KError
	if !errors.As(err, &k) {
		return false
	}
	switch k {
	case sarama.ErrInvalidProducerEpoch, sarama.ErrProducerFenced, sarama.ErrInvalidTxnState,
		sarama.ErrInvalidProducerIDMapping, sarama.ErrTransactionalIDAuthorizationFailed:
		return true
	}
	return false
}

// commit ends a transaction whose records are all written.
func (x *transactor) commit(p *txnPipe) error {
	x.mu.Lock()
	if x.closed {
		x.mu.Unlock()
		return errGivenUp
	}
	x.committing = true
	x.mu.Unlock()
	before := p.retries.Load()
	err := p.prod.CommitTxn()
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.committing {
		return errGivenUp // given up meanwhile, and decided there
	}
	x.committing = false
	if err != nil {
		// A commit that was asked for again may have been accepted the first time.
		if refusedCommit(err) && p.retries.Load() == before {
			x.recall()
			return err
		}
		x.doubt("nobody knows whether its transaction was committed: " + reason(err))
		return err
	}
	now, log := x.p.spec.Clock.Now(), x.r.log
	slices.SortStableFunc(x.now, func(a, b *item) int { return int(a.part) - int(b.part) })
	for _, it := range x.now {
		if it.msg.Offset < 0 {
			log.Unknown(it.seq, it.part, now, "written before; the broker no longer knows the offset")
			continue
		}
		log.Acked(it.seq, it.part, it.msg.Offset, now)
	}
	n := len(x.now)
	x.now = nil
	x.p.release(n)
	return nil
}

// doubt leaves the records of the transaction unknown. The caller holds mu.
func (x *transactor) doubt(why string) {
	now := x.p.spec.Clock.Now()
	for _, it := range x.now {
		x.r.log.Unknown(it.seq, it.part, now, why)
	}
	n := len(x.now)
	x.now = nil
	x.p.release(n)
}

// expire gives up records whose delivery timeout is over, and with them the transaction
// that they are in.
func (x *transactor) expire(now time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return
	}
	over := func(e entry) bool { return e.since+x.p.timeout <= now }
	if x.pipe != nil && slices.ContainsFunc(x.now, func(it *item) bool { return over(it.entry) }) {
		if x.committing {
			x.committing = false
			x.doubt("delivery timeout while its transaction was being committed")
		} else {
			x.recall()
		}
		x.pipe.sever(true)
	}
	n := 0
	for x.queue.len() > 0 && over(x.queue.front()) {
		e := x.queue.pop()
		n++
		why := "delivery timeout: never handed to a broker"
		if e.aborted {
			why = "delivery timeout: its transaction did not commit"
		}
		x.r.log.Failed(e.seq, e.part, now, why)
	}
	x.p.release(n)
	if x.refusal != nil && x.pipe == nil {
		x.giveUp(now, x.refusal)
	}
}

// refuse fails what waits for a transaction.
func (x *transactor) refuse(now time.Duration, no error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.giveUp(now, no)
}

// giveUp is refuse. The caller holds mu.
func (x *transactor) giveUp(now time.Duration, no error) {
	if x.closed || !x.begun {
		return
	}
	n := x.queue.len()
	for x.queue.len() > 0 {
		e := x.queue.pop()
		x.r.log.Failed(e.seq, e.part, now, reason(no))
	}
	x.p.release(n)
}

// retire lets no transaction begin any more.
func (x *transactor) retire() {
	x.mu.Lock()
	x.begun = false
	x.mu.Unlock()
}

// close ends the transactor. A transaction that is being committed is in doubt; one that
// is open never commits.
func (x *transactor) close(reset bool) {
	x.mu.Lock()
	if x.closed {
		x.mu.Unlock()
		return
	}
	x.closed = true
	if x.committing {
		x.committing = false
		x.doubt("its transaction was being committed when the producer ended")
	} else {
		x.recall()
	}
	p, dialing := x.pipe, x.dialing
	x.mu.Unlock()
	x.poke()
	if p != nil {
		p.sever(reset)
	}
	if dialing != nil {
		dialing.end(reset)
	}
}

func (x *transactor) drop() []entry {
	x.mu.Lock()
	defer x.mu.Unlock()
	var out []entry
	for x.queue.len() > 0 {
		out = append(out, x.queue.pop())
	}
	return out
}
