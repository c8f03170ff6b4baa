// Package codec packs and unpacks the records of batches in the compressions that
// Kafka has: gzip, snappy in the framing of snappy-java, LZ4 frames and zstd.
package codec

// This file defines the codec.

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Type is a compression as the lowest three bits of a batch's attributes say it.
type Type int8

// The compressions.
const (
	None Type = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

// Named gives the compression of a value of compression.type; ok is false for
// "producer", which is none of its own, and for what Kafka does not have.
func Named(name string) (t Type, ok bool) {
	switch name {
	case "uncompressed":
		return None, true
	case "gzip":
		return Gzip, true
	case "snappy":
		return Snappy, true
	case "lz4":
		return LZ4, true
	case "zstd":
		return Zstd, true
	}
	return None, false
}

// Windows of zstd frames. The largest is that of Kafka's zstd at its highest level, and the
// largest that its decoder takes. Windows up to streamWindow are kept as such (RFC 8878 asks
// every decoder for 8 MB); a frame with a larger one is unpacked as a whole, so that its memory
// goes by what it holds.
const (
	maxWindow    = 128 << 20
	streamWindow = 8 << 20
)

// MaxUnpacked is the most that anything unpacks to that a broker takes, in bytes: what a
// request may have unpacked, by Kafka's default of socket.request.max.bytes. Kafka itself has
// no bound.
const MaxUnpacked = 100 << 20

// Errors of unpacking.
var (
	// ErrUnknown is a compression that Kafka does not have.
	ErrUnknown = errors.New("unknown compression")
	// ErrTooLarge is data that unpacks to more than it may.
	ErrTooLarge = errors.New("unpacks to too many bytes")
)

// Codec keeps what packing and unpacking needs again and again. Its zero value is ready
// for use, by one goroutine at a time: a Reader is good until the next call.
//
// It keeps at most a window of 8 MB for zstd, a block of 4 MB for LZ4 and one of 1 MB for
// snappy, and what packing with zstd needs.
type Codec struct {
	gz    *gzip.Reader
	lz    *lz4.Reader
	zs    *zstd.Decoder
	whole *zstd.Decoder         // for frames with large windows
	enc   map[int]*zstd.Encoder // by level
	buf   *bufio.Reader
	limit limited
	block []byte // of snappy
}

const keptBlock = 1 << 20

// Reader gives the unpacked bytes as a stream, which ends with ErrTooLarge behind most of
// them. It allocates by what data holds, not by what data says of itself: blocks of snappy, and
// zstd frames with large windows, as a whole.
func (c *Codec) Reader(t Type, data []byte, most int64) (*bufio.Reader, error) {
	c.limit = limited{nil, most}
	r, err := c.reader(t, data)
	if err != nil {
		return nil, err
	}
	c.limit.r = r
	if c.buf == nil {
		c.buf = bufio.NewReaderSize(&c.limit, 16<<10)
	}
	c.buf.Reset(&c.limit)
	return c.buf, nil
}

// Left is how many bytes the last Reader may still give.
func (c *Codec) Left() int64 { return c.limit.left }

type limited struct {
	r    io.Reader
	left int64
}

// Read belongs to io.Reader.
func (l *limited) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, ErrTooLarge
	}
	if int64(len(p)) > l.left {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	l.left -= int64(n)
	if l.left < 0 {
		return n - 1, ErrTooLarge
	}
	return n, err
}

func (c *Codec) reader(t Type, data []byte) (io.Reader, error) {
	src := bytes.NewReader(data)
	switch t {
	case None:
		return src, nil
	case Gzip:
		if c.gz == nil {
			c.gz = new(gzip.Reader)
		}
		return c.gz, c.gz.Reset(src)
	case Snappy:
		if !bytes.HasPrefix(data, xerialMagic) {
			plain, err := c.unsnap(data)
			return bytes.NewReader(plain), err
		}
		if len(data) < xerialHeader {
			return nil, io.ErrUnexpectedEOF
		}
		return &xerial{c: c, rest: data[xerialHeader:]}, nil
	case LZ4:
		if c.lz == nil {
			c.lz = lz4.NewReader(nil)
		}
		c.lz.Reset(src)
		return c.lz, nil
	case Zstd:
		return c.zstdReader(data)
	}
	return nil, ErrUnknown
}

func (c *Codec) zstdReader(data []byte) (io.Reader, error) {
	var h zstd.Header
	if err := h.Decode(data); err != nil {
		return nil, err
	}
	if max(h.WindowSize, h.FrameContentSize) > streamWindow && !h.Skippable {
		most, err := zstdBound(data[h.HeaderSize:], h.HasCheckSum)
		if err != nil {
			return nil, err
		}
		if h.HasFCS && h.FrameContentSize > most {
			return nil, io.ErrUnexpectedEOF
		}
		if h.WindowSize > streamWindow || h.SingleSegment {
			return c.zstdWhole(data)
		}
	}
	if c.zs == nil {
		zs, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(streamWindow))
		if err != nil {
			return nil, err
		}
		c.zs = zs
	}
	return c.zs, c.zs.Reset(bytes.NewReader(data))
}

func (c *Codec) zstdWhole(data []byte) (io.Reader, error) {
	if c.whole == nil {
		zs, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(maxWindow))
		if err != nil {
			return nil, err
		}
		c.whole = zs
	}
	plain, err := c.whole.DecodeAll(data, nil)
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		err = ErrTooLarge
	}
	return bytes.NewReader(plain), err
}

// zstdBound is the most that the blocks of a frame can unpack to (RFC 8878, 3.1.1.2). Nothing may
// follow the frame: another one could say of itself what it likes.
func zstdBound(blocks []byte, checksum bool) (uint64, error) {
	var most uint64
	for {
		if len(blocks) < 3 {
			return 0, io.ErrUnexpectedEOF
		}
		head := int(blocks[0]) | int(blocks[1])<<8 | int(blocks[2])<<16
		last, kind, size := head&1 == 1, head>>1&3, head>>3
		blocks = blocks[3:]
		switch kind {
		case 0: // raw
			most += uint64(size)
		case 1: // one byte, repeated
			most += uint64(size)
			size = 1
		default:
			most += 128 << 10
		}
		if size > len(blocks) {
			return 0, io.ErrUnexpectedEOF
		}
		blocks = blocks[size:]
		if !last {
			continue
		}
		if checksum && len(blocks) == 4 || !checksum && len(blocks) == 0 {
			return most, nil
		}
		return 0, zstd.ErrMagicMismatch
	}
}

// Compress appends the packed bytes of what src gives to dst, at most most of them. Levels are
// those of Kafka's compression.*.level; 0 means the compression's default. It keeps
// neither src's bytes nor those of dst.
func (c *Codec) Compress(dst []byte, t Type, level int, src io.Reader, most int) ([]byte, error) {
	out := &appender{dst, len(dst) + most}
	w, err := c.writer(out, t, level)
	if err != nil {
		return nil, err
	}
	// A Writer of lz4 that has read by itself cannot be closed.
	if _, err := io.Copy(struct{ io.Writer }{w}, src); err != nil {
		return nil, err
	}
	err = w.Close() // the last bytes come with it
	return out.b, err
}

// appender appends up to a length.
type appender struct {
	b    []byte
	most int
}

// Write belongs to io.Writer.
func (a *appender) Write(p []byte) (int, error) {
	if len(a.b)+len(p) > a.most {
		return 0, ErrTooLarge
	}
	a.b = append(a.b, p...)
	return len(p), nil
}

// Close belongs to io.Closer.
func (a *appender) Close() error { return nil }

func (c *Codec) writer(out *appender, t Type, level int) (io.WriteCloser, error) {
	switch t {
	case None:
		return out, nil
	case Gzip:
		if level == 0 {
			level = gzip.DefaultCompression
		}
		return gzip.NewWriterLevel(out, level)
	case Snappy:
		head := binary.BigEndian.AppendUint32(bytes.Clone(xerialMagic), 1) // version
		head = binary.BigEndian.AppendUint32(head, 1)                      // oldest version that can read it
		if _, err := out.Write(head); err != nil {
			return nil, err
		}
		return &xerialWriter{out: out}, nil
	case LZ4:
		w := lz4.NewWriter(out)
		return w, w.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false), lz4.CompressionLevelOption(lz4Level(level)))
	case Zstd:
		enc := c.enc[level]
		if enc == nil {
			speed := zstd.SpeedDefault
			if level != 0 {
				speed = zstd.EncoderLevelFromZstd(level)
			}
			var err error
			if enc, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(speed), zstd.WithEncoderCRC(false), zstd.WithWindowSize(packWindow), zstd.WithLowerEncoderMem(true)); err != nil {
				return nil, err
			}
			if c.enc == nil {
				c.enc = map[int]*zstd.Encoder{}
			}
			c.enc[level] = enc
		}
		enc.Reset(out)
		return enc, nil
	}
	return nil, fmt.Errorf("compression %d: %w", t, ErrUnknown)
}

// packWindow is the window of zstd's default level.
const packWindow = 2 << 20

// lz4Level is a level of this library for one of lz4-java (1 to 17, 9 by default).
func lz4Level(level int) lz4.CompressionLevel {
	switch {
	case level <= 1:
		return lz4.Fast
	case level >= 9:
		return lz4.Level9
	}
	return 1 << (8 + level) // Level1 is 1 << 9
}

// The framing of snappy-java: a header of 16 bytes, then blocks, each with its length.
var xerialMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const (
	xerialHeader = 16
	xerialBlock  = 32 << 10
	// snappyRatio is the most that snappy can pack: 64 bytes into 3, or 64 into 2 at best.
	snappyRatio = 32
)

type xerial struct {
	c     *Codec
	rest  []byte
	block []byte
}

// Read belongs to io.Reader.
func (x *xerial) Read(p []byte) (int, error) {
	for len(x.block) == 0 {
		if len(x.rest) == 0 {
			return 0, io.EOF
		}
		if len(x.rest) < 4 {
			return 0, io.ErrUnexpectedEOF
		}
		n := int(binary.BigEndian.Uint32(x.rest))
		if n > len(x.rest)-4 {
			return 0, io.ErrUnexpectedEOF
		}
		var err error
		if x.block, err = x.c.unsnap(x.rest[4 : 4+n]); err != nil {
			return 0, err
		}
		x.rest = x.rest[4+n:]
	}
	n := copy(p, x.block)
	x.block = x.block[n:]
	return n, nil
}

// unsnap unpacks a block, into memory that is used again.
func (c *Codec) unsnap(block []byte) ([]byte, error) {
	n, err := snappy.DecodedLen(block)
	if err != nil {
		return nil, err
	}
	if n > snappyRatio*len(block) {
		return nil, snappy.ErrCorrupt
	}
	out, err := snappy.Decode(c.block[:cap(c.block)], block)
	if cap(out) <= keptBlock {
		c.block = out
	} else {
		c.block = nil
	}
	return out, err
}

// xerialWriter packs in blocks of xerialBlock bytes.
type xerialWriter struct {
	out  *appender
	rest []byte // less than a block
	pack []byte
}

// Write belongs to io.Writer.
func (x *xerialWriter) Write(p []byte) (int, error) {
	x.rest = append(x.rest, p...)
	for len(x.rest) >= xerialBlock {
		if err := x.block(xerialBlock); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// Close belongs to io.Closer.
func (x *xerialWriter) Close() error {
	if len(x.rest) == 0 {
		return nil
	}
	return x.block(len(x.rest))
}

func (x *xerialWriter) block(n int) error {
	x.pack = snappy.Encode(x.pack[:cap(x.pack)], x.rest[:n])
	x.rest = x.rest[:copy(x.rest, x.rest[n:])]
	if _, err := x.out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(x.pack)))); err != nil {
		return err
	}
	_, err := x.out.Write(x.pack)
	return err
}
