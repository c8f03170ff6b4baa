package screen

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/clipperhouse/displaywidth"

	"starfall/runtime"
)

var update = flag.Bool("update", false, "write what tests compare anew")

// outage is a run of failover.star, eight seconds after the kill.
func outage() *Screen {
	s := New("")
	s.Title, s.Facts = "One of three brokers dies under load", "embedded · speed 10 · seed 1"
	s.Keys = "q stop"
	s.Begin(0)
	s.Update(0, runtime.Progress{Phase: runtime.PhasePrepare, Line: "phase: prepare"})
	s.Update(0, runtime.Progress{Phase: runtime.PhaseRun, Left: 90 * time.Second, Line: "phase: run"})
	for at := 250 * time.Millisecond; at <= 38250*time.Millisecond; at += 250 * time.Millisecond {
		p := runtime.Progress{
			Phase: runtime.PhaseRun, At: at, Left: 90*time.Second - at,
			Sent: 1000, Acked: 1000, Delivered: 1000,
			Nodes:  []runtime.NodeProgress{{Label: "kafka-1", State: "running"}, {Label: "kafka-2", State: "running"}, {Label: "kafka-3", State: "running"}},
			Alarms: []runtime.AlarmProgress{{ID: "under_replicated"}, {ID: "slow"}},
			Consumers: []runtime.ConsumerProgress{
				{Name: "billing", Delivered: 30000, Lag: 12, State: "Stable", Members: 2},
				{Name: "audit", Delivered: 30000, Lag: -1},
			},
			Next: "outage", NextAt: 30 * time.Second,
		}
		for i := range int32(6) {
			p.Partitions = append(p.Partitions, runtime.PartitionProgress{Topic: "orders", Partition: i, Leader: "kafka-1", ISR: 3, Replicas: 3})
		}
		if at == 30*time.Second {
			s.Update(0, runtime.Progress{Phase: runtime.PhaseRun, At: at + 3*time.Millisecond, Left: 60 * time.Second, Line: "kill(orders.leader(partition=0)) → kafka-2"})
		}
		if at > 30*time.Second {
			p.Acked, p.Delivered = 0, 0
			p.Nodes[1].State = "stopped"
			p.Alarms[0].On = true
			p.Faults = []runtime.FaultProgress{{Text: "kill(orders.leader(partition=0)) → kafka-2", Since: 30 * time.Second}}
			p.Next, p.NextAt = "", 0
			p.Consumers[0].Lag = 1203
			p.Consumers[0].State, p.Consumers[0].Members = "PreparingRebalance", 1
			p.Partitions[0].Leader, p.Partitions[3].Leader = "", ""
			p.Partitions[1].ISR, p.Partitions[2].ISR = 2, 2
		}
		s.Update(0, p)
	}
	s.Update(0, runtime.Progress{Phase: runtime.PhaseRun, At: 30031 * time.Millisecond, Left: 60 * time.Second, Line: "kill(orders.leader(partition=0)) → kafka-2: proved: process gone, port closed"})
	s.Update(0, runtime.Progress{Phase: runtime.PhaseRun, At: 38200 * time.Millisecond, Left: 51800 * time.Millisecond, Line: "alarm under_replicated raised: 4 partitions (since 0:30.2)"})
	return s
}

// calm is the same before the kill.
func calm() *Screen {
	s := outage()
	p := runtime.Progress{
		Phase: runtime.PhaseRun, At: 40 * time.Second, Left: 50 * time.Second, Sent: 1000, Acked: 1000, Delivered: 1000,
		Nodes:      []runtime.NodeProgress{{Label: "kafka-1", State: "running"}, {Label: "kafka-2", State: "running"}, {Label: "kafka-3", State: "running"}},
		Partitions: []runtime.PartitionProgress{{Topic: "orders", Leader: "kafka-1", ISR: 3, Replicas: 3}},
		Alarms:     []runtime.AlarmProgress{{ID: "slow"}},
		Consumers:  []runtime.ConsumerProgress{{Name: "billing", State: "Stable", Members: 2, Lag: 7}},
		Next:       "outage", NextAt: 55 * time.Second,
	}
	s.Update(0, p)
	return s
}

func empty() *Screen {
	s := New("")
	s.Keys = "q stop"
	return s
}

// bare has updates as they were before anything but rates and nodes was told.
func bare() *Screen {
	s := empty()
	s.Begin(0)
	s.Update(0, runtime.Progress{Phase: runtime.PhaseRun, At: time.Second, Left: time.Minute, Sent: 10, Acked: 9, Delivered: 8, Nodes: []runtime.NodeProgress{{Label: "kafka-1", State: "running"}}})
	return s
}

func stopping() *Screen {
	s := outage()
	s.Notice = "stopping: heals and winds down; again: takes everything down at once"
	s.Update(0, runtime.Progress{Phase: runtime.PhaseDrain, At: 41 * time.Second, Line: "phase: drain"})
	return s
}

// side is a sweep of nine, two at a time.
func side() *Screen {
	var names []string
	for i := range 9 {
		names = append(names, fmt.Sprintf("acks=%d min_insync=%d #%d", i%2, i/3, i%3+1))
	}
	s := New(names...)
	s.Side, s.Title, s.Facts, s.Keys = true, "Acks and in-sync replicas", "embedded · speed 10", "q stop"
	for i, v := range []string{"PASS", "FAIL", "PASS", "INCONCLUSIVE"} {
		s.Begin(i)
		s.Done(i, v)
	}
	s.Begin(4)
	s.Begin(5)
	s.Update(4, runtime.Progress{Phase: runtime.PhaseRun, At: 38 * time.Second, Left: 52 * time.Second, Sent: 1000, Acked: 12345, Delivered: 990,
		Nodes: []runtime.NodeProgress{{Label: "kafka-1", State: "running"}, {Label: "kafka-2", State: "stopped"}}})
	s.Update(4, runtime.Progress{Phase: runtime.PhaseRun, At: 38 * time.Second, Left: 52 * time.Second, Line: "kafka-2 fenced"})
	s.Update(5, runtime.Progress{Phase: runtime.PhaseDrain, At: 91 * time.Second})
	return s
}

// turn is the same sweep, one after the other.
func turn() *Screen {
	s := New("acks=0", "acks=1", "acks=all")
	s.Title, s.Keys = "Acks", "q stop"
	s.Begin(0)
	s.Done(0, "PASS")
	s.Begin(1)
	s.Update(1, runtime.Progress{Phase: runtime.PhaseLoad, Nodes: []runtime.NodeProgress{{Label: "kafka-1", State: "running"}}})
	return s
}

// many has more of everything than any terminal shows, with wide characters
// and what must not reach a terminal.
func many() *Screen {
	s := outage()
	s.Title = "長いタイトル " + strings.Repeat("very long ", 20)
	p := s.runs[0].last
	for i := range 40 {
		p.Nodes = append(p.Nodes, runtime.NodeProgress{Label: fmt.Sprintf("kafka-controller-%d", i), State: []string{"running", "fenced"}[i%2]})
		p.Consumers = append(p.Consumers, runtime.ConsumerProgress{Name: fmt.Sprintf("group-with-a-long-name-%d", i), State: "CompletingRebalance", Members: 100, Lag: 123456789})
		p.Partitions = append(p.Partitions, runtime.PartitionProgress{Topic: "注文", Partition: int32(i), Replicas: 3})
		p.Alarms = append(p.Alarms, runtime.AlarmProgress{ID: fmt.Sprintf("alarm\x1b[2J-%d", i), On: true})
		p.Faults = append(p.Faults, runtime.FaultProgress{Text: strings.Repeat("netsplit(a, b) ", 10), Since: time.Second})
	}
	s.Update(0, p)
	for i := range 300 {
		s.Update(0, runtime.Progress{Phase: runtime.PhaseRun, At: time.Duration(i) * time.Second, Line: fmt.Sprintf("\x1b[31m注文 %d\r\nsecond line\t%s", i, strings.Repeat("x", 200))})
	}
	return s
}

func screens() map[string]func() *Screen {
	return map[string]func() *Screen{
		"outage": outage, "calm": calm, "empty": empty, "bare": bare, "stopping": stopping,
		"side": side, "turn": turn, "many": many,
	}
}

var sgr = regexp.MustCompile("\x1b\\[[0-9;]*m")

// TestViewFits draws every screen at many sizes: no line is too wide, there are
// not too many, colour adds nothing but itself, and nothing else controls the
// terminal.
func TestViewFits(t *testing.T) {
	for name, make := range screens() {
		s := make()
		for _, width := range []int{1, 5, 20, 39, 40, 41, 50, 59, 60, 61, 79, 80, 100, 120, 200, 400} {
			for _, height := range []int{1, 4, 7, 8, 9, 10, 12, 15, 18, 20, 24, 30, 40, 100} {
				plain := View(s, width, height, false)
				if len(plain) > height {
					t.Errorf("%s at %d×%d: got %d lines", name, width, height, len(plain))
				}
				for i, l := range plain {
					if w := displaywidth.String(l); w > width {
						t.Errorf("%s at %d×%d: line %d: got width %d: %q", name, width, height, i, w, l)
					}
					if strings.ContainsFunc(l, func(r rune) bool { return r < ' ' || r == 0x7f }) {
						t.Errorf("%s at %d×%d: line %d has control characters: %q", name, width, height, i, l)
					}
				}
				coloured := sgr.ReplaceAllString(strings.Join(View(s, width, height, true), "\n"), "")
				if got := strings.Join(plain, "\n"); got != coloured {
					t.Errorf("%s at %d×%d: colour changes the text:\n%s\n%s", name, width, height, got, coloured)
				}
			}
		}
	}
}

// TestViewGolden compares screens with testdata, as people see them.
func TestViewGolden(t *testing.T) {
	for name, make := range screens() {
		if name == "many" {
			continue
		}
		for _, size := range [][2]int{{80, 24}, {120, 40}, {40, 10}, {40, 8}, {20, 4}} {
			file := filepath.Join("testdata", fmt.Sprintf("%s-%dx%d.txt", name, size[0], size[1]))
			got := strings.Join(View(make(), size[0], size[1], false), "\n") + "\n"
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
					t.Fatal(err)
				}
				continue
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
			}
		}
	}
}
