package wire

// This file defines the tests of what requests weigh: the layouts against kmsg's encoding of
// all requests in all versions, and the memory that decoding takes against what measuring
// says it will.

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/runtime/embedded/core"
)

// fill puts random things into everything that a request has.
func fill(rng *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if tags, ok := v.Addr().Interface().(*kmsg.Tags); ok {
			for range rng.IntN(3) {
				tags.Set(uint32(10+rng.IntN(300)), make([]byte, rng.IntN(200)))
			}
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).Name != "Version" {
				fill(rng, v.Field(i))
			}
		}
	case reflect.Slice:
		n := rng.IntN(4)
		if rng.IntN(20) == 0 {
			n = 200 // lengths of more than one byte
		}
		if n == 0 {
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(rng, v.Index(i))
			if n == 200 && v.Index(i).Kind() == reflect.Struct {
				break
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(rng, v.Index(i))
		}
	case reflect.Pointer:
		if rng.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(rng, v.Elem())
		}
	case reflect.String:
		v.SetString(strings.Repeat("x", rng.IntN(200)*rng.IntN(2)))
	case reflect.Bool:
		v.SetBool(rng.IntN(2) == 0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(int8(rng.Uint32())))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		v.SetUint(uint64(uint8(rng.Uint32())))
	default:
		panic(v.Kind().String())
	}
}

// sample is a request with random content.
func sample(rng *rand.Rand, key, version int16) kmsg.Request {
	r := kmsg.RequestForKey(key)
	fill(rng, reflect.ValueOf(r).Elem())
	r.SetVersion(version)
	return r
}

// forEach calls fn for all requests that brokers serve, in all versions that kmsg has.
func forEach(fn func(key, version int16, l layout)) {
	served := everything()
	all := newLayouts(served)
	for key := int16(0); key <= kmsg.MaxKey; key++ {
		if l, ok := all[key]; ok {
			for version := int16(0); version <= kmsg.RequestForKey(key).MaxVersion(); version++ {
				fn(key, version, l)
			}
		}
	}
}

func TestEveryServedRequestHasALayout(t *testing.T) {
	all := newLayouts(everything())
	for key := int16(0); key <= kmsg.MaxKey; key++ {
		_, has := all[key]
		if _, _, want := core.Supported(key); has != want {
			t.Errorf("layout of %s: got %v, want %v", kmsg.NameForKey(key), has, want)
		}
	}
}

func TestLayouts(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	forEach(func(key, version int16, l layout) {
		if r := kmsg.RequestForKey(key); (l.flexible >= 0 && version >= l.flexible) != flexibleIn(r, version) {
			t.Errorf("%s v%d: flexible: got %v, want %v", kmsg.NameForKey(key), version, !flexibleIn(r, version), flexibleIn(r, version))
		}
		for range 50 {
			body := sample(rng, key, version).AppendTo(nil)
			w := walk{rest: body, version: version, flexible: l.flexible >= 0 && version >= l.flexible, limit: 1 << 30}
			if err := w.fields(l.fields, true); err != nil {
				t.Fatalf("%s v%d: %v", kmsg.NameForKey(key), version, err)
			}
			if len(w.rest) != 0 {
				t.Fatalf("%s v%d: got %d of %d bytes left over, want 0", kmsg.NameForKey(key), version, len(w.rest), len(body))
			}
			// Every cut of it is seen, unless it cuts nothing but what may be missing.
			if len(body) > 0 {
				cut := body[:rng.IntN(len(body))]
				if _, err := l.measure(cut, version, 1<<30); err == nil {
					t.Fatalf("%s v%d: %d of %d bytes: got no error", kmsg.NameForKey(key), version, len(cut), len(body))
				}
			}
		}
	})
}

func flexibleIn(r kmsg.Request, version int16) bool {
	r.SetVersion(version)
	return r.IsFlexible()
}

// allocated is how many bytes fn allocates: the least of some tries, as other goroutines may
// allocate beside it.
func allocated(tries int, most uint64, fn func()) uint64 {
	least := ^uint64(0)
	for range tries {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		fn()
		runtime.ReadMemStats(&after)
		if least = min(least, after.TotalAlloc-before.TotalAlloc); least <= most {
			break
		}
	}
	return least
}

// slack is what allocation may take beside what was measured: sizes are rounded up by a
// quarter at most, the request itself and the errors have a size.
func withSlack(memory int) uint64 {
	if appendsTwice {
		memory *= 2
	}
	return uint64(memory)*5/4 + 4<<10
}

func TestMeasuredMemory(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	forEach(func(key, version int16, l layout) {
		for range 5 {
			body := sample(rng, key, version).AppendTo(nil)
			memory, err := l.measure(body, version, 1<<30)
			if err != nil {
				t.Fatal(err)
			}
			most := withSlack(memory)
			got := allocated(5, most, func() {
				r := kmsg.RequestForKey(key)
				r.SetVersion(version)
				if err := r.ReadFrom(body); err != nil {
					t.Fatal(err)
				}
			})
			if got > most {
				t.Errorf("%s v%d of %d bytes: allocated %d, want at most %d", kmsg.NameForKey(key), version, len(body), got, most)
			}
		}
	})
}

// TestGreed: what would take many times its size is refused, before anything is allocated.
func TestGreed(t *testing.T) {
	uvarint := binary.AppendUvarint
	zeros := func(n int) []byte { return make([]byte, n) }
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	tests := []struct {
		name    string
		key     kmsg.Key
		version int16
		body    []byte
		want    error
	}{
		{"topics that are not there", kmsg.Metadata, 1, join([]byte{0x7f, 0xff, 0xff, 0xff}, zeros(1000)), errCount},
		{"as many topics as bytes", kmsg.Metadata, 1, join([]byte{0, 0x80, 0, 0}, zeros(0x800000)), errGreed},
		{"empty names", kmsg.Metadata, 9, join(uvarint(nil, 5_000_001), bytes.Repeat([]byte{1, 0}, 5_000_000), []byte{0, 0, 0, 0}), errGreed},
		{"partitions inside of topics", kmsg.Produce, 3, join([]byte{0xff, 0xff, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0x40, 0, 0}, zeros(0x400000)), errGreed},
		{"four billion tagged fields", kmsg.Metadata, 9, []byte{0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f}, errCut},
		{"a million tagged fields", kmsg.Metadata, 9, join([]byte{0, 0, 0, 0}, uvarint(nil, 1<<20), bytes.Repeat([]byte{99, 0}, 1<<20)), errGreed},
		{"tagged fields within a tagged field", kmsg.Fetch, 15, join(zeros(4+4+4+1+4+4), []byte{1, 1, 1}, []byte{1, 1, 17}, zeros(12), []byte{0xff, 0xff, 0xff, 0xff, 0x0f}), errCut},
		{"a tagged field longer than the frame", kmsg.Metadata, 9, []byte{0, 0, 0, 0, 1, 99, 0x20}, errCut},
		{"a varint of ten bytes", kmsg.Metadata, 9, []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0}, errCut},
		{"a string of 32 KiB", kmsg.DescribeGroups, 5, join([]byte{2}, uvarint(nil, 32769), zeros(40_000)), errLong},
		{"a name that is null", kmsg.Heartbeat, 0, []byte{0xff, 0xff, 0, 0, 0, 1, 0, 0}, errNull},
		{"a list that is null", kmsg.DeleteGroups, 0, []byte{0xff, 0xff, 0xff, 0xff}, errNull},
		{"nothing", kmsg.Heartbeat, 0, nil, errCut},
	}
	d := newDecoder(everything())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := d.layouts[tt.key.Int16()]
			if _, err := l.measure(tt.body, tt.version, decodedTimes*len(tt.body)+decodedConstant); err != tt.want {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			frame := binary.BigEndian.AppendUint16(nil, uint16(tt.key))
			frame = append(binary.BigEndian.AppendUint16(frame, uint16(tt.version)), 0, 0, 0, 1, 0xff, 0xff)
			if flexibleIn(kmsg.RequestForKey(tt.key.Int16()), tt.version) {
				frame = append(frame, 0)
			}
			frame = append(frame, tt.body...)
			if got := allocated(5, 4<<10, func() {
				if _, err := d.decode(frame); err == nil {
					t.Error("decode: got no error")
				}
			}); got > 4<<10 {
				t.Errorf("allocated: got %d bytes, want at most 4096", got)
			}
		})
	}
}

// TestLargeRequestsOfHonestClients: what real clients send passes.
func TestLargeRequestsOfHonestClients(t *testing.T) {
	names := kmsg.NewPtrMetadataRequest()
	names.Version = 9
	for i := range 17_000 {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(string([]byte{byte('a' + i%26), byte('a' + i/26%26), byte('a' + i/676)}))
		names.Topics = append(names.Topics, topic)
	}
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Version = 8
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Partitions = make([]kmsg.OffsetCommitRequestTopicPartition, 200_000)
	commit.Topics = append(commit.Topics, topic)
	fetch := kmsg.NewPtrFetchRequest()
	fetch.Version = 11
	ft := kmsg.NewFetchRequestTopic()
	ft.Partitions = make([]kmsg.FetchRequestTopicPartition, 200_000)
	fetch.Topics = append(fetch.Topics, ft)
	d := newDecoder(everything())
	for _, r := range []kmsg.Request{names, commit, fetch} {
		frame := kmsg.NewRequestFormatter().AppendRequest(nil, r, 1)
		if _, err := d.decode(frame[4:]); err != nil {
			t.Errorf("%s of %d bytes: %v", kmsg.NameForKey(r.Key()), len(frame), err)
		}
	}
}

// TestRequestsDoNotKeepTheirFrames: a batch of a few bytes does not keep megabytes.
func TestRequestsDoNotKeepTheirFrames(t *testing.T) {
	r := kmsg.NewPtrProduceRequest()
	r.Version = 9
	topic, part := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	part.Records = make([]byte, 100)
	topic.Partitions = append(topic.Partitions, part)
	r.Topics = append(r.Topics, topic)
	inside := func(frame []byte) bool {
		req, err := newDecoder(everything()).decode(frame)
		if err != nil {
			t.Fatal(err)
		}
		records := req.body.(*kmsg.ProduceRequest).Topics[0].Partitions[0].Records
		for i := range frame {
			if &frame[i] == &records[0] {
				return true
			}
		}
		return false
	}
	format := kmsg.NewRequestFormatter()
	if !inside(format.AppendRequest(nil, r, 1)[4:]) {
		t.Error("a frame of records: got a copy, want the frame's own bytes")
	}
	r.UnknownTags.Set(99, make([]byte, 10_000))
	if inside(format.AppendRequest(nil, r, 1)[4:]) {
		t.Error("a frame of other things: got the frame's own bytes, want a copy")
	}
}
