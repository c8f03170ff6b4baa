package network

// This file defines probes of TCP: all of them at once, in one loop over sockets that
// are made in the namespace of the calling thread.

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Reach makes all probes side by side and gives their outcomes in the same order. It
// returns when the last is answered or silent; a probe cut short by ctx has failed.
func Reach(ctx context.Context, probes []Probe) []Outcome {
	out := make([]Outcome, len(probes))
	begin := time.Now()
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		for i := range out {
			out[i] = failed(os.NewSyscallError("eventfd", err), 0)
		}
		return out
	}
	defer unix.Close(wake)
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(woken)
		_, _ = unix.Write(wake, []byte{1, 0, 0, 0, 0, 0, 0, 1}) // not 0 in either byte order
	})
	defer func() {
		if !stop() {
			<-woken // it must not write to a number that is another file's by then
		}
	}()

	// The first is wake; what of[i] probes is at fds[i].
	fds := []unix.PollFd{{Fd: int32(wake), Events: unix.POLLIN}}
	of := []int{-1}
	defer func() {
		for _, p := range fds[1:] {
			unix.Close(int(p.Fd))
		}
	}()
	for i, p := range probes {
		fd, err := dial(p)
		if err != nil {
			out[i] = conclude(err, time.Since(begin))
			continue
		}
		fds, of = append(fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLOUT}), append(of, i)
	}
	for len(fds) > 1 {
		now := time.Since(begin)
		least := time.Duration(-1)
		for j := 1; j < len(fds); {
			i := of[j]
			var done bool
			switch err := ctx.Err(); {
			case fds[j].Revents != 0:
				out[i], done = conclude(soError(int(fds[j].Fd)), now), true
			case err != nil:
				out[i], done = failed(err, now), true
			case now >= probes[i].Wait:
				out[i], done = Outcome{Answer: Silent, Took: now}, true
			}
			if !done {
				if left := probes[i].Wait - now; least < 0 || left < least {
					least = left
				}
				j++
				continue
			}
			unix.Close(int(fds[j].Fd))
			last := len(fds) - 1
			fds[j], of[j] = fds[last], of[last]
			fds, of = fds[:last], of[:last]
		}
		if len(fds) == 1 {
			break
		}
		timeout := unix.NsecToTimespec(int64(least))
		if _, err := unix.Ppoll(fds, &timeout, nil); err != nil && !errors.Is(err, unix.EINTR) {
			for _, i := range of[1:] {
				out[i] = failed(os.NewSyscallError("ppoll", err), time.Since(begin))
			}
			break
		}
	}
	return out
}

// dial begins a connection. The one error that it does not give is the usual one,
// that it is not open yet.
func dial(p Probe) (_ int, err error) {
	if !p.Peer.Addr().Is4() || p.Local.IsValid() && !p.Local.Is4() {
		return 0, errors.New("want IPv4 addresses")
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	// Closed by a reset: no port is left in TIME_WAIT, and the peer's accept queue
	// learns at once that there is nothing to wait for.
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return 0, os.NewSyscallError("setsockopt SO_LINGER", err)
	}
	if p.Local.IsValid() {
		// The port is chosen when the peer is known, so that many probes do not use ports up.
		if err := unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
			return 0, os.NewSyscallError("setsockopt IP_BIND_ADDRESS_NO_PORT", err)
		}
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: p.Local.As4()}); err != nil {
			return 0, os.NewSyscallError("bind", err)
		}
	}
	err = unix.Connect(fd, &unix.SockaddrInet4{Addr: p.Peer.Addr().As4(), Port: int(p.Peer.Port())})
	if err != nil && err != unix.EINPROGRESS {
		return 0, os.NewSyscallError("connect", err)
	}
	return fd, nil
}

func soError(fd int) error {
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return os.NewSyscallError("getsockopt SO_ERROR", err)
	}
	if n != 0 {
		return os.NewSyscallError("connect", unix.Errno(n))
	}
	return nil
}

// conclude tells an answer from what connecting came to. A host that does not answer
// ARP, or TCP's own patience at an end, is silence too.
func conclude(err error, took time.Duration) Outcome {
	switch {
	case err == nil:
		return Outcome{Answer: Connected, Took: took}
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ECONNRESET):
		return Outcome{Answer: Refused, Took: took}
	case errors.Is(err, unix.ETIMEDOUT), errors.Is(err, unix.EHOSTUNREACH):
		return Outcome{Answer: Silent, Took: took, Error: err.Error()}
	}
	return failed(err, took)
}

func failed(err error, took time.Duration) Outcome {
	return Outcome{Answer: Failed, Took: took, Error: err.Error()}
}
