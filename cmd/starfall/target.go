// This file defines where a scenario runs: the engine, the speed, and what the
// Docker engine may be told.

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/docker"
	"starfall/runtime/embedded"
	"starfall/runtime/kafka"
)

// target is where a plan is to run.
type target struct {
	engine string
	speed  float64
	image  string
	keep   bool
}

func (t *target) flags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&t.engine, "engine", "", "`engine` to run on: embedded or docker (default $STARFALL_ENGINE, else embedded)")
	fl.StringVar(&t.image, "image", "", "`image` of Kafka for the docker engine (default one of the scenario's version)")
	cmd.RegisterFlagCompletionFunc("engine", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return engineNames(), cobra.ShellCompDirectiveNoFileComp
	})
}

func (t *target) keepFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&t.keep, "keep", false, "docker engine: leave the clusters running; starfall clean removes them")
}

// resolve gives the name of the engine, and the speed when none was asked for:
// whatever is usual on the embedded engine, and life's on real Kafka. It refuses
// what does not go together.
func (t *target) resolve(cmd *cobra.Command, e *env) (string, error) {
	name, err := engineName(e, t.engine)
	if err != nil {
		return "", err
	}
	if cmd.Flags().Changed("speed") {
		if err := checkSpeed(t.speed); err != nil {
			return "", err
		}
	}
	if name == docker.Name {
		switch {
		case !cmd.Flags().Changed("speed"):
			t.speed = 1
		case t.speed != 1:
			return "", usage("--speed: got %g, want 1: the docker engine runs real Kafka, whose timeouts are in real time", t.speed).
				hint("the embedded engine can go faster: --engine embedded")
		}
		return name, nil
	}
	for _, x := range []struct {
		flag string
		set  bool
	}{{"--image", t.image != ""}, {"--keep", t.keep}} {
		if x.set {
			return "", usage("%s: the embedded engine has no containers", x.flag).hint("add --engine docker")
		}
	}
	return name, nil
}

// checkSpeed wants a speed that engines and clocks can keep.
func checkSpeed(speed float64) error {
	if !(speed >= 0.1 && speed <= 100) {
		return usage("--speed: got %g, want 0.1 to 100", speed)
	}
	return nil
}

// bare gives the engine of a name for what can be asked before it runs.
func (t *target) bare(e *env, name string) runtime.Engine {
	if name == docker.Name {
		return docker.Engine{Options: docker.Options{Getenv: e.getenv, Image: t.image}}
	}
	return embedded.Engine{}
}

// driver is an engine that can run, with how its clients are made.
type driver struct {
	runtime.Engine
	connect runtime.Connect
	kafka   string // the version it runs, or has the behaviour of
	images  map[string]string
	kept    []docker.Kept // what was left running
}

// open gives an engine that can run, or says why it cannot and what to do.
// outside asks for addresses that programs on this host can dial.
func (t *target) open(ctx context.Context, e *env, name string, plans []*plan.Plan, outside bool) (*driver, error) {
	if name != docker.Name {
		return &driver{Engine: embedded.Engine{}, connect: kafka.Connect, kafka: embedded.KafkaVersion}, nil
	}
	d := &driver{connect: docker.Connect, images: map[string]string{}}
	engine := docker.Engine{
		Options: docker.Options{Getenv: e.getenv, Image: t.image}, Keep: t.keep, Outside: outside,
		JVM:  strings.Fields(e.getenv("STARFALL_JVM_OPTS")),
		Kept: func(k docker.Kept) { d.kept = append(d.kept, k) },
	}
	if exe, err := os.Executable(); err == nil {
		engine.Janitor = []string{exe, janitorName}
	}
	d.Engine = engine
	for _, p := range plans {
		version, err := engine.Ready(ctx, p)
		if err != nil {
			f := dockerHints(&failure{code: exitEngine, err: err}, err)
			return nil, f.hint("the embedded engine needs nothing: --engine embedded")
		}
		d.kafka = version
		pins, err := engine.Pins(ctx, p)
		if err != nil {
			return nil, dockerHints(&failure{code: exitEngine, err: err}, err)
		}
		for _, x := range pins {
			d.images[x.Ref] = cmp.Or(x.Digest, x.ID)
		}
	}
	return d, nil
}

// tellKept says how clusters that were kept are reached and removed. Only the
// Docker engine keeps any, whose cells run in turn.
func (d *driver) tellKept(e *env) {
	if len(d.kept) == 0 {
		return // cells of the embedded engine come here side by side
	}
	for _, k := range d.kept {
		for _, a := range k.Addresses {
			fmt.Fprintf(e.stderr, "%s goes on: %s\n", a.Cluster, strings.Join(a.Bootstrap, ","))
		}
	}
	fmt.Fprintln(e.stderr, "  these addresses are of containers: programs on the Docker host can dial them")
	fmt.Fprintln(e.stderr, "  starfall clean removes it all")
	d.kept = nil
}

// dockerHints adds what may help with an error of the docker engine.
func dockerHints(f *failure, err error) *failure {
	var image *docker.NoImageError
	var program *docker.NoProgramError
	text := err.Error()
	switch {
	case errors.Is(err, docker.ErrPermission):
		f.hint("this user may not speak to Docker: sudo usermod -aG docker $USER, then log in again")
	case errors.Is(err, docker.ErrUnreachable):
		f.hint("start Docker, or set DOCKER_HOST, or choose a context: docker context use NAME")
	case errors.As(err, &image):
		for _, h := range imageHints(image) {
			f.hint("%s", h)
		}
	case errors.As(err, &program):
		f.hint("build starfall so that it can be its own agent: CGO_ENABLED=0 go install starfall/cmd/starfall")
	case errors.Is(err, docker.ErrNoNetwork):
		f.hint("remove networks that nobody uses: starfall clean, then docker network prune")
	case errors.Is(err, docker.ErrApart):
		f.hint("a firewall of the Docker host drops what its bridges forward: look at iptables -L FORWARD, and restart Docker")
	case strings.Contains(text, "no space left"):
		f.hint("the disk of the Docker engine is full: docker system df shows by what")
	case strings.Contains(text, "out of memory"):
		f.hint("every broker takes some 400 MB of memory: free some, or use fewer brokers")
	}
	return f
}

// imageHints say how an image that is missing can be had.
func imageHints(err *docker.NoImageError) []string {
	if err.Image != "" {
		return []string{"docker pull " + err.Image}
	}
	version := err.Version
	if strings.Count(version, ".") == 1 {
		version += ".0"
	}
	out := []string{
		"docker pull apache/kafka:" + version,
		"or, without a registry, from a checkout of starfall: images/kafka/build.sh " + version,
	}
	if err.Any && len(err.Have) > 0 {
		out = append(out, fmt.Sprintf("or run on what is there: --image %s", err.Have[0].Ref))
	}
	return out
}
