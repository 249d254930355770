package conform

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"itool/broker"
	"itool/schemas"
	"itool/stages/filter"
	"itool/stages/policy"
)

// faultOf is the environment variable that makes the test's program a worker with a fault.
const faultOf = "ITOOL_TEST_FAULT"

func TestMain(m *testing.M) {
	if fault := os.Getenv(faultOf); fault != "" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		work(ctx, fault)
		return
	}
	os.Exit(m.Run())
}

// TestFaults: each check fails for a worker that has the fault it looks for.
func TestFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("starts programs that wait, half a minute; the full test run does it")
	}
	e, err := policy.NewEngine(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWorld(t.Context(), Options{
		Stage: "filter", Command: []string{os.Args[0]}, Dir: t.TempDir(), Engine: e, AckWait: 2 * time.Second,
		Patience: 30 * time.Second, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.site.Close()
	for _, c := range []struct{ fault, check, want string }{
		{"none", "answers", ""},
		{"none", "same bytes on repeat", ""},
		{"ends", "answers", "the program has ended"},
		{"acks early", "answers", "were acked before their result was published"},
		{"foreign policy", "answers", "header itool-policy"},
		{"other example", "answers", `example "other"`},
		{"random", "same bytes on repeat", "have other bytes"},
		{"ignores versions", "newer schema", "which it cannot know"},
		{"answers junk", "junk", "got a result"},
		{"acks junk", "junk", "acked without a failure record"},
		{"no heartbeat", "full stream, heartbeats", "heartbeats in"},
		{"gives up waiting", "object not there yet", "was given up, or acked"},
	} {
		t.Run(c.fault+": "+c.check, func(t *testing.T) {
			t.Setenv(faultOf, c.fault)
			r, err := w.check(t.Context(), []string{c.check})
			if err != nil {
				t.Fatal(err)
			}
			var failures []string
			for _, f := range r.Findings {
				if f.Level == Fail {
					failures = append(failures, f.Text)
				}
			}
			if all := strings.Join(failures, "\n"); c.want == "" && all != "" || !strings.Contains(all, c.want) {
				t.Errorf("the failures are %q, want %q; all: %v", all, c.want, r.Findings)
			}
		})
	}
}

// work is a small worker of filter with a fault.
func work(ctx context.Context, fault string) {
	if fault == "ends" {
		return
	}
	b, err := broker.Connect(ctx, broker.Config{URL: os.Getenv("ITOOL_BROKER")})
	if err != nil {
		panic(err)
	}
	defer b.Close()
	run := os.Getenv("ITOOL_RUN")
	for ctx.Err() == nil {
		q, err := b.Pull(ctx, run, "filter", []string{"candidate.*.*"}, broker.PullOptions{AckWait: 2 * time.Second})
		var d *broker.Delivery
		if err == nil {
			d, err = q.Next(ctx)
		}
		if err != nil {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		if err := serve(ctx, b, d, fault); err != nil && ctx.Err() == nil {
			fmt.Println(err)
		}
	}
}

func serve(ctx context.Context, b *broker.Broker, d *broker.Delivery, fault string) error {
	if fault == "acks early" {
		defer d.Ack(ctx) // a second time it does nothing
		if err := d.Ack(ctx); err != nil {
			return err
		}
	}
	if fault != "no heartbeat" {
		beating, stop := context.WithCancel(ctx)
		defer stop()
		go func() {
			for beating.Err() == nil {
				_ = d.Heartbeat(beating)
				time.Sleep(300 * time.Millisecond)
			}
		}()
	}
	record, result, err := answer(d, fault)
	if err != nil {
		return d.Ack(ctx) // what is no item is dropped, without the record that it needs
	}
	to := d.Address
	to.Record = record
	for {
		_, err := b.Publish(ctx, to, result.Header.Map(), result.Body)
		if err == nil || !errors.Is(err, broker.ErrFull) {
			return errors.Join(err, d.Ack(ctx))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// answer makes a result: pairs that are none of a real filter, but rows that a keeper accepts.
func answer(d *broker.Delivery, fault string) (record string, b schemas.Batch, err error) {
	h, err := schemas.ParseHeader(d.Header)
	if err != nil {
		return "", b, err
	}
	tree := schemas.Batch{Header: h, Body: d.Data}
	if fault == "ignores versions" {
		tree.Header.Schema = schemas.Candidate{}.Schema()
	}
	rows, err := schemas.Decode[schemas.Candidate](tree)
	to := h
	to.Input, to.Worker = h.SHA256, "test"
	if err != nil && fault == "gives up waiting" {
		row := schemas.Failed{Stage: filter.New().Spec().Name, Subject: d.Address.String(), Reason: "rejected"}
		b, err = schemas.Encode(to, []schemas.Failed{row})
		return "failed", b, err
	}
	if err != nil && fault != "answers junk" {
		return "", b, err
	}
	pair := schemas.Pair{ExampleID: d.Key, Node: int32(len(rows)), Reason: "too_close"}
	switch fault {
	case "foreign policy":
		to.Policy = strings.Repeat("0", 64)
	case "other example":
		pair.ExampleID = "other"
	case "random":
		pair.ChosenQ = float64(time.Now().UnixNano())
	}
	b, err = schemas.Encode(to, []schemas.Pair{pair})
	return "pair", b, err
}
