package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func produce(c fields, records []*kgo.Record, options ...kgo.Opt) error {
	client, err := connect(c, append([]kgo.Opt{kgo.DefaultProduceTopic(c.topic())}, options...)...)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := limited()
	defer cancel()
	return client.ProduceSync(ctx, records...).FirstErr()
}

// readAll reads partition 0 up to its end as this isolation level sees it.
func readAll(c fields, isolation kgo.IsolationLevel) ([]*kgo.Record, error) {
	start := map[string]map[int32]kgo.Offset{c.topic(): {0: kgo.NewOffset().AtStart()}}
	client, err := connect(c, kgo.ConsumePartitions(start), kgo.FetchIsolationLevel(isolation),
		kgo.KeepControlRecords(), kgo.FetchMaxPartitionBytes(16_000_000))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := limited()
	defer cancel()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, c.topic())
	if err != nil {
		return nil, err
	}
	end, _ := ends.Lookup(c.topic(), 0)
	var records []*kgo.Record
	// Control records stand in the log too: the last one read tells how far this is.
	for position := int64(0); position < end.Offset; {
		fetched := client.PollFetches(ctx)
		if err := fetched.Err0(); err != nil {
			return nil, fmt.Errorf("at offset %d of %d: %w", position, end.Offset, err)
		}
		for _, record := range fetched.Records() {
			position = record.Offset + 1
			if !record.Attrs.IsControl() {
				records = append(records, record)
			}
		}
	}
	return records, nil
}

func numbered(count int) []*kgo.Record {
	records := make([]*kgo.Record, count)
	for i := range records {
		records[i] = kgo.KeyStringRecord(fmt.Sprintf("key-%d", i), fmt.Sprintf("value-%d", i))
	}
	return records
}

func roundTrip(c fields) error {
	sent := numbered(100)
	for i, record := range sent {
		record.Headers = []kgo.RecordHeader{{Key: "number", Value: fmt.Append(nil, i)}}
	}
	if err := produce(c, sent); err != nil {
		return err
	}
	records, err := readAll(c, kgo.ReadUncommitted())
	if err != nil {
		return err
	}
	same := slices.EqualFunc(sent, records, func(a, b *kgo.Record) bool {
		return bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value) && len(b.Headers) == 1 &&
			bytes.Equal(a.Headers[0].Value, b.Headers[0].Value)
	})
	c.trace("100 records came back in order with keys, values and headers")
	return expect(same, "%d records came back, not the 100 that were sent", len(records))
}

func compression(c fields) error {
	value := strings.Repeat("compressible ", 80)
	codecs := []struct {
		name  string
		codec kgo.CompressionCodec
	}{
		{"none", kgo.NoCompression()}, {"gzip", kgo.GzipCompression()}, {"snappy", kgo.SnappyCompression()},
		{"lz4", kgo.Lz4Compression()}, {"zstd", kgo.ZstdCompression()},
	}
	for _, codec := range codecs {
		var records []*kgo.Record
		for range 20 {
			records = append(records, kgo.KeyStringRecord(codec.name, value))
		}
		if err := produce(c, records, kgo.ProducerBatchCompression(codec.codec)); err != nil {
			return fmt.Errorf("%s: %w", codec.name, err)
		}
	}
	records, err := readAll(c, kgo.ReadUncommitted())
	if err != nil {
		return err
	}
	for _, codec := range codecs {
		count := 0
		for _, record := range records {
			if string(record.Key) == codec.name && string(record.Value) == value {
				count++
			}
		}
		c.trace("%s: %d records", codec.name, count)
		if count != 20 {
			return fmt.Errorf("%s: %d records of 20", codec.name, count)
		}
	}
	return nil
}

func idempotent(c fields) error {
	if err := produce(c, numbered(200), kgo.ProducerBatchMaxBytes(1000)); err != nil {
		return err
	}
	records, err := readAll(c, kgo.ReadUncommitted())
	if err != nil {
		return err
	}
	for i, record := range records {
		if string(record.Value) != fmt.Sprintf("value-%d", i) {
			return fmt.Errorf("record %d is %s", i, record.Value)
		}
	}
	c.trace("200 records, each once and in order")
	return expect(len(records) == 200, "%d records", len(records))
}

func transaction(c fields) error {
	client, err := connect(c, kgo.DefaultProduceTopic(c.topic()), kgo.TransactionalID(c.topic()))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := limited()
	defer cancel()
	for _, commit := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		if err := client.BeginTransaction(); err != nil {
			return err
		}
		value := map[kgo.TransactionEndTry]string{kgo.TryCommit: "kept", kgo.TryAbort: "aborted"}[commit]
		for range 10 {
			if err := client.ProduceSync(ctx, kgo.StringRecord(value)).FirstErr(); err != nil {
				return err
			}
		}
		if err := client.EndTransaction(ctx, commit); err != nil {
			return err
		}
	}
	committed, err := readAll(c, kgo.ReadCommitted())
	if err != nil {
		return err
	}
	for _, record := range committed {
		if string(record.Value) != "kept" {
			return errors.New("a record of the aborted transaction was seen")
		}
	}
	all, err := readAll(c, kgo.ReadUncommitted())
	if err != nil {
		return err
	}
	c.trace("read_committed saw %d records, read_uncommitted %d", len(committed), len(all))
	return expect(len(committed) == 20 && len(all) == 30, "%d committed, %d in all", len(committed), len(all))
}

func compaction(c fields) error {
	keyed := []*kgo.Record{kgo.KeyStringRecord("a", "1"), kgo.KeyStringRecord("b", "2"), {Key: []byte("a")}}
	if err := produce(c, keyed); err != nil {
		return err
	}
	refusal := produce(c, []*kgo.Record{kgo.StringRecord("3")})
	if !errors.Is(refusal, kerr.InvalidRecord) {
		return fmt.Errorf("a record without a key: %w", refusal)
	}
	c.trace("keyless record: INVALID_RECORD")
	records, err := readAll(c, kgo.ReadUncommitted())
	if err != nil {
		return err
	}
	c.trace("3 keyed records, the last a tombstone")
	return expect(len(records) == 3 && records[2].Value == nil, "%d records", len(records))
}

func large(c fields) error {
	value := make([]byte, 9_900_000)
	rand.New(rand.NewSource(1)).Read(value)
	limits := []kgo.Opt{kgo.ProducerBatchMaxBytes(20_000_000), kgo.ProducerBatchCompression(kgo.NoCompression())}
	if err := produce(c, []*kgo.Record{kgo.SliceRecord(value)}, limits...); err != nil {
		return err
	}
	refusal := produce(c, []*kgo.Record{kgo.SliceRecord(make([]byte, 10_700_000))}, limits...)
	if !errors.Is(refusal, kerr.MessageTooLarge) {
		return fmt.Errorf("10.7 MB: %w", refusal)
	}
	c.trace("10.7 MB: MESSAGE_TOO_LARGE")
	records, err := readAll(c, kgo.ReadUncommitted())
	if err != nil {
		return err
	}
	c.trace("9.9 MB: came back whole")
	return expect(len(records) == 1 && bytes.Equal(records[0].Value, value), "the large message came back changed")
}
