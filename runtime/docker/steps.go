package docker

// This file defines the steps of coming up, which the run folder keeps: what took
// how long is asked after the fact, of the one run that was slow.

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// steps are what was reached while the clusters came up, and when.
type steps struct {
	began time.Time
	mu    sync.Mutex
	text  strings.Builder
}

// reach notes that something has been reached.
func (s *steps) reach(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(&s.text, "%6.3f s  "+format+"\n", append([]any{time.Since(s.began).Seconds()}, args...)...)
}

// Reached notes a step that the run has taken after Up.
func (w *world) Reached(step string) {
	w.steps.reach("%s", step)
	w.noteSteps()
}

// noteSteps writes the steps into the run folder, in start.log.
func (w *world) noteSteps() {
	if w.o.Folder == "" {
		return
	}
	w.steps.mu.Lock()
	defer w.steps.mu.Unlock()
	w.note("start.log", []byte(w.steps.text.String()))
}
