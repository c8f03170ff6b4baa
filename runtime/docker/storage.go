package docker

// This file defines what the format tool would write into an empty log dir, so
// that no JVM has to be spent on it: meta.properties, and bootstrap.checkpoint
// where a version has features that are not on by themselves. Beside it, what the
// voter who stands for election first would write soon.

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
)

// feature is a feature and its level in a new cluster.
type feature struct {
	name  string
	level int16
}

// features are the feature levels that the format tool of a version gives a new
// cluster (Formatter, Feature.defaultLevel). ok is false for a version whose
// levels are not known here: then the tool itself has to run.
//
// Kafka 3.3 to 3.9 have but one, metadata.version, and take their newest
// without being told (BootstrapDirectory.readFromConfiguration).
func features(v release) (list []feature, ok bool) {
	switch {
	case v.before(3, 3):
		return nil, false
	case v.before(4, 0):
		return nil, true
	case v.before(4, 1):
		return []feature{{"metadata.version", 25}, {"group.version", 1}, {"transaction.version", 2}}, true
	case v.before(4, 2):
		return []feature{{"metadata.version", 27}, {"eligible.leader.replicas.version", 1}, {"group.version", 1}, {"transaction.version", 2}}, true
	case v.before(4, 4):
		level := int16(29)
		if !v.before(4, 3) {
			level = 30
		}
		return []feature{
			{"metadata.version", level}, {"eligible.leader.replicas.version", 1}, {"group.version", 1},
			{"share.version", 1}, {"streams.version", 1}, {"transaction.version", 2},
		}, true
	}
	return nil, false
}

// metaProperties is the content of meta.properties (version 1, KIP-858).
func metaProperties(cluster, directory string, id int32) string {
	return fmt.Sprintf("version=1\ncluster.id=%s\nnode.id=%d\ndirectory.id=%s\n", cluster, id, directory)
}

// quorumState is what a voter that has voted for itself in the first epoch has on
// disk (FileQuorumStateStore, version 0, which is that of static voters). It is
// where every cluster comes by without it, once the first voter has waited for a
// leader in vain for controller.quorum.election.timeout.ms or up to twice that
// (QuorumState.initialize); a voter that starts from it asks for votes at once.
func quorumState(self int32, voters []int32) string {
	var list []string
	for _, id := range voters {
		list = append(list, fmt.Sprintf(`{"voterId":%d}`, id))
	}
	return fmt.Sprintf(`{"clusterId":"","leaderId":-1,"leaderEpoch":1,"votedId":%d,"appliedOffset":0,"currentVoters":[%s],"data_version":0}`,
		self, strings.Join(list, ","))
}

// uuid writes 16 bytes as Kafka writes its ids, which never begin with a dash.
func uuid(b [16]byte) string {
	b[0] &= 0x7f
	return strings.TrimRight(base64.URLEncoding.EncodeToString(b[:]), "=")
}

// checkpoint is the content of bootstrap.checkpoint: a snapshot at offset 0 of
// epoch 0, in three batches: header, a feature level a record, footer
// (BatchFileWriter, MetadataRecordSerde). now is in milliseconds.
func checkpoint(list []feature, now int64) []byte {
	const (
		header, footer = 3, 4 // types of control records
		featureLevel   = 12   // FeatureLevelRecord
	)
	control := func(kind int16, value []byte) [2][]byte {
		return [2][]byte{binary.BigEndian.AppendUint16([]byte{0, 0}, uint16(kind)), value}
	}
	var records [][2][]byte
	for _, f := range list {
		v := []byte{1, featureLevel, 0} // frame version, type, version
		v = binary.AppendUvarint(v, uint64(len(f.name)+1))
		v = append(v, f.name...)
		v = binary.BigEndian.AppendUint16(v, uint16(f.level))
		records = append(records, [2][]byte{nil, append(v, 0)})
	}
	out := batch(0, now, true, control(header, make([]byte, 2+8+1)))
	out = append(out, batch(1, now, false, records...)...)
	return append(out, batch(1+int64(len(records)), now, true, control(footer, make([]byte, 2+1)))...)
}

// batch encodes records, each a key (nil: none) and a value, as a batch of
// magic 2 without producer or compression.
func batch(base, now int64, control bool, records ...[2][]byte) []byte {
	var body []byte // from the attributes on: what the checksum covers
	put16 := func(v int16) { body = binary.BigEndian.AppendUint16(body, uint16(v)) }
	put32 := func(v int32) { body = binary.BigEndian.AppendUint32(body, uint32(v)) }
	put64 := func(v int64) { body = binary.BigEndian.AppendUint64(body, uint64(v)) }
	attributes := int16(0)
	if control {
		attributes = 0x20
	}
	put16(attributes)
	put32(int32(len(records) - 1))
	put64(now) // first timestamp
	put64(now) // largest
	put64(-1)  // producer id
	put16(-1)
	put32(-1)
	put32(int32(len(records)))
	for i, r := range records {
		rec := []byte{0} // attributes
		rec = binary.AppendVarint(rec, 0)
		rec = binary.AppendVarint(rec, int64(i))
		if r[0] == nil {
			rec = binary.AppendVarint(rec, -1)
		} else {
			rec = binary.AppendVarint(rec, int64(len(r[0])))
			rec = append(rec, r[0]...)
		}
		rec = binary.AppendVarint(rec, int64(len(r[1])))
		rec = append(rec, r[1]...)
		rec = binary.AppendVarint(rec, 0) // headers
		body = binary.AppendVarint(body, int64(len(rec)))
		body = append(body, rec...)
	}
	out := binary.BigEndian.AppendUint64(nil, uint64(base))
	out = binary.BigEndian.AppendUint32(out, uint32(4+1+4+len(body)))
	out = binary.BigEndian.AppendUint32(out, 0) // leader epoch
	out = append(out, 2)
	out = binary.BigEndian.AppendUint32(out, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	return append(out, body...)
}
