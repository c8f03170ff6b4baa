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

// maxWindow bounds the memory that a zstd frame can ask for.
const maxWindow = 64 << 20

// ErrUnknown is a compression that Kafka does not have.
var ErrUnknown = errors.New("unknown compression")

// Codec keeps what packing and unpacking needs again and again. Its zero value is ready
// for use, by one goroutine at a time: a Reader is good until the next call.
type Codec struct {
	gz  *gzip.Reader
	lz  *lz4.Reader
	zs  *zstd.Decoder
	enc map[int]*zstd.Encoder // by level
	buf *bufio.Reader
}

// Reader gives the unpacked bytes as a stream. It allocates by what data holds, not by
// what data says of itself, apart from windows of at most 64 MB.
func (c *Codec) Reader(t Type, data []byte) (*bufio.Reader, error) {
	r, err := c.reader(t, data)
	if err != nil {
		return nil, err
	}
	if c.buf == nil {
		c.buf = bufio.NewReaderSize(r, 16<<10)
	}
	c.buf.Reset(r)
	return c.buf, nil
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
			plain, err := unsnap(data)
			return bytes.NewReader(plain), err
		}
		if len(data) < xerialHeader {
			return nil, io.ErrUnexpectedEOF
		}
		return &xerial{rest: data[xerialHeader:]}, nil
	case LZ4:
		if c.lz == nil {
			c.lz = lz4.NewReader(nil)
		}
		c.lz.Reset(src)
		return c.lz, nil
	case Zstd:
		if c.zs == nil {
			zs, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
			if err != nil {
				return nil, err
			}
			c.zs = zs
		}
		return c.zs, c.zs.Reset(src)
	}
	return nil, ErrUnknown
}

// Compress appends the packed bytes of data. Levels are those of Kafka's
// compression.*.level; 0 means the compression's default.
func (c *Codec) Compress(dst []byte, t Type, level int, data []byte) ([]byte, error) {
	switch t {
	case None:
		return append(dst, data...), nil
	case Gzip:
		if level == 0 {
			level = gzip.DefaultCompression
		}
		out := bytes.NewBuffer(dst)
		w, err := gzip.NewWriterLevel(out, level)
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(data); err != nil {
			return nil, err
		}
		err = w.Close() // the last bytes come with it
		return out.Bytes(), err
	case Snappy:
		dst = append(dst, xerialMagic...)
		dst = binary.BigEndian.AppendUint32(dst, 1) // version
		dst = binary.BigEndian.AppendUint32(dst, 1) // oldest version that can read it
		for len(data) > 0 {
			n := min(len(data), xerialBlock)
			block := snappy.Encode(nil, data[:n])
			dst = binary.BigEndian.AppendUint32(dst, uint32(len(block)))
			dst = append(dst, block...)
			data = data[n:]
		}
		return dst, nil
	case LZ4:
		out := bytes.NewBuffer(dst)
		w := lz4.NewWriter(out)
		if err := w.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false), lz4.CompressionLevelOption(lz4Level(level))); err != nil {
			return nil, err
		}
		if _, err := w.Write(data); err != nil {
			return nil, err
		}
		err := w.Close() // the last bytes come with it
		return out.Bytes(), err
	case Zstd:
		enc := c.enc[level]
		if enc == nil {
			speed := zstd.SpeedDefault
			if level != 0 {
				speed = zstd.EncoderLevelFromZstd(level)
			}
			var err error
			if enc, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(speed), zstd.WithEncoderCRC(false)); err != nil {
				return nil, err
			}
			if c.enc == nil {
				c.enc = map[int]*zstd.Encoder{}
			}
			c.enc[level] = enc
		}
		return enc.EncodeAll(data, dst), nil
	}
	return nil, fmt.Errorf("compression %d: %w", t, ErrUnknown)
}

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
		if x.block, err = unsnap(x.rest[4 : 4+n]); err != nil {
			return 0, err
		}
		x.rest = x.rest[4+n:]
	}
	n := copy(p, x.block)
	x.block = x.block[n:]
	return n, nil
}

func unsnap(block []byte) ([]byte, error) {
	n, err := snappy.DecodedLen(block)
	if err != nil {
		return nil, err
	}
	if n > snappyRatio*len(block) {
		return nil, snappy.ErrCorrupt
	}
	return snappy.Decode(nil, block)
}
