// This file tests the phases and every exit path of a run, in bubbles.

package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

func seconds(n float64) plan.Duration { return plan.Duration(n * float64(time.Second)) }

func at(n float64) plan.Trigger {
	return plan.Trigger{Kind: plan.TriggerAt, At: plan.Instant{Offset: seconds(n)}}
}

// small is a plan of three combined nodes, one topic, a producer and a group
// of two members each, twenty seconds long.
func small(events ...plan.Event) *plan.Plan {
	p := &plan.Plan{
		Format: plan.Format, Name: "small",
		Scenario: plan.Scenario{RunFor: seconds(20), Warmup: seconds(2), Drain: seconds(10), Seed: 7},
		Sites:    []plan.Site{{Name: plan.ImpliedSite, Implied: true}},
		Clusters: []plan.Cluster{{Name: "kafka", Nodes: []plan.Node{
			{ID: 1, Role: plan.RoleCombined, Site: plan.ImpliedSite},
			{ID: 2, Role: plan.RoleCombined, Site: plan.ImpliedSite},
			{ID: 3, Role: plan.RoleCombined, Site: plan.ImpliedSite},
		}}},
		Topics: []plan.Topic{{Name: "orders", Cluster: "kafka", Partitions: 3, Replicas: 3, MinInsync: 2}},
		Producers: []plan.Producer{{
			Name: "shop", Topic: "orders", Rate: 20, Members: 2, Acks: "all", Size: 100,
			Partitioner: "round_robin", Timeout: seconds(120), Site: plan.ImpliedSite,
		}},
		Consumers: []plan.Consumer{{
			Name: "billing", Topics: []string{"orders"}, Group: "billing", Members: 2, Site: plan.ImpliedSite,
		}},
		Events: events,
	}
	for i := range p.Events {
		if p.Events[i].Name == "" {
			p.Events[i].Name = fmt.Sprintf("event-%d", i+1)
		}
		for j := range p.Events[i].Actions {
			p.Events[i].Actions[j].Source = string(p.Events[i].Actions[j].Verb) + "()"
		}
	}
	return p
}

func broker(n int) plan.Ref { return plan.Ref{Kind: plan.RefBroker, Name: "kafka", Index: n} }

func after(n float64) *plan.Duration { d := seconds(n); return &d }

// outcome is what a run left.
type outcome struct {
	res Result
	err error
	rec *record.Recording
}

// play runs a plan to its end and opens what it recorded.
func play(t *testing.T, f *fake, p *plan.Plan, change ...func(*Options)) outcome {
	t.Helper()
	o := f.options(t)
	for _, c := range change {
		c(&o)
	}
	return open(t, func() (Result, error) { return Run(t.Context(), p, o) })
}

// open carries a run out and opens what it recorded.
func open(t *testing.T, run func() (Result, error)) outcome {
	t.Helper()
	res, err := run()
	out := outcome{res: res, err: err}
	if res.Folder != "" {
		var oerr error
		if out.rec, oerr = record.Open(res.Folder); oerr != nil {
			t.Fatalf("open the recording: %v", oerr)
		}
	}
	return out
}

// journal gives the events of some kinds as "time kind name what".
func (o outcome) journal(kinds ...record.Kind) []string {
	var out []string
	for _, e := range o.rec.Events {
		if len(kinds) > 0 && !slices.Contains(kinds, e.Kind) {
			continue
		}
		s := fmt.Sprintf("%s %s %s", e.At.Round(time.Millisecond), e.Kind, e.Name)
		if e.Phase != "" {
			s = fmt.Sprintf("%s %s", e.Kind, e.Phase)
		}
		if len(e.Targets) > 0 {
			s += " → " + strings.Join(e.Targets, ",")
		}
		if e.By != "" {
			s += " by " + e.By
		}
		out = append(out, s)
	}
	return out
}

func wantLines(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got\n\t%s\nwant\n\t%s", what, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

var timelineKinds = []record.Kind{
	record.KindFired, record.KindEffect, record.KindComplete, record.KindUndoing,
	record.KindUndone, record.KindUnproved, record.KindNotFired,
}

var allPhases = []string{
	"phase prepare", "phase load", "phase run", "phase heal", "phase drain", "phase audit", "phase take_down",
}

func TestRunPhases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		out := play(t, f, small())
		if out.err != nil {
			t.Fatalf("got error %v, want none", out.err)
		}
		wantLines(t, "phases", out.journal(record.KindPhase), allPhases)
		wantLines(t, "drained", out.journal(record.KindDrained, record.KindDrainLimit), []string{"20.1s drained billing"})
		if f.closed != 1 {
			t.Errorf("got %d closings of the world, want 1", f.closed)
		}
		if len(f.running) != 0 {
			t.Errorf("got members still running: %v", f.running)
		}
		calls := f.called()
		for _, pair := range [][2]string{
			{"create 1", "start shop-1"}, {"start billing-2", "stop shop-1"}, {"stop shop-2", "stop billing-1"},
			{"stop billing-1", "audit orders"}, {"audit orders", "clients closed"}, {"clients closed", "world closed"},
		} {
			if a, b := slices.Index(calls, pair[0]), slices.Index(calls, pair[1]); a < 0 || b < 0 || a > b {
				t.Errorf("got calls %v, want %q before %q", calls, pair[0], pair[1])
			}
		}
		for _, e := range out.rec.Events {
			if e.Phase == "prepare" && e.At >= 0 {
				t.Errorf("got prepare at %s, want a time before load starts", e.At)
			}
		}
		if out.rec.Events[len(out.rec.Events)-1].Kind != record.KindClosed {
			t.Error("the recording is not closed")
		}
		if !out.rec.Info.Elections || out.rec.Info.Seed != 7 || out.rec.Info.Host.CPUs == 0 {
			t.Errorf("got info %+v, want elections, the plan's seed and the host", out.rec.Info)
		}
	})
}

func TestRunSamplesFiveTimesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := play(t, newFake(), small())
		samples := 0
		groups := 0
		_, err := out.rec.Scan(func(b *record.Block) error {
			for _, s := range b.Samples {
				if s.At >= 0 && s.At < 20*time.Second {
					samples++
					groups += len(s.Groups)
					if len(s.Brokers) != 3 || len(s.Partitions) != 3 || s.Partitions[0].MinInsync != 2 {
						return fmt.Errorf("got sample %+v, want 3 brokers and 3 partitions with min_insync 2", s)
					}
				}
			}
			return b.Spans(func(record.Stream, []record.Span) error { return nil })
		})
		if err != nil {
			t.Fatal(err)
		}
		if samples < 99 || samples > 101 {
			t.Errorf("got %d samples in 20 s, want 100", samples)
		}
		if groups < 95 {
			t.Errorf("got the group in %d of %d samples, want it in nearly all", groups, samples)
		}
	})
}

func TestSpeedDividesRealTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		out := play(t, newFake(), small(plan.Event{Trigger: at(10), Actions: []plan.Action{
			{Verb: plan.Kill, Targets: []plan.Ref{broker(2)}, UndoAfter: after(5)},
		}}), func(o *Options) { o.Speed = 10 })
		if out.err != nil {
			t.Fatal(out.err)
		}
		if took := time.Since(began); took > 2200*time.Millisecond {
			t.Errorf("got %s of real time for 20 s at speed 10, want about 2 s", took)
		}
		wantLines(t, "timeline", out.journal(record.KindFired, record.KindUndone), []string{
			"10s fired event-1 → kafka-2", "15s undone event-1 → kafka-2",
		})
	})
}

func TestSeedGoesIntoTheRecordedPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := newFake(), small()
		out := play(t, f, p, func(o *Options) { o.Seed = 99 })
		if out.err != nil {
			t.Fatal(out.err)
		}
		if out.rec.Plan.Scenario.Seed != 99 || out.rec.Info.Seed != 99 || f.specs[0].Seed != 99 {
			t.Errorf("got seeds %d, %d, %d; want 99 in plan, info and clients", out.rec.Plan.Scenario.Seed, out.rec.Info.Seed, f.specs[0].Seed)
		}
		if p.Scenario.Seed != 7 {
			t.Errorf("got the caller's plan changed to seed %d, want 7", p.Scenario.Seed)
		}
	})
}

func TestErrorsBeforeLoad(t *testing.T) {
	broken := errors.New("it broke")
	for _, tt := range []struct {
		name   string
		set    func(*fake)
		phase  Phase
		closed int
		want   string
	}{
		{"up", func(f *fake) { f.upErr = broken }, PhasePrepare, 0, "prepare: fake: it broke"},
		{"topics", func(f *fake) { f.createErr = broken }, PhasePrepare, 1, "prepare: topics of kafka: it broke"},
		{"load", func(f *fake) { f.loadErr = broken }, PhaseLoad, 1, "load: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				tt.set(f)
				out := play(t, f, small())
				var phase *PhaseError
				if !errors.As(out.err, &phase) || phase.Phase != tt.phase || !errors.Is(out.err, broken) {
					t.Fatalf("got error %v, want one of phase %s with its cause", out.err, tt.phase)
				}
				if !strings.HasPrefix(out.err.Error(), tt.want) {
					t.Errorf("got error %q, want it to begin with %q", out.err, tt.want)
				}
				if f.closed != tt.closed || len(f.running) != 0 {
					t.Errorf("got %d closings and members %v, want %d and none", f.closed, f.running, tt.closed)
				}
				if got := out.journal(record.KindEngineError, record.KindClosed); len(got) != 2 {
					t.Errorf("got journal %v, want the engine error and its end", got)
				}
			})
		})
	}
}

func TestRefusalsStartNothing(t *testing.T) {
	f := newFake()
	f.refuse = []Refusal{{Pos: plan.Pos{File: "a.star", Line: 3, Col: 1}, Message: "tool", Engine: "docker"}}
	out := play(t, f, small())
	var refused *RefusedError
	if !errors.As(out.err, &refused) {
		t.Fatalf("got error %v, want a refusal", out.err)
	}
	if want := "a.star:3:1: tool: the fake engine cannot do this, docker can"; out.err.Error() != want {
		t.Errorf("got %q, want %q", out.err, want)
	}
	if len(f.calls) != 0 || out.res.Folder != "" {
		t.Errorf("got calls %v and folder %q, want nothing", f.calls, out.res.Folder)
	}
}

func TestUnwritableFolderStartsNothing(t *testing.T) {
	f := newFake()
	o := f.options(t)
	p := small()
	w, err := record.Create(o.Folder, p, record.Info{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(0); err != nil {
		t.Fatal(err)
	}
	res, err := Run(t.Context(), p, o)
	var phase *PhaseError
	if !errors.As(err, &phase) || phase.Phase != PhasePrepare {
		t.Fatalf("got error %v, want one of phase prepare", err)
	}
	if len(f.calls) != 0 || res.Folder != "" {
		t.Errorf("got calls %v and folder %q, want nothing", f.calls, res.Folder)
	}
}

// interrupts sends interrupts at moments after the call, in a bubble.
func interrupts(moments ...time.Duration) <-chan struct{} {
	c := make(chan struct{})
	go func() {
		var last time.Duration
		for _, m := range moments {
			time.Sleep(m - last)
			last = m
			c <- struct{}{}
		}
	}()
	return c
}

func TestInterrupts(t *testing.T) {
	down := plan.Event{Name: "outage", Trigger: at(3), Actions: []plan.Action{
		{Verb: plan.Kill, Targets: []plan.Ref{broker(2)}},
	}}
	for _, tt := range []struct {
		name   string
		set    func(*fake)
		at     []time.Duration
		cut    bool // has an error that is ErrInterrupted
		phases []string
		left   string // state of broker 2 when the world was closed
	}{
		{
			"prepare", func(f *fake) { f.upDelay = time.Hour }, []time.Duration{time.Second}, true,
			[]string{"phase prepare", "phase take_down"}, "",
		},
		{
			"load", func(f *fake) { f.loadDelay = time.Hour }, []time.Duration{time.Second}, true,
			[]string{"phase prepare", "phase load", "phase take_down"}, processRunning,
		},
		{"run", nil, []time.Duration{5 * time.Second}, false, allPhases, processRunning},
		{"audit", func(f *fake) { f.slowAudit = 10 * time.Second }, []time.Duration{25 * time.Second}, false, allPhases, processRunning},
		{
			"audit, twice", func(f *fake) { f.slowAudit = 10 * time.Second },
			[]time.Duration{25 * time.Second, 26 * time.Second}, true, allPhases, processRunning,
		},
		{
			"run, twice", func(f *fake) { f.delay[SignalStart] = 30 * time.Second },
			[]time.Duration{5 * time.Second, 6 * time.Second}, true,
			[]string{"phase prepare", "phase load", "phase run", "phase heal", "phase take_down"}, processStopped,
		},
		{"heal", func(f *fake) { f.delay[SignalStart] = 5 * time.Second }, []time.Duration{22 * time.Second}, false, allPhases, processRunning},
		{"drain", func(f *fake) { f.stuck = true }, []time.Duration{25 * time.Second}, false, allPhases, processRunning},
		{
			"drain, twice", func(f *fake) { f.noLeader, f.stuck = true, true },
			[]time.Duration{5 * time.Second, 6 * time.Second}, true,
			[]string{"phase prepare", "phase load", "phase run", "phase heal", "phase drain", "phase take_down"}, processRunning,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				if tt.set != nil {
					tt.set(f)
				}
				out := play(t, f, small(down), func(o *Options) { o.Interrupt = interrupts(tt.at...) })
				if errors.Is(out.err, ErrInterrupted) != tt.cut || !tt.cut && out.err != nil {
					t.Errorf("got error %v, want cut short: %v", out.err, tt.cut)
				}
				if !out.res.Interrupted {
					t.Error("the result does not say that the run was interrupted")
				}
				wantLines(t, "phases", out.journal(record.KindPhase), tt.phases)
				if got := out.journal(record.KindInterrupted); len(got) != 1 {
					t.Errorf("got %v, want one line of the interrupt", got)
				}
				if len(f.running) != 0 {
					t.Errorf("got members still running: %v", f.running)
				}
				if got := f.state[NodeKey{"kafka", 2}]; got != tt.left {
					t.Errorf("got broker 2 %q at the end, want %q", got, tt.left)
				}
				if tt.left != "" && f.closed != 1 {
					t.Errorf("got %d closings, want 1", f.closed)
				}
			})
		})
	}
}

// TestDeafEngine cuts a run short whose engine does not heed it: the run ends
// all the same, and what comes up later is taken down at once.
func TestDeafEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.upDelay, f.deaf = time.Hour, true
		began := time.Now()
		out := play(t, f, small(), func(o *Options) { o.Interrupt = interrupts(time.Second, 2*time.Second) })
		if !errors.Is(out.err, ErrInterrupted) {
			t.Errorf("got error %v, want interrupted", out.err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("got %s, want the run to end soon after the second interrupt", took)
		}
		if n := f.closings(); n != 0 {
			t.Errorf("got %d closings of what is not up, want none", n)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := f.closings(); n != 1 {
			t.Errorf("got %d closings once it was up, want 1", n)
		}
	})
}

// TestChanges tells which of the clusters' own doings get into the journal.
func TestChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		change := func(after time.Duration, c Change) {
			time.AfterFunc(after, func() {
				c.Cluster = "kafka"
				f.mu.Lock()
				observe := f.observe
				f.mu.Unlock()
				observe(c)
			})
		}
		f.upDelay, f.loadDelay = time.Second, 100*time.Millisecond
		leader := func(node int32, epoch int32) Change {
			return Change{Kind: ChangeLeader, Topic: "orders", Part: 1, Node: node, Epoch: epoch}
		}
		change(1050*time.Millisecond, leader(2, 1)) // before load starts
		change(4*time.Second, leader(0, 2))
		change(5*time.Second, Change{Kind: ChangeUnclean, Topic: "orders", Part: 1, Node: 3, Epoch: 3})
		change(6*time.Second, Change{Kind: ChangeLeader, Topic: "__consumer_offsets", Node: 1})
		change(7*time.Second, Change{Kind: ChangeISR, Topic: "orders", Text: "isr"})
		change(8*time.Second, Change{Kind: ChangeFenced, Node: 2, Text: "kafka-2 fenced"})
		out := play(t, f, small())
		if out.err != nil {
			t.Fatal(out.err)
		}
		var got []string
		for _, e := range out.rec.Events {
			switch e.Kind {
			case record.KindElection:
				got = append(got, fmt.Sprintf("%d → %d, epoch %d, unclean %v", e.From, e.To, e.Epoch, e.Unclean))
			case record.KindCluster:
				got = append(got, e.What)
			}
		}
		wantLines(t, "changes", got, []string{"2 → -1, epoch 2, unclean false", "-1 → 3, epoch 3, unclean true", "kafka-2 fenced"})
	})
}

func TestContextEndsRunAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		res, err := Run(ctx, small(), f.options(t))
		if !errors.Is(err, ErrInterrupted) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got error %v, want interrupted by its deadline", err)
		}
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("got %s, want the run to end with its context", took)
		}
		if !res.Interrupted || f.closed != 1 || len(f.running) != 0 {
			t.Errorf("got %+v, %d closings, members %v; want everything down", res, f.closed, f.running)
		}
	})
}

func TestPanicOfAnEventIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.panicOn = SignalPause
		out := play(t, f, small(
			plan.Event{Trigger: at(3), Actions: []plan.Action{{Verb: plan.Kill, Targets: []plan.Ref{broker(2)}}}},
			plan.Event{Trigger: at(5), Actions: []plan.Action{{Verb: plan.Pause, Targets: []plan.Ref{broker(1)}}}},
		))
		var phase *PhaseError
		if !errors.As(out.err, &phase) || phase.Phase != PhaseRun || !strings.Contains(out.err.Error(), "panic: the engine is broken") {
			t.Fatalf("got error %v, want the panic in phase run", out.err)
		}
		wantLines(t, "phases", out.journal(record.KindPhase), []string{
			"phase prepare", "phase load", "phase run", "phase heal", "phase take_down",
		})
		if f.state[NodeKey{"kafka", 2}] != processRunning {
			t.Error("broker 2 was not healed")
		}
		if f.closed != 1 || len(f.running) != 0 {
			t.Errorf("got %d closings, members %v; want everything down", f.closed, f.running)
		}
	})
}

func TestTakeDownFailureIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.closeErr = errors.New("a process is left")
		out := play(t, f, small())
		if out.err == nil || out.err.Error() != "take_down: cluster: a process is left" {
			t.Errorf("got error %v, want what was left", out.err)
		}
		if got := out.journal(record.KindClosed); len(got) != 1 {
			t.Error("the recording is not closed")
		}
	})
}

func TestDrainLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.stuck = true
		out := play(t, f, small())
		if out.err != nil {
			t.Fatal(out.err)
		}
		wantLines(t, "drain", out.journal(record.KindDrained, record.KindDrainLimit), []string{"30s drain_limit billing"})
	})
}

// TestSilent checks what is noted of a group whose members say nothing: what it
// has committed once they have left.
func TestSilent(t *testing.T) {
	for _, tt := range []struct {
		name string
		mute bool
		err  error
		want []string
	}{
		{"others", false, nil, nil},
		{"silent", true, nil, []string{"map[orders:[-1 -1 7]]"}},
		{"not known", true, errors.New("no coordinator"), []string{"map[] no coordinator"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				f.mute, f.groupErr = tt.mute, tt.err
				f.committed = map[string]map[int32]int64{"orders": {2: 7}, "others": {0: 1}}
				out := play(t, f, small())
				if out.err != nil {
					t.Fatal(out.err)
				}
				var got []string
				for _, e := range out.rec.Events {
					if e.Kind == record.KindCommitted && e.Name == "billing" {
						got = append(got, strings.TrimSpace(fmt.Sprintf("%v %s", e.Committed, e.Error)))
					}
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("committed: got %q, want %q", got, tt.want)
				}
			})
		})
	}
}

func TestLinesAndLiveProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines []string
		var live []Progress
		out := play(t, newFake(), small(plan.Event{Name: "outage", Trigger: at(10), Actions: []plan.Action{
			{Verb: plan.Kill, Targets: []plan.Ref{broker(2)}, UndoAfter: after(5)},
		}}), func(o *Options) {
			o.Progress = func(p Progress) {
				if p.Line != "" {
					lines = append(lines, fmt.Sprintf("%s %s", p.At.Round(time.Millisecond), p.Line))
				} else {
					live = append(live, p)
				}
			}
		})
		if out.err != nil {
			t.Fatal(out.err)
		}
		for _, want := range []string{
			"10s kill() → kafka-2", "10s kill() → kafka-2: proved: kill seen",
			"15s undo of kill() → kafka-2: proved: start seen", "20.1s group billing has reached the end",
		} {
			if !slices.Contains(lines, want) {
				t.Errorf("got lines\n\t%s\nwant one %q", strings.Join(lines, "\n\t"), want)
			}
		}
		i := slices.IndexFunc(live, func(p Progress) bool { return p.At > 8*time.Second })
		p := live[i]
		if p.Phase != PhaseRun || p.Next != "outage" || p.NextAt != 10*time.Second || p.Left > 12*time.Second {
			t.Errorf("got %+v, want the next event, outage", p)
		}
		if p.Sent < 15 || p.Sent > 25 || p.Acked < 15 || p.Delivered < 15 {
			t.Errorf("got rates %g %g %g, want about 20 each", p.Sent, p.Acked, p.Delivered)
		}
		i = slices.IndexFunc(live, func(p Progress) bool { return p.At > 12*time.Second })
		if want := (NodeProgress{"kafka-2", processStopped}); !slices.Contains(live[i].Nodes, want) {
			t.Errorf("got nodes %v, want %v", live[i].Nodes, want)
		}
	})
}

func TestUpHoldsUntilInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		o := f.options(t)
		o.Folder = ""
		o.Interrupt = interrupts(time.Minute)
		var lines []string
		o.Progress = func(p Progress) { lines = append(lines, p.Line) }
		var got []Address
		p := small(
			plan.Event{Trigger: at(3), Actions: []plan.Action{{Verb: plan.Kill, Targets: []plan.Ref{broker(2)}, UndoAfter: after(5)}}},
			plan.Event{Trigger: at(4), Actions: []plan.Action{{Verb: plan.Scale, Targets: []plan.Ref{{Kind: plan.RefProducer, Name: "shop"}}, Members: 3}}},
		)
		began := time.Now()
		err := Up(t.Context(), p, o, Hold{Timeline: true, Ready: func(a []Address) { got = a }})
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < time.Minute {
			t.Errorf("got %s, want it to hold until the interrupt", took)
		}
		if len(got) != 1 || got[0].Site != plan.ImpliedSite || len(got[0].Bootstrap) != 1 {
			t.Errorf("got addresses %v, want one of the only site", got)
		}
		calls := f.called()
		if !slices.Contains(calls, "kill 2") || !slices.Contains(calls, "start 2") || f.closed != 1 {
			t.Errorf("got calls %v, want the timeline and the closing", calls)
		}
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "the clients of the plan do not run here") }) {
			t.Errorf("got lines %q, want one that refuses scale", lines)
		}
		if m, _ := filepath.Glob(filepath.Join(t.TempDir(), "*")); len(m) != 0 {
			t.Errorf("got files %v, want none", m)
		}
	})
}

// TestUpRunsMirrorsAndUsers: what belongs to the clusters is there, rights at 0 s
// too, and no client, nor an observer.
func TestUpRunsMirrorsAndUsers(t *testing.T) {
	for _, timeline := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			o := f.options(t)
			o.Folder = ""
			o.Interrupt = interrupts(time.Minute)
			p := twin(
				event("a", at(0), plan.Action{Verb: plan.Deny, Targets: refs(ref(plan.RefUser, "ann")), ACL: &plan.ACL{Operation: "Write"}}),
				event("b", at(3), failOver("shop")),
			)
			p.Clusters[0].Auth = "plain"
			p.Users = []plan.User{{Name: "ann", Cluster: "kafka", Password: "secret", Rights: []plan.ACL{{Operation: "Read"}}}}
			var lines []string
			o.Progress = func(p Progress) { lines = append(lines, p.Line) }
			ready := 0
			if err := Up(t.Context(), p, o, Hold{Timeline: timeline, Ready: func([]Address) { ready = len(f.called()) }}); err != nil {
				t.Fatal(err)
			}
			calls := f.called()
			if want := []string{"grant 1 to ann on kafka", "deny", "mirror copy from kafka.copyb.1:9092 to west.copyb.1:9092"}; !inOrder(calls[:ready], want) {
				t.Errorf("got calls %v before it was ready, want %v among them", calls[:ready], want)
			}
			if want := []string{"crash mirror copy", "clients closed", "world closed"}; !inOrder(calls[ready:], want) {
				t.Errorf("got calls %v after, want %v among them", calls[ready:], want)
			}
			if slices.ContainsFunc(calls, func(c string) bool { return strings.HasPrefix(c, "start") }) {
				t.Errorf("got calls %v, want no client", calls)
			}
			refused := slices.ContainsFunc(lines, func(l string) bool {
				return strings.Contains(l, "NOT PROVED: shop: the clients of the plan do not run here")
			})
			if refused != timeline {
				t.Errorf("got lines %q, want the refusal of fail_over: %v", lines, timeline)
			}
		})
	}
}

// TestRunsSideBySide: the cells of a sweep share a process and nothing else.
func TestRunsSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 4
		done := make(chan outcome)
		for i := range n {
			f := newFake()
			o := f.options(t)
			go func() {
				p := twin(event("a", at(3), failOver("shop")), event("b", at(float64(5+i)), plan.Action{Verb: plan.Kill, Targets: refs(broker(2)), UndoAfter: after(2)}))
				res, err := Run(t.Context(), p, o)
				out := outcome{res: res, err: err}
				if err == nil {
					out.rec, out.err = record.Open(res.Folder)
				}
				done <- out
			}()
		}
		ids := make(map[uint64]bool)
		kills := make(map[string]bool)
		for range n {
			out := <-done
			if out.err != nil {
				t.Fatal(out.err)
			}
			ids[out.rec.Info.ID] = true
			got := out.journal(record.KindUndone)
			if len(got) != 1 {
				t.Fatalf("got %v undone, want the one kill of this run", got)
			}
			kills[got[0]] = true
		}
		if len(ids) != n || len(kills) != n {
			t.Errorf("got ids %v and %v, want %d of each", ids, kills, n)
		}
	})
}

// TestFullDisk writes evidence to a device that is always full: the run ends
// with that error, healed, and its journal can be read.
func TestFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("there is no /dev/full here")
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		o := f.options(t)
		if err := os.MkdirAll(filepath.Join(o.Folder, record.DirEvidence), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("/dev/full", filepath.Join(o.Folder, "evidence", "records.sfe")); err != nil {
			t.Fatal(err)
		}
		p := small(plan.Event{Trigger: at(0.5), Actions: []plan.Action{{Verb: plan.Kill, Targets: []plan.Ref{broker(2)}}}})
		res, err := Run(t.Context(), p, o)
		var phase *PhaseError
		if !errors.As(err, &phase) || phase.Phase != PhaseRun || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("got error %v, want a full disk in phase run", err)
		}
		if res.Phase != PhaseHeal || f.closed != 1 || len(f.running) != 0 || f.state[NodeKey{"kafka", 2}] != processRunning {
			t.Errorf("got phase %s, %d closings, members %v, states %v; want everything healed and down", res.Phase, f.closed, f.running, f.state)
		}
	})
}
