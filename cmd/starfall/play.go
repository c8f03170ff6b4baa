// This file defines play: the live screen again, from a recording.

package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"starfall/report"
	"starfall/report/screen"
	"starfall/runtime"
)

type playFlags struct {
	speed   float64
	at      string
	plain   bool
	noColor bool
}

func playCommand(e *env) *cobra.Command {
	var f playFlags
	cmd := &cobra.Command{
		Use:   "play RUN",
		Short: "Show a recorded run again, as it went",
		Long: `play shows the screen that run showed, from the recording in a run folder.

Space pauses and goes on, the arrows left and right go 10 s back and forth, + and -
change the speed, q ends. Where nobody watches, in a pipe, it prints all events
with their times at once; --plain does so on a terminal too. --at prints the
screen as it was at one moment.

A recording that was cut off is played up to there.`,
		Example: `  starfall play runs/first-20261124-073100 --speed 4
  starfall play runs/first-20261124-073100 --at 30s`,
		Args:              exactly(1, "one run folder"),
		ValidArgsFunction: folders,
		RunE:              func(cmd *cobra.Command, args []string) error { return f.run(e, args[0]) },
	}
	fl := cmd.Flags()
	fl.Float64Var(&f.speed, "speed", 1, "seconds of the scenario in one second")
	fl.StringVar(&f.at, "at", "", "print the screen as it was at a `time` of the scenario, and end")
	fl.BoolVar(&f.plain, "plain", false, "a line an event instead of a screen")
	fl.BoolVar(&f.noColor, "no-color", false, "no colour (as NO_COLOR)")
	return cmd
}

func (f *playFlags) run(e *env, path string) error {
	if !(f.speed > 0 && f.speed <= maxPlay) {
		return usage("--speed: got %g, want more than 0, up to %g", f.speed, float64(maxPlay))
	}
	var at time.Duration
	if f.at != "" {
		var err error
		if at, err = time.ParseDuration(f.at); err != nil || at < 0 {
			return usage("--at: got %q, want a time like 30s or 1m30s", f.at)
		}
	}
	p, err := openPlayer(path)
	if err != nil {
		return err
	}
	p.speed = f.speed
	if p.b.Cut != "" {
		fmt.Fprintf(e.stderr, "the recording is cut off (%s): it goes up to %s\n", p.b.Cut, report.Moment(p.b.To))
	}
	color := !f.noColor && e.getenv("NO_COLOR") == "" && e.getenv("TERM") != "dumb"
	if f.at != "" {
		if at > p.b.To {
			return usage("--at: got %s, want up to %s, where the recording ends", f.at, report.Moment(p.b.To))
		}
		p.seek(at)
		for _, l := range screen.View(p.s, report.Width, 24, color && e.terminal(e.stdout)) {
			if _, err := fmt.Fprintln(e.stdout, l); err != nil {
				return err
			}
		}
		return nil
	}
	if !f.plain {
		if c, ok := e.screen(e.stdout); ok {
			return p.show(e, c, color)
		}
	}
	for _, x := range p.b.Lines(before, p.b.To) {
		writeEvent(e.stdout, x)
	}
	return nil
}

// openPlayer reads the recording of a run folder.
func openPlayer(path string) (*player, error) {
	folder, err := findRun(path)
	if err != nil {
		return nil, err
	}
	if folder.sweep {
		f := usage("%s: is a sweep of %s, want one of them", folder.path, few(len(folder.runs), "run"))
		for i, r := range folder.runs {
			if i == 12 && len(folder.runs) > 13 {
				f.hint("and %d more: starfall runs %s", len(folder.runs)-i, folder.path)
				break
			}
			f.hint("starfall play %s", r.folder)
		}
		return nil, f
	}
	rec, err := folder.runs[0].open()
	if err != nil {
		return nil, asUsage(err)
	}
	b, err := runtime.NewPlayback(rec)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", folder.path, err)
	}
	info := rec.Info
	return &player{b: b, title: title(rec.Plan), facts: facts(info.Engine, info.Kafka, info.Speed, info.Seed), speed: 1, at: b.From}, nil
}

// before is earlier than every moment of a recording.
const before = time.Duration(-1 << 63)

// How a recording is played: the step in which the screen is told what
// happened, and the limits of speed.
const (
	playStep = 250 * time.Millisecond
	playBack = time.Minute // that a screen shows of the past
	maxPlay  = 1000
	minPlay  = 1.0 / 16
	skip     = 10 * time.Second
)

// player plays a recording on a screen.
//
//	state    key or time                     becomes
//	playing  space                           paused
//	paused   space                           playing; from the start when it was at the end
//	playing  the recording's end             paused there
//	any      arrows                          10 s away, within the recording
//	any      + -                             twice, half the speed
type player struct {
	b            *runtime.Playback
	title, facts string
	speed        float64
	paused       bool
	at           time.Duration

	s   *screen.Screen // shows the moment told
	out time.Duration  // up to which s was told
}

// seek goes to a moment and tells a new screen what it has to know.
func (p *player) seek(to time.Duration) {
	p.at = min(max(to, p.b.From), p.b.To)
	p.s = screen.New("")
	p.s.Title, p.s.Facts = p.title, p.facts
	from := max(p.at-playBack, p.b.From)
	for _, x := range p.b.Lines(before, from) {
		p.s.Update(0, x)
	}
	p.out = from
	p.s.Update(0, p.b.At(from))
	p.tell()
}

// tell tells the screen what happened up to now.
func (p *player) tell() {
	for p.out < p.at {
		to := min((p.out/playStep+1)*playStep, p.at)
		for _, x := range p.b.Lines(p.out, to) {
			p.s.Update(0, x)
		}
		p.s.Update(0, p.b.At(to))
		p.out = to
	}
}

// advance plays on for some real time.
func (p *player) advance(d time.Duration) {
	if p.paused {
		return
	}
	p.at += time.Duration(float64(d) * p.speed)
	if p.at >= p.b.To {
		p.at, p.paused = p.b.To, true
	}
	p.tell()
}

// press does what a key means; quit is true when it ends the play.
func (p *player) press(k key) (quit bool) {
	switch k {
	case keyQuit, keyInterrupt:
		return true
	case keyPause:
		if p.paused && p.at >= p.b.To {
			p.seek(p.b.From)
		}
		p.paused = !p.paused
	case keyBack:
		p.seek(p.at - skip)
	case keyForward:
		p.seek(p.at + skip)
	case keyFaster:
		p.speed = min(p.speed*2, maxPlay)
	case keySlower:
		p.speed = max(p.speed/2, minPlay)
	}
	return false
}

// keys says where the play stands and what keys do.
func (p *player) keys() string {
	state, space := "×"+strconv.FormatFloat(p.speed, 'g', 4, 64), "space pauses"
	switch {
	case p.paused && p.at >= p.b.To:
		state, space = "the end", "space plays again"
	case p.paused:
		state, space = "paused", "space goes on"
	}
	return strings.Join([]string{state, space, "← → 10 s", "+ - speed", "q ends"}, " · ")
}

// show plays on a console until q, or until its end where there are no keys.
func (p *player) show(e *env, c console, color bool) error {
	defer c.Release()
	stop := watch(e)
	defer stop.close()
	interrupted := make(chan struct{}, 1)
	stop.observe(func(int) {
		select {
		case interrupted <- struct{}{}:
		default:
		}
	})
	p.seek(p.b.From)
	d := drawing{c: c, color: color}
	tick := time.NewTicker(frame)
	defer tick.Stop()
	last := e.now()
	for {
		if c.Keys() != nil {
			p.s.Keys = p.keys()
		}
		d.draw(func(w, h int, color bool) []string { return screen.View(p.s, w, h, color) })
		select {
		case <-interrupted:
			return verdictCode(exitInterrupted)
		case k, ok := <-c.Keys():
			if !ok || p.press(k) {
				if k == keyInterrupt {
					return verdictCode(exitInterrupted)
				}
				return nil
			}
		case <-tick.C:
			now := e.now()
			p.advance(now.Sub(last))
			last = now
			if c.Keys() == nil && p.paused {
				return nil
			}
		}
	}
}
