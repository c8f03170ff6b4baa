package remote

// This file defines what the tests share: servers behind a multiplexer, and
// runs on the embedded engine with clients in them.

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/hashicorp/yamux"

	"starfall/interp"
	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/embedded"
	"starfall/runtime/judge"
	"starfall/runtime/record"
)

// limit bounds each test; none comes near it.
const limit = 90 * time.Second

// agent is a server at the other end of a pipe.
type agent struct {
	open func(context.Context) (net.Conn, error)
	// cut ends the connection under all streams, as when the process dies.
	cut func()

	mu   sync.Mutex
	errs []error // of streams that did not end in order
}

func (a *agent) failures() []error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.errs)
}

// newAgent serves until the test ends.
func newAgent(t testing.TB) *agent {
	t.Helper()
	near, far := net.Pipe()
	conf := yamux.DefaultConfig()
	conf.LogOutput = io.Discard
	conf.EnableKeepAlive = false
	client, err := yamux.Client(near, conf)
	if err != nil {
		t.Fatal(err)
	}
	server, err := yamux.Server(far, conf)
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{
		open: func(ctx context.Context) (net.Conn, error) { return client.Open() },
		cut:  func() { near.Close() },
	}
	ctx, cancel := context.WithCancel(context.Background())
	var s Server
	var streams sync.WaitGroup
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			streams.Go(func() {
				if err := s.Serve(ctx, c); err != nil {
					a.mu.Lock()
					a.errs = append(a.errs, err)
					a.mu.Unlock()
				}
			})
		}
	}()
	t.Cleanup(func() {
		client.Close()
		server.Close()
		cancel()
		<-accepting
		streams.Wait()
		if n := len(s.sessions); n > 0 {
			t.Errorf("sessions left inside: got %d, want none", n)
		}
	})
	return a
}

// bed connects the clients of a run to agents: one a site, one for control.
type bed struct {
	t       testing.TB
	control *agent
	load    map[string]*agent
	from    func(client string, member int) netip.Addr
	started func(control *Session, load map[string]*Session)
}

func newBed(t testing.TB, p *plan.Plan) *bed {
	b := &bed{t: t, control: newAgent(t), load: map[string]*agent{}}
	for _, site := range sites(p) {
		b.load[site] = newAgent(t)
	}
	return b
}

// sites are those in which clients stand.
func sites(p *plan.Plan) []string {
	var out []string
	for _, x := range p.Producers {
		out = append(out, x.Site)
	}
	for _, x := range p.Consumers {
		out = append(out, x.Site)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (b *bed) connect(w runtime.World, e runtime.Env, p *plan.Plan, rec *record.Writer) (runtime.Clients, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	bootstrap := func(cluster string) ([]string, error) { return w.Bootstrap(cluster, runtime.Place{}) }
	var sessions []*Session
	start := func(name string, a *agent) (*Session, error) {
		s, err := Start(ctx, Options{Name: name, Open: a.open, Plan: p, Env: e, Record: rec, Bootstrap: bootstrap, From: b.from})
		if err != nil {
			for _, s := range sessions {
				s.Close()
			}
			return nil, err
		}
		sessions = append(sessions, s)
		return s, nil
	}
	control, err := start("control agent", b.control)
	if err != nil {
		return runtime.Clients{}, err
	}
	load := map[string]*Session{}
	for site, a := range b.load {
		if load[site], err = start("load agent of "+site, a); err != nil {
			return runtime.Clients{}, err
		}
	}
	if b.started != nil {
		b.started(control, load)
	}
	return Together(control, load), nil
}

// compile makes a plan of a scenario.
func compile(t testing.TB, source string) *plan.Plan {
	t.Helper()
	p, err := interp.Load("scenario.star", interp.Options{FS: fstest.MapFS{"scenario.star": {Data: []byte(source)}}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// outcome is a run and its verdict.
type outcome struct {
	result  runtime.Result
	err     error
	rec     *record.Recording
	verdict *judge.Verdict
}

// run carries a plan out and judges it.
func run(t testing.TB, p *plan.Plan, o runtime.Options) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	o.Engine = embedded.Engine{}
	o.Folder = filepath.Join(t.TempDir(), "run")
	var out outcome
	out.result, out.err = runtime.Run(ctx, p, o)
	var err error
	if out.rec, err = record.Open(o.Folder); err != nil {
		t.Fatal(err)
	}
	if out.verdict, err = judge.Judge(out.rec.Plan, out.rec); err != nil {
		t.Fatal(err)
	}
	return out
}

// calm repeats a run that says nothing because the machine was too busy for it.
func calm(t testing.TB, f func() outcome) outcome {
	t.Helper()
	for range 3 {
		if o := f(); o.err != nil || o.verdict.Result != judge.Inconclusive {
			return o
		}
	}
	t.Skip("the machine is too busy to run a scenario in time")
	return outcome{}
}

// text is what is compared of a verdict.
func (o outcome) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", o.verdict.Result)
	for _, c := range o.verdict.Claims {
		fmt.Fprintf(&b, "%s %s\n", c.Outcome, c.Text)
	}
	return b.String()
}

// dump tells a run in case of a failure.
func (o outcome) dump(t testing.TB, name string) {
	t.Helper()
	t.Logf("%s: error %v", name, o.err)
	t.Log(o.text())
	for _, c := range o.verdict.Claims {
		t.Logf("%s: %s", c.Text, c.Measured)
	}
	for _, r := range o.verdict.Reasons {
		t.Logf("%+v", r)
	}
	for _, r := range o.verdict.Timeline {
		t.Logf("%v %s %s %s %s", r.At, r.Kind, r.Text, r.Proof, r.Error)
	}
	t.Logf("%+v %+v", o.verdict.Producers, o.verdict.Consumers)
}
