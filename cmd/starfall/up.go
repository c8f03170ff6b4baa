// This file defines up: a scenario's clusters for programs of one's own.

package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"starfall/interp/plan"
	"starfall/report"
	"starfall/report/metrics"
	"starfall/runtime"
)

func upCommand(e *env) *cobra.Command {
	var s source
	var t target
	var m metricsFlag
	var timeline, quiet bool
	var port int
	cmd := &cobra.Command{
		Use:   "up FILE",
		Short: "Bring a scenario's clusters up for programs of your own",
		Long: `up brings the scenario's clusters and topics up, prints a bootstrap address
for each site, and holds until Ctrl-C. The scenario's own producers and
consumers stay away. With --timeline its events are played, once.`,
		Example: `  starfall up first.star
  starfall up first.star --port 9092 --timeline`,
		Args:              exactly(1, "one scenario"),
		ValidArgsFunction: stars,
		RunE: func(cmd *cobra.Command, args []string) error {
			if port != 0 && (port < 1024 || port > 65000) {
				return usage("--port: got %d, want 1024 to 65000", port)
			}
			name, err := t.resolve(cmd, e)
			if err != nil {
				return err
			}
			p, err := s.load(cmd, e, args[0], nil, quiet)
			if err != nil {
				return err
			}
			engine, err := t.open(cmd.Context(), e, name, []*plan.Plan{p}, true)
			if err != nil {
				return err
			}
			if err := m.open(cmd, e, quiet); err != nil {
				return err
			}
			defer m.close(cmd.Context(), e)
			stop := watch(e)
			defer stop.close()
			progress := newProgress(e, quiet)
			told, over, err := m.follow(metrics.About{
				Scenario: p.Name, Engine: engine.Name(), Kafka: engine.kafka, Seed: p.Scenario.Seed, Speed: t.speed,
			}, progress.told())
			if err != nil {
				return err
			}
			defer over()
			err = runtime.Up(cmd.Context(), p, runtime.Options{
				Engine:     engine.Engine,
				Connect:    engine.connect,
				Speed:      t.speed,
				Progress:   told,
				Interrupt:  stop.channel(),
				FixedPorts: port,
			}, runtime.Hold{
				Timeline: timeline,
				Updates:  m.exporter != nil,
				Ready: func(addresses []runtime.Address) {
					progress.end()
					printAddresses(e.stdout, p, engine.Name(), addresses)
					fmt.Fprintln(e.stderr, "Ctrl-C takes everything down")
				},
			})
			progress.end()
			engine.tellKept(e)
			return upError(err, port)
		},
	}
	s.flags(cmd)
	t.flags(cmd)
	t.keepFlag(cmd)
	m.flag(cmd)
	fl := cmd.Flags()
	fl.BoolVar(&timeline, "timeline", false, "play the scenario's events")
	fl.Float64Var(&t.speed, "speed", 1, "how much faster than life the clusters run")
	fl.IntVar(&port, "port", 0, "first port of the listeners; 0 lets the system choose")
	fl.BoolVar(&quiet, "quiet", false, "print addresses only")
	return cmd
}

// printAddresses writes a line for each cluster and site.
func printAddresses(w io.Writer, p *plan.Plan, engine string, addresses []runtime.Address) {
	var rows [][]string
	for _, a := range addresses {
		where := "from " + a.Site
		if a.Site == plan.ImpliedSite || a.Site == "" {
			where = "from anywhere"
		}
		rows = append(rows, []string{a.Cluster, where, strings.Join(a.Bootstrap, ",")})
	}
	fmt.Fprintf(w, "%s is up on the %s engine\n\n", p.Name, engine)
	report.Addresses(w, rows)
}

// upError gives an error of up its code and hints.
func upError(err error, port int) error {
	var refused *runtime.RefusedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return &failure{code: exitUsage, err: err}
	case errors.Is(err, runtime.ErrInterrupted):
		return verdictCode(exitInterrupted)
	}
	f := dockerHints(&failure{code: exitEngine, err: err}, err)
	if port != 0 && strings.Contains(err.Error(), "in use") {
		f.hint("choose another port: --port %d, or let the system choose: leave --port out", port+100)
	}
	return f
}
