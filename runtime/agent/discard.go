package agent

// This file defines what a power failure takes from a log dir of Kafka.
//
// A broker answers once a record is in the memory of its host; what is on the
// disk is another matter. As of Kafka 3.9:
//
//	file                               on the disk
//	active segment                     up to the recovery point: flush.messages (off unless set) in
//	                                   UnifiedLog.append, flush.ms in LogManager.flushDirtyLogs, which runs only
//	                                   when log.flush.scheduler.interval.ms is set too; else what the operating
//	                                   system has written by itself (Linux: pages older than 30 s)
//	older segments                     whole: UnifiedLog.roll schedules a flush of all that is before the new one
//	recovery-point-offset-checkpoint,  as they are: CheckpointFile.write syncs them; but recovery points are
//	log-start-, replication-offset-…   written once a minute (log.flush.offset.checkpoint.interval.ms), so that
//	                                   the true one may be later
//	leader-epoch-checkpoint            as it is: LeaderEpochFileCache.assign writes and syncs before it returns;
//	                                   LogLoader cuts what is beyond the end
//	*.snapshot of producers            as they are, but those beyond the end would be of records that are gone
//	*.index, *.timeindex, *.txnindex   anything; Kafka builds them anew where the segment is recovered
//	__cluster_metadata-0               as it is: KafkaRaftClient.appendAsFollower and flushLeaderLog flush each
//	                                   append of a voter; of an observer, which does not flush, it is a copy of
//	                                   what the voters have, fetched again at its start
//	.kafka_cleanshutdown               written last and only by a shutdown that has flushed everything; a broker
//	                                   that runs has removed it
//
// So only the end of the active segment can go, at the border of a batch.
// ZooKeeper syncs its log before it answers (forceSync): nothing to take there.

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Flushing is what had been written to the disk beside what Kafka's own files
// tell. Its zero value: nothing.
type Flushing struct {
	// Messages is flush.messages: after an append that leaves at least so many
	// records unflushed, all are flushed; 0: never.
	Messages int64 `json:"messages,omitempty"`
	// Age is from when on a record is on the disk: the 30 s of the operating
	// system, or flush.ms where log.flush.scheduler.interval.ms is set; 0:
	// never. A record is as old as the largest timestamp of its batch says.
	Age time.Duration `json:"age,omitempty"`
}

// Loss says how much of a log dir a power failure takes.
type Loss struct {
	Default Flushing            `json:"default"`
	Topics  map[string]Flushing `json:"topics,omitempty"` // instead of Default
}

// Names in a log dir (LogManager, LogFileUtils).
const (
	recoveryPoints  = "recovery-point-offset-checkpoint"
	cleanShutdown   = ".kafka_cleanshutdown"
	metadataLog     = "__cluster_metadata"
	logSuffix       = ".log"
	snapshotSuffix  = ".snapshot"
	offsetNameWidth = 20 // digits of the base offset in a file's name
)

// partitionKey names a partition.
type partitionKey struct {
	topic     string
	partition int
}

func (k partitionKey) String() string { return k.topic + "-" + strconv.Itoa(k.partition) }

// discard takes from a log dir what a power failure at now takes. What it gives
// is sorted by folder; partitions that lose nothing are not in it.
func discard(ctx context.Context, dir string, loss Loss, now time.Time) ([]Discarded, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("discard: %w", err)
	}
	points, err := readRecoveryPoints(filepath.Join(dir, recoveryPoints))
	if err != nil {
		return nil, fmt.Errorf("discard: %w", err)
	}
	if err := os.Remove(filepath.Join(dir, cleanShutdown)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("discard: %w", err)
	}
	var out []Discarded
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return out, fmt.Errorf("discard %s: %w", dir, err)
		}
		// Folders on their way out or in (-delete, -future, -stray) do not parse.
		key, ok := parsePartition(e.Name())
		if !ok || !e.IsDir() || key.topic == metadataLog {
			continue
		}
		flushing, ok := loss.Topics[key.topic]
		if !ok {
			flushing = loss.Default
		}
		d, err := discardPartition(filepath.Join(dir, e.Name()), points[key], flushing, now)
		if err != nil {
			return out, fmt.Errorf("discard %s: %w", filepath.Join(dir, e.Name()), err)
		}
		if d.Bytes > 0 {
			d.Partition = key.String()
			out = append(out, d)
		}
	}
	return out, nil
}

// parsePartition reads the name of a partition's folder.
func parsePartition(name string) (partitionKey, bool) {
	i := strings.LastIndexByte(name, '-')
	if i <= 0 {
		return partitionKey{}, false
	}
	n, err := strconv.Atoi(name[i+1:])
	if err != nil || n < 0 {
		return partitionKey{}, false
	}
	return partitionKey{name[:i], n}, true
}

// readRecoveryPoints reads a checkpoint file: a version, a count, and so many
// lines of topic, partition and offset. A file that is not there yet is empty.
func readRecoveryPoints(path string) (map[partitionKey]int64, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(b) == 0 {
		return nil, nil // Kafka creates it empty
	}
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	if lines[0] != "0" {
		return nil, fmt.Errorf("%s: got version %q, want 0", path, lines[0])
	}
	if len(lines) < 2 || lines[1] != strconv.Itoa(len(lines)-2) {
		return nil, fmt.Errorf("%s: the number of entries is not the number of lines", path)
	}
	out := make(map[partitionKey]int64, len(lines)-2)
	for _, line := range lines[2:] {
		f := strings.Fields(line)
		if len(f) != 3 {
			return nil, fmt.Errorf("%s: got line %q, want topic, partition and offset", path, line)
		}
		n, err1 := strconv.Atoi(f[1])
		offset, err2 := strconv.ParseInt(f[2], 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("%s: line %q: %w", path, line, err)
		}
		out[partitionKey{f[0], n}] = offset
	}
	return out, nil
}

// baseOffset reads the offset that a file of a log is named by.
func baseOffset(name, suffix string) (int64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != offsetNameWidth {
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil && n >= 0
}

// discardPartition cuts the active segment of one partition's log.
func discardPartition(dir string, recovery int64, f Flushing, now time.Time) (Discarded, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return Discarded{}, err
	}
	active := int64(-1)
	for _, e := range entries {
		if base, ok := baseOffset(e.Name(), logSuffix); ok {
			active = max(active, base)
		}
	}
	if active < 0 {
		return Discarded{}, nil
	}
	prefix := filepath.Join(dir, fmt.Sprintf("%0*d", offsetNameWidth, active))
	// A segment begins where what is before it was flushed.
	c, err := findCut(prefix+logSuffix, max(recovery, active), f, now)
	if err != nil || c.lost == 0 {
		return Discarded{}, err
	}
	for _, suffix := range []string{".index", ".timeindex", ".txnindex"} {
		if err := os.Remove(prefix + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Discarded{}, err
		}
	}
	for _, e := range entries {
		if at, ok := baseOffset(e.Name(), snapshotSuffix); ok && at > c.offset {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return Discarded{}, err
			}
		}
	}
	if err := os.Truncate(prefix+logSuffix, c.position); err != nil {
		return Discarded{}, err
	}
	return Discarded{From: c.offset, Bytes: c.lost}, nil
}

// cut is where a segment ends after a power failure.
type cut struct {
	offset   int64 // the first that is gone
	position int64 // where its batch begins
	lost     int64 // bytes behind that
}

// The head of a record batch (DefaultRecordBatch): where its fields begin.
const (
	batchLengthAt  = 8  // bytes of the batch after this field
	batchMagicAt   = 16 // 2
	batchDeltaAt   = 23 // of the last offset
	batchMaxTimeAt = 35
	batchHead      = 61
	batchOverhead  = 12 // offset and length
)

// findCut reads the batches of a segment. A batch stays when it begins before
// what had been flushed, when a flush by count followed it, or when it or a
// later one is old enough.
func findCut(path string, flushed int64, f Flushing, now time.Time) (cut, error) {
	file, err := os.Open(path)
	if err != nil {
		return cut{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return cut{}, err
	}
	size := info.Size()
	base, _ := baseOffset(filepath.Base(path), logSuffix)
	at := cut{offset: base}
	r := bufio.NewReaderSize(file, 256<<10)
	head := make([]byte, batchHead)
	for position := int64(0); position+batchHead <= size; {
		if _, err := io.ReadFull(r, head); err != nil {
			return cut{}, err
		}
		first := int64(binary.BigEndian.Uint64(head))
		length := int64(int32(binary.BigEndian.Uint32(head[batchLengthAt:]))) + batchOverhead
		if length < batchHead || position+length > size {
			break // half written, or room that was allocated before: Kafka cuts it too
		}
		if magic := head[batchMagicAt]; magic != 2 {
			return cut{}, fmt.Errorf("%s: at %d: got a batch of magic %d, want 2", path, position, magic)
		}
		next := first + int64(int32(binary.BigEndian.Uint32(head[batchDeltaAt:]))) + 1
		position += length
		if f.Messages > 0 && next-flushed >= f.Messages {
			flushed = next
		}
		written := time.UnixMilli(int64(binary.BigEndian.Uint64(head[batchMaxTimeAt:])))
		if first < flushed || f.Age > 0 && now.Sub(written) >= f.Age {
			at.offset, at.position = next, position
		}
		if _, err := r.Discard(int(length - batchHead)); err != nil {
			return cut{}, err
		}
	}
	at.lost = size - at.position
	return at, nil
}
