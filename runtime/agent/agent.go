// Package agent is the process that is PID 1 in every container of a run, and
// the host's handle on it. The two talk over one byte stream (the attached
// stdin and stdout of the container), so that nothing has to be published,
// mounted or resolved, and so that the end of the stream is the end of
// everything inside.
//
// Inside: Serve supervises processes, writes files, shapes the network and
// carries connections. Outside: Connect gives an *Agent with a method for each
// of these. The host side works on every system, the inside on Linux only.
package agent

// This file defines what both sides share: the types that cross the stream,
// and the errors.

import (
	"context"
	"errors"
	"io/fs"
	"syscall"
	"time"

	"starfall/runtime/agent/network"
)

// File is a file to be written.
type File struct {
	Path    string
	Mode    fs.FileMode // permission bits; 0 means 0644
	Content []byte
}

// Entry is one name in a folder.
type Entry struct {
	Name     string      `json:"name"`
	Mode     fs.FileMode `json:"mode"`
	Size     int64       `json:"size"`
	Modified time.Time   `json:"modified"`
}

// Process is what Start starts.
type Process struct {
	// Name is how later calls mean it. A name whose process has exited may be
	// started again.
	Name string `json:"name"`
	// Args is the program and its arguments. A program without a slash is
	// looked up in PATH.
	Args []string `json:"args"`
	// Env is added to the agent's own environment, NAME=value; later ones win.
	Env []string `json:"env,omitempty"`
	// Dir is where it starts; "" for the agent's own folder.
	Dir string `json:"dir,omitempty"`
	// Log is the file that gets its standard output and standard error,
	// appended over restarts; "" for nowhere. When it holds half of LogLimit it
	// becomes Log + ".1" and a new one begins, so that the newest bytes are kept
	// and both together never exceed LogLimit.
	Log string `json:"log,omitempty"`
	// LogLimit is in bytes; 0 means DefaultLogLimit.
	LogLimit int64 `json:"log_limit,omitempty"`
}

// DefaultLogLimit is how many bytes of output are kept of one process.
const DefaultLogLimit = 8 << 20

// State is what a process does.
type State string

// The states of a process.
//
//	state     kill     stop     pause    resume   exits by itself   Start
//	running   exited   exited   paused   running  exited            refused
//	paused    exited   refused  paused   running  -                 refused
//	exited    exited   exited   refused  refused  -                 running
const (
	Running State = "running"
	Paused  State = "paused"
	Exited  State = "exited"
)

// Status is a process at one moment.
type Status struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	PID   int    `json:"pid"` // in the container's own numbering
	// Code is the exit code, Signal the number of the signal that ended it (0:
	// none); both only once it has exited.
	Code   int `json:"code"`
	Signal int `json:"signal,omitempty"`
	// RSS is the resident memory of the process and its descendants in bytes.
	RSS int64 `json:"rss"`
	// CPU is the processor time of the process and its descendants since it
	// started, in seconds.
	CPU     float64   `json:"cpu"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"` // once it has exited
	// At is when what Signal proved was seen, by the clock inside.
	At time.Time `json:"at"`
	// LogError says why the log is not whole, "" when it is.
	LogError string `json:"log_error,omitempty"`
}

// Discarded is what a power failure took from one partition's log.
type Discarded struct {
	Partition string `json:"partition"` // the folder: topic-partition
	From      int64  `json:"from"`      // the first offset that is gone
	Bytes     int64  `json:"bytes"`     // of records
}

// Kind says what sort of error an agent answered with.
type Kind string

// The kinds of Error.
const (
	KindFailed      Kind = "failed"      // everything else
	KindInvalid     Kind = "invalid"     // the request makes no sense
	KindNotFound    Kind = "not_found"   // no such file or process; errors.Is fs.ErrNotExist
	KindExists      Kind = "exists"      // it runs already; errors.Is fs.ErrExist
	KindPermission  Kind = "permission"  // errors.Is fs.ErrPermission
	KindExited      Kind = "exited"      // the process ended before what was awaited; errors.Is ErrExited
	KindTimeout     Kind = "timeout"     // errors.Is context.DeadlineExceeded
	KindCanceled    Kind = "canceled"    // errors.Is context.Canceled
	KindRefused     Kind = "refused"     // a dialled port refused; errors.Is syscall.ECONNREFUSED
	KindUnreachable Kind = "unreachable" // no way to the dialled host; errors.Is syscall.EHOSTUNREACH
	KindFull        Kind = "full"        // no space left; errors.Is syscall.ENOSPC
	KindUnsupported Kind = "unsupported" // this kernel cannot; errors.Is errors.ErrUnsupported
)

// Error is an agent's answer to a call that failed.
type Error struct {
	Kind    Kind
	Message string
}

func (e *Error) Error() string { return e.Message }

// Is lets errors.Is find the error of the standard library that a kind stands for.
func (e *Error) Is(target error) bool {
	for _, k := range kinds() {
		if k.err == target {
			return k.kind == e.Kind
		}
	}
	return false
}

// Errors of the host side.
var (
	// ErrEnded: the session with the agent is over.
	ErrEnded = errors.New("agent: connection ended")
	// ErrMismatch: what answered is not the agent of this build.
	ErrMismatch = errors.New("agent: another version")
	// ErrExited: a process ended before what was awaited.
	ErrExited = errors.New("agent: process exited")
	// ErrReset: the far end of a carried connection ended abruptly: a reset,
	// an error, or the end of the agent. What was in flight is lost.
	ErrReset = errors.New("agent: connection reset")
)

// kinds pairs the kinds with the errors they stand for, the special before the general.
func kinds() []struct {
	kind Kind
	err  error
} {
	return []struct {
		kind Kind
		err  error
	}{
		{KindExited, ErrExited},
		{KindTimeout, context.DeadlineExceeded},
		{KindCanceled, context.Canceled},
		{KindRefused, syscall.ECONNREFUSED},
		{KindUnreachable, syscall.EHOSTUNREACH},
		{KindUnreachable, syscall.ENETUNREACH},
		{KindFull, syscall.ENOSPC},
		{KindUnsupported, errors.ErrUnsupported},
		{KindUnsupported, network.ErrUnsupported},
		{KindNotFound, fs.ErrNotExist},
		{KindExists, fs.ErrExist},
		{KindPermission, fs.ErrPermission},
	}
}

// kindOf is the kind under which an error crosses the stream.
func kindOf(err error) Kind {
	var known *Error
	if errors.As(err, &known) {
		return known.Kind
	}
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return KindTimeout
	}
	for _, k := range kinds() {
		if errors.Is(err, k.err) {
			return k.kind
		}
	}
	return KindFailed
}

// invalid makes an error for a request that makes no sense.
func invalid(message string) error { return &Error{Kind: KindInvalid, Message: message} }
