package network

// This file defines how it is found out what a kernel can do: by trying.

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The mechanisms for delay, as Support and Report name them.
const (
	byQueue  = "user-space scheduler behind nftables' queue"
	byTarget = "user-space scheduler behind the NFQUEUE target"
)

// Supported tries what the kernel can do, in the namespace of the calling thread. It
// leaves nothing behind: each trial makes a table and takes it away in one transaction.
func Supported() Support {
	s, _ := supported()
	return s
}

func supported() (Support, expr.Any) {
	var s Support
	if err := try(func(t *table) error { return t.build() }); err != nil {
		s.Cut = "nftables with maps of verdicts: " + reason(err)
		s.Loss, s.Delay = s.Cut, s.Cut
		return s, nil
	}
	rule := func(exprs ...expr.Any) error {
		return try(func(t *table) error {
			t.chain("lost")
			t.rule(t.chain("trial"), exprs...)
			return nil
		})
	}
	if err := rule(lossRule(1)...); err != nil {
		s.Loss = "nftables' numgen: " + reason(err)
	}
	// Any free number will do for the trial; a Net may have those of its own.
	d, err := newDelayer(uint16(20000+rand.IntN(40000)), 1, 0)
	if err == nil {
		err = d.discard()
	}
	if err != nil {
		s.Delay = reason(err)
		return s, nil
	}
	native := rule(nativeQueue(firstQueue, queues))
	if native == nil {
		s.DelayBy = byQueue
		return s, nativeQueue(firstQueue, queues)
	}
	target := rule(targetQueue(firstQueue, queues))
	if target == nil {
		s.DelayBy = byTarget
		return s, targetQueue(firstQueue, queues)
	}
	s.Delay = fmt.Sprintf("nftables' queue: %s; NFQUEUE target: %s", reason(native), reason(target))
	return s, nil
}

// try makes a table, lets do put things into it, and takes it away, in one
// transaction.
func try(do func(t *table) error) error {
	conn, _, err := dialTable()
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%s_trial_%08x", tableName, rand.Uint32())
	t := &table{conn: conn, t: &nftables.Table{Name: name, Family: nftables.TableFamilyINet}}
	conn.AddTable(t.t)
	err = do(t)
	if err == nil {
		conn.DelTable(t.t)
		err = conn.Flush()
	}
	return errors.Join(err, conn.CloseLasting())
}

// reason says in words what the kernel says in numbers.
func reason(err error) string {
	switch {
	case errors.Is(err, os.ErrPermission):
		return "not permitted: CAP_NET_ADMIN is missing"
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EPROTONOSUPPORT):
		return "this kernel has no such thing"
	}
	return err.Error()
}
