package agent

// This file defines how it is found out whether a TCP port is listened on,
// without connecting to it: a connection would reach the program.
//
// The kernel is asked for the sockets that listen (sock_diag(7)), which takes it
// microseconds. Its tables /proc/net/tcp and tcp6 tell the same, but to make them
// it walks all buckets of the hash of connections, hundreds of thousands on a host
// with much memory: 10 ms for each, in every container that waits. They are read
// where the kernel has no sock_diag for TCP.

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// How often a port is looked at that nobody listens on yet.
const (
	askEvery  = 5 * time.Millisecond
	readEvery = 100 * time.Millisecond
)

// listening says whether a TCP port of this network namespace is listened on,
// and when it is worth looking again.
func listening(port int) (there bool, again time.Duration, err error) {
	if there, err = askListening(port); err == nil {
		return there, askEvery, nil
	}
	there, err = readListening(port)
	return there, readEvery, err
}

// askListening asks the kernel by sock_diag.
func askListening(port int) (bool, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return false, fmt.Errorf("sock_diag: %w", err)
	}
	defer unix.Close(fd)
	// The kernel answers while the request is sent; this is for one that does not.
	second := unix.NsecToTimeval(time.Second.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &second); err != nil {
		return false, fmt.Errorf("sock_diag: %w", err)
	}
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		there, err := dumpListening(fd, family, port)
		if there || err != nil {
			return there, err
		}
	}
	return false, nil
}

// Of struct inet_diag_req_v2 and struct inet_diag_msg (linux/inet_diag.h).
const (
	diagRequestSize = 56 // family, protocol, extensions, padding, states, and the socket's id: 48 bytes
	diagStatesAt    = 4  // a bit for each state
	diagSourceAt    = 4  // in the answer, the port as the network has it
	tcpListen       = 10 // TCP_LISTEN
)

// dumpListening asks for the sockets of a family that listen and looks whether
// one has the port. It reads the answer to its end.
func dumpListening(fd int, family byte, port int) (bool, error) {
	order := binary.NativeEndian
	req := make([]byte, unix.SizeofNlMsghdr+diagRequestSize)
	order.PutUint32(req[0:], uint32(len(req)))
	order.PutUint16(req[4:], unix.SOCK_DIAG_BY_FAMILY)
	order.PutUint16(req[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	body := req[unix.SizeofNlMsghdr:]
	body[0], body[1] = family, unix.IPPROTO_TCP
	order.PutUint32(body[diagStatesAt:], 1<<tcpListen)
	if err := unix.Sendto(fd, req, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return false, fmt.Errorf("sock_diag: %w", err)
	}
	there := false
	buf := make([]byte, 32<<10) // what a kernel puts into one message of a dump at most
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("sock_diag: %w", err)
		}
		found, done, err := diagListens(buf[:n], port)
		if err != nil {
			return false, err
		}
		if there = there || found; done {
			return there, nil
		}
	}
}

// diagListens looks a port up in one read of a dump. done says that the dump ends
// here.
func diagListens(answer []byte, port int) (there, done bool, err error) {
	order := binary.NativeEndian
	for len(answer) >= unix.SizeofNlMsghdr {
		size := int(order.Uint32(answer))
		if size < unix.SizeofNlMsghdr || size > len(answer) {
			return there, false, fmt.Errorf("sock_diag: got a message of %d bytes in %d", size, len(answer))
		}
		body := answer[unix.SizeofNlMsghdr:size]
		switch order.Uint16(answer[4:]) {
		case unix.NLMSG_DONE:
			// A dump that failed on its way, for want of a module too, ends like this.
			if len(body) >= 4 && int32(order.Uint32(body)) < 0 {
				return there, true, fmt.Errorf("sock_diag: %w", unix.Errno(-int32(order.Uint32(body))))
			}
			return there, true, nil
		case unix.NLMSG_ERROR:
			if len(body) < 4 {
				return there, false, errors.New("sock_diag: got an error without a number")
			}
			return there, false, fmt.Errorf("sock_diag: %w", unix.Errno(-int32(order.Uint32(body))))
		case unix.SOCK_DIAG_BY_FAMILY:
			if len(body) < diagSourceAt+2 {
				return there, false, fmt.Errorf("sock_diag: got a socket of %d bytes", len(body))
			}
			there = there || int(binary.BigEndian.Uint16(body[diagSourceAt:])) == port
		}
		answer = answer[min(len(answer), (size+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1)):]
	}
	return there, false, nil
}

// readListening reads the kernel's tables.
func readListening(port int) (bool, error) {
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		b, err := os.ReadFile(table)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return false, err
		}
		if listens(b, port) {
			return true, nil
		}
	}
	return false, nil
}

// stateListen is TCP_LISTEN as /proc/net/tcp has it.
const stateListen = "0A"

// listens looks a port up in a table as /proc/net/tcp has it.
func listens(table []byte, port int) bool {
	want := fmt.Sprintf(":%04X", port)
	lines := bufio.NewScanner(bytes.NewReader(table))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) > 3 && f[3] == stateListen && strings.HasSuffix(f[1], want) {
			return true
		}
	}
	return false
}
