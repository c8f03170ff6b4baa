package html

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"starfall/report"
)

//go:embed testdata/look.html
var lookPage []byte

// Where the browser and the checker of accessibility are.
const (
	browserVariable = "STARFALL_CHROMIUM" // else chromium from the path
	axeVariable     = "STARFALL_AXE"      // axe.min.js of npm's axe-core
)

// browser finds what the tests need, or skips them and says what to type.
func browser(t *testing.T) (chromium, axe string) {
	t.Helper()
	chromium = os.Getenv(browserVariable)
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); chromium == "" && err == nil {
			chromium = path
		}
	}
	axe = os.Getenv(axeVariable)
	if chromium == "" || axe == "" {
		t.Skipf("no browser or no axe-core: apt-get install chromium; npm install --prefix DIR axe-core; %s=DIR/node_modules/axe-core/axe.min.js go test ./report/html -run Browser", axeVariable)
	}
	return chromium, axe
}

// open lets a browser without a window read an address until it is still, and
// gives the page as it is then and what it wrote to the console.
func open(t *testing.T, chromium, address string, more ...string) (page string, console []string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()
	args := append([]string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--user-data-dir=" + t.TempDir(),
		"--enable-logging=stderr", "--v=0", "--virtual-time-budget=60000", "--dump-dom"}, more...)
	cmd := exec.CommandContext(ctx, chromium, append(args, address)...)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", chromium, err, log.String())
	}
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "CONSOLE") {
			console = append(console, strings.TrimSpace(line))
		}
	}
	return out.String(), console
}

// TestBrowserFromDisk opens pages as people do, from a file: nothing may be
// said on the console. That something would be seen there is shown first.
func TestBrowserFromDisk(t *testing.T) {
	chromium, _ := browser(t)
	dir := t.TempDir()
	write := func(name, page string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		return "file://" + path
	}
	p := twoMinutes().page(t)
	page := render(t, p)
	broken := strings.Replace(page, "<script>", `<script>console.error("seen")</script><script>`, 1)
	if _, console := open(t, chromium, write("broken.html", broken)); !slices.ContainsFunc(console, func(s string) bool { return strings.Contains(s, "script-src") }) {
		t.Errorf("a script that is not the page's own: got %q on the console, want that it was refused", console)
	}
	hostile := twoMinutes()
	hostile.hostile = true
	var sweep bytes.Buffer
	if err := Sweep(&sweep, "A sweep", []report.Result{p.Result, p.Result}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, page string }{
		{"run.html", page},
		{"hostile.html", render(t, hostile.page(t))},
		{"nothing.html", render(t, Page{Result: report.Result{Scenario: "nothing"}})},
		{"sweep.html", sweep.String()},
	} {
		got, console := open(t, chromium, write(tt.name, tt.page))
		if len(console) > 0 {
			t.Errorf("%s: got %q on the console, want nothing", tt.name, console)
		}
		if !strings.Contains(got, `class="scripted"`) {
			t.Errorf("%s: the page's script did not run", tt.name)
		}
		if strings.Contains(got, "<title>owned") {
			t.Errorf("%s: text was run", tt.name)
		}
	}
	// A script of the test may run where the page allows it.
	probe := strings.Replace(withoutPolicy(page), "</body>", `<script>document.title = getComputedStyle(document.body).backgroundColor</script></body>`, 1)
	path := write("probe.html", probe)
	for _, tt := range []struct{ flag, want string }{{"--force-dark-mode", "rgb(15, 20, 25)"}, {"--blink-settings=preferredColorScheme=1", "rgb(255, 255, 255)"}} {
		got, _ := open(t, chromium, path, tt.flag)
		if !strings.Contains(got, "<title>"+tt.want+"</title>") {
			t.Errorf("a system with %s: want background %s", tt.flag, tt.want)
		}
	}
}

// withoutPolicy lets a page run other scripts than its own.
func withoutPolicy(page string) string {
	before, rest, _ := strings.Cut(page, `<meta http-equiv="Content-Security-Policy"`)
	_, after, _ := strings.Cut(rest, "\n")
	return before + after
}

// look is what look.html finds out.
type look struct {
	Errors []string
	Looks  []struct {
		Theme              string
		Width, Wide        int
		Background, Button string
		Plots              []string
		Violations         []string
		Passes             int
		Focused            bool

		Idle, At15, At33, Zoomed, Whole, Claim, Back reading
	}
}

type reading struct {
	Now, Says, At, View string
	Cursors             int
	Values, Lanes       []string
}

// lookAt serves a page and looks at it in all widths and themes.
func lookAt(t *testing.T, page string) look {
	t.Helper()
	chromium, axe := browser(t)
	script, err := os.ReadFile(axe)
	if err != nil {
		t.Fatal(err)
	}
	page = withoutPolicy(page) // the checker is a script that is not the page's own
	mux := http.NewServeMux()
	serve := func(path, kind string, body []byte) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Write(body)
		})
	}
	serve("/look", "text/html; charset=utf-8", lookPage)
	serve("/page", "text/html; charset=utf-8", []byte(page))
	serve("/axe.js", "text/javascript", script)
	server := httptest.NewServer(mux)
	defer server.Close()
	dump, _ := open(t, chromium, server.URL+"/look")
	tr := parse(t, dump)
	var out look
	pre := tr.tags("pre")
	if len(pre) != 1 {
		t.Fatalf("got %.300q, want a result", dump)
	}
	if err := json.Unmarshal([]byte(pre[0].FirstChild.Data), &out); err != nil {
		t.Fatalf("%v: %.300q", err, pre[0].FirstChild.Data)
	}
	for _, e := range out.Errors {
		t.Error(e)
	}
	if len(out.Looks) != 6 {
		t.Errorf("got %d looks, want 6", len(out.Looks))
	}
	for _, l := range out.Looks {
		at := fmt.Sprintf("%s at %d", l.Theme, l.Width)
		for _, v := range l.Violations {
			t.Errorf("%s: axe: %s", at, v)
		}
		if l.Passes < 20 {
			t.Errorf("%s: axe passed %d rules, want many: it did not run", at, l.Passes)
		}
		if l.Wide > l.Width {
			t.Errorf("%s: the page is %d wide", at, l.Wide)
		}
		if dark := l.Background == "rgb(15, 20, 25)"; dark != (l.Theme == "dark") {
			t.Errorf("%s: got background %s", at, l.Background)
		}
		if l.Button != "Theme: light" {
			t.Errorf("%s: the button chose %q, want light after what the system has", at, l.Button)
		}
	}
	return out
}

// TestBrowser looks at the page of a run: no violation that axe knows of, and
// values can be read with keys alone.
func TestBrowser(t *testing.T) {
	browser(t)
	p := twoMinutes().page(t)
	out := lookAt(t, render(t, p))
	for _, l := range out.Looks {
		at := fmt.Sprintf("%s at %d", l.Theme, l.Width)
		if len(l.Plots) != 1 {
			t.Errorf("%s: the panels stand at %v, want one axis of time", at, l.Plots)
		}
		if !l.Focused || l.Idle.Cursors != 0 || strings.Join(l.Idle.Values, "") != "" {
			t.Errorf("%s: at first: got %+v", at, l.Idle)
		}
		if err := reads(l.At15, "15", "0:15", 0); err != nil {
			t.Errorf("%s: 15 keys on: %v", at, err)
		}
		if err := reads(l.At33, "33", "0:33", 1); err != nil {
			t.Errorf("%s: at 33 s: %v", at, err)
		}
		if !strings.Contains(l.At33.Now, "outage: kill kafka-2 from 0:30.003 to 0:41") || !strings.Contains(l.At33.Says, "kafka-2: killed") {
			t.Errorf("%s: at 33 s: got %q, %q, want the outage", at, l.At33.Now, l.At33.Says)
		}
		if l.Zoomed.View == l.At33.View || l.Whole.View != l.Idle.View {
			t.Errorf("%s: got views %q, then %q, then %q, want to go in and back", at, l.At33.View, l.Zoomed.View, l.Whole.View)
		}
		if l.Claim.View == l.Idle.View || l.Claim.Cursors == 0 {
			t.Errorf("%s: the link of a claim: got %+v, want its moment", at, l.Claim)
		}
		if l.Back.View != l.Idle.View {
			t.Errorf("%s: the way back: got view %q, want %q", at, l.Back.View, l.Idle.View)
		}
	}
}

// reads checks that all panels show values at a moment.
func reads(r reading, at, clock string, down int) error {
	var errs []error
	if r.At != at || !strings.HasPrefix(r.Now, clock) || !strings.HasPrefix(r.Says, clock+", ") {
		errs = append(errs, fmt.Errorf("got %s, %q, %q, want %s", r.At, r.Now, r.Says, clock))
	}
	if len(r.Values) != 6 || slices.Contains(r.Values, "") || len(r.Lanes) != 10 || slices.Contains(r.Lanes, "") || r.Cursors != 7 {
		errs = append(errs, fmt.Errorf("got values %q, lanes %q, %d cursors, want 6, 10 and 7", r.Values, r.Lanes, r.Cursors))
		return errors.Join(errs...)
	}
	if !strings.HasSuffix(r.Values[0], "/s") || r.Lanes[0] != fmt.Sprintf("1 · %d/3", 3-down) {
		errs = append(errs, fmt.Errorf("got %q and %q", r.Values[0], r.Lanes[0]))
	}
	return errors.Join(errs...)
}

// TestBrowserSweep looks at the page of a sweep.
func TestBrowserSweep(t *testing.T) {
	browser(t)
	p := shape{seconds: 20, partitions: 2}.page(t)
	var results []report.Result
	for i, acks := range []string{"0", "1", "all"} {
		r := p.Result
		r.Params, r.Folder = []report.Param{{Name: "acks", Value: acks}}, fmt.Sprintf("runs/x/%d-acks=%s", i+1, acks)
		results = append(results, r)
	}
	var b bytes.Buffer
	if err := Sweep(&b, "A sweep", results); err != nil {
		t.Fatal(err)
	}
	lookAt(t, b.String())
}
