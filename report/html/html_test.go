package html

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"starfall/report"
	"starfall/runtime/judge"
)

func twoMinutes() shape { return shape{seconds: 120, partitions: 6, every: 30 * time.Second} }

// selfContained checks that a page asks for nothing from elsewhere, and that
// what it points at in itself is there.
func selfContained(t *testing.T, page string) {
	t.Helper()
	tr := parse(t, page)
	ids := map[string]bool{}
	for _, n := range tr.all(func(n *html.Node) bool { return attr(n, "id") != "" }) {
		if id := attr(n, "id"); ids[id] {
			t.Errorf("id %q stands twice", id)
		} else {
			ids[id] = true
		}
	}
	for _, n := range tr.all(func(*html.Node) bool { return true }) {
		switch n.Data {
		case "img", "iframe", "object", "embed", "base", "form", "audio", "video", "image", "use":
			t.Errorf("got a <%s>, want none", n.Data)
		}
		for _, a := range n.Attr {
			switch {
			case strings.HasPrefix(a.Key, "on"):
				t.Errorf("<%s %s>: got a handler in the markup, want none", n.Data, a.Key)
			case a.Key == "src" || a.Key == "style":
				t.Errorf("<%s %s=%q>: want no such attribute", n.Data, a.Key, a.Val)
			case a.Key == "aria-labelledby":
				if !ids[a.Val] {
					t.Errorf("<%s aria-labelledby=%q>: there is no such id", n.Data, a.Val)
				}
			case a.Key == "href" && strings.HasPrefix(a.Val, "#"):
				if !ids[a.Val[1:]] {
					t.Errorf("<%s href=%q>: there is no such id", n.Data, a.Val)
				}
			case a.Key == "href" && a.Val != "data:," && !strings.HasPrefix(a.Val, "./"):
				t.Errorf("<%s href=%q>: want a place in the page or beside it", n.Data, a.Val)
			}
		}
	}
	for _, style := range tr.tags("style") {
		if m := regexp.MustCompile(`@import|url\((?:[^#)][^)]*)\)`).FindString(style.FirstChild.Data); m != "" {
			t.Errorf("style: got %s, want nothing from elsewhere", m)
		}
	}
	if policy := tr.all(func(n *html.Node) bool { return attr(n, "http-equiv") == "Content-Security-Policy" }); len(policy) != 1 {
		t.Errorf("got %d policies, want 1", len(policy))
	}
}

func TestRunIsSelfContained(t *testing.T) {
	selfContained(t, render(t, twoMinutes().page(t)))
}

func TestFirstScreen(t *testing.T) {
	p := twoMinutes().page(t)
	tr := parse(t, render(t, p))
	if h := tr.tags("h1"); len(h) != 1 || text(h[0]) != "A run that is made up" {
		t.Errorf("title: got %d headings, %q", len(h), text(h[0]))
	}
	if b := tr.class("badge"); len(b) != 1 || text(b[0]) != "✗ FAIL" {
		t.Errorf("verdict: got %q, want ✗ FAIL", text(b[0]))
	}
	claims := tr.all(func(n *html.Node) bool { return strings.HasPrefix(attr(n, "id"), "claim-") })
	if len(claims) != 3 {
		t.Fatalf("got %d claims, want 3", len(claims))
	}
	for i, c := range claims {
		x := p.Result.Verdict.Claims[i]
		s := text(c)
		for _, want := range []string{x.Text, x.Measured, x.Wanted, "line " + strconv.Itoa(x.Pos.Line)} {
			if !strings.Contains(s, want) {
				t.Errorf("claim %d: got %q, want it to have %q", i+1, s, want)
			}
		}
		links := 0
		for d := range c.Descendants() {
			if attr(d, "class") != "moment" {
				continue
			}
			links++
			from, to, at := number(t, d, "data-from"), number(t, d, "data-to"), number(t, d, "data-at")
			if !(0 <= from && from <= at && at <= to && from < to && to <= 122) {
				t.Errorf("claim %d: its moment is %g in %g to %g, want it within and within the run", i+1, at, from, to)
			}
		}
		if want := x.Outcome == judge.Broken; (links == 1) != want {
			t.Errorf("claim %d, %s: got %d links to its moment", i+1, x.Outcome, links)
		}
	}
}

func number(t *testing.T, n *html.Node, key string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(attr(n, key), 64)
	if err != nil {
		t.Errorf("%s: %v", key, err)
	}
	return v
}

// Each panel has a text alternative: a sentence, and a table.
func TestPanels(t *testing.T) {
	tr := parse(t, render(t, twoMinutes().page(t)))
	var titles []string
	for _, f := range tr.tags("figure") {
		in := tree{f}
		titles = append(titles, text(in.tags("b")[0]))
		plot := in.class("plot")[0]
		if attr(plot, "role") != "img" || !strings.Contains(attr(plot, "aria-label"), ". ") {
			t.Errorf("%s: got role %q, label %q, want an image with a sentence", titles[len(titles)-1], attr(plot, "role"), attr(plot, "aria-label"))
		}
		rows := in.tags("tr")
		if len(rows) < 3 {
			t.Errorf("%s: got a table of %d rows", titles[len(titles)-1], len(rows))
		}
		// Three outages, a warm-up and the end are shaded everywhere.
		if n := len(in.all(func(n *html.Node) bool { return n.Data == "rect" && attr(n, "class") == "fault" })); n != 3 {
			t.Errorf("%s: got %d shaded windows, want 3", titles[len(titles)-1], n)
		}
	}
	want := []string{"Rate", "Latency", "Lag and undelivered", "Partitions of orders", "Brokers", "Alarms"}
	if strings.Join(titles, ", ") != strings.Join(want, ", ") {
		t.Errorf("panels: got %v, want %v", titles, want)
	}
	if n := len(tr.class("lane")); n != 6+3+1 {
		t.Errorf("lanes: got %d, want 6 partitions, 3 brokers and an alarm", n)
	}
	says := map[string]bool{}
	for _, n := range tr.class("bar") {
		if n.Data == "g" {
			says[text(tree{n}.tags("title")[0])] = true
		}
	}
	for _, s := range []string{"orders/0: leader 1, 3 of 3 in sync", "orders/0: leader 1, 2 of 3 in sync", "kafka-2: killed", "kafka-2: alive", "slow: raised"} {
		if !says[s] {
			t.Errorf("no bar says %q", s)
		}
	}
	for _, n := range tr.class("window") {
		if s := attr(n, "data-say"); !strings.HasPrefix(s, "outage: kill kafka-") && !strings.HasPrefix(s, "note()") {
			t.Errorf("window: got %q", s)
		}
	}
}

// The numbers of a panel are the judge's.
func TestTableOfRates(t *testing.T) {
	p := twoMinutes().page(t)
	pic, err := judge.Depict(p.Recording)
	if err != nil {
		t.Fatal(err)
	}
	tr := parse(t, render(t, p))
	rows := tree{tr.tags("figure")[0]}.tags("tr")[1:]
	if len(rows) < 60 {
		t.Fatalf("got %d rows, want one for every second or two", len(rows))
	}
	const i = 62 // two seconds a row: 122 in all
	if want := judge.Number(float64(pic.Producers[0].Acked[i])) + "/s"; !strings.Contains(text(rows[31]), want) {
		t.Errorf("row of second %d: got %q, want it to have %s", i, text(rows[31]), want)
	}
}

func TestSourceAndTimeline(t *testing.T) {
	p := twoMinutes().page(t)
	tr := parse(t, render(t, p))
	lines := tree{tr.class("source")[0]}.tags("tr")
	if n := strings.Count(p.Recording.Plan.Files[0].Text, "\n"); len(lines) != n {
		t.Errorf("source: got %d lines, want %d", len(lines), n)
	}
	if l := lines[7]; attr(l, "id") != "L8" || attr(l, "class") != "broken" || !strings.HasPrefix(text(l), "✗ 8expect(") {
		t.Errorf("line 8: got %s, %s, %q, want the claim that broke", attr(l, "id"), attr(l, "class"), text(l))
	}
	rows := tree{tr.class("timeline")[0]}.tags("tr")
	all := text(tr.class("timeline")[0])
	for _, want := range []string{"0:30.000", "kill(leader) → kafka-2", "process gone", "+0 ms", "so it goes", "line 7"} {
		if !strings.Contains(all, want) {
			t.Errorf("timeline of %d rows: got %q, want it to have %q", len(rows), all, want)
		}
	}
	facts := text(tr.class("facts")[0])
	for _, want := range []string{"rate", "default 500", "embedded", "3.9", "a processor", "/data", "61 s"} {
		if !strings.Contains(facts, want) {
			t.Errorf("conditions: got %q, want them to have %q", facts, want)
		}
	}
}

// Whatever a scenario calls its things, they are text.
func TestHostileText(t *testing.T) {
	x := twoMinutes()
	x.hostile = true
	p := x.page(t)
	p.Result.Params = []report.Param{{Name: "rate", Value: evil}}
	p.Result.Error = "failed: " + evil
	page := render(t, p)
	selfContained(t, page)
	tr := parse(t, page)
	if n := len(tr.tags("script")); n != 2 {
		t.Errorf("got %d scripts, want the page's own and its data", n)
	}
	for n := range tr.root.Descendants() {
		if n.Type == html.CommentNode {
			t.Errorf("got a comment: %.60q", n.Data)
		}
	}
	// It is seen wherever it was said.
	for _, part := range []struct{ name, class string }{{"title", "titles"}, {"claims", "claims"}, {"timeline", "timeline"}, {"source", "source"}, {"conditions", "facts"}, {"reasons", "notice"}} {
		n := tr.class(part.class)
		if len(n) == 0 || !strings.Contains(text(n[0]), "<img src=x onerror=alert(1)>") {
			t.Errorf("%s: the text is not there as it was written", part.name)
		}
	}
}

func TestCutShort(t *testing.T) {
	x := twoMinutes()
	x.cut = true
	tr := parse(t, render(t, x.page(t)))
	if n := tr.class("notice"); len(n) != 1 || !strings.Contains(text(n[0]), "Cut short: the recording ends early: journal.jsonl") {
		t.Errorf("notice: got %v", n)
	}
	if s := text(tr.tags("footer")[0]); strings.Contains(s, "Nothing was cut short") {
		t.Errorf("footer: got %q", s)
	}
	tr = parse(t, render(t, twoMinutes().page(t)))
	if s := text(tr.tags("footer")[0]); !strings.Contains(s, "Nothing was cut short") {
		t.Errorf("footer of a whole run: got %q", s)
	}
}

func TestNothingRecorded(t *testing.T) {
	page := render(t, Page{Result: report.Result{Scenario: "made-up", Error: "the engine is absent"}})
	selfContained(t, page)
	s := text(parse(t, page).root)
	for _, want := range []string{"ENGINE ERROR", "nothing was recorded", "the engine is absent", "There is no picture"} {
		if !strings.Contains(s, want) {
			t.Errorf("got %q, want it to have %q", s, want)
		}
	}
}

// A run of ten minutes with twelve partitions fits in a megabyte, whatever its
// curves do.
func TestSize(t *testing.T) {
	page := render(t, shape{seconds: 600, partitions: 12, every: time.Minute}.page(t))
	t.Logf("%d KB", len(page)>>10)
	if len(page) > 1<<20 {
		t.Errorf("got %d bytes, want at most 1 MB", len(page))
	}
}

// A run of hours takes no more: seconds share buckets.
func TestLongRun(t *testing.T) {
	b := bucketsOf(10 * time.Hour)
	if b.step != 30 || b.n != maxBuckets {
		t.Errorf("10 h: got %d buckets of %d s, want %d of 30 s", b.n, b.step, maxBuckets)
	}
	page := render(t, shape{seconds: 2500, partitions: 3, every: 5 * time.Minute}.page(t))
	if len(page) > 1<<20 {
		t.Errorf("got %d bytes, want at most 1 MB", len(page))
	}
	if !strings.Contains(page, "Each step of a curve is 3 seconds, from its lowest to its highest second.") {
		t.Errorf("the page does not say what its steps are")
	}
	if !strings.Contains(page, `"high":[`) {
		t.Errorf("the data have no highest values")
	}
}

func TestSweep(t *testing.T) {
	p := shape{seconds: 20, partitions: 2}.page(t)
	with := func(value string, repeat int, folder string) report.Result {
		r := p.Result
		r.Params, r.Repeat, r.Folder = []report.Param{{Name: "acks", Value: value}}, repeat, folder
		return r
	}
	bad := with(evil, 1, "runs/x/3-acks=a b#c?d-1")
	bad.Verdict, bad.Error = nil, "the engine failed: "+evil
	results := []report.Result{with("1", 1, "runs/x/1-acks=1-1"), with("1", 2, "runs/x/2-acks=1-2"), bad}
	var b bytes.Buffer
	if err := Sweep(&b, "A sweep "+evil, results); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	selfContained(t, page)
	tr := parse(t, page)
	var hrefs []string
	for _, a := range tr.tags("a") {
		if h := attr(a, "href"); strings.HasPrefix(h, "./") {
			hrefs = append(hrefs, h)
		}
	}
	want := []string{"./1-acks=1-1/report.html", "./2-acks=1-2/report.html", "./3-acks=a%20b%23c%3Fd-1/report.html"}
	if strings.Join(hrefs, " ") != strings.Join(want, " ") {
		t.Errorf("links: got %v, want %v", hrefs, want)
	}
	rows := tree{tr.class("sweep")[0]}.tags("tr")
	if s := text(rows[1]); !strings.Contains(s, "2 of 2") || !strings.Contains(s, "/s") {
		t.Errorf("row of acks=1: got %q, want its verdicts and its measure", s)
	}
	if n := len(tr.tags("script")); n != 1 {
		t.Errorf("got %d scripts, want 1", n)
	}
	if s := text(tr.class("badge")[0]); s != "✗ ENGINE ERROR" {
		t.Errorf("verdict: got %q, want the worst", s)
	}
}

// BenchmarkRun makes the page of a run of ten minutes with twelve partitions
// and 600,000 records: reading the evidence, drawing, writing.
func BenchmarkRun(b *testing.B) {
	p := shape{seconds: 600, partitions: 12, every: time.Minute}.page(b)
	size := 0
	for b.Loop() {
		size = len(render(b, p))
	}
	b.ReportMetric(float64(size)/1024, "KB/page")
}
