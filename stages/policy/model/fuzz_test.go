package model_test

import (
	"bytes"
	"io"
	"testing"
	"testing/fstest"

	"itool/stages/policy/kernel/ref"
	"itool/stages/policy/model"
	"itool/stages/policy/model/safetensors"
)

// FuzzOpen changes the two JSON files of a good checkpoint: Open must return an error or a consistent
// model, and never panic.
func FuzzOpen(f *testing.F) {
	m := model.New(tiny(true), 1, ref.New())
	dir := memory{fstest.MapFS{}}
	if err := m.Save(dir.create, safetensors.F32); err != nil {
		f.Fatal(err)
	}
	if err := noise(tiny(true), model.Q).Save(dir.create); err != nil {
		f.Fatal(err)
	}
	f.Add(dir.MapFS["config.json"].Data, dir.MapFS["adapter_config.json"].Data)
	f.Add([]byte(`{"model_type":"llama","hidden_size":8,"num_attention_heads":3}`),
		[]byte(`{"peft_type":"LORA","r":2}`))
	for _, family := range allFamilies {
		var b bytes.Buffer
		create := func(string) (io.WriteCloser, error) { return &buffer{done: func(v []byte) { b.Write(v) }}, nil }
		if err := kin(family).Save(create); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes(), dir.MapFS["adapter_config.json"].Data)
	}
	f.Fuzz(func(t *testing.T, config, adapter []byte) {
		spoiled := fstest.MapFS{
			"config.json": {Data: config}, "adapter_config.json": {Data: adapter},
			"model.safetensors":         dir.MapFS["model.safetensors"],
			"adapter_model.safetensors": dir.MapFS["adapter_model.safetensors"],
		}
		got, err := model.Open(spoiled, ref.New())
		if err != nil {
			return
		}
		if len(got.Embed) != got.VocabSize*got.HiddenSize || len(got.Cos) != got.MaxPositions*got.HeadDim/2 ||
			len(got.Layers) != got.NumLayers || got.Validate() != nil {
			t.Errorf("accepted %s as %+v", config, got.Config)
		}
	})
}
