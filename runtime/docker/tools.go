package docker

// This file defines how Kafka's own tools are run: in the control container, with
// the cluster's brokers and the operator's credentials put in where the scenario
// names none.

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"starfall/internal/kafkatools"
	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/agent"
)

const (
	pathToolLog1  = dirWork + "/tools-log4j.properties"  // Kafka 3
	pathToolLog2  = dirWork + "/tools-log4j2.properties" // Kafka 4
	maxToolOutput = 4 << 20                              // bytes that are kept of one tool
)

// What tools print goes to standard output; what Kafka's clients in them have to
// warn of, to standard error, as with Kafka's own scripts.
const (
	toolLog1 = `log4j.rootLogger=WARN, stderr
log4j.appender.stderr=org.apache.log4j.ConsoleAppender
log4j.appender.stderr.layout=org.apache.log4j.PatternLayout
log4j.appender.stderr.layout.ConversionPattern=[%d] %p %m (%c)%n
log4j.appender.stderr.Target=System.err
`
	toolLog2 = `status=warn
appender.stderr.type=Console
appender.stderr.name=stderr
appender.stderr.target=SYSTEM_ERR
appender.stderr.layout.type=PatternLayout
appender.stderr.layout.pattern=[%d] %p %m (%c)%n
rootLogger.level=warn
rootLogger.appenderRef.stderr.ref=stderr
`
)

// form says how a tool is told where the cluster is and who asks. Options of a
// tool with subcommands come before or after the subcommand, never both.
type form struct {
	tool   string
	server string // the option for brokers; "": the file of settings names them
	config string // the option for a file of settings; "": it has none
	early  bool   // options come first
}

// forms is sorted by tool. A tool that is not here asks no cluster, or is told by
// words that have no name (kafka-e2e-latency).
func forms() []form {
	const server = "--bootstrap-server"
	return []form{
		{tool: "kafka-acls", server: server, config: "--command-config"},
		{tool: "kafka-broker-api-versions", server: server, config: "--command-config"},
		{tool: "kafka-client-metrics", server: server, config: "--command-config"},
		{tool: "kafka-cluster", server: server, config: "--config"},
		{tool: "kafka-configs", server: server, config: "--command-config"},
		{tool: "kafka-console-consumer", server: server, config: "--consumer.config"},
		{tool: "kafka-console-producer", server: server, config: "--producer.config"},
		{tool: "kafka-console-share-consumer", server: server, config: "--consumer-config"},
		{tool: "kafka-consumer-groups", server: server, config: "--command-config"},
		{tool: "kafka-consumer-perf-test", server: server, config: "--consumer.config"},
		{tool: "kafka-delegation-tokens", server: server, config: "--command-config"},
		{tool: "kafka-delete-records", server: server, config: "--command-config"},
		{tool: "kafka-features", server: server, config: "--command-config", early: true},
		{tool: "kafka-get-offsets", server: server, config: "--command-config"},
		{tool: "kafka-groups", server: server, config: "--command-config"},
		{tool: "kafka-leader-election", server: server, config: "--admin.config"},
		{tool: "kafka-log-dirs", server: server, config: "--command-config"},
		{tool: "kafka-metadata-quorum", server: server, config: "--command-config", early: true},
		{tool: "kafka-producer-perf-test", config: "--producer.config"},
		{tool: "kafka-reassign-partitions", server: server, config: "--command-config"},
		{tool: "kafka-replica-verification", server: "--broker-list"},
		{tool: "kafka-share-groups", server: server, config: "--command-config"},
		{tool: "kafka-streams-application-reset", server: server, config: "--config-file"},
		{tool: "kafka-streams-groups", server: server, config: "--command-config"},
		{tool: "kafka-topics", server: server, config: "--command-config"},
		{tool: "kafka-transactions", server: server, config: "--command-config", early: true},
		{tool: "kafka-verifiable-consumer", server: server, config: "--consumer.config"},
		{tool: "kafka-verifiable-producer", server: server, config: "--producer.config"},
	}
}

// has tells whether an option is among arguments, with its value in the same word
// or in the next.
func has(args []string, options ...string) bool {
	return slices.ContainsFunc(args, func(a string) bool {
		name, _, _ := strings.Cut(a, "=")
		return slices.Contains(options, name)
	})
}

// complete gives the arguments with which a tool is run, and the file of settings
// that they name, "" where they name none of ours. at is the path for that file.
func complete(tool string, args, brokers []string, login runtime.Login, at string) (all []string, file string) {
	i := slices.IndexFunc(forms(), func(f form) bool { return f.tool == tool })
	if i < 0 || has(args, "--help", "-h", "--version") {
		return args, ""
	}
	f := forms()[i]
	var b strings.Builder
	line := func(name, value string) { b.WriteString(propertyLine(name, value)) }
	var more []string
	named := has(args, "--bootstrap-server", "--bootstrap-controller", "--bootstrap-servers", "--broker-list", "-b", "-C") && tool != "kafka-log-dirs" ||
		has(args, "--bootstrap-server")
	switch {
	case f.server == "":
		if !slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "bootstrap.servers=") }) && !named {
			line("bootstrap.servers", strings.Join(brokers, ","))
		}
	case !named:
		more = append(more, f.server, strings.Join(brokers, ","))
	}
	if has(args, "--bootstrap-controller", "-C") && login.User != "" {
		login.Mechanism = mechanismPlain // by which controllers are logged in to
	}
	loginLines(login, line)
	if b.Len() > 0 && f.config != "" && !has(args, f.config, "--command-config") {
		more = append(more, f.config, at)
		file = b.String()
	}
	if f.early {
		return append(more, args...), file
	}
	// Options that take several words would swallow what follows them.
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		return slices.Concat(args[:1], more, args[1:]), file
	}
	return append(more, args...), file
}

// toolClass gives the class of a tool and its arguments. kafka-run-class takes it
// from them.
func toolClass(name, version string, args []string) (class string, rest []string, err error) {
	if name == "kafka-run-class" {
		if len(args) == 0 {
			return "", nil, errors.New("kafka-run-class: want the name of a class as its first argument")
		}
		return args[0], args[1:], nil
	}
	if err := kafkatools.Check(name, version); err != nil {
		return "", nil, err
	}
	t, _ := kafkatools.Lookup(name)
	return t.Class(version), args, nil
}

// toolBox gives the container in which a cluster's tools run: one with its own
// version of Kafka.
func (w *world) toolBox(ctx context.Context, c *plan.Cluster, tool string) (*box, error) {
	if tool == "kafka-dump-log" {
		// It reads the files of a broker, where they are.
		return w.servers[runtime.NodeKey{Cluster: c.Name, ID: c.Brokers()[0].ID}].box, nil
	}
	if w.images[c.Name].id == w.images[w.p.Clusters[0].Name].id {
		return w.control, nil
	}
	w.tooling.Lock()
	defer w.tooling.Unlock()
	if b := w.tools[c.Name]; b != nil {
		return b, nil
	}
	b, err := w.launch(ctx, boxSpec{name: "tools-" + c.Name, host: "tools", image: w.images[c.Name]})
	if err != nil {
		return nil, err
	}
	if err := w.tellNames(ctx, b); err != nil {
		return nil, err
	}
	w.tools[c.Name] = b
	return b, nil
}

// Tool runs one of Kafka's tools. When ctx ends it is killed; what it printed until
// then comes beside the error.
func (w *world) Tool(ctx context.Context, cluster, name string, args []string) (runtime.ToolResult, error) {
	if err := w.failed(); err != nil {
		return runtime.ToolResult{}, err
	}
	c := w.p.Cluster(cluster)
	if c == nil {
		return runtime.ToolResult{}, fmt.Errorf("%s: there is no cluster %s", name, cluster)
	}
	version := w.servers[runtime.NodeKey{Cluster: c.Name, ID: c.Brokers()[0].ID}].version
	class, args, err := toolClass(name, version.String(), args)
	if err != nil {
		return runtime.ToolResult{}, err
	}
	b, err := w.toolBox(ctx, c, name)
	if err != nil {
		return runtime.ToolResult{}, fmt.Errorf("%s: %w", name, err)
	}
	brokers, err := w.Bootstrap(cluster, runtime.Place{})
	if err != nil {
		return runtime.ToolResult{}, err
	}
	w.tooling.Lock()
	w.toolRun++
	id := fmt.Sprintf("tool-%d", w.toolRun)
	w.tooling.Unlock()
	settings, log := path.Join(dirWork, id+".properties"), path.Join(dirWork, id+".log")
	args, text := complete(name, args, brokers, w.o.Operators[cluster], settings)
	files := []agent.File{{Path: pathToolLog1, Content: []byte(toolLog1)}, {Path: pathToolLog2, Content: []byte(toolLog2)}}
	if text != "" {
		files = append(files, agent.File{Path: settings, Mode: 0o600, Content: []byte(text)})
	}
	if err := b.agent.Write(ctx, files...); err != nil {
		return runtime.ToolResult{}, fmt.Errorf("%s: %w", name, err)
	}
	defer w.tidyTool(b, settings, log)
	command := append([]string{"sh", "-c", classPath + `log=$1 jsa=$2 class=$3; shift 3
exec java -Xmx256m -XX:TieredStopAtLevel=1 -Djava.awt.headless=true "$log" ${jsa:+-XX:SharedArchiveFile="$jsa"} -cp "$cp" "$class" "$@"`,
		"starfall", toolLogOption(version), firstFile(ctx, b, dirKafka+"/cds/tools.jsa"), class}, args...)
	_, err = b.agent.Start(ctx, agent.Process{Name: id, Args: command, Dir: dirWork, Log: log, LogLimit: maxToolOutput})
	if err != nil {
		return runtime.ToolResult{}, fmt.Errorf("%s: %w", name, err)
	}
	status, err := b.agent.Wait(ctx, id)
	if err != nil {
		err = errors.Join(err, w.endTool(b, id))
	}
	out, readErr := w.toolOutput(b, log)
	out.Code = status.Code
	if err == nil && status.Signal != 0 {
		err = fmt.Errorf("it was ended by signal %d", status.Signal)
	}
	if err = errors.Join(err, readErr); err != nil {
		return out, fmt.Errorf("%s: %w", name, err)
	}
	return out, nil
}

// toolLogOption tells a tool's JVM where its log configuration is.
func toolLogOption(version release) string {
	if version.before(4, 0) {
		return "-Dlog4j.configuration=file:" + pathToolLog1
	}
	return "-Dlog4j2.configurationFile=" + pathToolLog2
}

// endTool kills a tool that is not waited for any more.
func (w *world) endTool(b *box, id string) error {
	ctx, cancel := context.WithTimeout(w.life, killLimit)
	defer cancel()
	_, err := b.agent.Signal(ctx, id, runtime.SignalKill)
	return err
}

// toolOutput reads what a tool has printed.
func (w *world) toolOutput(b *box, log string) (runtime.ToolResult, error) {
	ctx, cancel := context.WithTimeout(w.life, 10*time.Second)
	defer cancel()
	var out runtime.ToolResult
	for _, name := range []string{log + ".1", log} {
		part, err := b.agent.Read(ctx, name, 0)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return out, err
		default:
			out.Cut = out.Cut || name != log // what was there before may be gone
			out.Output = append(out.Output, part...)
		}
	}
	return out, nil
}

// tidyTool removes a tool's files.
func (w *world) tidyTool(b *box, settings, log string) {
	ctx, cancel := context.WithTimeout(w.life, killLimit)
	defer cancel()
	// That they stay is no reason for anything: the container goes with the run.
	_ = b.agent.Remove(ctx, settings, log, log+".1")
}
