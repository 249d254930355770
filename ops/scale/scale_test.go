package scale_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"itool/ops/scale"
)

func TestDecide(t *testing.T) {
	limits := scale.Limits{Min: 0, Max: 8, Slots: 2, Quiet: 30 * time.Second}
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	long, short := now.Add(-31*time.Second), now.Add(-29*time.Second)
	for _, c := range []struct {
		name    string
		min     int
		view    scale.View
		surplus time.Time
		want    scale.Decision
		since   time.Time
	}{
		{name: "nothing to do, no worker"},
		{name: "from zero", view: scale.View{Waiting: 5}, want: scale.Decision{Want: 3, Start: 3}},
		{name: "no more than are allowed", view: scale.View{Waiting: 500, Active: 1},
			want: scale.Decision{Want: 8, Start: 7}},
		{name: "those that drain hold their device", view: scale.View{Waiting: 500, Active: 2, Draining: 5},
			want: scale.Decision{Want: 8, Start: 1}},
		{name: "no device is free", view: scale.View{Waiting: 500, Active: 2, Draining: 6},
			want: scale.Decision{Want: 8}},
		{name: "items in work count", view: scale.View{InWork: 4, Active: 2}, want: scale.Decision{Want: 2}},
		{name: "too many, since now", view: scale.View{InWork: 1, Active: 4},
			want: scale.Decision{Want: 1}, since: now},
		{name: "too many, not for long", view: scale.View{InWork: 1, Active: 4}, surplus: short,
			want: scale.Decision{Want: 1}, since: short},
		{name: "too many, for long", view: scale.View{InWork: 1, Active: 4}, surplus: long,
			want: scale.Decision{Want: 1, Drain: 3}},
		{name: "to zero", view: scale.View{Active: 2}, surplus: long, want: scale.Decision{Drain: 2}},
		{name: "work came in time", view: scale.View{Waiting: 9, Active: 4}, surplus: long,
			want: scale.Decision{Want: 5, Start: 1}},
		{name: "a minimum", min: 2, view: scale.View{Active: 3}, surplus: long,
			want: scale.Decision{Want: 2, Drain: 1}},
		{name: "a minimum from zero", min: 2, want: scale.Decision{Want: 2, Start: 2}},
	} {
		l := limits
		l.Min, c.view.At = c.min, now
		got, since := l.Decide(c.view, c.surplus)
		if got != c.want || since != c.since {
			t.Errorf("%s: %+v since %v: got %+v since %v, want %+v since %v",
				c.name, c.view, c.surplus, got, since, c.want, c.since)
		}
	}
}

// TestDecideStaysWithinItsLimits: for any view, there are never more workers than places, and a worker
// is let go only if as many stay as items are in work.
func TestDecideStaysWithinItsLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := scale.Limits{Max: rapid.IntRange(1, 20).Draw(t, "max"), Slots: rapid.IntRange(1, 4).Draw(t, "slots")}
		l.Min = rapid.IntRange(0, l.Max).Draw(t, "min")
		v := scale.View{
			At: time.Unix(1e9, 0), Waiting: rapid.IntRange(0, 100).Draw(t, "waiting"),
			InWork: rapid.IntRange(0, 100).Draw(t, "in work"), Active: rapid.IntRange(0, l.Max).Draw(t, "active"),
		}
		v.Draining = rapid.IntRange(0, l.Max-v.Active).Draw(t, "draining")
		d, _ := l.Decide(v, time.Unix(1, 0))
		left := v.Active + d.Start - d.Drain
		switch {
		case d.Start < 0 || d.Drain < 0 || d.Start > 0 && d.Drain > 0:
			t.Errorf("%+v: %+v", v, d)
		case v.Active+v.Draining+d.Start > l.Max:
			t.Errorf("%+v: %+v: more than %d", v, d, l.Max)
		case d.Drain > 0 && left < min((v.InWork+l.Slots-1)/l.Slots, l.Max):
			t.Errorf("%+v: %+v: fewer than have items", v, d)
		case left+v.Draining < l.Min:
			t.Errorf("%+v: %+v: fewer than %d", v, d, l.Min)
		}
	})
}

func TestParseRange(t *testing.T) {
	for text, want := range map[string][2]int{"0..16": {0, 16}, "4": {4, 4}, "2..2": {2, 2}} {
		if low, high, err := scale.ParseRange(text); err != nil || low != want[0] || high != want[1] {
			t.Errorf("%q: %d, %d, %v", text, low, high, err)
		}
	}
	for _, text := range []string{"", "x", "..", "1..", "1...3", "0-16", "1..2..3"} {
		if _, _, err := scale.ParseRange(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
	for _, l := range []scale.Limits{
		{Max: 0, Slots: 1}, {Min: 3, Max: 2, Slots: 1}, {Min: -1, Max: 2, Slots: 1}, {Max: 1},
		{Max: 1, Slots: 1, Quiet: -1},
	} {
		if l.Validate() == nil {
			t.Errorf("%+v is accepted", l)
		}
	}
}
