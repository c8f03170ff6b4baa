// This file defines Duration: a length of time that reads well in JSON.

package plan

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of scenario time. Its JSON and text are as scenarios
// write it: "1m30s", "250ms".
type Duration time.Duration

// Std gives the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// Seconds gives d in seconds.
func (d Duration) Seconds() float64 { return time.Duration(d).Seconds() }

// String gives the shortest of Go's notations: trailing zero units are left
// out, so 90 s is "1m30s" and 2 h is "2h".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalJSON implements json.Marshaler.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON implements json.Unmarshaler.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("duration: %w", err)
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("duration: got %s, want a length such as \"90s\"", strconv.Quote(s))
	}
	*d = Duration(v)
	return nil
}
