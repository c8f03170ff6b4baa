// This file defines how a term is answered: from what was collected to
// numbers and points that a bound can be put to.

package judge

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"
	"strconv"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// number is one value of a term, and where it comes from.
type number struct {
	label string
	spot  spot // noSpot: none
	v     float64
	at    *time.Duration // where: the moment
	to    *time.Duration
	note  string
}

// answer is what a term says before its bound is put to it. Exactly one of
// noData, points and numbers is set; a term about fates also has its question.
type answer struct {
	measure  plan.Measure
	noData   string
	gauge    bool // points are samples, not buckets
	points   []series
	numbers  []number
	question *question
	of       float64 // fates: how many records the count is out of; 0: not known
	from     time.Duration
	per      time.Duration
	doubt    string // why a bound that holds is not proved to, "" when it is
}

// wantsPoints tells whether a bound is put to every bucket or sample rather
// than to one number.
func wantsPoints(t *plan.Term, m plan.Measure) bool {
	if t.Bound == nil {
		return false
	}
	switch t.Bound.Op {
	case plan.NeverBelow, plan.NeverAbove, plan.Eventually:
		return m.Family == plan.FamilyRate || m.Family == plan.FamilyGauge || m.Family == plan.FamilyLatency
	}
	return m.Family == plan.FamilyGauge && t.Stat == ""
}

// judging is everything a claim is judged by.
type judging struct {
	*collector
	frame   frame
	events  []record.Event
	gaugeOf map[*plan.Term]*gauge
	questOf map[*plan.Term]*question
	live    bool            // only the last bucket or sample counts
	drained map[string]bool // consumers whose drain limit came while records arrived
	cut     brokenOff
}

func none(format string, args ...any) answer { return answer{noData: fmt.Sprintf(format, args...)} }

// answer answers a term.
func (j *judging) answer(t *plan.Term) answer {
	m, ok := plan.MeasureOf(t.Subject.Kind, t.Measure)
	if !ok {
		return none("%s.%s: no such measure", t.Subject.Kind, t.Measure)
	}
	if why := j.unsaid(t); why != "" {
		return none("%s", why)
	}
	var a answer
	switch m.Family {
	case plan.FamilyRate:
		a = j.rate(t, m)
	case plan.FamilyLatency:
		a = j.latencyOf(t, m)
	case plan.FamilyStall:
		a = j.stall(t)
	case plan.FamilyGauge:
		a = j.gaugeAnswer(t, m)
	case plan.FamilyFate:
		a = j.fate(t)
	default:
		a = j.single(t)
	}
	a.measure = m
	return a
}

// buckets gives the whole buckets of a term's window, at most those that lie
// before the last whole second.
func (j *judging) buckets(t *plan.Term, per time.Duration) ([]piece, error) {
	w, err := j.frame.resolve(t.Windows)
	if err != nil {
		return nil, err
	}
	if j.live {
		end := j.frame.end.Truncate(per)
		b := piece{end - per, end}
		if b.from < 0 || !w.parts.holds(b.from, b.to) {
			return nil, nil
		}
		return []piece{b}, nil
	}
	if w.isAt || w.atEnd {
		end := j.frame.last()
		if w.isAt {
			end = min(end, w.at)
		}
		end = end.Truncate(per)
		if end < per {
			return nil, nil
		}
		return []piece{{end - per, end}}, nil
	}
	var out []piece
	for _, p := range j.frame.cut(w) {
		first := (p.from + per - 1) / per * per
		for ; first+per <= p.to; first += per {
			out = append(out, piece{first, first + per})
		}
	}
	return out, nil
}

// perOf is the length of a term's buckets.
func perOf(t *plan.Term, unit time.Duration) (time.Duration, error) {
	per := t.Per.Std()
	if per == 0 {
		return time.Second, nil
	}
	if per < 0 || per%unit != 0 {
		return 0, fmt.Errorf("per: got %s, want a multiple of %s", t.Per, unit)
	}
	return per, nil
}

type labelled struct {
	label string
	spot  spot
	ticks ticks
}

// seriesOf gives the counts that a rate is made of.
func (j *judging) seriesOf(t *plan.Term) []labelled {
	name := t.Subject.Name
	var all ticks
	var byMember []ticks
	var byPart func(spot) ticks
	if t.Subject.Kind == plan.RefConsumer {
		x := j.consumer(name)
		if x == nil {
			return nil
		}
		all, byMember = x.rate, x.byMember
		byPart = func(at spot) ticks {
			if n := x.byPart[at]; n != nil {
				return *n
			}
			return nil
		}
	} else {
		p := j.producer(name)
		if p == nil {
			return nil
		}
		all, byMember = p.acked, padTo(p.byMember, len(p.members))
		if t.Measure == "sending" {
			all, byMember = p.sent, padTo(p.sentBy, len(p.members))
		}
		byPart = func(at spot) ticks {
			if i := int(at.partition()); i < len(p.byPart) {
				return p.byPart[i]
			}
			return nil
		}
	}
	var out []labelled
	switch t.By {
	case "member":
		for i := 1; i < len(byMember); i++ {
			out = append(out, labelled{name + "-" + strconv.Itoa(i), noSpot, byMember[i]})
		}
		return out
	case "partition":
		for _, at := range j.spots(t.Subject) {
			out = append(out, labelled{j.label(at), at, byPart(at)})
		}
		return out
	}
	return []labelled{{"", noSpot, all}}
}

// spots gives the partitions that a subject is about, those without a record
// too.
func (j *judging) spots(subject plan.Ref) []spot {
	var out []spot
	all := func(topic, n int) {
		for i := range n {
			out = append(out, spotOf(int32(topic), int32(i)))
		}
	}
	switch subject.Kind {
	case plan.RefProducer:
		if p := j.producer(subject.Name); p != nil {
			all(p.topic, p.partitions)
		}
	case plan.RefConsumer:
		if x := j.consumer(subject.Name); x != nil {
			j.readBy(x, all)
		}
	case plan.RefMirror:
		if x := j.consumer(subject.Name); x != nil {
			j.readBy(x, all)
		}
	case plan.RefTopic:
		if i, ok := j.byName[subject.Name]; ok {
			n := j.topics[i].plan.Partitions
			for k := range j.topics[i].marks {
				n = max(n, int(k)+1)
			}
			all(i, n)
		}
	}
	return out
}

// readBy calls f with each family that a consumer reads, by its root, and how
// many partitions it has.
func (j *judging) readBy(x *consumer, f func(root, n int)) {
	var seen []int
	for _, t := range x.start.topics {
		root := j.root[t]
		if slices.Contains(seen, root) {
			continue
		}
		seen = append(seen, root)
		n := 0
		for _, k := range x.reading {
			if j.root[k] == root {
				n = max(n, len(x.reads[k]))
			}
		}
		f(root, n)
	}
}

// padTo gives partitions and members without any record a series of zeros.
func padTo(by []ticks, n int) []ticks {
	for len(by) < n {
		by = append(by, nil)
	}
	return by
}

func (j *judging) rate(t *plan.Term, m plan.Measure) answer {
	per, err := perOf(t, tick)
	if err != nil {
		return none("%v", err)
	}
	buckets, err := j.buckets(t, per)
	if err != nil {
		return none("%v", err)
	}
	if len(buckets) == 0 {
		return none("no whole bucket of %s in the window", Length(per))
	}
	list := j.seriesOf(t)
	if len(list) == 0 {
		return none("%s: nothing recorded", t.Subject.Name)
	}
	a := answer{per: per, from: buckets[0].from}
	for _, s := range list {
		out := series{label: s.label, spot: s.spot}
		for _, b := range buckets {
			out.points = append(out.points, point{b.from, b.to, float64(s.ticks.sum(b.from, b.to)) / (b.to - b.from).Seconds()})
		}
		a.points = append(a.points, out)
	}
	if !wantsPoints(t, m) {
		a.numbers = numbersOf(a.points, t.Stat)
		a.points = nil
	}
	return a
}

// numbersOf reduces points to one number a series: the mean, or a quantile.
func numbersOf(list []series, stat string) []number {
	var out []number
	for _, s := range list {
		if len(s.points) == 0 {
			continue
		}
		v := make([]float64, len(s.points))
		var sum float64
		for i, p := range s.points {
			v[i] = p.v
			sum += p.v
		}
		n := number{label: s.label, spot: s.spot, v: sum / float64(len(v))}
		if q, ok := quantileOf(stat); ok {
			sort.Float64s(v)
			n.v = v[min(int(math.Ceil(q*float64(len(v))))-1, len(v)-1)]
		}
		out = append(out, n)
	}
	return out
}

func quantileOf(stat string) (float64, bool) {
	switch stat {
	case "p50":
		return 0.5, true
	case "p90":
		return 0.9, true
	case "p99":
		return 0.99, true
	case "p999":
		return 0.999, true
	case "max":
		return 1, true
	}
	return 0, false
}

// latencyOf answers latency and delay. A record belongs to the second in which
// it was acknowledged or delivered, so that nothing before a fault can be
// blamed on it.
func (j *judging) latencyOf(t *plan.Term, m plan.Measure) answer {
	per, err := perOf(t, time.Second)
	if err != nil {
		return none("%v", err)
	}
	buckets, err := j.buckets(t, per)
	if err != nil {
		return none("%v", err)
	}
	type source struct {
		label string
		spot  spot
		lat   latencies
	}
	var list []source
	what := "acknowledged"
	if t.Subject.Kind == plan.RefConsumer || t.Subject.Kind == plan.RefMirror {
		x := j.consumer(t.Subject.Name)
		if x == nil {
			return none("%s: nothing recorded", t.Subject.Name)
		}
		if what = "delivered"; t.Subject.Kind == plan.RefMirror {
			what = "copied"
		}
		list = []source{{"", noSpot, x.delay}}
		if t.By == "partition" {
			list = nil
			for _, at := range j.spots(t.Subject) {
				if l := x.delayBy[at]; l != nil {
					list = append(list, source{j.label(at), at, *l})
				}
			}
		}
	} else {
		p := j.producer(t.Subject.Name)
		if p == nil {
			return none("%s: nothing recorded", t.Subject.Name)
		}
		list = []source{{"", noSpot, p.lat}}
		if t.By == "partition" {
			list = nil
			for i, l := range p.latBy {
				if at := spotOf(int32(p.topic), int32(i)); l != nil {
					list = append(list, source{j.label(at), at, l})
				}
			}
		}
	}
	q, ok := quantileOf(t.Stat)
	if !ok {
		q = 1
	}
	a := answer{per: per}
	for _, s := range list {
		var whole histogram
		out := series{label: s.label, spot: s.spot}
		for _, b := range buckets {
			var h histogram
			for k := int(b.from / time.Second); k < int(b.to/time.Second) && k < len(s.lat); k++ {
				h.merge(s.lat[k])
			}
			if h.n > 0 {
				out.points = append(out.points, point{b.from, b.to, h.quantile(q, j.cell).Seconds()})
				whole.merge(&h)
			}
		}
		if whole.n == 0 {
			continue
		}
		a.points = append(a.points, out)
		n := number{label: s.label, spot: s.spot, v: whole.quantile(q, j.cell).Seconds()}
		if q == 1 {
			at := whole.maxAt
			n.at = &at
			n.spot = whole.part
			n.note = fmt.Sprintf("record %d of member %d, on %s", whole.seq, whole.member, j.label(whole.part))
		}
		a.numbers = append(a.numbers, n)
	}
	if len(a.points) == 0 {
		return none("no record was %s in the window", what)
	}
	a.from = a.points[0].points[0].from
	if wantsPoints(t, m) {
		a.numbers = nil
	} else {
		a.points = nil
	}
	return a
}

func (j *judging) stall(t *plan.Term) answer {
	w, err := j.frame.resolve(t.Windows)
	if err != nil {
		return none("%v", err)
	}
	parts := j.frame.cut(w)
	if j.live {
		parts = w.parts
	}
	if w.isAt {
		parts = pieces{{w.at.Truncate(time.Second) - time.Second, w.at.Truncate(time.Second)}}
	}
	if len(parts) == 0 {
		return none("the window is empty")
	}
	var gaps []gap
	if t.Subject.Kind == plan.RefConsumer {
		x := j.consumer(t.Subject.Name)
		if x == nil {
			return none("%s: nothing recorded", t.Subject.Name)
		}
		if gaps = x.gaps; t.By == "all" {
			gaps = x.allGaps
		}
	} else {
		p := j.producer(t.Subject.Name)
		if p == nil {
			return none("%s: nothing recorded", t.Subject.Name)
		}
		gaps = p.stalls(t.By)
	}
	if j.live {
		return answer{numbers: []number{j.openGap(t, j.frame.end)}}
	}
	worst := longest(gaps, parts)
	if t.By == "partition" {
		a := answer{}
		for _, at := range j.spots(t.Subject) {
			a.numbers = append(a.numbers, stallNumber(j.label(at), worst, at))
		}
		return a
	}
	all := number{spot: noSpot}
	for _, at := range slices.Sorted(maps.Keys(worst)) {
		if n := stallNumber("", worst, at); n.v > all.v {
			all = n
			if at >= 0 {
				all.note = "on " + j.label(at)
			}
		}
	}
	return answer{numbers: []number{all}}
}

func stallNumber(label string, worst map[spot]gap, at spot) number {
	n := number{label: label, spot: at}
	if g, ok := worst[at]; ok {
		n.v = (g.to - g.from).Seconds()
		n.at, n.to = &g.from, &g.to
	}
	return n
}

func (j *judging) gaugeAnswer(t *plan.Term, m plan.Measure) answer {
	g := j.gaugeOf[t]
	if g == nil {
		return none("%s: nothing recorded", t.Subject.Name)
	}
	w, err := j.frame.resolve(t.Windows)
	if err != nil {
		return none("%v", err)
	}
	a := answer{gauge: true}
	parts := j.frame.cut(w)
	var latest time.Duration
	for _, s := range g.series {
		if n := len(s.points); n > 0 {
			latest = max(latest, s.points[n-1].from)
		}
	}
	for _, s := range g.series {
		out := series{label: s.label, spot: s.spot}
		for i, p := range s.points {
			switch {
			case j.live:
				if i == len(s.points)-1 && p.from == latest && w.parts.has(p.from) {
					out.points = append(out.points, p)
				}
			case w.atEnd || w.isAt:
				limit := j.frame.end
				if w.isAt {
					limit = min(w.at, limit)
				}
				if p.from <= limit {
					out.points = append(out.points[:0], p)
				}
			case parts.has(p.from):
				out.points = append(out.points, p)
			}
		}
		if len(out.points) > 0 {
			a.points = append(a.points, out)
		}
	}
	if len(a.points) == 0 {
		return none("no sample in the window")
	}
	if !j.live {
		times := j.clusters[g.cluster].samples
		if g.of != nil {
			times = g.times
		}
		if a.doubt = j.unseen(times, w, parts); a.doubt != "" && (w.atEnd || w.isAt) {
			return none("%s", a.doubt)
		}
	}
	if (w.atEnd || w.isAt) && !j.live {
		// A member that left before is no longer there at the moment.
		var last time.Duration
		for _, s := range a.points {
			last = max(last, s.points[0].from)
		}
		kept := a.points[:0]
		for _, s := range a.points {
			if s.points[0].from == last {
				kept = append(kept, s)
			}
		}
		a.points = kept
	}
	a.from = a.points[0].points[0].from
	if !wantsPoints(t, m) {
		a.numbers = numbersOf(a.points, t.Stat)
	}
	return a
}

// unseen says where samples are missing: about a moment, when the last one
// before it is old; in a window, when it has a hole in which much could have
// happened. A sampler looks every 200 ms, more seldom on a machine that is busy.
func (j *judging) unseen(times []time.Duration, w window, parts pieces) string {
	if w.atEnd || w.isAt {
		limit := j.frame.end
		if w.isAt {
			limit = min(w.at, limit)
		}
		var last time.Duration
		for _, t := range times {
			if t <= limit {
				last = t
			}
		}
		if limit-last > max(2*time.Second, j.info.Wall(500*time.Millisecond)) {
			return "the last sample is from " + Clock(last)
		}
		return ""
	}
	hole := max(5*time.Second, j.info.Wall(2*time.Second))
	for _, p := range parts {
		at := p.from
		for _, t := range times {
			if t < p.from || t >= p.to {
				continue
			}
			if t-at > hole {
				break
			}
			at = t
		}
		if p.to-at > hole {
			return "no sample after " + Clock(at) + " for more than " + Length(hole)
		}
	}
	return ""
}
