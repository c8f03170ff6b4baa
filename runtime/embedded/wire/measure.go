package wire

// This file defines how a frame is measured before it is decoded: that all lengths in it
// are true, and what the decoded request will take of the memory.
//
// Decoding trusts counts: an array that says it has as many elements as there are bytes left
// is made before its first element is read, and a list of tagged fields is counted down from
// four billion. So nothing is decoded that has not been walked through first.

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// What a request may take of the memory when it is decoded: so many times its size, and so
// much more. Elements are larger in memory than on the wire, most of all names of two or
// three letters, of which the constant lets pass about 20,000.
const (
	decodedTimes    = 4
	decodedConstant = 1 << 20
)

// The memory of what has no size of its own: a string or struct behind a pointer, and a
// tagged field that nobody knows, with its share of the map that keeps it.
const (
	pointerSize   = 16
	tagSize       = 192
	longestString = math.MaxInt16
)

type fieldKind uint8

const (
	fixed  fieldKind = iota // size bytes
	text                    // a string
	blob                    // bytes
	array                   // elements, each size bytes in memory
	option                  // a struct of size bytes in memory that may be absent
	tagged                  // the content of tagged field number size
)

// field is one field of a layout.
type field struct {
	kind     fieldKind
	nullable bool
	min, max int16 // versions
	size     int
	elem     []field
	structs  bool // elem is a struct's, with tagged fields at its end
}

// layout is a request's fields.
type layout struct {
	flexible int16 // the first flexible version; -1 without one
	fields   []field
}

// newLayouts parses the layouts of the requests that are served.
func newLayouts(served Versions) map[int16]layout {
	out := make(map[int16]layout, len(served))
	for _, text := range layouts() {
		key := text.key.Int16()
		if _, ok := served[key]; !ok {
			continue
		}
		p := &layoutParser{name: text.key.Name(), rest: text.fields}
		fields := p.fields(reflect.TypeOf(kmsg.RequestForKey(key)).Elem())
		if p.rest != "" {
			p.fail("more than one bracket closes")
		}
		out[key] = layout{text.flexible, fields}
	}
	return out
}

// layoutParser reads the notation of layouts. It panics: the texts are part of the program.
type layoutParser struct{ name, rest string }

func (p *layoutParser) fail(why string) {
	panic(fmt.Sprintf("layout of %s: %s before %q", p.name, why, p.rest))
}

// fields reads up to the end of a struct; in is its type in memory.
func (p *layoutParser) fields(in reflect.Type) []field {
	var out []field
	for p.rest != "" {
		switch c := p.rest[0]; {
		case c == ' ':
			p.rest = p.rest[1:]
		case c == ']' || c == '}':
			return out
		default:
			out = append(out, p.field(in))
		}
	}
	return out
}

func (p *layoutParser) word() string {
	end := strings.IndexAny(p.rest, " []{}")
	if end < 0 {
		end = len(p.rest)
	}
	out := p.rest[:end]
	p.rest = p.rest[end:]
	return out
}

func (p *layoutParser) field(in reflect.Type) field {
	var f field
	if strings.HasPrefix(p.rest, "?") {
		f.nullable, p.rest = true, p.rest[1:]
	}
	bracket := p.rest[0]
	switch bracket {
	case '[', '{':
		p.rest = p.rest[1:]
	case '#':
		p.rest = p.rest[1:]
		f.kind, f.max, f.structs = tagged, math.MaxInt16, true
		var err error
		if f.size, err = strconv.Atoi(p.word()); err != nil || p.rest == "" || p.rest[0] != '{' {
			p.fail("want a number and a struct")
		}
		p.rest = p.rest[1:]
		f.elem = p.fields(in)
		p.close('}')
		return f
	}
	name, versions, _ := strings.Cut(p.word(), "@")
	f.min, f.max = p.versions(versions)
	switch bracket {
	case '[':
		f.kind = array
		var elem reflect.Type
		if in.Kind() == reflect.Struct {
			elem = p.member(in, name).Elem()
		} else {
			elem = in.Elem()
		}
		f.size = int(elem.Size())
		f.elem = p.fields(elem)
		f.structs = elem.Kind() == reflect.Struct
		p.close(']')
		return f
	case '{':
		f.kind, f.structs = option, true
		elem := p.member(in, name).Elem()
		f.size = int(elem.Size())
		f.elem = p.fields(elem)
		p.close('}')
		return f
	}
	name, f.nullable = strings.CutSuffix(name, "?")
	switch name {
	case "str":
		f.kind = text
	case "bytes":
		f.kind = blob
	default:
		var err error
		if f.size, err = strconv.Atoi(name); err != nil {
			p.fail("want a type")
		}
	}
	return f
}

func (p *layoutParser) member(in reflect.Type, name string) reflect.Type {
	f, ok := in.FieldByName(name)
	if !ok {
		p.fail("there is no " + name)
	}
	return f.Type
}

func (p *layoutParser) close(c byte) {
	if p.rest == "" || p.rest[0] != c {
		p.fail("want " + string(c))
	}
	p.rest = p.rest[1:]
}

func (p *layoutParser) versions(s string) (low, high int16) {
	if s == "" {
		return 0, math.MaxInt16
	}
	from, to, ok := strings.Cut(s, "-")
	if !ok {
		from, to = strings.TrimSuffix(s, "+"), strconv.Itoa(math.MaxInt16)
	}
	a, err := strconv.ParseInt(from, 10, 16)
	b, err2 := strconv.ParseInt(to, 10, 16)
	if err != nil || err2 != nil {
		p.fail("want versions")
	}
	return int16(a), int16(b)
}

// measure walks through the body of a request. It gives the memory that decoding takes, in
// bytes, and ends where that is more than limit.
func (l *layout) measure(body []byte, version int16, limit int) (int, error) {
	w := walk{rest: body, version: version, flexible: l.flexible >= 0 && version >= l.flexible, limit: limit}
	err := w.fields(l.fields, true)
	return w.memory, err
}

type walk struct {
	rest     []byte
	version  int16
	flexible bool
	memory   int
	limit    int
}

const (
	errCut   malformed = "a field is cut short"
	errNull  malformed = "a field that must be there is null"
	errLong  malformed = "a string is longer than 32767 bytes"
	errCount malformed = "an array has more elements than bytes"
	errGreed malformed = "the request would take too much memory"
)

func (w *walk) fields(list []field, structs bool) error {
	for i := range list {
		f := &list[i]
		if f.kind == tagged || w.version < f.min || w.version > f.max {
			continue
		}
		if err := w.field(f); err != nil {
			return err
		}
	}
	if structs && w.flexible {
		return w.tags(list)
	}
	return nil
}

func (w *walk) field(f *field) error {
	switch f.kind {
	case fixed:
		return w.skip(f.size)
	case text:
		n, err := w.length(2, f.nullable)
		if n > longestString {
			return errLong
		}
		if err != nil || n < 0 {
			return err
		}
		w.memory += n
		if f.nullable {
			w.memory += pointerSize
		}
		return w.skip(n)
	case blob:
		n, err := w.length(4, f.nullable)
		if err != nil || n < 0 {
			return err
		}
		return w.skip(n)
	case option:
		if len(w.rest) == 0 {
			return errCut
		}
		there := int8(w.rest[0]) != -1
		w.rest = w.rest[1:]
		if !there {
			return nil
		}
		w.memory += f.size
		return w.fields(f.elem, true)
	}
	return w.array(f)
}

func (w *walk) array(f *field) error {
	n, err := w.length(4, f.nullable)
	switch {
	case err != nil || n <= 0:
		return err
	case n > len(w.rest):
		return errCount
	}
	w.memory += n * f.size
	if w.memory > w.limit {
		return errGreed
	}
	if !f.structs && f.elem[0].kind == fixed {
		return w.skip(n * f.elem[0].size)
	}
	for range n {
		if err := w.fields(f.elem, f.structs); err != nil {
			return err
		}
	}
	if w.memory > w.limit {
		return errGreed
	}
	return nil
}

// tags walks through the tagged fields behind a struct. An array's limit is checked by
// itself; tagged fields check it as they come.
func (w *walk) tags(list []field) error {
	n, err := w.uvarint()
	if err != nil {
		return err
	}
	for ; n > 0; n-- {
		number, err := w.uvarint()
		if err != nil {
			return err
		}
		size, err := w.uvarint()
		if err != nil {
			return err
		}
		if uint64(size) > uint64(len(w.rest)) {
			return errCut
		}
		w.memory += tagSize + int(size)
		if w.memory > w.limit {
			return errGreed
		}
		content := w.rest[:size]
		w.rest = w.rest[size:]
		for i := range list {
			if f := &list[i]; f.kind == tagged && f.size == int(number) {
				inner := *w
				inner.rest = content
				if err := inner.fields(f.elem, true); err != nil {
					return err
				}
				w.memory = inner.memory
			}
		}
	}
	return nil
}

// length reads the length of what has one of width bytes in versions that are not flexible;
// below zero is null.
func (w *walk) length(width int, nullable bool) (int, error) {
	n := 0
	switch {
	case w.flexible:
		v, err := w.uvarint()
		if err != nil {
			return 0, err
		}
		// From two billion on it is negative for Kafka, which reads a signed number.
		n = int(int32(v)) - 1
	case len(w.rest) < width:
		return 0, errCut
	case width == 2:
		n = int(int16(binary.BigEndian.Uint16(w.rest)))
		w.rest = w.rest[2:]
	default:
		n = int(int32(binary.BigEndian.Uint32(w.rest)))
		w.rest = w.rest[4:]
	}
	if n < 0 && !nullable {
		return 0, errNull
	}
	return n, nil
}

func (w *walk) skip(n int) error {
	if n > len(w.rest) {
		return errCut
	}
	w.rest = w.rest[n:]
	return nil
}

// uvarint reads a number of 32 bits, of five bytes at most.
func (w *walk) uvarint() (uint32, error) {
	if len(w.rest) > 0 && w.rest[0] < 0x80 {
		v := w.rest[0]
		w.rest = w.rest[1:]
		return uint32(v), nil
	}
	v, n := binary.Uvarint(w.rest)
	if n <= 0 || n > 5 || v > math.MaxUint32 {
		return 0, errCut
	}
	w.rest = w.rest[n:]
	return uint32(v), nil
}
