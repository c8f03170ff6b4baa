package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"starfall/interp"
	"starfall/interp/plan"
	"starfall/runtime/record"
)

// take says how a run is recorded that nobody ran: a healthy one, but for what
// is set. Such recordings are the same on every machine.
type take struct {
	set     map[string]string
	info    record.Info
	latency time.Duration // of acknowledgements; 0: 5 ms
	missing int           // the last so many records are not delivered
	open    bool          // not closed, as after a crash
	failure string        // what the engine failed with
}

// takeOf reads a take from words: latency=8ms missing=3 set:acks=1 engine=docker
// kafka=4.3 cpus=8 speed=1 seed=2 started=2026-11-24T07:31:00Z open=true error=text.
func takeOf(words []string) (take, error) {
	t := take{set: map[string]string{}, info: record.Info{ID: 7, Engine: "embedded", Kafka: "3.9", Tool: "test", Speed: 10, Seed: 1,
		Started: time.Date(2026, 11, 24, 7, 31, 0, 0, time.UTC), Host: record.Host{OS: "linux", Arch: "amd64", CPUs: 2, Memory: 4 << 30, CPU: "test", Go: "go1.26"}}}
	for _, w := range words {
		name, value, ok := strings.Cut(w, "=")
		if !ok {
			return t, fmt.Errorf("got %q, want name=value", w)
		}
		var err error
		switch name {
		case "latency":
			t.latency, err = time.ParseDuration(value)
		case "missing":
			t.missing, err = strconv.Atoi(value)
		case "engine":
			t.info.Engine = value
		case "kafka":
			t.info.Kafka = value
		case "cpus":
			t.info.Host.CPUs, err = strconv.Atoi(value)
		case "speed":
			t.info.Speed, err = strconv.ParseFloat(value, 64)
		case "started":
			t.info.Started, err = time.Parse(time.RFC3339, value)
		case "open":
			t.open, err = strconv.ParseBool(value)
		case "error":
			t.failure = value
		default:
			param, ok := strings.CutPrefix(name, "set:")
			if !ok {
				return t, fmt.Errorf("got %q, which is no word of a take", w)
			}
			t.set[param] = value
		}
		if err != nil {
			return t, err
		}
	}
	return t, nil
}

// recordAs writes a run folder of the scenario in a file.
func (t take) recordAs(folder, file string) error {
	p, err := interp.Load(filepath.Base(file), interp.Options{FS: os.DirFS(filepath.Dir(file)), Root: ".", Set: t.set})
	if err != nil {
		return err
	}
	if t.latency == 0 {
		t.latency = 5 * time.Millisecond
	}
	t.info.Params = map[string]string{}
	for _, x := range p.Params {
		t.info.Params[x.Name] = x.Value
	}
	w, err := record.Create(folder, p, t.info)
	if err != nil {
		return err
	}
	runFor := p.Scenario.RunFor.Std()
	w.Event(record.Event{At: -time.Second, Kind: record.KindPhase, Phase: record.PhasePrepare})
	w.Event(record.Event{Kind: record.KindPhase, Phase: record.PhaseRun})
	for _, c := range p.Consumers {
		var all []record.TopicPartition
		for _, name := range c.Topics {
			for k := range p.Topic(name).Partitions {
				all = append(all, record.TopicPartition{Topic: name, Partition: int32(k)})
			}
		}
		w.Consumer(c.Name, 1).Assigned(1, all, -500*time.Millisecond)
	}
	for i := range p.Producers {
		t.produce(w, p, i, runFor)
	}
	for _, e := range p.Events {
		at := e.Trigger.At.Offset.Std()
		w.Event(record.Event{At: at, Planned: &at, Kind: record.KindFired, Name: e.Name, What: e.Actions[0].Source, Targets: []string{"kafka-1"}})
		w.Event(record.Event{At: at + 2*time.Millisecond, Kind: record.KindEffect, Name: e.Name, What: e.Actions[0].Source, Targets: []string{"kafka-1"}, Proof: "process gone"})
		if undo := e.Actions[0].UndoAfter; undo != nil {
			w.Event(record.Event{At: at + undo.Std(), Kind: record.KindUndoing, Name: e.Name, What: e.Actions[0].Source, Targets: []string{"kafka-1"}})
			w.Event(record.Event{At: at + undo.Std() + time.Second, Kind: record.KindUndone, Name: e.Name, What: e.Actions[0].Source, Targets: []string{"kafka-1"}, Proof: "registered"})
		}
	}
	if t.failure != "" {
		w.Event(record.Event{At: runFor, Kind: record.KindEngineError, Error: t.failure})
	}
	w.Event(record.Event{At: runFor, Kind: record.KindPhase, Phase: record.PhaseHeal})
	if t.open {
		w.Flush()
		return nil // as kill -9 leaves it
	}
	return w.Close(runFor + time.Second)
}

// produce records one producer, its topic's groups, the topic's cluster and its
// audit, in blocks of a second.
func (t take) produce(w *record.Writer, p *plan.Plan, index int, runFor time.Duration) {
	x := p.Producers[index]
	topic := p.Topic(x.Topic)
	parts := uint64(topic.Partitions)
	schedule := record.Segment{Rate: x.Rate}
	total := schedule.NextAfter(runFor - 1)
	log := w.Producer(x.Name, 1)
	log.Due(0, 0, x.Rate, topic.Partitions)
	sampled := time.Duration(0)
	for seq := range total {
		due := schedule.Due(seq)
		part, offset := int32(seq%parts), int64(seq/parts)
		ack := due + t.latency + time.Duration(seq%7)*100*time.Microsecond
		log.Accepted(seq, 1, due)
		log.Acked(seq, part, offset, ack)
		for _, c := range p.Consumers {
			for _, name := range c.Topics {
				if name == x.Topic && seq+uint64(t.missing) < total {
					w.Consumer(c.Name, 1).Delivered(name, part, offset, record.Identity{Run: 7, Producer: index, Member: 1, Seq: seq}, ack+2*time.Millisecond)
				}
			}
		}
		for ; sampled <= due; sampled += 200 * time.Millisecond {
			s := record.Sample{At: sampled, Cluster: topic.Cluster, ActiveControllers: 1, Controller: 1}
			for _, n := range p.Cluster(topic.Cluster).Brokers() {
				s.Brokers = append(s.Brokers, record.BrokerState{ID: n.ID, Alive: true})
			}
			for k := range int32(parts) {
				s.Partitions = append(s.Partitions, record.PartitionState{Topic: topic.Name, Partition: k, Leader: 1, Epoch: 1,
					ISR: []int32{1}, Replicas: []int32{1}, MinInsync: 1, LogEnd: offset, HighWater: offset})
			}
			w.Sample(s)
			if sampled%time.Second == 0 {
				w.Flush()
			}
		}
	}
	log.End(total, runFor)
	if t.open {
		return
	}
	for k := range parts {
		n := int((total - k + parts - 1) / parts)
		a := w.Audit(topic.Name, int32(k), 0, int64(n))
		a.Run(0, record.Identity{Run: 7, Producer: index, Member: 1, Seq: k}, parts, n)
		a.Close(nil)
	}
}
