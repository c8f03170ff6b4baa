// This file defines the engines that the command knows and doctor, which says
// which of them work here.

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"starfall/report"
	"starfall/runtime/docker"
)

// engineNames are the values of --engine; the first is the default.
func engineNames() []string { return []string{"embedded", "docker"} }

// engineFlag is the value of --engine, or of STARFALL_ENGINE.
func engineName(e *env, flag string) (string, error) {
	name, from := flag, "--engine"
	if name == "" {
		name, from = e.getenv("STARFALL_ENGINE"), "STARFALL_ENGINE"
	}
	if name == "" {
		return engineNames()[0], nil
	}
	for _, known := range engineNames() {
		if name == known {
			return name, nil
		}
	}
	return "", meant(usage("%s: got %q, want embedded or docker", from, name), name, engineNames())
}

// finding is what doctor found out about one thing.
type finding struct {
	name  string
	ok    bool
	lines []string
}

// examine looks at each engine, in the order of engineNames, then at the
// folder for runs.
func examine(ctx context.Context, e *env) []finding {
	return []finding{examineEmbedded(), examineDocker(ctx, e), examineFolder(defaultOut)}
}

func examineEmbedded() finding {
	f := finding{name: "embedded", ok: true}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.ok = false
		f.lines = append(f.lines,
			fmt.Sprintf("cannot listen on 127.0.0.1: %v", err),
			"brokers of the embedded engine need ports on the loopback interface; allow them")
		return f
	}
	l.Close()
	f.lines = append(f.lines, fmt.Sprintf("works: a replicated Kafka in this process, on 127.0.0.1 (%d processors)", goruntime.NumCPU()))
	if goruntime.NumCPU() < 2 {
		f.lines = append(f.lines, "with one processor, lower the speed: --speed 3")
	}
	return f
}

func examineDocker(ctx context.Context, e *env) finding {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	f := finding{name: "docker"}
	s, err := docker.Ping(ctx, docker.Options{Getenv: e.getenv})
	if err != nil {
		f.lines = append(f.lines, err.Error())
		fail := dockerHints(&failure{err: err}, err)
		f.lines = append(f.lines, fail.hints...)
		return f
	}
	f.lines = append(f.lines, fmt.Sprintf("Docker Engine %s (API %s, %s) answers at %s", s.Version, s.API, s.System, s.Host))
	if len(s.Images) > 0 {
		var names []string
		for _, x := range s.Images {
			names = append(names, x.Ref)
		}
		f.lines = append(f.lines, "images of Kafka: "+strings.Join(names, ", "))
	}
	if f.ok = s.HasImage; f.ok {
		f.lines = append(f.lines, fmt.Sprintf("works: --engine docker runs scenarios on %s", s.Image))
		return f
	}
	return f.needs(&docker.NoImageError{Version: "3.9.1"})
}

// needs adds what to type for an image that is missing.
func (f finding) needs(err *docker.NoImageError) finding {
	f.lines = append(f.lines, "there is no image of Kafka "+err.Version)
	f.lines = append(f.lines, imageHints(err)...)
	return f
}

// examineFolder tells whether run folders can be made where they go by default.
func examineFolder(dir string) finding {
	f := finding{name: "run folders", ok: true}
	at, err := filepath.Abs(dir)
	if err != nil {
		at = dir
	}
	// The folder is made by the first run; what counts is the nearest that exists.
	near := at
	for {
		if _, err := os.Stat(near); err == nil || filepath.Dir(near) == near {
			break
		}
		near = filepath.Dir(near)
	}
	probe, err := os.CreateTemp(near, ".starfall-doctor-*")
	if err != nil {
		f.ok = false
		f.lines = append(f.lines, fmt.Sprintf("cannot write in %s: %v", shown(near), err), "choose another folder: --out DIR")
		return f
	}
	probe.Close()
	os.Remove(probe.Name())
	f.lines = append(f.lines, "go to "+shown(at))
	return f
}

func doctorCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Say which engines work here, and why others do not",
		Args:  exactly(0, "none"),
		RunE: func(cmd *cobra.Command, args []string) error {
			findings := examine(cmd.Context(), e)
			var rows []report.Finding
			for _, f := range findings {
				rows = append(rows, report.Finding{Name: f.name, OK: f.ok, Lines: f.lines})
			}
			if err := report.Findings(e.stdout, rows); err != nil {
				return err
			}
			if !findings[0].ok {
				return verdictCode(exitEngine)
			}
			return nil
		},
	}
}
