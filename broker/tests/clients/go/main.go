// The Go client franz-go: reads its plan on standard input, says how each case went on standard output. As
// `lines BOOTSTRAP TOPIC` it produces what it reads.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

const wait = 40 * time.Second

func main() {
	if len(os.Args) == 4 && os.Args[1] == "lines" {
		if err := produceLines(os.Args[2], os.Args[3], os.Stdin); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	runPlan(map[string]func(fields) error{
		"round-trip":       roundTrip,
		"compression":      compression,
		"idempotent":       idempotent,
		"transaction":      transaction,
		"compaction":       compaction,
		"large":            large,
		"group-classic":    shareAndResume,
		"group-new":        shareAndResumeNew,
		"admin":            administer,
		"wrong-password":   wrongPassword,
		"untrusted":        untrusted,
		"tls-on-plaintext": wrongPort,
		"plaintext-on-tls": wrongPort,
	})
}

// connect makes a client of this case. Host-name verification stays on.
func connect(c fields, options ...kgo.Opt) (*kgo.Client, error) {
	return connectWith(c, os.Getenv("KAFKA_PASSWORD"), true, options...)
}

func connectWith(c fields, password string, trust bool, options ...kgo.Opt) (*kgo.Client, error) {
	options = append([]kgo.Opt{kgo.SeedBrokers(c.brokers()...)}, options...)
	if c["path"] == "sasl-ssl" {
		config := &tls.Config{}
		if trust {
			ca, err := os.ReadFile(c["ca"])
			if err != nil {
				return nil, err
			}
			config.RootCAs = x509.NewCertPool()
			config.RootCAs.AppendCertsFromPEM(ca)
		}
		switch c["tls"] {
		case "1.2":
			config.MaxVersion = tls.VersionTLS12
		case "1.3":
			config.MinVersion = tls.VersionTLS13
		}
		options = append(options, kgo.DialTLSConfig(config))
		secret := scram.Auth{User: c["user"], Pass: password}
		switch c["mechanism"] {
		case "PLAIN":
			options = append(options, kgo.SASL(plain.Auth{User: c["user"], Pass: password}.AsMechanism()))
		case "SCRAM-SHA-256":
			options = append(options, kgo.SASL(secret.AsSha256Mechanism()))
		default:
			options = append(options, kgo.SASL(secret.AsSha512Mechanism()))
		}
	}
	return kgo.NewClient(options...)
}

// expect is an error unless `holds`.
func expect(holds bool, format string, arguments ...any) error {
	if holds {
		return nil
	}
	return fmt.Errorf(format, arguments...)
}

func limited() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), wait)
}
