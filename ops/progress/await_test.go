package progress_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"itool/ops/courier"
	"itool/ops/courier/couriertest"
	"itool/ops/line"
	"itool/ops/progress"
	"itool/schemas"
)

func say(t *testing.T, c *courier.Courier, run string, s line.Status) {
	t.Helper()
	text, err := json.Marshal(s)
	if err == nil {
		err = c.Broker.SetState(t.Context(), run, text)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestAwait: the end of a run is reported at once, a stall when it lasts, and a wait when nothing happens
// for as long as the caller is patient.
func TestAwait(t *testing.T) {
	for name, c := range map[string]struct {
		status   *line.Status
		end      bool
		patience time.Duration
		want     string // status and detail
	}{
		"ended":     {&line.Status{Stalled: "old news"}, true, 0, "done"},
		"stalled":   {&line.Status{Stalled: "a person must act"}, false, 0, "stalled a person must act"},
		"waiting":   {&line.Status{Waiting: []string{"waiting: worker"}}, false, time.Second, "waiting: worker"},
		"no keeper": {nil, false, time.Second, "no keeper looks after"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cr := couriertest.Open(t)
			if err := cr.Broker.CreateRun(t.Context(), "r", 1<<20); err != nil {
				t.Fatal(err)
			}
			if c.status != nil {
				say(t, cr, "r", *c.status)
			}
			if c.end {
				b, err := schemas.Encode(schemas.Header{Run: "r", Key: "end"}, []schemas.End{{Status: "done"}})
				if err == nil {
					_, err = cr.Publish(t.Context(), "end", b, nil)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			end, err := progress.Await(t.Context(), cr, "r", c.patience)
			if got := end.Status + " " + end.Detail; err != nil || !strings.Contains(got, c.want) {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

// TestAStalledRunShowsIt: on a terminal and in lines.
func TestAStalledRunShowsIt(t *testing.T) {
	now := time.Now()
	tr := progress.NewTracker("r")
	tr.See(line.View{Run: "r", Status: &line.Status{
		Stalled: "3 items failed", Waiting: []string{"waiting: store: away"}, Foreign: 20, Refused: 2,
	}}, now)
	table := text(tr.Frame(now))
	var b strings.Builder
	tr.Lines(&b, now)
	for _, want := range []string{"stalled: 3 items failed", "waiting: store", "20 foreign", "2 results were refused"} {
		if !strings.Contains(table, want) || !strings.Contains(b.String(), want) {
			t.Errorf("the display lacks %q:\n%s\n%s", want, table, b.String())
		}
	}
	// Without a keeper that is shown after a while: a keeper needs a moment to open a run.
	tr.See(line.View{Run: "r"}, now)
	if table := text(tr.Frame(now)); strings.Contains(table, "keeper") {
		t.Errorf("at once:\n%s", table)
	}
	if table := text(tr.Frame(now.Add(time.Minute))); !strings.Contains(table, "`itool work keeper`") {
		t.Errorf("after a minute:\n%s", table)
	}
}
