// This file defines how errors cross a stream: their text, and which of the
// errors that callers test for they are.

package remote

import (
	"context"
	"errors"

	"starfall/runtime"
)

// failure is an error on a stream.
type failure struct {
	Text string   `json:"text"`
	Is   []string `json:"is,omitempty"`
}

type sentinel struct {
	name string
	err  error
}

// sentinels are the errors that errors.Is finds on both sides.
func sentinels() []sentinel {
	return []sentinel{
		{"canceled", context.Canceled},
		{"deadline", context.DeadlineExceeded},
		{"interrupted", runtime.ErrInterrupted},
	}
}

// fail makes a failure of an error; nil of nil.
func fail(err error) *failure {
	if err == nil {
		return nil
	}
	f := &failure{Text: err.Error()}
	for _, s := range sentinels() {
		if errors.Is(err, s.err) {
			f.Is = append(f.Is, s.name)
		}
	}
	return f
}

// err makes an error of a failure; nil of nil.
func (f *failure) err() error {
	if f == nil {
		return nil
	}
	e := &remoteError{text: f.Text}
	for _, s := range sentinels() {
		for _, name := range f.Is {
			if name == s.name {
				e.is = append(e.is, s.err)
			}
		}
	}
	return e
}

// remoteError is an error of the other side.
type remoteError struct {
	text string
	is   []error
}

func (e *remoteError) Error() string   { return e.text }
func (e *remoteError) Unwrap() []error { return e.is }
