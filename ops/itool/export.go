package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"itool/ops/courier"
	"itool/ops/line"
	"itool/ops/report"
	"itool/schemas"
	"itool/stages/policy"
	"itool/stages/policy/gguf"
	"itool/stages/policy/kernel"
	"itool/stages/policy/model"
	"itool/stages/policy/model/nf4"
	"itool/storage/checkpoint"
)

// exportCmd is `itool export`.
type exportCmd struct {
	target
	RunName string `arg:"" name:"run" help:"Name of the run."`
	Round   int    `default:"-2" help:"Policy of this round: 0 is the warm-up; default: the last one."`
	Out     string `required:"" placeholder:"DIR" help:"New folder to write."`
	Merged  bool   `help:"Write a whole model with the adapter merged in, instead of the adapter."`
	GGUF    bool   `name:"gguf" help:"With --merged: write one file for llama.cpp instead of a folder."`
	Int8    bool   `name:"int8" help:"With --gguf: matrices in eight bits (Q8_0)."`
	Base    string `type:"existingdir" placeholder:"DIR" help:"With --merged: merge into this base instead, such as the 16-bit one of a run on four bits."`
}

func (c *exportCmd) Run(ctx context.Context, a *app) error {
	if (c.Base != "" || c.GGUF) && !c.Merged {
		return coded(exitUsage, "--base, --gguf: only with --merged")
	}
	if c.Int8 && !c.GGUF {
		return coded(exitUsage, "--int8: only with --gguf; itool serve --weights int8 rounds a folder's model as it opens it")
	}
	s, err := c.open(ctx, a, c.RunName)
	if err != nil {
		return err
	}
	defer s.close()
	if err := mustExist(ctx, s.Courier, c.RunName); err != nil {
		return err
	}
	r, err := report.Gather(ctx, s.Courier, c.RunName)
	if err != nil {
		return notYet(c.RunName, err)
	}
	p, err := policyOf(r, c.RunName, c.Round)
	if err != nil {
		return err
	}
	if c.Merged {
		return c.merged(ctx, a, s, *p)
	}
	if err := exportAdapter(ctx, s.Courier, r, *p, c.Out, false); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%s of run %s: adapter in %s\n", p.Name, c.RunName, c.Out)
	return nil
}

// adapterFiles are what PEFT reads.
var adapterFiles = []string{"adapter_config.json", "adapter_model.safetensors"}

// exportAdapter writes a policy's adapter, and from what it was made, into a new
// folder. With replace an older export of ours gives way.
func exportAdapter(ctx context.Context, c *courier.Courier, r *report.Report, p report.Policy, dir string, replace bool) error {
	fsys, _, err := checkpoint.Open(ctx, c.Store, line.Checkpoints, p.Digest)
	if err != nil {
		return err
	}
	if _, err := fs.Stat(fsys, adapterFiles[0]); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s of run %s is the base model itself: there is no adapter to export", p.Name, r.Run)
	}
	about, err := json.MarshalIndent(map[string]any{
		"run": r.Run, "policy": p.Name, "round": p.Round, "digest": p.Digest, "base_digest": r.Policies[0].Digest,
		"config_digest": r.ConfigDigest, "seed": r.Seed, "made_by": "itool " + version(),
	}, "", "  ")
	if err != nil {
		return err
	}
	return newFolder(dir, replace, func(tmp string) error {
		for _, name := range adapterFiles {
			if err := copyFile(fsys, name, filepath.Join(tmp, name)); err != nil {
				return err
			}
		}
		return os.WriteFile(filepath.Join(tmp, "itool.json"), append(about, '\n'), 0o644)
	})
}

// merged writes base + adapter as one model, and compares the two before it shows.
// The base is the run's own, what its four bits stand for if it has them, or --base.
func (c *exportCmd) merged(ctx context.Context, a *app, s *site, p report.Policy) error {
	fsys, _, err := checkpoint.Open(ctx, s.Store, line.Checkpoints, p.Digest)
	if err != nil {
		return err
	}
	e, err := newEngine(a)
	if err != nil {
		return err
	}
	trained, err := e.Open(p.Digest, fsys)
	if err != nil {
		return err
	}
	apart := trained
	if c.Base != "" {
		if apart, err = onBase(trained, c.Base, e); err != nil {
			return err
		}
	}
	dtype := model.Dtype(apart.Model().DType)
	if !apart.Model().MergeChanges(dtype) {
		return fmt.Errorf("merging changes no weight of the base: the adapter is empty, or below the rounding of %s: nothing was written; export the adapter instead", dtype)
	}
	probes, err := c.probes(ctx, s)
	if err != nil {
		return err
	}
	if c.GGUF {
		if err := c.gguf(ctx, a, apart, p, probes); err != nil {
			return err
		}
		return c.shift(ctx, a, trained, apart, probes)
	}
	var worst float64
	err = newFolder(c.Out, false, func(tmp string) error {
		create := func(name string) (io.WriteCloser, error) { return os.Create(filepath.Join(tmp, name)) }
		if err := apart.Model().Merged().Save(create, dtype); err != nil {
			return err
		}
		if err := copyRest(fsys, tmp); err != nil {
			return err
		}
		whole, err := policy.Open(os.DirFS(tmp), policy.Options{Device: e.device})
		if err != nil {
			return fmt.Errorf("the merged model does not open: %w", err)
		}
		worst, err = sameAnswers(ctx, apart, whole, probes)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%s of run %s: merged model in %s, %s, within %.2g nats per token of base + adapter on %d examples\n", p.Name, c.RunName, c.Out, dtype, worst, len(probes))
	return c.shift(ctx, a, trained, apart, probes)
}

// shift says how far another base moves the answers.
func (c *exportCmd) shift(ctx context.Context, a *app, trained, apart *policy.Policy, probes []policy.Sequence) error {
	if c.Base == "" {
		return nil
	}
	far, err := furthest(ctx, trained, apart, probes)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "on the base of the run itself the adapter answers up to %.2g nats per token differently: it was trained there\n", far)
	return nil
}

// gguf writes one file. Nothing here reads it back: the merge is probed before.
func (c *exportCmd) gguf(ctx context.Context, a *app, apart *policy.Policy, p report.Policy, probes []policy.Sequence) error {
	if exists(c.Out) {
		return fmt.Errorf("%s is there already: give a new file", c.Out)
	}
	worst, err := sameAnswers(ctx, apart, apart.With(apart.Model().Merged()), probes)
	if err != nil {
		return err
	}
	err = writeFile(c.Out, func(w io.Writer) error {
		return gguf.Write(w, apart, gguf.Options{Name: p.Name + " of " + c.RunName, Int8: c.Int8})
	})
	if errors.Is(err, gguf.ErrTokenizer) {
		return fmt.Errorf("%w: export a folder (without --gguf), which itool serve and transformers read", err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%s of run %s: merged model in %s, for llama.cpp, within %.2g nats per token of base + adapter on %d examples\n", p.Name, c.RunName, c.Out, worst, len(probes))
	return nil
}

// onBase is the trained adapter on another form of its base.
func onBase(trained *policy.Policy, dir string, e *engine) (*policy.Policy, error) {
	other, err := policy.Open(os.DirFS(dir), policy.Options{Device: e.device})
	if err != nil {
		return nil, fmt.Errorf("--base: %s: %w", dir, err)
	}
	if trained.Model().Adapter == nil {
		return nil, fmt.Errorf("--base: this policy is the base model itself: there is no adapter to merge")
	}
	m, err := other.Model().WithAdapter(trained.Model().Adapter)
	if err != nil {
		return nil, fmt.Errorf("--base: %s: %w", dir, err)
	}
	// The same base gives the same four bits; what is fine-tuned a little gives others.
	var as func(kernel.Weight) (kernel.Weight, error)
	if trained.Model().NF4 && !m.NF4 {
		as = func(w kernel.Weight) (kernel.Weight, error) { return nf4.Quantize(w, m.CheckpointType()) }
	}
	far, err := m.Distance(trained.Model(), as)
	if err != nil {
		return nil, fmt.Errorf("--base: %s: %w", dir, err)
	}
	if far > sameBase {
		return nil, fmt.Errorf("--base: %s: its weights, in the form that the run trained on, are %.2g %% away from those: it is another model", dir, 100*far)
	}
	return trained.With(m), nil // the tokenizer and the template that it was trained with
}

// sameBase is what a base in another form may differ by: 16-bit formats round by 0.4 %,
// and bitsandbytes' own kernels now and then choose another scale for four bits.
const sameBase = 0.005

// mergeTolerance is what rounding the weights to 16 bits may cost: mean difference
// of a sequence's log-probabilities, nats per token. A wrong merge is far beyond.
const mergeTolerance = 0.05

// probes are a few examples of the run.
func (c *exportCmd) probes(ctx context.Context, s *site) ([]policy.Sequence, error) {
	keys, err := s.Broker.Keys(ctx, c.RunName, schemas.RecordExample, 0)
	if err != nil {
		return nil, err
	}
	var out []policy.Sequence
	for b, err := range s.Round(ctx, c.RunName, schemas.RecordExample, 0, keys) {
		if err != nil {
			return nil, err
		}
		rows, err := schemas.Decode[schemas.Example](b)
		if err != nil {
			return nil, err
		}
		for _, e := range rows {
			if len(out) < 8 && e.Part != schemas.PartDropped {
				out = append(out, policy.Sequence{Prompt: e.PromptIDs, Answer: e.AnswerIDs})
			}
		}
		if len(out) == 8 {
			break
		}
	}
	return out, nil
}

// sameAnswers refuses a merged model that does not say what base + adapter say, and returns how
// far apart they are.
func sameAnswers(ctx context.Context, apart, merged *policy.Policy, probes []policy.Sequence) (float64, error) {
	worst, err := furthest(ctx, apart, merged, probes)
	if err == nil && worst > mergeTolerance {
		err = fmt.Errorf("the merged model differs from base + adapter by %.3g nats per token on %d examples (bound %g): nothing was written; export the adapter instead", worst, len(probes), mergeTolerance)
	}
	return worst, err
}

// furthest is the largest mean difference of a sequence's log-probabilities.
func furthest(ctx context.Context, a, b *policy.Policy, probes []policy.Sequence) (float64, error) {
	x, err := a.LogProbs(ctx, probes)
	if err != nil {
		return 0, err
	}
	y, err := b.LogProbs(ctx, probes)
	if err != nil {
		return 0, err
	}
	worst := 0.0
	for i := range x {
		sum := 0.0
		for j := range x[i] {
			sum += math.Abs(float64(x[i][j] - y[i][j]))
		}
		worst = max(worst, sum/float64(max(len(x[i]), 1)))
	}
	return worst, nil
}

// modelFiles are what belongs to a model beside its config and weights; other
// programs' formats of the weights, which lie in many folders, do not.
var modelFiles = []string{
	"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt",
	"chat_template.jinja", "chat_template.json", "generation_config.json", "LICENSE", "LICENSE.txt", "README.md",
}

// copyModelFiles copies those that are there.
func copyModelFiles(fsys fs.FS, dir string) error {
	for _, name := range modelFiles {
		if _, err := fs.Stat(fsys, name); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := copyFile(fsys, name, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// copyRest copies what Save does not write: tokenizer, template and their like.
func copyRest(fsys fs.FS, dir string) error {
	return fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(name, "safetensors") || name == "config.json" || name == adapterFiles[0] {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return copyFile(fsys, name, to)
	})
}

func copyFile(fsys fs.FS, name, to string) error {
	in, err := fsys.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// newFolder fills a folder beside dir and renames it: it appears whole or not at
// all. replace takes the place of a folder that holds nothing but an export.
func newFolder(dir string, replace bool, fill func(tmp string) error) error {
	if exists(dir) && !(replace && exists(filepath.Join(dir, "itool.json"))) {
		return fmt.Errorf("%s is there already: give a new folder", dir)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	if err := fill(tmp); err != nil {
		return err
	}
	if replace {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return os.Rename(tmp, dir)
}

// writeFile writes a file whole or not at all.
func writeFile(path string, fill func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: the folder %s is not there: make it first", path, filepath.Dir(path))
	}
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := errors.Join(fill(f), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
