package model_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"itool/stages/policy/kernel/ref"
	"itool/stages/policy/model"
)

// published are the config.json of real checkpoints, and the configs that they must give.
var published = []struct {
	name, text string
	want       string // family, C, layers, heads, kv heads, D, V, context, theta, tied, factor of the scaling
}{
	{"Llama-3.2-1B-Instruct", `{"architectures": ["LlamaForCausalLM"], "attention_bias": false,
		"attention_dropout": 0.0, "bos_token_id": 128000,
		"eos_token_id": [128001, 128008, 128009], "head_dim": 64, "hidden_act": "silu", "hidden_size": 2048,
		"initializer_range": 0.02,
		"intermediate_size": 8192, "max_position_embeddings": 131072, "mlp_bias": false, "model_type": "llama",
		"num_attention_heads": 32,
		"num_hidden_layers": 16, "num_key_value_heads": 8, "pretraining_tp": 1, "rms_norm_eps": 1e-05,
		"rope_scaling": {"factor": 32.0,
		"high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192,
		"rope_type": "llama3"},
		"rope_theta": 500000.0, "tie_word_embeddings": true, "torch_dtype": "bfloat16",
		"transformers_version": "4.45.0.dev0",
		"use_cache": true, "vocab_size": 128256}`, "llama 2048 16 32 8 64 128256 131072 500000 true 32"},
	{"Llama-3.1-8B", `{"architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
		"bos_token_id": 128000,
		"eos_token_id": 128001, "hidden_act": "silu", "hidden_size": 4096, "initializer_range": 0.02,
		"intermediate_size": 14336,
		"max_position_embeddings": 131072, "mlp_bias": false, "model_type": "llama", "num_attention_heads": 32,
		"num_hidden_layers": 32,
		"num_key_value_heads": 8, "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_scaling": {"factor": 8.0,
		"low_freq_factor": 1.0,
		"high_freq_factor": 4.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"},
		"rope_theta": 500000.0,
		"tie_word_embeddings": false, "torch_dtype": "bfloat16", "transformers_version": "4.43.0.dev0",
		"use_cache": true,
		"vocab_size": 128256}`, "llama 4096 32 32 8 128 128256 131072 500000 false 8"},
	{"Qwen2.5-0.5B", `{"architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643,
		"eos_token_id": 151643,
		"hidden_act": "silu", "hidden_size": 896, "initializer_range": 0.02, "intermediate_size": 4864,
		"max_position_embeddings": 32768,
		"max_window_layers": 24, "model_type": "qwen2", "num_attention_heads": 14, "num_hidden_layers": 24,
		"num_key_value_heads": 2,
		"rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": 32768, "tie_word_embeddings": true,
		"torch_dtype": "bfloat16",
		"transformers_version": "4.40.1", "use_cache": true, "use_mrope": false, "use_sliding_window": false,
		"vocab_size": 151936}`,
		"qwen2 896 24 14 2 64 151936 32768 1e+06 true 1"},
	{"Qwen2.5-7B-Instruct", `{"architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643,
		"eos_token_id": 151645,
		"hidden_act": "silu", "hidden_size": 3584, "initializer_range": 0.02, "intermediate_size": 18944,
		"max_position_embeddings": 32768,
		"max_window_layers": 28, "model_type": "qwen2", "num_attention_heads": 28, "num_hidden_layers": 28,
		"num_key_value_heads": 4,
		"rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": 131072, "tie_word_embeddings": false,
		"torch_dtype": "bfloat16",
		"transformers_version": "4.43.1", "use_cache": true, "use_sliding_window": false, "vocab_size": 152064}`,
		"qwen2 3584 28 28 4 128 152064 32768 1e+06 false 1"},
	{"Qwen3-0.6B", `{"architectures": ["Qwen3ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
		"bos_token_id": 151643,
		"eos_token_id": 151645, "head_dim": 128, "hidden_act": "silu", "hidden_size": 1024, "initializer_range": 0.02,
		"intermediate_size": 3072, "max_position_embeddings": 40960, "max_window_layers": 28, "model_type": "qwen3",
		"num_attention_heads": 16, "num_hidden_layers": 28, "num_key_value_heads": 8, "rms_norm_eps": 1e-06,
		"rope_scaling": null,
		"rope_theta": 1000000, "sliding_window": null, "tie_word_embeddings": true, "torch_dtype": "bfloat16",
		"transformers_version": "4.51.0", "use_cache": true, "use_sliding_window": false, "vocab_size": 151936}`,
		"qwen3 1024 28 16 8 128 151936 40960 1e+06 true 1"},
	{"Qwen3-8B", `{"architectures": ["Qwen3ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
		"bos_token_id": 151643,
		"eos_token_id": 151645, "head_dim": 128, "hidden_act": "silu", "hidden_size": 4096, "initializer_range": 0.02,
		"intermediate_size": 12288, "max_position_embeddings": 40960, "max_window_layers": 36, "model_type": "qwen3",
		"num_attention_heads": 32, "num_hidden_layers": 36, "num_key_value_heads": 8, "rms_norm_eps": 1e-06,
		"rope_scaling": null,
		"rope_theta": 1000000, "sliding_window": null, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
		"transformers_version": "4.51.0", "use_cache": true, "use_sliding_window": false, "vocab_size": 151936}`,
		"qwen3 4096 36 32 8 128 151936 40960 1e+06 false 1"},
	{"SmolLM2-135M-Instruct", `{"architectures": ["LlamaForCausalLM"], "attention_bias": false,
		"attention_dropout": 0.0, "bos_token_id": 1,
		"eos_token_id": 2, "hidden_act": "silu", "hidden_size": 576, "initializer_range": 0.041666666666666664,
		"intermediate_size": 1536,
		"is_llama_config": true, "max_position_embeddings": 8192, "mlp_bias": false, "model_type": "llama",
		"num_attention_heads": 9,
		"num_hidden_layers": 30, "num_key_value_heads": 3, "pad_token_id": 2, "pretraining_tp": 1,
		"rms_norm_eps": 1e-05,
		"rope_interleaved": false, "rope_scaling": null, "rope_theta": 100000, "tie_word_embeddings": true,
		"torch_dtype": "bfloat16",
		"transformers.js_config": {"kv_cache_dtype": {"q4f16": "float16", "fp16": "float16"}},
		"transformers_version": "4.42.3",
		"use_cache": true, "vocab_size": 49152}`, "llama 576 30 9 3 64 49152 8192 100000 true 1"},
	{"SmolLM2-360M", `{"_name_or_path": "checkpoints/SmolLM2-360M", "architectures": ["LlamaForCausalLM"],
		"attention_bias": false,
		"attention_dropout": 0.0, "bos_token_id": 0, "eos_token_id": 0, "hidden_act": "silu", "hidden_size": 960,
		"initializer_range": 0.02,
		"intermediate_size": 2560, "is_llama_config": true, "max_position_embeddings": 8192, "mlp_bias": false,
		"model_type": "llama",
		"num_attention_heads": 15, "num_hidden_layers": 32, "num_key_value_heads": 5, "pretraining_tp": 1,
		"rms_norm_eps": 1e-05,
		"rope_interleaved": false, "rope_scaling": null, "rope_theta": 100000, "tie_word_embeddings": true,
		"torch_dtype": "bfloat16",
		"transformers_version": "4.40.1", "use_cache": true, "vocab_size": 49152}`,
		"llama 960 32 15 5 64 49152 8192 100000 true 1"},
	{"TinyLlama-1.1B-Chat", `{"architectures": ["LlamaForCausalLM"], "attention_bias": false, "bos_token_id": 1,
		"eos_token_id": 2,
		"hidden_act": "silu", "hidden_size": 2048, "initializer_range": 0.02, "intermediate_size": 5632,
		"max_position_embeddings": 2048,
		"model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 22, "num_key_value_heads": 4,
		"pretraining_tp": 1,
		"rms_norm_eps": 1e-05, "rope_scaling": null, "rope_theta": 10000.0, "tie_word_embeddings": false,
		"torch_dtype": "bfloat16",
		"transformers_version": "4.35.0", "use_cache": true, "vocab_size": 32000}`,
		"llama 2048 22 32 4 64 32000 2048 10000 false 1"},
	{"Mistral-7B-Instruct-v0.3", `{"architectures": ["MistralForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 1,
		"eos_token_id": 2, "hidden_act": "silu", "hidden_size": 4096, "initializer_range": 0.02,
		"intermediate_size": 14336, "max_position_embeddings": 32768, "model_type": "mistral",
		"num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
		"rope_theta": 1000000.0, "sliding_window": null, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
		"transformers_version": "4.42.0.dev0", "use_cache": true, "vocab_size": 32768}`,
		"mistral 4096 32 32 8 128 32768 32768 1e+06 false 1"},
	{"Mistral-Nemo-Instruct-2407", `{"architectures": ["MistralForCausalLM"], "attention_dropout": 0.0,
		"bos_token_id": 1, "eos_token_id": 2, "head_dim": 128, "hidden_act": "silu", "hidden_size": 5120,
		"initializer_range": 0.02, "intermediate_size": 14336, "max_position_embeddings": 131072,
		"model_type": "mistral", "num_attention_heads": 32, "num_hidden_layers": 40, "num_key_value_heads": 8,
		"rms_norm_eps": 1e-05, "rope_theta": 1000000.0, "sliding_window": null, "tie_word_embeddings": false,
		"torch_dtype": "bfloat16", "transformers_version": "4.43.0.dev0", "use_cache": true, "vocab_size": 131072}`,
		"mistral 5120 40 32 8 128 131072 131072 1e+06 false 1"},
	{"SmolLM3-3B", `{"architectures": ["SmolLM3ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
		"bos_token_id": null, "eos_token_id": 128012, "hidden_act": "silu", "hidden_size": 2048,
		"initializer_range": 0.02, "intermediate_size": 11008, "layer_types": ["full_attention", "full_attention"],
		"max_position_embeddings": 65536, "max_window_layers": 28, "mlp_bias": false, "model_type": "smollm3",
		"no_rope_layer_interval": 4, "no_rope_layers": [1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0,
		1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0], "num_attention_heads": 16, "num_hidden_layers": 36,
		"num_key_value_heads": 4, "pad_token_id": 128004, "pretraining_tp": 2, "rms_norm_eps": 1e-06,
		"rope_scaling": null, "rope_theta": 5000000.0, "sliding_window": null, "torch_dtype": "bfloat16",
		"transformers_version": "4.54.0.dev0", "use_cache": false, "use_sliding_window": false,
		"vocab_size": 128256}`, "smollm3 2048 36 16 4 128 128256 65536 5e+06 true 1"},
	{"granite-3.3-2b-instruct", `{"architectures": ["GraniteForCausalLM"], "attention_bias": false,
		"attention_dropout": 0.0, "attention_multiplier": 0.015625, "bos_token_id": 0, "embedding_multiplier": 12.0,
		"eos_token_id": 0, "hidden_act": "silu", "hidden_size": 2048, "initializer_range": 0.02,
		"intermediate_size": 8192, "logits_scaling": 8.0, "max_position_embeddings": 131072, "mlp_bias": false,
		"model_type": "granite", "num_attention_heads": 32, "num_hidden_layers": 40, "num_key_value_heads": 8,
		"pad_token_id": 0, "residual_multiplier": 0.22, "rms_norm_eps": 1e-05, "rope_scaling": null,
		"rope_theta": 10000000.0, "tie_word_embeddings": true, "torch_dtype": "bfloat16",
		"transformers_version": "4.49.0", "use_cache": true, "vocab_size": 49159}`,
		"granite 2048 40 32 8 64 49159 131072 1e+07 true 1"},
	// The defaults as transformers 5 writes them, and then with every attribute.
	{"LlamaConfig()", `{"attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 1, "eos_token_id": 2,
		"head_dim": 128,
		"hidden_act": "silu", "hidden_size": 4096, "initializer_range": 0.02, "intermediate_size": 11008,
		"max_position_embeddings": 2048,
		"mlp_bias": false, "model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 32,
		"num_key_value_heads": 32,
		"pad_token_id": null, "pretraining_tp": 1, "rms_norm_eps": 1e-06, "rope_parameters": {"rope_theta": 10000.0,
		"rope_type": "default"},
		"tie_word_embeddings": false, "transformers_version": "5.24.0", "use_cache": true, "vocab_size": 32000}`,
		"llama 4096 32 32 32 128 32000 2048 10000 false 1"},
	{"Qwen3Config().to_dict()", `{"transformers_version": "5.24.0", "architectures": null,
		"output_hidden_states": false, "return_dict": true,
		"dtype": null, "chunk_size_feed_forward": 0, "is_encoder_decoder": false, "id2label": {"0": "LABEL_0",
		"1": "LABEL_1"},
		"label2id": {"LABEL_0": 0, "LABEL_1": 1}, "problem_type": null, "vocab_size": 151936, "hidden_size": 4096,
		"intermediate_size": 22016, "num_hidden_layers": 2, "num_attention_heads": 32, "num_key_value_heads": 32,
		"head_dim": 128,
		"hidden_act": "silu", "max_position_embeddings": 32768, "initializer_range": 0.02, "rms_norm_eps": 1e-06,
		"use_cache": true,
		"tie_word_embeddings": false, "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"},
		"attention_bias": false,
		"use_sliding_window": false, "sliding_window": null, "max_window_layers": 28,
		"layer_types": ["full_attention", "full_attention"],
		"attention_dropout": 0.0, "pad_token_id": null, "bos_token_id": null, "eos_token_id": null, "_name_or_path": "",
		"model_type": "qwen3", "output_attentions": false}`, "qwen3 4096 2 32 32 128 151936 32768 10000 false 1"},
	// Absent fields have the defaults of transformers; Qwen sets a window that it does not use.
	{"defaults of llama", `{"model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1,
		"num_attention_heads": 4,
		"vocab_size": 9, "rope_parameters": {"rope_type": "default"}}`, "llama 64 1 4 4 16 9 2048 10000 false 1"},
	{"defaults of qwen3", `{"model_type": "qwen3", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1,
		"num_attention_heads": 4,
		"vocab_size": 9, "sliding_window": 4096}`, "qwen3 64 1 4 4 128 9 32768 10000 false 1"},
	{"defaults of mistral", `{"model_type": "mistral", "hidden_size": 64, "intermediate_size": 96,
		"num_hidden_layers": 1, "num_attention_heads": 16, "vocab_size": 9, "sliding_window": null}`,
		"mistral 64 1 16 8 4 9 131072 10000 false 1"},
	{"defaults of smollm3", `{"model_type": "smollm3", "hidden_size": 64, "intermediate_size": 96,
		"num_hidden_layers": 9, "num_attention_heads": 8, "vocab_size": 9, "sliding_window": 4096}`,
		"smollm3 64 9 8 4 8 9 32768 2e+06 true 1"},
	{"defaults of granite", `{"model_type": "granite", "hidden_size": 64, "intermediate_size": 96,
		"num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 9}`,
		"granite 64 1 4 4 16 9 2048 10000 false 1"},
	{"scaling in both places", `{"model_type": "llama", "hidden_size": 64, "intermediate_size": 96,
		"num_hidden_layers": 1, "num_attention_heads": 4,
		"vocab_size": 9, "rope_theta": 500, "rope_scaling": {"type": "llama3", "factor": 2, "low_freq_factor": 1,
		"high_freq_factor": 4, "original_max_position_embeddings": 8},
		"rope_parameters": {"rope_type": "llama3", "factor": 2, "low_freq_factor": 1, "high_freq_factor": 4,
		"original_max_position_embeddings": 8}}`,
		"llama 64 1 4 4 16 9 2048 500 false 2"},
}

func readConfig(text string) (model.Config, error) {
	return model.ReadConfig(fstest.MapFS{"config.json": {Data: []byte(text)}})
}

func TestPublishedConfigs(t *testing.T) {
	for _, p := range published {
		c, err := readConfig(p.text)
		if err != nil {
			t.Errorf("%s: %v", p.name, err)
			continue
		}
		factor := 1.0
		if c.RopeScaling != nil {
			factor = c.RopeScaling.Factor
		}
		if got := strings.TrimSpace(fmt.Sprintln(c.Family, c.HiddenSize, c.NumLayers, c.NumHeads, c.NumKVHeads,
			c.HeadDim, c.VocabSize, c.MaxPositions, c.RopeTheta, c.TieEmbeddings, factor)); got != p.want {
			t.Errorf("%s:\n got %s\nwant %s", p.name, got, p.want)
		}
		if !strings.Contains(p.text, "rms_norm_eps") && c.RMSNormEps != 1e-6 {
			t.Errorf("%s: rms_norm_eps %v, want 1e-6", p.name, c.RMSNormEps)
		}
	}
}

// TestConfigMeansAnotherModel: with one more field, or one other value, transformers would compute another
// model. It must be an error.
func TestConfigMeansAnotherModel(t *testing.T) {
	const llama3 = `{"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, ` +
		`"original_max_position_embeddings": 8192}`
	for _, c := range []struct{ published, fields, want string }{
		{"Llama-3.1-8B",
			`"rope_parameters": {"full_attention": {"rope_type": "yarn", "rope_theta": 1000000, "factor": 4}}`,
			"rope_parameters: full_attention"},
		{"Llama-3.1-8B", `"rope_parameters": {"rope_type": "default"}`,
			"rope_scaling: it differs from rope_parameters"},
		{"Llama-3.1-8B", `"rope_theta": 10000, "rope_scaling": null, "rope_parameters": {"rope_theta": 500000}`,
			"rope_theta: 10000, but 500000 in rope_parameters"},
		{"LlamaConfig()", `"rope_scaling": ` + llama3, "rope_scaling: it differs from rope_parameters"},
		{"LlamaConfig()",
			`"rope_parameters": {"rope_type": "default", "rope_theta": 10000, "partial_rotary_factor": 0.5}`,
			"rope_parameters: partial_rotary_factor: 0.5"},
		{"LlamaConfig()", `"sliding_window": 4096`, "sliding_window: 4096"},
		{"LlamaConfig()", `"attention_bias": true`, "attention_bias: true"},
		{"LlamaConfig()", `"mlp_bias": true`, "mlp_bias: true"},
		{"LlamaConfig()", `"pretraining_tp": 2`, "pretraining_tp: 2"},
		{"LlamaConfig()", `"num_local_experts": 8`, "num_local_experts: 8"},
		{"LlamaConfig()", `"attn_logit_softcapping": 50.0`, "attn_logit_softcapping: 50"},
		{"LlamaConfig()", `"final_logit_softcapping": 30.0`, "final_logit_softcapping: 30"},
		{"LlamaConfig()", `"logit_scale": 0.0625`, "logit_scale: 0.0625"},
		{"LlamaConfig()", `"logit_scale": 0`, "logit_scale: 0"},
		{"LlamaConfig()", `"use_qk_norm": true`, "use_qk_norm: true"},
		{"LlamaConfig()", `"is_causal": false`, "is_causal: false"},
		{"LlamaConfig()", `"hidden_activation": "gelu_pytorch_tanh"`, "hidden_activation"},
		{"LlamaConfig()", `"rotary_pct": 0.25`, "rotary_pct: 0.25"},
		{"LlamaConfig()", `"partial_rotary_factor": 0.5`, "partial_rotary_factor: 0.5"},
		{"LlamaConfig()", `"rope_interleaved": true`, "rope_interleaved: true"},
		{"LlamaConfig()", `"auto_map": {"AutoModelForCausalLM": "modeling_own.OwnForCausalLM"}`, "auto_map"},
		{"LlamaConfig()", `"Hidden_Act": "silu"`, "Hidden_Act"}, // Go's decoder would accept it, Python's would not
		{"LlamaConfig()", `"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": true, ` +
			`"bnb_4bit_quant_type": "nf4", "load_in_8bit": true}`, "quantization_config: load_in_8bit"},
		{"LlamaConfig()", `"quantization_config": {"quant_method": "gptq", "bits": 4}`, "quantization_config"},
		{"Qwen2.5-7B-Instruct", `"use_sliding_window": true`, "use_sliding_window: true"},
		{"Qwen2.5-7B-Instruct",
			`"rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}`,
			`rope_scaling: rope_type "yarn"`},
		{"Qwen3-8B", `"layer_types": ["full_attention", "sliding_attention"]`, "layer_types[1]"},
		{"Qwen3-8B", `"num_experts": 128, "num_experts_per_tok": 8`, "num_experts: 128"},
		{"defaults of qwen3", `"use_sliding_window": true, "sliding_window": null`, "use_sliding_window: true"},
		{"LlamaConfig()", `"embedding_multiplier": 12`, "embedding_multiplier: 12"},
		{"LlamaConfig()", `"attention_multiplier": 1`, "attention_multiplier: 1"},
		{"Qwen3-8B", `"residual_multiplier": 0.22`, "residual_multiplier: 0.22"},
		{"SmolLM3-3B", `"logits_scaling": 8`, "logits_scaling: 8"},
		{"LlamaConfig()", `"no_rope_layers": [1, 0]`, "no_rope_layers: [1,0]"},
		{"granite-3.3-2b-instruct", `"no_rope_layer_interval": 4`, "no_rope_layer_interval: 4"},
		{"granite-3.3-2b-instruct", `"sliding_window": 4096`, "sliding_window: 4096"},
		{"granite-3.3-2b-instruct", `"attention_bias": true`, "attention_bias: true"},
		{"granite-3.3-2b-instruct", `"num_local_experts": 8`, "num_local_experts: 8"},
		{"granite-3.3-2b-instruct", `"residual_multiplier": 0`, "residual_multiplier: 0 is not within 0.001..1000"},
		{"granite-3.3-2b-instruct", `"logits_scaling": -8`, "logits_scaling: -8"},
		{"granite-3.3-2b-instruct", `"embedding_multiplier": 1e30`, "embedding_multiplier: 1e+30"},
		{"granite-3.3-2b-instruct", `"model_type": "granitemoe"`, `model_type: "granitemoe"`},
		{"Mistral-7B-Instruct-v0.3", `"sliding_window": 4096`,
			"sliding_window: 4096 (4096 if absent) is less than max_position_embeddings 32768"},
		{"Mistral-7B-Instruct-v0.3", `"sliding_window": 4096, "use_sliding_window": false`, "sliding_window: 4096"},
		{"Mistral-7B-Instruct-v0.3", `"sliding_window": 0`, "sliding_window: 0 is not positive"},
		{"Mistral-7B-Instruct-v0.3", `"layer_types": ["sliding_attention"]`, "layer_types[0]"},
		{"Mistral-7B-Instruct-v0.3", `"num_local_experts": 8`, "num_local_experts: 8"},
		{"Mistral-7B-Instruct-v0.3",
			`"rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "llama_4_scaling_beta": 0.1}`,
			"rope_parameters: llama_4_scaling_beta: 0.1"},
		{"Mistral-7B-Instruct-v0.3", `"pretraining_tp": 2`, "pretraining_tp: 2"},
		{"SmolLM3-3B", `"no_rope_layers": [1, 1, 1, 0]`, "no_rope_layers: 4 entries for 36 layers"},
		{"SmolLM3-3B", `"no_rope_layers": []`, "no_rope_layers: 0 entries"},
		{"defaults of smollm3", `"no_rope_layers": [1, 2, 1, 1, 1, 1, 1, 1, 1]`, "no_rope_layers[1]: 2"},
		{"defaults of smollm3", `"no_rope_layer_interval": 0`, "no_rope_layer_interval: 0"},
		{"defaults of smollm3", `"use_sliding_window": true`, "use_sliding_window: true"},
		{"defaults of smollm3", `"num_hidden_layers": 1000000000000`, "num_hidden_layers"},
	} {
		var fields map[string]any
		for _, p := range published {
			if p.name == c.published {
				if err := json.Unmarshal([]byte(p.text), &fields); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := json.Unmarshal([]byte("{"+c.fields+"}"), &fields); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readConfig(string(text)); err == nil || !strings.Contains(err.Error(), "config.json: "+c.want) {
			t.Errorf("%s with %s: got %v, want an error with %q", c.published, c.fields, err, c.want)
		}
	}
}

// TestFourBitsThatAreNot: a config.json that says four bits does not belong to plain weights.
func TestFourBitsThatAreNot(t *testing.T) {
	m := model.New(tiny(true), 1, ref.New())
	dir := saved(t, m)
	edit(t, dir, "quantization_config", map[string]any{"quant_method": "bitsandbytes", "load_in_4bit": true,
		"bnb_4bit_quant_type": "nf4"})
	if _, err := model.Open(dir, ref.New()); err == nil ||
		!strings.Contains(err.Error(), "quantization_config: no tensor is in four bits") {
		t.Errorf("got %v", err)
	}
	if err := m.SaveNF4(dir.create); err != nil {
		t.Fatal(err)
	}
	if _, err := model.Open(dir, ref.New()); err != nil {
		t.Error(err)
	}
}
