package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"itool/broker"
	"itool/broker/embed"
	"itool/ops/courier"
	"itool/ops/line"
	"itool/ops/site"
)

// TestWatchOfAStalledRun: watch ends with exit code 4, and runs and report say the same, with what to do.
func TestWatchOfAStalledRun(t *testing.T) {
	if testing.Short() {
		t.Skip("runs commands as processes, for half a minute; the full test run does it")
	}
	dir := t.TempDir()
	file, base := writeRows(t, dir, 30), writeBase(t, dir, nil)
	server, err := embed.Start(embed.Config{Dir: t.TempDir(), Port: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	store := "disk:" + dir + "/store"
	opened, err := site.CreateStore(t.Context(), store, site.StoreLogin{})
	if err != nil {
		t.Fatal(err)
	}
	where := []string{"--broker", server.URL(), "--store", store}
	run := func(code int, want string, args ...string) string {
		t.Helper()
		out, errs := expect(t, dir, code, want, append(args, where...)...)
		return out + errs
	}
	publish := append([]string{"publish", file, "--base", base, "--name", "p1"}, small...)
	run(0, "published run p1", publish...)

	// No keeper has ever come.
	run(exitStalled, "`itool work keeper`", "watch", "p1", "--patience", "2s")
	run(0, "`itool work keeper`", "runs")

	// A keeper has come, and says that a person must act; then it goes.
	b, err := broker.Connect(t.Context(), broker.Config{InProcess: server})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	ctx, cancel := context.WithCancel(t.Context())
	kept := make(chan struct{})
	k := &line.Keeper{
		Courier: &courier.Courier{Broker: b, Store: opened}, Worker: "k", Log: slog.New(slog.DiscardHandler),
	}
	go func() {
		defer close(kept)
		_ = k.Run(ctx, 50*time.Millisecond, func(line.State) { cancel() })
	}()
	<-kept
	cancel()
	const why = "3 of 9 items failed: see `itool failed p1`"
	text, err := json.Marshal(line.Status{Stalled: why, Keeper: "k"})
	if err == nil {
		err = b.SetState(t.Context(), "p1", text)
	}
	if err != nil {
		t.Fatal(err)
	}
	run(exitStalled, "run p1 is stalled: "+why, "watch", "p1")
	if out := run(0, why, "runs"); !strings.Contains(out, "stalled") {
		t.Errorf("runs says\n%s", out)
	}
	run(0, "stalled: "+why, "report", "p1", "--full")
	var list runList
	out, _ := expect(t, dir, 0, "", append([]string{"runs", "--json"}, where...)...)
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Runs) != 1 ||
		list.Runs[0].Status != "stalled" || list.Runs[0].Stalled != why {
		t.Errorf("runs --json: %v\n%s", err, out)
	}
}
