// This file defines how a term is answered: from what was collected to
// numbers and points that a bound can be put to.

package judge

import (
	"fmt"
	"math"
	"sort"
	"strconv"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// number is one value of a term, and where it comes from.
type number struct {
	label     string
	partition int32 // -1: none
	v         float64
	at        *time.Duration // where: the moment
	to        *time.Duration
	note      string
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
}

func none(format string, args ...any) answer { return answer{noData: fmt.Sprintf(format, args...)} }

// answer answers a term.
func (j *judging) answer(t *plan.Term) answer {
	m, ok := plan.MeasureOf(t.Subject.Kind, t.Measure)
	if !ok {
		return none("%s.%s: no such measure", t.Subject.Kind, t.Measure)
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
	label     string
	partition int32
	ticks     ticks
}

// seriesOf gives the counts that a rate is made of.
func (j *judging) seriesOf(t *plan.Term) []labelled {
	name := t.Subject.Name
	var all ticks
	var by []ticks
	if t.Subject.Kind == plan.RefConsumer {
		x := j.consumer(name)
		if x == nil {
			return nil
		}
		all = x.rate
		if by = x.byMember; t.By == "partition" {
			by = x.byPart
		}
		if t.By == "partition" && len(x.plan.Topics) > 0 {
			name = x.plan.Topics[0]
			by = padTo(by, len(x.reads[j.byName[name]]))
		}
	} else {
		p := j.producer(name)
		if p == nil {
			return nil
		}
		all = p.acked
		if t.Measure == "sending" {
			all = p.sent
		}
		switch {
		case t.By == "partition":
			by, name = padTo(p.byPart, p.partitions), p.plan.Topic
		case t.Measure == "sending":
			by = padTo(p.sentBy, len(p.members))
		default:
			by = padTo(p.byMember, len(p.members))
		}
	}
	switch t.By {
	case "member":
		var out []labelled
		for i := 1; i < len(by); i++ {
			out = append(out, labelled{name + "-" + strconv.Itoa(i), -1, by[i]})
		}
		return out
	case "partition":
		var out []labelled
		for i := range by {
			out = append(out, labelled{partitionLabel(name, int32(i)), int32(i), by[i]})
		}
		return out
	}
	return []labelled{{"", -1, all}}
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
		out := series{label: s.label, partition: s.partition}
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
		n := number{label: s.label, partition: s.partition, v: sum / float64(len(v))}
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
		label     string
		partition int32
		lat       latencies
	}
	var list []source
	topic, what := "", "acknowledged"
	var all latencies
	var by []latencies
	if t.Subject.Kind == plan.RefConsumer {
		x := j.consumer(t.Subject.Name)
		if x == nil {
			return none("%s: nothing recorded", t.Subject.Name)
		}
		all, by, what = x.delay, x.delayBy, "delivered"
		if len(x.plan.Topics) > 0 {
			topic = x.plan.Topics[0]
		}
	} else {
		p := j.producer(t.Subject.Name)
		if p == nil {
			return none("%s: nothing recorded", t.Subject.Name)
		}
		all, by, topic = p.lat, p.latBy, p.plan.Topic
	}
	if t.By == "partition" {
		for i, l := range by {
			if l != nil {
				list = append(list, source{partitionLabel(topic, int32(i)), int32(i), l})
			}
		}
	} else {
		list = append(list, source{"", -1, all})
	}
	q, ok := quantileOf(t.Stat)
	if !ok {
		q = 1
	}
	a := answer{per: per}
	for _, s := range list {
		var whole histogram
		out := series{label: s.label, partition: s.partition}
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
		n := number{label: s.label, partition: s.partition, v: whole.quantile(q, j.cell).Seconds()}
		if q == 1 {
			at := whole.maxAt
			n.at = &at
			n.partition = whole.part
			n.note = fmt.Sprintf("record %d of member %d, on %s", whole.seq, whole.member, partitionLabel(topic, whole.part))
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
	topic, partitions := "", 1
	if t.Subject.Kind == plan.RefConsumer {
		x := j.consumer(t.Subject.Name)
		if x == nil || len(x.plan.Topics) == 0 {
			return none("%s: nothing recorded", t.Subject.Name)
		}
		topic = x.plan.Topics[0]
		partitions = len(x.reads[j.byName[topic]])
		if gaps = x.gaps; t.By == "all" {
			gaps = x.allGaps
		}
	} else {
		p := j.producer(t.Subject.Name)
		if p == nil {
			return none("%s: nothing recorded", t.Subject.Name)
		}
		topic, partitions = p.plan.Topic, p.partitions
		if gaps = p.gaps; t.By == "all" {
			gaps = p.allGaps
		}
	}
	if j.live {
		return answer{numbers: []number{j.openGap(t, j.frame.end)}}
	}
	worst := longest(gaps, parts)
	if t.By == "partition" {
		a := answer{}
		for i := range int32(partitions) {
			a.numbers = append(a.numbers, stallNumber(partitionLabel(topic, i), worst, i))
		}
		return a
	}
	all := number{partition: -1}
	keys := make([]int32, 0, len(worst))
	for k := range worst {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(a, b int) bool { return keys[a] < keys[b] })
	for _, k := range keys {
		if n := stallNumber("", worst, k); n.v > all.v {
			all = n
			if k >= 0 {
				all.note = "on " + partitionLabel(topic, k)
			}
		}
	}
	return answer{numbers: []number{all}}
}

func stallNumber(label string, worst map[int32]gap, partition int32) number {
	n := number{label: label, partition: partition}
	if g, ok := worst[partition]; ok {
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
		out := series{label: s.label, partition: s.partition}
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

func (j *judging) fate(t *plan.Term) answer {
	q := j.questOf[t]
	switch {
	case q == nil:
		return none("%s: nothing recorded", t.Subject.Name)
	case q.noData != "":
		return none("%s", q.noData)
	}
	if j.live {
		j.soFar(q)
	}
	if why := j.needsAudit(q); why != "" {
		return none("%s", why)
	}
	a := answer{question: q}
	if t.By == "partition" && t.Measure != "out_of_order" {
		name, n := j.partitionsOf(q)
		for k := range q.by {
			n = max(n, int(k)+1)
		}
		for i := range int32(n) {
			a.numbers = append(a.numbers, number{label: partitionLabel(name, i), partition: i, v: float64(q.by[i])})
		}
		return a
	}
	a.numbers = []number{{partition: -1, v: float64(q.total)}}
	a.of = j.outOf(q)
	return a
}

// partitionsOf gives the topic and number of partitions of a question.
func (j *judging) partitionsOf(q *question) (string, int) {
	switch q.kind {
	case plan.RefTopic:
		return j.plan.Topics[q.index].Name, j.plan.Topics[q.index].Partitions
	case plan.RefProducer:
		p := j.producers[q.index]
		return p.plan.Topic, p.partitions
	}
	x := j.consumers[q.index]
	if len(x.plan.Topics) == 0 {
		return "", 0
	}
	name := x.plan.Topics[0]
	return name, j.plan.Topics[j.byName[name]].Partitions
}

// outOf is how many records a whole-run count is out of.
func (j *judging) outOf(q *question) float64 {
	if !q.whole {
		return 0
	}
	var n uint64
	for _, p := range j.producers {
		switch {
		case q.kind == plan.RefProducer && q.index != p.index, q.kind != plan.RefProducer && !j.reads(q, p.topic):
			continue
		}
		p.each(func(m *member) {
			if q.kind == plan.RefProducer {
				n += m.accepted.count()
			} else {
				n += m.acked.count()
			}
		})
	}
	return float64(n)
}
