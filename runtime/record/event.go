// This file defines the events of the journal.

package record

import (
	"encoding/json"
	"time"
)

// Kind says what an Event tells.
type Kind string

// The kinds of Event and the fields that each sets besides At and What.
//
//	kind          fields                                      meaning
//	phase         Phase                                       a phase begins
//	fired         Name, Occurrence, Action, Planned, Targets  an action of an event starts
//	effect        Name, Occurrence, Action, Targets, Proof    its effect is proved
//	complete      Name, Occurrence, Action, Proof             an action that ends by itself has shown its whole effect
//	undoing       Name, Occurrence, Action, By                its undo starts
//	undone        Name, Occurrence, Action, By, Proof         its undo is proved (a broker: registered again)
//	unproved      Name, Occurrence, Action, Undo, Error       the effect (Undo: the undo) could not be proved or the action failed
//	not_fired     Name                                        a when whose claim did not come true in time
//	alarm_raised  Name                                        At: since when it is raised
//	alarm_cleared Name
//	election      Cluster, Topic, Partition, From, To, Epoch, Unclean
//	cluster       Cluster                                     what else was seen of a cluster (fenced, fully replicated …)
//	sent          Name, Topic, Partition, Offset              the record of send(), so that it is no phantom
//	client        Name, Member                                a client's own news (connected, crashed, error)
//	lie           Name, Member                                a client of somebody's own said what cannot be true: the run is VOID
//	denied        Name, Member, Cluster, Error                a broker refused a client for want of rights: once for each answer of Kafka's that differs
//	tool          Name, Occurrence, Action, Cluster, Exit, Output, File, Error   a tool has ended; File holds all of its output, Output the beginning; Error: it was ended, and has no exit code
//	compared      Name, Aspect, Compared, Different, Error    a mirror against its source; Error: the first difference
//	deleted       Cluster, Topic, Partition, Offset           records before Offset were deleted as the scenario asked; Partition -1: the topic with all of them
//	committed     Name, Committed, Error                      consumer Name never said what it got, and how far its group has committed at the end; Error: nobody knows
//	note          Name                                        note()
//	drained       Name                                        the group Name has reached the ends
//	drain_limit   Name, Arriving                              it has not; Arriving: records still came in
//	interrupted                                               the user broke off the run
//	engine_error  Error                                       the engine failed
//	closed        Bytes, Files                                the recording is whole; written by Close
const (
	KindPhase        Kind = "phase"
	KindFired        Kind = "fired"
	KindEffect       Kind = "effect"
	KindComplete     Kind = "complete"
	KindUndoing      Kind = "undoing"
	KindUndone       Kind = "undone"
	KindUnproved     Kind = "unproved"
	KindNotFired     Kind = "not_fired"
	KindAlarmRaised  Kind = "alarm_raised"
	KindAlarmCleared Kind = "alarm_cleared"
	KindElection     Kind = "election"
	KindCluster      Kind = "cluster"
	KindSent         Kind = "sent"
	KindClient       Kind = "client"
	KindLie          Kind = "lie"
	KindDenied       Kind = "denied"
	KindTool         Kind = "tool"
	KindCompared     Kind = "compared"
	KindDeleted      Kind = "deleted"
	KindCommitted    Kind = "committed"
	KindNote         Kind = "note"
	KindDrained      Kind = "drained"
	KindDrainLimit   Kind = "drain_limit"
	KindInterrupted  Kind = "interrupted"
	KindEngineError  Kind = "engine_error"
	KindClosed       Kind = "closed"
)

// The phases of a run, in order. In load the clients are made ready; run
// begins with the load itself, at 0.
const (
	PhasePrepare  = "prepare"
	PhaseLoad     = "load"
	PhaseRun      = "run"
	PhaseHeal     = "heal"
	PhaseDrain    = "drain"
	PhaseAudit    = "audit"
	PhaseTakeDown = "take_down"
)

// Event is one line of the journal.
type Event struct {
	At         time.Duration  `json:"at"`
	Planned    *time.Duration `json:"planned,omitempty"` // nil: not planned (when, observations)
	Kind       Kind           `json:"kind"`
	Name       string         `json:"name,omitempty"`       // of the plan's event, alarm, client
	Occurrence int            `json:"occurrence,omitempty"` // of every: 0, 1, …
	Action     int            `json:"action,omitempty"`     // index in plan.Event.Actions
	By         string         `json:"by,omitempty"`         // the event that undid Name's effect, when another
	Undo       bool           `json:"undo,omitempty"`
	What       string         `json:"what,omitempty"`    // one line for people: "kill(orders.leader(partition=0))"
	Targets    []string       `json:"targets,omitempty"` // what selectors resolved to: "kafka-2"
	Proof      string         `json:"proof,omitempty"`   // "process gone, port closed"
	Error      string         `json:"error,omitempty"`
	Phase      string         `json:"phase,omitempty"`
	Cluster    string         `json:"cluster,omitempty"`
	Topic      string         `json:"topic,omitempty"`
	Partition  int32          `json:"partition,omitempty"`
	Offset     int64          `json:"offset,omitempty"`
	From       int32          `json:"from,omitempty"` // broker id; -1: none
	To         int32          `json:"to,omitempty"`
	Epoch      int32          `json:"epoch,omitempty"` // leader epoch
	Unclean    bool           `json:"unclean,omitempty"`
	Member     int            `json:"member,omitempty"`
	Arriving   bool           `json:"arriving,omitempty"`
	Bytes      int64          `json:"bytes,omitempty"` // of evidence
	// Files is how many bytes each file of series has.
	Files     map[string]int64 `json:"files,omitempty"`
	Exit      int              `json:"exit,omitempty"`
	Output    string           `json:"output,omitempty"`
	File      string           `json:"file,omitempty"` // in the run folder
	Aspect    string           `json:"aspect,omitempty"`
	Compared  int64            `json:"compared,omitempty"`
	Different int64            `json:"different,omitempty"`
	// Committed are next offsets, by topic of the plan and partition; -1: none.
	Committed map[string][]int64 `json:"committed,omitempty"`
}

// journalHeader is the first line of journal.jsonl.
type journalHeader struct {
	Format int    `json:"format"`
	Unit   string `json:"unit"` // of times
}

func appendEvent(dst []byte, e Event) ([]byte, error) {
	b, err := json.Marshal(e)
	if err != nil {
		return dst, err
	}
	return append(append(dst, b...), '\n'), nil
}
