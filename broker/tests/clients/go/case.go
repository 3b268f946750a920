package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// How many cases run at a time: most of them wait for a rebalance or a time-out.
const atATime = 4

var saying sync.Mutex

// fields is one line of the plan: what to do, and how to reach Kafka.
type fields map[string]string

func (c fields) topic() string     { return c["topic"] }
func (c fields) brokers() []string { return strings.Split(c["bootstrap"], ",") }

// trace adds a line to the transcript: nothing in it may differ between two runs.
func (c fields) trace(format string, arguments ...any) {
	c.say("trace", fmt.Sprintf(format, arguments...))
}

func (c fields) say(kind, text string) {
	saying.Lock()
	defer saying.Unlock()
	fmt.Printf("%s\t%s\t%s\n", kind, c["id"], strings.Join(strings.Fields(text), " "))
}

func (c fields) run(scenario func(fields) error) {
	began := time.Now()
	if scenario == nil {
		c.say("fail", "this client does not know the scenario")
	} else if err := scenario(c); err != nil {
		c.say("fail", err.Error())
	} else {
		c.say("ok", fmt.Sprint(time.Since(began).Milliseconds()))
	}
}

func runPlan(scenarios map[string]func(fields) error) {
	var running sync.WaitGroup
	permits := make(chan struct{}, atATime)
	plan := bufio.NewScanner(os.Stdin)
	for plan.Scan() {
		c := fields{}
		for _, pair := range strings.Split(plan.Text(), "\t") {
			key, value, _ := strings.Cut(pair, "=")
			c[key] = value
		}
		running.Add(1)
		permits <- struct{}{}
		go func() {
			defer func() { <-permits; running.Done() }()
			c.run(scenarios[c["scenario"]])
		}()
	}
	running.Wait()
}
