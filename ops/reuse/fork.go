package reuse

import (
	"context"
	"errors"
	"fmt"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/line"
	"itool/schemas"
)

// Fork starts run with everything that another run has computed up to its policy of a round (0: the
// warm-up), so that it begins with this round. run has the other's seed, base and dataset; settings that
// decide what is copied must be the other's, too. The other run may go on, have ended, or be cancelled. It
// returns the number of copied records. The same call again, after an error, goes on.
func Fork(ctx context.Context, c *courier.Courier, run schemas.Run, from string, round int) (n int, err error) {
	donor, _, err := c.Description(ctx, from)
	if err != nil {
		return 0, err
	}
	links, err := before(run, donor, round)
	if err != nil {
		return 0, err
	}
	if _, err := c.Policy(ctx, from, round); errors.Is(err, broker.ErrNotExist) {
		return 0, fmt.Errorf("run %s has no policy of round %d yet", from, round)
	} else if err != nil {
		return 0, err
	}
	for r := range round {
		// A copy would be tried again, and could lead to another policy than the one that is copied.
		failed, err := c.Broker.Count(ctx, from, broker.Filter(schemas.RecordFailed, r))
		if err != nil {
			return 0, err
		}
		if failed > 0 {
			return 0, fmt.Errorf("%d items of round %d of run %s were given up: fork from a round up to %d",
				failed, r, from, r)
		}
	}
	if n, err = Copy(ctx, c, run, from, links); err != nil {
		return 0, err
	}
	base, err := c.BaseName(ctx, from)
	if err != nil {
		return n, err
	}
	if err := c.SaveBaseName(ctx, run.Name, base); err != nil {
		return n, err
	}
	return n, line.Start(ctx, c, run)
}

// before are the links of a run up to its policy of a round, with the verdicts on the policies until there.
// An error names the settings that differ between the two runs.
func before(run, donor schemas.Run, round int) ([]Link, error) {
	if run.Seed != donor.Seed {
		return nil, errors.New("the seed decides everything: it cannot be changed in a fork")
	}
	a, err := sections(run.Config)
	if err != nil {
		return nil, err
	}
	b, err := sections(donor.Config)
	if err != nil {
		return nil, err
	}
	for _, l := range chain(line.Rows(nil), round) {
		for _, s := range l.settings {
			if a.at(s) != b.at(s) {
				return nil, fmt.Errorf("%s.%d was computed with other settings of %s: give those of run %s, or fork "+
					"from an earlier round", l.Record, l.Round, s, donor.Name)
			}
		}
	}
	return common(run, donor, func(frozen) int { return round })
}
