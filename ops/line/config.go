package line

import "fmt"

// Config is the keeper's section of a run's configuration.
type Config struct {
	Rounds        int     `json:"rounds"`           // rounds of search and preference after the warm-up, ≥ 0
	ShardRows     int     `json:"shard_rows"`       // rows of the dataset per split task, > 0
	BatchRows     int     `json:"batch_rows"`       // examples per score and evaluate task; 0: by model size, 4..32
	MaxDropped    float64 `json:"max_dropped"`      // share of dropped rows above which the run fails, 0..1
	Quorum        float64 `json:"quorum"`           // share of items that must succeed, 0..1; below 1 bytes may differ
	Evaluate      string  `json:"evaluate"`         // parts: test, validation, both, none; auto: test, else validation
	EvaluateRows  int     `json:"evaluate_rows"`    // most examples per evaluated part, spread evenly, 0 = all
	StreamMaxByte int64   `json:"stream_max_bytes"` // most bytes of the run's stream; it begins with an estimate
	Priority      int     `json:"priority"`         // workers serve runs of a higher one first, equal ones in turn
}

// Default is what the paper and the design say.
func Default() Config {
	return Config{
		Rounds: 3, ShardRows: 2000, MaxDropped: 0.05, Quorum: 1, Evaluate: "auto",
		StreamMaxByte: 4 << 30,
	}
}

// Validate names the field, the value and the range.
func (c Config) Validate() error {
	switch {
	case c.Rounds < 0:
		return fmt.Errorf("line.rounds: %d is below 0", c.Rounds)
	case c.ShardRows <= 0:
		return fmt.Errorf("line.shard_rows: %d is not positive", c.ShardRows)
	case c.BatchRows < 0:
		return fmt.Errorf("line.batch_rows: %d is below 0", c.BatchRows)
	case !(c.MaxDropped >= 0 && c.MaxDropped <= 1):
		return fmt.Errorf("line.max_dropped: %g is not within 0..1", c.MaxDropped)
	case !(c.Quorum > 0 && c.Quorum <= 1):
		return fmt.Errorf("line.quorum: %g is not within 0..1", c.Quorum)
	case c.EvaluateRows < 0:
		return fmt.Errorf("line.evaluate_rows: %d is below 0", c.EvaluateRows)
	case c.StreamMaxByte < 1<<20:
		return fmt.Errorf("line.stream_max_bytes: %d is below 1 MiB", c.StreamMaxByte)
	}
	switch c.Evaluate {
	case "auto", "test", "validation", "both", "none":
		return nil
	}
	return fmt.Errorf("line.evaluate: %q is none of auto, test, validation, both, none", c.Evaluate)
}

// MostBatchRows is what BatchRows is for a small model.
const MostBatchRows = 32

// BatchRowsFor is the BatchRows of a model with that many parameters, when the setting leaves it open. A
// task then takes seconds on two cores: measured with 135 million parameters, a row of 450 tokens with a
// short answer takes 1.4 s, so that 8 rows are a task. Below 4 rows decoding would be slow, because its rows
// share too few passes over the weights.
func BatchRowsFor(parameters int) int {
	const work = 1_100_000_000 // parameters × rows
	return min(max(work/max(parameters, 1), 4), MostBatchRows)
}
