package docker

// This file defines what spares a cluster that comes up some of its waiting.

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/interp/plan"
	"starfall/runtime"
)

// How often a controller is nudged, and how long an answer may take.
const (
	nudgeEvery = 150 * time.Millisecond
	nudgeLimit = 3 * time.Second
)

// nudge has the nodes of a KRaft cluster learn at once what is committed, until
// ctx ends. The active controller of Kafka 3.9 tells the others how far the
// metadata log is committed with the next record only, half a second later at
// most (KafkaRaftClient.tryCompleteFetchRequest, metadata.max.idle.interval.ms);
// brokers that register wait for that several times. So records are made that
// change nothing, see nudging. Whoever is not active refuses them. It is of no
// importance whether it works, and nothing of it is left when the cluster is up.
func (w *world) nudge(ctx context.Context, c *plan.Cluster) {
	for _, n := range c.Nodes {
		s := w.servers[runtime.NodeKey{Cluster: c.Name, ID: n.ID}]
		if !s.voter() || zooKeeper(c) {
			continue
		}
		go func() {
			for ctx.Err() == nil {
				w.nudgeOne(ctx, s)
				select {
				case <-ctx.Done():
				case <-time.After(nudgeEvery):
				}
			}
		}()
	}
}

// nudgeOne nudges a controller until an error or the end of ctx.
func (w *world) nudgeOne(ctx context.Context, s *server) error {
	conn, err := w.control.agent.Dial(ctx, netip.Addr{}, netip.AddrPortFrom(s.box.addr, portController).String())
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	request := nudging(s.ID)
	for ctx.Err() == nil {
		conn.SetDeadline(time.Now().Add(nudgeLimit))
		if _, err := conn.Write(request); err != nil {
			return err
		}
		if err := skipFrame(conn); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(nudgeEvery):
		}
	}
	return context.Cause(ctx)
}

// nudging is a request that has an active controller log a record without meaning:
// a dynamic setting of a node, which is not set, is unset. It is logged all the
// same (KAFKA-14136). With a zero before its number the node is known to the
// controller (ConfigResourceExistenceChecker), and no node takes it for its own
// (DynamicConfigPublisher), so that none reads its configuration anew.
func nudging(node int32) []byte {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version = 1
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType = kmsg.ConfigResourceTypeBroker
	r.ResourceName = fmt.Sprintf("0%d", node)
	x := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	x.Name, x.Op = "log.cleaner.backoff.ms", kmsg.IncrementalAlterConfigOpDelete
	r.Configs = append(r.Configs, x)
	req.Resources = append(req.Resources, r)
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("starfall")).AppendRequest(nil, req, 0)
}

// skipFrame reads an answer, which nobody needs.
func skipFrame(conn net.Conn) error {
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(size[:])))
	return err
}
