package remote

// This file compares a run with its clients here and elsewhere.

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"starfall/internal/cputime"
	"starfall/runtime"
	"starfall/runtime/kafka"
)

const busy = `
scenario(run_for = "10s", seed = 1)
kafka = cluster(brokers = 1)
orders = topic(kafka, partitions = 6, replicas = 1)
shop = producer(orders, rate = 50000)
billing = consumer(orders, group = "billing")
expect(orders.lost.none())
`

// BenchmarkRun runs 50,000 records a second for ten seconds, written, read and
// audited. What a record costs contains the brokers' share, which is the same
// for both; bytes are those that come from inside.
func BenchmarkRun(b *testing.B) {
	p := compile(b, busy)
	for _, where := range []string{"here", "there"} {
		b.Run("clients="+where, func(b *testing.B) {
			var used, records, bytes float64
			for range b.N {
				o := runtime.Options{Connect: kafka.Connect, Speed: 1}
				var came atomic.Int64
				if where == "there" {
					bed := newBed(b, p)
					for _, a := range bed.load {
						a.count(&came)
					}
					o.Connect = bed.connect
				}
				before := cputime.Used()
				out := run(b, p, o)
				used += float64(cputime.Used() - before)
				if out.err != nil {
					b.Fatal(out.err)
				}
				x := out.verdict.Producers[0]
				b.Logf("%s: sent %d, acked %d, late %.1f %%, delivered %d", where, x.Sent, x.Acked, 100*x.Late, out.verdict.Consumers[0].Distinct)
				records += float64(x.Acked)
				bytes += float64(came.Load())
			}
			b.ReportMetric(used/records, "cpu-ns/record")
			b.ReportMetric(bytes/records, "bytes/record")
		})
	}
}

// count adds up what is read on the agent's streams.
func (a *agent) count(n *atomic.Int64) {
	open := a.open
	a.open = func(ctx context.Context) (net.Conn, error) {
		c, err := open(ctx)
		if err != nil {
			return nil, err
		}
		return counting{c, n}, nil
	}
}

type counting struct {
	net.Conn
	n *atomic.Int64
}

func (c counting) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.n.Add(int64(n))
	return n, err
}
