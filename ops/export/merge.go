package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"itool/ops/courier"
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
	Run    string        // that the policy belongs to
	Policy report.Policy // whose adapter is merged
	Out    string        // new folder; with GGUF, new file
	GGUF   bool          // write one file for llama.cpp instead of a folder
	Int8   bool          // with GGUF: matrices in eight bits (Q8_0)
	Base   string        // folder of another form of the run's base to merge into; "": the base of the run
	Device kernel.Device // computes the comparison
}

// Merged says how a merged model compares with base + adapter. Differences are the largest
// mean over the tokens of an answer of |Δ log-probability|, in nats per token.
type Merged struct {
	Dtype    safetensors.Dtype // of the written weights; with GGUF, of the base
	Nats     float64           // difference between the merged model and base + adapter
	Examples int               // of the run, that were compared
	Moved    float64           // with Merge.Base: difference between base + adapter on that base and on the run's own
}

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
	out := Merged{Dtype: model.Dtype(unmerged.Model().DType)}
	if !unmerged.Model().MergeChanges(out.Dtype) {
		return Merged{}, fmt.Errorf("merging changes no weight of the base: the adapter is empty, or below the "+
			"rounding of %s: nothing was written; export the adapter instead", out.Dtype)
	}
	probes, err := readProbes(ctx, c, m.Run)
	if err != nil {
		return Merged{}, err
	}
	out.Examples = len(probes)
	if m.GGUF {
		out.Nats, err = m.writeGGUF(ctx, unmerged, probes)
	} else {
		out.Nats, err = m.writeFolder(ctx, fsys, unmerged, out.Dtype, probes)
	}
	if err == nil && m.Base != "" {
		out.Moved, err = distance(ctx, trained, unmerged, probes)
	}
	return out, err
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
		merged, err := policy.Open(os.DirFS(tmp), policy.Options{Device: m.Device})
		if err != nil {
			return fmt.Errorf("the merged model does not open: %w", err)
		}
		nats, err = sameAnswers(ctx, unmerged, merged, probes)
		return err
	})
	return nats, err
}

// writeGGUF writes one file. The comparison is of the merged model in memory: with Int8 the file
// has other values, and without it importing the file gives these (ops/importer's round trip).
func (m Merge) writeGGUF(ctx context.Context, unmerged *policy.Policy, probes []policy.Sequence) (float64, error) {
	if _, err := os.Stat(m.Out); err == nil {
		return 0, fmt.Errorf("%s is there already: give a new file", m.Out)
	}
	nats, err := sameAnswers(ctx, unmerged, unmerged.With(unmerged.Model().Merged()), probes)
	if err != nil {
		return 0, err
	}
	err = whole.File(m.Out, func(w io.Writer) error {
		return gguf.Write(w, unmerged, gguf.Options{Name: m.Policy.Name + " of " + m.Run, Int8: m.Int8})
	})
	if errors.Is(err, gguf.ErrTokenizer) {
		err = fmt.Errorf("%w: export a folder (without --gguf), which itool serve and transformers read", err)
	}
	return nats, err
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
