// This file defines --metrics: the endpoint that Prometheus scrapes while a run
// goes on.

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"starfall/report/metrics"
	"starfall/runtime"
)

// metricsFlag is --metrics. Its zero value serves nothing.
type metricsFlag struct {
	addr     string
	exporter *metrics.Exporter
	server   *http.Server
	served   chan error
}

func (m *metricsFlag) flag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&m.addr, "metrics", "", "serve metrics for Prometheus at `address` while it goes on, as in :9464")
}

// A scrape is small: what takes longer is not one.
const (
	headerLimit   = 5 * time.Second
	shutdownLimit = time.Second
)

// open listens, where the flag was given. Mistakes and an address that is
// taken are the command line's.
func (m *metricsFlag) open(cmd *cobra.Command, e *env, quiet bool) error {
	if !cmd.Flags().Changed("metrics") {
		return nil
	}
	host, port, err := net.SplitHostPort(m.addr)
	if err != nil || port == "" {
		return usage("--metrics: got %q, want an address with a port", m.addr).
			hint("for example localhost:9464, or :9464 for every interface, or localhost:0 for any free port")
	}
	l, err := net.Listen("tcp", m.addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return usage("--metrics: %s is in use", m.addr).
			hint("choose another port, or let the system choose: --metrics %s", net.JoinHostPort(host, "0"))
	}
	if err != nil {
		return usage("--metrics: %w", err)
	}
	m.exporter = metrics.New()
	m.server = &http.Server{Handler: m.exporter, ReadHeaderTimeout: headerLimit}
	m.served = make(chan error, 1)
	go func() { m.served <- m.server.Serve(l) }()
	at, _ := l.Addr().(*net.TCPAddr)
	if at.IP.IsUnspecified() || host == "" {
		host = "localhost"
	}
	if !quiet || port == "0" { // nobody else knows which port it is
		fmt.Fprintf(e.stderr, "metrics at http://%s%s\n", net.JoinHostPort(host, fmt.Sprint(at.Port)), metrics.Path)
	}
	return nil
}

// close ends the endpoint, once a scrape that is under way has its answer.
func (m *metricsFlag) close(ctx context.Context, e *env) {
	if m.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownLimit)
	defer cancel()
	err := m.server.Shutdown(ctx)
	if err != nil {
		err = m.server.Close()
	}
	if served := <-m.served; err == nil && !errors.Is(served, http.ErrServerClosed) {
		err = served
	}
	if err != nil {
		fmt.Fprintf(e.stderr, "starfall: --metrics: %v\n", err)
	}
}

// follow tells the endpoint of one run, until over is called. What is told goes
// on to shown, which may be nil; when nobody watches, tell is nil too.
func (m *metricsFlag) follow(a metrics.About, shown func(runtime.Progress)) (tell func(runtime.Progress), over func(), err error) {
	if m.exporter == nil {
		return shown, func() {}, nil
	}
	r, err := m.exporter.Add(a)
	if err != nil {
		return nil, nil, fmt.Errorf("--metrics: %w", err)
	}
	return func(p runtime.Progress) {
		r.Update(p)
		if shown != nil {
			shown(p)
		}
	}, r.End, nil
}
