// This file defines pack, push, pull and info: how an experiment is handed on.

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"starfall/bundle"
	"starfall/interp/plan"
	"starfall/runtime/record"
)

// refused gives what is wrong with a bundle, or with what is to go into one, the code
// of a wrong command line; a registry that does not answer has that of an engine that
// fails.
func refused(err error) error {
	var r *bundle.Refused
	var u *bundle.UnreachableError
	var done *failure
	switch {
	case err == nil || errors.As(err, &done):
		return err
	case errors.As(err, &r):
		f := usage("%s", r.Problems[0])
		if len(r.Problems) == 1 {
			if r.Problems[0].Fix != "" {
				f.hint("%s", r.Problems[0].Fix)
			}
			return f
		}
		f = usage("%d things must not go into a bundle", len(r.Problems))
		fixes := map[string]bool{}
		for _, p := range r.Problems {
			f.hint("%s", p)
			fixes[p.Fix] = true
		}
		for _, fix := range sortedKeys(fixes) {
			if fix != "" {
				f.hint("%s", fix)
			}
		}
		return f
	case errors.As(err, &u):
		f := &failure{code: exitEngine, err: u}
		if u.Denied() {
			f.hint("log in first: docker login HOST; starfall reads the same config.json")
		}
		return f
	}
	return asUsage(err)
}

func sortedKeys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// access is how registries are spoken to: with the docker command's credentials.
func access(e *env) bundle.Access {
	dir := e.getenv("DOCKER_CONFIG")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil { // then there are no credentials
			home = string(filepath.Separator)
		}
		dir = filepath.Join(home, ".docker")
	}
	return bundle.Access{Config: filepath.Join(dir, "config.json"), Agent: "starfall/" + version()}
}

// openBundle reads and checks the bundle that an argument names.
func openBundle(cmd *cobra.Command, e *env, text string) (*bundle.Bundle, error) {
	place, err := bundle.ParsePlace(text)
	if err != nil {
		return nil, refused(err)
	}
	b, err := bundle.Read(cmd.Context(), place, access(e))
	return b, refused(err)
}

// guard refuses to hand on what looks like it holds secrets.
func guard(b *bundle.Bundle) error {
	s := bundle.Secrets{Environ: os.Environ()}
	for _, u := range b.Plan.Users {
		s.Known = append(s.Known, u.Password)
	}
	lock, err := b.Lock.Canonical()
	if err != nil {
		return err
	}
	files := append(slices.Clone(b.Files), bundle.File{Path: bundle.FileLock, Data: lock})
	for _, r := range b.Results {
		for _, f := range r.Files {
			// plan.json has the sources again, which are looked through by themselves.
			if f.Path != record.FilePlan && !strings.HasPrefix(f.Path, record.DirEvidence+"/") {
				files = append(files, f)
			}
		}
	}
	if found := s.Find(files); len(found) > 0 {
		return refused(&bundle.Refused{Problems: found})
	}
	return nil
}

// contents lists what a bundle holds.
func contents(w io.Writer, b *bundle.Bundle) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name string, data []byte) {
		fmt.Fprintf(t, "  %s\t%s\t%s\n", name, sizeText(int64(len(data))), bundle.Sum(data)[:12])
	}
	lock, err := b.Lock.Canonical()
	if err != nil {
		return err
	}
	canonical, err := b.Plan.Canonical()
	if err != nil {
		return err
	}
	row(bundle.FileLock, lock)
	row(record.FilePlan, canonical)
	for _, f := range b.Files {
		row(bundle.DirFiles+"/"+f.Path, f.Data)
	}
	for _, f := range b.Std {
		row(bundle.DirStd+"/"+f.Path, f.Data)
	}
	for i, r := range b.Results {
		var n int64
		for _, f := range r.Files {
			n += int64(len(f.Data))
		}
		fmt.Fprintf(t, "  %s/%d\t%s\t%s, %s\n", bundle.DirResults, i+1, sizeText(n), r.Verdict.Result, few(len(r.Files), "file"))
	}
	return t.Flush()
}

func sizeText(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1000*1000:
		return fmt.Sprintf("%.1f kB", float64(n)/1000)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

func pushCommand(e *env) *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use:   "push BUNDLE REF",
		Short: "Put a bundle into a registry or an OCI layout folder",
		Long: `push puts a bundle into a place that others can read: a repository of a registry
(HOST/NAME:TAG), with the credentials of docker login, or an OCI image layout
folder (oci:DIR:TAG). The experiment gets the tag, and each result refers to it. It
lists what it hands on first, and refuses what looks like a secret.

HTTP without TLS is spoken to registries on this machine only. Exit codes: 0 done, 2
refused, 4 the registry does not answer or will not.`,
		Example: `  starfall push failover.tar registry.example.com/lab/failover:v1
  starfall push failover.tar oci:shared:failover`,
		Args: exactly(2, "a bundle and where it goes"),
		RunE: func(cmd *cobra.Command, args []string) error {
			to, err := bundle.ParsePlace(args[1])
			if err != nil {
				return refused(err)
			}
			if to.Kind == bundle.Tar {
				return usage("push: %s: got a file, want HOST/NAME:TAG or oci:DIR:TAG", args[1]).
					hint("a bundle goes into a file by pull: starfall pull %s -o %s", args[0], args[1])
			}
			b, err := openBundle(cmd, e, args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(e.stderr, "to %s:\n", to)
			if err := contents(e.stderr, b); err != nil {
				return err
			}
			if err := guard(b); err != nil {
				return err
			}
			if dry {
				return nil
			}
			if err := b.Write(cmd.Context(), to, access(e)); err != nil {
				return refused(err)
			}
			fmt.Fprintf(e.stdout, "%s  %s\n", to, b.Digest())
			return nil
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "list what would go, and send nothing")
	return cmd
}

func pullCommand(e *env) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "pull REF",
		Short: "Get a bundle from a registry or an OCI layout folder",
		Long: `pull reads a bundle with the results that are attached to it, checks every digest,
and writes it into a tar file, or, when --out is a folder, as files to look at:
experiment.lock, plan.json, files/, std/, and a run folder for each result. Nothing of
it is started. What does not check out is refused (exit code 2).`,
		Example: `  starfall pull registry.example.com/lab/failover:v1
  starfall pull oci:shared:failover -o failover`,
		Args: exactly(1, "where the bundle is"),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := openBundle(cmd, e, args[0])
			if err != nil {
				return err
			}
			to := out
			if to == "" {
				to = b.Lock.Name + ".tar"
			}
			switch {
			case strings.HasPrefix(to, "oci:"):
				place, err := bundle.ParsePlace(to)
				if err != nil {
					return refused(err)
				}
				err = b.Write(cmd.Context(), place, access(e))
				if err != nil {
					return refused(err)
				}
			case strings.HasSuffix(to, ".tar"):
				err = b.SaveTar(to)
			default:
				err = b.Unpack(to)
			}
			if err != nil {
				return refused(err)
			}
			fmt.Fprintf(e.stdout, "%s  %s\n", to, b.Digest())
			return nil
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "`file`.tar or folder to write (default NAME.tar)")
	return cmd
}

// bundleInfo is what info --json prints.
type bundleInfo struct {
	Format  int          `json:"format"`
	Digest  string       `json:"digest"`
	Size    int64        `json:"size"`
	Title   string       `json:"title,omitempty"`
	Doc     string       `json:"doc,omitempty"`
	Engines []string     `json:"engines"` // that can run it
	Lock    *bundle.Lock `json:"lock"`
	Results []resultInfo `json:"results"`
}

type resultInfo struct {
	Digest   string      `json:"digest"`
	Info     record.Info `json:"run"`
	Result   string      `json:"result"`
	Held     int         `json:"held"`
	Expected int         `json:"expected"`
}

func infoCommand(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "info BUNDLE",
		Short: "Say what is in a bundle",
		Long: `info reads a bundle, from a file, a layout folder or a registry, checks every
digest, and prints what it is: the scenario, its conditions, the files with their
digests, and the results that are attached. Nothing of it is evaluated or started.`,
		Example: `  starfall info failover.tar
  starfall info registry.example.com/lab/failover:v1`,
		Args: exactly(1, "one bundle"),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := openBundle(cmd, e, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(e.stdout)
				enc.SetEscapeHTML(false)
				enc.SetIndent("", "  ")
				return enc.Encode(infoOf(e, b))
			}
			return showInfo(e, b)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	return cmd
}

func infoOf(e *env, b *bundle.Bundle) bundleInfo {
	x := bundleInfo{
		Format: 1, Digest: b.Digest(), Size: b.Size(), Title: b.Plan.Title, Doc: b.Plan.Doc,
		Engines: runsOn(e, b.Plan), Lock: b.Lock, Results: []resultInfo{},
	}
	for _, r := range b.Results {
		x.Results = append(x.Results, resultInfo{r.Digest, r.Info, string(r.Verdict.Result), r.Verdict.Held, r.Verdict.Expected})
	}
	return x
}

// runsOn gives the engines that can run a plan. The plan of a bundle was not made
// here: one that no scenario gives may be more than an engine is ready for.
func runsOn(e *env, p *plan.Plan) (out []string) {
	defer func() {
		if recover() != nil {
			out = nil
		}
	}()
	for _, name := range engineNames() {
		var t target
		if len(t.bare(e, name).Refuse(p)) == 0 {
			out = append(out, name)
		}
	}
	return out
}

func showInfo(e *env, b *bundle.Bundle) error {
	l := b.Lock
	w := e.stdout
	fmt.Fprintln(w, plainText(b.Plan.Title, l.Name))
	if b.Plan.Doc != "" {
		fmt.Fprintf(w, "\n  %s\n", strings.ReplaceAll(plainText(b.Plan.Doc, ""), "\n", "\n  "))
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " ")
		fmt.Fprintf(t, "%s\t%s\n", name, plainText(text, ""))
	}
	line("scenario", "%s", l.Scenario)
	line("digest", "%s", b.Digest())
	line("size", "%s", sizeText(b.Size()))
	line("packed by", "starfall %s, language %s", l.Tool, l.Dialect)
	line("engine", "%s, Kafka %s, speed %g", l.Engine, l.Kafka, l.Speed)
	line("runs on", "%s", orNothing(strings.Join(runsOn(e, b.Plan), ", ")))
	line("seed", "%d", l.Seed)
	for _, p := range b.Plan.Params {
		text := fmt.Sprintf("%s = %s", p.Name, p.Value)
		if p.Value != p.Default {
			text += fmt.Sprintf(" (default %s)", p.Default)
		}
		if p.Help != "" {
			text += ": " + p.Help
		}
		line("parameter", "%s", text)
	}
	for _, x := range l.Images {
		pin := x.Digest
		if pin == "" {
			pin = "image id " + x.ID + ", made locally"
		}
		line("image", "%s: %s on %s, %s", x.Cluster, x.Name, x.Platform, pin)
	}
	for _, c := range l.Clients {
		line("client", "%s: %s", c.Name, commandLine(c.Command))
	}
	for _, name := range sortedKeys(l.Env) {
		line("environment", "%s=%s", name, l.Env[name])
	}
	for i, r := range b.Results {
		line("result", "%s/%d: %s, %d of %s held, %s, by starfall %s on %s/%s with %s", bundle.DirResults, i+1, r.Verdict.Result,
			r.Verdict.Held, few(r.Verdict.Expected, "expectation"), r.Info.Started.UTC().Format("2006-01-02 15:04 MST"),
			r.Info.Tool, r.Info.Host.OS, r.Info.Host.Arch, few(r.Info.Host.CPUs, "processor"))
	}
	if len(b.Results) == 0 {
		line("results", "none")
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	return contents(w, b)
}

func orNothing(s string) string {
	if s == "" {
		return "no engine of this starfall"
	}
	return s
}

// plainText is text that came from elsewhere without characters that a terminal
// obeys.
func plainText(s, or string) string {
	if s == "" {
		s = or
	}
	return strings.Map(func(r rune) rune {
		if r == '\n' {
			return r
		}
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) {
			return ' '
		}
		return r
	}, s)
}

// commandLine writes words so that they are read as the same words again.
func commandLine(words []string) string {
	var out []string
	for _, w := range words {
		if w == "" || strings.ContainsAny(w, " \t\n\\'\"") {
			w = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(w) + `"`
		}
		out = append(out, w)
	}
	return strings.Join(out, " ")
}
