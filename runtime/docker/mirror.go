package docker

// This file defines mirrors: MirrorMaker 2 in a container of its own.
//
// It is ready when the target has a copy of each topic with all its partitions,
// and a task has said that it replicates each of the sources' partitions: the
// task has loaded its offsets and assigned its consumer by then, so that every
// record written from that moment on is copied. Nothing less tells: a connector
// that "runs" may have no task, and what MirrorMaker cannot create it mentions
// once and goes on without.

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/agent"
)

// Of a mirror's container.
const (
	processMirror = "mirror"
	pathMirror    = dirWork + "/mirror.properties"
	pathMirrorLog = dirWork + "/mirror.log"
	mirrorClass   = "org.apache.kafka.connect.mirror.MirrorMaker"
)

// mirrorProperties is MirrorMaker's configuration.
//
//	setting                                            because
//	every replication factor, at most the brokers      above it nothing is mirrored, and nothing said
//	TO.offset.flush.interval.ms=1000                   after a crash the mirror goes on where it last wrote that
//	                                                   it was, once a minute by default; without the prefix it is
//	                                                   not heeded
//	TO.offset.storage.partitions and TO.status…=1      nothing is gained by 25 and 5, each takes time to make
//	refresh.topics, refresh.groups: 1 s                new partitions and groups are seen; 10 minutes by default
//	emit.checkpoints: 1 s, offset.lag.max=0            every position can be translated
//	emit.heartbeats.enabled=false                      nobody reads them; they would be a topic more on each side
//
// All else is MirrorMaker's default: one task, configs synchronised once at start
// and every ten minutes (min.insync.replicas and some others never,
// DefaultConfigPropertyFilter), rights of topics where both sides have some.
func mirrorProperties(s runtime.MirrorSpec, from, to *plan.Cluster) string {
	var b strings.Builder
	line := func(name, value string) { b.WriteString(propertyLine(name, value)) }
	source, target := s.Mirror.From, s.Mirror.To
	flow := source + "->" + target + "."
	atMost := func(c *plan.Cluster, n int) string { return strconv.Itoa(min(n, len(c.Brokers()))) }
	line("clusters", source+","+target)
	for _, x := range []struct {
		name  string
		addrs []string
	}{{source, s.From}, {target, s.To}} {
		line(x.name+".bootstrap.servers", strings.Join(x.addrs, ","))
		loginLines(s.Operators[x.name], func(name, value string) { line(x.name+"."+name, value) })
	}
	line(target+".offset.flush.interval.ms", "1000")
	for _, name := range []string{"config", "offset", "status"} {
		line(target+"."+name+".storage.replication.factor", atMost(to, 3))
		if name != "config" {
			line(target+"."+name+".storage.partitions", "1")
		}
	}
	var topics []string
	replicas := 1
	for i, t := range s.Topics {
		topics = append(topics, topicPattern(t.KafkaName()))
		replicas = max(replicas, s.Copies[i].Replicas)
	}
	line(flow+"enabled", "true")
	line(flow+"topics", strings.Join(topics, ","))
	line(flow+"replication.factor", atMost(to, replicas))
	line(flow+"offset-syncs.topic.replication.factor", atMost(from, 3))
	line(flow+"checkpoints.topic.replication.factor", atMost(to, 3))
	line(flow+"heartbeats.topic.replication.factor", atMost(to, 3))
	line("emit.heartbeats.enabled", "false")
	line(flow+"refresh.topics.interval.seconds", "1")
	line(flow+"refresh.groups.interval.seconds", "1")
	line(flow+"emit.checkpoints.interval.seconds", "1")
	line(flow+"offset.lag.max", "0")
	if every := s.Mirror.SyncOffsetsEvery.Std(); every > 0 {
		line(flow+"sync.group.offsets.enabled", "true")
		line(flow+"sync.group.offsets.interval.seconds", strconv.Itoa(max(1, int(every.Seconds()))))
	}
	if s.Mirror.Rename == plan.RenameIdentity {
		line("replication.policy.class", "org.apache.kafka.connect.mirror.IdentityReplicationPolicy")
	}
	return b.String()
}

// topicPattern is the regular expression for one topic; a name has no other
// letter that means something in one than the dot.
func topicPattern(name string) string { return strings.ReplaceAll(name, ".", `\.`) }

// mirrorOptions are those of a mirror's JVM: it lives long enough for the second
// compiler, and holds more than a tool.
func mirrorOptions(archive string, version release) []string {
	out := []string{"-Xmx384m", "-Djava.awt.headless=true", logOption(version)}
	if archive != "" {
		out = append(out, "-XX:SharedArchiveFile="+archive)
	}
	return out
}

// Mirror starts MirrorMaker and returns once every copy is there and records
// pass.
func (w *world) Mirror(ctx context.Context, s runtime.MirrorSpec) (runtime.Member, error) {
	b := w.standing(s.Place)
	from, to := w.p.Cluster(s.Mirror.From), w.p.Cluster(s.Mirror.To)
	if b == nil || from == nil || to == nil {
		return nil, fmt.Errorf("no container stands for mirror %s from %s to %s", s.Mirror.Name, s.Mirror.From, s.Mirror.To)
	}
	version, err := versionIn(ctx, b)
	if err != nil {
		return nil, err
	}
	text := mirrorProperties(s, from, to)
	if w.o.Folder != "" {
		w.note(b.name+".properties", []byte(text))
	}
	err = b.agent.Write(ctx,
		agent.File{Path: pathMirror, Content: []byte(text)},
		agent.File{Path: pathLog4j1, Content: []byte(log4j1)},
		agent.File{Path: pathLog4j2, Content: []byte(log4j2)})
	if err != nil {
		return nil, err
	}
	args := []string{"sh", "-c", classPath + `exec java "$@" -cp "$cp" ` + mirrorClass + ` ` + pathMirror + ` --clusters ` + shellQuote(s.Mirror.To), "starfall"}
	args = append(args, mirrorOptions(firstFile(ctx, b, dirKafka+"/cds/mirror.jsa"), version)...)
	// MirrorMaker reads nothing of an earlier life from its log, but readiness does.
	if err := b.agent.Remove(ctx, pathMirrorLog, pathMirrorLog+".1"); err != nil {
		return nil, err
	}
	if _, err := b.agent.Start(ctx, agent.Process{Name: processMirror, Args: args, Dir: dirWork, Log: pathMirrorLog}); err != nil {
		return nil, err
	}
	m := &mirror{w: w, b: b, spec: s, over: make(chan struct{})}
	go m.watch()
	if err := m.ready(ctx); err != nil {
		m.Crash()
		return nil, err
	}
	return m, nil
}

// shellQuote makes one word of the shell.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// mirror is a MirrorMaker that runs.
type mirror struct {
	w    *world
	b    *box
	spec runtime.MirrorSpec
	over chan struct{} // the process has ended

	mu     sync.Mutex
	asked  bool  // to end
	reason error // why it ended, unless it was asked to
}

var _ runtime.Member = (*mirror)(nil)

// watch waits for the end of the process. One that nobody asked for ends the run.
func (m *mirror) watch() {
	defer close(m.over)
	if _, err := m.b.agent.Wait(m.w.life, processMirror); err != nil {
		return // the run is over, or the container is gone, which is told
	}
	m.mu.Lock()
	asked := m.asked
	m.mu.Unlock()
	if asked {
		return
	}
	ctx, cancel := context.WithTimeout(m.w.life, answerIn)
	defer cancel()
	err := fmt.Errorf("mirror %s: MirrorMaker has ended; the last lines of its log:\n%s", m.spec.Mirror.Name, m.lastLines(ctx))
	m.mu.Lock()
	m.reason = err
	m.mu.Unlock()
	m.w.breaks(err)
}

func (m *mirror) lastLines(ctx context.Context) string {
	text, err := m.b.agent.Read(ctx, pathMirrorLog, 64<<10)
	if err != nil {
		return "it cannot be read: " + err.Error()
	}
	return telling(string(text))
}

// lookEvery is how often a mirror that starts is looked at.
const lookEvery = 200 * time.Millisecond

// ready waits until every partition is replicated into its copy.
func (m *mirror) ready(ctx context.Context) error {
	missing := "it has not started"
	for {
		text, err := m.b.agent.Read(ctx, pathMirrorLog, 0)
		if err == nil {
			missing = notReplicated(string(text), m.spec.Topics)
			if missing == "" {
				var state runtime.State
				if state, err = m.w.Inspect(ctx, m.spec.Mirror.To); err == nil {
					if missing = notCopied(state, m.spec.Copies); missing == "" {
						return nil
					}
				}
			}
		}
		select {
		case <-m.over:
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.reason != nil {
				return m.reason
			}
			return errors.New("MirrorMaker has ended")
		case <-ctx.Done():
			limited, cancel := context.WithTimeout(m.w.life, answerIn)
			defer cancel()
			return fmt.Errorf("%s: %w; the last lines of MirrorMaker's log:\n%s", missing, context.Cause(ctx), m.lastLines(limited))
		case <-time.After(lookEvery):
		}
	}
}

// replicating is what a source task says when it starts (MirrorSourceTask.start).
var replicating = regexp.MustCompile(`replicating \d+ topic-partitions \S+: \[([^\]]*)\]`)

// notReplicated names a partition of the topics that no task has begun with, ""
// when there is none.
func notReplicated(log string, topics []plan.Topic) string {
	seen := map[string]bool{}
	for _, found := range replicating.FindAllStringSubmatch(log, -1) {
		for _, name := range strings.Split(found[1], ", ") {
			seen[name] = true
		}
	}
	for _, t := range topics {
		for p := range t.Partitions {
			if !seen[fmt.Sprintf("%s-%d", t.KafkaName(), p)] {
				return fmt.Sprintf("no task replicates %s/%d", t.Name, p)
			}
		}
	}
	return ""
}

// notCopied names a copy that is not whole on its cluster, "" when there is none.
func notCopied(state runtime.State, copies []plan.Topic) string {
	for _, t := range copies {
		n := 0
		for _, p := range state.Partitions {
			if p.Topic == t.KafkaName() && p.Leader >= 0 {
				n++
			}
		}
		if n < t.Partitions {
			return fmt.Sprintf("the copy %s has %d of %d partitions with a leader", t.Name, n, t.Partitions)
		}
	}
	return ""
}

// Stop has MirrorMaker end in order: it writes what it has and where it is.
func (m *mirror) Stop(ctx context.Context) error {
	m.ask()
	_, err := m.b.agent.Signal(ctx, processMirror, runtime.SignalStop)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		m.kill()
	}
	return fmt.Errorf("MirrorMaker does not end: %w", err)
}

// Crash kills it.
func (m *mirror) Crash() {
	m.ask()
	m.kill()
}

func (m *mirror) ask() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = true
}

// killLimit is how long the end of a killed process may take to show.
const killLimit = 5 * time.Second

func (m *mirror) kill() {
	ctx, cancel := context.WithTimeout(m.w.life, killLimit)
	defer cancel()
	if _, err := m.b.agent.Signal(ctx, processMirror, runtime.SignalKill); err != nil && m.w.life.Err() == nil {
		m.w.breaks(fmt.Errorf("mirror %s: it cannot be killed: %w", m.spec.Mirror.Name, err))
	}
}

// mirrorBoxes gives the containers of mirrors.
func (w *world) mirrorBoxes() []*box {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []*box
	for _, m := range w.p.Mirrors {
		if b := w.stands[m.Name]; b != nil && !slices.Contains(out, b) {
			out = append(out, b)
		}
	}
	return out
}
