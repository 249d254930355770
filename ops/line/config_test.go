package line_test

import (
	"testing"

	"itool/ops/line"
)

func TestBatchRowsFor(t *testing.T) {
	for _, c := range []struct {
		name             string
		parameters, want int
	}{
		{"nothing known", 0, 32},
		{"the demo's model", 2_750_000, 32},
		{"SmolLM2-135M", 134_515_008, 8},
		{"SmolLM2-360M", 361_821_120, 4},
		{"8 B", 8_030_261_248, 4},
	} {
		if got := line.BatchRowsFor(c.parameters); got != c.want {
			t.Errorf("%s: %d rows, want %d", c.name, got, c.want)
		}
	}
}
