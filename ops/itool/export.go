package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"itool/broker"
	"itool/ops/curves"
	"itool/ops/export"
	"itool/ops/inspect"
	"itool/ops/line"
	"itool/ops/report"
	"itool/ops/retire"
	"itool/ops/site"
	"itool/ops/whole"
	"itool/schemas"
	"itool/stages/policy"
	"itool/stages/policy/model/safetensors"
)

// exportCmd is `itool export`.
type exportCmd struct {
	target
	RunName string `arg:"" name:"run" help:"Name of the run."`
	Round   int    `default:"-2" min:"-1" placeholder:"ROUND" help:"${export_round}"`
	Out     string `required:"" placeholder:"DIR" help:"New folder to write; with --pairs or --gguf, a file."`
	Merged  bool   `help:"Write a whole model with the adapter merged in, instead of the adapter."`
	GGUF    bool   `name:"gguf" help:"With --merged: write one file for llama.cpp instead of a folder."`
	Int8    bool   `name:"int8" help:"With --gguf: matrices in eight bits (Q8_0)."`
	Dtype   string `enum:"base,bf16,f16,f32" default:"base" help:"${export_dtype}"`
	Base    string `placeholder:"MODEL" help:"${export_base}"`
	Pairs   bool   `help:"${export_pairs}"`
	Curves  bool   `help:"${export_curves}"`
	IDs     bool   `name:"ids" help:"With --pairs: the tokens of prompt, chosen and rejected as well."`

	overwriting
	BaseName string `placeholder:"ORG/MODEL" help:"${export_base_name}"`
	jsonOption
}

// exported is what --json prints.
type exported struct {
	Run    string         `json:"run"`
	Kind   string         `json:"kind"` // adapter, model, gguf, pairs or curves
	Out    string         `json:"out"`
	Policy string         `json:"policy,omitempty"` // that was written
	Round  *int           `json:"round,omitempty"`  // of the policy
	Status string         `json:"status,omitempty"` // of the run: unless it is done, the policy may not be its last
	Model  *exportedModel `json:"model,omitempty"`
	Pairs  *exportedPairs `json:"pairs,omitempty"`
	Steps  int            `json:"steps,omitempty"` // of the curves
}

type exportedModel struct {
	Dtype     string  `json:"dtype"`
	Nats      float64 `json:"nats"`     // a token, by which it differs from base + adapter
	Examples  int     `json:"examples"` // that were compared
	Moved     float64 `json:"moved"`    // the same of base + adapter on --base and on the run's own base
	Modelfile string  `json:"modelfile,omitempty"`
}

type exportedPairs struct {
	Pairs   int `json:"pairs"`
	Rounds  int `json:"rounds"`
	Trained int `json:"trained"` // pairs that the updates were trained on
}

func (c *exportCmd) Run(ctx context.Context, a *app) error {
	if (c.Base != "" || c.GGUF || c.Dtype != "base") && !c.Merged {
		return coded(exitUsage, "--base, --gguf, --dtype: only with --merged")
	}
	if c.Int8 && !c.GGUF {
		return coded(exitUsage, "--int8: only with --gguf; "+
			"itool serve --weights int8 rounds a folder's model as it opens it")
	}
	if c.IDs && !c.Pairs || c.Pairs && c.Merged {
		return coded(exitUsage, "--ids: only with --pairs; --pairs: not with --merged")
	}
	if c.Force && !c.Pairs {
		return coded(exitUsage, "--force: only with --pairs; a folder or a model is never replaced: delete it, or "+
			"give --out another name")
	}
	if c.Curves && (c.Merged || c.Pairs) {
		return coded(exitUsage, "--curves: not with --merged or --pairs")
	}
	if c.Pairs {
		return c.pairs(ctx, a)
	}
	s, r, kept, err := c.reported(ctx, a, c.RunName)
	if err != nil {
		return err
	}
	defer s.Close()
	if c.Curves {
		steps, err := writeCurves(c.remarks(a), c.Out, r, false)
		if err != nil {
			return err
		}
		return c.print(a, schemaExport, exported{Run: c.RunName, Kind: "curves", Out: c.Out, Steps: steps}, "")
	}
	r.Base = cmp.Or(c.BaseName, r.Base)
	p, err := policyOf(r, c.Round)
	if err != nil {
		return err
	}
	done := exported{
		Run: c.RunName, Kind: "adapter", Out: c.Out, Policy: p.Name, Round: &p.Round, Status: r.Status,
	}
	if c.Merged {
		if done.Kind = "model"; c.GGUF {
			done.Kind = "gguf"
		}
		if done.Model, err = c.merge(ctx, a, s, r, *p, kept); err != nil {
			return err
		}
	} else {
		if err := export.Adapter(ctx, s.Courier, r, *p, c.Out, version(), false); err != nil {
			return err
		}
		fmt.Fprintf(c.remarks(a), "%s of run %s: adapter in %s\n", p.Name, c.RunName, c.Out)
	}
	if err := c.unfinished(ctx, a, s, r, p); err != nil {
		return err
	}
	return c.print(a, schemaExport, done, "")
}

// writeCurves writes every step of a run's trainings into a new folder, or with replace into that of an earlier time.
func writeCurves(out io.Writer, dir string, r *report.Report, replace bool) (steps int, err error) {
	err = whole.Folder(dir, replace, func(tmp string) (err error) {
		steps, err = curves.Write(tmp, r)
		return err
	})
	if err != nil {
		return 0, err
	}
	_, err = fmt.Fprintf(out, "curves of run %s: %d steps in %s, and for tensorboard --logdir %s\n", r.Run, steps,
		filepath.Join(dir, curves.File), dir)
	return steps, err
}

// pairs writes the pairs of a round, or of all rounds, for TRL.
func (c *exportCmd) pairs(ctx context.Context, a *app) error {
	if err := c.check(c.Out); err != nil {
		return err
	}
	s, r, err := c.inspected(ctx, a, c.RunName)
	if err != nil {
		return err
	}
	defer s.Close()
	var n inspect.Written
	if err := whole.File(c.Out, func(w io.Writer) (err error) {
		n, err = r.WritePairs(ctx, w, c.Round, c.IDs)
		return err
	}); err != nil {
		return err
	}
	return c.print(a, schemaExport, exported{
		Run: c.RunName, Kind: "pairs", Out: c.Out, Pairs: &exportedPairs{n.Pairs, n.Rounds, n.Trained},
	}, "pairs of run %s: %d, of %d rounds, in %s; its updates were trained on %d of them\n",
		c.RunName, n.Pairs, n.Rounds, c.Out, n.Trained)
}

// unfinished says so if the run is not done: what was exported may not be what the run will end with.
func (c *exportCmd) unfinished(ctx context.Context, a *app, s *site.Site, r *report.Report, p *report.Policy) error {
	if r.Status == schemas.StatusDone {
		return nil
	}
	view, err := line.Rows(nil).Look(ctx, s.Courier, c.RunName)
	if errors.Is(err, broker.ErrNoRun) || !r.Running() {
		fmt.Fprintf(c.remarks(a), "run %s did not reach its end (%s): this is its policy of round %d\n",
			c.RunName, r.Status, p.Round)
		return nil
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(c.remarks(a), "run %s goes on (%s): this is its policy of round %d, and later ones may follow\n",
		c.RunName, where(view), p.Round)
	return nil
}

// merge writes base + adapter as one model.
func (c *exportCmd) merge(ctx context.Context, a *app, s *site.Site, r *report.Report, p report.Policy,
	kept *retire.Kept) (*exportedModel, error) {
	e, err := newEngine(a)
	if err != nil {
		return nil, err
	}
	if c.Base != "" {
		if c.Base, err = findBase(ctx, a, "--base", c.Base, nil); err != nil {
			return nil, err
		}
	}
	var probes []policy.Sequence // of a retired run
	if kept != nil {
		probes = kept.Probes
	}
	m, err := export.Merge{
		Probes: probes,
		Run:    c.RunName, Policy: p, Out: c.Out, GGUF: c.GGUF, Int8: c.Int8, Base: c.Base, Device: e.device,
		Dtypes: map[string][]safetensors.Dtype{
			"bf16": {safetensors.BF16}, "f16": {safetensors.F16}, "f32": {safetensors.F32},
		}[c.Dtype],
		Report: r, Version: version(),
	}.Write(ctx, s.Courier, e.Engine)
	if err != nil {
		return nil, err
	}
	form := string(m.Dtype)
	if c.Int8 {
		form = "Q8_0"
	}
	w := c.remarks(a)
	fmt.Fprintf(w, "%s of run %s: merged model in %s, %s, within %.2g nats per token of base + adapter "+
		"on %d examples\n", p.Name, c.RunName, c.Out, form, m.Nats, m.Examples)
	if c.GGUF {
		sayOllama(w, m)
	}
	if c.Base != "" {
		fmt.Fprintf(w, "on the base of the run itself the adapter answers up to %.2g nats per token differently: "+
			"it was trained there\n", m.Moved)
	}
	return &exportedModel{form, m.Nats, m.Examples, m.Moved, m.Modelfile}, nil
}

// sayOllama says what other programs make of a GGUF file.
func sayOllama(w io.Writer, m export.Merged) {
	if m.Cuts.Nearly {
		fmt.Fprintf(w, "llama.cpp cuts texts by its rule %s, which differs from the model's for capitals and marks "+
			"beyond ASCII: %d of the %d examples get other tokens there\n", m.Cuts.Rule, m.Cuts.Texts, m.Examples)
	}
	fmt.Fprintf(w, "for Ollama: ollama create NAME -f %s\n", m.Modelfile)
	if m.Ollama.Why != "" {
		fmt.Fprintf(w, "%s\n", m.Ollama.Why)
	}
}

// policyOf is a run's policy of a round; −2: the last one.
func policyOf(r *report.Report, round int) (*report.Policy, error) {
	p := r.Final()
	if round >= -1 {
		p = r.PolicyOf(round)
	}
	if p == nil {
		return nil, fmt.Errorf("run %s has no policy of that round yet: see itool report %s", r.Run, r.Run)
	}
	return p, nil
}
