package courier

import (
	"context"
	"encoding/json"
)

// Working says how many items of a stage a worker has in its slots now. Like Waiting it is asked for, not stored.
type Working struct {
	Run    string `json:"run"` // "" if there are no items
	Stage  string `json:"stage"`
	Worker string `json:"worker"`
	Items  int    `json:"items"` // 0: the worker takes the stage, but other items are in all of its slots
}

const askWorking = "working"

// AnswerWorking tells those who ask what this process works on, until ctx ends.
func (c *Courier) AnswerWorking(ctx context.Context, list func() []Working) error {
	return c.Broker.Answer(ctx, askWorking, func() []byte {
		all := list()
		text, err := json.Marshal(all[:min(len(all), maxWaitings)])
		if err != nil {
			return nil
		}
		return text
	})
}

// Working asks all workers what they work on. It takes about a third of a second, and ignores what it cannot read.
func (c *Courier) Working(ctx context.Context) ([]Working, error) {
	answers, err := c.Broker.Ask(ctx, askWorking, patience)
	if err != nil {
		return nil, err
	}
	var all []Working
	for _, text := range answers {
		var some []Working
		if len(text) <= maxAnswer && json.Unmarshal(text, &some) == nil {
			all = append(all, some[:min(len(some), maxWaitings)]...)
		}
	}
	return all, nil
}
