// Package record is the recording of a run: what was due, what became of each
// record, what the cluster looked like, what was broken and how it was proved.
//
// A recording is written while the run goes on (Writer) and read afterwards
// (Recording); the verdict is computed from it alone. All times are scenario
// time since the start of load; what happened before has negative times.
//
// This file defines Info, the content of run.json.
package record

import (
	"time"

	"starfall/interp/plan"
)

// Format is the version of the run folder. Open refuses a newer one, and reads
// those from oldest on.
//
//	format  since
//	1       –
//	2       dropped spans, state sections, topics of mirrors
const (
	Format = 2
	oldest = 1
)

// Info says under which conditions a run took place. It is written before the
// run starts (run.json) and does not change.
type Info struct {
	Format  int               `json:"format"`
	ID      uint64            `json:"id"`      // the run id that every record carries
	Started time.Time         `json:"started"` // wall time of the folder's creation
	Engine  string            `json:"engine"`  // embedded or docker
	Kafka   string            `json:"kafka,omitempty"`
	Tool    string            `json:"tool,omitempty"` // version of starfall
	Speed   float64           `json:"speed"`          // scenario seconds in a wall second; 0 means 1
	Seed    int64             `json:"seed"`
	Params  map[string]string `json:"params,omitempty"`
	Images  map[string]string `json:"images,omitempty"` // image name to digest
	Host    Host              `json:"host"`
	Configs map[string]string `json:"configs,omitempty"` // "kafka-1/log.dir": effective broker configs worth keeping
	// Elections is true when the engine reports every leader election as an
	// event of KindElection; without it elections are inferred from samples.
	Elections bool `json:"elections,omitempty"`
}

// Host holds facts about the machine that a comparison of runs needs.
type Host struct {
	OS     string `json:"os,omitempty"`
	Arch   string `json:"arch,omitempty"`
	CPUs   int    `json:"cpus,omitempty"`
	Memory int64  `json:"memory,omitempty"` // bytes
	CPU    string `json:"cpu,omitempty"`    // model name
	Go     string `json:"go,omitempty"`
}

// speed gives the run's speed with its default.
func (i Info) speed() float64 {
	if i.Speed <= 0 {
		return 1
	}
	return i.Speed
}

// Cell is the resolution of the times of records: 100 µs of wall time, rounded
// up so that a whole number of cells makes the 100 ms in which rates are
// counted.
func (i Info) Cell() time.Duration {
	for _, n := range [...]time.Duration{1, 2, 5, 10, 20, 50} {
		if float64(n) >= i.speed() {
			return n * 100 * time.Microsecond
		}
	}
	return 10 * time.Millisecond
}

// acceptedCell is the resolution of the times of accepted spans, of which
// nothing but the count in 100 ms is asked.
func (i Info) acceptedCell() time.Duration {
	return min(100*i.Cell(), 100*time.Millisecond)
}

// Wall converts a length of wall time to scenario time.
func (i Info) Wall(d time.Duration) time.Duration {
	return time.Duration(float64(d) * i.speed())
}

// names numbers the things of a plan; evidence holds numbers.
type names struct {
	producers, consumers, topics, clusters map[string]int
	plan                                   *plan.Plan
}

func newNames(p *plan.Plan) names {
	n := names{
		producers: map[string]int{}, consumers: map[string]int{},
		topics: map[string]int{}, clusters: map[string]int{}, plan: p,
	}
	for i, x := range p.Producers {
		n.producers[x.Name] = i
	}
	for i, x := range p.Consumers {
		n.consumers[x.Name] = i
	}
	for i, x := range p.Topics {
		n.topics[x.Name] = i
	}
	for i, x := range p.Clusters {
		n.clusters[x.Name] = i
	}
	return n
}
