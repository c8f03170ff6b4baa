package network

// This file defines the thread that holds packets back: it reads them from the
// kernel's queues, asks the scheduler, and gives the verdicts at their times.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"starfall/interp/plan"
)

const (
	// The kernel looks a packet up in its queue from the oldest on, and one of a fast
	// path may stand behind many of slow ones. So there are several queues, and a path
	// has one of them, by a hash of its addresses.
	queues     = 16
	firstQueue = 7300 // any number does: the namespace is ours

	// More than the scheduler will hold in all, so that it is the one that drops.
	queueLen  = 2 * maxTotalPackets
	queueRead = 16 << 20 // socket buffer, for bursts that come while the thread is not on a processor
	batchSize = 256      // packets read before verdicts that are due are given
)

// delayer owns the queues of one namespace.
type delayer struct {
	fd    int // netlink socket
	wake  int // eventfd: written after a change
	start time.Time
	ended chan struct{}

	mu     sync.Mutex
	s      *scheduler
	closed bool
	err    error // that ended the thread
	in     []byte
	out    []byte
}

// newDelayer opens the queues in the namespace of the calling thread.
func newDelayer(first uint16, n int, seed uint64) (_ *delayer, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("packet queues: %w", os.NewSyscallError("socket", err))
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("packet queues: %w", os.NewSyscallError("bind", err))
	}
	// Force needs a capability over the whole machine; without it the machine's limit
	// applies, which is less room for bursts and nothing worse.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, queueRead) != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, queueRead); err != nil {
			return nil, fmt.Errorf("packet queues: %w", os.NewSyscallError("setsockopt SO_RCVBUF", err))
		}
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_NO_ENOBUFS, 1); err != nil {
		return nil, fmt.Errorf("packet queues: %w", os.NewSyscallError("setsockopt NETLINK_NO_ENOBUFS", err))
	}
	for q := range uint16(n) {
		if err := bindQueue(fd, first+q, uint32(q)+1); err != nil {
			return nil, fmt.Errorf("packet queue %d: %w", first+q, err)
		}
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("packet queues: %w", os.NewSyscallError("eventfd", err))
	}
	return &delayer{fd: fd, wake: wake, start: time.Now(), in: make([]byte, 64<<10), ended: make(chan struct{}), s: newScheduler(seed)}, nil
}

// bindQueue opens one queue and waits for the kernel's answers.
func bindQueue(fd int, queue uint16, seq uint32) error {
	if _, err := unix.Write(fd, appendBind(nil, seq, queue, queueLen)); err != nil {
		return os.NewSyscallError("write", err)
	}
	buf := make([]byte, 4096)
	for answers := 0; answers < 2; {
		n, err := unix.Read(fd, buf) // the answers are there when write returns
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return os.NewSyscallError("read", err)
		}
		for b := buf[:n]; len(b) > 0; {
			var m message
			if m, b, err = parseMessage(b); err != nil {
				return err
			}
			if m.isPacket || m.seq != seq {
				continue
			}
			if m.errno != 0 {
				return unix.Errno(m.errno)
			}
			answers++
		}
	}
	return nil
}

func (d *delayer) now() time.Duration { return time.Since(d.start) }

// run holds packets back until close, on a thread of its own: the runtime's timers
// round up to a millisecond when nothing else is awake, and the thread's own timer
// would by default be up to 50 µs late.
func (d *delayer) run() {
	defer close(d.ended)
	runtime.LockOSThread() // never unlocked: the thread, with its timer slack, ends here
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	shortSlice()
	fds := []unix.PollFd{{Fd: int32(d.fd), Events: unix.POLLIN}, {Fd: int32(d.wake), Events: unix.POLLIN}}
	verdicts := make([]verdict, 0, batchSize)
	for {
		d.mu.Lock()
		verdicts = d.s.release(d.now(), verdicts[:0])
		err := d.give(verdicts)
		var timeout *unix.Timespec
		if at, waits := d.s.next(); waits {
			t := unix.NsecToTimespec(int64(max(at-d.now(), 0)))
			timeout = &t
		}
		if d.closed || err != nil {
			d.err = err
			d.mu.Unlock()
			return
		}
		d.mu.Unlock()
		if _, err := unix.Ppoll(fds, timeout, nil); err != nil && err != unix.EINTR {
			d.fail(os.NewSyscallError("ppoll", err))
			return
		}
		if fds[1].Revents != 0 {
			var count [8]byte
			_, _ = unix.Read(d.wake, count[:]) // only to empty it
		}
		if fds[0].Revents == 0 {
			continue
		}
		d.mu.Lock()
		_, err = d.read(verdicts[:0])
		d.err = err
		d.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// shortSlice asks that the calling thread runs soon when others want the processor
// too, in return for running briefly. It needs no privilege. Linux before 6.12 has no
// such wish, and the thread is then as late as any other.
func shortSlice() {
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil || attr.Policy != unix.SCHED_NORMAL {
		return
	}
	attr.Runtime = uint64(100 * time.Microsecond) // the least there is
	_ = unix.SchedSetAttr(0, attr, 0)
}

// read takes a batch of packets, gives the verdicts for those that need not wait, and
// says whether there may be more. The lock is held.
func (d *delayer) read(verdicts []verdict) (more bool, err error) {
	more = true
	for range batchSize {
		n, err := unix.Read(d.fd, d.in)
		if err == unix.EINTR {
			continue
		}
		if more = err != unix.EAGAIN; !more {
			break
		}
		if err != nil {
			return false, os.NewSyscallError("read", err)
		}
		now := d.now()
		for b := d.in[:n]; len(b) > 0; {
			var m message
			if m, b, err = parseMessage(b); err != nil {
				return false, err
			}
			// An answer is to a verdict that failed: the kernel has let go of the packet already.
			if !m.isPacket {
				continue
			}
			if v, decided := d.s.arrive(now, m.packet); decided {
				verdicts = append(verdicts, v)
			}
		}
	}
	return more, d.give(verdicts)
}

// give sends verdicts. The lock is held.
func (d *delayer) give(verdicts []verdict) error {
	for len(verdicts) > 0 {
		n := min(len(verdicts), batchSize)
		d.out = d.out[:0]
		for _, v := range verdicts[:n] {
			d.out = appendVerdict(d.out, v)
		}
		for {
			_, err := unix.Write(d.fd, d.out)
			if err == nil {
				break
			}
			if err != unix.EINTR && err != unix.EAGAIN {
				return os.NewSyscallError("write", err)
			}
		}
		verdicts = verdicts[n:]
	}
	return nil
}

func (d *delayer) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

// replace puts rules in force for packets that wait and packets to come.
func (d *delayer) replace(rules map[ends]plan.Condition, dark bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return fmt.Errorf("packet queues: %w", d.err)
	}
	if d.closed {
		return errClosed
	}
	// Packets that the kernel has queued already come under the former rules, and
	// before those to come.
	for more := true; more; {
		var err error
		if more, err = d.read(nil); err != nil {
			return fmt.Errorf("packet queues: %w", err)
		}
	}
	if err := d.give(d.s.replace(d.now(), rules, dark)); err != nil {
		return fmt.Errorf("packet queues: %w", err)
	}
	return d.signal()
}

func (d *delayer) signal() error {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	if _, err := unix.Write(d.wake, one[:]); err != nil && err != unix.EAGAIN { // full: it is awake
		return os.NewSyscallError("write eventfd", err)
	}
	return nil
}

// counts tells what a path has dropped for want of room, and the most that a packet of
// it was held beyond its time.
func (d *delayer) counts(e ends) (dropped uint64, late time.Duration, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return 0, 0, fmt.Errorf("packet queues: %w", d.err)
	}
	if l := d.s.lanes[e]; l != nil {
		dropped, late = l.dropped, l.late
	}
	return dropped, late, nil
}

// close ends the thread and gives the queues back. The kernel drops what waits. The thread
// must have been started.
func (d *delayer) close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	err := d.signal()
	d.mu.Unlock()
	<-d.ended
	return errors.Join(err, d.discard())
}

// discard gives the queues back without the thread.
func (d *delayer) discard() error {
	return errors.Join(os.NewSyscallError("close", unix.Close(d.fd)), os.NewSyscallError("close eventfd", unix.Close(d.wake)))
}
