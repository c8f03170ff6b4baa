package embedded_test

// This file tests whole runs of what the chapter's words do to clusters and clients, with
// real clients: mirrors, fail-over, users, reroutes, and runs side by side.

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"starfall/interp"
	"starfall/runtime"
	"starfall/runtime/embedded"
	"starfall/runtime/judge"
	"starfall/runtime/kafka"
	"starfall/runtime/record"
)

// runLimit bounds each run by the wall clock; none comes near it.
const runLimit = 90 * time.Second

// outcome is a run and its verdict.
type outcome struct {
	folder  string
	err     error
	rec     *record.Recording
	verdict *judge.Verdict
}

// carryOut runs a scenario and judges it.
func carryOut(t *testing.T, source, folder string) (out outcome) {
	t.Helper()
	out.folder = folder
	p, err := interp.Load("scenario.star", interp.Options{FS: fstest.MapFS{"scenario.star": {Data: []byte(source)}}})
	if err != nil {
		t.Error(err)
		return outcome{err: err}
	}
	ctx, cancel := context.WithTimeout(context.Background(), runLimit)
	defer cancel()
	_, out.err = runtime.Run(ctx, p, runtime.Options{Engine: embedded.Engine{}, Connect: kafka.Connect, Speed: 4, Folder: folder})
	if out.rec, err = record.Open(folder); err == nil {
		out.verdict, err = judge.Judge(out.rec.Plan, out.rec)
	}
	if err != nil {
		t.Error(err)
		out.err = err
	}
	return out
}

// passes wants every claim of a run to hold. A busy machine may make a verdict
// inconclusive; it must not break a claim, as all are of fates.
func (o outcome) passes(t *testing.T) {
	t.Helper()
	if o.err != nil {
		t.Errorf("got error %v", o.err)
		return
	}
	ok := o.verdict.Result == judge.Pass || o.verdict.Result == judge.Inconclusive
	for _, c := range o.verdict.Claims {
		ok = ok && c.Outcome == judge.Held
	}
	for _, e := range o.rec.Events {
		if e.Kind == record.KindUnproved {
			ok = false
		}
	}
	if ok {
		return
	}
	t.Errorf("got %s", o.verdict.Result)
	for _, c := range o.verdict.Claims {
		t.Logf("%s %s: %s", c.Outcome, c.Text, c.Measured)
	}
	for _, e := range o.rec.Events {
		if e.Error != "" || e.Kind == record.KindDrainLimit {
			t.Logf("%s %s %s: %s", e.At, e.Kind, e.What, e.Error)
		}
	}
	if b, err := os.ReadFile(filepath.Join(o.folder, record.DirLogs, "clients.log")); err == nil {
		t.Logf("%s", b)
	}
}

const mirrored = `
scenario(run_for = "30s", warmup = "2s", drain = "60s")
dc1 = site()
dc2 = site()
east = cluster(brokers = 3, site = dc1, auth = "plain")
west = cluster(brokers = 1, site = dc2)
orders = topic(east, partitions = 3, replicas = 3, min_insync = 2)
ann = user(east, produces = orders)
bob = user(east, consumes = orders)
copy = mirror(orders, to = west, site = dc2, sync_offsets_every = "1s")
shop = producer(orders, rate = 100, members = 2, idempotent = True, user = ann)
billing = consumer(orders, group = "billing", members = 2, user = bob)
at("8s", fail_over(shop, billing, to = copy))
at("18s", fail_back(billing), fail_back(shop))
at("22s", crash(shop.member(1), restart_after = "2s"))
expect(billing.missing.none())
expect(orders.lost.none())
expect(copy.missing.none())
expect(copy.identical("records").equals(True))
expect(copy.identical("order").equals(True))
expect(copy.identical("partitions").equals(True))
expect(billing.phantoms.none())
expect(shop.denied.none())
`

func TestMirrorAndFailOver(t *testing.T) {
	out := carryOut(t, mirrored, filepath.Join(t.TempDir(), "run"))
	out.passes(t)
	if t.Failed() {
		return
	}
	var proofs []string
	seen := map[string]bool{} // topics with records in the audit
	for _, e := range out.rec.Events {
		if e.Kind == record.KindEffect && strings.HasPrefix(e.Proof, "ready at ") {
			proofs = append(proofs, e.Proof)
		}
	}
	if _, err := out.rec.Scan(func(b *record.Block) error {
		for _, m := range b.Audits {
			if m.HighWater > 0 {
				seen[out.rec.Plan.Topics[m.Topic].Name] = true
			}
		}
		return b.Spans(func(record.Stream, []record.Span) error { return nil })
	}); err != nil {
		t.Fatal(err)
	}
	if len(proofs) != 3 {
		t.Errorf("got proofs %q, want one there and two back", proofs)
	}
	for _, name := range []string{"orders", "west/orders", "west/east.orders"} {
		if !seen[name] {
			t.Errorf("got no record in %s at the audit, want some in each", name)
		}
	}
}

// TestSideBySide: cells of a sweep in one process do not disturb each other.
func TestSideBySide(t *testing.T) {
	const scenario = `
scenario(run_for = "10s", warmup = "1s")
kafka = cluster(brokers = 3)
orders = topic(kafka, partitions = 3, replicas = 3, min_insync = 2)
shop = producer(orders, rate = 100)
billing = consumer(orders, group = "billing", members = 2)
at("3s", kill(kafka.broker(2), restart_after = "3s"))
expect(billing.missing.none())
expect(billing.phantoms.none())
expect(orders.lost.none())
`
	dir := t.TempDir()
	outs := make([]outcome, 3)
	var wait sync.WaitGroup
	for i := range outs {
		wait.Go(func() { outs[i] = carryOut(t, scenario, filepath.Join(dir, string(rune('a'+i)))) })
	}
	wait.Wait()
	ids := map[uint64]bool{}
	for _, o := range outs {
		o.passes(t)
		if o.rec != nil {
			ids[o.rec.Info.ID] = true
		}
	}
	if len(ids) != len(outs) {
		t.Errorf("got ids %v, want one for each run", ids)
	}
}
