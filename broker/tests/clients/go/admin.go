package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// administer does what a tenant's administrator does, and looks at the addresses that he is given.
func administer(c fields) error {
	client, err := connect(c)
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	ctx, cancel := limited()
	defer cancel()
	metadata, err := admin.BrokerMetadata(ctx)
	if err != nil {
		return err
	}
	var found []string
	for _, broker := range metadata.Brokers {
		found = append(found, fmt.Sprintf("%s:%d", broker.Host, broker.Port))
	}
	advertised := c.brokers()
	slices.Sort(found)
	slices.Sort(advertised)
	if !slices.Equal(found, advertised) {
		return fmt.Errorf("brokers: expected %v, found %v", advertised, found)
	}
	c.trace("metadata: every broker, at its address on this path")
	retention := "3600000"
	if _, err := admin.CreateTopic(ctx, 2, -1, map[string]*string{"retention.ms": &retention}, c.topic()); err != nil {
		return err
	}
	if err := eventually(ctx, func() bool { return partitions(ctx, admin, c) == 2 }); err != nil {
		return err
	}
	c.trace("created a topic of 2 partitions")
	retention = "7200000"
	set := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &retention}}
	if _, err := admin.AlterTopicConfigs(ctx, set, c.topic()); err != nil {
		return err
	}
	if err := eventually(ctx, func() bool { return setting(ctx, admin, c, "retention.ms") == "7200000" }); err != nil {
		return err
	}
	c.trace("retention.ms 7200000")
	if _, err := admin.UpdatePartitions(ctx, 3, c.topic()); err != nil {
		return err
	}
	if err := eventually(ctx, func() bool { return partitions(ctx, admin, c) == 3 }); err != nil {
		return err
	}
	c.trace("now 3 partitions")
	if _, err := admin.ListGroups(ctx); err != nil {
		return err
	}
	if _, err := admin.DeleteTopic(ctx, c.topic()); err != nil {
		return err
	}
	c.trace("deleted")
	return eventually(ctx, func() bool { return partitions(ctx, admin, c) == 0 })
}

func partitions(ctx context.Context, admin *kadm.Client, c fields) int {
	topics, err := admin.ListTopics(ctx, c.topic())
	if err != nil {
		return -1
	}
	return len(topics[c.topic()].Partitions)
}

func setting(ctx context.Context, admin *kadm.Client, c fields, name string) string {
	topics, err := admin.DescribeTopicConfigs(ctx, c.topic())
	if err != nil || len(topics) == 0 {
		return ""
	}
	for _, config := range topics[0].Configs {
		if config.Key == name {
			return config.MaybeValue()
		}
	}
	return ""
}

// eventually asks again until metadata has reached the broker that answers.
func eventually(ctx context.Context, holds func() bool) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			return errors.New("the change was not seen in time")
		case <-tick.C:
		}
	}
	return nil
}

// refusal is the error that a client gets; it is an error itself to be let in.
func refusal(c fields, password string, trust bool) (error, error) {
	client, err := connectWith(c, password, trust, kgo.RetryTimeout(4*time.Second), kgo.RequestRetries(2))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		return err, nil
	}
	return nil, errors.New("was let in")
}

func wrongPassword(c fields) error {
	refused, err := refusal(c, "not-the-password", true)
	if err != nil {
		return err
	}
	c.trace("wrong password: SASL_AUTHENTICATION_FAILED")
	return expect(errors.Is(refused, kerr.SaslAuthenticationFailed), "refused by: %v", refused)
}

func untrusted(c fields) error {
	refused, err := refusal(c, "", false)
	if err != nil {
		return err
	}
	var unknown *tls.CertificateVerificationError
	c.trace("unknown authority: CertificateVerificationError")
	return expect(errors.As(refused, &unknown), "refused by: %v", refused)
}

// wrongPort: TLS spoken to the plaintext port, or the other way round.
func wrongPort(c fields) error {
	_, err := refusal(c, "not-the-password", true)
	c.trace("wrong port: refused")
	return err
}
