package docker

// This file defines what the format tool would write into an empty log dir, so
// that no JVM has to be spent on it: meta.properties, and bootstrap.checkpoint
// where a version has features that are not on by themselves.

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

// uuid writes 16 bytes as Kafka writes its ids, which never begin with a dash.
func uuid(b [16]byte) string {
	b[0] &= 0x7f
	return strings.TrimRight(base64.URLEncoding.EncodeToString(b[:]), "=")
}

// metadataLevel is the newest metadata.version of a version between 3.5 and 3.9,
// which has to be said beside other records of bootstrap.checkpoint
// (MetadataVersion.LATEST_PRODUCTION of each).
func metadataLevel(v release) (feature, bool) {
	levels := map[int]int16{5: 11, 6: 14, 7: 19, 8: 20, 9: 21}
	level, ok := levels[v[1]]
	return feature{"metadata.version", level}, ok && v[0] == 3
}

// appendCompact writes a compact string or compact bytes.
func appendCompact(b, v []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v)+1)), v...)
}

// record is a FeatureLevelRecord (version 0).
func (f feature) record() []byte {
	const featureLevel = 12
	v := appendCompact([]byte{1, featureLevel, 0}, []byte(f.name)) // frame version, type, version
	return append(binary.BigEndian.AppendUint16(v, uint16(f.level)), 0)
}

// bootstrapRecords are those with which a new cluster begins, none where a
// version needs no telling: feature levels, then SCRAM credentials.
func bootstrapRecords(list []feature, v release, scram [][]byte) [][]byte {
	if level, ok := metadataLevel(v); ok && len(scram) > 0 {
		list = []feature{level}
	}
	var out [][]byte
	for _, f := range list {
		out = append(out, f.record())
	}
	return append(out, scram...)
}

// checkpoint is the content of bootstrap.checkpoint: a snapshot at offset 0 of
// epoch 0, in three batches: header, the records, footer
// (BatchFileWriter, MetadataRecordSerde). now is in milliseconds.
func checkpoint(values [][]byte, now int64) []byte {
	const header, footer = 3, 4 // types of control records
	control := func(kind int16, value []byte) [2][]byte {
		return [2][]byte{binary.BigEndian.AppendUint16([]byte{0, 0}, uint16(kind)), value}
	}
	var records [][2][]byte
	for _, v := range values {
		records = append(records, [2][]byte{nil, v})
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
