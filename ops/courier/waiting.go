package courier

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"itool/broker"
	"itool/storage"
)

// Waiting says what an item waits for, or the broker itself: "disk: …", "broker: …", "store: …",
// "needs pair/v2". It is asked for, not stored: a full disk could not keep it.
type Waiting struct {
	Run    string `json:"run,omitempty"`   // "": all runs
	Stage  string `json:"stage,omitempty"` // "": all stages
	What   string `json:"what"`
	Worker string `json:"worker"` // who says so
}

const (
	askWaiting = "waiting"
	// patience is how long answers are waited for. A process that is too slow is missing this time.
	patience    = 300 * time.Millisecond
	maxWaitings = 64      // of one process
	maxAnswer   = 1 << 18 // bytes
)

// AnswerWaiting tells those who ask what this process waits for, until ctx ends.
func (c *Courier) AnswerWaiting(ctx context.Context, list func() []Waiting) error {
	return c.Broker.Answer(ctx, askWaiting, func() []byte {
		all := list()
		text, err := json.Marshal(all[:min(len(all), maxWaitings)])
		if err != nil {
			return nil
		}
		return text
	})
}

// Waiting asks all processes what they wait for now, sorted, each thing once. It takes about a third of a
// second, and ignores what it cannot read.
func (c *Courier) Waiting(ctx context.Context) ([]Waiting, error) {
	answers, err := c.Broker.Ask(ctx, askWaiting, patience)
	if err != nil {
		return nil, err
	}
	var all []Waiting
	for _, text := range answers {
		var some []Waiting
		if len(text) <= maxAnswer && json.Unmarshal(text, &some) == nil {
			all = append(all, some[:min(len(some), maxWaitings)]...)
		}
	}
	slices.SortFunc(all, func(x, y Waiting) int {
		return cmp.Or(strings.Compare(x.Run, y.Run), strings.Compare(x.Stage, y.Stage),
			strings.Compare(x.What, y.What), strings.Compare(x.Worker, y.Worker))
	})
	return slices.CompactFunc(all, func(x, y Waiting) bool {
		return x.Run == y.Run && x.Stage == y.Stage && x.What == y.What
	}), nil
}

// WaitsFor says what an error of broker or store makes an item wait for.
func WaitsFor(err error) string {
	text := err.Error()
	switch {
	case errors.Is(err, storage.ErrFull):
		return "disk: " + text
	case errors.Is(err, broker.ErrFull):
		return text // it says so, and what to do
	case strings.Contains(text, "broker: "): // all errors of the broker begin so
		return "broker: " + text
	}
	return "store: " + text
}
