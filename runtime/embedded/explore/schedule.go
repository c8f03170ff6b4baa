// Package explore runs the core of the embedded Kafka under a virtual clock through
// thousands of seeded schedules of faults, and checks after every step what must hold
// whatever happens. A schedule that breaks something is printed as text, and replays to
// the letter from it.
//
// What is checked is written above the type checker.
package explore

// This file defines a schedule and its text form.

import (
	"bufio"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Schedule is a cluster, its load, and what is done to it. Together with the seed, which
// drives the World and the clients, it determines everything that happens.
type Schedule struct {
	Seed        uint64
	Brokers     int // ids 1 to Brokers
	Controllers int // separate ones, with the ids of core.ControllerID; 0: every broker is one
	Partitions  int // of the topic under load, with three replicas and min.insync.replicas 2
	Members     int // of the consumer group, 0 for none
	// Transactions is the number of transactional ids, each with a producer.
	Transactions int
	// Unclean allows unclean leader elections: what is lost then is not held against Kafka.
	Unclean bool
	// For is how long faults happen; then everything is mended and must settle.
	For     time.Duration
	Actions []Action // in order of time
}

// Verb is what an Action does.
type Verb string

// The verbs. An action that does not apply, such as a kill of a node that is down, does
// nothing.
const (
	Kill     Verb = "kill"      // Node
	PowerOff Verb = "power_off" // Node
	Stop     Verb = "stop"      // Node
	Start    Verb = "start"     // Node
	Pause    Verb = "pause"     // Node
	Resume   Verb = "resume"    // Node
	Split    Verb = "split"     // Nodes are on one side; nothing passes either way
	Mute     Verb = "mute"      // what Nodes send does not reach the others
	Slow     Verb = "slow"      // Delay on the way from Node to To
	Lose     Verb = "lose"      // 10 % of packets between all nodes
	Heal     Verb = "heal"      // the whole network
	Lead     Verb = "lead"      // broker Node becomes preferred leader of Partition, and is asked for
	Freeze   Verb = "freeze"    // group member Node does nothing for Delay
	Crash    Verb = "crash"     // the producers of transactional id Node die; the next comes after Delay
	Rival    Verb = "rival"     // another producer of transactional id Node comes, and the old one goes on
)

// Trigger is what an action waits for: the races that matter are a few messages long, and
// a time alone would hardly ever hit them.
type Trigger string

// The triggers: what the active controller writes, and a client that ends a transaction.
const (
	OnISR    Trigger = "isr"    // other in-sync replicas
	OnLeader Trigger = "leader" // another leader
	OnFence  Trigger = "fence"  // a broker is fenced
	OnJoin   Trigger = "join"   // a broker is unfenced
	OnEnd    Trigger = "end"    // the coordinator is asked to commit or abort
)

// Action is one thing that is done at a time, or, with a trigger, when that happens for
// the first time from then on.
type Action struct {
	At        time.Duration
	On        Trigger
	Verb      Verb
	Node, To  int32
	Nodes     []int32
	Partition int32
	Delay     time.Duration
}

// String is the schedule as Parse reads it: a line for each field, a line for each action.
func (s Schedule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d\nbrokers %d\ncontrollers %d\npartitions %d\nmembers %d\ntransactions %d\nunclean %t\nfor %s\n",
		s.Seed, s.Brokers, s.Controllers, s.Partitions, s.Members, s.Transactions, s.Unclean, s.For)
	for _, a := range s.Actions {
		fmt.Fprintln(&b, a)
	}
	return b.String()
}

// String is the action as a line of a schedule.
func (a Action) String() string {
	when := a.At.String()
	if a.On != "" {
		when += " on " + string(a.On)
	}
	switch a.Verb {
	case Split, Mute:
		ids := make([]string, len(a.Nodes))
		for i, id := range a.Nodes {
			ids[i] = strconv.Itoa(int(id))
		}
		return fmt.Sprintf("at %s %s %s", when, a.Verb, strings.Join(ids, ","))
	case Slow:
		return fmt.Sprintf("at %s slow %d %d %s", when, a.Node, a.To, a.Delay)
	case Lead:
		return fmt.Sprintf("at %s lead %d %d", when, a.Node, a.Partition)
	case Freeze, Crash:
		return fmt.Sprintf("at %s %s %d %s", when, a.Verb, a.Node, a.Delay)
	case Lose, Heal:
		return fmt.Sprintf("at %s %s", when, a.Verb)
	}
	return fmt.Sprintf("at %s %s %d", when, a.Verb, a.Node)
}

// Parse reads what String wrote. Blank lines and lines that begin with # are skipped.
// An error names its line.
func Parse(text string) (Schedule, error) {
	var s Schedule
	scan := bufio.NewScanner(strings.NewReader(text))
	for n := 1; scan.Scan(); n++ {
		line := strings.TrimSpace(scan.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := s.line(strings.Fields(line)); err != nil {
			return Schedule{}, fmt.Errorf("schedule: line %d: %w", n, err)
		}
	}
	if err := scan.Err(); err != nil {
		return Schedule{}, fmt.Errorf("schedule: %w", err)
	}
	return s, s.validate()
}

func (s *Schedule) line(words []string) (err error) {
	if words[0] == "at" {
		a, err := parseAction(words[1:])
		s.Actions = append(s.Actions, a)
		return err
	}
	if len(words) != 2 {
		return fmt.Errorf("for %s: got %d words, want a name and a value", words[0], len(words))
	}
	switch words[0] {
	case "seed":
		s.Seed, err = strconv.ParseUint(words[1], 10, 64)
	case "brokers":
		s.Brokers, err = strconv.Atoi(words[1])
	case "controllers":
		s.Controllers, err = strconv.Atoi(words[1])
	case "partitions":
		s.Partitions, err = strconv.Atoi(words[1])
	case "members":
		s.Members, err = strconv.Atoi(words[1])
	case "transactions":
		s.Transactions, err = strconv.Atoi(words[1])
	case "unclean":
		s.Unclean, err = strconv.ParseBool(words[1])
	case "for":
		s.For, err = time.ParseDuration(words[1])
	default:
		return fmt.Errorf("for name %s: want seed, brokers, controllers, partitions, members, transactions, unclean, for or at", words[0])
	}
	return err
}

func parseAction(words []string) (a Action, err error) {
	if len(words) < 2 {
		return a, fmt.Errorf("for an action: got %d words, want a time and a verb", len(words))
	}
	if a.At, err = time.ParseDuration(words[0]); err != nil {
		return a, err
	}
	words = words[1:]
	if words[0] == "on" && len(words) > 2 {
		a.On = Trigger(words[1])
		switch a.On {
		case OnISR, OnLeader, OnFence, OnJoin, OnEnd:
		default:
			return a, fmt.Errorf("for a trigger: got %s, want isr, leader, fence, join or end", a.On)
		}
		words = words[2:]
	}
	a.Verb = Verb(words[0])
	words = words[1:]
	id := func(i int) int32 {
		if i >= len(words) {
			err = fmt.Errorf("for verb %s: got %d words after it, want more", a.Verb, len(words))
			return 0
		}
		n, e := strconv.ParseInt(words[i], 10, 32)
		if e != nil && err == nil {
			err = e
		}
		return int32(n)
	}
	used := 1
	switch a.Verb {
	case Kill, PowerOff, Stop, Start, Pause, Resume, Rival:
		a.Node = id(0)
	case Split, Mute:
		if len(words) == 0 {
			return a, fmt.Errorf("for verb %s: got no nodes", a.Verb)
		}
		for _, word := range strings.Split(words[0], ",") {
			n, e := strconv.ParseInt(word, 10, 32)
			if e != nil {
				return a, e
			}
			a.Nodes = append(a.Nodes, int32(n))
		}
	case Slow:
		used = 3
		a.Node, a.To = id(0), id(1)
		if err == nil && len(words) > 2 {
			a.Delay, err = time.ParseDuration(words[2])
		}
	case Lead:
		used = 2
		a.Node, a.Partition = id(0), id(1)
	case Freeze, Crash:
		used = 2
		a.Node = id(0)
		if err == nil && len(words) > 1 {
			a.Delay, err = time.ParseDuration(words[1])
		}
	case Lose, Heal:
		used = 0
	default:
		return a, fmt.Errorf("for a verb: got %s", a.Verb)
	}
	if err == nil && len(words) != used {
		err = fmt.Errorf("for verb %s: got %d words after it, want %d", a.Verb, len(words), used)
	}
	return a, err
}

func (s Schedule) validate() error {
	switch {
	case s.Brokers < 1 || s.Brokers > 9 || s.Controllers < 0 || s.Controllers > 5:
		return fmt.Errorf("schedule: for brokers and controllers: got %d and %d, want 1 to 9 and 0 to 5", s.Brokers, s.Controllers)
	case s.Partitions < 1 || s.Partitions > 50:
		return fmt.Errorf("schedule: for partitions: got %d, want 1 to 50", s.Partitions)
	case s.Members < 0 || s.Members > 20:
		return fmt.Errorf("schedule: for members: got %d, want 0 to 20", s.Members)
	case s.Transactions < 0 || s.Transactions > 20:
		return fmt.Errorf("schedule: for transactions: got %d, want 0 to 20", s.Transactions)
	case s.For < 0 || s.For > time.Hour:
		return fmt.Errorf("schedule: for the duration: got %s, want up to 1h", s.For)
	case !slices.IsSortedFunc(s.Actions, func(a, b Action) int { return int(a.At - b.At) }):
		return fmt.Errorf("schedule: for actions: want them in order of time")
	}
	for _, a := range s.Actions {
		if a.At < 0 || a.Delay < 0 {
			return fmt.Errorf("schedule: for action %s: want no negative durations", a)
		}
	}
	return nil
}
