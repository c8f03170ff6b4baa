package docker

// This file defines the janitor: a process beside the run that removes what is
// left of it when the run is killed. Agents end with their run by themselves,
// and their containers with them; but a container that was made and not yet
// started has no agent, and nobody else would remove the network.

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"
)

// dismissal is what the janitor is told when there is nothing to do for it.
const dismissal = "dismissed"

// janitor is the host's handle on it; nil is nobody.
type janitor struct {
	in   io.WriteCloser
	cmd  *exec.Cmd
	once sync.Once
}

// startJanitor starts the engine's janitor.
func (w *world) startJanitor() error {
	if len(w.e.Janitor) == 0 {
		return nil
	}
	cmd := exec.Command(w.e.Janitor[0], append(append([]string(nil), w.e.Janitor[1:]...), w.run)...)
	apart(cmd) // Ctrl-C is for the run only
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("janitor: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("janitor: %w", err)
	}
	w.janitor = &janitor{in: in, cmd: cmd}
	return nil
}

// dismiss ends the janitor.
func (j *janitor) dismiss() {
	if j == nil {
		return
	}
	j.once.Do(func() {
		io.WriteString(j.in, dismissal+"\n")
		j.in.Close()
		j.cmd.Wait()
	})
}

// How long Tidy looks for what is left: containers that Docker was just making
// may come up to tidyFor after the run has died.
const (
	tidyFor   = 5 * time.Second
	tidyEvery = 250 * time.Millisecond
)

// Tidy is the janitor: it reads in until its end, which comes with that of the
// run's process, and then removes what is left of the run, unless it was
// dismissed before.
func Tidy(ctx context.Context, o Options, run string, in io.Reader) error {
	for s := bufio.NewScanner(in); s.Scan(); {
		if s.Text() == dismissal {
			return nil
		}
	}
	h, err := open(ctx, o)
	if err != nil {
		return err
	}
	defer h.api.Close()
	f := labelIs(run)
	for until := time.Now().Add(tidyFor); ; {
		var all []Remains
		if all, err = h.remains(ctx, f); err == nil {
			for _, r := range all {
				err = h.removeAll(ctx, r)
			}
		}
		if time.Now().After(until) && (err == nil || time.Now().After(until.Add(time.Minute))) {
			return err
		}
		time.Sleep(tidyEvery)
	}
}
