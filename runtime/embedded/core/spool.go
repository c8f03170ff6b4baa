package core

// This file defines where the bytes of record batches are: in memory, and beyond a budget
// in a Store, the oldest first.

import "errors"

// Store keeps bytes outside memory. The World calls it from its loop, so it should be
// quick; a local file is.
type Store interface {
	// Put keeps data and says where. On an error the data stays in memory.
	Put(data []byte) (at int64, err error)
	// Get reads back all of what was put at a place.
	Get(at int64, data []byte) error
	// Free says that nobody will ask for it again.
	Free(at int64, size int)
}

// DefaultMemory is how many bytes of record batches a World with a Store keeps in memory.
const DefaultMemory = 256 << 20

// spool counts the batches that some log holds. A batch is shared by all replicas that
// have it, whatever broker they are on. Kafka's own topics stay in memory: their
// coordinators read them whole; so do control batches, which are small and are read again
// whenever producers' states are.
//
//	batch       becomes    when
//	(new)       in memory  the first log takes it
//	in memory   stored     the budget is exceeded and it is the oldest
//	any         (gone)     the last log drops it
type spool struct {
	store    Store
	budget   int64
	resident int64
	queue    []*batch // in memory, oldest first; some have been dropped meanwhile
	failed   error    // why the store was given up
}

// stored says where a batch's bytes are when they are not in memory.
type stored struct {
	at   int64
	size int
}

// size is the batch's length in bytes, wherever they are.
func (b *batch) size() int {
	if b.data == nil && b.stored != nil {
		return b.stored.size
	}
	return len(b.data)
}

// freed: every log has dropped the batch, and its bytes are gone from the store. A leader
// may have deleted it while it was on its way to a follower.
func (b *batch) freed() bool { return b.stored != nil && b.holders == 0 }

func (s *spool) hold(b *batch) {
	if s == nil || b.attributes&attrControl != 0 {
		return
	}
	if b.holders++; b.holders > 1 || s.store == nil {
		return
	}
	s.resident += int64(len(b.data))
	s.queue = append(s.queue, b)
	if s.resident > s.budget {
		s.spill()
	}
}

func (s *spool) drop(b *batch) {
	if s == nil || b.attributes&attrControl != 0 {
		return
	}
	if b.holders--; b.holders > 0 || s.store == nil {
		return
	}
	if b.stored != nil {
		s.store.Free(b.stored.at, b.stored.size)
		return
	}
	s.resident -= int64(len(b.data))
}

// spill stores the oldest batches until an eighth of the budget is free.
func (s *spool) spill() {
	i := 0
	for ; i < len(s.queue) && s.resident > s.budget-s.budget/8; i++ {
		b := s.queue[i]
		if b.holders == 0 || b.stored != nil {
			continue
		}
		at, err := s.store.Put(b.data)
		if err != nil {
			// A full disk: from now on everything stays in memory.
			s.failed, s.budget = err, 1<<62
			break
		}
		b.stored = &stored{at, len(b.data)}
		s.resident -= int64(len(b.data))
		b.data = nil
	}
	s.queue = append([]*batch(nil), s.queue[i:]...)
}

var errNoStore = errors.New("the batch is in no store")

// bytes gives a batch's bytes, which must not be changed.
func (s *spool) bytes(b *batch) ([]byte, error) {
	if b.data != nil || b.stored == nil {
		return b.data, nil
	}
	if s.store == nil {
		return nil, errNoStore
	}
	data := make([]byte, b.stored.size)
	err := s.store.Get(b.stored.at, data)
	return data, err
}

// loaded gives a batch that has its bytes; it is not the one that logs hold.
func (s *spool) loaded(b *batch) (*batch, error) {
	if b.data != nil {
		return b, nil
	}
	data, err := s.bytes(b)
	if err != nil {
		return nil, err
	}
	out := *b
	out.data, out.stored, out.holders = data, nil, 0
	return &out, nil
}

// StoreError says why the World keeps everything in memory although it has a Store; nil
// when it does not.
func (w *World) StoreError() error { return w.spool.failed }
