// This file defines Lock, the content of experiment.lock: under which conditions an
// experiment is what it is.

package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"starfall/interp/plan"
)

// LockFormat is the version of experiment.lock. Another one is refused.
const LockFormat = 1

// Lock pins an experiment. Digests are SHA-256 in hex, except those of images, which
// are as Docker writes them.
type Lock struct {
	Format   int               `json:"format"`
	Tool     string            `json:"tool"`     // version of starfall
	Dialect  string            `json:"dialect"`  // of the language: see the command's dialect
	Name     string            `json:"name"`     // of the scenario
	Scenario string            `json:"scenario"` // its file
	Engine   string            `json:"engine"`
	Kafka    string            `json:"kafka,omitempty"` // the version that the engine runs, or behaves as
	Speed    float64           `json:"speed"`
	Seed     int64             `json:"seed"`
	Params   map[string]string `json:"params,omitempty"` // that differ from their defaults, as --set takes them
	Plan     string            `json:"plan"`             // digest of the canonical plan
	Modules  []Module          `json:"modules"`          // the scenario first; @std//… are those of the tool
	Images   []Image           `json:"images,omitempty"`
	Clients  []Client          `json:"clients,omitempty"`
	Sources  []Source          `json:"sources,omitempty"` // of the clients, and what else is not evaluated
	Env      map[string]string `json:"env,omitempty"`     // variables that change a run
}

// Module is a file that went into the plan.
type Module struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
}

// Image is what a cluster ran on, or is to run on.
type Image struct {
	Cluster  string `json:"cluster"`
	Name     string `json:"name"` // as it was asked for
	Platform string `json:"platform"`
	Digest   string `json:"digest,omitempty"` // in its registry: the same on every machine; empty for an image made locally
	ID       string `json:"id"`               // of its configuration on this platform
}

// Client is a program in the place of a client of the scenario. It starts in the
// folder of the files.
type Client struct {
	Name    string   `json:"name"`
	Command []string `json:"command"`
}

// Source is a file that is not evaluated.
type Source struct {
	Path       string `json:"path"`
	SHA256     string `json:"sha256"`
	Executable bool   `json:"executable,omitempty"`
}

// LockOf puts what follows from a plan into a lock.
func LockOf(p *plan.Plan, lock Lock) (Lock, error) {
	digest, err := p.Digest()
	if err != nil {
		return lock, err
	}
	if len(p.Files) == 0 {
		return lock, errors.New("bundle: the plan names no scenario file")
	}
	lock.Format = LockFormat
	lock.Name, lock.Scenario, lock.Seed = p.Name, p.Files[0].Path, p.Scenario.Seed
	lock.Plan, lock.Params = digest, Params(p)
	lock.Modules = nil
	for _, f := range p.Files {
		lock.Modules = append(lock.Modules, Module{Path: f.Path, SHA256: f.SHA256})
	}
	lock.Images, lock.Clients = slices.Clone(lock.Images), slices.Clone(lock.Clients)
	slices.SortFunc(lock.Images, func(a, b Image) int { return strings.Compare(a.Cluster, b.Cluster) })
	slices.SortFunc(lock.Clients, func(a, b Client) int { return strings.Compare(a.Name, b.Name) })
	return lock, nil
}

// Canonical gives the lock as JSON: the same lock, the same bytes.
func (l *Lock) Canonical() ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(l); err != nil {
		return nil, fmt.Errorf("%s: %w", FileLock, err)
	}
	return buf.Bytes(), nil
}

// ParseLock reads an experiment.lock and refuses what it does not know.
func ParseLock(text []byte) (*Lock, error) {
	if len(text) > maxLock {
		return nil, tooLarge(FileLock, int64(len(text)), maxLock)
	}
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, refuse(FileLock, "it cannot be read: "+err.Error(), "")
	}
	if head.Format != LockFormat {
		fix := "update starfall"
		if head.Format < LockFormat {
			fix = "pack it again"
		}
		return nil, refuse(FileLock, fmt.Sprintf("got format %d, want %d", head.Format, LockFormat), fix)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	var l Lock
	if err := dec.Decode(&l); err != nil {
		return nil, refuse(FileLock, "it cannot be read: "+err.Error(), "")
	}
	return &l, l.validate()
}

// validate checks what is true of every lock.
func (l *Lock) validate() error {
	bad := func(format string, args ...any) error {
		return refuse(FileLock, fmt.Sprintf(format, args...), "")
	}
	if err := checkPath(l.Name); err != nil || strings.Contains(l.Name, "/") || strings.HasPrefix(l.Name, "-") {
		return bad("for name: got %q, want the name of a scenario", l.Name)
	}
	if len(l.Modules) == 0 || l.Modules[0].Path != l.Scenario {
		return bad("for modules: got %d that do not begin with the scenario", len(l.Modules))
	}
	if !isSum(l.Plan) {
		return bad("for plan: got %q, want a SHA-256", l.Plan)
	}
	if !(l.Speed >= 0.1 && l.Speed <= 100) {
		return bad("for speed: got %g, want 0.1 to 100", l.Speed)
	}
	var paths []string
	for _, m := range l.Modules {
		if !isSum(m.SHA256) {
			return bad("for %s: got %q, want a SHA-256", m.Path, m.SHA256)
		}
		paths = append(paths, inBundle(m.Path))
	}
	for _, s := range l.Sources {
		if !isSum(s.SHA256) {
			return bad("for %s: got %q, want a SHA-256", s.Path, s.SHA256)
		}
		paths = append(paths, DirFiles+"/"+s.Path)
	}
	if err := checkPaths(paths); err != nil {
		return err
	}
	for _, c := range l.Clients {
		if c.Name == "" || len(c.Command) == 0 || c.Command[0] == "" {
			return bad("for clients: got one without a name or a command")
		}
		for _, word := range c.Command {
			if strings.ContainsRune(word, 0) {
				return bad("for clients: %s has a command that cannot be given", c.Name)
			}
		}
	}
	for _, x := range l.Images {
		if x.Digest == "" && x.ID == "" {
			return bad("for images: %s is not pinned", x.Name)
		}
	}
	return nil
}

// inBundle is where a module of a plan lies in the experiment.
func inBundle(module string) string {
	if rest, ok := strings.CutPrefix(module, stdPrefix); ok {
		return DirStd + "/" + rest
	}
	return DirFiles + "/" + module
}

func isSum(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// Params gives the parameters of a plan that differ from their defaults, as --set
// takes them.
func Params(p *plan.Plan) map[string]string {
	out := map[string]string{}
	for _, x := range p.Params {
		if x.Value == x.Default {
			continue
		}
		out[x.Name] = x.Value
		// A plan has values as literals; --set takes a string without its quotes.
		if text, err := strconv.Unquote(x.Value); err == nil {
			out[x.Name] = text
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// Difference is a condition that is not what the lock says.
type Difference struct {
	What   string
	Locked string
	Here   string
}

func (d Difference) String() string {
	return fmt.Sprintf("%s: locked %s, here %s", d.What, d.Locked, d.Here)
}

// Differences compares the lock with that of the same experiment as it would be
// packed here and now. Client sources are not compared: they come from the bundle.
func (l *Lock) Differences(here *Lock) []Difference {
	var out []Difference
	add := func(what, locked, now string) {
		if locked != now {
			out = append(out, Difference{what, orNone(locked), orNone(now)})
		}
	}
	add("starfall", l.Tool, here.Tool)
	add("language", l.Dialect, here.Dialect)
	add("engine", l.Engine, here.Engine)
	add("Kafka", l.Kafka, here.Kafka)
	add("speed", fmt.Sprint(l.Speed), fmt.Sprint(here.Speed))
	add("seed", fmt.Sprint(l.Seed), fmt.Sprint(here.Seed))
	for _, name := range keys(l.Params, here.Params) {
		add("parameter "+name, l.Params[name], here.Params[name])
	}
	for _, name := range keys(l.Env, here.Env) {
		add("environment "+name, l.Env[name], here.Env[name])
	}
	locked, now := sums(l.Modules), sums(here.Modules)
	for _, path := range keys(locked, now) {
		add("module "+path, short(locked[path]), short(now[path]))
	}
	add("plan", short(l.Plan), short(here.Plan))
	if l.Engine == here.Engine {
		images, present := pins(l.Images), pins(here.Images)
		for _, cluster := range keys(images, present) {
			add("image of "+cluster, pinOf(images[cluster], present[cluster]), pinOf(present[cluster], images[cluster]))
		}
	}
	return out
}

// pinOf is what identifies an image beside another one: the digest when both have
// one, else the id.
func pinOf(x, other Image) string {
	switch {
	case x == Image{}:
		return ""
	case x.Digest != "" && (other.Digest != "" || other == Image{}):
		return x.Digest
	}
	return "id " + x.ID + " on " + x.Platform
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func short(sum string) string { return sum[:min(12, len(sum))] }

func sums(list []Module) map[string]string {
	out := map[string]string{}
	for _, m := range list {
		out[m.Path] = m.SHA256
	}
	return out
}

func pins(list []Image) map[string]Image {
	out := map[string]Image{}
	for _, x := range list {
		out[x.Cluster] = x
	}
	return out
}

// keys are those of both maps, sorted.
func keys[V any](a, b map[string]V) []string {
	all := map[string]bool{}
	for k := range a {
		all[k] = true
	}
	for k := range b {
		all[k] = true
	}
	return slices.Sorted(maps.Keys(all))
}
