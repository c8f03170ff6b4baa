// This file defines a producer that somebody wrote: what is due is handed to
// its process at the scheduled pace, and its answers become fates.

package external

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"starfall/runtime"
	"starfall/runtime/record"
)

const (
	// lateAfter is how long after it was due a record may be handed over before
	// the machine is to blame, wall time (language.md, measure late).
	lateAfter = 100 * time.Millisecond
	// blocked is how long a write to the client may take before it is the
	// client that takes no more, wall time.
	blocked = 20 * time.Millisecond
	// batch bounds how many records are handed over before the clock is looked
	// at again.
	batch = 1024
	// rest is the shortest sleep of the pacer, and sweep how often answers that
	// do not come are looked for, wall time.
	rest  = time.Millisecond
	sweep = 50 * time.Millisecond
)

// producer is one member. A record is in one of three places:
//
//	place      holds                                left by
//	schedule   due, not handed over: a number only  a write that the client takes
//	client     handed over, not answered            an answer; the timeout (unknown); its end (unknown)
//	recording  its fate                             –
//
// While the client's buffer is full (Producer.Buffer, as far as records that
// are not answered fill it) or the client does not read, records wait in the
// schedule, as they wait for a built-in client's buffer.
type producer struct {
	load *Load
	spec runtime.ProducerSpec
	key  memberKey
	line string

	mu      sync.Mutex
	log     *record.ProducerLog
	seg     record.Segment // of records that are not due yet
	past    []record.Segment
	running bool
	begun   bool
	stopped bool
	offered uint64
	open    map[uint64]time.Duration // handed over and not answered: when
	order   []uint64                 // their numbers as handed over; answered ones are skipped
	full    time.Duration            // the last moment at which the client took no more
	proc    *process
	dead    bool // the process has ended unasked
	mute    bool // told: the client does not say where records stand
	bad     int  // lines that nobody understands
	lies    int

	wake chan struct{}
	quit chan struct{}
	once sync.Once
	idle sync.WaitGroup
}

var (
	_ runtime.Producer   = (*producer)(nil)
	_ runtime.Redirecter = (*producer)(nil)
)

func newProducer(l *Load, line string, s runtime.ProducerSpec) (*producer, error) {
	p := &producer{
		load: l, spec: s, line: line, log: s.Log, key: memberKey{s.Producer.Name, s.Member},
		open: map[uint64]time.Duration{}, wake: make(chan struct{}, 1), quit: make(chan struct{}), full: -1 << 62,
	}
	old := l.resume(p.key)
	p.offered = old.next
	env := p.spec.Env
	more := map[string]string{
		"KAFKA_BOOTSTRAP": strings.Join(s.Bootstrap, ","),
		"TOPIC":           s.Topic.KafkaName(),
		"MEMBER":          strconv.Itoa(s.Member),
		"RUN_SECONDS":     strconv.Itoa(int(s.Until / time.Second)),
		"ACKS":            s.Producer.Acks,
	}
	login(more, s.Login)
	proc, err := start(p.name(), line, l.o.Dir, l.o.Folder, environment(l.o.Environ, more), p.hear)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.proc = proc
	p.mu.Unlock()
	// What a crashed predecessor was not told the end of is sent again.
	again := slices.Clone(old.open)
	p.idle.Go(func() { p.resend(again); p.pace() })
	p.idle.Go(p.sweep)
	go p.mourn(env)
	return p, nil
}

// login tells a client how it says who it is.
func login(more map[string]string, l runtime.Login) {
	if l.Mechanism == "" {
		return
	}
	more["KAFKA_SASL_MECHANISM"], more["KAFKA_USER"], more["KAFKA_PASSWORD"] = l.Mechanism, l.User, l.Password
}

func (p *producer) name() string { return fmt.Sprintf("%s-%d", p.spec.Producer.Name, p.spec.Member) }

// mourn notes an end that nobody asked for.
func (p *producer) mourn(env runtime.Env) {
	<-p.proc.gone
	how, unasked := p.proc.ended()
	if !unasked {
		return
	}
	p.mu.Lock()
	p.dead = true
	now := env.Clock.Now()
	for _, seq := range p.order {
		if _, ok := p.open[seq]; ok {
			p.log.Unknown(seq, 0, now, "its client ended before it answered")
		}
	}
	clear(p.open)
	p.order = nil
	p.mu.Unlock()
	p.tell("ended by itself", how)
	p.poke()
}

func (p *producer) tell(what, err string) {
	tell(p.spec.Env, p.spec.Producer.Name, p.spec.Member, what, err)
}

func tell(env runtime.Env, client string, member int, what, err string) {
	if env.Tell == nil {
		return
	}
	env.Tell(record.Event{Kind: record.KindClient, Name: client, Member: member, What: fmt.Sprintf("%s-%d %s", client, member, what), Error: err})
}

// lie holds against a client what it cannot honestly have said.
func lie(env runtime.Env, client string, member int, what string) {
	if env.Tell == nil {
		return
	}
	env.Tell(record.Event{Kind: record.KindLie, Name: client, Member: member, What: fmt.Sprintf("%s-%d %s", client, member, what)})
}

// Begin implements runtime.Producer.
func (p *producer) Begin(at time.Duration, share float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped || p.begun {
		return
	}
	p.begun = true
	if share > 0 {
		p.schedule(record.Segment{First: p.offered, At: at, Rate: share, Partitions: 1})
	}
	p.poke()
}

// SetRate implements runtime.Producer.
func (p *producer) SetRate(share float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped || !p.begun {
		return
	}
	now := p.scheduled()
	if share <= 0 {
		p.end(now)
	} else {
		first := p.due(now)
		at := now
		if p.running && p.seg.Rate > 0 {
			// What remained of the interval to the next record remains in proportion.
			at = now + time.Duration(float64(p.seg.Due(first)-now)*p.seg.Rate/share)
		}
		p.schedule(record.Segment{First: first, At: at, Rate: share, Partitions: 1})
	}
	p.poke()
}

// schedule makes g what is due from now on. The caller holds mu.
func (p *producer) schedule(g record.Segment) {
	if p.running && p.seg.First < g.First {
		p.past = append(p.past, p.seg)
	}
	p.seg, p.running = g, true
	p.log.Due(g.First, g.At, g.Rate, g.Partitions)
}

// end makes nothing due any more. The caller holds mu.
func (p *producer) end(now time.Duration) {
	if !p.running {
		return
	}
	first := p.due(now)
	p.past = append(p.past, p.seg)
	p.seg = record.Segment{First: first, At: now, Partitions: 1}
	p.running = false
	p.log.End(first, now)
}

// due is the first record that is not due at a moment. The caller holds mu.
func (p *producer) due(now time.Duration) uint64 {
	if !p.running {
		return max(p.seg.First, p.offered)
	}
	return max(p.seg.NextAfter(now), p.offered)
}

// dueAt is the moment a record is due. The caller holds mu.
func (p *producer) dueAt(seq uint64) time.Duration {
	for len(p.past) > 0 && (len(p.past) > 1 && p.past[1].First <= seq || len(p.past) == 1 && p.seg.First <= seq) {
		p.past = p.past[1:]
	}
	if len(p.past) > 0 {
		return p.past[0].Due(seq)
	}
	return p.seg.Due(seq)
}

// scheduled is the moment up to which the schedule goes. The caller holds mu.
func (p *producer) scheduled() time.Duration {
	now := p.spec.Clock.Now()
	if p.spec.Until > 0 {
		return min(now, p.spec.Until-1)
	}
	return now
}

func (p *producer) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// room is how many records the client's buffer still takes. The caller holds mu.
func (p *producer) room() int {
	size := max(p.spec.Producer.Size, record.IdentitySize)
	return int(p.spec.Producer.Buffer/int64(size)) - len(p.open)
}

// answered takes a record out of the client's buffer, which was full until now
// if it has no room yet. The caller holds mu.
func (p *producer) answered(seq uint64, now time.Duration) {
	if p.room() <= 0 {
		p.full = max(p.full, now)
	}
	delete(p.open, seq)
}

// pace hands over what is due until the member ends.
func (p *producer) pace() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wait := p.offer()
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-p.wake:
		case <-p.quit:
			return
		}
	}
}

// offer hands over one batch and tells how long nothing more is to be done.
func (p *producer) offer() time.Duration {
	p.mu.Lock()
	if !p.begun {
		p.mu.Unlock()
		return time.Hour
	}
	now := p.scheduled()
	n := int(min(p.due(now)-p.offered, batch))
	if p.dead || n > 0 && p.room() <= 0 {
		if !p.dead {
			p.full = now
		}
		p.giveUp(now)
		p.mu.Unlock()
		return sweep
	}
	if n == 0 {
		wait := time.Hour
		if p.running {
			if left := p.seg.Due(p.due(now)) - now; p.spec.Until == 0 || now < p.spec.Until-1 {
				wait = max(time.Duration(float64(left)/p.speed()), rest)
			}
		}
		p.mu.Unlock()
		return wait
	}
	n = min(n, p.room())
	first := p.offered
	late := 0
	for seq := first; seq < first+uint64(n); seq++ {
		// One that was due while the client took no more has waited for it.
		if due := p.dueAt(seq); due < now-time.Duration(float64(lateAfter)*p.speed()) && due > p.full {
			late++
		}
	}
	p.offered += uint64(n)
	p.mu.Unlock()
	p.hand(first, n, late)
	return 0
}

func (p *producer) speed() float64 {
	if p.spec.Speed > 0 {
		return p.spec.Speed
	}
	return 1
}

// hand writes records to the client. They count as handed over from before
// the write on: an answer may be quicker than its return.
func (p *producer) hand(first uint64, n, late int) {
	now := p.spec.Clock.Now()
	var b []byte
	p.mu.Lock()
	for seq := first; seq < first+uint64(n); seq++ {
		p.open[seq] = now
		p.order = append(p.order, seq)
		b = p.appendOrder(b, seq)
	}
	p.log.Accepted(first, n, now)
	if late > 0 {
		p.log.Late(late, now)
	}
	proc := p.proc
	p.mu.Unlock()
	began := time.Now()
	_, _ = proc.in.Write(b) // a client that has ended is mourned by another goroutine
	if time.Since(began) > blocked {
		p.mu.Lock()
		p.full = max(p.full, p.spec.Clock.Now())
		p.mu.Unlock()
	}
}

// resend hands over again what a crashed predecessor had.
func (p *producer) resend(again []uint64) {
	for _, seq := range again {
		p.hand(seq, 1, 0)
	}
}

// appendOrder appends the line for a record.
func (p *producer) appendOrder(b []byte, seq uint64) []byte {
	id := record.Identity{Run: p.spec.RunID, Producer: p.spec.Index, Member: p.spec.Member, Seq: seq}
	text := record.TextID(id, p.load.o.Key)
	o := order{Send: text, Value: record.TextValue(text, p.spec.Producer.Size)}
	if k := p.spec.Producer.Keys; k > 0 {
		o.Key = record.Key(record.KeyOf(p.spec.Seed, p.spec.Index, p.spec.Member, seq, k))
	}
	line, err := json.Marshal(o)
	if err != nil {
		panic(err) // strings always marshal
	}
	return append(append(b, line...), '\n')
}

// giveUp fails what has waited to be handed over until its timeout, or has
// nobody to be handed to. The caller holds mu.
func (p *producer) giveUp(now time.Duration) {
	timeout := p.spec.Producer.Timeout.Std()
	for limit := p.due(now); p.offered < limit; p.offered++ {
		switch {
		case p.dead:
			p.log.Failed(p.offered, 0, now, "its client has ended")
		case p.dueAt(p.offered)+timeout <= now:
			p.log.Failed(p.offered, 0, now, "delivery timeout: the client took no more records")
		default:
			return
		}
	}
}

// sweep looks for answers that do not come.
func (p *producer) sweep() {
	t := time.NewTicker(sweep)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-p.quit:
			return
		}
		p.mu.Lock()
		now := p.spec.Clock.Now()
		for len(p.order) > 0 {
			at, ok := p.open[p.order[0]]
			if ok && at+p.spec.Producer.Timeout.Std() > now {
				break
			}
			if ok {
				p.log.Unknown(p.order[0], 0, now, "the client did not answer within its delivery timeout")
				p.answered(p.order[0], now)
			}
			p.order = p.order[1:]
		}
		p.mu.Unlock()
	}
}

// hear takes a line of the client.
func (p *producer) hear(line []byte, err error) bool {
	var a answer
	if err == nil {
		a, err = parse(line)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil && a.Got != nil {
		err = errGot
	}
	if err != nil {
		return p.nonsense(err)
	}
	now := p.spec.Clock.Now()
	for _, x := range []struct {
		id   string
		fate func(seq uint64, partition int32)
	}{
		{a.Acked, func(seq uint64, partition int32) {
			offset := int64(-1)
			if a.Offset != nil {
				offset = *a.Offset
			}
			p.log.Acked(seq, partition, offset, now)
		}},
		{a.Failed, func(seq uint64, partition int32) { p.log.Failed(seq, partition, now, reason(a, "its client says so")) }},
		{a.Unknown, func(seq uint64, partition int32) { p.log.Unknown(seq, partition, now, reason(a, "its client says so")) }},
	} {
		if x.id == "" {
			continue
		}
		seq, known := p.mine(x.id)
		if !known {
			if p.lies++; p.lies <= 3 {
				lie(p.spec.Env, p.spec.Producer.Name, p.spec.Member, fmt.Sprintf("answered for a record that it was never given: %.80q", x.id))
			}
			continue
		}
		if _, open := p.open[seq]; !open && a.Acked == "" {
			continue // it has its fate, and only an acknowledgement betters it
		}
		partition := int32(0)
		if a.Partition != nil && *a.Partition >= 0 {
			partition = *a.Partition
		} else if a.Acked != "" && !p.mute {
			p.mute = true
			p.tell("does not say partitions and offsets: everything counts for partition 0", "")
		}
		x.fate(seq, partition)
		p.answered(seq, now)
	}
	return true
}

var errGot = fmt.Errorf(`got "got" from a producer, want "acked", "failed" or "unknown"`)

func reason(a answer, other string) string {
	if a.Reason == "" {
		return other
	}
	return fmt.Sprintf("%.200s", a.Reason)
}

// mine tells which record of this member an id names, if it has been handed
// over. The caller holds mu.
func (p *producer) mine(id string) (uint64, bool) {
	x, ok := record.ParseTextID(id, p.load.o.Key)
	ok = ok && x.Run == p.spec.RunID && x.Producer == p.spec.Index && x.Member == p.spec.Member && x.Seq < p.offered
	return x.Seq, ok
}

// nonsense notes a line that cannot be taken. The caller holds mu.
func (p *producer) nonsense(err error) (goOn bool) {
	p.bad++
	return nonsense(p.bad, p.proc, func(what, text string) { p.tell(what, text) }, err)
}

// nonsense tells the first lines that cannot be taken, and ends a client that
// floods.
func nonsense(n int, proc *process, say func(what, err string), err error) (goOn bool) {
	switch {
	case n <= 3:
		say("wrote a line that cannot be taken", err.Error())
	case n >= maxNonsense:
		say("is ended: it floods", fmt.Sprintf("%d lines that cannot be taken", n))
		if proc != nil {
			signalGroup(proc.cmd.Process.Pid, syscall.SIGKILL)
		}
		return false
	}
	return true
}

// Redirect implements runtime.Redirecter: the client is told, and is to send
// again there what it has not answered.
func (p *producer) Redirect(ctx context.Context, to runtime.Destination) error {
	if len(to.Topics) != 1 {
		return fmt.Errorf("%s: got %d topics to go on with, want one", p.name(), len(to.Topics))
	}
	p.mu.Lock()
	p.log = p.spec.Log.On(to.Topics[0].Name)
	proc := p.proc
	p.mu.Unlock()
	return move(ctx, proc, order{Bootstrap: strings.Join(to.Bootstrap, ","), Topic: to.Topics[0].KafkaName()})
}

// move tells a client to go on elsewhere.
func move(ctx context.Context, proc *process, o order) error {
	line, err := json.Marshal(o)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		_, err := proc.in.Write(append(line, '\n'))
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("%s does not listen: %w", proc.name, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s does not listen: %w", proc.name, context.Cause(ctx))
	}
}

// Stop implements runtime.Member: SIGTERM, and the end of the process group if
// the client is not gone leaveLimit later.
func (p *producer) Stop(ctx context.Context) error {
	if !p.halt() {
		return nil
	}
	for p.waiting() && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-p.proc.gone:
		case <-time.After(2 * rest):
			continue
		}
		break
	}
	p.once.Do(func() { close(p.quit) })
	err := leave(ctx, p.proc)
	p.idle.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.spec.Clock.Now()
	for ; p.offered < p.seg.First; p.offered++ {
		p.log.Failed(p.offered, 0, now, "stopped: never handed to the client")
	}
	for _, seq := range p.order {
		if _, ok := p.open[seq]; ok {
			p.log.Unknown(seq, 0, now, "not answered when the client was stopped")
		}
	}
	clear(p.open)
	p.load.leave(p.key, leftover{next: p.offered})
	return err
}

// waiting tells whether something is due and not handed over, or not answered.
func (p *producer) waiting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.begun && !p.dead && (p.offered < p.seg.First || len(p.open) > 0)
}

// leave lets a client end in order.
func leave(ctx context.Context, proc *process) error {
	proc.terminate()
	ctx, cancel := contextWithin(ctx, leaveLimit)
	defer cancel()
	select {
	case <-proc.gone:
		return nil
	case <-ctx.Done():
		proc.kill()
		return fmt.Errorf("%s did not end within %s of SIGTERM and was killed", proc.name, leaveLimit)
	}
}

// contextWithin keeps a moment for leaving also when ctx has ended.
func contextWithin(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if ctx.Err() != nil {
		return context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	}
	return context.WithTimeout(ctx, d)
}

// halt ends the schedule.
func (p *producer) halt() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return false
	}
	p.stopped = true
	if p.begun {
		p.end(p.scheduled())
	}
	p.poke()
	return true
}

// Crash implements runtime.Member: the process group is killed. What was not
// answered the next life is given again.
func (p *producer) Crash() {
	if !p.halt() {
		return
	}
	p.once.Do(func() { close(p.quit) })
	p.proc.kill()
	p.idle.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	left := leftover{next: p.offered}
	for _, seq := range p.order {
		if _, ok := p.open[seq]; ok {
			left.open = append(left.open, seq)
		}
	}
	p.log.End(left.next, p.spec.Clock.Now())
	p.load.leave(p.key, left)
}
