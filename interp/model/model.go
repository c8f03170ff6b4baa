// Package model checks a plan against a model of its clusters over time: it
// finds what no single declaration shows, such as a partition that does not
// exist yet, the start of a broker that is running, or a claim over an empty
// window. It is pure and starts nothing.
//
// The model knows only what is certain before a run. Selectors such as
// leader(partition = 0) hit a node that nobody knows beforehand; they are
// counted, not named. Events that a claim triggers have no known time, so
// nothing that they touch is called certain. What is not certain is not
// reported.
package model

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"starfall/internal/spell"
	"starfall/interp/plan"
)

// Severity says whether a plan can be run in spite of a problem.
type Severity string

// The severities. An Error is a plan that cannot mean what it says; a Warning
// is one that is unwise, or that probably shows less than its author thinks.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Problem is one finding about a plan, at the declaration, action or term that
// it is about.
type Problem struct {
	Pos      plan.Pos
	Severity Severity
	Message  string
	// Suggestion says what to write instead: lines, without their indentation. It
	// is empty when there is nothing better to say than the message.
	Suggestion string
}

// String gives "file:line:col: message", with "warning: " before the message of
// a warning, then the lines of the suggestion, indented.
func (p Problem) String() string {
	var b strings.Builder
	switch {
	case p.Pos.Line > 0:
		b.WriteString(p.Pos.String() + ": ")
	case p.Pos.File != "":
		b.WriteString(p.Pos.File + ": ")
	}
	if p.Severity == Warning {
		b.WriteString("warning: ")
	}
	b.WriteString(p.Message)
	for line := range strings.Lines(p.Suggestion) {
		b.WriteString("\n    " + strings.TrimSuffix(line, "\n"))
	}
	if via := p.Pos.Via; via != nil {
		b.WriteString("\n    called from " + via.String())
	}
	return b.String()
}

// Check returns all problems of a plan, sorted by position. A plan without an
// Error can be run. The plan is not changed.
func Check(p *plan.Plan) []Problem {
	c := newChecker(p)
	if c.checkScenario() {
		c.checkThings()
		c.walk()
		c.checkClaims()
		c.checkWisdom()
	}
	return c.sorted()
}

// CheckThings gives the errors of a plan that lie in its things alone: places,
// topics and clients, without regard to time. It is for a plan that is not whole
// because a scenario has other mistakes.
func CheckThings(p *plan.Plan) []Problem {
	c := newChecker(p)
	c.checkThings()
	return slices.DeleteFunc(c.sorted(), func(x Problem) bool { return x.Severity != Error })
}

func (c *checker) checkThings() {
	c.checkPlaces()
	c.checkTopics()
	c.checkMirrors()
	c.checkUsers()
	c.checkProducers()
	c.checkConsumers()
}

// checker holds one check. Maps are for finding only; everything that people
// see is in the order of the plan.
type checker struct {
	p           *plan.Plan // what is declared
	whole       *plan.Plan // with what mirrors bring with them
	run, warmup plan.Duration

	sites     map[string]bool
	clusters  map[string]*clusterState
	topics    map[string]*topicState
	producers map[string]*clientState
	consumers map[string]*clientState
	mirrors   map[string]*mirrorState
	users     map[string]*userState
	alarms    map[string]bool
	events    map[string]*eventState
	order     []*eventState // events as declared

	queue     queue
	now       plan.Duration // how far the walk has come
	firings   int
	seq       int
	paths     []*effect             // faults of paths that are not healed
	pathsMay  bool                  // an event of unknown time touches paths
	badAction map[*plan.Action]bool // an error was reported
	toldOf    map[*plan.Action]bool // a warning was

	problems []Problem
}

// declared gives a plan without what mirrors bring with them: their topics and
// observers are made to fit, and nobody wrote them.
func declared(p *plan.Plan) *plan.Plan {
	d := *p
	d.Topics = slices.DeleteFunc(slices.Clone(p.Topics), func(t plan.Topic) bool { return t.Origin != plan.Declared })
	d.Consumers = slices.DeleteFunc(slices.Clone(p.Consumers), func(x plan.Consumer) bool { return x.Observes != "" })
	return &d
}

func newChecker(p *plan.Plan) *checker {
	whole := p
	p = declared(p)
	c := &checker{
		p: p, whole: whole, run: p.Scenario.RunFor, warmup: p.Scenario.Warmup,
		sites:     make(map[string]bool),
		clusters:  make(map[string]*clusterState),
		topics:    make(map[string]*topicState),
		producers: make(map[string]*clientState),
		consumers: make(map[string]*clientState),
		mirrors:   make(map[string]*mirrorState),
		users:     make(map[string]*userState),
		alarms:    make(map[string]bool),
		events:    make(map[string]*eventState),
		badAction: make(map[*plan.Action]bool),
		toldOf:    make(map[*plan.Action]bool),
	}
	for i := range p.Sites {
		c.sites[p.Sites[i].Name] = true
	}
	for i := range p.Clusters {
		c.clusters[p.Clusters[i].Name] = newClusterState(&p.Clusters[i])
	}
	for i := range p.Topics {
		c.topics[p.Topics[i].Name] = newTopicState(&p.Topics[i], c.clusters[p.Topics[i].Cluster])
	}
	for i := range p.Producers {
		x := &p.Producers[i]
		s := newClientState(x.Name, x.Site, x.Members)
		s.producer, s.rates = x, []change{{0, x.Rate}}
		s.topics = c.topicStates([]string{x.Topic})
		c.producers[x.Name] = s
	}
	for i := range p.Consumers {
		x := &p.Consumers[i]
		s := newClientState(x.Name, x.Site, x.Members)
		s.consumer = x
		s.topics = c.topicStates(x.Topics)
		c.consumers[x.Name] = s
	}
	for i := range p.Mirrors {
		c.mirrors[p.Mirrors[i].Name] = c.newMirrorState(&p.Mirrors[i])
	}
	for i := range p.Users {
		c.users[p.Users[i].Name] = newUserState(&p.Users[i])
	}
	for i := range p.Alarms {
		c.alarms[p.Alarms[i].Name] = true
	}
	for i := range p.Events {
		s := &eventState{e: &p.Events[i]}
		c.events[p.Events[i].Name] = s
		c.order = append(c.order, s)
	}
	return c
}

// topicStates leaves out topics that the plan does not have.
func (c *checker) topicStates(names []string) []*topicState {
	var out []*topicState
	for _, n := range names {
		if t := c.topics[n]; t != nil {
			out = append(out, t)
		}
	}
	return out
}

// client finds a producer or a consumer.
func (c *checker) client(name string) *clientState {
	if s := c.producers[name]; s != nil {
		return s
	}
	return c.consumers[name]
}

func (c *checker) errorf(pos plan.Pos, suggestion, format string, args ...any) {
	c.problems = append(c.problems, Problem{pos, Error, fmt.Sprintf(format, args...), suggestion})
}

func (c *checker) warnf(pos plan.Pos, suggestion, format string, args ...any) {
	c.problems = append(c.problems, Problem{pos, Warning, fmt.Sprintf(format, args...), suggestion})
}

// sorted gives the problems by position, each once.
func (c *checker) sorted() []Problem { return sortProblems(c.problems) }

func sortProblems(ps []Problem) []Problem {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(
			strings.Compare(a.Pos.File, b.Pos.File),
			cmp.Compare(a.Pos.Line, b.Pos.Line),
			cmp.Compare(a.Pos.Col, b.Pos.Col),
			strings.Compare(string(a.Severity), string(b.Severity)),
			strings.Compare(a.Message, b.Message),
		)
	})
	return slices.CompactFunc(ps, func(a, b Problem) bool {
		return a.Pos.String() == b.Pos.String() && a.Message == b.Message
	})
}

// unknown reports a name that the plan does not have. Evaluation never makes
// one; a plan that was read from a file may hold it.
func unknown[T any](c *checker, pos plan.Pos, word, kind, name string, have map[string]T) {
	names := make([]string, 0, len(have))
	for n := range have {
		names = append(names, n)
	}
	hint := ""
	if n, ok := spell.Nearest(name, names); ok {
		hint = fmt.Sprintf("did you mean %s?", n)
	}
	c.errorf(pos, hint, "%s: the plan has no %s %q", word, kind, name)
}

// add is a sum that stays at the ends of its type instead of wrapping round.
func add(a, b plan.Duration) plan.Duration {
	const least, most = plan.Duration(-1 << 63), plan.Duration(1<<63 - 1)
	s := a + b
	switch {
	case b > 0 && s < a:
		return most
	case b < 0 && s > a:
		return least
	}
	return s
}

// plural gives "1 broker" or "3 brokers".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if stem, ok := strings.CutSuffix(noun, "y"); ok {
		return fmt.Sprintf("%d %sies", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// number gives a value as scenarios write it.
func number(v float64) string { return fmt.Sprintf("%.10g", v) }
