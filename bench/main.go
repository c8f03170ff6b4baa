// Command bench measures the embedded Kafka from outside: the servers run in processes
// of their own, and this one is the client. See README.md for the commands.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

type options struct {
	client     string
	acks       string
	records    int
	size       int
	partitions int
	linger     time.Duration
	producers  int
}

func main() {
	var o options
	servers := flag.String("servers", "starfall,kfake", "what to measure, in turn: starfall (with a topic t), bare (without), kfake, or addresses as host:port+host:port")
	runs := flag.Int("runs", 5, "runs of each; the median is shown")
	flag.StringVar(&o.client, "client", "franz", "who produces: franz (franz-go) or sarama")
	flag.StringVar(&o.acks, "acks", "all", "0, 1 or all")
	flag.IntVar(&o.records, "records", 2_000_000, "records a run")
	flag.IntVar(&o.size, "size", 100, "bytes a record")
	flag.IntVar(&o.partitions, "partitions", 6, "partitions of the topic")
	flag.DurationVar(&o.linger, "linger", 5*time.Millisecond, "how long the client gathers a batch")
	flag.IntVar(&o.producers, "producers", 1, "clients at once")
	serve := flag.Bool("serve-kfake", false, "be the kfake server, for the other process")
	idle := flag.Duration("idle", 0, "measure the first of the servers without load for this long instead")
	flag.Parse()
	var err error
	switch {
	case *serve:
		err = serveKfake(o.partitions)
	case *idle > 0:
		err = measureIdle(strings.Split(*servers, ",")[0], *idle, o.partitions)
	default:
		err = compare(strings.Split(*servers, ","), *runs, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func serveKfake(partitions int) error {
	c, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(int32(partitions), "t"))
	if err != nil {
		return err
	}
	defer c.Close()
	fmt.Println("kafka  " + strings.Join(c.ListenAddrs(), ","))
	_, err = io.Copy(io.Discard, os.Stdin) // until the other process is gone
	return err
}

// server is a cluster in a process of its own.
type server struct {
	name    string
	addrs   []string
	started time.Duration // from the start of the process to its addresses
	cmd     *exec.Cmd
	stdin   io.Closer
}

// start runs a server and waits for the line with its addresses.
func start(ctx context.Context, name string, partitions int) (*server, error) {
	s := &server{name: name}
	switch name {
	case "starfall":
		binary, err := build()
		if err != nil {
			return nil, err
		}
		s.cmd = exec.CommandContext(ctx, binary, "up", "--set", fmt.Sprint("partitions=", partitions), "cluster.star")
	case "bare":
		binary, err := build()
		if err != nil {
			return nil, err
		}
		s.cmd = exec.CommandContext(ctx, binary, "up", "bare.star")
	case "kfake":
		s.cmd = exec.CommandContext(ctx, os.Args[0], "-serve-kfake", "-partitions", strconv.Itoa(partitions))
	default:
		s.addrs = strings.Split(name, "+")
		return s, nil
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) > 1 && words[0] == "kafka" {
			s.addrs = strings.Split(words[len(words)-1], ",")
			s.started = time.Since(begin)
			go io.Copy(io.Discard, out)
			return s, nil
		}
	}
	s.stop()
	return nil, fmt.Errorf("%s: it ended without an address", name)
}

func (s *server) stop() {
	if s.cmd == nil {
		return
	}
	s.stdin.Close()
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // fails when it has ended already
	_ = s.cmd.Wait()                          // says that the signal ended it
}

// build compiles the command of the module above, once.
func build() (string, error) {
	binary := filepath.Join(os.TempDir(), fmt.Sprintf("starfall-bench-%d", os.Getuid()))
	cmd := exec.Command("go", "build", "-o", binary, "./cmd/starfall")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return binary, nil
}

// usage is the processor time and memory of a process, as /proc has them.
func (s *server) usage() (cpu time.Duration, memory int64, err error) {
	if s.cmd == nil {
		return 0, 0, errors.New("a server elsewhere is not measured")
	}
	dir := fmt.Sprintf("/proc/%d/", s.cmd.Process.Pid)
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		return 0, 0, err
	}
	// After the name in brackets: state is the first field, utime the 12th, stime the 13th.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	cpu = time.Duration(user+system) * time.Second / 100
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			memory, err = strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		}
	}
	return cpu, memory << 10, err
}

type result struct {
	rate float64       // records a second
	cpu  time.Duration // of the server, a record
}

func compare(names []string, runs int, o options) error {
	ctx := context.Background()
	results := map[string][]result{}
	for range runs {
		for _, name := range names {
			r, err := measure(ctx, name, o)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			fmt.Printf("%-10s %9.0f records/s  server %v/record\n", name, r.rate, r.cpu)
			results[name] = append(results[name], r)
		}
	}
	for _, name := range names {
		rs := results[name]
		slices.SortFunc(rs, func(a, b result) int { return int(a.rate - b.rate) })
		m := rs[len(rs)/2]
		fmt.Printf("median of %d: %-10s %9.0f records/s  server %v/record", len(rs), name, m.rate, m.cpu)
		if first := results[names[0]]; name != names[0] {
			fmt.Printf("  (%s is at %.0f %%)", names[0], 100*first[len(first)/2].rate/m.rate)
		}
		fmt.Println()
	}
	return nil
}

func measure(ctx context.Context, name string, o options) (result, error) {
	s, err := start(ctx, name, o.partitions)
	if err != nil {
		return result{}, err
	}
	defer s.stop()
	time.Sleep(time.Second) // the start is not measured here
	before, _, _ := s.usage()
	begin := time.Now()
	switch o.client {
	case "franz":
		err = produceFranz(ctx, s.addrs, o)
	case "sarama":
		err = produceSarama(s.addrs, o)
	default:
		err = fmt.Errorf("for flag client: got %s, want franz or sarama", o.client)
	}
	if err != nil {
		return result{}, err
	}
	took := time.Since(begin)
	after, _, _ := s.usage()
	return result{float64(o.records) / took.Seconds(), (after - before) / time.Duration(o.records)}, nil
}

func measureIdle(name string, d time.Duration, partitions int) error {
	s, err := start(context.Background(), name, partitions)
	if err != nil {
		return err
	}
	defer s.stop()
	before, _, err := s.usage()
	if err != nil {
		return err
	}
	time.Sleep(d)
	after, memory, err := s.usage()
	if err != nil {
		return err
	}
	fmt.Printf("up in %v, after %v: %.1f MB, %.2f %% of a processor\n", s.started.Round(time.Millisecond), d, float64(memory)/1e6, 100*float64(after-before)/float64(d))
	return nil
}
