// Package export writes policies and models in the formats of other programs: a PEFT
// adapter (Adapter), a whole model with the adapter merged in, as a Hugging Face folder or
// as one GGUF file (Merge), and a base with its weights in four bits (Quantize).
//
// Everything is checked before it appears: a merged model must give the log-probabilities
// of base + adapter on examples of the run, and a written folder must open. An error means
// that nothing was written.
package export

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"itool/ops/courier"
	"itool/ops/report"
	"itool/ops/whole"
	"itool/storage/checkpoint"
)

// AdapterConfig and AdapterWeights are the files of an adapter as PEFT reads it.
const (
	AdapterConfig  = "adapter_config.json"
	AdapterWeights = "adapter_model.safetensors"
)

// origin is the file that says from which run an adapter comes. A folder that holds it was
// written by Adapter.
const origin = "itool.json"

// Adapter writes the adapter of policy p, a model card and a file that says where it comes from, into a new folder.
// The adapter names the base as the report does: r.Base. version is that of the program that writes. With replace, a
// folder of an older export is replaced; other folders never are. The base itself has no adapter: an error.
func Adapter(ctx context.Context, c *courier.Courier, r *report.Report, p report.Policy, dir, version string,
	replace bool) error {
	fsys, _, err := checkpoint.Open(ctx, c.Store, courier.Checkpoints, p.Digest)
	if err != nil {
		return err
	}
	if _, err := fs.Stat(fsys, AdapterConfig); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s of run %s is the base model itself: there is no adapter to export", p.Name, r.Run)
	}
	about, err := json.MarshalIndent(map[string]any{
		"run": r.Run, "policy": p.Name, "round": p.Round, "digest": p.Digest, "base_digest": r.Policies[0].Digest,
		"config_digest": r.ConfigDigest, "seed": r.Seed, "made_by": "itool " + version,
	}, "", "  ") // see Origin
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, origin)); err != nil {
		replace = false
	}
	settings, err := named(fsys, r.Base)
	if err != nil {
		return err
	}
	return whole.Folder(dir, replace, func(tmp string) error {
		if err := copyFile(fsys, AdapterWeights, filepath.Join(tmp, AdapterWeights)); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(tmp, AdapterConfig), settings, 0o644); err != nil {
			return err
		}
		if err := writeCard(tmp, r, p, settings, false, version); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(tmp, origin), append(about, '\n'), 0o644)
	})
}

// named is adapter_config.json with the name of the base, by which PEFT finds it.
func named(fsys fs.FS, base string) ([]byte, error) {
	text, err := fs.ReadFile(fsys, AdapterConfig)
	if err != nil || base == "" {
		return text, err
	}
	var settings map[string]json.RawMessage
	if err := json.Unmarshal(text, &settings); err != nil {
		return nil, fmt.Errorf("%s: %w", AdapterConfig, err)
	}
	if settings["base_model_name_or_path"], err = json.Marshal(base); err != nil {
		return nil, err
	}
	text, err = json.MarshalIndent(settings, "", "  ")
	return append(text, '\n'), err
}

// writeCard writes the model card into a folder.
func writeCard(dir string, r *report.Report, p report.Policy, settings []byte, merged bool, version string) error {
	f, err := os.Create(filepath.Join(dir, Card))
	if err != nil {
		return err
	}
	return errors.Join(WriteCard(f, r, p, settings, merged, version), f.Close())
}

// Origin says which policy of which run an adapter is.
type Origin struct {
	Run    string `json:"run"`
	Policy string `json:"policy"`
	Round  int    `json:"round"`
	Digest string `json:"digest"`
}

// ReadOrigin reads where the adapter in a folder comes from. ok is false if the folder is not there, or was not
// written by Adapter.
func ReadOrigin(dir string) (o Origin, ok bool, err error) {
	if !isFolder(dir) {
		return o, false, nil
	}
	text, err := os.ReadFile(filepath.Join(dir, origin))
	if errors.Is(err, fs.ErrNotExist) {
		return o, false, nil
	}
	if err != nil {
		return o, false, err
	}
	if err := json.Unmarshal(text, &o); err != nil || o.Run == "" || o.Digest == "" {
		return o, false, fmt.Errorf("%s does not say which policy the adapter is: export it again",
			filepath.Join(dir, origin))
	}
	return o, true, nil
}

func isFolder(dir string) bool {
	info, err := os.Stat(dir)
	return err == nil && info.IsDir()
}

// WithAdapter is a model's folder with the adapter of another folder, such as one that
// Adapter wrote.
func WithAdapter(model, adapter fs.FS) fs.FS { return withAdapter{model, adapter} }

type withAdapter struct{ model, adapter fs.FS }

func (f withAdapter) Open(name string) (fs.File, error) {
	if name == AdapterConfig || name == AdapterWeights {
		return f.adapter.Open(name)
	}
	return f.model.Open(name)
}

// copyModelFiles copies what belongs to a model besides its config and weights, as far as
// it exists. Weights in the formats of other programs, which many folders hold, do not.
func copyModelFiles(fsys fs.FS, dir string) error {
	for _, name := range []string{
		"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
		"merges.txt", "chat_template.jinja", "chat_template.json", "generation_config.json",
		"LICENSE", "LICENSE.txt", "README.md",
	} {
		err := copyFile(fsys, name, filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
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
