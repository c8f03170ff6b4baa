// This file defines the run folder: how a Writer makes it and in which form
// evidence lies in it.

package record

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"starfall/interp/plan"

	"github.com/klauspost/compress/zstd"
)

// The files of a run folder.
const (
	FilePlan     = "plan.json"
	FileInfo     = "run.json"
	FileJournal  = "journal.jsonl"
	FileVerdict  = "verdict.json"
	DirSeries    = "series"
	DirEvidence  = "evidence"
	DirLogs      = "logs"
	fileEvidence = "evidence/records.sfe"
)

// A block of evidence/records.sfe, little endian:
//
//	0  4  magic "SFE1"
//	4  4  length of the payload
//	8  4  length of the compressed payload
//	12 4  CRC-32C of bytes 4 to 12 and of the compressed payload
//	16    payload, zstd
const (
	blockMagic  = 0x31454653
	blockHeader = 16
	maxPayload  = 1 << 30
)

// fileSystem is what a folder needs of the disk.
type fileSystem interface {
	// Create makes a file, and the folders above it, for writing from the start.
	Create(name string) (io.WriteCloser, error)
}

type diskFS string

func (d diskFS) Create(name string) (io.WriteCloser, error) {
	path := filepath.Join(string(d), filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	return os.Create(path)
}

// folder is a sink that writes a run folder.
type folder struct {
	fs      fileSystem
	log     io.WriteCloser
	evid    io.WriteCloser
	rows    map[string]io.WriteCloser
	zstd    *zstd.Encoder
	buf     []byte
	written int64            // bytes of evidence
	sizes   map[string]int64 // of series, by file
}

// Create makes a run folder and starts a recording in it. The folder must not
// hold a recording yet. plan.json and run.json are whole when Create returns.
func Create(dir string, p *plan.Plan, info Info) (*Writer, error) {
	if _, err := os.Stat(filepath.Join(dir, FilePlan)); err == nil {
		return nil, fmt.Errorf("record: %s: holds a recording already", dir)
	}
	for _, sub := range []string{DirSeries, DirEvidence, DirLogs} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, fmt.Errorf("record: %w", err)
		}
	}
	return createIn(diskFS(dir), p, info)
}

func createIn(fs fileSystem, p *plan.Plan, info Info) (*Writer, error) {
	info.Format = Format
	canonical, err := p.Canonical()
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	about, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	if err := writeWhole(fs, FilePlan, canonical); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	if err := writeWhole(fs, FileInfo, append(about, '\n')); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	f := &folder{fs: fs, rows: map[string]io.WriteCloser{}, sizes: map[string]int64{}}
	if f.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1)); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	if f.log, err = fs.Create(FileJournal); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	if f.evid, err = fs.Create(fileEvidence); err != nil {
		f.log.Close()
		return nil, fmt.Errorf("record: %w", err)
	}
	head, err := json.Marshal(journalHeader{Format: Format, Unit: "ns"})
	if err == nil {
		err = f.journal(append(head, '\n'))
	}
	if err != nil {
		f.close()
		return nil, fmt.Errorf("record: %w", err)
	}
	w := newWriter(p, info, f)
	go w.run()
	return w, nil
}

func writeWhole(fs fileSystem, name string, content []byte) error {
	f, err := fs.Create(name)
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func (f *folder) journal(lines []byte) error {
	_, err := f.log.Write(lines)
	return err
}

func (f *folder) block(payload []byte) error {
	b := append(f.buf[:0], make([]byte, blockHeader)...)
	b = f.zstd.EncodeAll(payload, b)
	binary.LittleEndian.PutUint32(b, blockMagic)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(b[8:], uint32(len(b)-blockHeader))
	binary.LittleEndian.PutUint32(b[12:], blockSum(b))
	f.buf = b
	f.written += int64(len(b))
	_, err := f.evid.Write(b)
	return err
}

func (f *folder) size() int64 { return f.written }

// blockSum is the checksum of a block with its header.
func blockSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[4:12], castagnoli), castagnoli, b[blockHeader:])
}

func (f *folder) series(name, head string, rows []byte) error {
	file := f.rows[name]
	if file == nil {
		var err error
		if file, err = f.fs.Create(DirSeries + "/" + name + ".csv"); err != nil {
			return err
		}
		f.rows[name] = file
		rows = append([]byte(head+"\n"), rows...)
	}
	n, err := file.Write(rows)
	f.sizes[DirSeries+"/"+name+".csv"] += int64(n)
	return err
}

func (f *folder) seriesSizes() map[string]int64 { return f.sizes }

func (f *folder) close() error {
	errs := []error{f.log.Close(), f.evid.Close()}
	for _, file := range f.rows {
		errs = append(errs, file.Close())
	}
	f.zstd.Close()
	return errors.Join(errs...)
}

// SaveVerdict writes verdict.json into a run folder: the whole file or none.
func SaveVerdict(dir string, verdict any) error {
	b, err := json.MarshalIndent(verdict, "", "  ")
	if err != nil {
		return fmt.Errorf("record: verdict: %w", err)
	}
	tmp := filepath.Join(dir, FileVerdict+".part")
	if err := os.WriteFile(tmp, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("record: verdict: %w", err)
	}
	if err := os.Rename(tmp, filepath.Join(dir, FileVerdict)); err != nil {
		return fmt.Errorf("record: verdict: %w", err)
	}
	return nil
}
