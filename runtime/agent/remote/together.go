// This file defines Together, which makes the clients of a run of sessions.

package remote

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"starfall/runtime"
)

// Together makes the clients of a run: admin and audit of one session, load of
// one for each site in which clients stand. The sessions are closed with them.
func Together(control *Session, load map[string]*Session) runtime.Clients {
	t := &together{control: control, load: load, failed: make(chan struct{}), closed: make(chan struct{})}
	t.all = append(t.all, control)
	for _, s := range load {
		t.all = append(t.all, s)
	}
	for _, s := range t.all {
		t.wait.Go(func() {
			select {
			case <-s.Failed():
				t.once.Do(func() { close(t.failed) })
			case <-t.closed:
			}
		})
	}
	return runtime.Clients{Load: t, Admin: control, Audit: control, Health: t, Close: t.close}
}

type together struct {
	control *Session
	load    map[string]*Session // by site
	all     []*Session
	failed  chan struct{}
	once    sync.Once
	closed  chan struct{}
	end     sync.Once
	wait    sync.WaitGroup
}

var (
	_ runtime.Load   = (*together)(nil)
	_ runtime.Health = (*together)(nil)
)

func (t *together) at(site string) (*Session, error) {
	s := t.load[site]
	if s == nil {
		return nil, fmt.Errorf("site %q: no clients are run there", site)
	}
	return s, nil
}

func (t *together) Producer(ctx context.Context, spec runtime.ProducerSpec) (runtime.Producer, error) {
	s, err := t.at(spec.Producer.Site)
	if err != nil {
		return nil, err
	}
	return s.Producer(ctx, spec)
}

// Consumer starts a member in its site; one that observes a mirror, on the
// control side.
func (t *together) Consumer(ctx context.Context, spec runtime.ConsumerSpec) (runtime.Member, error) {
	if spec.Consumer.Observes != "" {
		return t.control.Consumer(ctx, spec)
	}
	s, err := t.at(spec.Consumer.Site)
	if err != nil {
		return nil, err
	}
	return s.Consumer(ctx, spec)
}

func (t *together) Failed() <-chan struct{} { return t.failed }

func (t *together) Err() error {
	var errs []error
	for _, s := range t.all {
		errs = append(errs, s.Err())
	}
	return errors.Join(errs...)
}

func (t *together) close() error {
	t.end.Do(func() { close(t.closed) })
	errs := make([]error, len(t.all))
	var wait sync.WaitGroup
	for i, s := range t.all {
		wait.Go(func() { errs[i] = s.Close() })
	}
	wait.Wait()
	t.wait.Wait()
	return errors.Join(errs...)
}
