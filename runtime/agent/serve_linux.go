package agent

// This file defines the session as the agent sees it: its beginning, its
// calls, its end.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/yamux"
)

// Serve is the agent. It ends when the connection or ctx does, or, as PID 1, on
// SIGTERM or SIGINT, and has then killed every process it started with all
// their descendants; as PID 1, every process there is. After Keep only ctx and
// the signals end it. From the first Start on it owns every wait of its process:
// nothing else in it may start processes. The error says why a connection ended out of order.
func Serve(ctx context.Context, rw io.ReadWriter, out io.Writer, o Options) error {
	if o.Build == "" {
		o.Build = Build()
	}
	if o.Hello <= 0 {
		o.Hello = 60 * time.Second
	}
	// A write to a host that is gone must not end an agent that was told to stay.
	// Ignored, the signal would be so in everything that is started, too.
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	defer signal.Stop(broken)
	if os.Getpid() == 1 {
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
		defer stop()
	}
	// The calls end before the processes do, so that none starts another.
	ctx, cancel := context.WithCancel(ctx)
	s := &server{o: o, log: log.New(out, "agent: ", log.LstdFlags|log.Lmicroseconds|log.LUTC), ops: operations()}
	var err error
	if s.processes, err = newProcesses(s.log); err != nil {
		cancel()
		return fmt.Errorf("agent: %w", err)
	}
	defer func() {
		cancel()
		s.processes.end()
		if err := s.shaper.close(); err != nil {
			s.log.Printf("network: %v", err)
		}
	}()

	r, err := greetHost(ctx, rw, o)
	if err != nil || r == nil {
		return err
	}
	session, err := yamux.Server(&transport{r, rw, func() error {
		if c, ok := rw.(io.Closer); ok {
			return c.Close()
		}
		return nil
	}}, mux(prefixed{s.log}))
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	calls, hangUp := context.WithCancel(ctx)
	defer hangUp()
	ended := make(chan error, 1)
	go func() {
		for {
			stream, err := session.AcceptStream()
			if err != nil {
				hangUp()
				ended <- endOf(session, err)
				return
			}
			go s.serve(calls, stream)
		}
	}()
	select {
	case err = <-ended:
		if s.kept.Load() {
			s.log.Printf("the host is gone (%v); staying, as it was told", err)
			<-ctx.Done()
			return nil
		}
	case <-ctx.Done():
		// yamux would wait for a reader that may never return.
		go session.Close()
		return nil
	}
	// A host that goes closes both directions; either may be seen first.
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, yamux.ErrSessionShutdown) {
		return nil
	}
	return fmt.Errorf("agent: the connection broke: %w", err)
}

// endOf is why session ended, given what AcceptStream returned. yamux hides the
// reason from whoever is taking a stream at that moment: it returns
// ErrSessionShutdown then, and the reason to a call that finds no stream waiting.
func endOf(session *yamux.Session, err error) error {
	for range backlog {
		if !errors.Is(err, yamux.ErrSessionShutdown) {
			break
		}
		_, err = session.AcceptStream()
	}
	return err
}

// prefixed writes what yamux has to say to the agent's log.
type prefixed struct{ log *log.Logger }

func (p prefixed) Write(b []byte) (int, error) {
	p.log.Print(strings.TrimSpace(string(b)))
	return len(b), nil
}

// greetHost exchanges the first lines. The reader is nil when there is nobody
// to serve any more.
func greetHost(ctx context.Context, rw io.ReadWriter, o Options) (*bufio.Reader, error) {
	r := bufio.NewReaderSize(rw, 64<<10)
	type result struct {
		h   hello
		err error
	}
	read := make(chan result, 1)
	go func() {
		h, err := readHello(r)
		read <- result{h, err}
	}()
	timer := time.NewTimer(o.Hello)
	defer timer.Stop()
	var got result
	select {
	case <-ctx.Done():
		return nil, nil
	case <-timer.C:
		return nil, fmt.Errorf("agent: nobody said hello for %v", o.Hello)
	case got = <-read:
	}
	mine := hello{Starfall: magic, Protocol: protocol, Build: o.Build}
	err := got.err
	if err == nil {
		err = got.h.check("host", o.Build)
	}
	switch {
	case errors.Is(err, io.EOF):
		return nil, nil
	case errors.Is(err, ErrMismatch):
		mine.Error = err.Error()
		writeLine(rw, mine)
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("agent: first line: %w", err)
	}
	if err := writeLine(rw, mine); err != nil {
		return nil, fmt.Errorf("agent: first line: %w", err)
	}
	return r, nil
}
