package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"itool/ops/pretrain"
	"itool/ops/progress"
)

// pretrainCmd is `itool pretrain`.
type pretrainCmd struct {
	Out  string `required:"" placeholder:"DIR" help:"Folder for the model; the same command again resumes."`
	Rows int    `help:"Conversations of the last, longest lesson; default: the demo's base."`
	Seed uint64 `help:"Default: the demo's base."`
	jsonOption
}

// pretrained is what --json prints. Shares are of the rows that want a call.
type pretrained struct {
	Out        string  `json:"out"`
	Parameters int     `json:"parameters"`
	Steps      int     `json:"steps"`
	CallRows   int     `json:"call_rows"` // unseen requests that want a call
	Exact      float64 `json:"exact"`
	Parsed     float64 `json:"parsed"`
	PassAt4    float64 `json:"pass_at_4"`
}

func (c *pretrainCmd) Run(ctx context.Context, a *app) error {
	cfg := pretrain.Default()
	var err error
	if cfg.Device, err = newDevice(a); err != nil {
		return err
	}
	if c.Rows > 0 {
		cfg.Lessons[len(cfg.Lessons)-1].Rows = c.Rows
	}
	if c.Seed > 0 {
		cfg.Seed = c.Seed
	}
	start, printed, first := time.Now(), time.Now(), 0
	report, err := pretrain.Run(ctx, cfg, c.Out, func(p pretrain.Progress) {
		if p.Resumed {
			first = p.Step
			return
		}
		perStep := time.Since(start).Seconds() / float64(max(p.Step-first, 1))
		left := time.Duration(perStep * float64(p.Steps-p.Step) * float64(time.Second)).Round(time.Second)
		text := fmt.Sprintf("loss %.4f  about %s left", p.Loss, left)
		if !math.IsNaN(p.Recall) {
			text += fmt.Sprintf("  recalls %.0f %%", 100*p.Recall)
		}
		count := fmt.Sprintf("%d/%d", p.Step, p.Steps)
		if a.bars != nil {
			bar := progress.Bar{Name: "steps", Done: p.Step, Total: p.Steps, State: progress.Working, Count: count}
			a.bars.Show(progress.Frame{Bars: []progress.Bar{bar}, Remarks: []string{text}})
		} else if time.Since(printed) > time.Minute {
			printed = time.Now()
			fmt.Fprintf(a.errs, "step %s  %s\n", count, text)
		}
	})
	if a.bars != nil {
		a.bars.Close()
	}
	if ctx.Err() != nil {
		return coded(exitInterrupted, "interrupted: the same command goes on from the last checkpoint in %s.partial",
			c.Out)
	}
	if err != nil {
		return err
	}
	exam := report.Exam
	return c.print(a, schemaPretrain, pretrained{
		c.Out, report.Parameters, report.Steps, exam.CallRows, exam.Exact, exam.Parsed, exam.PassAt4,
	}, "base of %d parameters in %s after %d steps: "+
		"%.1f %% exact, %.1f %% parse, %.1f %% pass@4 on %d unseen requests\n",
		report.Parameters, c.Out, report.Steps, 100*exam.Exact, 100*exam.Parsed, 100*exam.PassAt4, exam.CallRows)
}
