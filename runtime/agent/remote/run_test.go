package remote

import (
	"testing"

	"starfall/runtime"
	"starfall/runtime/kafka"
)

// TestSameRun compares runs with their clients here and elsewhere: verdicts,
// claim by claim, and what became of the records.
func TestSameRun(t *testing.T) {
	for _, tt := range []struct {
		name, source string
		exact        bool // counts are the schedule's
	}{
		{"plain", `
scenario(run_for = "12s", warmup = "2s", seed = 3)
east = site()
west = site()
kafka = cluster(brokers = 3, spread = [east, west])
orders = topic(kafka, partitions = 6, replicas = 3, min_insync = 2)
shop = producer(orders, rate = 400, members = 2, site = east)
kiosk = producer(orders, rate = 100, site = west)
billing = consumer(orders, group = "billing", members = 3, site = west)
audit = consumer(orders, group = "audit", members = 2, site = east)
expect(shop.rate.at_least(390))
expect(shop.failed.none())
expect(billing.missing.none())
expect(billing.duplicates.none())
expect(audit.missing.none())
expect(billing.delay.p99.at_most("5s"))
expect(billing.stall.at_most("3s"))
expect(billing.lag.at_most(2000))
expect(orders.lost.none())
expect(billing.phantoms.none())
expect(orders.out_of_order.none())
`, true},
		{"faults", `
scenario(run_for = "22s", warmup = "2s", seed = 3)
kafka = cluster(brokers = 3)
orders = topic(kafka, partitions = 4, replicas = 3, min_insync = 2)
shop = producer(orders, rate = 300, members = 2)
billing = consumer(orders, group = "billing", members = 2)
at("4s", crash(shop.member(1), restart_after = "3s"))
at("5s", crash(billing.member(2), restart_after = "4s"))
at("8s", set_rate(shop, 600))
at("10s", scale(billing, members = 3))
at("12s", kill(kafka.broker(1), restart_after = "2s"))
at("14s", scale(shop, members = 1))
at("15s", resize(orders, partitions = 6))
at("15.5s", configure(orders, {"retention.ms": "600000"}, revert_after = "2s"))
at("16s", send(orders, "not of this run"))
expect(shop.rate.during("18s", "21s").at_least(400))
expect(shop.failed.none())
expect(billing.missing.none())
expect(orders.lost.none())
`, false},
		{"transactions", `
scenario(run_for = "14s", seed = 1)
kafka = cluster(brokers = 3)
orders = topic(kafka, partitions = 3, replicas = 3, min_insync = 2)
shop = producer(orders, rate = 200, transaction = 100)
billing = consumer(orders, group = "billing", isolation = "read_committed")
at("5.3s", crash(shop.member(1), restart_after = "3s"))
expect(orders.lost.none())
expect(billing.missing.none())
expect(billing.duplicates.none())
`, false},
		{"broken claims", `
scenario(run_for = "18s", warmup = "2s", seed = 1)
office = site()
hall = site()
cellar = site()
kafka = cluster(brokers = 3, spread = [office, hall, cellar])
orders = topic(kafka, partitions = 1, replicas = 3, placement = {0: [1, 2, 3]})
shop = producer(orders, rate = 200, acks = 1, site = office)
at("4s", netsplit(office, heal_after = "11s"))
expect(orders.lost.none())
expect(shop.rate.at_least(100))
`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := compile(t, tt.source)
			if raceDetector && p.Producers[0].Transaction > 0 {
				t.Skip("sarama 1.61.1 races with itself when a transactional producer is cut off")
			}
			here := calm(t, func() outcome { return run(t, p, runtime.Options{Connect: kafka.Connect, Speed: 4}) })
			var b *bed
			there := calm(t, func() outcome {
				b = newBed(t, p)
				return run(t, p, runtime.Options{Connect: b.connect, Speed: 4})
			})
			t.Cleanup(func() {
				if t.Failed() {
					here.dump(t, "here")
					there.dump(t, "there")
				}
			})
			if here.err != nil || there.err != nil {
				t.Fatalf("errors: here %v, there %v", here.err, there.err)
			}
			if got, want := there.text(), here.text(); got != want {
				t.Errorf("verdict: got\n%swant\n%s", got, want)
			}
			for i, want := range here.verdict.Producers {
				got := there.verdict.Producers[i]
				alike(t, tt.exact, got.Name+" sent", got.Sent, want.Sent)
				alike(t, tt.exact, got.Name+" acked", got.Acked, want.Acked)
				alike(t, true, got.Name+" failed", got.Failed, want.Failed)
			}
			for i, want := range here.verdict.Consumers {
				got := there.verdict.Consumers[i]
				alike(t, tt.exact, got.Name+" deliveries", got.Deliveries, want.Deliveries)
				alike(t, tt.exact, got.Name+" distinct", got.Distinct, want.Distinct)
			}
			for _, a := range append([]*agent{b.control}, values(b.load)...) {
				if errs := a.failures(); len(errs) > 0 {
					t.Errorf("streams: got %v, want all in order", errs)
				}
			}
		})
	}
}

func values[K comparable, V any](m map[K]V) []V {
	var out []V
	for _, v := range m {
		out = append(out, v)
	}
	return out
}

// alike compares counts: what hangs on the moment of an event differs a little
// from run to run.
func alike(t *testing.T, exact bool, what string, got, want uint64) {
	t.Helper()
	slack := uint64(0)
	if !exact {
		slack = max(want/20, 100)
	}
	if got > want+slack || want > got+slack {
		t.Errorf("%s: got %d there, want %d as here, give or take %d", what, got, want, slack)
	}
}
