// Package external runs clients that people wrote themselves, in any language,
// in the place of producers and consumers of a scenario. A client is a process
// that speaks Kafka to the cluster and lines of JSON to this package; what it
// says is recorded as what the built-in clients do is.
//
// Nothing that it says is taken on trust: a producer's acknowledgements are
// compared with the log by the audit, the values of records are signed, and an
// id that was never handed out is a lie that the recording holds against it.
//
// This file defines Load, which starts such clients beside the built-in ones.
package external

import (
	"context"
	"fmt"
	"sync"

	"starfall/runtime"
)

// Options say which clients are replaced.
type Options struct {
	// Commands are the command lines of clients by the name that they have in
	// the scenario: words, parted by blanks, with quotes as in a shell.
	Commands map[string]string
	// Next starts all other clients.
	Next runtime.Load
	// Folder is where what clients write to stderr is kept, a file a member;
	// "" for nowhere.
	Folder string
	// Dir is where the programs start; "" for the current folder.
	Dir string
	// Key signs the ids of the run's records.
	Key []byte
	// Environ is the environment of which clients get what they need to be
	// found and to print (see environment), as os.Environ gives it.
	Environ []string
}

// Load is a runtime.Load.
type Load struct {
	o Options

	mu   sync.Mutex
	left map[memberKey]leftover
	said map[string]bool // consumers of which a member has said what it got
}

// memberKey names a member over all its lives.
type memberKey struct {
	client string
	member int
}

// leftover is what a crashed producer member leaves to the next.
type leftover struct {
	next uint64   // the first sequence number that was not handed over
	open []uint64 // handed over and not answered, in order
}

var (
	_ runtime.Load = (*Load)(nil)
	_ runtime.Mute = (*Load)(nil)
)

// New makes a Load. It refuses command lines that cannot be read.
func New(o Options) (*Load, error) {
	for name, line := range o.Commands {
		if _, err := Words(line); err != nil {
			return nil, fmt.Errorf("client %s: %w", name, err)
		}
	}
	return &Load{o: o, left: map[memberKey]leftover{}, said: map[string]bool{}}, nil
}

// Producer implements runtime.Load.
func (l *Load) Producer(ctx context.Context, s runtime.ProducerSpec) (runtime.Producer, error) {
	line, ok := l.o.Commands[s.Producer.Name]
	if !ok {
		return l.o.Next.Producer(ctx, s)
	}
	return newProducer(l, line, s)
}

// Consumer implements runtime.Load.
func (l *Load) Consumer(ctx context.Context, s runtime.ConsumerSpec) (runtime.Member, error) {
	line, ok := l.o.Commands[s.Consumer.Name]
	if !ok || s.Consumer.Observes != "" {
		return l.o.Next.Consumer(ctx, s)
	}
	return newConsumer(ctx, l, line, s)
}

// Silent implements runtime.Mute.
func (l *Load) Silent(client string) bool {
	if _, ok := l.o.Commands[client]; !ok {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.said[client]
}

func (l *Load) says(client string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said[client] = true
}

func (l *Load) leave(k memberKey, x leftover) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left[k] = x
}

func (l *Load) resume(k memberKey) leftover {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.left[k]
	delete(l.left, k)
	return x
}
