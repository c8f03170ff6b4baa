// This file defines Recording: the side of a recording that the judge reads.

package record

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"

	"starfall/interp/plan"

	"github.com/klauspost/compress/zstd"
)

// Recording is what is known of a run. Events are in order of time.
type Recording struct {
	Plan   *plan.Plan
	Info   Info
	Events []Event
	// Whole is true when the writer closed the recording. A recording that is
	// not whole is readable up to where it was cut off; Cut says where.
	Whole bool
	Cut   string

	path     string // of the evidence; "" in memory
	payloads [][]byte
	reader   *Decoder
}

// seal puts what can be derived from the events.
func (r *Recording) seal() {
	sort.SliceStable(r.Events, func(i, j int) bool { return r.Events[i].At < r.Events[j].At })
	for _, e := range r.Events {
		if e.Kind != KindClosed {
			continue
		}
		r.Whole = true
		if st, err := os.Stat(r.path); r.path != "" && e.Bytes > 0 && (err != nil || st.Size() < e.Bytes) {
			r.Whole = false
			r.Cut = fmt.Sprintf("%s: shorter than the %d bytes that were written", fileEvidence, e.Bytes)
		}
	}
	if !r.Whole && r.Cut == "" {
		r.Cut = "journal.jsonl: the run did not end in good order"
	}
}

// Open reads a run folder. It fails when there is no plan to read the rest by,
// or when the folder was written by a newer starfall.
func Open(dir string) (*Recording, error) {
	about, err := os.ReadFile(filepath.Join(dir, FileInfo))
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	var version struct{ Format int }
	if err := json.Unmarshal(about, &version); err != nil {
		return nil, fmt.Errorf("record: %s: %w: the run was cut off before it began", FileInfo, err)
	}
	if version.Format < oldest || version.Format > Format {
		return nil, fmt.Errorf("record: %s: got format %d, want %d to %d: %s", FileInfo, version.Format, oldest, Format, remedy(version.Format))
	}
	r := &Recording{path: filepath.Join(dir, filepath.FromSlash(fileEvidence))}
	if err := json.Unmarshal(about, &r.Info); err != nil {
		return nil, fmt.Errorf("record: %s: %w", FileInfo, err)
	}
	f, err := os.Open(filepath.Join(dir, FilePlan))
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	defer f.Close()
	if r.Plan, err = plan.Read(f); err != nil {
		return nil, fmt.Errorf("record: %s: %w", FilePlan, err)
	}
	if err := r.readJournal(filepath.Join(dir, FileJournal)); err != nil {
		return nil, err
	}
	r.seal()
	return r, nil
}

func remedy(format int) string {
	if format > Format {
		return "update starfall to read this run"
	}
	return "read this run with the starfall that wrote it"
}

func (r *Recording) readJournal(path string) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		r.Cut = FileJournal + ": missing"
		return nil
	}
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	for n := 1; len(b) > 0; n++ {
		line, rest, found := bytes.Cut(b, []byte{'\n'})
		b = rest
		if !found {
			r.Cut = fmt.Sprintf("%s: cut off in line %d", FileJournal, n)
			return nil
		}
		if n == 1 {
			var head journalHeader
			if err := json.Unmarshal(line, &head); err != nil {
				return fmt.Errorf("record: %s:1: %w", FileJournal, err)
			}
			if head.Format < oldest || head.Format > Format {
				return fmt.Errorf("record: %s: got format %d, want %d to %d: %s", FileJournal, head.Format, oldest, Format, remedy(head.Format))
			}
			continue
		}
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			r.Cut = fmt.Sprintf("%s: line %d is damaged", FileJournal, n)
			return nil
		}
		r.Events = append(r.Events, e)
	}
	return nil
}

// Scan calls fn with the evidence, block by block. It may be called again. The
// answer says where the evidence is cut off, "" when it is whole; an error is
// fn's or the disk's.
func (r *Recording) Scan(fn func(*Block) error) (cut string, err error) {
	dec := newDecoder(r.Plan, r.Info)
	r.reader = dec
	if r.path == "" {
		for _, payload := range r.payloads {
			b, err := dec.Decode(payload)
			if err != nil {
				return "", err
			}
			if err := fn(b); err != nil {
				return "", err
			}
		}
		return "", nil
	}
	f, err := os.Open(r.path)
	if errors.Is(err, os.ErrNotExist) {
		return fileEvidence + ": missing", nil
	}
	if err != nil {
		return "", fmt.Errorf("record: %w", err)
	}
	defer f.Close()
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxPayload))
	if err != nil {
		return "", fmt.Errorf("record: %w", err)
	}
	defer z.Close()
	blocks := blockReader{r: bufio.NewReaderSize(f, 1<<16), z: z}
	for {
		payload, note, err := blocks.next()
		if note != "" || err != nil || payload == nil {
			return note, err
		}
		b, err := dec.Decode(payload)
		if err == nil {
			err = fn(b)
		}
		if errors.Is(err, errSection) {
			return fmt.Sprintf("%s: block at byte %d is damaged", fileEvidence, blocks.last), nil
		}
		if err != nil {
			return "", err
		}
	}
}

// Reason is the text of Span.Reason in a stream, during and after Scan.
func (r *Recording) Reason(s Stream, n uint32) string {
	if r.reader == nil {
		return ""
	}
	return r.reader.Reason(s, n)
}

type blockReader struct {
	r          *bufio.Reader
	z          *zstd.Decoder
	at, last   int64
	comp, full []byte
}

// next gives the next payload; nil at the end, and a note where it is cut off.
func (b *blockReader) next() (payload []byte, note string, err error) {
	b.last = b.at
	var head [blockHeader]byte
	n, err := io.ReadFull(b.r, head[:])
	if n == 0 && errors.Is(err, io.EOF) {
		return nil, "", nil
	}
	cut := fmt.Sprintf("%s: cut off in the block at byte %d", fileEvidence, b.at)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, cut, nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("record: %w", err)
	}
	damaged := fmt.Sprintf("%s: block at byte %d is damaged", fileEvidence, b.at)
	full, comp := binary.LittleEndian.Uint32(head[4:]), binary.LittleEndian.Uint32(head[8:])
	if binary.LittleEndian.Uint32(head[:]) != blockMagic || full > maxPayload || comp > maxPayload {
		return nil, damaged, nil
	}
	// What is allocated grows with what the file holds, not with what its
	// header claims.
	b.comp = append(b.comp[:0], head[:]...)
	buf := bytes.NewBuffer(b.comp)
	_, err = io.CopyN(buf, b.r, int64(comp))
	b.comp = buf.Bytes()
	if errors.Is(err, io.EOF) {
		return nil, cut, nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("record: %w", err)
	}
	if blockSum(b.comp) != binary.LittleEndian.Uint32(head[12:]) {
		return nil, damaged, nil
	}
	b.full, err = b.z.DecodeAll(b.comp[blockHeader:], b.full[:0])
	if err != nil || len(b.full) != int(full) {
		return nil, damaged, nil
	}
	b.at += int64(len(b.comp))
	return b.full, "", nil
}
