// This file defines what a run is given and what it gives back.

package runtime

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// Clients are the Kafka clients of one run.
type Clients struct {
	Load  Load
	Admin Admin
	Audit Auditor
	// Health, when set, tells that the clients themselves are broken, as when
	// the process that runs them has died. What they saw since may be missing
	// from the recording, so it ends the run.
	Health Health
	// Close, when set, ends what the clients share. It is called after load
	// has stopped and before the cluster is taken down.
	Close func() error
}

// Health is whether the clients of a run still work.
type Health interface {
	// Failed is closed when they no longer do; Err then says why, and is nil
	// before. A call that fails for that reason returns after Err tells it.
	Failed() <-chan struct{}
	Err() error
}

// Connect makes the clients of a run once its clusters are up. Admin and audit
// dial from the control side (the zero Place), which no fault touches. Clients
// that run elsewhere bring what they record into rec, which is nil in Up.
type Connect func(w World, e Env, p *plan.Plan, rec *record.Writer) (Clients, error)

// Options say how a plan is run. Engine and Connect are needed; everything
// else may be left out.
type Options struct {
	Engine  Engine
	Connect Connect
	// Speed divides every duration and multiplies every rate; 0 means 1.
	Speed float64
	// Seed decides what the plan leaves to chance; 0 means the plan's own. The
	// recorded plan has it.
	Seed int64
	// Folder is the run folder, which must not exist yet; its parents are
	// made. It is needed by Run and optional for Up.
	Folder string
	// ID is in every record of the run; 0 takes one that no other run has.
	ID uint64
	// Strangers are the clients that run outside of the engine's network, as
	// programs of this host: they are known by the site that they stand in and
	// not one by one, as clients of Up are.
	Strangers []string
	// Tool and Kafka are versions for run.json.
	Tool, Kafka string
	// Images are the images' digests by their names, for run.json.
	Images map[string]string
	// Progress, when set, is called for each event as it happens, four times a
	// second of real time from t = 0 on, and once at the end of the run with all
	// that was recorded; never concurrently. It must not block. Without it the
	// run counts no latencies and pays nothing for who might watch.
	Progress func(Progress)
	// Interrupt, when set: the first receive heals and winds the run down,
	// the second goes straight to taking down. Closing it counts as both.
	Interrupt <-chan struct{}
	// FixedPorts is handed to the engine (see UpOptions).
	FixedPorts int
	// TakeDown limits how long each step of taking down may take, in real time;
	// 0 means 30 s.
	TakeDown time.Duration
}

// validate says what is missing, before anything is started.
func (o Options) validate(p *plan.Plan, record bool) error {
	var errs []error
	if o.Engine == nil {
		errs = append(errs, errors.New("options: Engine is not set"))
	}
	if o.Connect == nil {
		errs = append(errs, errors.New("options: Connect is not set"))
	}
	if o.Speed < 0 {
		errs = append(errs, fmt.Errorf("options: for Speed: got %g, want more than 0", o.Speed))
	}
	if record && o.Folder == "" {
		errs = append(errs, errors.New("options: Folder is not set"))
	}
	if p.Scenario.RunFor <= 0 {
		errs = append(errs, fmt.Errorf("scenario: for parameter run_for: got %s, want more than 0", p.Scenario.RunFor))
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if refusals := o.Engine.Refuse(p); len(refusals) > 0 {
		return &RefusedError{Engine: o.Engine.Name(), Refusals: refusals}
	}
	return nil
}

// Result is what a run gives, also beside an error, for as far as it came.
type Result struct {
	Folder      string // of the recording; "" when nothing was recorded
	Interrupted bool
	Phase       Phase // the last one that was begun
	Events      int   // how many firings the timeline saw
	// Late holds, for each firing at a planned time, how long after it the
	// event was fired, in real time and in order of firing.
	Late []time.Duration
}

// Phase is a part of a run.
type Phase string

// The phases of a run, in order. Each exit path goes through PhaseTakeDown,
// and each that has begun PhaseRun goes through PhaseHeal.
//
//	phase      from                            to
//	prepare    the call                        topics settled
//	load       clients are started             every client is ready
//	run        t = 0                           run_for, or the first interrupt
//	heal       nodes, paths and settings undone, producers stop
//	drain      each log's end is noted         each group is there, or drain is over
//	audit      each topic is read              all read
//	take_down  clients, cluster, recording     nothing is left
const (
	PhasePrepare  Phase = "prepare"
	PhaseLoad     Phase = "load"
	PhaseRun      Phase = "run"
	PhaseHeal     Phase = "heal"
	PhaseDrain    Phase = "drain"
	PhaseAudit    Phase = "audit"
	PhaseTakeDown Phase = "take_down"
)

// Progress is the run at one moment.
type Progress struct {
	Phase Phase
	At    time.Duration // scenario time; negative or 0 before load starts
	Left  time.Duration // scenario time until run_for; 0 outside PhaseRun
	// Line is set when something happened: one line for people. It is empty
	// for the four updates a second, which carry the rest.
	Line string
	// Records a second of scenario time over the last second, all clients
	// together: accepted by producers, acknowledged, delivered.
	Sent, Acked, Delivered float64
	Nodes                  []NodeProgress
	// What follows comes with the four updates a second, in order of the plan.
	// Counts are since the start of load and never fall; a record that a client
	// sends again after a crash counts each time.
	Producers  []ProducerProgress
	Consumers  []ConsumerProgress
	Partitions []PartitionProgress // of topics with a known state
	Alarms     []AlarmProgress
	Faults     []FaultProgress // what is broken at this moment, oldest first
	// Next is the event that comes next by the plan, "" for none known.
	Next   string
	NextAt time.Duration
}

// ProducerProgress is what became of a producer's records so far.
type ProducerProgress struct {
	Name                             string
	Accepted, Acked, Failed, Unknown uint64
	// Latency holds, for each bound of LatencyBounds, how many of Acked were
	// acknowledged within it; LatencySum is the sum of all their latencies, in
	// scenario time from due to acknowledged.
	Latency    []uint64
	LatencySum time.Duration
}

// ConsumerProgress is how far a consumer is. Those that only observe a mirror's
// copies have none.
type ConsumerProgress struct {
	Name      string
	Delivered uint64 // records, again delivered ones too
	Lag       int64  // records behind the high-water marks, all partitions; -1: unknown
	State     string // of the group, in Kafka's words; "" when none was seen lately
	Members   int    // that the group has; 0 with no State
}

// PartitionProgress is a partition as the brokers last described it.
type PartitionProgress struct {
	Topic         string // as the plan calls it
	Partition     int32
	Leader        string // label of the broker, "" for none
	ISR, Replicas int
}

// AlarmProgress tells whether an alarm is raised. Alarms are watched from the
// end of the warm-up to run_for; before it they are off, after it they stay as
// they were.
type AlarmProgress struct {
	ID string // the alarm's name
	On bool
}

// FaultProgress is something that is broken and not yet healed: an effect of
// the timeline that something will undo, from when it showed to the end of its
// undoing, proved or not.
type FaultProgress struct {
	Text  string        // as in the timeline: kill(leader(orders)) → kafka-2
	Since time.Duration // scenario time
}

// NodeProgress is the state of one node for a live screen.
type NodeProgress struct {
	Label string // kafka-2
	State string // running, fenced, stopped, paused
}

// RefusedError says that a plan needs what the engine lacks. Nothing has been
// started.
type RefusedError struct {
	Engine   string
	Refusals []Refusal
}

func (e *RefusedError) Error() string {
	var b strings.Builder
	for i, r := range e.Refusals {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s: %s: the %s engine cannot do this", r.Pos, r.Message, e.Engine)
		if r.Engine != "" {
			fmt.Fprintf(&b, ", %s can", r.Engine)
		}
	}
	return b.String()
}

// PhaseError is an error of the engine or its clients, with the phase in which
// it ended the run.
type PhaseError struct {
	Phase Phase
	Err   error
}

func (e *PhaseError) Error() string { return fmt.Sprintf("%s: %v", e.Phase, e.Err) }

// Unwrap gives the cause.
func (e *PhaseError) Unwrap() error { return e.Err }

// ErrInterrupted is wrapped by the error of a run that was interrupted before
// load started, or that was cut short by a second interrupt or by its context.
var ErrInterrupted = errors.New("interrupted")
