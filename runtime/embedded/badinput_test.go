package embedded

// This file tests what bad clients bring about over TCP: nothing, for others.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	goruntime "runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/runtime"
)

func frameOf(r kmsg.Request, version int16) []byte {
	r.SetVersion(version)
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("bad")).AppendRequest(nil, r, 7)
}

func named() *kmsg.ApiVersionsRequest {
	r := kmsg.NewPtrApiVersionsRequest()
	r.ClientSoftwareName, r.ClientSoftwareVersion = "bad", "1"
	return r
}

// header is a frame with so many bytes of body.
func header(key, version int16, body int) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(10+body))
	out = binary.BigEndian.AppendUint16(out, uint16(key))
	out = binary.BigEndian.AppendUint16(out, uint16(version))
	out = append(out, 0, 0, 0, 7, 0xff, 0xff)
	return append(out, make([]byte, body)...)
}

func dialTo(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	return c
}

func answerTo(c net.Conn) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	out := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(c, out)
	return out, err
}

// TestBadInput: what Kafka answers is answered, and where it closes the connection without a
// word it is closed (SocketServer.processCompletedReceives, NetworkReceive,
// SaslServerAuthenticator).
func TestBadInput(t *testing.T) {
	b := startEngine(t, guardedEngine(), kafkaPlan(1, 0, nil), 1)
	handshake := kmsg.NewPtrSASLHandshakeRequest()
	handshake.Mechanism = "PLAIN"
	login := func(user, password string) []byte {
		a := kmsg.NewPtrSASLAuthenticateRequest()
		a.SASLAuthBytes = []byte("\x00" + user + "\x00" + password)
		return frameOf(a, 1)
	}
	size := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	pad := func(n int) []byte { return append(size(uint32(n)), header(3, 0, n)[4:4+n]...) }
	heartbeat := frameOf(kmsg.NewPtrHeartbeatRequest(), 0)
	tests := []struct {
		name    string
		guarded bool
		send    [][]byte
		// errors are the error codes of the answers, at least from the second on those of
		// ApiVersions in version 0; behind them the connection ends, unless it is open.
		answers int
		code    int16 // of the last answer, in its first field
		open    bool
	}{
		{"ApiVersions of tomorrow", false, [][]byte{header(18, 99, 1)}, 1, 35, true},
		{"ApiVersions below zero", false, [][]byte{header(18, -1, 0)}, 1, 35, true},
		{"ApiVersions of tomorrow, then of today", false, [][]byte{header(18, -1, 0), frameOf(named(), 0)}, 2, 0, true},
		{"ApiVersions of a client without a name", false, [][]byte{frameOf(kmsg.NewPtrApiVersionsRequest(), 3)}, 1, 42, true},
		{"another request of tomorrow", false, [][]byte{header(3, 99, 4)}, 0, 0, false},
		{"another request below zero", false, [][]byte{header(3, -1, 4)}, 0, 0, false},
		{"an unknown key", false, [][]byte{header(999, 0, 4)}, 0, 0, false},
		{"a key below zero", false, [][]byte{header(-2, 0, 4)}, 0, 0, false},
		{"a request between brokers", false, [][]byte{header(4, 0, 40)}, 0, 0, false},
		{"a body cut short", false, [][]byte{header(12, 0, 1)}, 0, 0, false},
		{"a request, then one cut short", false, [][]byte{frameOf(named(), 0), header(12, 0, 1)}, 1, 0, false},
		{"a null that must not be", false, [][]byte{append(heartbeat[:len(heartbeat)-2:len(heartbeat)-2], 0xff, 0xff)}, 0, 0, false},
		{"a size below zero", false, [][]byte{size(0xffffffff)}, 0, 0, false},
		{"a size over socket.request.max.bytes", false, [][]byte{size(100<<20 + 1)}, 0, 0, false},
		{"no size", false, [][]byte{size(0)}, 0, 0, false},
		{"a size over what a login may have", true, [][]byte{size(512<<10 + 1)}, 0, 0, false},
		{"the same where nobody logs in", false, [][]byte{size(512<<10 + 1)}, 0, 0, true},
		{"a size over it after the handshake", true, [][]byte{frameOf(handshake, 1), size(512<<10 + 1)}, 1, 0, false},
		{"a size over it after the login", true, [][]byte{frameOf(handshake, 1), login("ann", "secret"), size(512<<10 + 1)}, 2, 0, true},
		{"a size over it after a refused login", true, [][]byte{frameOf(handshake, 1), login("ann", "wrong")}, 2, 58, false},
		{"any request before the login", true, [][]byte{frameOf(kmsg.NewPtrMetadataRequest(), 1)}, 0, 0, false},
		{"garbage before the login", true, [][]byte{pad(20)}, 0, 0, false},
		{"garbage for a token", true, [][]byte{frameOf(handshake, 1), frameOf(kmsg.NewPtrSASLAuthenticateRequest(), 1)}, 2, 58, false},
		{"garbage for a token without header", true, [][]byte{frameOf(handshake, 0), pad(20)}, 1, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			place := runtime.Place{}
			if tt.guarded {
				place = runtime.Place{Client: "guest"}
			}
			c := dialTo(t, b.bootstrap(place)[0])
			var last []byte
			for i, bytes := range tt.send {
				if _, err := c.Write(bytes); err != nil {
					t.Fatal(err)
				}
				if i < tt.answers {
					var err error
					if last, err = answerTo(c); err != nil {
						t.Fatalf("answer %d: %v", i+1, err)
					}
				}
			}
			if tt.answers > 0 {
				if got := int16(binary.BigEndian.Uint16(last[4:])); got != tt.code {
					t.Errorf("last answer: got error %d, want %d", got, tt.code)
				}
			}
			if tt.open {
				if err := c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
					t.Fatal(err)
				}
			}
			n, err := c.Read(make([]byte, 1))
			var timeout net.Error
			if open := errors.As(err, &timeout) && timeout.Timeout(); n != 0 || err == nil || open != tt.open {
				t.Errorf("connection: got %d bytes and %v, want open: %v", n, err, tt.open)
			}
		})
	}
}

// TestGarbageDisturbsNobody: while connections bring garbage, half frames and large sizes, a
// client produces and consumes as if they were not there.
func TestGarbageDisturbsNobody(t *testing.T) {
	const records = 3000
	b := start(t, kafkaPlan(3, 0, nil), 1)
	b.topic("t", 3, 3, nil)
	addrs := b.bootstrap(runtime.Place{Client: "bad"})

	var before goruntime.MemStats
	goruntime.GC()
	goruntime.ReadMemStats(&before)

	// Connections that announce 100 MB each and bring 10 KB of it.
	const halves = 200
	for i := range halves {
		c := dialTo(t, addrs[i%3])
		if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, 100<<20), make([]byte, 10<<10)...)); err != nil {
			t.Fatal(err)
		}
	}
	stop := make(chan struct{})
	var bad sync.WaitGroup
	var tries atomic.Int64
	for worker := range 4 {
		bad.Add(1)
		go func() {
			defer bad.Done()
			rng := rand.New(rand.NewPCG(uint64(worker), 1))
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := net.Dial("tcp", addrs[rng.IntN(3)])
				if err != nil {
					t.Errorf("dial: %v", err)
					return
				}
				junk := garbage(rng)
				for len(junk) > 0 {
					n, err := c.Write(junk[:min(len(junk), 1+rng.IntN(5000))])
					if err != nil {
						break // closed, as it should be
					}
					junk = junk[n:]
				}
				c.Close()
				tries.Add(1)
			}
		}()
	}

	config := b.config()
	config.Producer.Retry.Max, config.Net.MaxOpenRequests, config.Producer.Idempotent = 0, 1, false
	producer, err := sarama.NewAsyncProducer(b.bootstrap(runtime.Place{}), config)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for i := range records {
			producer.Input() <- &sarama.ProducerMessage{Topic: "t", Partition: int32(i % 3), Value: sarama.StringEncoder(fmt.Sprint(i))}
		}
	}()
	for range records {
		select {
		case <-producer.Successes():
		case err := <-producer.Errors():
			t.Fatalf("produce without retries: %v", err)
		case <-b.ctx.Done():
			t.Fatal("produce: it took too long")
		}
	}
	if err := producer.Close(); err != nil {
		t.Fatal(err)
	}
	consumer, err := sarama.NewConsumerFromClient(b.client(runtime.Place{}))
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	for p := range int32(3) {
		pc, err := consumer.ConsumePartition("t", p, sarama.OffsetOldest)
		if err != nil {
			t.Fatal(err)
		}
		for i := int(p); i < records; i += 3 {
			select {
			case m := <-pc.Messages():
				if string(m.Value) != fmt.Sprint(i) {
					t.Fatalf("partition %d: got record %s, want %d", p, m.Value, i)
				}
			case <-b.ctx.Done():
				t.Fatalf("partition %d: record %d never came", p, i)
			}
		}
		if err := pc.Close(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	bad.Wait()
	if tries.Load() == 0 {
		t.Error("no garbage was sent")
	}
	goruntime.GC()
	var after goruntime.MemStats
	goruntime.ReadMemStats(&after)
	// Each half frame has its connection's buffers and less than 64 KB of frame.
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > halves*128<<10+16<<20 {
		t.Errorf("memory with %d frames of 100 MB announced: %d MB more, want at most 41", halves, grown>>20)
	}
	t.Logf("%d connections with garbage beside %d records", tries.Load(), records)
}

// garbage is what a bad client might send.
func garbage(rng *rand.Rand) []byte {
	noise := make([]byte, rng.IntN(20_000))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	switch rng.IntN(6) {
	case 0:
		return noise
	case 1: // a frame of noise
		return append(binary.BigEndian.AppendUint32(nil, uint32(len(noise))), noise...)
	case 2: // a known request with a body of noise
		out := header(int16(rng.IntN(80)), int16(rng.IntN(14)), len(noise))
		return append(out[:14], noise...)
	case 3: // an array of two billion
		out := header(3, 1, 4)
		binary.BigEndian.PutUint32(out[14:], 0x7fffffff)
		return out
	case 4: // good requests with one byte changed
		var out []byte
		for range 20 {
			r := kmsg.NewPtrMetadataRequest()
			f := frameOf(r, int16(rng.IntN(13)))
			f[4+rng.IntN(len(f)-4)] ^= byte(1 << rng.IntN(8))
			out = append(out, f...)
		}
		return out
	default: // half a frame
		return append(binary.BigEndian.AppendUint32(nil, uint32(len(noise)+1+rng.IntN(50<<20))), noise...)
	}
}
