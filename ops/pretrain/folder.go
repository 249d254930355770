package pretrain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"itool/ops/synth"
	"itool/stages/policy"
	"itool/stages/policy/model"
	"itool/stages/policy/model/safetensors"
	"itool/stages/policy/template"
	"itool/stages/policy/tokenizer"
)

// Report says how a base was made. Its folder contains it as MAKING.json.
type Report struct {
	Config     Config `json:"config"`
	Parameters int    `json:"parameters"`
	Steps      int    `json:"steps"`
	Log        Log    `json:"log"`
	Device     string `json:"device"`
	Go         string `json:"go"`
	Licence    string `json:"licence"`
	Exam       Exam   `json:"exam"`
}

// The files that say how a base was made. makingFile also marks a folder as the output of
// this package.
const (
	makingFile = "MAKING.json"
	pageFile   = "MAKING.md"
)

// checkReplaceable returns an error if out contains other files than a base of this package.
func checkReplaceable(out string) error {
	entries, err := os.ReadDir(out)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(out, makingFile)); err != nil {
		return fmt.Errorf("%s contains other files and no %s: name a new folder", out, makingFile)
	}
	return nil
}

// publish writes the model, examines the written model, and moves its folder to out.
func (w *work) publish(ctx context.Context, out string, m *model.Model, r Report) (Report, error) {
	dir := out + ".new"
	p, err := w.open(dir, m)
	if err != nil {
		return r, err
	}
	r.Device, r.Licence = w.Device.Name(), "Apache-2.0"
	if info, ok := debug.ReadBuildInfo(); ok {
		r.Go = info.GoVersion
	}
	rows, err := w.examRows()
	if err != nil {
		return r, err
	}
	if r.Exam, err = Examine(ctx, p, rows, w.Seed, w.Clock); err != nil {
		return r, err
	}
	if r.Exam.Recall, err = Recall(ctx, p, recallAsks, gatePairs, w.Seed+1, w.Exam.Fold, w.Exam.Folds); err != nil {
		return r, err
	}
	if r.Exam.Recall < w.Gate {
		return r, fmt.Errorf("the finished base recalls %.1f %% of unseen values from a list of %d,"+
			" the gate is %.1f %%: a base that cannot copy gets no call right;"+
			" try more rows, or more short ones. The base is in %s",
			100*r.Exam.Recall, gatePairs, 100*w.Gate, dir)
	}
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return r, err
	}
	if err := writeWhole(filepath.Join(dir, makingFile), append(b, '\n')); err != nil {
		return r, err
	}
	if err := writeWhole(filepath.Join(dir, pageFile), []byte(r.page())); err != nil {
		return r, err
	}
	if err := os.RemoveAll(out); err != nil {
		return r, err
	}
	if err := os.Rename(dir, out); err != nil {
		return r, err
	}
	return r, os.RemoveAll(out + ".partial")
}

// recallAsks is the number of values that the finished base is asked for.
const recallAsks = 300

// open writes the model's folder and opens it like any other policy.
func (w *work) open(dir string, m *model.Model) (*policy.Policy, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := w.write(dir, m); err != nil {
		return nil, err
	}
	return policy.Open(os.DirFS(dir), policy.Options{Device: w.Device})
}

// write writes the files of a model's folder in Hugging Face format.
func (w *work) write(dir string, m *model.Model) error {
	if err := m.Save(createIn(dir), safetensors.BF16); err != nil {
		return err
	}
	settings, err := json.MarshalIndent(map[string]any{
		"bos_token": template.DefaultBOS, "eos_token": template.DefaultEnd,
		"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": w.Context, "add_bos_token": false,
	}, "", " ")
	if err != nil {
		return err
	}
	generation, err := json.MarshalIndent(map[string]any{
		"bos_token_id": w.shape.BOS[0], "eos_token_id": w.shape.EOS[0], "do_sample": false, "max_new_tokens": maxAnswer,
	}, "", " ")
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		tokenizer.File: w.tokenizerFile, template.File: []byte(template.Default),
		template.ConfigFile: settings, "generation_config.json": generation,
	} {
		if err := writeWhole(filepath.Join(dir, name), data); err != nil {
			return err
		}
	}
	return nil
}

// examRows generates the rows of the exam.
func (w *work) examRows() ([]synth.Row, error) {
	seq, err := synth.Make(w.Exam)
	if err != nil {
		return nil, err
	}
	return slices.Collect(seq), nil
}

// flags are the flags of `itool pretrain` that give this configuration.
func (c Config) flags() (flags string) {
	usual, last := Default(), len(c.Lessons)-1
	if c.Seed != usual.Seed {
		flags += fmt.Sprintf(" --seed %d", c.Seed)
	}
	if c.Lessons[last].Rows != usual.Lessons[len(usual.Lessons)-1].Rows {
		flags += fmt.Sprintf(" --rows %d", c.Lessons[last].Rows)
	}
	return flags
}

// page is the report as a Markdown page.
func (r Report) page() string {
	var b strings.Builder
	c, e := r.Config, r.Exam
	fmt.Fprintf(&b, "# How this model was made\n\n"+
		"A small base for trying `itool`, trained from nothing on conversations that `ops/synth` made. It knows that\n"+
		"small world and nothing else. Licence: %s, weights included; no foreign data, no foreign weights.\n\n"+
		"    go run ./ops/itool pretrain --out <folder>%s\n\n"+
		"| | |\n|---|---|\n", r.Licence, c.flags())
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "| %s | "+format+" |\n", append([]any{name}, args...)...)
	}
	row("shape", "%d parameters: width %d, %d layers, %d heads (%d key/value), inner %d, context %d, bf16",
		r.Parameters, c.Width, c.Layers, c.Heads, c.KV, c.Inner, c.Context)
	row("seeds", "%d (weights), %d (conversations, fold %d of %d)", c.Seed, c.World.Seed, c.World.Fold, c.World.Folds)
	for i, l := range c.Lessons {
		kinds := fmt.Sprintf("%.0f %% copy up to %d words or pairs", 100*l.Recall, l.Pairs)
		if l.Recall < 1 {
			kinds += fmt.Sprintf(
				", %.0f %% judge an answer, the others have up to %d requests; tools up to %d, calls up to %d",
				100*l.Judging, c.World.Turns, l.Tools, l.Calls)
		}
		row(fmt.Sprintf("lesson %d", i+1), "%d conversations, each once: %s", l.Rows, kinds)
	}
	row("their world", "at most %d tools and %d calls; %.0f %% lack a parameter, %.0f %% fit no tool;"+
		" %.0f %% of the conversations have literal answers",
		c.World.Tools, c.World.Calls, 100*c.World.Missing, 100*c.World.NoTool, 100*c.World.Literal)
	row("steps", "%d of %d conversations, rate %g with warm-up and cosine; a loss on the answers only",
		r.Steps, c.BatchSize, c.Rate)
	row("tokens", "%d in %.0f s: %.0f tokens/s on %s, %s",
		r.Log.Tokens, r.Log.Seconds, float64(r.Log.Tokens)/max(r.Log.Seconds, 1e-9), r.Device, r.Go)
	fmt.Fprintf(&b, "\n## Exam: %d requests with tools and values that were never seen (fold %d)\n\n"+
		"| | |\n|---|---|\n", e.Rows, c.Exam.Fold)
	row("recall gate", "%.1f %% of %d unseen values of three tokens out of %d pairs; at least %.0f %% are asked for",
		100*e.Recall, recallAsks, gatePairs, 100*c.Gate)
	row("their world", "at most %d tools and %d calls; %.0f %% of the answers are literal",
		c.Exam.Tools, c.Exam.Calls, 100*c.Exam.Literal)
	row("calls wanted", "%d rows", e.CallRows)
	row("reads as calls", "%.1f %%", 100*e.Parsed)
	row("exact, greedy", "%.1f %%", 100*e.Exact)
	row("exact, one of four draws at temperature 1", "%.1f %%", 100*e.PassAt4)
	row("prose where prose is wanted", "%.1f %%", 100*e.Prose)
	row("speed", "%.0f tokens/s greedy, prompts included", e.TokensPerSec)
	b.WriteString("\n## Some greedy answers\n\n")
	for _, s := range e.Samples {
		fmt.Fprintf(&b, "- %s\n  - want `%s`\n  - got `%s`\n", s.Request, s.Want, s.Got)
	}
	r.Log.tables(&b)
	return b.String()
}

// tables writes the loss and the recall over the steps, in about 20 lines each.
func (l Log) tables(b *strings.Builder) {
	b.WriteString("\n## Loss, nats per learnt token\n\n| step | loss |\n|---|---|\n")
	for i, p := range l.Curve {
		if every := len(l.Curve)/20 + 1; i%every == 0 || i == len(l.Curve)-1 {
			fmt.Fprintf(b, "| %d | %.3f |\n", p.Step, p.Loss)
		}
	}
	b.WriteString("\n## Recall of unseen values, at the checkpoints\n\n| step | tokens | recalled |\n|---|---|---|\n")
	for i, p := range l.Recall {
		if every := len(l.Recall)/20 + 1; i%every == 0 || i == len(l.Recall)-1 {
			fmt.Fprintf(b, "| %d | %d | %.0f %% |\n", p.Step, p.Tokens, 100*p.Share)
		}
	}
}
