package embedded

// This file defines signals to processes and hosts, each with its proof.

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/runtime"
	"starfall/runtime/embedded/core"
)

// Signal changes a process and proves it.
//
//	signal      proved when
//	kill, stop  the process is gone and the broker's port refuses a dial
//	pause       the process is frozen and a dialled port does not answer
//	power_off   the host is off and a dialled port does not answer
//	resume      the process runs and a dialled port answers
//	start       the broker has registered anew and is unfenced, or the controller
//	            knows the quorum's leader
//
// An error means that the signal could not be sent; Proof.OK is false when ctx ended
// before its effect was seen.
func (w *world) Signal(ctx context.Context, node runtime.NodeKey, s runtime.Signal) (runtime.Proof, error) {
	c, err := w.cluster(node.Cluster)
	if err != nil {
		return runtime.Proof{}, err
	}
	if c.plan.Node(node.ID) == nil {
		return runtime.Proof{}, fmt.Errorf("node %d: cluster %s has no such node", node.ID, node.Cluster)
	}
	id := toCore(node.ID)
	ended := make(chan struct{})
	var refused error
	var began time.Duration
	was := core.NodeState{}
	err = c.server.Do(ctx, func() {
		began = c.core.Now()
		was = c.state(id)
		switch s {
		case runtime.SignalKill:
			refused = c.core.Kill(id)
		case runtime.SignalStop:
			refused = c.core.Stop(id, func() { close(ended) })
		case runtime.SignalPause:
			refused = c.core.Pause(id)
		case runtime.SignalResume:
			refused = c.core.Resume(id)
		case runtime.SignalPowerOff:
			refused = c.core.PowerOff(id)
		case runtime.SignalStart:
			if was.Process == core.PoweredOff {
				// The host is back before the process: its kernel resets what it
				// does not know.
				c.server.Down(id, true)
			}
			refused = c.core.Start(id)
		default:
			refused = fmt.Errorf("signal: got %q, want kill, stop, pause, resume, power_off or start", s)
		}
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return runtime.Proof{}, fmt.Errorf("%s %s: %w", s, c.label(id), err)
	}
	switch s {
	case runtime.SignalKill, runtime.SignalPowerOff, runtime.SignalPause:
		return c.proveDown(ctx, id, s, "")
	case runtime.SignalStop:
		select {
		case <-ended:
		case <-ctx.Done():
			return runtime.Proof{Text: "the process has not ended yet"}, nil
		}
		took := ""
		if err := c.server.Do(ctx, func() { took = fmt.Sprintf(" after %.1f s", (c.core.Now() - began).Seconds()) }); err != nil {
			return runtime.Proof{Text: "the process has ended"}, nil
		}
		return c.proveDown(ctx, id, s, took)
	case runtime.SignalResume:
		return c.proveAnswers(ctx, id, "process running")
	}
	return c.proveStarted(ctx, id, began)
}

// silence is how long a port that must not answer is listened to. A running broker
// answers ApiVersions in a fraction of a millisecond.
const silence = 30 * time.Millisecond

// refusal bounds the wait for a port to refuse, which it does at once, however long this
// machine takes to tell.
const refusal = 5 * time.Second

// downAs is the state that a signal leads to, and what to call it.
func downAs(s runtime.Signal) (core.Process, string) {
	switch s {
	case runtime.SignalKill:
		return core.Killed, "process gone"
	case runtime.SignalStop:
		return core.Stopped, "process ended"
	case runtime.SignalPause:
		return core.Paused, "process frozen"
	}
	return core.PoweredOff, "host off"
}

func (c *cluster) proveDown(ctx context.Context, id int32, s runtime.Signal, took string) (runtime.Proof, error) {
	at := time.Now()
	var state core.NodeState
	if err := c.server.Do(ctx, func() { state = c.state(id) }); err != nil {
		return runtime.Proof{Text: err.Error()}, nil
	}
	want, text := downAs(s)
	if state.Process != want {
		return runtime.Proof{Text: "the process is " + state.Process.String()}, nil
	}
	text += took
	if !state.Broker {
		return runtime.Proof{OK: true, At: at, Text: text}, nil
	}
	switch s {
	case runtime.SignalKill, runtime.SignalStop:
		answer := c.probe(ctx, id, refusal)
		if errors.Is(answer, syscall.ECONNREFUSED) {
			return runtime.Proof{OK: true, At: at, Text: text + ", port refuses"}, nil
		}
		return runtime.Proof{Text: fmt.Sprintf("%s, but a dial found: %s", text, describe(answer))}, nil
	}
	answer := c.probe(ctx, id, silence)
	if isTimeout(answer) {
		return runtime.Proof{OK: true, At: at, Text: text + ", port silent"}, nil
	}
	return runtime.Proof{Text: fmt.Sprintf("%s, but a dial found: %s", text, describe(answer))}, nil
}

func (c *cluster) proveAnswers(ctx context.Context, id int32, text string) (runtime.Proof, error) {
	at := time.Now()
	if !c.isBroker(id) {
		return runtime.Proof{OK: true, At: at, Text: text}, nil
	}
	for {
		answer := c.probe(ctx, id, time.Second)
		if answer == nil {
			return runtime.Proof{OK: true, At: at, Text: text + ", port answers"}, nil
		}
		if _, err := c.server.Listening(id); err != nil {
			return runtime.Proof{}, fmt.Errorf("%s: cannot listen: %w", c.label(id), err)
		}
		if ctx.Err() != nil {
			return runtime.Proof{Text: fmt.Sprintf("%s, but a dial found: %s", text, describe(answer))}, nil
		}
	}
}

func (c *cluster) isBroker(id int32) bool { return id < core.ControllerID(1) }

func (c *cluster) proveStarted(ctx context.Context, id int32, began time.Duration) (runtime.Proof, error) {
	var text string
	var took time.Duration
	err := c.await(ctx, func() bool {
		n := c.state(id)
		took = c.core.Now() - began
		switch {
		case n.Process != core.Running:
			text = "the process is " + n.Process.String()
		case !n.Broker:
			text = "the process runs, but knows no leader of the quorum"
			return n.QuorumLeader >= 0
		default:
			at, ok := c.registered[id]
			switch {
			case !ok || at < began:
				text = "the process runs, but is not registered"
			case n.Fenced || !n.Registered:
				text = "registered, but fenced"
			default:
				took = at - began
				return true
			}
		}
		return false
	})
	if err != nil {
		return runtime.Proof{Text: text}, nil
	}
	if !c.isBroker(id) {
		return runtime.Proof{OK: true, At: time.Now(), Text: fmt.Sprintf("in the quorum after %.1f s", took.Seconds())}, nil
	}
	return c.proveAnswers(ctx, id, fmt.Sprintf("registered after %.1f s", took.Seconds()))
}

// probe dials a broker from the control side, which no fault touches, and asks for
// ApiVersions. nil means that it answered within wait.
func (c *cluster) probe(ctx context.Context, id int32, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	host, port := c.server.Address(placeKey(runtime.Place{}), id)
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(host, fmt.Sprint(port)))
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	req := kmsg.NewPtrApiVersionsRequest()
	if _, err := conn.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("starfall-probe")).AppendRequest(nil, req, 1)); err != nil {
		return err
	}
	var head [8]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return err
	}
	if got := binary.BigEndian.Uint32(head[4:]); got != 1 {
		return fmt.Errorf("an answer to request %d, want 1", got)
	}
	return nil
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// describe says in words what a probe found.
func describe(answer error) string {
	switch {
	case answer == nil:
		return "an answer"
	case isTimeout(answer):
		return "silence"
	}
	return answer.Error()
}
