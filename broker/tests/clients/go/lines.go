package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// produceLines sends each line of the input, key:value, and ends once all are acknowledged.
func produceLines(bootstrap, topic string, input io.Reader) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(bootstrap, ",")...), kgo.DefaultProduceTopic(topic), kgo.ClientID(topic))
	if err != nil {
		return err
	}
	defer client.Close()
	var once sync.Once
	var refused error
	lines := bufio.NewScanner(input)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ":")
		client.Produce(context.Background(), kgo.KeyStringRecord(key, value), func(_ *kgo.Record, err error) {
			if err != nil {
				once.Do(func() { refused = fmt.Errorf("a record of key %s: %w", key, err) })
			}
		})
	}
	if err := client.Flush(context.Background()); err != nil {
		return err
	}
	if refused != nil {
		return refused
	}
	return lines.Err()
}
