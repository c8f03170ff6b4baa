package wire

// This file defines how the answer to a produce request becomes bytes.

import (
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// appendProduce does what resp.AppendTo does. That one finds out by reflection, for each
// partition, whether a leader is named, which took a thirtieth of the server's time when
// requests had a small batch for each of hundreds of partitions. Here are the answers that
// name none: those without errors.
//
//	partition, error code, base offset      all versions
//	log append time                         v2 and later
//	log start offset                        v5
//	no record errors, no message            v8
//	no tagged fields                        v9, the first flexible version
func appendProduce(dst []byte, resp *kmsg.ProduceResponse) []byte {
	if len(resp.Brokers) > 0 {
		return resp.AppendTo(dst)
	}
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			if resp.Topics[i].Partitions[j].ErrorCode != 0 {
				return resp.AppendTo(dst)
			}
		}
	}
	be, version := binary.BigEndian, resp.Version
	length := func(n, width int) {
		switch {
		case version >= 9:
			dst = binary.AppendUvarint(dst, uint64(n)+1)
		case width == 2:
			dst = be.AppendUint16(dst, uint16(n))
		default:
			dst = be.AppendUint32(dst, uint32(n))
		}
	}
	length(len(resp.Topics), 4)
	for i := range resp.Topics {
		t := &resp.Topics[i]
		length(len(t.Topic), 2)
		dst = append(dst, t.Topic...)
		length(len(t.Partitions), 4)
		for j := range t.Partitions {
			p := &t.Partitions[j]
			dst = be.AppendUint32(dst, uint32(p.Partition))
			dst = be.AppendUint16(dst, uint16(p.ErrorCode))
			dst = be.AppendUint64(dst, uint64(p.BaseOffset))
			if version >= 2 {
				dst = be.AppendUint64(dst, uint64(p.LogAppendTime))
			}
			if version >= 5 {
				dst = be.AppendUint64(dst, uint64(p.LogStartOffset))
			}
			switch {
			case version >= 9:
				dst = append(dst, 1, 0, 0) // an empty array, a null string, no tagged fields
			case version == 8:
				dst = append(dst, 0, 0, 0, 0, 0xff, 0xff)
			}
		}
		if version >= 9 {
			dst = append(dst, 0)
		}
	}
	if version >= 1 {
		dst = be.AppendUint32(dst, uint32(resp.ThrottleMillis))
	}
	if version >= 9 {
		dst = append(dst, 0)
	}
	return dst
}
