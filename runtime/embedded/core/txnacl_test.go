package core

// This file tests the rights that a transaction needs from its first request to its last,
// and what of transactions is shown to whom.

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// insist asks until the answer is none of those that waiting mends.
func (g *guarded) insist(user string, req kmsg.Request, codes func(kmsg.Response) []int16) []int16 {
	g.t.Helper()
	var got []int16
	err := within(g.w, 60*sec, func() error {
		got = codes(g.as(user, req))
		for _, code := range []int16{codeConcurrentTransactions, codeNotCoordinator, codeCoordinatorNotAvailable, codeCoordinatorLoading} {
			if slices.Contains(got, code) {
				return fmt.Errorf("error %d", code)
			}
		}
		return nil
	})
	if err != nil {
		g.t.Fatalf("%s: %v", kmsg.NameForKey(req.Key()), err)
	}
	return got
}

// begin makes a transactional id as the super user.
func (g *guarded) begin(id string) (producerID int64, epoch int16) {
	g.t.Helper()
	find := at(kmsg.NewPtrFindCoordinatorRequest())
	find.CoordinatorType, find.CoordinatorKeys = 1, []string{id}
	g.insist("root", find, func(r kmsg.Response) []int16 {
		return []int16{r.(*kmsg.FindCoordinatorResponse).Coordinators[0].ErrorCode}
	})
	req := at(kmsg.NewPtrInitProducerIDRequest())
	req.TransactionalID, req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = &id, 60_000, -1, -1
	got := g.insist("root", req, func(r kmsg.Response) []int16 {
		resp := r.(*kmsg.InitProducerIDResponse)
		producerID, epoch = resp.ProducerID, resp.ProducerEpoch
		return []int16{resp.ErrorCode}
	})
	expect(g.t, "init", got[0], 0)
	return producerID, epoch
}

func TestTransactionNeedsItsRights(t *testing.T) {
	g := newGuarded(t)
	g.create("root", "t")
	g.create("root", "u")
	producerID, epoch := g.begin("x")
	g.begin("y")
	check := func(what string, got []int16, want ...int16) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: got errors %v, want %v", what, got, want)
		}
	}

	add := func() []int16 {
		t.Helper()
		req := kmsg.NewPtrAddPartitionsToTxnRequest()
		req.SetVersion(3)
		req.TransactionalID, req.ProducerID, req.ProducerEpoch = "x", producerID, epoch
		for _, name := range []string{"t", "u"} {
			req.Topics = append(req.Topics, kmsg.AddPartitionsToTxnRequestTopic{Topic: name, Partitions: []int32{0}})
		}
		return g.insist("ann", req, func(r kmsg.Response) (out []int16) {
			for _, rt := range r.(*kmsg.AddPartitionsToTxnResponse).Topics {
				out = append(out, rt.Partitions[0].ErrorCode)
			}
			return out
		})
	}
	check("add with no right", add(), 53, 53)
	data := makeTxnBatch(0, 1, producerID, epoch, 0)
	silent := produceRequest("t", 0, 0, data)
	silent.TransactionID = kmsg.StringPtr("x")
	if r := g.as("ann", silent); r != nil || !slices.Contains(g.ended, g.conns["ann"]) {
		t.Errorf("produce with acks=0 and no right to the id: got answer %v, ended connections %v, want none and the connection ended", r, g.ended)
	}
	g.may(onTxnID, "x", opWrite)
	check("add with the id", add(), 29, 29)
	g.may(onTopic, "t", opWrite)
	check("add with one topic", add(), 55, 29)
	g.may(onTopic, "u", opWrite)
	check("add with both topics", add(), 0, 0)

	addOffsets := at(kmsg.NewPtrAddOffsetsToTxnRequest())
	addOffsets.TransactionalID, addOffsets.ProducerID, addOffsets.ProducerEpoch, addOffsets.Group = "x", producerID, epoch, "g1"
	offsetsCode := func(r kmsg.Response) []int16 { return []int16{r.(*kmsg.AddOffsetsToTxnResponse).ErrorCode} }
	check("add offsets without the group", g.insist("ann", addOffsets, offsetsCode), 30)
	g.may(onGroup, "g1", opRead)
	check("add offsets with it", g.insist("ann", addOffsets, offsetsCode), 0)

	commit := at(kmsg.NewPtrTxnOffsetCommitRequest())
	commit.TransactionalID, commit.Group, commit.ProducerID, commit.ProducerEpoch = "x", "g1", producerID, epoch
	commit.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{}}}}
	refused := func() int {
		n := 0
		for _, rt := range g.as("ann", commit).(*kmsg.TxnOffsetCommitResponse).Topics {
			if rt.Partitions[0].ErrorCode == codeTopicAuthorization {
				n++
			}
		}
		return n
	}
	if got := refused(); got != 1 {
		t.Errorf("commit offsets of a topic that may not be read: got %d topics refused, want 1", got)
	}
	g.may(onTopic, "t", opRead)
	if got := refused(); got != 0 {
		t.Errorf("commit offsets of a topic that may be read: got %d topics refused, want 0", got)
	}

	end := at(kmsg.NewPtrEndTxnRequest())
	end.TransactionalID, end.ProducerID, end.ProducerEpoch, end.Commit = "x", producerID, epoch, true
	defer func() {
		got := g.insist("ann", end, func(r kmsg.Response) []int16 { return []int16{r.(*kmsg.EndTxnResponse).ErrorCode} })
		check("end", got, 0)
	}()

	list := func(user string) (ids []string) {
		req := at(kmsg.NewPtrListTransactionsRequest())
		req.DurationFilterMillis = -1
		for _, s := range g.as(user, req).(*kmsg.ListTransactionsResponse).TransactionStates {
			ids = append(ids, s.TransactionalID)
		}
		slices.Sort(ids)
		return ids
	}
	if got := list("ann"); !slices.Equal(got, []string{"x"}) {
		t.Errorf("list: got %v, want x alone", got)
	}
	if got := list("root"); !slices.Equal(got, []string{"x", "y"}) {
		t.Errorf("list as the super user: got %v, want x and y", got)
	}
	describe := func(user string) string {
		req := at(kmsg.NewPtrDescribeTransactionsRequest())
		req.TransactionalIDs = []string{"x", "y"}
		out := ""
		for _, s := range g.as(user, req).(*kmsg.DescribeTransactionsResponse).TransactionStates {
			out += fmt.Sprintf("%s %d", s.TransactionalID, s.ErrorCode)
			for _, rt := range s.Topics {
				out += " " + rt.Topic
			}
			out += ";"
		}
		return out
	}
	if got, want := describe("ann"), "x 0 t u;y 53;"; got != want {
		t.Errorf("describe: got %q, want %q", got, want)
	}
	if got, want := describe("root"), "x 0 __consumer_offsets t u;y 0;"; got != want {
		t.Errorf("describe as the super user: got %q, want %q", got, want)
	}
	markers := at(kmsg.NewPtrWriteTxnMarkersRequest())
	markers.Markers = []kmsg.WriteTxnMarkersRequestMarker{{ProducerID: 99, Topics: []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: "t", Partitions: []int32{0}}}}}
	mark := func() int16 {
		return g.as("ann", markers).(*kmsg.WriteTxnMarkersResponse).Markers[0].Topics[0].Partitions[0].ErrorCode
	}
	check("markers", []int16{mark()}, 31)
	g.may(onCluster, clusterName, opAlter)
	check("markers with ALTER", []int16{mark()}, 0)
}
