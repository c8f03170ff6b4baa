package explore

// This file defines the requests that the clients send.

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func createTopic(name string, partitions int, configs map[string]string) *kmsg.CreateTopicsRequest {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.SetVersion(7)
	req.TimeoutMillis = 10_000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, int32(partitions), 3
	for _, k := range []string{"min.insync.replicas", "unclean.leader.election.enable"} {
		if v, ok := configs[k]; ok {
			c := kmsg.NewCreateTopicsRequestTopicConfig()
			c.Name, c.Value = k, kmsg.StringPtr(v)
			t.Configs = append(t.Configs, c)
		}
	}
	req.Topics = append(req.Topics, t)
	return req
}

func reorder(partition int32, order []int32) *kmsg.AlterPartitionAssignmentsRequest {
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.TimeoutMillis = 5_000
	t := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	t.Topic = topicName
	p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
	p.Partition, p.Replicas = partition, order
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

func electPreferred(partition int32) *kmsg.ElectLeadersRequest {
	req := kmsg.NewPtrElectLeadersRequest()
	req.SetVersion(2)
	req.TimeoutMillis = 5_000
	t := kmsg.NewElectLeadersRequestTopic()
	t.Topic, t.Partitions = topicName, []int32{partition}
	req.Topics = append(req.Topics, t)
	return req
}

func metadata() *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.SetVersion(7)
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = kmsg.StringPtr(topicName)
	req.Topics = append(req.Topics, t)
	return req
}

func produce(partition int32, acks int16, batch []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.SetVersion(9)
	req.Acks, req.TimeoutMillis = acks, 1500
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topicName
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, batch
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

func fetch(partition int32, offset int64, isolation int8) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.SetVersion(11)
	req.IsolationLevel = isolation
	req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = -1, 0, 1, 1<<20, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic = topicName
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = partition, offset, 1<<20, -1
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// The layout of a v2 record batch with one record that carries eight bytes.
const (
	batchHeader = 61
	recordSize  = 15
	valueAt     = batchHeader + 6
	crcAt       = 17
	attributeAt = 21
	producerAt  = 43
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// oneRecord makes a batch with one record, a number, whose timestamp is when, in
// milliseconds since the Unix epoch. producerID -1 is no idempotent producer.
func oneRecord(when int64, value uint64, producerID int64, epoch int16, sequence int32) []byte {
	b := make([]byte, batchHeader+recordSize)
	be := binary.BigEndian
	be.PutUint32(b[8:], batchHeader-12+recordSize)
	be.PutUint32(b[12:], 0xffffffff)
	b[16] = 2
	be.PutUint64(b[27:], uint64(when))
	be.PutUint64(b[35:], uint64(when))
	be.PutUint64(b[43:], uint64(producerID))
	be.PutUint16(b[51:], uint16(epoch))
	be.PutUint32(b[53:], uint32(sequence))
	be.PutUint32(b[57:], 1)
	rec := b[batchHeader:]
	rec[0] = (recordSize - 1) << 1 // its length; attributes, time and offset deltas are 0
	rec[4] = 1                     // no key
	rec[5] = 8 << 1
	be.PutUint64(b[valueAt:], value)
	be.PutUint32(b[crcAt:], crc32.Checksum(b[attributeAt:], castagnoli))
	return b
}

// valueOf reads the number back; ok is false for a batch that oneRecord did not make.
func valueOf(b []byte) (value uint64, ok bool) {
	if len(b) != batchHeader+recordSize {
		return 0, false
	}
	return binary.BigEndian.Uint64(b[valueAt:]), true
}

// attrTransactional and attrControl are attributes of a batch.
const (
	attrTransactional = 1 << 4
	attrControl       = 1 << 5
)

// inTransaction marks a batch of oneRecord as part of its producer's transaction.
func inTransaction(b []byte) []byte {
	b[attributeAt+1] |= attrTransactional
	binary.BigEndian.PutUint32(b[crcAt:], crc32.Checksum(b[attributeAt:], castagnoli))
	return b
}

// batchKind is what a batch is to transactions.
type batchKind int8

const (
	plainBatch batchKind = iota
	txnBatch
	commitMarker
	abortMarker
)

// kindOf reads a batch's kind and producer. A control record's key is a version and a
// type, 1 for commit, after five bytes of the record.
func kindOf(b []byte) (kind batchKind, producerID int64) {
	producerID = int64(binary.BigEndian.Uint64(b[producerAt:]))
	switch attributes := b[attributeAt+1]; {
	case attributes&attrTransactional == 0:
		return plainBatch, producerID
	case attributes&attrControl == 0:
		return txnBatch, producerID
	case b[batchHeader+8] == 1:
		return commitMarker, producerID
	}
	return abortMarker, producerID
}

func sumOf(b []byte) uint32 { return binary.BigEndian.Uint32(b[crcAt:]) }

func nothing(kmsg.Response) {}
