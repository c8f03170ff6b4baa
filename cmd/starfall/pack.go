// This file defines pack: what goes into a bundle, from a scenario or from runs.

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"starfall/builtins"
	"starfall/bundle"
	"starfall/interp"
	"starfall/interp/plan"
	"starfall/runtime/docker"
	"starfall/runtime/embedded"
	"starfall/runtime/external"
	"starfall/runtime/kafka"
	"starfall/runtime/record"
	"starfall/scenarios"
)

// jvmOptions is the one environment variable that changes what a run is.
const jvmOptions = "STARFALL_JVM_OPTS"

type packFlags struct {
	source
	target
	clients clientFlags
	include []string
	onto    string
	out     string
	logs    bool
	withEnv bool
	dry     bool
	quiet   bool
}

func packCommand(e *env) *cobra.Command {
	var f packFlags
	cmd := &cobra.Command{
		Use:   "pack FILE | RUN…",
		Short: "Put an experiment into one file, locked, with its results",
		Long: `pack writes a bundle: a scenario with everything that it loads, locked to what it
is here and now (experiment.lock). Of run folders it packs the experiment that they
are runs of, with the results attached. The same input always gives the same bytes.

What goes in is listed first. Refused are absolute paths, files outside of the
scenario's root, symbolic links that lead out of it, images that cannot be pinned, and
what looks like a secret; a line that only looks like one says so: # not a secret.

With --client, the files that the command names go in, as does what --include names.
With --engine docker, images are pinned by the digest that they have in their registry,
and those that were made locally by their id.`,
		Example: `  starfall pack failover.star
  starfall pack failover.star --set rate=500 --engine docker -o failover.tar
  starfall pack runs/failover-20260102-150405 -o failover.tar
  starfall pack shop.star --client shop='python shop.py' --include lib`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: stars,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("starfall pack: nothing to pack is given").hint("usage: starfall pack FILE | RUN…")
			}
			return refused(f.run(cmd, e, args))
		},
	}
	f.source.flags(cmd)
	f.target.flags(cmd)
	f.clients.flags(cmd)
	fl := cmd.Flags()
	fl.Float64Var(&f.speed, "speed", defaultSpeed, "how much faster than life the embedded engine runs")
	fl.StringArrayVar(&f.include, "include", nil, "pack a `file` or folder that a client needs, repeatable")
	fl.StringVar(&f.onto, "onto", "", "attach the results of runs to the experiment of this `bundle`")
	fl.StringVarP(&f.out, "out", "o", "", "tar `file` to write (default NAME.tar)")
	fl.BoolVar(&f.logs, "logs", false, "pack the logs of runs, too")
	fl.BoolVar(&f.withEnv, "with-env", false, "pack the values of environment variables that change a run: "+jvmOptions)
	fl.BoolVar(&f.dry, "dry-run", false, "list what would go in, and write nothing")
	fl.BoolVar(&f.quiet, "quiet", false, "no list and no warnings")
	return cmd
}

func (f *packFlags) run(cmd *cobra.Command, e *env, args []string) error {
	var b *bundle.Bundle
	var err error
	if info, statErr := os.Stat(args[0]); statErr == nil && info.IsDir() {
		b, err = f.runs(cmd, e, args)
	} else if len(args) > 1 {
		return usage("starfall pack: got %d scenarios, want one, or run folders", len(args))
	} else {
		b, err = f.scenario(cmd, e, args[0])
	}
	if err != nil {
		return err
	}
	to := f.out
	if to == "" {
		to = b.Lock.Name + ".tar"
	}
	if !f.quiet {
		fmt.Fprintf(e.stderr, "into %s:\n", to)
		if err := contents(e.stderr, b); err != nil {
			return err
		}
	}
	if err := guard(b); err != nil {
		return err
	}
	if f.dry {
		return nil
	}
	if err := b.SaveTar(to); err != nil {
		return usage("%w", err).hint("choose another place: -o FILE")
	}
	fmt.Fprintf(e.stdout, "%s  %s\n", to, b.Digest())
	return nil
}

// scenario packs a scenario as it is here and now.
func (f *packFlags) scenario(cmd *cobra.Command, e *env, path string) (*bundle.Bundle, error) {
	if f.onto != "" || f.logs {
		return nil, usage("--onto, --logs: got a scenario, want run folders").hint("run it first: starfall run %s", path)
	}
	if err := f.clients.parse(cmd, &f.target); err != nil {
		return nil, err
	}
	engine, err := f.resolve(cmd, e)
	if err != nil {
		return nil, err
	}
	p, err := f.load(cmd, e, path, nil, f.quiet)
	if err != nil {
		return nil, err
	}
	if err := fits(e, path, p, f.bare(e, engine), f.speed, f.quiet); err != nil {
		return nil, err
	}
	root, err := rootOf(path, p)
	if err != nil {
		return nil, err
	}
	lock, err := f.conditions(cmd.Context(), e, engine, p)
	if err != nil {
		return nil, err
	}
	if len(lock.Env) > 0 && !f.withEnv {
		return nil, usage("%s is set, and changes what the experiment is", jvmOptions).
			hint("--with-env packs its value; or unset it")
	}
	sources, err := f.sources(e, path, engine, p, root, &lock)
	if err != nil {
		return nil, err
	}
	b, err := bundle.New(p, lock, sources)
	if err != nil {
		return nil, err
	}
	return b, evaluatesTo(b)
}

// runs packs the experiment that run folders are runs of.
func (f *packFlags) runs(cmd *cobra.Command, e *env, args []string) (*bundle.Bundle, error) {
	for _, name := range []string{"set", "seed", "engine", "speed", "image"} {
		if cmd.Flags().Changed(name) {
			return nil, usage("--%s: a run is what it is: it goes with a scenario", name)
		}
	}
	dirs, err := runFolders(args)
	if err != nil {
		return nil, err
	}
	var results []bundle.Result
	for _, dir := range dirs {
		r, err := bundle.ReadRun(dir, f.logs)
		if err != nil {
			var refused *bundle.Refused
			if errors.As(err, &refused) {
				return nil, usage("%s: %w", dir, err).hint("starfall judge %s makes a verdict, where that is what it lacks", dir)
			}
			return nil, err
		}
		results = append(results, r)
	}
	b, err := f.experimentOf(cmd, e, dirs[0], results[0])
	if err != nil {
		return nil, err
	}
	for i, r := range results {
		if err := b.Attach(r); err != nil {
			return nil, usage("%s: %w", dirs[i], err).hint("runs of one experiment go into one bundle: %s", dirs[0])
		}
	}
	return b, nil
}

// experimentOf gives the bundle that results go to: an existing one, or one of the
// plan and the conditions that a run has recorded.
func (f *packFlags) experimentOf(cmd *cobra.Command, e *env, dir string, r bundle.Result) (*bundle.Bundle, error) {
	if f.onto != "" {
		if len(f.clients.list)+len(f.include) > 0 {
			return nil, usage("--onto: the experiment's programs are in its bundle: leave --client and --include away")
		}
		return openBundle(cmd, e, f.onto)
	}
	var p *plan.Plan
	for _, x := range r.Files {
		if x.Path == record.FilePlan {
			var err error
			if p, err = plan.Read(bytes.NewReader(x.Data)); err != nil {
				return nil, usage("%s: %w", dir, err)
			}
		}
	}
	if p == nil {
		return nil, usage("%s: it holds no plan", dir)
	}
	if err := f.clients.parse(cmd, &f.target); err != nil {
		return nil, err
	}
	for _, name := range replaced(dir, p) {
		if f.clients.commands[name] == "" {
			return nil, usage("%s: a program ran in the place of %s, and belongs to the experiment", dir, name).
				hint("--client %s='…' packs it, with the files that its command names", name)
		}
	}
	f.target.engine = r.Info.Engine
	lock, err := f.conditions(cmd.Context(), e, r.Info.Engine, p)
	if err != nil {
		return nil, err
	}
	lock.Env = nil // it may be another one than when it ran
	for i, x := range lock.Images {
		was := r.Info.Images[x.Name]
		if was == "" {
			fmt.Fprintf(e.stderr, "%s: the run did not record its image; pinned is %s as it is here now\n", dir, x.Name)
		} else if was != x.Digest && was != x.ID {
			return nil, usage("%s: the run was on another image %s than the one that is here now: %s", dir, x.Name, was).
				hint("get that image back, then pack again")
		}
		lock.Images[i] = x
	}
	lock.Tool, lock.Kafka, lock.Speed = r.Info.Tool, r.Info.Kafka, max(r.Info.Speed, 1)
	if r.Info.Speed > 0 {
		lock.Speed = r.Info.Speed
	}
	here, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	sources, err := f.sources(e, p.Files[0].Path, r.Info.Engine, p, here, &lock)
	if err != nil {
		return nil, err
	}
	b, err := bundle.New(p, lock, sources)
	if err != nil {
		return nil, err
	}
	if err := evaluatesTo(b); err != nil && !f.quiet {
		fmt.Fprintf(e.stderr, "warning: %v; a replay will say so\n", err)
	}
	return b, nil
}

// runFolders gives the recordings that arguments name: run folders, and folders of a
// sweep or a repeat, which hold them.
func runFolders(args []string) ([]string, error) {
	var out []string
	for _, dir := range args {
		if _, err := os.Stat(filepath.Join(dir, record.FileInfo)); err == nil {
			out = append(out, dir)
			continue
		}
		inner, err := filepath.Glob(filepath.Join(dir, "*", record.FileInfo))
		if err != nil || len(inner) == 0 {
			return nil, usage("%s: got a folder without a %s, want a run folder", dir, record.FileInfo)
		}
		for _, x := range inner {
			out = append(out, filepath.Dir(x))
		}
	}
	return out, nil
}

// replaced gives the clients of a run in whose place a program ran: each such program
// has a log of its own.
func replaced(dir string, p *plan.Plan) []string {
	var names []string
	for _, x := range p.Producers {
		names = append(names, x.Name)
	}
	for _, x := range p.Consumers {
		names = append(names, x.Name)
	}
	var out []string
	for _, name := range names {
		if found, _ := filepath.Glob(filepath.Join(dir, record.DirLogs, name+"-[0-9]*.log")); len(found) > 0 {
			out = append(out, name)
		}
	}
	return out
}

// conditions gives what a plan's lock says about this starfall and this engine.
func (t *target) conditions(ctx context.Context, e *env, engine string, p *plan.Plan) (bundle.Lock, error) {
	l := bundle.Lock{Tool: version(), Dialect: dialect(), Engine: engine, Speed: t.speed, Kafka: embedded.KafkaVersion}
	if engine != docker.Name {
		return l, nil
	}
	if o := e.getenv(jvmOptions); o != "" {
		l.Env = map[string]string{jvmOptions: o}
	}
	d := docker.Engine{Options: docker.Options{Getenv: e.getenv, Image: t.image}}
	unpinned := func(err error) error {
		f := usage("the images cannot be pinned: %w", err)
		return dockerHints(f, err)
	}
	pins, err := d.Pins(ctx, p)
	if err != nil {
		return l, unpinned(err)
	}
	for _, x := range pins {
		l.Images = append(l.Images, bundle.Image{Cluster: x.Cluster, Name: x.Ref, Platform: x.Platform, Digest: x.Digest, ID: x.ID})
	}
	if l.Kafka, err = d.Ready(ctx, p); err != nil {
		return l, unpinned(err)
	}
	return l, nil
}

// dialect is a digest of the language: of its words with their parameters, defaults
// and choices. Another one means that the same text may say something else.
func dialect() string {
	h := sha256.New()
	for _, w := range builtins.Table() {
		fmt.Fprintf(h, "%s %v %v %d %v\n", w.Qualified(), w.Kind, w.Returns, w.Position, w.On)
		for _, p := range w.Params {
			fmt.Fprintf(h, "\t%s %v %v %v %v %v %v\n", p.Name, p.Type, p.Required, p.Default, p.Star, p.Choices, p.In)
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// rootOf gives the folder of the system that a scenario's paths begin at; "" for one
// of the library.
func rootOf(path string, p *plan.Plan) (string, error) {
	if strings.HasPrefix(path, stdPrefix) {
		return "", nil
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	root, ok := strings.CutSuffix(filepath.ToSlash(abs), "/"+p.Files[0].Path)
	if !ok {
		return "", fmt.Errorf("%s: is not called %s", abs, p.Files[0].Path)
	}
	return filepath.Clean(filepath.FromSlash(root + "/")), nil
}

// rootMarker is the file that makes its folder the root of scenarios below it.
const rootMarker = "course.toml"

// sources collects what is not evaluated: the files of client programs, and what marks
// the root. It puts the commands into the lock. The scenario is at path.
func (f *packFlags) sources(e *env, path, engine string, p *plan.Plan, root string, lock *bundle.Lock) ([]bundle.File, error) {
	if err := f.clients.fits(path, p, engine); err != nil {
		return nil, err
	}
	var paths []string
	if root == "" && f.clients.any() {
		return nil, usage("--client: got a scenario of the library, want one in a file").
			hint("copy it first: starfall show %s > %s.star", p.Name, p.Name)
	}
	var bad bundle.Refused
	for _, name := range f.clients.names() {
		words, err := external.Words(f.clients.commands[name])
		if err != nil {
			return nil, usage("--client: for %s: %w", name, err)
		}
		for i, w := range words {
			word, path, problem := packedWord(root, w, i == 0)
			if problem != nil {
				problem.Path = "--client " + name + ": " + problem.Path
				bad.Problems = append(bad.Problems, *problem)
				continue
			}
			words[i] = word
			if path != "" {
				paths = append(paths, path)
			}
		}
		lock.Clients = append(lock.Clients, bundle.Client{Name: name, Command: words})
	}
	for _, x := range f.include {
		path, problem := belowRoot(root, x)
		if problem != nil {
			problem.Path = "--include " + problem.Path
			bad.Problems = append(bad.Problems, *problem)
			continue
		}
		paths = append(paths, path)
	}
	if len(bad.Problems) > 0 {
		return nil, &bad
	}
	if root == "" {
		return nil, nil
	}
	if strings.Contains(p.Files[0].Path, "/") {
		if _, err := os.Lstat(filepath.Join(root, rootMarker)); err == nil {
			paths = append(paths, rootMarker)
		}
	}
	files, left, err := bundle.Sources(root, paths)
	if len(left) > 0 && !f.quiet {
		fmt.Fprintf(e.stderr, "left out: %s\n", strings.Join(left, ", "))
	}
	return files, err
}

// packedWord gives a word of a command as it is in a bundle, and the path below the
// root of the file that it names, if it names one. Of --name=file it is the file that
// counts.
func packedWord(root, w string, program bool) (word, path string, problem *bundle.Problem) {
	prefix, file := "", w
	if i := strings.IndexByte(w, '='); i >= 0 && strings.HasPrefix(w, "-") {
		prefix, file = w[:i+1], w[i+1:]
	}
	if program && !strings.ContainsAny(file, `/\`) {
		return w, "", nil // of the PATH
	}
	if file == "" {
		return w, "", nil
	}
	if _, err := os.Stat(file); err != nil {
		if program {
			return "", "", &bundle.Problem{Path: w, Message: "there is no such program"}
		}
		return w, "", nil
	}
	path, problem = belowRoot(root, file)
	if problem != nil {
		return "", "", problem
	}
	word = prefix + path
	if program || strings.HasPrefix(file, "./") {
		word = prefix + "./" + path // a program without a slash would be looked for in the PATH
	}
	return word, path, nil
}

// belowRoot turns a path that a user typed into one below the root.
func belowRoot(root, typed string) (string, *bundle.Problem) {
	if filepath.IsAbs(typed) {
		return "", &bundle.Problem{Path: typed, Message: "an absolute path: it means nothing on another machine",
			Fix: "give it relative to the current folder, or as the name of a program in the PATH"}
	}
	wd, err := os.Getwd()
	if err == nil {
		wd, err = filepath.EvalSymlinks(wd)
	}
	if err == nil {
		root, err = filepath.EvalSymlinks(root)
	}
	rel := ""
	if err == nil {
		rel, err = filepath.Rel(root, filepath.Join(wd, typed))
	}
	if err != nil || !filepath.IsLocal(rel) {
		return "", &bundle.Problem{Path: typed, Message: "it lies outside of the scenario's root", Fix: "put it into the folder of the scenario, or below"}
	}
	return filepath.ToSlash(rel), nil
}

// evaluatesTo wants the files of a bundle to give its plan, on this starfall.
func evaluatesTo(b *bundle.Bundle) error {
	dir, err := os.MkdirTemp("", "starfall-pack-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := b.UnpackFiles(dir); err != nil {
		return err
	}
	seed := b.Lock.Seed
	p, err := interp.Load(filepath.Join(dir, filepath.FromSlash(b.Lock.Scenario)), interp.Options{
		Root: dir, Set: b.Lock.Params, Seed: &seed, Std: scenarios.Std(), Clients: kafka.Mapped,
		Print: func(plan.Pos, string) {},
	})
	if err != nil {
		return fmt.Errorf("packed by itself, the scenario does not load: %w", err)
	}
	digest, err := p.Digest()
	if err != nil {
		return err
	}
	if digest != b.Lock.Plan {
		return fmt.Errorf("packed by itself, the scenario gives another plan: %s differ", strings.Join(bundle.Parts(b.Plan, p), ", "))
	}
	return nil
}
