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
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"sync"

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
	// Told is true when the journal goes to the end of the run, even where
	// evidence is cut off.
	Told bool
	// Short names series files that are shorter than they were written: tables
	// for people, by which nothing is judged.
	Short []string

	dir string // "" in memory

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
		r.Whole, r.Told = true, true
		for _, name := range slices.Sorted(maps.Keys(e.Files)) {
			if st, err := os.Stat(filepath.Join(r.dir, filepath.FromSlash(name))); err != nil {
				r.Short = append(r.Short, name+": missing")
			} else if st.Size() < e.Files[name] {
				r.Short = append(r.Short, fmt.Sprintf("%s: cut off, shorter than the %d bytes that were written", name, e.Files[name]))
			}
		}
		if st, err := os.Stat(r.path); r.path != "" && e.Bytes > 0 && (err != nil || st.Size() < e.Bytes) {
			r.Whole = false
			r.Cut = fmt.Sprintf("%s: shorter than the %d bytes that were written", fileEvidence, e.Bytes)
		}
	}
	if !r.Whole && r.Cut == "" {
		r.Cut = "journal.jsonl: the run did not end in good order"
	}
}

// BeginningError says that the file without which nothing of a run folder can
// be read is missing or cut off: run.json or plan.json, which are written before
// a run begins.
type BeginningError struct {
	File string
	Err  error
}

func (e *BeginningError) Error() string { return fmt.Sprintf("record: %s: %v", e.File, e.Err) }
func (e *BeginningError) Unwrap() error { return e.Err }

// FormatError says that another version of starfall wrote a run folder, in a
// form that this one does not know.
type FormatError struct {
	File string
	Text string // what it has, what is known here, what to do
}

func (e *FormatError) Error() string { return "record: " + e.File + ": " + e.Text }

func formatError(file string, format int) error {
	return &FormatError{file, fmt.Sprintf("got format %d, want %d to %d: %s", format, oldest, Format, remedy(format))}
}

var (
	errCut     = errors.New("cut off")
	errMissing = errors.New("missing")
)

// beginning reads a file of JSON that is written before a run begins.
func beginning(dir, name string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, os.ErrNotExist) {
		return nil, &BeginningError{name, errMissing}
	}
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	if !json.Valid(b) {
		return nil, &BeginningError{name, errCut}
	}
	return b, nil
}

// ended tells whether a file of this format has its last byte, a newline.
func ended(b []byte) bool { return bytes.HasSuffix(b, []byte("\n")) }

// Open reads a run folder. It fails with a BeginningError when there is nothing
// to read the rest by, and with a FormatError when the folder was written by a
// starfall that writes it otherwise.
func Open(dir string) (*Recording, error) {
	about, err := beginning(dir, FileInfo)
	if err != nil {
		return nil, err
	}
	var version struct{ Format int }
	if err := json.Unmarshal(about, &version); err != nil {
		return nil, &FormatError{FileInfo, fmt.Sprintf("%v: it was not written by starfall", err)}
	}
	if version.Format < oldest || version.Format > Format {
		return nil, formatError(FileInfo, version.Format)
	}
	if !ended(about) {
		return nil, &BeginningError{FileInfo, errCut}
	}
	r := &Recording{dir: dir, path: filepath.Join(dir, filepath.FromSlash(fileEvidence))}
	if err := json.Unmarshal(about, &r.Info); err != nil {
		return nil, &FormatError{FileInfo, err.Error()}
	}
	text, err := beginning(dir, FilePlan)
	if err != nil {
		return nil, err
	}
	if r.Plan, err = plan.Read(bytes.NewReader(text)); err != nil {
		hint := ""
		if r.Info.Tool != "" {
			hint = ": the run was recorded by starfall " + r.Info.Tool
		}
		return nil, &FormatError{FilePlan, err.Error() + hint}
	}
	if !ended(text) {
		return nil, &BeginningError{FilePlan, errCut}
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
				r.Cut = FileJournal + ": line 1 is damaged"
				return nil
			}
			if head.Format < oldest || head.Format > Format {
				return formatError(FileJournal, head.Format)
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
	// The next blocks are read and decompressed while one is decoded.
	spare := make(chan []byte, 3)
	ahead := make(chan payload, cap(spare)) // so that nobody waits to send
	for range cap(spare) {
		spare <- nil
	}
	stop := make(chan struct{})
	var reading sync.WaitGroup
	defer reading.Wait()
	defer close(stop)
	reading.Go(func() {
		for last := false; !last; {
			select {
			case full := <-spare:
				p := blocks.next(full)
				last = p.full == nil
				ahead <- p
			case <-stop:
				return
			}
		}
	})
	for {
		p := <-ahead
		if p.full == nil {
			return p.note, p.err
		}
		b, err := dec.Decode(p.full)
		if err == nil {
			err = fn(b)
		}
		if errors.Is(err, errSection) {
			return fmt.Sprintf("%s: block at byte %d is damaged", fileEvidence, p.at), nil
		}
		if err != nil {
			return "", err
		}
		spare <- p.full
	}
}

// Reason is the text of Span.Reason in a stream, during and after Scan.
func (r *Recording) Reason(s Stream, n uint32) string {
	if r.reader == nil {
		return ""
	}
	return r.reader.Reason(s, n)
}

// payload is a block's content, and where in the evidence the block begins. Full
// is nil at the end, with a note where the evidence is cut off.
type payload struct {
	full []byte
	at   int64
	note string
	err  error
}

type blockReader struct {
	r    *bufio.Reader
	z    *zstd.Decoder
	at   int64
	comp []byte
}

// next reads a block into full's room, or more.
func (b *blockReader) next(full []byte) payload {
	p := payload{at: b.at}
	p.full, p.note, p.err = b.read(full[:0])
	return p
}

func (b *blockReader) read(into []byte) (full []byte, note string, err error) {
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
	size, comp := binary.LittleEndian.Uint32(head[4:]), binary.LittleEndian.Uint32(head[8:])
	if binary.LittleEndian.Uint32(head[:]) != blockMagic || size == 0 || size > maxPayload || comp > maxPayload {
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
	full, err = b.z.DecodeAll(b.comp[blockHeader:], into)
	if err != nil || len(full) != int(size) {
		return nil, damaged, nil
	}
	b.at += int64(len(b.comp))
	return full, "", nil
}
