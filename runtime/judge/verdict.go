// This file defines Verdict, and by which precedence a run gets one.

package judge

import (
	"slices"
	"strings"

	"starfall/interp/plan"
)

// Result is a run's verdict in one word.
type Result string

// The results.
const (
	Pass         Result = "PASS"
	Fail         Result = "FAIL"
	Inconclusive Result = "INCONCLUSIVE"
	EngineError  Result = "ENGINE ERROR"
	Void         Result = "VOID"
)

// Exit is the exit code of a result (judging.md).
func (r Result) Exit() int {
	switch r {
	case Pass:
		return 0
	case Fail:
		return 1
	case EngineError:
		return 4
	case Void:
		return 5
	}
	return 3
}

// ExitInterrupted is the exit code of a run that the user broke off.
const ExitInterrupted = 130

// Reason is one cause of a result that is not PASS.
type Reason struct {
	Result Result    `json:"result"`
	Text   string    `json:"text"`
	Pos    *plan.Pos `json:"pos,omitempty"`
	At     *Seconds  `json:"at,omitempty"`
	Advice string    `json:"advice,omitempty"`
	// Busy: it is the machine that was too slow, not the cluster.
	Busy bool `json:"busy,omitempty"`

	cause cause
}

// cause is what kind of thing speaks against PASS.
type cause int

const (
	causeEngine cause = iota
	causeRule
	causeNotTaken // the experiment did not take place
	causeClaim
	causeNoData
)

// decide gives the result of all causes: the first row of the table that
// applies.
//
//	row  cause                                               result
//	1    the engine failed                                   ENGINE ERROR
//	2    a rule is broken                                    VOID
//	3    the experiment did not take place: an assumption,   INCONCLUSIVE
//	     the schedule, a fault without proof, a cut recording
//	4    an expectation is broken                            FAIL
//	5    a claim lacks data; there is no expectation         INCONCLUSIVE
//	6    none                                                PASS
func decide(reasons []Reason) Result {
	first := causeNoData + 1
	for _, r := range reasons {
		first = min(first, r.cause)
	}
	switch first {
	case causeEngine:
		return EngineError
	case causeRule:
		return Void
	case causeNotTaken, causeNoData:
		return Inconclusive
	case causeClaim:
		return Fail
	}
	return Pass
}

// Verdict is everything that a run's table shows. It is a pure function of the
// plan and the recording, and is what verdict.json holds.
type Verdict struct {
	Result      Result   `json:"result"`
	Exit        int      `json:"exit"`
	Interrupted bool     `json:"interrupted,omitempty"`
	Reasons     []Reason `json:"reasons,omitempty"` // most weighty first
	Title       string   `json:"title,omitempty"`
	Name        string   `json:"name"`
	Engine      string   `json:"engine,omitempty"`
	Kafka       string   `json:"kafka,omitempty"`
	Seed        int64    `json:"seed"`
	Speed       float64  `json:"speed,omitempty"`
	RunFor      Seconds  `json:"run_for"`
	LoadEnded   Seconds  `json:"load_ended"` // run_for, or when the load was broken off
	Held        int      `json:"held"`       // expectations
	Expected    int      `json:"expected"`

	Claims    []Claim    `json:"claims"`
	Phases    []Phase    `json:"phases"`
	Timeline  []Row      `json:"timeline"`
	Producers []Producer `json:"producers,omitempty"`
	Consumers []Consumer `json:"consumers,omitempty"`
}

// Busy tells whether the machine was too slow for the run, which says nothing
// about the cluster.
func (v *Verdict) Busy() bool {
	return v.Result == Inconclusive && slices.ContainsFunc(v.Reasons, func(r Reason) bool { return r.Busy })
}

// TookPlace tells whether the experiment took place: it was not interrupted, the
// engine did not fail, no rule or assumption was broken, the schedule was kept,
// every fault was proved, and the recording is whole. It is known of a verdict
// that Judge gave, not of one that was read.
func (v *Verdict) TookPlace() bool {
	return !v.Interrupted && !slices.ContainsFunc(v.Reasons, func(r Reason) bool { return r.cause < causeClaim })
}

// Claim is one row: what was claimed and what came out.
type Claim struct {
	Kind      plan.ClaimKind `json:"kind"`
	ID        string         `json:"id,omitempty"`
	Text      string         `json:"text"` // as written, on one line
	Pos       plan.Pos       `json:"pos"`
	Outcome   Outcome        `json:"outcome"`
	Wanted    string         `json:"wanted,omitempty"`
	Measured  string         `json:"measured"` // why there is no data, when there is none
	Value     *float64       `json:"value"`    // in Unit; null: never, or no data
	Unit      plan.Unit      `json:"unit,omitempty"`
	Values    []Value        `json:"values,omitempty"` // with several series
	Where     *Where         `json:"where,omitempty"`
	Witnesses []Witness      `json:"witnesses,omitempty"`
	Advice    string         `json:"advice,omitempty"` // why Kafka did so, where it is known
	Topic     string         `json:"topic,omitempty"`  // what `starfall doc` knows more about
	Points    int            `json:"points,omitempty"`
	Hint      string         `json:"hint,omitempty"`
	Why       string         `json:"why,omitempty"`
}

// Phase is one row of the phases table: a producer in a part of the run.
type Phase struct {
	Name     string   `json:"name"`
	Producer string   `json:"producer"`
	From     Seconds  `json:"from"`
	To       Seconds  `json:"to"`
	Sent     float64  `json:"sent"`            // records accepted per second
	Acked    float64  `json:"acked"`           // per second
	Worst    *float64 `json:"worst,omitempty"` // fewest acknowledged in a whole second
	P50      *Seconds `json:"p50,omitempty"`
	P99      *Seconds `json:"p99,omitempty"`
	Stall    Seconds  `json:"stall"` // longest, 0: none
	StallOn  string   `json:"stall_on,omitempty"`
}

// Row is one line of the timeline.
type Row struct {
	At      Seconds  `json:"at"`
	Planned *Seconds `json:"planned,omitempty"`
	Kind    string   `json:"kind"`
	Text    string   `json:"text"`
	Proof   string   `json:"proof,omitempty"`
	Error   string   `json:"error,omitempty"`
	File    string   `json:"file,omitempty"` // in the run folder: all that a tool printed
}

// Producer is what became of a producer's records.
type Producer struct {
	Name    string  `json:"name"`
	Sent    uint64  `json:"sent"`
	Acked   uint64  `json:"acked"`
	Failed  uint64  `json:"failed"`
	Unknown uint64  `json:"unknown"`
	Late    float64 `json:"late"` // share
}

// Consumer is what a consumer got.
type Consumer struct {
	Name       string `json:"name"`
	Deliveries uint64 `json:"deliveries"`
	Distinct   uint64 `json:"distinct"`
}

// Unread is the verdict on a run folder of which not even the beginning can be
// read: nothing is known but that it was cut off.
func Unread(name string, err error) *Verdict {
	return &Verdict{Result: Inconclusive, Exit: Inconclusive.Exit(), Name: name,
		Claims: []Claim{}, Phases: []Phase{}, Timeline: []Row{},
		Reasons: []Reason{{Result: Inconclusive, cause: causeNotTaken, Text: "the recording is not whole: " + strings.TrimPrefix(err.Error(), "record: ") + ": the run was cut off before it began"}}}
}
