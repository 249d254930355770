package line

import (
	"context"
	"encoding/json"
	"errors"

	"itool/broker"
	"itool/ops/courier"
	"itool/schemas"
	"itool/stages/expand"
	"itool/stages/selection"
)

// Warning says, as soon as a round's examples are selected, what will spoil its search, and which setting
// helps: answers that run out of length. It is "" if there is nothing to say or nothing selected yet.
func Warning(ctx context.Context, c *courier.Courier, run string, round int) (string, error) {
	rows, err := c.Selection(ctx, run, round)
	if errors.Is(err, broker.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	r, _, err := c.Description(ctx, run)
	if err != nil {
		return "", err
	}
	return warning(r.Config, rows), nil
}

func warning(config string, rows []schemas.Selection) string {
	if len(rows) == 0 {
		return ""
	}
	sections := struct{ Expand expand.Config }{expand.Default()}
	_ = json.Unmarshal([]byte(config), &sections) // publish has checked it
	return selection.OutOfLength(rows[0], sections.Expand.MaxAnswerTokens)
}
