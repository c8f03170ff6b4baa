package wire

// This file defines a port that stays ours while nobody listens on it: a killed
// broker's port must refuse at once, and must still be free when it starts again.
//
// The kernel of this machine answers dials, whatever the paths are: a dial through a cut
// is accepted and then hears nothing, and one to a port that refuses is refused even
// through a cut, where Kafka's client would have waited for its own timeout.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

const loopback = "127.0.0.1"

// port is a reserved port on loopback.
//
//	state      a dial                 by
//	refusing   is refused at once     reserve, refuse
//	open       is accepted            listen
//	released   is anybody's           release
type port struct {
	number   int
	hold     func() // ends the reservation
	listener net.Listener
	err      error // why it is not open although it should be
}

func reserve(number int) (*port, error) {
	number, hold, err := holdPort(number)
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("port %d is in use by another program", number)
		}
		return nil, err
	}
	return &port{number: number, hold: hold}, nil
}

func (p *port) address() string { return net.JoinHostPort(loopback, strconv.Itoa(p.number)) }

func (p *port) listen() (net.Listener, error) {
	config := net.ListenConfig{Control: shareHeldPort}
	ln, err := config.Listen(context.Background(), "tcp4", p.address())
	if err != nil {
		return nil, err
	}
	p.listener, p.err = ln, nil
	return ln, nil
}

func (p *port) refuse() {
	if p.listener != nil {
		p.listener.Close()
		p.listener = nil
	}
}

func (p *port) release() {
	p.refuse()
	p.hold()
}
