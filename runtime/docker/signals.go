package docker

// This file defines signals to processes and hosts, each with its proof.

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/agent"
	"starfall/runtime/agent/network"
)

// How long a port that must not answer is listened to, and one that must.
const (
	silence  = 100 * time.Millisecond
	answerIn = time.Second
)

// againAfter is how long a broker that found its former self registered in
// ZooKeeper waits before its next try.
const againAfter = time.Second

// writtenBack is how long what Kafka wrote and did not flush may stay in memory
// until Linux writes it back by itself (vm.dirty_expire_centisecs).
const writtenBack = 30 * time.Second

// Signal changes a process and proves it.
//
//	signal      done                                   proved when
//	kill, stop  SIGKILL, SIGTERM                       /proc shows no process, and the port refuses
//	pause       SIGSTOP                                /proc shows every thread stopped
//	resume      SIGCONT                                /proc shows none stopped, and the port answers
//	power_off   nothing in or out; SIGKILL; what was   /proc shows no process, and the port is silent
//	            not flushed is taken from the log
//	start       packets pass again; the server starts  the broker is registered anew and unfenced, the
//	                                                   controller in the quorum, the ZooKeeper node serves
//
// Ports are dialled from the control container, which no fault touches. A frozen
// process's port takes connections, the kernel does that; nothing is read there.
// An error means that the signal could not be sent; Proof.OK is false when ctx
// ended before its effect was seen.
func (w *world) Signal(ctx context.Context, key runtime.NodeKey, sig runtime.Signal) (runtime.Proof, error) {
	s, err := w.server(key)
	if err != nil {
		return runtime.Proof{}, err
	}
	if err := w.failed(); err != nil {
		return runtime.Proof{}, err
	}
	var proof runtime.Proof
	switch sig {
	case runtime.SignalKill, runtime.SignalStop, runtime.SignalPause, runtime.SignalResume:
		proof, err = w.signal(ctx, s, sig)
	case runtime.SignalPowerOff:
		proof, err = w.powerOff(ctx, s)
	case runtime.SignalStart:
		proof, err = w.start(ctx, s)
	default:
		err = fmt.Errorf("signal: got %q, want kill, stop, pause, resume, power_off or start", sig)
	}
	if err != nil {
		return runtime.Proof{}, fmt.Errorf("%s %s: %w", sig, s.label, err)
	}
	return proof, nil
}

// signal sends a signal to a server.
func (w *world) signal(ctx context.Context, s *server, sig runtime.Signal) (runtime.Proof, error) {
	began := time.Now()
	status, err := s.box.agent.Signal(ctx, process, sig)
	at := time.Now()
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return runtime.Proof{Text: err.Error()}, nil
	}
	if err != nil {
		return runtime.Proof{}, err
	}
	took := fmt.Sprintf(" after %.1f s", at.Sub(began).Seconds())
	switch sig {
	case runtime.SignalPause:
		return runtime.Proof{OK: true, At: at, Text: "every thread of the process stopped"}, nil
	case runtime.SignalResume:
		return w.expect(ctx, s, at, "process running", network.Connected)
	case runtime.SignalStop:
		text := "process ended" + took
		if status.Code != 0 && status.Code != 143 { // what the JVM says of SIGTERM
			text += fmt.Sprintf(" with exit code %d", status.Code)
		}
		return w.expect(ctx, s, at, text, network.Refused)
	}
	return w.expect(ctx, s, at, "process gone", network.Refused)
}

// expect adds the answer of the node's port to what is proved so far. A host
// that is dark is silent whatever its process does.
func (w *world) expect(ctx context.Context, s *server, at time.Time, text string, want network.Answer) (runtime.Proof, error) {
	got, err := w.probe(ctx, s, silenceOr(want))
	if err != nil {
		return runtime.Proof{Text: text + ", but its port could not be probed: " + err.Error()}, nil
	}
	if got.Answer != want {
		return runtime.Proof{Text: fmt.Sprintf("%s, but its port is %s", text, got.Answer)}, nil
	}
	words := map[network.Answer]string{network.Connected: "port answers", network.Refused: "port refuses", network.Silent: "port silent"}
	return runtime.Proof{OK: true, At: at, Text: text + ", " + words[want]}, nil
}

func silenceOr(want network.Answer) time.Duration {
	if want == network.Silent {
		return silence
	}
	return answerIn
}

// probe dials a node's port from the control container.
func (w *world) probe(ctx context.Context, s *server, wait time.Duration) (network.Outcome, error) {
	out, err := w.control.agent.Reach(ctx, []network.Probe{{Peer: addrPort(s), Wait: wait}})
	if err != nil {
		return network.Outcome{}, err
	}
	if len(out) != 1 || out[0].Answer == network.Failed {
		return network.Outcome{}, fmt.Errorf("probe: %+v", out)
	}
	return out[0], nil
}

// addrPort is where a node answers.
func addrPort(s *server) netip.AddrPort { return netip.AddrPortFrom(s.box.addr, s.port()) }

// powerOff makes a node's host vanish. Packets stop first, so that no reset and
// no farewell leaves.
func (w *world) powerOff(ctx context.Context, s *server) (runtime.Proof, error) {
	if err := w.darken(ctx, s, true); err != nil {
		return runtime.Proof{}, err
	}
	status, err := s.box.agent.Status(ctx, process)
	if err != nil {
		return runtime.Proof{}, err
	}
	text := "host off"
	if status.State != agent.Exited {
		if _, err := s.box.agent.Signal(ctx, process, runtime.SignalKill); err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				return runtime.Proof{Text: err.Error()}, nil
			}
			return runtime.Proof{}, err
		}
	}
	at := time.Now()
	if s.broker() {
		lost, err := s.box.agent.Discard(ctx, dirData, w.loss(s))
		if err != nil {
			return runtime.Proof{}, err
		}
		if len(lost) > 0 {
			bytes := int64(0)
			for _, d := range lost {
				bytes += d.Bytes
			}
			text += fmt.Sprintf(", unflushed records of %d partitions lost (%d bytes)", len(lost), bytes)
		}
	}
	return w.expect(ctx, s, at, text, network.Silent)
}

// loss says what a power failure takes from a broker's log dir, by what the plan
// has Kafka flush. A setting that an event changed meanwhile is not known.
func (w *world) loss(s *server) agent.Loss {
	number := func(config map[string]string, name string) int64 {
		n, err := strconv.ParseInt(config[name], 10, 64)
		if err != nil || n < 0 {
			return 0
		}
		return n
	}
	broker := maps.Clone(s.cluster.Config)
	if broker == nil {
		broker = map[string]string{}
	}
	maps.Copy(broker, s.Config)
	// Kafka looks for what is due only when this is set.
	flushes := number(broker, "log.flush.scheduler.interval.ms") > 0
	flushing := func(messages, ms int64) agent.Flushing {
		f := agent.Flushing{Messages: messages, Age: writtenBack}
		if flushes && ms > 0 {
			f.Age = min(f.Age, time.Duration(ms)*time.Millisecond)
		}
		return f
	}
	messages, ms := number(broker, "log.flush.interval.messages"), number(broker, "log.flush.interval.ms")
	out := agent.Loss{Default: flushing(messages, ms), Topics: map[string]agent.Flushing{}}
	for _, t := range w.p.Topics {
		if t.Cluster != s.cluster.Name {
			continue
		}
		m, d := messages, ms
		if n := number(t.Config, "flush.messages"); n > 0 {
			m = n
		}
		if n := number(t.Config, "flush.ms"); n > 0 {
			d = n
		}
		out.Topics[t.KafkaName()] = flushing(m, d)
	}
	return out
}

// start starts a node's server again.
func (w *world) start(ctx context.Context, s *server) (runtime.Proof, error) {
	if err := w.darken(ctx, s, false); err != nil {
		return runtime.Proof{}, err
	}
	began := time.Now()
	if err := w.startProcess(ctx, s); err != nil {
		return runtime.Proof{}, err
	}
	tries := 1
	for {
		err := s.box.agent.Await(ctx, process, int(s.port()))
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return runtime.Proof{Text: "the process runs, but nobody listens on its port"}, nil
		}
		err = w.explain(ctx, s, err)
		if !zooKeeper(s.cluster) || !strings.Contains(err.Error(), "NodeExists") {
			return runtime.Proof{}, err
		}
		// Killed and started within its ZooKeeper session's timeout, a broker finds
		// its former self registered, and ends. Those who run one start it again.
		select {
		case <-ctx.Done():
			return runtime.Proof{Text: "its former registration has not expired in ZooKeeper"}, nil
		case <-time.After(againAfter):
		}
		tries++
		if err := w.startProcess(ctx, s); err != nil {
			return runtime.Proof{}, err
		}
	}
	missing := "it is not registered"
	for {
		ok, text, err := w.serves(ctx, s)
		if err == nil && ok {
			at := time.Now()
			text = fmt.Sprintf("%s after %.1f s", text, at.Sub(began).Seconds())
			if tries > 1 {
				text += fmt.Sprintf(", at try %d: its former registration had to expire in ZooKeeper", tries)
			}
			return runtime.Proof{OK: true, At: at, Text: text}, nil
		}
		if err == nil {
			missing = text
		}
		status, err := s.box.agent.Status(ctx, process)
		if err == nil && status.State == agent.Exited {
			return runtime.Proof{}, w.explain(ctx, s, agent.ErrExited)
		}
		select {
		case <-ctx.Done():
			return runtime.Proof{Text: "the process runs, but " + missing}, nil
		case <-time.After(settleEvery):
		}
	}
}

// serves tells whether a node does its work, and in which words.
func (w *world) serves(ctx context.Context, s *server) (bool, string, error) {
	switch s.Role {
	case plan.RoleZooKeeper:
		mode, err := w.zooKeeperMode(ctx, s)
		return err == nil && mode != "", "serving as " + mode, err
	case plan.RoleController:
		got, err := w.probe(ctx, s, answerIn)
		return err == nil && got.Answer == network.Connected, "its port answers", err
	}
	state, err := w.Inspect(ctx, s.cluster.Name)
	if err != nil {
		return false, "", err
	}
	for _, n := range state.Nodes {
		if n.ID == s.ID && n.Alive {
			return true, "registered", nil
		}
	}
	return false, "it is not registered", nil
}

// zooKeeperMode asks a ZooKeeper node what it is: leader, follower or
// standalone; "" when it does not serve.
func (w *world) zooKeeperMode(ctx context.Context, s *server) (string, error) {
	conn, err := w.control.agent.Dial(ctx, netip.Addr{}, netip.AddrPortFrom(s.box.addr, portZooKeeper).String())
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(answerIn)); err != nil {
		return "", err
	}
	if _, err := conn.Write([]byte("srvr")); err != nil {
		return "", err
	}
	var text strings.Builder
	buf := make([]byte, 4096)
	for text.Len() < 64<<10 {
		n, err := conn.Read(buf)
		text.Write(buf[:n])
		if err != nil {
			break
		}
	}
	for line := range strings.SplitSeq(text.String(), "\n") {
		if mode, ok := strings.CutPrefix(line, "Mode: "); ok {
			return strings.TrimSpace(mode), nil
		}
	}
	return "", nil
}
