package main

import (
	"encoding/json"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// allowed says what each package may import beside the standard library and
// itself: the arrows of the architecture. A name ending in /... stands for a
// folder. Modules are named by their path.
func allowed() map[string][]string {
	const (
		starlark = "go.starlark.net/..."
		sarama   = "github.com/IBM/sarama/..."
		kmsg     = "github.com/twmb/franz-go/pkg/kmsg/..."
		yamux    = "github.com/hashicorp/yamux/..."
		unix     = "golang.org/x/sys/unix"
	)
	return map[string][]string{
		"internal/spell":         {},
		"internal/turn":          {"github.com/rogpeppe/go-internal/..."}, // for tests only
		"internal/cputime":       {},                                      // for benchmarks only
		"internal/ociregistry":   {"github.com/opencontainers/..."},       // for tests only
		"internal/kept":          {"runtime/judge"},
		"internal/kafkaconf":     {"internal/spell"},
		"internal/kafkatools":    {"internal/spell"},
		"interp/plan":            {},
		"interp/model":           {"interp/plan", "internal/spell", "internal/kafkaconf", "internal/kafkatools"},
		"builtins":               {"interp/plan", "internal/spell", "internal/kafkaconf", "internal/kafkatools", starlark},
		"interp":                 {"builtins", "interp/plan", "interp/model", "internal/spell", "internal/kafkaconf", starlark, "github.com/bazelbuild/buildtools/..."},
		"runtime":                {"interp/plan", "runtime/record", "runtime/judge"},
		"runtime/record":         {"interp/plan", "github.com/klauspost/compress/..."},
		"runtime/judge":          {"interp/plan", "runtime/record"},
		"runtime/kafka":          {"runtime", "runtime/record", "interp/plan", "internal/kafkaconf", sarama, kmsg, "github.com/google/btree"},
		"runtime/external":       {"runtime", "runtime/record", "interp/plan"},
		"runtime/docker":         {"runtime", "runtime/agent", "runtime/agent/network", "runtime/agent/relay", "runtime/agent/remote", "runtime/record", "interp/plan", "internal/kafkaconf", "internal/kafkatools", "github.com/docker/docker/...", "github.com/containerd/errdefs/..."},
		"runtime/agent":          {"runtime", "runtime/agent/network", "interp/plan", yamux, unix},
		"runtime/agent/relay":    {},
		"runtime/agent/network":  {"interp/plan", unix, "github.com/google/nftables/...", "github.com/vishvananda/netlink/...", "github.com/mdlayher/netlink/...", "github.com/vishvananda/netns/..."}, // netns for tests only
		"runtime/agent/remote":   {"runtime", "runtime/kafka", "runtime/record", "interp/plan", yamux},                                                                                                 // yamux for tests only
		"runtime/embedded/codec": {"github.com/klauspost/compress/...", "github.com/pierrec/lz4/..."},
		"runtime/embedded/core":  {"interp/plan", "internal/kafkaconf", "runtime/embedded/codec", "runtime/embedded/internal/agenda", "runtime/embedded/internal/rules", kmsg},
		"runtime/embedded/group": {"runtime/embedded/core", "runtime/embedded/internal/rules", "interp/plan", kmsg},
		"runtime/embedded/wire":  {"runtime/embedded/core", kmsg},
		"runtime/embedded":       {"runtime", "interp/plan", "internal/kafkaconf", "internal/kafkatools", "runtime/embedded/core", "runtime/embedded/group", "runtime/embedded/wire", kmsg},
		"fidelity":               {"runtime/judge", "internal/kept"},
		"report":                 {"interp/plan", "runtime/record", "runtime/judge", "report/compare", "github.com/olekukonko/tablewriter/..."},
		"report/compare":         {"interp/plan", "runtime/record", "runtime/judge"},
		"report/html":            {"report", "interp/plan", "runtime/record", "runtime/judge", "golang.org/x/net/html/..."}, // x/net for tests only
		"report/metrics":         {"runtime", "github.com/prometheus/client_golang/..."},
		"report/screen":          {"runtime", "runtime/judge", "github.com/clipperhouse/displaywidth"},
		"scenarios":              {},
		"scenarios/measure":      {"runtime/judge", "internal/kept", "scenarios", "interp"}, // interp for tests only
		"bundle":                 {"interp/plan", "runtime/record", "runtime/judge", "github.com/opencontainers/...", "oras.land/oras-go/v2/..."},
		"examples":               {},
		"examples/clients/go":    {sarama},
		"cmd/starfall":           {"*"},

		"runtime/embedded/internal/agenda": {},
		"runtime/embedded/internal/rules":  {},
		"runtime/embedded/explore":         {"runtime/embedded/core", "runtime/embedded/group", "runtime/embedded/internal/agenda", "runtime/embedded/internal/rules", kmsg},
	}
}

// TestDeps holds the packages to the arrows: language → plan → run → record →
// judge → report. A package that the table does not know is an error, as is one
// that go list cannot load.
func TestDeps(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Standard,Error", "starfall/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	table := allowed()
	seen := map[string]bool{}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p struct {
			ImportPath string
			Imports    []string
			Error      *struct{ Err string }
		}
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		if p.Error != nil {
			t.Errorf("%s: %s", p.ImportPath, p.Error.Err)
		}
		name := strings.TrimPrefix(p.ImportPath, "starfall/")
		may, ok := table[name]
		if !ok {
			t.Errorf("%s: the table of allowed imports does not know this package", name)
			continue
		}
		seen[name] = true
		for _, imp := range p.Imports {
			if !permitted(imp, may) {
				t.Errorf("%s imports %s, which the architecture does not allow", name, strings.TrimPrefix(imp, "starfall/"))
			}
		}
	}
	for name := range table {
		if !seen[name] {
			t.Errorf("%s: the table of allowed imports has a package that is not there", name)
		}
	}
}

func permitted(imp string, may []string) bool {
	if slices.Contains(may, "*") {
		return true
	}
	own, ours := strings.CutPrefix(imp, "starfall/")
	if !ours && !strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") {
		return true // standard library
	}
	for _, m := range may {
		if m == own || m == imp {
			return true
		}
		if dir, ok := strings.CutSuffix(m, "/..."); ok && (imp == dir || strings.HasPrefix(imp, dir+"/")) {
			return true
		}
	}
	return false
}

func TestPermitted(t *testing.T) {
	for _, tt := range []struct {
		imp  string
		may  []string
		want bool
	}{
		{"fmt", nil, true},
		{"encoding/json", nil, true},
		{"starfall/interp/plan", []string{"interp/plan"}, true},
		{"starfall/interp", []string{"interp/plan"}, false},
		{"starfall/runtime/embedded", []string{"runtime"}, false},
		{"github.com/docker/docker/client", []string{"github.com/docker/docker/..."}, true},
		{"github.com/docker/dockerx", []string{"github.com/docker/docker/..."}, false},
		{path.Join("starfall", "anything"), []string{"*"}, true},
	} {
		if got := permitted(tt.imp, tt.may); got != tt.want {
			t.Errorf("permitted(%s, %v): got %v, want %v", tt.imp, tt.may, got, tt.want)
		}
	}
}
