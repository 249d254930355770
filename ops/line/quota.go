package line

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/schemas"
	"itool/stages/selection"
	"itool/stages/split"
)

// The server sets the quota of a stream aside, whether it is used or not. So a run begins with an
// estimate, the keeper raises it as the stream fills, up to line.stream_max_bytes, and lowers it to what
// is used when the run ends.

// Typical sizes of what a run publishes, in bytes. Bodies above courier.InlineBytes do not count: the
// message then carries only a claim.
const (
	messageBytes = 1 << 10  // headers, and what the server adds
	exampleBytes = 8 << 10  // an example with its tools and token ids
	treeBytes    = 64 << 10 // a search tree and its pairs
	policyBytes  = 64 << 10 // metrics and curve
	smallestRun  = 16 << 20
)

// Quota estimates the bytes that a run's stream will hold. most is line.stream_max_bytes.
func Quota(run schemas.Run) (estimate, most int64, err error) {
	cfg := struct {
		Line   Config
		Split  split.Config
		Select selection.Config
	}{Default(), split.Default(), selection.Default()}
	if err := json.Unmarshal([]byte(run.Config), &cfg); err != nil {
		return 0, 0, fmt.Errorf("configuration: %w", err)
	}
	shards, err := readShards(run.Dataset)
	if err != nil {
		return 0, 0, fmt.Errorf("dataset: %w", err)
	}
	rows := 0.0
	for _, s := range shards {
		rows += float64(s.Rows)
	}
	rounds, policies := float64(cfg.Line.Rounds), float64(cfg.Line.Rounds+2)
	replay := rows * cfg.Split.ReplayShare
	trees := replay * cfg.Select.Ratio
	if most := float64(cfg.Select.MaxTrees); most > 0 {
		trees = min(trees, most)
	}
	bytes := float64(len(shards)) * 2 * messageBytes
	bytes += rounds * (replay*exampleBytes + trees*(exampleBytes+treeBytes+3*messageBytes))
	bytes += policies * (policyBytes + cfg.Line.heldOut(rows, cfg.Split)*(exampleBytes+messageBytes))
	return int64(bytes), cfg.Line.StreamMaxByte, nil
}

// firstQuota is what a run begins with: estimates of small runs are rough.
func firstQuota(estimate, most int64) int64 { return min(max(estimate, smallestRun), most) }

// heldOut is about how many rows every policy is evaluated on.
func (c Config) heldOut(rows float64, s split.Config) float64 {
	test := rows * s.TestShare
	validation := (rows - test) * s.ValidationShare
	if c.EvaluateRows > 0 {
		test, validation = min(test, float64(c.EvaluateRows)), min(validation, float64(c.EvaluateRows))
	}
	switch c.Evaluate {
	case "none":
		return 0
	case "both":
		return test + validation
	}
	return max(test, validation)
}

// Reserve makes the run's stream, if it is not there, with the estimated quota. Its error says when the
// run is larger than line.stream_max_bytes, and when the server has no room for it.
func Reserve(ctx context.Context, c *courier.Courier, run schemas.Run) error {
	estimate, most, err := Quota(run)
	if err != nil {
		return err
	}
	if estimate > most {
		return fmt.Errorf("run %s will publish about %s, and line.stream_max_bytes is %s: "+
			"give --set line.stream_max_bytes=%d, fewer rounds, or fewer trees (select.max_trees)",
			run.Name, Size(estimate), Size(most), 2*estimate)
	}
	quota := firstQuota(estimate, most)
	err = c.Broker.CreateRun(ctx, run.Name, quota)
	if errors.Is(err, broker.ErrFull) {
		return noRoom(ctx, c, run.Name, quota, err)
	}
	return err
}

// noRoom says what holds the server's room, and how to get it back.
func noRoom(ctx context.Context, c *courier.Courier, run string, need int64, cause error) error {
	text := fmt.Sprintf("the broker has no room for run %s, which needs %s", run, Size(need))
	all, err := c.Broker.Usages(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", text, cause)
	}
	var held, endedBytes int64
	type holder struct {
		run   string
		bytes int64
	}
	var ended []holder
	for name, u := range all {
		bytes := max(u.QuotaBytes, int64(u.Bytes))
		held += bytes
		if over, err := c.Ended(ctx, name); err == nil && over {
			ended, endedBytes = append(ended, holder{name, bytes}), endedBytes+bytes
		}
	}
	slices.SortFunc(ended, func(a, b holder) int {
		if a.bytes != b.bytes {
			return int(min(max(b.bytes-a.bytes, -1), 1))
		}
		return strings.Compare(a.run, b.run)
	})
	if len(all) == 0 {
		return fmt.Errorf("%s, and no run holds any: give it a disk with more room: %w", text, cause)
	}
	text += fmt.Sprintf(": %d runs hold %s of it", len(all), Size(held))
	if len(ended) == 0 {
		return fmt.Errorf("%s, and none of them has ended: wait for one, cancel one, or give the broker more disk: %w",
			text, cause)
	}
	var largest []string
	for _, h := range ended[:min(3, len(ended))] {
		largest = append(largest, h.run+" "+Size(h.bytes))
	}
	return fmt.Errorf("%s; %d have ended and hold %s (%s): `itool retire RUN` gives the room of a run back, or give "+
		"the broker more disk: %w", text, len(ended), Size(endedBytes), strings.Join(largest, ", "), cause)
}

// SetQuota gives a run's stream another quota: more for one that is full. Its error says when the server
// has no room for that.
func SetQuota(ctx context.Context, c *courier.Courier, run string, bytes int64) error {
	err := c.Broker.SetQuota(ctx, run, bytes)
	if errors.Is(err, broker.ErrFull) {
		return noRoom(ctx, c, run, bytes, err)
	}
	return err
}

// largestRecord is what one record takes in a stream at most, nearly: the smallest room that is of use.
const largestRecord = courier.InlineBytes + 4*messageBytes

// askRoomEvery is how often a keeper looks how full a stream is.
const askRoomEvery = time.Second

// grow raises the quota of a run whose stream is nearly full. Beyond line.stream_max_bytes only a person
// raises it: then, and if the server has no room, a full stream stalls the run (errStalled).
func (k *Keeper) grow(ctx context.Context, s *runState) error {
	if time.Since(s.roomAsked) < askRoomEvery {
		return s.full
	}
	u, err := k.Courier.Broker.Usage(ctx, s.run.Name)
	if err != nil {
		return err
	}
	s.roomAsked, s.full = time.Now(), nil
	used := int64(u.Bytes)
	if u.QuotaBytes < 0 || used < u.QuotaBytes-u.QuotaBytes/4 {
		return nil
	}
	full := used > u.QuotaBytes-largestRecord
	want := min(2*u.QuotaBytes, s.cfg.StreamMaxByte)
	if want <= u.QuotaBytes {
		if full {
			s.full = errStalled{fmt.Sprintf("stream full: %s of %s, as line.stream_max_bytes allows: "+
				"`itool quota %s %dMiB` gives it twice as much", Size(used), Size(u.QuotaBytes), s.run.Name,
				2*u.QuotaBytes>>20)}
		}
		return s.full
	}
	// If the server has no room for as much, it may have some for less.
	for err = broker.ErrFull; errors.Is(err, broker.ErrFull) && want-u.QuotaBytes >= largestRecord; {
		if err = k.Courier.Broker.SetQuota(ctx, s.run.Name, want); err == nil {
			k.Log.Info("raised the quota of a run", "run", s.run.Name, "used", Size(used), "quota", Size(want))
			return nil
		}
		want = u.QuotaBytes + (want-u.QuotaBytes)/4
	}
	if errors.Is(err, broker.ErrFull) && !full {
		return nil
	}
	if errors.Is(err, broker.ErrFull) {
		s.full = errStalled{"stream full: " + noRoom(ctx, k.Courier, s.run.Name, 2*u.QuotaBytes, err).Error()}
		return s.full
	}
	return err
}

// shrink gives back what an ended run does not use. A failure costs room and nothing else: the next keeper
// tries again.
func (k *Keeper) shrink(ctx context.Context, s *runState) {
	u, err := k.Courier.Broker.Usage(ctx, s.run.Name)
	want := int64(u.Bytes) + int64(u.Bytes)/8 + 1<<20
	if err == nil && (u.QuotaBytes < 0 || u.QuotaBytes > want+1<<20) {
		err = k.Courier.Broker.SetQuota(ctx, s.run.Name, want)
	}
	if err != nil && ctx.Err() == nil {
		k.Log.Warn("the room of an ended run was not given back", "run", s.run.Name, "error", err)
	}
}

// Size prints bytes in binary units.
func Size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d KiB", n>>10)
}
