package export

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"itool/ops/courier"
	"itool/ops/export/ollama"
	"itool/ops/importer"
	"itool/ops/report"
	"itool/ops/whole"
	"itool/stages/policy"
	"itool/stages/policy/gguf"
	"itool/stages/policy/kernel"
	"itool/stages/policy/model"
	"itool/stages/policy/model/nf4"
	"itool/stages/policy/model/safetensors"
	"itool/storage/checkpoint"
)

// Merge writes base + adapter as one model.
type Merge struct {
	Run    string            // that the policy belongs to
	Policy report.Policy     // whose adapter is merged
	Out    string            // new folder; with GGUF, new file
	GGUF   bool              // write one file for llama.cpp instead of a folder
	Int8   bool              // with GGUF: matrices in eight bits (Q8_0)
	Base   string            // folder of another form of the run's base to merge into; "": the base of the run
	Device kernel.Device     // computes the comparison
	Probes []policy.Sequence // examples to compare on; nil: some of the run's
	// Dtypes are types for the written weights, of which the first is taken that keeps the answers; an empty
	// one, or none at all: the type of the base.
	Dtypes []safetensors.Dtype
	// Report is of the run: the folder gets a model card, and a Modelfile the run's form of calls. nil: no card, and
	// the form that the chat template asks for.
	Report  *report.Report
	Version string // of the program, for the card
}

// Merged says how a merged model compares with base + adapter. Differences are the largest
// mean over the tokens of an answer of |Δ log-probability|, in nats per token.
type Merged struct {
	Dtype    safetensors.Dtype // of the written weights; with Int8, of those that are not in eight bits
	Nats     float64           // difference between the written model and base + adapter
	Examples int               // of the run, that were compared
	Moved    float64           // with Merge.Base: difference between base + adapter on that base and on the run's own
	// With GGUF: how llama.cpp cuts texts, of those examples; the Modelfile beside the file; what Ollama can do.
	Cuts      gguf.Departure
	Modelfile string
	Ollama    ollama.Fit
}

// ErrCoarse says that the type of the written weights loses too much of what was trained.
var ErrCoarse = errors.New("nothing was written; export the adapter instead, or merge into a wider type: " +
	"--dtype f16, or f32")

// Write merges, compares and writes. It refuses a merge that changes no weight, another
// model as Base, and a merged model that does not answer as base + adapter do.
func (m Merge) Write(ctx context.Context, c *courier.Courier, e *policy.Engine) (Merged, error) {
	fsys, _, err := checkpoint.Open(ctx, c.Store, courier.Checkpoints, m.Policy.Digest)
	if err != nil {
		return Merged{}, err
	}
	trained, err := e.Open(m.Policy.Digest, fsys)
	if err != nil {
		return Merged{}, err
	}
	unmerged := trained
	if m.Base != "" {
		if unmerged, err = m.onBase(trained); err != nil {
			return Merged{}, err
		}
	}
	probes := m.Probes
	if probes == nil {
		if probes, err = Probes(ctx, c, m.Run); err != nil {
			return Merged{}, err
		}
	}
	out := Merged{Examples: len(probes)}
	for _, out.Dtype = range m.dtypes(unmerged.Model().DType) {
		out.Nats, err = m.writeAs(ctx, fsys, unmerged, out.Dtype, probes)
		if !errors.Is(err, ErrCoarse) {
			break
		}
	}
	if err == nil && m.GGUF {
		if err = m.describe(&out, unmerged, probes); err != nil {
			os.Remove(m.Out)
		}
	}
	if err == nil && m.Base != "" {
		out.Moved, err = distance(ctx, trained, unmerged, probes)
	}
	return out, err
}

// dtypes are the types to try. base is the name of the base's.
func (m Merge) dtypes(base string) []safetensors.Dtype {
	if len(m.Dtypes) == 0 {
		return []safetensors.Dtype{model.Dtype(base)}
	}
	all := slices.Clone(m.Dtypes)
	for i, d := range all {
		all[i] = cmp.Or(d, model.Dtype(base))
	}
	return all
}

// writeAs writes with the weights in one type, or returns ErrCoarse.
func (m Merge) writeAs(ctx context.Context, fsys fs.FS, unmerged *policy.Policy, dtype safetensors.Dtype,
	probes []policy.Sequence) (nats float64, err error) {
	if !unmerged.Model().MergeChanges(dtype) {
		return 0, fmt.Errorf("merging changes no weight of the base: the adapter is empty, or below the rounding "+
			"of %s: %w", dtype, ErrCoarse)
	}
	if m.GGUF {
		nats, err = m.writeGGUF(ctx, unmerged, dtype, probes)
	} else {
		nats, err = m.writeFolder(ctx, fsys, unmerged, dtype, probes)
	}
	if errors.Is(err, safetensors.ErrTooLarge) {
		err = fmt.Errorf("%w: %w", err, ErrCoarse)
	}
	return nats, err
}

// writeFolder writes a Hugging Face folder. The comparison reads it back.
func (m Merge) writeFolder(ctx context.Context, fsys fs.FS, unmerged *policy.Policy, dtype safetensors.Dtype,
	probes []policy.Sequence) (nats float64, err error) {
	err = whole.Folder(m.Out, false, func(tmp string) error {
		create := func(name string) (io.WriteCloser, error) { return os.Create(filepath.Join(tmp, name)) }
		if err := unmerged.Model().Merged().Save(create, dtype); err != nil {
			return err
		}
		if err := copyRest(fsys, tmp); err != nil {
			return err
		}
		if err := m.card(fsys, tmp); err != nil {
			return err
		}
		merged, err := policy.Open(os.DirFS(tmp), policy.Options{Device: m.Device})
		if err != nil {
			return fmt.Errorf("the merged model does not open: %w", err)
		}
		nats, err = sameAnswers(ctx, unmerged, merged, probes)
		return err
	})
	return nats, err
}

// writeGGUF writes one file. The comparison reads it back. What eight bits cost is reported, not refused: a user
// who asks for them expects a cost. There the merge is compared before it is rounded.
func (m Merge) writeGGUF(ctx context.Context, unmerged *policy.Policy, dtype safetensors.Dtype,
	probes []policy.Sequence) (nats float64, err error) {
	for _, file := range []string{m.Out, m.modelfile()} {
		if _, err := os.Stat(file); err == nil {
			return 0, fmt.Errorf("%s is there already: give --out a new file", file)
		}
	}
	compare := sameAnswers
	if m.Int8 {
		if _, err := sameAnswers(ctx, unmerged, unmerged.With(unmerged.Model().Merged()), probes); err != nil {
			return 0, err
		}
		compare = distance
	}
	err = whole.Checked(m.Out, func(w io.Writer) error {
		name := m.Policy.Name + " of " + m.Run
		return gguf.Write(w, unmerged, gguf.Options{Name: name, Int8: m.Int8, Dtype: dtype})
	}, func(tmp string) error {
		written, remove, err := m.readBack(ctx, tmp)
		if err != nil {
			return fmt.Errorf("the written file does not open: %w", err)
		}
		defer remove()
		nats, err = compare(ctx, unmerged, written, probes)
		return err
	})
	if errors.Is(err, gguf.ErrTokenizer) {
		err = fmt.Errorf("%w: export a folder (without --gguf), which itool serve and transformers read", err)
	}
	return nats, err
}

// card writes the model card, and keeps the base's under another name.
func (m Merge) card(fsys fs.FS, dir string) error {
	if m.Report == nil {
		return nil
	}
	err := os.Rename(filepath.Join(dir, Card), filepath.Join(dir, "README-base.md"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	settings, err := fs.ReadFile(fsys, AdapterConfig)
	if err != nil {
		return err
	}
	return writeCard(dir, m.Report, m.Policy, settings, true, m.Version)
}

// readBack opens a GGUF file as a policy. Call remove when the policy is no longer needed.
func (m Merge) readBack(ctx context.Context, file string) (p *policy.Policy, remove func(), err error) {
	dir, err := os.MkdirTemp(filepath.Dir(file), ".read-back-")
	if err != nil {
		return nil, nil, err
	}
	remove = func() { os.RemoveAll(dir) }
	g := importer.GGUF{File: file, Out: filepath.Join(dir, "model"), Dtype: safetensors.F32, Device: m.Device}
	if _, err = g.Write(ctx); err == nil {
		p, err = policy.Open(os.DirFS(g.Out), policy.Options{Device: m.Device})
	}
	if err != nil {
		remove()
	}
	return p, remove, err
}

// maxBaseDistance is what a base in another form may differ by, relative: 16-bit formats
// round by 0.4 %, and the kernels of bitsandbytes sometimes choose another scale for four
// bits.
const maxBaseDistance = 0.005

// onBase puts the trained adapter on the base in m.Base, and refuses a base that is not
// another form of the one that the adapter was trained on.
func (m Merge) onBase(trained *policy.Policy) (*policy.Policy, error) {
	other, err := policy.Open(os.DirFS(m.Base), policy.Options{Device: m.Device})
	if err != nil {
		return nil, fmt.Errorf("--base: %s: %w", m.Base, err)
	}
	if trained.Model().Adapter == nil {
		return nil, fmt.Errorf("--base: this policy is the base model itself: there is no adapter to merge")
	}
	on, err := other.Model().WithAdapter(trained.Model().Adapter)
	if err != nil {
		return nil, fmt.Errorf("--base: %s: %w", m.Base, err)
	}
	// When the run trained on four bits, this base must give the same four bits.
	var as func(kernel.Weight) (kernel.Weight, error)
	if trained.Model().NF4 && !on.NF4 {
		as = func(w kernel.Weight) (kernel.Weight, error) { return nf4.Quantize(w, on.CheckpointType()) }
	}
	far, err := on.Distance(trained.Model(), as)
	if err != nil {
		return nil, fmt.Errorf("--base: %s: %w", m.Base, err)
	}
	if far > maxBaseDistance {
		return nil, fmt.Errorf("--base: %s: its weights, in the form that the run trained on, are %.2g %% away from "+
			"those: it is another model", m.Base, 100*far)
	}
	return trained.With(on), nil // with the tokenizer and the template of the training
}

// copyRest copies what Save does not write: tokenizer, template and the like.
func copyRest(fsys fs.FS, dir string) error {
	return fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		saved := strings.Contains(name, "safetensors") || name == "config.json" || name == AdapterConfig
		if err != nil || d.IsDir() || saved {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return copyFile(fsys, name, to)
	})
}
