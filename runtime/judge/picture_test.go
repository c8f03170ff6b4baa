package judge

import (
	"testing"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

func (x *world) depict(t *testing.T) *Picture {
	t.Helper()
	p, err := Depict(x.recording())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPictureOfAHealthyRun(t *testing.T) {
	p := newWorld().depict(t)
	if p.LoadEnded != 20*sec || p.End < 20*sec {
		t.Errorf("load ended: got %v, picture %v, want 20s and at least that", p.LoadEnded, p.End)
	}
	shop := p.Producers[0]
	for s := range 20 {
		if shop.Sent[s] != 100 || shop.Acked[s] < 99 || shop.Acked[s] > 100 {
			t.Errorf("second %d: got %d sent and %d acknowledged, want 100 and 99 or 100", s, shop.Sent[s], shop.Acked[s])
		}
		if q := shop.Times[s]; q.P50 < 5*ms || q.P50 > 6*ms || q.P99 > 6*ms || q.N != shop.Acked[s] {
			t.Errorf("second %d: got latencies %+v, want %d of 5 ms", s, q, shop.Acked[s])
		}
	}
	g := p.Groups[0]
	if n := len(g.Undelivered); g.Undelivered[n-1] != 0 || g.Undelivered[5] > 1 {
		t.Errorf("undelivered: got %v, want next to none, and none at the end", g.Undelivered)
	}
	if len(g.Lag) < 90 || g.Lag[40].Value > 8 {
		t.Errorf("lag: got %d values, %v, want one a sample and a few records", len(g.Lag), g.Lag[40])
	}
	if len(p.Partitions) != 4 || len(p.Brokers) != 3 {
		t.Fatalf("got %d partitions and %d brokers, want 4 and 3", len(p.Partitions), len(p.Brokers))
	}
	for k, lane := range p.Partitions {
		if len(lane.Spans) != 1 || lane.Spans[0].Leader != int32(k%3+1) || lane.Spans[0].InSync != 3 || lane.Spans[0].To != p.End {
			t.Errorf("partition %d: got %+v, want one span up to the end", k, lane)
		}
	}
	if b := p.Brokers[1]; b.Label != "kafka-2" || len(b.Spans) != 1 || !b.Spans[0].Alive {
		t.Errorf("broker: got %+v, want kafka-2 alive", b)
	}
}

// What the picture says at the end is what the claim about missing records
// measures.
func TestPictureEndsWithWhatIsMissing(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(x *world)
	}{
		{"every tenth skipped", func(x *world) {
			x.deliver = func(seq uint64, _ int32, ack time.Duration) []time.Duration {
				if seq%10 == 3 {
					return nil
				}
				return []time.Duration{ack + 2*ms}
			}
		}},
		{"some twice, some late, some never", func(x *world) {
			x.deliver = func(seq uint64, _ int32, ack time.Duration) []time.Duration {
				switch seq % 7 {
				case 0:
					return []time.Duration{ack + 2*ms, ack + 300*ms, ack + 2*sec}
				case 1:
					return []time.Duration{ack + 3*sec}
				case 2:
					return nil
				}
				return []time.Duration{ack + ms}
			}
		}},
		{"delivered, and never acknowledged", func(x *world) {
			x.unknown = func(seq uint64) string {
				if seq%5 == 0 {
					return "timeout"
				}
				return ""
			}
			x.deliver = func(seq uint64, _ int32, ack time.Duration) []time.Duration {
				if seq%20 == 1 {
					return nil
				}
				return []time.Duration{ack + 2*ms}
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := newWorld()
			tt.make(x)
			v := x.judge(t, billing("missing").none().expect())
			want := *v.Claims[0].Value
			p := x.depict(t)
			list := p.Groups[0].Undelivered
			if got := float64(list[len(list)-1]); got != want || want == 0 {
				t.Errorf("undelivered at the end: got %g, want %g, the missing records", got, want)
			}
		})
	}
}

// A record that is delivered before its acknowledgement comes is never owed,
// though the two are read in different blocks.
func TestPictureOfDeliveryBeforeAck(t *testing.T) {
	x := newWorld()
	w := record.NewMemory(x.plan, x.info)
	w.Event(record.Event{Kind: record.KindPhase, Phase: record.PhaseRun})
	p, c := w.Producer("shop", 1), w.Consumer("billing", 1)
	p.Due(0, 0, 100, 4)
	p.Accepted(0, 10, 0)
	c.DeliveredRun("orders", 0, 0, record.Identity{Run: 7, Member: 1, Seq: 0}, 1, 4, 500*ms)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	p.AckedRun(0, 1, 10, 0, 0, 1500*ms)
	c.Delivered("orders", 0, 4, record.Identity{Run: 7, Member: 1, Seq: 4}, 2500*ms)
	w.Event(record.Event{At: 4 * sec, Kind: record.KindPhase, Phase: record.PhaseAudit})
	pic, err := Depict(w.Recording())
	if err != nil {
		t.Fatal(err)
	}
	got := pic.Groups[0].Undelivered
	want := []int64{0, 6, 5, 5}
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Fatalf("undelivered: got %v, want %v", got, want)
		}
	}
}

func TestPictureOfAFault(t *testing.T) {
	x := newWorld()
	x.plan.Alarms[0].Text = "shop.rate.never_below(50)"
	x.events = append(outage(), record.Event{At: 9 * sec, Kind: record.KindAlarmRaised, Name: "slow"},
		record.Event{At: 11 * sec, Kind: record.KindAlarmCleared, Name: "slow"})
	x.sample = func(at time.Duration, s *record.Sample) {
		switch {
		case at > 14*sec && at < 18*sec:
			s.Cluster = "" // nobody looked
		case at >= 8200*ms && at < 12*sec:
			s.Brokers[1].Alive = false
			s.Partitions[1].Leader, s.Partitions[1].ISR = 3, []int32{1, 3}
		}
	}
	p := x.depict(t)
	if len(p.Windows) != 1 || p.Windows[0].From != 8003*ms || p.Windows[0].To != 12100*ms || !p.Windows[0].Proved ||
		p.Windows[0].Verb != plan.Kill || p.Windows[0].Targets[0] != "kafka-2" {
		t.Errorf("windows: got %+v, want kill of kafka-2 from 8.003 s to 12.1 s", p.Windows)
	}
	spans := p.Brokers[1].Spans
	want := []AliveSpan{{200 * ms, 8200 * ms, true}, {8200 * ms, 12 * sec, false}, {12 * sec, 14 * sec, true}, {18 * sec, p.End, true}}
	if len(spans) != len(want) {
		t.Fatalf("spans of kafka-2: got %+v, want %+v", spans, want)
	}
	for i := range want {
		if spans[i] != want[i] {
			t.Errorf("span %d of kafka-2: got %+v, want %+v", i, spans[i], want[i])
		}
	}
	if l := p.Partitions[1].Spans; len(l) != 4 || l[1].Leader != 3 || l[1].InSync != 2 || l[2].InSync != 3 {
		t.Errorf("spans of orders/1: got %+v, want leader 3 with 2 in sync in between", l)
	}
	if a := p.Alarms[0]; len(a.Raised) != 1 || a.Raised[0] != (AlarmSpan{9 * sec, 11 * sec}) {
		t.Errorf("alarm: got %+v, want raised from 9 s to 11 s", a)
	}
}

// Where the engine tells elections, a lane changes at their moment, not at that
// of the next sample.
func TestPictureHasElections(t *testing.T) {
	x := newWorld()
	x.info.Elections = true
	x.events = append(outage(), record.Event{At: 8111 * ms, Kind: record.KindElection, Cluster: "kafka", Topic: "orders", Partition: 1, From: 2, To: 3})
	x.sample = func(at time.Duration, s *record.Sample) {
		if at > 8111*ms {
			s.Partitions[1].Leader = 3
		}
	}
	l := x.depict(t).Partitions[1].Spans
	if len(l) != 2 || l[0].To != 8111*ms || l[1].From != 8111*ms || l[1].Leader != 3 {
		t.Errorf("spans of orders/1: got %+v, want leader 3 from 8.111 s", l)
	}
}

func TestPictureOfAFaultThatStays(t *testing.T) {
	x := newWorld()
	x.events = outage()[:2]
	p := x.depict(t)
	if len(p.Windows) != 1 || p.Windows[0].To != 20*sec {
		t.Errorf("windows: got %+v, want one up to the end of the load", p.Windows)
	}
}

// A run that never got to its load has a picture of nothing.
func TestPictureWithoutLoad(t *testing.T) {
	x := newWorld()
	w := record.NewMemory(x.plan, x.info)
	w.Event(record.Event{At: -sec, Kind: record.KindPhase, Phase: record.PhasePrepare})
	p, err := Depict(w.Recording())
	if err != nil {
		t.Fatal(err)
	}
	if p.End != 0 || len(p.Windows) != 0 {
		t.Errorf("got %+v, want nothing", p)
	}
}
