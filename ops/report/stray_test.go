package report_test

import (
	"strings"
	"testing"

	"itool/broker"
	"itool/schemas"
)

// TestJunkDoesNotSinkAReport: foreign messages, and records that cannot be read, are left out and counted.
func TestJunkDoesNotSinkAReport(t *testing.T) {
	b := newFixture(t)
	write(b, "run", 0, "run", schemas.Run{Name: run, Config: "{}", Dataset: "[]"})
	write(b, "policy", -1, "policy", basePolicy)
	write(b, "manifest", 0, "example", schemas.Manifest{Key: "s0"}, schemas.Manifest{Key: "s1"})
	write(b, "example", 0, "s0", schemas.Example{ID: "s0-1", Part: schemas.PartTrain})
	raw := func(record string, round int, key string, h map[string]string) {
		at := broker.Address{Run: run, Record: record, Round: round, Key: key}
		if _, err := b.c.Broker.Publish(t.Context(), at, h, []byte("junk")); err != nil {
			t.Fatal(err)
		}
	}
	raw("example", 0, "s1", map[string]string{"itool-schema": "example/v1", "itool-rows": "3"})
	raw("example", 0, "junk", nil)
	raw("failed", 0, "junk", nil)
	raw("policy", 0, "policy", nil)
	write(b, "refused", 0, "s0_7", schemas.Failed{
		Stage: "split", Subject: "itool.run.r1.example.0.s0", Reason: schemas.ReasonInvalid, Error: "half a stream",
		Worker: "python/1",
	})
	r := gather(b)
	if r.Rows.Total != 1 || r.Foreign != 1 || len(r.Unreadable) != 2 || len(r.Refused) != 1 || len(r.Policies) != 1 {
		t.Errorf("%d rows, %d foreign, unreadable %q, refused %+v, %d policies",
			r.Rows.Total, r.Foreign, r.Unreadable, r.Refused, len(r.Policies))
	}
	text, html := render(t, r)
	for _, want := range []string{"1 foreign messages", "1 results were refused", "python/1", "half a stream",
		"2 records cannot be read"} {
		if !strings.Contains(text, want) || !strings.Contains(html, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
}

// TestAStalledRun: a report of a run that does not go on says why, and what to do.
func TestAStalledRun(t *testing.T) {
	b := newFixture(t)
	write(b, "run", 0, "run", schemas.Run{Name: run, Config: "{}", Dataset: "[]"})
	text := `{"stalled": "1 item failed: see itool failed", "waiting": ["waiting: store: away"], "keeper": "k1"}`
	if err := b.c.Broker.SetState(t.Context(), run, []byte(text)); err != nil {
		t.Fatal(err)
	}
	r := gather(b)
	asText, asHTML := render(t, r)
	for _, want := range []string{"stalled: 1 item failed: see itool failed", "waiting: store: away"} {
		if !strings.Contains(asText, want) || !strings.Contains(asHTML, want) {
			t.Errorf("the report lacks %q:\n%s", want, asText)
		}
	}
	if r.Status != "running" || r.Stalled == "" || len(r.Waiting) != 1 {
		t.Errorf("got %q, %q, %q", r.Status, r.Stalled, r.Waiting)
	}
}
