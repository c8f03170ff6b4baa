// Command go is a producer and a consumer for starfall's --client, with sarama:
//
//	shop produce | consume
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/IBM/sarama"
)

func main() {
	log.SetFlags(log.Lmicroseconds)
	signal.Ignore(syscall.SIGTERM) // stdin closes, too: that is the sign
	roles := map[string]func() error{"produce": produce, "consume": consume}
	if len(os.Args) != 2 || roles[os.Args[1]] == nil {
		log.Fatal("want produce or consume")
	}
	if err := roles[os.Args[1]](); err != nil {
		log.Fatal(err)
	}
}

// order is a line from starfall.
type order struct {
	Send, Key, Value string
	Bootstrap, Topic string
}

// out writes lines; several goroutines have something to say.
var out = struct {
	sync.Mutex
	*json.Encoder
}{Encoder: json.NewEncoder(os.Stdout)}

func say(what map[string]any) {
	out.Lock()
	defer out.Unlock()
	if err := out.Encode(what); err != nil {
		log.Fatal(err)
	}
}

func config() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.V3_9_0_0
	if user := os.Getenv("KAFKA_USER"); user != "" {
		c.Net.SASL.Enable = true
		c.Net.SASL.Mechanism = sarama.SASLTypePlaintext
		c.Net.SASL.User, c.Net.SASL.Password = user, os.Getenv("KAFKA_PASSWORD")
	}
	return c
}

// orders reads stdin to its end.
func orders(do func(order)) error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var o order
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			return err
		}
		do(o)
	}
	return lines.Err()
}

func produce() error {
	topic := os.Getenv("TOPIC")
	var wait sync.WaitGroup
	var mu sync.Mutex
	open := map[string]order{} // given and not answered

	connect := func(bootstrap string) (sarama.AsyncProducer, error) {
		c := config()
		c.Producer.Return.Successes = true
		c.Producer.Retry.Max = 1000
		c.Producer.RequiredAcks = map[string]sarama.RequiredAcks{
			"1": sarama.WaitForLocal, "0": sarama.NoResponse,
		}[os.Getenv("ACKS")]
		if os.Getenv("ACKS") == "all" {
			c.Producer.RequiredAcks = sarama.WaitForAll
		}
		c.Producer.Flush.Frequency = 5 * time.Millisecond
		p, err := sarama.NewAsyncProducer(strings.Split(bootstrap, ","), c)
		if err != nil {
			return nil, err
		}
		done := func(id string) {
			mu.Lock()
			delete(open, id)
			mu.Unlock()
		}
		wait.Go(func() {
			for m := range p.Successes() {
				id := m.Metadata.(string)
				done(id)
				say(map[string]any{"acked": id, "partition": m.Partition, "offset": m.Offset})
			}
		})
		wait.Go(func() {
			for e := range p.Errors() {
				id := e.Msg.Metadata.(string)
				done(id)
				fate := "unknown"
				if errors.Is(e.Err, sarama.ErrMessageSizeTooLarge) || errors.Is(e.Err, sarama.ErrTopicAuthorizationFailed) {
					fate = "failed"
				}
				say(map[string]any{fate: id, "reason": e.Err.Error()})
			}
		})
		return p, nil
	}

	p, err := connect(os.Getenv("KAFKA_BOOTSTRAP"))
	if err != nil {
		return err
	}
	send := func(o order) {
		m := &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(o.Value), Metadata: o.Send}
		if o.Key != "" {
			m.Key = sarama.StringEncoder(o.Key)
		}
		p.Input() <- m
	}
	var failed error
	err = orders(func(o order) {
		if o.Bootstrap == "" {
			mu.Lock()
			open[o.Send] = o
			mu.Unlock()
			send(o)
			return
		}
		old := p
		if p, failed = connect(o.Bootstrap); failed != nil {
			log.Fatal(failed)
		}
		topic = o.Topic
		old.AsyncClose()
		mu.Lock()
		var again []order
		for _, x := range open {
			again = append(again, x)
		}
		mu.Unlock()
		for _, x := range again {
			send(x)
		}
	})
	p.AsyncClose()
	wait.Wait()
	return err
}

// reader is what one session of the group does.
type reader struct{}

func (reader) Setup(sarama.ConsumerGroupSession) error {
	say(map[string]any{"ready": true})
	return nil
}

func (reader) Cleanup(s sarama.ConsumerGroupSession) error {
	s.Commit()
	return nil
}

func (reader) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	for {
		select {
		case m, ok := <-c.Messages():
			if !ok {
				return nil
			}
			// This is where the work is done. Only then is it said, and marked.
			say(map[string]any{"got": string(m.Value), "topic": m.Topic, "partition": m.Partition, "offset": m.Offset})
			s.MarkMessage(m, "")
		case <-s.Context().Done():
			return nil
		}
	}
}

func consume() error {
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	moves := make(chan order, 1)
	go func() {
		defer leave()
		if err := orders(func(o order) { moves <- o }); err != nil {
			log.Print(err)
		}
	}()
	at := order{Bootstrap: os.Getenv("KAFKA_BOOTSTRAP"), Topic: os.Getenv("TOPIC")}
	for ctx.Err() == nil {
		c := config()
		c.Consumer.Offsets.Initial = sarama.OffsetOldest
		if os.Getenv("START") == "latest" {
			c.Consumer.Offsets.Initial = sarama.OffsetNewest
		}
		if os.Getenv("ISOLATION") == "read_committed" {
			c.Consumer.IsolationLevel = sarama.ReadCommitted
		}
		if ms, err := strconv.Atoi(os.Getenv("SESSION_MS")); err == nil {
			c.Consumer.Group.Session.Timeout = time.Duration(ms) * time.Millisecond
			c.Consumer.Group.Heartbeat.Interval = c.Consumer.Group.Session.Timeout / 3
		}
		group, err := sarama.NewConsumerGroup(strings.Split(at.Bootstrap, ","), os.Getenv("GROUP"), c)
		if err != nil {
			return fmt.Errorf("join: %w", err)
		}
		session, stop := context.WithCancel(ctx)
		go func() {
			select {
			case at = <-moves:
				stop()
			case <-session.Done():
			}
		}()
		for session.Err() == nil {
			if err := group.Consume(session, strings.Split(at.Topic, ","), reader{}); err != nil && session.Err() == nil {
				log.Print(err)
				time.Sleep(100 * time.Millisecond)
			}
		}
		stop()
		if err := group.Close(); err != nil {
			log.Print(err)
		}
	}
	return nil
}
