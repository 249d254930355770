// Package importer writes models of other formats as Hugging Face folders, from which the engine opens
// them. It reads GGUF, the format of llama.cpp.
//
// A folder appears complete or not at all: it is written under another name, opened, and asked for
// log-probabilities before it gets its own. An error means that nothing was written. The weights go
// through memory a megabyte at a time, so a model may be larger than memory.
//
//	done, err := importer.GGUF{File: "model.gguf", Out: "model", Dtype: safetensors.BF16}.Write(ctx)
package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"itool/ops/whole"
	"itool/stages/policy"
	"itool/stages/policy/gguf"
	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cpu"
	"itool/stages/policy/model"
	"itool/stages/policy/model/safetensors"
	"itool/stages/policy/template"
	"itool/stages/policy/tokenizer"
	"itool/stages/split"
)

// GGUF is an import of a GGUF file.
type GGUF struct {
	File  string            // to read
	Out   string            // new folder
	Dtype safetensors.Dtype // of weights that the file has quantized: BF16, or F32, which keeps every bit
	// Template is the text of a chat template for the folder, instead of the file's; empty: the file's.
	Template string
	// ShardBytes is the largest size of one file of weights, unless a single tensor is larger; 0: 4 GiB.
	ShardBytes int64
	Device     kernel.Device // opens the folder; nil: this machine's CPU
}

// shardBytes is the default of GGUF.ShardBytes: what most file systems and stores take in one piece.
const shardBytes = 4 << 30

// Done says what was written.
type Done struct {
	Name         string // that the file gives the model; may be empty
	Architecture string
	Parameters   int
	Context      int      // tokens
	Weights      []Counts // by type in the file, in the order of their first tensor
	Files        int      // of weights
	Bytes        int64    // of the weights
	Pre          string   // how texts are cut into words, as llama.cpp names it
	Tokens       int      // of the vocabulary
	Template     int      // bytes of the chat template; 0: the model has none
	ToolTemplate int      // bytes of another one for conversations with tools; 0: there is none
	Given        bool     // the template is GGUF.Template, not the file's
	// Refused is why a run would refuse the folder as its base at default settings, with the remedy; empty:
	// it would not.
	Refused string
}

// Counts are the tensors of one type.
type Counts struct {
	From       gguf.Type
	To         safetensors.Dtype
	Tensors    int
	Parameters int
}

// Write imports. A file without a chat template is no error: a template can be added to the folder.
func (g GGUF) Write(ctx context.Context) (Done, error) {
	in, err := os.Open(g.File)
	if err != nil {
		return Done{}, err
	}
	defer in.Close()
	done, err := g.write(ctx, in)
	if err != nil {
		err = fmt.Errorf("%s: %w", g.File, err)
	}
	return done, err
}

func (g GGUF) write(ctx context.Context, in *os.File) (Done, error) {
	if g.Dtype != safetensors.BF16 && g.Dtype != safetensors.F32 {
		return Done{}, fmt.Errorf("dtype %q: quantized weights become BF16 or F32", g.Dtype)
	}
	m, err := read(in)
	if err != nil {
		return Done{}, err
	}
	c, t := m.Checkpoint, m.tokenizer
	done := Done{Name: m.name, Architecture: string(c.Config.Family), Parameters: c.Config.Parameters(),
		Context: c.Config.MaxPositions, Pre: t.Pre, Tokens: t.Tokens, Given: g.Template != ""}
	if done.Given {
		t.Template, t.ToolTemplate = g.Template, ""
	}
	done.Template, done.ToolTemplate = len(t.Template), len(t.ToolTemplate)
	done.count(c, g.Dtype)
	err = whole.Folder(g.Out, false, func(tmp string) error {
		folder := folder{ctx, tmp}
		// The small files first: their errors should not come after gigabytes of weights.
		if err := folder.texts(t, m.generation); err != nil {
			return err
		}
		if err := c.Config.Save(folder.create); err != nil {
			return err
		}
		if done.Files, done.Bytes, err = g.weights(folder, c); err != nil {
			return err
		}
		if done.Refused, err = g.probe(ctx, tmp, t.Template != ""); err != nil {
			return fmt.Errorf("what was made of it does not work, and nothing was written: %w", err)
		}
		return nil
	})
	return done, err
}

// contents are what a file holds.
type contents struct {
	*gguf.Checkpoint
	name       string
	tokenizer  *gguf.Tokenizer
	generation []byte // generation_config.json
}

// read reads everything but the weights.
func read(in *os.File) (c contents, err error) {
	st, err := in.Stat()
	if err != nil {
		return c, err
	}
	if !st.Mode().IsRegular() {
		return c, errors.New("no regular file: an import reads a file in any order")
	}
	f, err := gguf.Read(in, st.Size())
	if err != nil {
		return c, err
	}
	c.name = f.Name()
	if c.Checkpoint, err = f.Checkpoint(); err != nil {
		return c, err
	}
	if c.tokenizer, err = f.Tokenizer(); err != nil {
		return c, err
	}
	c.generation, err = f.Generation()
	return c, err
}

// count fills Weights and the type in config.json, which is the one of most parameters.
func (d *Done) count(c *gguf.Checkpoint, quantized safetensors.Dtype) {
	byType := map[gguf.Type]*Counts{}
	byDtype := map[safetensors.Dtype]int{}
	var order []gguf.Type
	for i := range c.Weights {
		w := &c.Weights[i]
		if byType[w.Type] == nil {
			byType[w.Type] = &Counts{From: w.Type, To: w.Dtype(quantized)}
			order = append(order, w.Type)
		}
		n := w.Values()
		byType[w.Type].Tensors++
		byType[w.Type].Parameters += n
		byDtype[w.Dtype(quantized)] += n
	}
	for _, t := range order {
		d.Weights = append(d.Weights, *byType[t])
	}
	best := safetensors.BF16
	for _, dtype := range []safetensors.Dtype{safetensors.F16, safetensors.F32} {
		if byDtype[dtype] > byDtype[best] {
			best = dtype
		}
	}
	c.Config.DType = model.TypeName(best)
}

// folder is the folder that is being written, until ctx ends.
type folder struct {
	ctx context.Context
	dir string
}

func (f folder) create(name string) (io.WriteCloser, error) {
	name = filepath.Join(f.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return nil, err
	}
	out, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	return &file{out, f.ctx}, nil
}

// file is on the disk when it is closed: the folder is renamed after that, and then counts as complete.
type file struct {
	*os.File
	ctx context.Context
}

func (f *file) Write(p []byte) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f *file) Close() error { return errors.Join(f.Sync(), f.File.Close()) }

// texts writes the files of the tokenizer and opens them.
func (f folder) texts(t *gguf.Tokenizer, generation []byte) error {
	for _, part := range []struct {
		name string
		text []byte
	}{
		{tokenizer.File, t.JSON}, {template.ConfigFile, t.Config}, {"generation_config.json", generation},
		{template.File, []byte(t.Template)}, {template.ToolFile, []byte(t.ToolTemplate)},
	} {
		if len(part.text) == 0 {
			continue
		}
		if err := f.write(part.name, part.text); err != nil {
			return err
		}
	}
	if _, err := tokenizer.Open(os.DirFS(f.dir)); err != nil {
		return err
	}
	if t.Template == "" {
		return nil
	}
	if _, err := template.Open(os.DirFS(f.dir)); err != nil {
		return fmt.Errorf("%w: give another with --template FILE", err)
	}
	return nil
}

func (f folder) write(name string, text []byte) error {
	out, err := f.create(name)
	if err != nil {
		return err
	}
	_, err = out.Write(text)
	return errors.Join(err, out.Close())
}

// probe opens a folder as a base is opened, and scores an answer. Without a template only its parts are
// opened. refused is Done.Refused.
func (g GGUF) probe(ctx context.Context, dir string, template bool) (refused string, err error) {
	if g.Device == nil {
		if g.Device, err = cpu.New(cpu.Options{}); err != nil {
			return "", err
		}
	}
	fsys := os.DirFS(dir)
	if !template {
		t, err := tokenizer.Open(fsys)
		if err != nil {
			return "", err
		}
		m, err := model.OpenAs(fsys, g.Device, model.Mapped)
		if err == nil && t.Size() > m.VocabSize {
			err = fmt.Errorf("%d tokens, but the embedding has %d rows", t.Size(), m.VocabSize)
		}
		return "", err
	}
	p, err := policy.Open(fsys, policy.Options{Device: g.Device, Form: model.Mapped})
	if err != nil {
		return "", fmt.Errorf("%w (if it is the chat template: give another with --template FILE)", err)
	}
	prompt, err := p.Prompt([]policy.Message{{Role: "user", Content: "Hi"}}, nil)
	if err != nil {
		return "", err
	}
	scores, err := p.LogProbs(ctx, []policy.Sequence{{Prompt: prompt, Answer: p.Answer("Hello.")}})
	if err != nil {
		return "", err
	}
	for _, v := range scores[0] {
		if !(math.Abs(float64(v)) < math.Inf(1)) {
			return "", fmt.Errorf("a token's log-probability is %v: the weights are broken, take another file", v)
		}
	}
	if err := split.CheckBase(p, split.Default()); err != nil {
		refused = err.Error()
	}
	return refused, nil
}
