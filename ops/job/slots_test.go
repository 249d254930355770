package job_test

import (
	"testing"

	"itool/ops/config"
	"itool/ops/job"
	"itool/stages/policy/model"
)

func TestSlots(t *testing.T) {
	small := model.Config{Family: model.Llama, HiddenSize: 192, IntermediateSize: 512, NumLayers: 6, NumHeads: 6,
		NumKVHeads: 2, HeadDim: 32, VocabSize: 2048, TieEmbeddings: true}
	large := model.Config{Family: model.Llama, HiddenSize: 576, IntermediateSize: 1536, NumLayers: 30, NumHeads: 9,
		NumKVHeads: 3, HeadDim: 64, VocabSize: 49152, TieEmbeddings: true}
	for _, c := range []struct {
		name  string
		shape model.Config
		cores int
		free  uint64
		want  int
	}{
		{"a model in the caches", small, 2, 16 << 30, 2},
		{"135 M parameters", large, 2, 16 << 30, 8},
		{"many cores", large, 12, 64 << 30, 12},
		{"memory unknown", large, 2, 0, 8},
		{"little memory", large, 2, 4 << 30, 4},
		{"hardly any memory", large, 2, 1 << 30, 1},
	} {
		if got, why := job.Slots(c.shape, config.Default(), c.cores, c.free); got != c.want || why == "" {
			t.Errorf("%s: %d slots (%s), want %d", c.name, got, why, c.want)
		}
	}
}
