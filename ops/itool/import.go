package main

import (
	"context"
	"os"

	"itool/ops/importer"
	"itool/stages/policy/model/safetensors"
)

// importCmd is `itool import`.
type importCmd struct {
	File     string `arg:"" type:"existingfile" help:"Model as GGUF: llama, qwen2, qwen3, smollm3 or granite."`
	Out      string `required:"" placeholder:"DIR" help:"New folder to write."`
	Dtype    string `enum:"bf16,f32" default:"bf16" help:"${import_dtype}"`
	Template string `type:"existingfile" placeholder:"FILE" help:"${import_template}"`
	jsonOption
}

// imported is what --json prints.
type imported struct {
	Out          string `json:"out"`
	Name         string `json:"name,omitempty"` // that the file gives the model
	Architecture string `json:"architecture"`
	Parameters   int    `json:"parameters"`
	Context      int    `json:"context"`  // tokens
	Files        int    `json:"files"`    // of weights
	Bytes        int64  `json:"bytes"`    // of the weights
	Tokens       int    `json:"tokens"`   // of the vocabulary
	Template     bool   `json:"template"` // the folder has a chat template
	// Refused is why a run would refuse the folder as its base; absent: it would not.
	Refused string `json:"refused,omitempty"`
}

func (c *importCmd) Run(ctx context.Context, a *app) error {
	d, err := newDevice(a)
	if err != nil {
		return err
	}
	g := importer.GGUF{File: c.File, Out: c.Out, Dtype: safetensors.BF16, Device: d}
	if c.Dtype == "f32" {
		g.Dtype = safetensors.F32
	}
	if c.Template != "" {
		text, err := os.ReadFile(c.Template)
		if err != nil {
			return err
		}
		g.Template = string(text)
	}
	done, err := g.Write(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(a.out, schemaImport, imported{
			c.Out, done.Name, done.Architecture, done.Parameters, done.Context, done.Files, done.Bytes, done.Tokens,
			done.Template > 0, done.Refused,
		})
	}
	return done.Text(a.out, c.Out)
}
