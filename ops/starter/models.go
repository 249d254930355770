package starter

import (
	"strings"

	"itool/stages/policy/model"
)

// known is a published model.
type known struct {
	name   string // what init --for takes
	hub    string // on Hugging Face
	shape  model.Config
	system bool // its chat template leaves out tools
}

// of is the shape of a model, from its config.json: hidden and intermediate size, layers, heads, those of keys and
// values, head size, vocabulary, context.
func of(f model.Family, hidden, inner, layers, heads, kv, head, vocab, context int, tied bool) model.Config {
	return model.Config{
		Family: f, HiddenSize: hidden, IntermediateSize: inner, NumLayers: layers, NumHeads: heads, NumKVHeads: kv,
		HeadDim: head, VocabSize: vocab, MaxPositions: context, TieEmbeddings: tied, DType: "bfloat16",
		RopeTheta: 10000, RMSNormEps: 1e-5, // of no matter for sizes
	}
}

// models are those that starter settings are written for, all of families that the engine computes.
func models() []known {
	const tied = true
	return []known{
		{"smollm2-135m", "HuggingFaceTB/SmolLM2-135M-Instruct",
			of(model.Llama, 576, 1536, 30, 9, 3, 64, 49152, 8192, tied), true},
		{"smollm2-360m", "HuggingFaceTB/SmolLM2-360M-Instruct",
			of(model.Llama, 960, 2560, 32, 15, 5, 64, 49152, 8192, tied), true},
		{"smollm2-1.7b", "HuggingFaceTB/SmolLM2-1.7B-Instruct",
			of(model.Llama, 2048, 8192, 24, 32, 32, 64, 49152, 8192, tied), true},
		{"smollm3-3b", "HuggingFaceTB/SmolLM3-3B",
			of(model.SmolLM3, 2048, 11008, 36, 16, 4, 128, 128256, 65536, tied), true},
		{"qwen2.5-0.5b", "Qwen/Qwen2.5-0.5B-Instruct",
			of(model.Qwen2, 896, 4864, 24, 14, 2, 64, 151936, 32768, tied), false},
		{"qwen2.5-1.5b", "Qwen/Qwen2.5-1.5B-Instruct",
			of(model.Qwen2, 1536, 8960, 28, 12, 2, 128, 151936, 32768, tied), false},
		{"qwen2.5-3b", "Qwen/Qwen2.5-3B-Instruct",
			of(model.Qwen2, 2048, 11008, 36, 16, 2, 128, 151936, 32768, tied), false},
		{"qwen2.5-7b", "Qwen/Qwen2.5-7B-Instruct",
			of(model.Qwen2, 3584, 18944, 28, 28, 4, 128, 152064, 32768, !tied), false},
		{"qwen3-0.6b", "Qwen/Qwen3-0.6B", of(model.Qwen3, 1024, 3072, 28, 16, 8, 128, 151936, 40960, tied), false},
		{"qwen3-1.7b", "Qwen/Qwen3-1.7B", of(model.Qwen3, 2048, 6144, 28, 16, 8, 128, 151936, 40960, tied), false},
		{"qwen3-4b", "Qwen/Qwen3-4B", of(model.Qwen3, 2560, 9728, 36, 32, 8, 128, 151936, 40960, tied), false},
		{"qwen3-8b", "Qwen/Qwen3-8B", of(model.Qwen3, 4096, 12288, 36, 32, 8, 128, 151936, 40960, !tied), false},
		{"llama-3.2-1b", "meta-llama/Llama-3.2-1B-Instruct",
			of(model.Llama, 2048, 8192, 16, 32, 8, 64, 128256, 131072, tied), false},
		{"llama-3.2-3b", "meta-llama/Llama-3.2-3B-Instruct",
			of(model.Llama, 3072, 8192, 28, 24, 8, 128, 128256, 131072, tied), false},
		{"llama-3.1-8b", "meta-llama/Llama-3.1-8B-Instruct",
			of(model.Llama, 4096, 14336, 32, 32, 8, 128, 128256, 131072, !tied), false},
	}
}

// find is the model of a name: its own, or that on Hugging Face, in any case.
func find(name string) (known, bool) {
	want := strings.ToLower(name)
	want = strings.TrimSuffix(want[strings.LastIndex(want, "/")+1:], "-instruct")
	for _, m := range models() {
		if want == m.name {
			return m, true
		}
	}
	return known{}, false
}

// Names are the models that settings can be written for.
func Names() (names []string) {
	for _, m := range models() {
		names = append(names, m.name)
	}
	return names
}
