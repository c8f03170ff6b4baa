// This file defines the series: CSV files with a row a second, for people and
// spreadsheets. The judge does not read them.

package record

import (
	"fmt"
	"hash/crc32"
	"strings"
	"time"
)

// counts is what happened in one second in one stream.
type counts struct {
	accepted, acked, failed, unknown, late, delivered, foreign, dropped uint64
}

// perSecond counts by whole second of scenario time from zero on.
type perSecond struct {
	first int // second of rows[0]
	rows  []counts
}

func (p *perSecond) count(s *Span) {
	second := int(s.At / time.Second)
	if s.At < 0 || second < p.first {
		return // before the load, or later than its row
	}
	p.rows = grow(p.rows, second-p.first)
	p.rows[second-p.first].add(s)
}

// put adds what was counted elsewhere of one second.
func (p *perSecond) put(second int, c counts) {
	if second < p.first {
		return
	}
	p.rows = grow(p.rows, second-p.first)
	x := &p.rows[second-p.first]
	x.accepted += c.accepted
	x.acked += c.acked
	x.failed += c.failed
	x.unknown += c.unknown
	x.late += c.late
	x.delivered += c.delivered
	x.foreign += c.foreign
	x.dropped += c.dropped
}

func (c *counts) add(s *Span) {
	n := uint64(s.N)
	switch s.Op {
	case OpAccepted:
		c.accepted += n
	case OpAcked:
		c.acked += n
	case OpFailed:
		c.failed += n
	case OpUnknown:
		c.unknown += n
	case OpLate:
		c.late += n
	case OpDelivered:
		c.delivered += n
	case OpForeign:
		c.foreign += n
	case OpDropped:
		c.dropped += n
	}
}

// take gives the rows that are over: all but the last two, or all.
func (s *stream) take(all bool) (first int, rows []counts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.seconds.rows) - 2
	if all {
		n += 2
	}
	if n <= 0 {
		return s.seconds.first, nil
	}
	first = s.seconds.first
	rows = append(rows, s.seconds.rows[:n]...)
	s.seconds.rows = append(s.seconds.rows[:0], s.seconds.rows[n:]...)
	s.seconds.first += n
	return first, rows
}

// seriesState holds what waits for a row; flushMu guards it.
type seriesState struct {
	samples []Sample
}

// fileName makes a file name of the name of a thing, which may hold anything.
// Two names that differ in odd characters only get different files.
func fileName(name string) string {
	safe := strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, name)
	if safe == name && len(name) <= 100 {
		return safe
	}
	return fmt.Sprintf("%.100s-%08x", safe, crc32.ChecksumIEEE([]byte(name)))
}

// writeSeries writes the rows that are complete; flushMu is held.
func (w *Writer) writeSeries(all bool) error {
	for i, s := range w.producers {
		first, rows := s.take(all)
		var b []byte
		for k, c := range rows {
			b = fmt.Appendf(b, "%d,%d,%d,%d,%d,%d\n", first+k, c.accepted, c.acked, c.failed, c.unknown, c.late)
		}
		if len(b) > 0 {
			if err := w.out.series(fileName(w.plan.Producers[i].Name), "second,sending,rate,failed,unknown,late", b); err != nil {
				return err
			}
		}
	}
	for i, s := range w.consumers {
		first, rows := s.take(all)
		var b []byte
		for k, c := range rows {
			b = fmt.Appendf(b, "%d,%d,%d,%d\n", first+k, c.delivered, c.foreign, c.dropped)
		}
		if len(b) > 0 {
			if err := w.out.series(fileName(w.plan.Consumers[i].Name), "second,rate,foreign,dropped", b); err != nil {
				return err
			}
		}
	}
	samples := w.series.samples
	w.series.samples = nil
	rows := map[string][]byte{}
	for _, s := range samples {
		var alive, offline, under, underMin int
		for _, b := range s.Brokers {
			if b.Alive {
				alive++
			}
		}
		for _, p := range s.Partitions {
			if p.Leader < 0 {
				offline++
			}
			if len(p.ISR) < len(p.Replicas) {
				under++
			}
			if len(p.ISR) < p.MinInsync {
				underMin++
			}
		}
		rows[s.Cluster] = fmt.Appendf(rows[s.Cluster], "%.3f,%d,%d,%d,%d,%d\n",
			s.At.Seconds(), alive, s.ActiveControllers, offline, under, underMin)
	}
	for _, c := range w.plan.Clusters {
		if b := rows[c.Name]; len(b) > 0 {
			if err := w.out.series(fileName(c.Name), "second,alive,active_controllers,offline,under_replicated,under_min_insync", b); err != nil {
				return err
			}
		}
	}
	return nil
}
