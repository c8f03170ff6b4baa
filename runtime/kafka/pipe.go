// This file defines a pipe: one sarama producer of a lane, and what goes through
// it.

package kafka

import (
	"time"

	"github.com/IBM/sarama"

	"starfall/runtime/record"
)

// pipe is one sarama producer of a lane. Sarama's input has no buffer, and who
// takes from it may wait for its errors to be read: so one goroutine only
// sends, without holding any lock, and another only reads.
type pipe struct {
	client *client
	prod   sarama.AsyncProducer
	wake   chan struct{} // there may be something to send
	stop   chan struct{} // closed by abandon
	sent   chan struct{} // closed when the sender has ended
}

// sendAtOnce is how many records a pipe's sender takes from the lane at a time.
const sendAtOnce = 512

func (l *lane) dial() (*pipe, error) {
	set := l.r.set
	d := set.dialer()
	conf, err := set.producerConfig(memberID(l.p.spec.Producer.Name, l.p.spec.Member), l.p.spec.Producer, d, int(l.p.size))
	if err != nil {
		return nil, err
	}
	conf.ChannelBufferSize = l.window
	c := newClient(l.r.cluster, conf, d)
	c.only = &l.part
	pause := func(int, int) time.Duration {
		if c.Closed() {
			return 0
		}
		return set.wall(set.backoff)
	}
	conf.Producer.Retry.BackoffFunc = pause
	conf.Producer.Transaction.Retry.BackoffFunc = pause
	l.mu.Lock()
	l.dialing = c
	closed := l.closed
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.dialing = nil
		l.mu.Unlock()
	}()
	if closed {
		return nil, sarama.ErrClosedClient
	}
	p := &pipe{client: c, wake: make(chan struct{}, 1), stop: make(chan struct{}), sent: make(chan struct{})}
	c.trouble = func() { l.noteTrouble(p) }
	p.prod, err = sarama.NewAsyncProducerFromClient(c)
	if err != nil {
		c.end(true)
		return nil, err
	}
	return p, nil
}

// abandon ends a pipe; whatever it still has to say is not listened to.
// Sarama closes its input at the end, so the sender has to end before.
func (p *pipe) abandon(reset bool) {
	p.client.end(reset)
	close(p.stop)
	<-p.sent
	p.prod.AsyncClose()
}

// discard reads an abandoned pipe to its end.
func (p *pipe) discard() {
	go func() {
		for range p.prod.Errors() {
		}
	}()
	for range p.prod.Successes() {
	}
}

// send hands records to sarama until the pipe is given up.
func (l *lane) send(p *pipe) {
	defer close(p.sent)
	in := p.prod.Input()
	batch := make([]*item, 0, sendAtOnce)
	for {
		batch = l.next(p, batch[:0])
		if len(batch) == 0 {
			select {
			case <-p.wake:
				continue
			case <-p.stop:
				return
			}
		}
		for _, it := range batch {
			l.fill(it)
			select {
			case in <- &it.msg:
			case <-p.stop:
				return
			}
		}
	}
}

// fill makes the message of an item.
func (l *lane) fill(it *item) {
	spec := &l.p.spec
	it.value = record.EncodeSigned(it.value[:0], record.Identity{
		Run: spec.RunID, Producer: spec.Index, Member: spec.Member, Seq: it.seq,
	}, spec.Producer.Size, spec.TextKey)
	it.msg = sarama.ProducerMessage{Topic: l.r.topic.KafkaName(), Value: it, Metadata: it, Partition: l.part, Offset: -1}
	if l.p.keys != nil {
		it.msg.Key = l.p.keys[record.KeyOf(spec.Seed, spec.Index, spec.Member, it.seq, spec.Producer.Keys)]
	}
}

// read takes what a pipe reports until it has ended.
func (l *lane) read(p *pipe) {
	acks, errs := p.prod.Successes(), p.prod.Errors()
	batch := make([]*item, 0, 1024)
	for acks != nil || errs != nil {
		select {
		case msg, ok := <-acks:
			if !ok {
				acks = nil
				continue
			}
			batch = append(batch[:0], msg.Metadata.(*item))
		more:
			for len(batch) < cap(batch) {
				select {
				case msg, ok := <-acks:
					if !ok {
						acks = nil
						break more
					}
					batch = append(batch, msg.Metadata.(*item))
				default:
					break more
				}
			}
			l.acked(p, batch)
		case e, ok := <-errs:
			if !ok {
				errs = nil
				continue
			}
			l.failed(p, e.Msg.Metadata.(*item), e.Err)
		}
	}
}
