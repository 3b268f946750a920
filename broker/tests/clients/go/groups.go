package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// member is a consumer of the group, with the number of partitions that it was given.
type member struct {
	client   *kgo.Client
	mutex    sync.Mutex
	assigned map[int32]bool
}

func join(c fields, options ...kgo.Opt) (*member, error) {
	m := &member{assigned: map[int32]bool{}}
	change := func(given bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			m.mutex.Lock()
			defer m.mutex.Unlock()
			for _, partition := range partitions[c.topic()] {
				if given {
					m.assigned[partition] = true
				} else {
					delete(m.assigned, partition)
				}
			}
		}
	}
	options = append([]kgo.Opt{
		kgo.ConsumerGroup(c.topic()), kgo.ConsumeTopics(c.topic()), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.OnPartitionsAssigned(change(true)), kgo.OnPartitionsRevoked(change(false)), kgo.OnPartitionsLost(change(false)),
	}, options...)
	client, err := connect(c, options...)
	m.client = client
	return m, err
}

func (m *member) partitions() int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return len(m.assigned)
}

// shareAndResume: two members have a partition each; after their commit a third reads only what is new.
func shareAndResume(c fields) error { return shareAndResumeWith(c, context.Background()) }

// shareAndResumeNew is the same with the protocol of KIP-848, which this client keeps behind a context value.
func shareAndResumeNew(c fields) error {
	return shareAndResumeWith(c, context.WithValue(context.Background(), "opt_in_kafka_next_gen_balancer_beta", true)) //nolint:staticcheck // the client looks for this very string
}

func shareAndResumeWith(c fields, protocol context.Context) error {
	first, err := join(c, kgo.WithContext(protocol))
	if err != nil {
		return err
	}
	defer first.client.Close()
	second, err := join(c, kgo.WithContext(protocol))
	if err != nil {
		return err
	}
	defer second.client.Close()
	seen := map[string]bool{}
	both := []*member{first, second}
	if err := until("each member has a partition", both, seen, func() bool {
		return first.partitions() == 1 && second.partitions() == 1
	}); err != nil {
		return err
	}
	c.trace("two members, a partition each")
	if err := produceToBoth(c, 0, 20); err != nil {
		return err
	}
	if err := until("all records are read", both, seen, func() bool { return len(seen) == 40 }); err != nil {
		return err
	}
	ctx, cancel := limited()
	defer cancel()
	if err := errors.Join(first.client.CommitUncommittedOffsets(ctx), second.client.CommitUncommittedOffsets(ctx)); err != nil {
		return err
	}
	first.client.Close()
	second.client.Close()
	if err := produceToBoth(c, 20, 25); err != nil {
		return err
	}
	third, err := join(c, kgo.WithContext(protocol))
	if err != nil {
		return err
	}
	defer third.client.Close()
	after := map[string]bool{}
	if err := until("the new records are read", []*member{third}, after, func() bool { return len(after) >= 10 }); err != nil {
		return err
	}
	for value := range after {
		if seen[value] {
			return errors.New("a committed record was read again")
		}
	}
	c.trace("a later member resumed after 40 committed records with %d new ones", len(after))
	return expect(len(after) == 10, "%d records after the commit", len(after))
}

func produceToBoth(c fields, from, to int) error {
	var records []*kgo.Record
	for partition := range int32(2) {
		for i := from; i < to; i++ {
			records = append(records, &kgo.Record{Partition: partition, Value: fmt.Appendf(nil, "%d/%d", partition, i)})
		}
	}
	return produce(c, records, kgo.RecordPartitioner(kgo.ManualPartitioner()))
}

func until(what string, members []*member, seen map[string]bool, holds func() bool) error {
	deadline := time.Now().Add(wait)
	for !holds() {
		if time.Now().After(deadline) {
			return fmt.Errorf("not in time: %s; read %d", what, len(seen))
		}
		for _, m := range members {
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			fetched := m.client.PollFetches(ctx)
			cancel()
			if err := fetched.Err0(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				return err
			}
			for _, record := range fetched.Records() {
				seen[string(record.Value)] = true
			}
		}
	}
	return nil
}
