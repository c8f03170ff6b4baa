// This file defines the lines that go between starfall and a client.

package external

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// maxLine is the longest line that a client may write, in bytes. The longest
// that it has to write carries the value of a record of 8 MB.
const maxLine = 16 << 20

// order is a line to a client. Exactly one of Send and Bootstrap is set.
//
//	to a producer   {"send":"<id>","key":"k","value":"…"}   write this record; the key is left out when there is none
//	to both         {"bootstrap":"host:port,…","topic":"…"} go on at this cluster
type order struct {
	Send      string `json:"send,omitempty"`
	Key       string `json:"key,omitempty"`
	Value     string `json:"value,omitempty"`
	Bootstrap string `json:"bootstrap,omitempty"`
	Topic     string `json:"topic,omitempty"` // a producer's one, a consumer's parted by commas
}

// answer is a line from a client.
//
//	from a producer   {"acked":"<id>","partition":0,"offset":12}   acknowledged; where it stands may be left out
//	                  {"failed":"<id>","reason":"…"}               definitely not written
//	                  {"unknown":"<id>","reason":"…"}              nobody knows
//	from a consumer   {"ready":true}                               it has its partitions
//	                  {"got":"<value>","partition":0,"offset":12}  processed; with "topic" when it reads several
type answer struct {
	Acked     string  `json:"acked"`
	Failed    string  `json:"failed"`
	Unknown   string  `json:"unknown"`
	Reason    string  `json:"reason"`
	Ready     bool    `json:"ready"`
	Got       *string `json:"got"`
	Topic     string  `json:"topic"`
	Partition *int32  `json:"partition"`
	Offset    *int64  `json:"offset"`
}

var errAnswer = errors.New(`got none of "acked", "failed", "unknown", "ready" and "got"`)

// parse reads a line of a client. Fields that it does not know are left alone:
// a client may say more than it is asked.
func parse(line []byte) (answer, error) {
	var a answer
	if err := json.Unmarshal(bytes.TrimSpace(line), &a); err != nil {
		return answer{}, fmt.Errorf("not a line of JSON: %w", err)
	}
	switch {
	case a.Acked != "", a.Failed != "", a.Unknown != "", a.Ready, a.Got != nil:
		return a, nil
	}
	return answer{}, errAnswer
}
