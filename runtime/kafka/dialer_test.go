package kafka

import (
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// TestDialWaitsAsTCP: a dial over a cut path hangs until a packet gets through at one of
// the moments at which TCP sends it, or the timeout ends.
func TestDialWaitsAsTCP(t *testing.T) {
	for _, tt := range []struct {
		name   string
		speed  float64
		healed time.Duration // since the dial, wall time
		want   time.Duration
		err    error
	}{
		{"never cut", 1, 0, 0, nil},
		{"healed at once", 1, 10 * time.Millisecond, time.Second, nil},
		{"healed after the second packet", 1, 1100 * time.Millisecond, 3 * time.Second, nil},
		{"the same at speed 10", 10, 110 * time.Millisecond, 300 * time.Millisecond, nil},
		{"not healed in time", 1, time.Hour, 10 * time.Second, os.ErrDeadlineExceeded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := defaults(tt.speed)
				began := time.Now()
				s.reaches = func(string) bool { return time.Since(began) >= tt.healed }
				d := s.dialer()
				defer d.close(false)
				err := d.knock("tcp", "127.0.0.1:1", began.Add(d.timeout))
				if got := time.Since(began); got != tt.want {
					t.Errorf("waited %v, want %v", got, tt.want)
				}
				if !errors.Is(err, tt.err) {
					t.Errorf("got error %v, want %v", err, tt.err)
				}
				var timeout net.Error
				if err != nil && (!errors.As(err, &timeout) || !timeout.Timeout()) {
					t.Errorf("got error %v, want one that is a timeout", err)
				}
			})
		})
	}
}
