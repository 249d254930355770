package gguf

import (
	"encoding/json"
	"fmt"
)

// Generation is generation_config.json: which tokens begin a text and end an answer, and how the model's
// makers recommend to draw, as far as the file says so. nil: it says nothing.
func (f *File) Generation() ([]byte, error) {
	c := map[string]any{}
	bos, eos, err := f.endTokens()
	if err != nil {
		return nil, fmt.Errorf("gguf: %w", err)
	}
	if len(bos) > 0 {
		c["bos_token_id"] = bos[0]
	}
	if len(eos) > 0 {
		c["eos_token_id"] = eos
	}
	const padding = "tokenizer.ggml.padding_token_id"
	if _, ok := f.meta[padding]; ok {
		id, err := f.integer(padding)
		if err != nil {
			return nil, fmt.Errorf("gguf: %w", err)
		}
		if id < noToken {
			c["pad_token_id"] = id
		}
	}
	for key, name := range map[string]string{
		"temp": "temperature", "top_p": "top_p", "min_p": "min_p", "penalty_repeat": "repetition_penalty",
	} {
		key = "general.sampling." + key
		if _, ok := f.meta[key]; !ok {
			continue
		}
		if c[name], err = f.float(key); err != nil {
			return nil, fmt.Errorf("gguf: %w", err)
		}
		c["do_sample"] = true
	}
	const topK = "general.sampling.top_k"
	if _, ok := f.meta[topK]; ok {
		if c["top_k"], err = f.integer(topK); err != nil {
			return nil, fmt.Errorf("gguf: %w", err)
		}
		c["do_sample"] = true
	}
	if len(c) == 0 {
		return nil, nil
	}
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("gguf: general.sampling: %w", err) // a number that is not finite
	}
	return text, nil
}
