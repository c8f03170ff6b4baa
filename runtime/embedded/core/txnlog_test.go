package core

// This file tests what a log knows of transactions, without a cluster.

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// txnLogOf builds a log from steps: "w1" a record of producer 1 in a transaction, "p" a
// plain record, "c1" and "a1" the markers that commit and abort.
func txnLogOf(t *testing.T, steps ...string) *partitionLog {
	t.Helper()
	l := newPartitionLog(topicID{}, nil)
	seq := map[int64]int32{}
	for _, step := range steps {
		var b *batch
		pid := int64(-1)
		if len(step) > 1 {
			pid = int64(step[1] - '0')
		}
		switch step[0] {
		case 'p':
			b, _ = parseBatch(makeBatch(0, 1, 8, -1, -1, -1), 1<<20)
		case 'w':
			b, _ = parseBatch(makeTxnBatch(0, 1, pid, 0, seq[pid]), 1<<20)
			seq[pid]++
		case 'c', 'a':
			b = newMarker(0, &txnMarker{producerID: pid, commit: step[0] == 'c'})
		default:
			t.Fatalf("step %q", step)
		}
		b.assign(l.next, 0)
		l.append(0, b)
	}
	return l
}

func TestLastStableOffset(t *testing.T) {
	for _, tt := range []struct {
		steps []string
		hw    int64
		want  int64
	}{
		{[]string{"p", "p"}, 2, 2},
		{[]string{"p", "w1", "p"}, 3, 1},
		{[]string{"p", "w1", "p", "c1"}, 4, 4},
		{[]string{"p", "w1", "p", "a1"}, 4, 4},
		{[]string{"p", "w1", "p", "c1"}, 3, 1}, // the marker is not committed yet
		{[]string{"w1", "w2", "c1"}, 3, 1},
		{[]string{"w1", "w2", "c2"}, 3, 0},
		{[]string{"w1", "c1", "w1", "p"}, 4, 2},
		{[]string{"p", "c1", "p"}, 3, 3}, // a marker with nothing before it
		{[]string{"p", "p", "w1"}, 1, 1},
	} {
		t.Run(fmt.Sprint(tt.steps, tt.hw), func(t *testing.T) {
			if got := txnLogOf(t, tt.steps...).txns.stable(tt.hw); got != tt.want {
				t.Errorf("got last stable offset %d, want %d", got, tt.want)
			}
		})
	}
}

func TestAbortedIndex(t *testing.T) {
	//                      0     1     2     3     4     5     6     7     8
	l := txnLogOf(t, "w1", "w2", "a1", "w1", "a2", "c1", "w3", "w1", "a1")
	for _, tt := range []struct {
		from, to int64
		want     string
	}{
		{0, 9, "1@0 2@1 1@7"},
		{0, 3, "1@0 2@1"},
		{3, 6, "2@1"},
		{5, 6, ""},
		{7, 9, "1@7"},
		{0, 1, "1@0"},
	} {
		got := ""
		for i, a := range l.txns.abortedIn(tt.from, tt.to) {
			if i > 0 {
				got += " "
			}
			got += fmt.Sprintf("%d@%d", a.ProducerID, a.FirstOffset)
		}
		if got != tt.want {
			t.Errorf("from %d to %d: got aborted %q, want %q", tt.from, tt.to, got, tt.want)
		}
	}
	l.advanceStart(5)
	if n := len(l.txns.aborted); n != 1 {
		t.Errorf("after deleting up to 5: got %d entries of the index, want 1", n)
	}
}

func TestTruncationOpensTransactionsAgain(t *testing.T) {
	l := txnLogOf(t, "w1", "w2", "a1", "c2", "w1")
	l.truncate(3)
	if got := l.txns.stable(3); got != 1 {
		t.Errorf("got last stable offset %d, want 1, where the transaction of producer 2 begins", got)
	}
	if n := len(l.txns.aborted); n != 1 {
		t.Errorf("got %d aborted transactions, want the one whose marker is left", n)
	}
	l.truncate(1)
	if got := l.txns.stable(1); got != 0 || len(l.txns.aborted) != 0 {
		t.Errorf("got last stable offset %d and %d aborted, want 0 and none", got, len(l.txns.aborted))
	}
}

func TestMarkersOfAnOlderCoordinatorAreRefused(t *testing.T) {
	w, s := txnWorld(t, nil)
	expect(t, "init", s.init(60*sec), 0)
	write := func(coordinatorEpoch int32) int16 {
		code := codePending
		w.byID[1].broker.writeMarker(partitionKey{"t", 0}, &txnMarker{producerID: s.pid, epoch: s.epoch, coordinatorEpoch: coordinatorEpoch}, func(c int16) { code = c })
		w.Advance(w.Now() + sec)
		return code
	}
	expect(t, "coordinator epoch 3", write(3), 0)
	expect(t, "coordinator epoch 2", write(2), codeTxnCoordinatorFenced)
	expect(t, "coordinator epoch 3 again", write(3), 0)
}

func TestProduceThatTimesOutInVerificationIsNotWritten(t *testing.T) {
	w, s := txnWorld(t, nil)
	expect(t, "init", s.init(600*sec), 0)
	expect(t, "add", s.add("t", 0, 1), 0)
	coordinator := s.coordinator()
	part := int32(0)
	if leaders(w, "t")[0] == coordinator {
		part = 1
	}
	must(t, w.Pause(coordinator))
	req := produceRequest("t", part, -1, makeTxnBatch(7, 1, s.pid, s.epoch, 0))
	req.TransactionID = &s.id
	leader := leaders(w, "t")[part]
	start, answered, code := w.Now(), time.Duration(0), codePending
	w.Request(leader, ClientConn{ID: 1}, req, func(r kmsg.Response) {
		answered, code = w.Now()-start, r.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode
	})
	w.Advance(w.Now() + 11*sec)
	if code != codeRequestTimedOut || answered != 10*sec {
		t.Errorf("got error %d after %v, want %d after 10s", code, answered, codeRequestTimedOut)
	}
	must(t, w.Resume(coordinator))
	w.Advance(w.Now() + 60*sec)
	if got := read(t, w, part, 0); len(got) != 0 {
		t.Errorf("got %v in the log, want nothing: its client was told that it timed out", got)
	}
}

func TestAMarkerDuringVerificationKeepsTheBatchOut(t *testing.T) {
	w, s := txnWorld(t, nil)
	expect(t, "init", s.init(60*sec), 0)
	expect(t, "add", s.add("t", 0), 0)
	b := w.byID[1].broker
	r := b.replicas[partitionKey{"t", 0}]
	got := codePending
	b.verifyTxn(r, s.id, s.pid, s.epoch, func(code int16) { got = code })
	b.writeMarker(r.key, &txnMarker{producerID: s.pid, epoch: s.epoch}, func(int16) {})
	w.Advance(w.Now() + sec)
	expect(t, "a batch that a marker overtook", got, codeInvalidTxnState)
}
