// Package scenarios holds what ships inside the program: the library of ready
// scenarios, which answer the questions of a course chapter, and the standard
// library that scenarios load from @std//.
//
// This file defines the index. What it says about a scenario comes from the
// scenario: the title is the first line of its docstring, and comment lines
// declare the rest.
//
//	# chapter: resize                    the row of the chapter that it belongs to
//	# verdict: FAIL                      what it gives, on every engine
//	# verdict on docker: PASS            what it gives on one, where that differs
//	# engines: docker                    where it runs; every engine when not said
//	# sweep: acks=1,all                  the matrix that it is meant to run as, one parameter a line
package scenarios

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

//go:embed *.star lib/*.star
var files embed.FS

// FS holds the files of the scenarios.
func FS() fs.FS { return files }

// Std gives the files of @std//, by the names that load knows them by.
func Std() fs.FS {
	std, err := fs.Sub(files, "lib")
	if err != nil {
		panic(err) // "lib" is a valid path
	}
	return std
}

// Scenario is one scenario of the library.
type Scenario struct {
	Name     string            `json:"name"`     // file name without .star
	Title    string            `json:"title"`    // first line of the docstring
	Row      string            `json:"chapter"`  // of Rows
	Engines  []string          `json:"engines"`  // on which it runs
	Verdicts map[string]string `json:"verdicts"` // by engine: PASS, FAIL …; of a matrix the worst
	Sweeps   []string          `json:"sweeps,omitempty"`
}

// Row is a question of the chapter.
type Row struct {
	ID       string
	Title    string
	Question string
}

// Rows are the chapter's questions, in its order.
func Rows() []Row {
	return []Row{
		{"setup", "Three brokers, with ZooKeeper and without",
			"A cluster of three brokers is set up with three ZooKeeper nodes, and one in KRaft mode beside it. How many of the nodes that hold it together may be lost, and what stops when more are?"},
		{"tools", "Kafka's own tools",
			"What is each of Kafka's command line tools for, what replaced those that are gone, and how does a scenario say the same?"},
		{"resize", "More partitions while records come in",
			"A topic gets more partitions under load. Does the consumer read all of them, and does the producer write to all? What breaks, and how far does it go?"},
		{"sharing", "Consumers that share a topic",
			"Two consumers share the messages of a topic. How many can compete for them, how many where there is one partition, and which tool shows who reads what?"},
		{"node", "One of three brokers is killed",
			"A thousand unique messages a second, and a group that reads them all. One node is killed: the rate must not drop. It is started again: what happens?"},
		{"insync", "How many in-sync replicas are safe",
			"Which acks, min.insync.replicas and unclean.leader.election.enable keep what was acknowledged, when leaders die or are cut off?"},
		{"night", "What to be woken up for at night",
			"Which alarms ring in which outage, and are they early enough?"},
		{"unclean", "When an unclean election is all right",
			"What does it give, and what does it take?"},
		{"health", "A health check for the sending rate",
			"A metric of the rate of sending, and an alert when it falls below 800 a second: does it ring in an outage, and only then?"},
		{"dedup", "Idempotent producers, by hand and by Kafka",
			"Records are written twice when an answer is lost. Which ways of remembering let none through twice and drop none by mistake, and what do they cost?"},
		{"mirror", "A mirror, and whether it is identical",
			"A cluster is mirrored to a single machine. Is the mirror identical in all ways that matter?"},
		{"sites", "A data centre that is cut off",
			"Home has lost sight of dc1, which can be reached by way of London; dc2 has a mirror. In which steps does one fail over, without disturbing those who read, and those who write?"},
	}
}

// engines are those on which a scenario runs that does not say so.
func engines() []string { return []string{"embedded", "docker"} }

// Names gives the names of all scenarios, sorted.
func Names() ([]string, error) {
	found, err := fs.Glob(files, "*.star")
	if err != nil {
		return nil, err
	}
	for i := range found {
		found[i] = strings.TrimSuffix(found[i], ".star")
	}
	return found, nil
}

// Text gives the source of a scenario.
func Text(name string) ([]byte, error) { return files.ReadFile(name + ".star") }

// List gives all scenarios in the order of the chapter, by name within a row.
func List() ([]Scenario, error) {
	names, err := Names()
	if err != nil {
		return nil, err
	}
	var out []Scenario
	for _, name := range names {
		s, err := read(name)
		if err != nil {
			return nil, fmt.Errorf("scenarios: %s: %w", name, err)
		}
		out = append(out, s)
	}
	rows := Rows()
	place := func(s Scenario) int {
		return slices.IndexFunc(rows, func(r Row) bool { return r.ID == s.Row })
	}
	slices.SortStableFunc(out, func(a, b Scenario) int { return place(a) - place(b) })
	return out, nil
}

// read takes a scenario's facts from its source.
func read(name string) (Scenario, error) {
	text, err := Text(name)
	if err != nil {
		return Scenario{}, err
	}
	s := Scenario{Name: name, Engines: engines(), Verdicts: map[string]string{}}
	every := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if s.Title == "" {
			s.Title = strings.Trim(line, `"`)
		}
		switch key, value, ok := strings.Cut(strings.TrimPrefix(line, "# "), ": "); {
		case !ok || !strings.HasPrefix(line, "# "):
		case key == "chapter":
			s.Row = value
		case key == "engines":
			s.Engines = strings.Fields(value)
		case key == "sweep":
			s.Sweeps = append(s.Sweeps, value)
		case key == "verdict":
			every = value
		case strings.HasPrefix(key, "verdict on "):
			s.Verdicts[strings.TrimPrefix(key, "verdict on ")] = value
		}
	}
	for _, e := range s.Engines {
		if s.Verdicts[e] == "" {
			s.Verdicts[e] = every
		}
		if s.Verdicts[e] == "" {
			return Scenario{}, fmt.Errorf("got no verdict for %s, want a line # verdict: …", e)
		}
	}
	if !slices.ContainsFunc(Rows(), func(r Row) bool { return r.ID == s.Row }) {
		return Scenario{}, fmt.Errorf("got chapter %q, want one of its rows", s.Row)
	}
	return s, nil
}
