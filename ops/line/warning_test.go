package line_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"itool/ops/courier/couriertest"
	"itool/ops/line"
)

// TestWarning: answers that ran out of length are said when a round's examples are
// selected: by the keeper, which opens its trees, and to everybody who asks.
func TestWarning(t *testing.T) {
	for _, c := range []struct {
		cut  int32
		want string
	}{
		{5, ""},
		{6, "6 of 100 answers to validation examples ran out of length at 64 tokens (select.max_tokens)"},
	} {
		broker := couriertest.Open(t)
		cfg := line.Default()
		cfg.Rounds = 1
		start(t, broker, cfg)
		work(t, broker, &world{cut: c.cut})
		var log bytes.Buffer
		k := &line.Keeper{Courier: broker, Worker: "k", Log: slog.New(slog.NewTextHandler(&log, nil))}
		if text, err := line.Warning(t.Context(), broker, "r", 0); text != "" {
			t.Errorf("before the run: %q, %v", text, err)
		}
		for ended, deadline := false, time.Now().Add(20*time.Second); !ended && time.Now().Before(deadline); {
			for m, err := range broker.Broker.Started(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				s, err := k.Step(t.Context(), m)
				if err != nil {
					t.Fatal(err)
				}
				ended = s.Ended
			}
			time.Sleep(5 * time.Millisecond)
		}
		text, err := line.Warning(t.Context(), broker, "r", 0)
		if err != nil || !strings.HasPrefix(text, c.want) || (text == "") != (c.want == "") {
			t.Errorf("%d cut: %q, %v, want %q", c.cut, text, err, c.want)
		}
		if n := strings.Count(log.String(), "ran out of length"); (n == 1) != (c.want != "") || n > 1 {
			t.Errorf("%d cut: the keeper's log says it %d times:\n%s", c.cut, n, log.String())
		}
		if c.want != "" && !strings.Contains(text, "--set select.max_tokens=216 (the search's limit is now 256)") {
			t.Errorf("%q does not say what to raise", text)
		}
	}
}
