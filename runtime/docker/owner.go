package docker

// This file defines the labels by which a run's containers and network are
// known, and how to tell whether the run that made them still lives.

import (
	"os"
	"strconv"
	"strings"
)

// The labels.
const (
	labelRun   = "starfall.run"   // id of the run, in hex: on everything
	labelName  = "starfall.name"  // name of the scenario
	labelOwner = "starfall.owner" // the process that made it
	labelKeep  = "starfall.keep"  // "true": meant to outlive its run
	labelPart  = "starfall.part"  // a node's label, or what else the container is for
)

// owner names a process on a host: the boot, the name space of its id, the id,
// and when it started, so that an id that was given again is not taken for the
// same.
type owner struct {
	boot, space, pid, start string
}

// The life of an owner.
type life int

const (
	unknown life = iota // on another host, or behind another name space
	living
	gone
)

// self is the owner that this process is.
func self() owner {
	o := owner{pid: strconv.Itoa(os.Getpid())}
	o.boot, o.space = boot(), space()
	o.start = started(o.pid)
	return o
}

func (o owner) String() string { return strings.Join([]string{o.boot, o.space, o.pid, o.start}, "/") }

func parseOwner(s string) (owner, bool) {
	f := strings.Split(s, "/")
	if len(f) != 4 {
		return owner{}, false
	}
	return owner{f[0], f[1], f[2], f[3]}, true
}

// life tells whether the owner lives.
//
//	boot    name space  process                   life
//	same    same        there, same start         living
//	same    same        not there, or another     gone
//	same    another     -                         unknown
//	other   -           -                         unknown: another host, or this one before it was restarted
func (o owner) life() life {
	if o.boot == "" || o.boot != boot() || o.space != space() {
		return unknown
	}
	if start := started(o.pid); start == "" || start != o.start {
		return gone
	}
	return living
}
