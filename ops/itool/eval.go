package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"itool/ops/eval"
	"itool/ops/job"
	"itool/schemas"
	"itool/stages/split"
)

// evalCmd is `itool eval`: ask a model the questions of a benchmark, and judge its answers.
type evalCmd struct {
	target
	Bench      []string `sep:"none" required:"" placeholder:"bfcl|apibank|FILE" help:"${eval_bench}"`
	Data       string   `placeholder:"DIR" help:"${eval_data}"`
	Categories []string `placeholder:"NAME,…" help:"Of a benchmark, such as live_simple or level_1; default: all."`
	Texts      string   `name:"long-context" placeholder:"FILE" help:"${eval_texts}"`
	Most       int      `placeholder:"N" help:"Most questions of each file, spread evenly over it; default: all."`

	Model         string `placeholder:"MODEL" help:"${eval_model}"`
	Adapter       string `placeholder:"DIR" help:"With --model: put the PEFT adapter in this folder on it."`
	RunName       string `name:"run" placeholder:"NAME" help:"Ask a policy of this run."`
	Round         int    `default:"-2" min:"-1" placeholder:"ROUND" help:"${policy_round}"`
	ToolsIn       string `enum:"template,system" default:"template" help:"${serve_tools_in}"`
	Calls         string `enum:"auto,pythonic,hermes,llama_json" default:"auto" help:"${serve_calls}"`
	Weights       string `enum:"auto,float32,stored,int8" default:"auto" help:"${serve_weights}"`
	Endpoint      string `placeholder:"URL" help:"${eval_endpoint}"`
	EndpointModel string `placeholder:"NAME" help:"With --endpoint: the model's name there."`
	Key           string `name:"api-key" env:"ITOOL_API_KEY" help:"${eval_key}"`
	AtOnce        int    `placeholder:"N" help:"With --endpoint: requests at once; default 8."`
	MaxTokens     int    `default:"512" help:"Most tokens of an answer; a longer one is cut and wrong."`

	Answers string `placeholder:"DIR" help:"${eval_answers}"`
	Out     string `placeholder:"DIR" help:"${eval_out}"`
	Against string `placeholder:"DIR" help:"${eval_against}"`
	Seed    uint64 `default:"1" help:"Of the intervals' bootstrap."`
	JSON    bool   `name:"json" help:"Print one JSON object with every answer instead of tables."`
}

func (c *evalCmd) Run(ctx context.Context, a *app) error {
	if err := c.check(); err != nil {
		return err
	}
	files, skipped, err := c.questions(ctx)
	if err != nil {
		return err
	}
	given, err := c.answers(ctx, a, files)
	if err != nil {
		return err
	}
	verdicts, missing, err := eval.Judge(files, given.dir)
	if err != nil {
		return err
	}
	if len(verdicts) == 0 {
		return given.dir.Unanswered(files)
	}
	r := eval.Summarise(given.by, files, verdicts, c.Seed)
	r.Skipped, r.Missing, r.Most, r.Asked, r.Seconds = skipped, missing, c.Most, given.now, given.took.Seconds()
	if c.Against != "" {
		if err := c.compare(r, files, verdicts); err != nil {
			return err
		}
	}
	if c.JSON {
		return printJSON(a.out, schemaEval, r)
	}
	return r.Text(a.out)
}

// check refuses flags that do not go together.
func (c *evalCmd) check() error {
	from := 0
	for _, given := range []string{c.Model, c.RunName, c.Endpoint, c.Answers} {
		if given != "" {
			from++
		}
	}
	switch {
	case from != 1:
		return coded(exitUsage, "say what answers: one of --model MODEL, --run NAME, --endpoint URL, or --answers DIR "+
			"with answers that are there already")
	case c.Endpoint != "" && c.EndpointModel == "":
		return coded(exitUsage, "--endpoint-model is missing: the name of the model at the endpoint")
	case slices.Contains(c.Bench, "bfcl") && slices.Contains(c.Bench, "apibank"):
		return coded(exitUsage, "bfcl and apibank lie in different folders: run them one after the other")
	case c.MaxTokens < 1 || c.Most < 0 || c.AtOnce < 0:
		return coded(exitUsage, "--max-tokens is at least 1, --most and --at-once at least 0")
	}
	return nil
}

// questions reads the files that --bench names.
func (c *evalCmd) questions(ctx context.Context) (files []eval.File, skipped []eval.Skipped, err error) {
	o := eval.Options{Most: c.Most, LongContext: c.Texts, Today: time.Now()}
	var paths []string
	for _, b := range c.Bench {
		if folder := benchFolders[b]; folder != "" && c.Data == "" {
			return nil, nil, coded(exitUsage, "--bench %s: say with --data where the benchmark lies: the folder %s", b,
				folder)
		}
		switch b {
		case "bfcl":
			found, left, err := o.BFCL(c.Data, c.Categories)
			if err != nil {
				return nil, nil, err
			}
			paths, skipped = append(paths, found...), append(skipped, left...)
		case "apibank":
			found, err := o.APIBank(ctx, c.Data, c.Categories)
			if err != nil {
				return nil, nil, err
			}
			files = append(files, found...)
		default:
			paths = append(paths, b)
		}
	}
	if len(paths)+len(files) == 0 {
		return nil, nil, fmt.Errorf("none of these categories can be run: %s", skipped[0].Why)
	}
	read, err := o.Load(ctx, paths)
	return append(files, read...), skipped, err
}

// benchFolders are the folders of the benchmarks that --data names.
var benchFolders = map[string]string{
	"bfcl":    "bfcl_eval/data of github.com/ShishirPatil/gorilla (berkeley-function-call-leaderboard), version 3",
	"apibank": "api-bank of github.com/AlibabaResearch/DAMO-ConvAI",
}

// answers is what answers, and how long it took.
type answers struct {
	dir  *eval.Folder
	by   string        // the model's name for people
	now  int           // answers that were not there already
	took time.Duration // for these
}

// answers has the questions answered, or reads answers that are there.
func (c *evalCmd) answers(ctx context.Context, a *app, files []eval.File) (given answers, err error) {
	if c.Answers != "" {
		dir, err := eval.ReadFolder(c.Answers)
		return answers{dir: dir, by: filepath.Base(c.Answers)}, err
	}
	if c.Endpoint != "" {
		m, err := eval.NewEndpoint(c.Endpoint, c.EndpointModel, c.Key, c.MaxTokens)
		if err != nil {
			return given, coded(exitUsage, "--endpoint: %w", err)
		}
		from := eval.Origin{Model: c.EndpointModel, Digest: c.Endpoint, MaxTokens: c.MaxTokens}
		n := cmp.Or(c.AtOnce, 8)
		return c.ask(ctx, a, m, from, files, eval.AtOnce{Questions: n, Conversations: n})
	}
	local, name, err := c.local(ctx, a, files)
	if err != nil {
		return given, err
	}
	stop := job.Until(context.WithoutCancel(ctx), func(ctx context.Context) error { local.Run(ctx); return nil })
	defer func() { err = errors.Join(err, stop()) }()
	from := eval.Origin{Model: name, Digest: local.Digest(), MaxTokens: c.MaxTokens}
	return c.ask(ctx, a, local, from, files, eval.LocalAtOnce)
}

// local opens the model. One that would not be shown the tools, or whose calls nothing here reads, is refused: all its
// answers would count as wrong.
func (c *evalCmd) local(ctx context.Context, a *app, files []eval.File) (*eval.Local, string, error) {
	s := policyFlags{
		target: c.target, RunName: c.RunName, Round: c.Round, Model: c.Model, Adapter: c.Adapter, Weights: c.Weights,
		Calls: c.Calls, ToolsIn: c.ToolsIn,
	}
	p, name, err := s.open(ctx, a, 0)
	if err != nil {
		return nil, "", err
	}
	if !p.Probe().Tools.Written && eval.WantTools(files) {
		return nil, "", coded(exitUsage, "%s: the chat template leaves out tools: --tools-in system writes them into "+
			"the system message", name)
	}
	calls, err := split.CallFormat(p, split.Config{CallFormat: s.Calls})
	if err != nil {
		return nil, "", coded(exitUsage, "%s: %w; here --calls names the format", name, err)
	}
	return eval.NewLocal(p, calls, c.MaxTokens), name, nil
}

// ask fills the folder of answers.
func (c *evalCmd) ask(
	ctx context.Context, a *app, m eval.Model, from eval.Origin, files []eval.File, atOnce eval.AtOnce,
) (answers, error) {
	path := cmp.Or(c.Out, filepath.Join("itool-eval", from.Name()))
	dir, err := eval.OpenFolder(path, from)
	if err != nil {
		return answers{}, err
	}
	fmt.Fprintf(a.errs, "itool: answers go to %s; the same command again resumes\n", path)
	began, asked := time.Now(), 0
	kind, said := began, began // when this kind of cases was begun with, and when something was said last
	err = eval.Ask(ctx, m, files, dir, atOnce, func(p eval.Progress) {
		now := time.Now()
		if p.Asked == 0 {
			kind = now
		} else {
			asked++
		}
		if p.Asked == 0 || p.Open == 0 && p.Later == 0 || now.Sub(said) > sayEvery {
			said = now
			fmt.Fprintf(a.errs, "itool: %d of %d answered%s\n", p.Done, p.All, left(now.Sub(kind), atOnce, p))
		}
	})
	given := answers{dir, from.Model, asked, time.Since(began)}
	return given, errors.Join(err, dir.Close())
}

// left says how long the rest will take, by what was done, once that is more than is asked at the same time. Questions
// do not tell how long conversations take.
func left(took time.Duration, atOnce eval.AtOnce, p eval.Progress) string {
	text, enough := "", atOnce.Questions
	if p.Conversations {
		enough = atOnce.Conversations
	}
	if p.Asked > enough && p.Open > 0 {
		rest := took / time.Duration(p.Asked) * time.Duration(p.Open)
		text = fmt.Sprintf(", about %s left", rest.Round(time.Second))
	}
	if p.Later > 0 && p.Open > 0 {
		text += fmt.Sprintf("; %d are conversations, which come last", p.Later)
	}
	return text
}

// sayEvery is the time between two lines about the progress.
const sayEvery = 10 * time.Second

// compare adds the answers of --against.
func (c *evalCmd) compare(r *eval.Result, files []eval.File, ours []schemas.Verdict) error {
	dir, err := eval.ReadFolder(c.Against)
	if err != nil {
		return fmt.Errorf("--against: %w", err)
	}
	other, _, err := eval.Judge(files, dir)
	if err != nil {
		return err
	}
	if len(other) == 0 {
		return fmt.Errorf("--against: %w", dir.Unanswered(files))
	}
	r.Compare(filepath.Base(filepath.Clean(c.Against)), other, ours, c.Seed)
	return nil
}
