package model

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// unread lists the fields of a JSON object that this package does not read. The value is the only
// one that does not change the computation, or ignored if no value does. A field that is neither read
// nor listed is accepted if it says that a feature is off: null, false, 0 or empty.
type unread map[string]any

// ignored marks a field that never changes the computation.
var ignored ignoredField

type ignoredField struct{}

// refuse returns an error for the first field of object that may change the computation. object is
// decoded into a struct like read; a field that is skipped in silence would give another model
// without any error. A field of the struct with another family in its tag counts as one that is not
// read.
func (u unread) refuse(object []byte, read any, of Family) error {
	var fields map[string]any
	if err := json.Unmarshal(object, &fields); err != nil {
		return err
	}
	for _, f := range reflect.VisibleFields(reflect.TypeOf(read)) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if family, ok := f.Tag.Lookup("family"); !ok || Family(family) == of {
			delete(fields, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		value := fields[name]
		neutral, listed := u[name]
		if value == nil || neutral == any(ignored) || neutral == value || !listed && unused(value) {
			continue
		}
		text, err := json.Marshal(value)
		if err != nil {
			return err
		}
		return fmt.Errorf("%s: %.80s is not supported, because it may change the computation; "+
			"delete the field if it does not", name, text)
	}
	return nil
}

// unused tells whether a value switches a feature off.
func unused(v any) bool {
	switch v := v.(type) {
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return v == nil || v == false || v == 0.0 || v == ""
}

// unreadConfig lists the fields that transformers writes into config.json, or wrote in the past, and
// that the forward pass of these families does not use.
var unreadConfig = unread{
	// Where the file comes from, and how it is loaded.
	"_name_or_path": ignored, "_commit_hash": ignored, "transformers_version": ignored, "tokenizer_class": ignored,
	"_attn_implementation_autoset": ignored, "_attn_implementation": ignored, "attn_implementation": ignored,
	"torchscript": ignored, "use_bfloat16": ignored, "transformers.js_config": ignored,
	"unsloth_fixed": ignored, "unsloth_version": ignored, "is_llama_config": ignored,
	// What a call returns, and how text is generated.
	"return_dict": ignored, "output_attentions": ignored, "output_hidden_states": ignored, "output_scores": ignored,
	"return_dict_in_generate": ignored, "use_cache": ignored, "is_decoder": ignored,
	"max_length": ignored, "min_length": ignored, "do_sample": ignored, "temperature": ignored, "top_k": ignored,
	"top_p": ignored, "typical_p": ignored, "num_beams": ignored, "num_beam_groups": ignored,
	"early_stopping":       ignored,
	"num_return_sequences": ignored, "diversity_penalty": ignored, "repetition_penalty": ignored,
	"length_penalty": ignored,
	// Settings of classifiers.
	"id2label": ignored, "label2id": ignored, "problem_type": ignored, "finetuning_task": ignored,
	// Settings of training.
	"initializer_range": ignored, "attention_dropout": ignored,
	// Without effect when every layer has full attention; an older name of max_position_embeddings.
	"max_window_layers": ignored, "max_sequence_length": ignored,
	// Used by other families or versions. With these values the computation is the one of this engine.
	"pretraining_tp": 1.0, "partial_rotary_factor": 1.0, "rotary_pct": 1.0, "logit_scale": 1.0,
	"is_causal": true, "hidden_activation": "silu",
}

// unreadBy adds to unreadConfig what one family's class does not use, although others do.
var unreadBy = map[Family]unread{SmolLM3: {"pretraining_tp": ignored}}

// unreadRope: transformers uses an attention factor with yarn only.
var unreadRope = unread{"partial_rotary_factor": 1.0, "attention_factor": 1.0}

// unreadQuantization lists the settings of bitsandbytes' other method, eight bits, and the list of
// modules that are not quantized: the tensors say that already.
var unreadQuantization = unread{
	"_load_in_4bit": true, "llm_int8_threshold": ignored, "llm_int8_skip_modules": ignored,
	"llm_int8_enable_fp32_cpu_offload": ignored, "llm_int8_has_fp16_weight": ignored,
}

// refuseUnread checks config.json and the objects in it with refuse.
func refuseUnread(text []byte, of Family) error {
	config := maps.Clone(unreadConfig)
	maps.Copy(config, unreadBy[of])
	if err := config.refuse(text, configFile{}, of); err != nil {
		return err
	}
	var objects map[string]json.RawMessage
	if err := json.Unmarshal(text, &objects); err != nil {
		return err
	}
	for _, o := range []struct {
		name string
		unread
		read any
	}{
		{"rope_scaling", unreadRope, rope{}}, {"rope_parameters", unreadRope, rope{}},
		{"quantization_config", unreadQuantization, quantization{}},
	} {
		if object := objects[o.name]; object != nil {
			if err := o.refuse(object, o.read, of); err != nil {
				return fmt.Errorf("%s: %w", o.name, err)
			}
		}
	}
	return nil
}
