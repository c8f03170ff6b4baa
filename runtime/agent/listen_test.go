//go:build linux

package agent

import (
	"encoding/binary"
	"net"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestListening asks both ways about ports that are listened on and ports that
// are only bound, connected to or free.
func TestListening(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			if strings.HasPrefix(address, "[") {
				continue // no IPv6 here
			}
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		dialled := c.LocalAddr().(*net.TCPAddr).Port
		check := func(port int, want bool) {
			t.Helper()
			for name, ask := range map[string]func(int) (bool, error){"sock_diag": askListening, "/proc": readListening} {
				if got, err := ask(port); err != nil || got != want {
					t.Errorf("%s: %s, port %d: got %v, %v, want %v", address, name, port, got, err, want)
				}
			}
			got, again, err := listening(port)
			if err != nil || got != want || again != askEvery {
				t.Errorf("%s: port %d: got %v, again in %v, %v, want %v, again in %v", address, port, got, again, err, want, askEvery)
			}
		}
		check(port, true)
		check(dialled, false)
		l.Close()
		check(port, false)
	}
}

// TestDiagListens reads answers as the kernel gives them.
func TestDiagListens(t *testing.T) {
	message := func(kind uint16, body ...byte) []byte {
		out := make([]byte, unix.SizeofNlMsghdr, unix.SizeofNlMsghdr+len(body))
		binary.NativeEndian.PutUint32(out, uint32(cap(out)))
		binary.NativeEndian.PutUint16(out[4:], kind)
		return append(out, body...)
	}
	number := func(n int32) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(n)) }
	socket := func(port uint16) []byte {
		body := make([]byte, 72+36) // and an attribute
		body[0], body[1] = unix.AF_INET, tcpListen
		binary.BigEndian.PutUint16(body[diagSourceAt:], port)
		return message(unix.SOCK_DIAG_BY_FAMILY, body...)
	}
	done := message(unix.NLMSG_DONE, number(0)...)
	for _, tt := range []struct {
		name        string
		answer      []byte
		there, done bool
		want        string // the error
	}{
		{"nothing", nil, false, false, ""},
		{"no socket", done, false, true, ""},
		{"another", slices.Concat(socket(9093), done), false, true, ""},
		{"the first of two, more to come", slices.Concat(socket(9092), socket(9093)), true, false, ""},
		{"the last", slices.Concat(socket(9093), socket(9092), done), true, true, ""},
		{"refused", message(unix.NLMSG_ERROR, number(-int32(unix.EPERM))...), false, false, "sock_diag: operation not permitted"},
		{"no module", message(unix.NLMSG_DONE, number(-int32(unix.ENOENT))...), false, true, "sock_diag: no such file or directory"},
		{"an error of two bytes", message(unix.NLMSG_ERROR, 0, 0), false, false, "sock_diag: got an error without a number"},
		{"half a socket", message(unix.SOCK_DIAG_BY_FAMILY, unix.AF_INET, tcpListen), false, false, "sock_diag: got a socket of 2 bytes"},
		{"half a message", socket(9092)[:40], false, false, "sock_diag: got a message of 124 bytes in 40"},
		{"a message of no size", make([]byte, 16), false, false, "sock_diag: got a message of 0 bytes in 16"},
	} {
		there, end, err := diagListens(tt.answer, 9092)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if there != tt.there || end != tt.done || text != tt.want {
			t.Errorf("%s: got %v, %v, %q, want %v, %v, %q", tt.name, there, end, text, tt.there, tt.done, tt.want)
		}
	}
}

// BenchmarkListening compares the two ways.
func BenchmarkListening(b *testing.B) {
	for name, ask := range map[string]func(int) (bool, error){"sock_diag": askListening, "proc": readListening} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := ask(1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
