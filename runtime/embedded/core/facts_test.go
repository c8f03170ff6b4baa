package core

// This file holds the core to what real Kafka was measured to do when a broker is
// killed, stopped or cut off (the page of measured facts in the design).

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// spread gives the offsets of a fault against the brokers' heartbeats, since one
// measurement is one draw: each of them must lie within the bounds.
var spread = []time.Duration{0, 700 * ms, 1300 * ms, 1900 * ms}

type stallBounds struct{ low, high time.Duration }

func (b stallBounds) holds(d time.Duration) bool { return d >= b.low && d <= b.high }

func TestKilledBroker(t *testing.T) {
	short := map[string]string{"broker.session.timeout.ms": "2000", "broker.heartbeat.interval.ms": "500"}
	shortest := map[string]string{"broker.session.timeout.ms": "600", "broker.heartbeat.interval.ms": "100"}
	none := stallBounds{0, 100 * ms}
	tests := []struct {
		name    string
		config  map[string]string
		brokers int
		acks    int16
		victim  string // follower: a broker that is not the active controller; controller: the one that is
		living  stallBounds
		dead    stallBounds
	}{
		// The session runs from the last heartbeat, which is up to one interval old
		// when the broker dies: a fence comes between timeout - interval and timeout.
		{"defaults", nil, 3, -1, "follower", stallBounds{7000 * ms, 9600 * ms}, stallBounds{7000 * ms, 10300 * ms}},
		{"defaults, active controller", nil, 3, -1, "controller", stallBounds{10300 * ms, 12500 * ms}, stallBounds{10300 * ms, 13300 * ms}},
		{"defaults, acks=1", nil, 3, 1, "follower", none, stallBounds{7000 * ms, 10300 * ms}},
		{"lag time 1000", map[string]string{"replica.lag.time.max.ms": "1000"}, 3, -1, "follower", stallBounds{1000 * ms, 1900 * ms}, stallBounds{7000 * ms, 10300 * ms}},
		{"session 2000", short, 3, -1, "follower", stallBounds{1500 * ms, 2600 * ms}, stallBounds{1500 * ms, 3400 * ms}},
		{"session 2000, active controller", short, 3, -1, "controller", stallBounds{3200 * ms, 5600 * ms}, stallBounds{3200 * ms, 6500 * ms}},
		{"session 600", shortest, 3, -1, "follower", stallBounds{500 * ms, 1150 * ms}, stallBounds{500 * ms, 2300 * ms}},
		{"session 600, active controller", shortest, 3, -1, "controller", stallBounds{1800 * ms, 4200 * ms}, stallBounds{1800 * ms, 5200 * ms}},
		{"four brokers", nil, 4, -1, "follower", stallBounds{7000 * ms, 9600 * ms}, stallBounds{7000 * ms, 10300 * ms}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for i, offset := range spread {
				w := newWorld(t, Options{Brokers: tt.brokers, Seed: uint64(i), Config: tt.config})
				settle(t, w)
				createTopic(t, w, 1, "t", 12, 3, map[string]string{"min.insync.replicas": "2"}, nil)
				loads := startLoad(w, "t", 12, tt.acks)
				w.Advance(w.Now() + 5*sec + offset)
				victim, _ := w.ActiveController()
				if tt.victim == "follower" {
					victim = victim%int32(tt.brokers) + 1
				}
				before := leaders(w, "t")
				parts := w.Partitions(0)
				kill := w.Now()
				must(t, w.Kill(victim))
				w.Advance(kill + 20*sec)
				for p, l := range loads {
					got := l.stall(kill, w.Now())
					want := tt.living
					if before[p] == victim {
						want = tt.dead
					}
					if !slices.Contains(parts[p].Replicas, victim) {
						want = none
					}
					if !want.holds(got) {
						t.Errorf("kill at +%v, partition %d (leader %d, victim %d): got a stall of %v, want %v to %v; errors %v", offset, p, before[p], victim, got, want.low, want.high, l.lastErrors)
					}
				}
			}
		})
	}
}

func TestStoppedBrokerStallsNobody(t *testing.T) {
	for i, offset := range spread {
		for _, which := range []int32{0, 1} {
			w := newWorld(t, Options{Brokers: 3, Seed: uint64(i)})
			settle(t, w)
			createTopic(t, w, 1, "t", 12, 3, map[string]string{"min.insync.replicas": "2"}, nil)
			loads := startLoad(w, "t", 12, -1)
			w.Advance(w.Now() + 5*sec + offset)
			ctl, _ := w.ActiveController()
			victim := (ctl+which-1)%3 + 1
			stop, ended := w.Now(), time.Duration(0)
			must(t, w.Stop(victim, func() { ended = w.Now() }))
			w.Advance(stop + 10*sec)
			if took := ended - stop; ended == 0 || took > 400*ms {
				t.Errorf("stop at +%v: got ended after %v, want 0.2s to 0.3s", offset, took)
			}
			for p, l := range loads {
				// Measured: none; the client's own pause after an error is 0.1 s.
				if got := l.stall(stop, w.Now()); got > 400*ms {
					t.Errorf("stop at +%v, partition %d: got a stall of %v, want none; errors %v", offset, p, got, l.lastErrors)
				}
			}
		}
	}
}

// split cuts one broker off from all others.
func split(w *World, alone int32) {
	w.SetPaths(func(from, to int32) Path { return Path{Cut: from == alone || to == alone} })
}

func heal(w *World) { w.SetPaths(nil) }

func TestCutOffBroker(t *testing.T) {
	tests := []struct {
		name   string
		acks   int16
		minISR string
	}{
		{"acks=1", 1, "2"},
		{"acks=all, min_insync 2", -1, "2"},
		{"acks=all, min_insync 1", -1, "1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for i, offset := range spread {
				w := newWorld(t, Options{Brokers: 3, Seed: uint64(i)})
				settle(t, w)
				createTopic(t, w, 1, "t", 6, 3, map[string]string{"min.insync.replicas": tt.minISR}, nil)
				ctl, _ := w.ActiveController()
				alone := ctl%3 + 1
				before := leaders(w, "t")
				cut := false
				var majority, minority []*load
				for p := range 6 {
					l := &load{w: w, topic: "t", partition: int32(p), acks: tt.acks, readTimeout: 2 * sec}
					l.reach = func(b int32) bool { return !cut || b != alone }
					l.start()
					majority = append(majority, l)
					if before[p] == alone {
						m := &load{w: w, topic: "t", partition: int32(p), acks: tt.acks}
						m.next = 1_000_000
						m.reach = func(b int32) bool { return !cut || b == alone }
						m.start()
						minority = append(minority, m)
					}
				}
				w.Advance(w.Now() + 5*sec + offset)
				start := w.Now()
				cut = true
				split(w, alone)
				w.Advance(start + 20*sec)
				for p, l := range majority {
					got := l.stall(start, w.Now())
					switch {
					case tt.acks == 1 && before[p] != alone:
						if got > 100*ms {
							t.Errorf("cut at +%v, partition %d of a leader with the majority: got a stall of %v, want none", offset, p, got)
						}
					case tt.acks == 1:
						if got < 7*sec || got > 13*sec {
							t.Errorf("cut at +%v, partition %d: got a stall of %v, want 7s to 13s", offset, p, got)
						}
					default:
						if got < 7*sec || got > 11*sec {
							t.Errorf("cut at +%v, partition %d: got a stall of %v, want 7s to 11s", offset, p, got)
						}
					}
				}
				for _, m := range minority {
					acked := 0
					for _, at := range m.ackedAt {
						if at > start+100*ms {
							acked++
						}
					}
					switch {
					case tt.acks == 1 && acked < 1900:
						t.Errorf("cut-off client: got %d acknowledged, want all 2000", acked)
					case tt.acks != 1 && acked > 0:
						t.Errorf("cut-off client: got %d acknowledged, want none", acked)
					}
				}
				// The cut-off leader never steps down by itself.
				for _, r := range w.Replicas(alone) {
					if before[r.Partition] == alone && !r.Leader {
						t.Errorf("partition %d: the cut-off leader stepped down", r.Partition)
					}
				}
				healed := w.Now()
				cut = false
				heal(w)
				down := time.Duration(0)
				within(w, 10*sec, func() error {
					for _, r := range w.Replicas(alone) {
						if before[r.Partition] == alone && r.Leader {
							return fmt.Errorf("still leads")
						}
					}
					down = w.Now() - healed
					return nil
				})
				if down < 10*ms || down > 4*sec {
					t.Errorf("cut at +%v: the old leader stepped down %v after healing, want about 2s", offset, down)
				}
				whole := time.Duration(0)
				within(w, 30*sec, func() error {
					if err := w.Settled(); err != nil {
						return err
					}
					whole = w.Now() - healed
					return nil
				})
				if whole < 4*sec || whole > 9*sec {
					t.Errorf("cut at +%v: in-sync replicas whole %v after healing, want about 7s", offset, whole)
				}
				w.Advance(healed + 15*sec)
				for p, l := range majority {
					got := l.stall(healed, healed+14*sec)
					// The partitions whose leader did not change stall again, with acks=all:
					// the leaders wait for a broker that may join again (it is unfenced, and
					// was caught up less than replica.lag.time.max.ms ago) but whose fetches
					// are still held by TCP.
					again := tt.acks != 1 && before[p] != alone
					if again && (got < 2500*ms || got > 5500*ms) {
						t.Errorf("cut at +%v, partition %d: got a second stall of %v after healing, want 4s to 5s", offset, p, got)
					}
					if !again && got > 500*ms {
						t.Errorf("cut at +%v, partition %d: got a stall of %v after healing, want none", offset, p, got)
					}
				}
			}
		})
	}
}

func TestUncleanElection(t *testing.T) {
	for _, unclean := range []bool{true, false} {
		t.Run(fmt.Sprint(unclean), func(t *testing.T) {
			config := map[string]string{"broker.session.timeout.ms": "2000", "broker.heartbeat.interval.ms": "500"}
			if unclean {
				config["unclean.leader.election.enable"] = "true"
			}
			w := newWorld(t, Options{Brokers: 3, Controllers: 1, Config: maps.Clone(config)})
			settle(t, w)
			createTopic(t, w, 1, "t", 1, 3, nil, [][]int32{{1, 2, 3}})
			l := startLoad(w, "t", 1, -1)[0]
			w.Advance(w.Now() + 5*sec)
			killed := w.Now()
			must(t, w.Kill(2))
			must(t, w.Kill(3))
			err := within(w, 5*sec, func() error {
				if p := w.Partitions(0)[0]; !slices.Equal(p.ISR, []int32{1}) {
					return fmt.Errorf("got in-sync replicas %v, want [1]", p.ISR)
				}
				return nil
			})
			if took := w.Now() - killed; err != nil || took < 1400*ms || took > 2500*ms {
				t.Errorf("in-sync replicas alone after %v (%v), want about 2s", took, err)
			}
			w.Advance(w.Now() + 5*sec)
			epoch := w.Partitions(0)[0].LeaderEpoch
			must(t, w.Kill(1))
			l.stopped = true
			w.Advance(w.Now() + 4*sec)
			if p := w.Partitions(0)[0]; p.Leader != -1 || !slices.Equal(p.ISR, []int32{1}) {
				t.Errorf("all dead: got leader %d and in-sync replicas %v, want -1 and [1]", p.Leader, p.ISR)
			}
			must(t, w.Start(2))
			must(t, w.Start(3))
			w.Advance(w.Now() + 5*sec)
			p := w.Partitions(0)[0]
			if !unclean {
				if p.Leader != -1 {
					t.Errorf("got leader %d, want none without the old leader", p.Leader)
				}
				req := kmsg.NewPtrMetadataRequest()
				req.SetVersion(7)
				if m := ask(t, w, 2, req).(*kmsg.MetadataResponse).Topics[0].Partitions[0]; m.ErrorCode != codeLeaderNotAvailable || m.Leader != -1 || !slices.Equal(m.ISR, []int32{1}) {
					t.Errorf("metadata: got error %d, leader %d, in sync %v, want 5, -1 and the dead one", m.ErrorCode, m.Leader, m.ISR)
				}
				must(t, w.Start(1))
				settle(t, w)
				if lost := lostFrom(w, "t", l.acked); lost != 0 {
					t.Errorf("got %d acknowledged records lost, want 0", lost)
				}
				return
			}
			if p.Leader < 2 || p.LeaderEpoch != epoch+2 {
				t.Errorf("got leader %d in epoch %d, want 2 or 3 in epoch %d", p.Leader, p.LeaderEpoch, epoch+2)
			}
			must(t, w.Start(1))
			settle(t, w)
			alone := 0
			for _, at := range l.ackedAt {
				if at > killed+100*ms {
					alone++
				}
			}
			if lost := lostFrom(w, "t", l.acked); lost < alone-5 || lost > alone+5 {
				t.Errorf("got %d of %d acknowledged records lost, want the %d since the leader was alone", lost, len(l.acked), alone)
			}
		})
	}
}

// lostFrom counts acknowledged records that the leader of partition 0 does not have.
func lostFrom(w *World, topic string, acked []int64) int {
	p := w.Partitions(0)[0]
	have := map[int64]bool{}
	for _, v := range values(w.byID[p.Leader].disk.logs[partitionKey{topic, 0}]) {
		have[v] = true
	}
	lost := 0
	for _, v := range acked {
		if !have[v] {
			lost++
		}
	}
	return lost
}

func TestRestartedBrokerRegistersAfterMeasuredTime(t *testing.T) {
	w := newWorld(t, Options{Brokers: 3})
	settle(t, w)
	createTopic(t, w, 1, "t", 3, 3, nil, nil)
	ctl, _ := w.ActiveController()
	victim := ctl%3 + 1
	must(t, w.Kill(victim))
	w.Advance(w.Now() + 12*sec)
	start := w.Now()
	must(t, w.Start(victim))
	err := within(w, 10*sec, func() error {
		for _, n := range w.Nodes() {
			if n.ID == victim && (n.Process != Running || n.Fenced) {
				return fmt.Errorf("%v, fenced %v", n.Process, n.Fenced)
			}
		}
		return nil
	})
	if took := w.Now() - start; err != nil || took < 1800*ms || took > 2500*ms {
		t.Errorf("got unfenced after %v (%v), want about 1.9s", took, err)
	}
	settle(t, w)
}

// A broker that is killed and started again within its session is refused as a duplicate
// until the session is over (BrokerHeartbeatManager.hasValidSession), and serves nobody.
func TestQuickRestartWaitsForTheOldSession(t *testing.T) {
	up := map[int32]time.Duration{}
	var w *World
	w = newWorld(t, Options{Brokers: 3, OnUp: func(id int32) { up[id] = w.Now() }})
	settle(t, w)
	createTopic(t, w, 1, "t", 3, 3, map[string]string{"min.insync.replicas": "2"}, nil)
	loads := startLoad(w, "t", 3, -1)
	w.Advance(w.Now() + 5*sec)
	ctl, _ := w.ActiveController()
	victim := ctl%3 + 1
	killed := w.Now()
	must(t, w.Kill(victim))
	must(t, w.Start(victim))
	answered := time.Duration(0)
	w.at(killed+3*sec, func() {
		req := kmsg.NewPtrMetadataRequest()
		req.SetVersion(7)
		w.Request(victim, ClientConn{ID: 8}, req, func(kmsg.Response) { answered = w.Now() - killed })
	})
	w.Advance(killed + 20*sec)
	if answered < 7*sec || answered > 14*sec {
		t.Errorf("got an answer of the restarted broker after %v, want none before it is registered again", answered)
	}
	if got := up[victim] - killed; got < 7*sec || got > 14*sec {
		t.Errorf("its port opened after %v, want it closed until it is registered again", got)
	}
	for _, l := range loads {
		if got := l.stall(killed, killed+19*sec); got < 7*sec || got > 11*sec {
			t.Errorf("partition %d: got a stall of %v, want that of the whole session", l.partition, got)
		}
	}
	settle(t, w)
}
