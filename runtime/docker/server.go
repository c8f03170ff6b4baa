package docker

// This file defines how a node's server is started, and how its start is
// awaited.

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"strings"
	"time"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/agent"
)

// jvmOptions are those of every JVM: a heap that lets several brokers stand
// beside each other, the compiler that has code ready soonest, and the image's
// class-data archive when it has one. With them a broker is up in half the time
// (architecture.md, "Engine: docker").
func jvmOptions(archive string, version release) []string {
	out := []string{"-Xmx512m", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true", logOption(version)}
	if archive != "" {
		out = append(out, "-XX:SharedArchiveFile="+archive)
	}
	return out
}

// versionIn finds the version of Kafka in a box.
func versionIn(ctx context.Context, b *box) (release, error) {
	names, err := b.agent.List(ctx, dirKafka+"/libs")
	if err != nil {
		return release{}, fmt.Errorf("container %s: the image is none of Kafka as this engine knows it: %w", b.name, err)
	}
	for _, n := range names {
		if v, ok := releaseOf(n.Name); ok {
			return v, nil
		}
	}
	return release{}, fmt.Errorf("container %s: the image has no kafka-clients in %s/libs", b.name, dirKafka)
}

// releaseOf reads the release from the name of the jar that tells it.
func releaseOf(jar string) (release, bool) {
	rest, ok := strings.CutPrefix(jar, "kafka-clients-")
	if !ok {
		return release{}, false
	}
	return parseRelease(strings.TrimSuffix(rest, ".jar"))
}

// archiveIn finds the class-data archive of an image for a server, "" for none:
// that of images/kafka, or that of the Apache project's image.
func archiveIn(ctx context.Context, b *box, n node) string {
	names := []string{dirKafka + "/cds/broker.jsa", dirKafka + "/kafka.jsa"}
	if n.Role == plan.RoleZooKeeper {
		names = []string{dirKafka + "/cds/zookeeper.jsa"}
	}
	return firstFile(ctx, b, names...)
}

// firstFile gives the first of some files that is there, "" for none.
func firstFile(ctx context.Context, b *box, names ...string) string {
	for _, name := range names {
		entries, err := b.agent.List(ctx, path.Dir(name))
		if err != nil {
			continue
		}
		for _, e := range entries {
			if e.Name == path.Base(name) {
				return name
			}
		}
	}
	return ""
}

// hostsFile is /etc/hosts of a box.
func hostsFile(b *box, names map[string]netip.Addr) agent.File {
	return agent.File{Path: "/etc/hosts", Content: []byte(hosts(b.name, b.addr, names))}
}

// clusterID is the same for all nodes of a cluster and for no other.
func (w *world) clusterID(cluster string) string { return uuid(id16(w.run, cluster)) }

// id16 makes 16 bytes of words.
func id16(words ...string) (out [16]byte) {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	copy(out[:], sum[:])
	return out
}

// startServer writes a node's files and starts its server, and returns once
// somebody listens on its port.
func (w *world) startServer(ctx context.Context, s *server) error {
	secure, err := w.securityOf(s.cluster)
	if err != nil {
		return err
	}
	set := settings{version: s.version, sites: w.doors.of(s), secure: secure}
	if w.e.Keep {
		set.host = s.box.addr
	}
	text := s.configuration(set)
	files := []agent.File{
		hostsFile(s.box, w.names),
		{Path: pathConfig, Content: []byte(text)},
		{Path: pathLog4j1, Content: []byte(log4j1)},
		{Path: pathLog4j2, Content: []byte(log4j2)},
	}
	w.noteConfig(s, text)
	format := false
	switch {
	case s.Role == plan.RoleZooKeeper:
		files = append(files, agent.File{Path: dirData + "/myid", Content: fmt.Appendf(nil, "%d\n", myID(s.ID))})
	case zooKeeper(s.cluster):
	default:
		list, known := features(s.version)
		format = !known
		if format {
			break
		}
		directory := uuid(id16(w.run, s.label))
		files = append(files, agent.File{Path: dirData + "/meta.properties", Content: []byte(metaProperties(w.clusterID(s.cluster.Name), directory, s.ID))})
		if records := bootstrapRecords(list, s.version, secure.scram(w.run, s.cluster.Name)); len(records) > 0 {
			files = append(files, agent.File{Path: dirData + "/bootstrap.checkpoint", Content: checkpoint(records, time.Now().UnixMilli())})
		}
	}
	if err := s.box.agent.Write(ctx, files...); err != nil {
		return fmt.Errorf("%s: %w", s.label, err)
	}
	if format {
		if err := w.format(ctx, s, secure); err != nil {
			return err
		}
	}
	if err := w.startProcess(ctx, s); err != nil {
		return err
	}
	w.steps.reach("%s: process started", s.label)
	if err := s.box.prime(ctx); err != nil {
		return err
	}
	if err := s.box.agent.Await(ctx, process, int(s.port())); err != nil {
		return w.explain(ctx, s, err)
	}
	w.steps.reach("%s: port %d is open", s.label, s.port())
	return nil
}

// startProcess starts a node's server.
func (w *world) startProcess(ctx context.Context, s *server) error {
	options := jvmOptions(archiveIn(ctx, s.box, s.node), s.version)
	_, err := s.box.agent.Start(ctx, agent.Process{
		Name: process, Args: s.command(append(options, w.e.JVM...)), Dir: dirWork, Log: pathLog,
	})
	if err != nil {
		return fmt.Errorf("%s: start: %w", s.label, err)
	}
	return nil
}

// format has Kafka's own tool write the log dir, for a version whose features
// are not known here.
func (w *world) format(ctx context.Context, s *server, secure *security) error {
	const name = "format"
	args := []string{"sh", "-c", classPath + `log=$1; shift; exec java -Xmx256m -XX:TieredStopAtLevel=1 "$log" -cp "$cp" kafka.tools.StorageTool format -c ` + pathConfig + ` "$@"`,
		"starfall", logOption(s.version), "-t", w.clusterID(s.cluster.Name)}
	args = append(args, secure.addScram(w.run, s.cluster.Name)...)
	if _, err := s.box.agent.Start(ctx, agent.Process{Name: name, Args: args, Dir: dirWork, Log: dirWork + "/format.log"}); err != nil {
		return fmt.Errorf("%s: format: %w", s.label, err)
	}
	status, err := s.box.agent.Wait(ctx, name)
	if err == nil && (status.Code != 0 || status.Signal != 0) {
		text, _ := s.box.agent.Read(ctx, dirWork+"/format.log", 4<<10)
		err = fmt.Errorf("exit code %d: %s", status.Code, strings.TrimSpace(string(text)))
	}
	if err != nil {
		return fmt.Errorf("%s: format: %w", s.label, err)
	}
	return nil
}

// explain adds the last lines of a server's log to an error, when it is that
// the server has ended.
func (w *world) explain(ctx context.Context, s *server, err error) error {
	if !errors.Is(err, agent.ErrExited) {
		return fmt.Errorf("%s: %w", s.label, err)
	}
	how := "it ended"
	if status, err := s.box.agent.Status(ctx, process); err == nil {
		switch {
		case status.Signal == 9:
			how = "it was killed (signal 9: out of memory?)"
		case status.Signal != 0:
			how = fmt.Sprintf("it was ended by signal %d", status.Signal)
		default:
			how = fmt.Sprintf("it ended with exit code %d", status.Code)
		}
	}
	text, readErr := s.box.agent.Read(ctx, pathLog, 64<<10)
	if readErr != nil {
		return fmt.Errorf("%s did not start: %s; its log cannot be read: %w", s.label, how, readErr)
	}
	return fmt.Errorf("%s did not start: %s; the last lines of its log:\n%s", s.label, how, telling(string(text)))
}

// telling gives the lines of a log that say why it ends: from the first error
// on, without the frames of stacks, else the last.
func telling(log string) string {
	const most = 12
	var lines []string
	first := -1
	for line := range strings.SplitSeq(strings.TrimSpace(log), "\n") {
		trimmed := strings.TrimSpace(line)
		if strings.HasPrefix(trimmed, "at ") || strings.HasPrefix(trimmed, "... ") || trimmed == "" {
			continue
		}
		if first < 0 && (strings.Contains(line, "] ERROR ") || strings.Contains(line, "] FATAL ") || strings.HasPrefix(line, "Exception in thread") || strings.HasPrefix(line, "Error")) {
			first = len(lines)
		}
		lines = append(lines, strings.TrimRight(line, "\r"))
	}
	if first < 0 {
		first = max(0, len(lines)-most)
	}
	lines = lines[first:]
	return strings.Join(lines[:min(most, len(lines))], "\n")
}

// settleEvery is how often a cluster that comes up is looked at.
const settleEvery = 40 * time.Millisecond

// awaitUp waits until a cluster can be worked with: every broker registered and
// unfenced, and, in KRaft, a controller active.
func (w *world) awaitUp(ctx context.Context, cluster string) error {
	c := w.p.Cluster(cluster)
	ended := make(chan error, len(c.Nodes))
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, n := range c.Nodes {
		s := w.servers[runtime.NodeKey{Cluster: cluster, ID: n.ID}]
		go func() {
			if _, err := s.box.agent.Wait(watching, process); err == nil {
				ended <- w.explain(ctx, s, agent.ErrExited)
			}
		}()
	}
	missing := "no broker answers"
	for {
		state, err := w.Inspect(ctx, cluster)
		if err == nil {
			if missing = w.wanting(c, state); missing == "" {
				return nil
			}
		}
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
			return fmt.Errorf("cluster %s is not up: %s: %w", cluster, missing, context.Cause(ctx))
		case <-time.After(settleEvery):
		}
	}
}

// wanting says what a cluster lacks.
func (w *world) wanting(c *plan.Cluster, state runtime.State) string {
	var out []string
	for _, n := range state.Nodes {
		node := c.Node(n.ID)
		if !n.Alive && (node.Role == plan.RoleBroker || node.Role == plan.RoleCombined) {
			out = append(out, c.Label(n.ID)+" is not registered")
		}
	}
	if len(state.Controllers) == 0 {
		out = append(out, "no controller is active")
	}
	return strings.Join(out, ", ")
}
