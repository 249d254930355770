package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"itool/ops/config"
	"itool/ops/courier"
	"itool/ops/dataset"
	"itool/ops/report"
	"itool/schemas"
)

// source are the flags that say what a run is made from.
type source struct {
	material
	Name string `placeholder:"NAME" help:"Name of the run; default: after the dataset."`
}

// material are the dataset, the base model and the settings.
type material struct {
	Datasets   []string `arg:"" name:"dataset" help:"${source_datasets}"`
	Validation []string `sep:"none" type:"existingfile" placeholder:"FILE" help:"${source_validation}"`
	Exclude    []string `sep:"none" type:"existingfile" placeholder:"FILE" help:"${source_exclude}"`
	Base       string   `placeholder:"MODEL" help:"${source_base}"`
	Config     string   `short:"c" type:"existingfile" placeholder:"FILE" help:"Configuration (itool init writes one)."`
	Set        []string `sep:"none" placeholder:"KEY=VALUE" help:"${source_set}"`
}

// files returns the dataset files of the run and its configuration. cleanup removes what was
// made for them.
func (s material) files() (files []string, cfg config.Config, cleanup func(), err error) {
	if cfg, err = config.Load(config.Default(), s.Config, s.Set); err != nil {
		return nil, cfg, nil, err
	}
	named, err := dataset.Inputs(s.Datasets, s.Validation, &cfg.Split)
	if err != nil {
		return nil, cfg, nil, coded(exitUsage, "%w", err)
	}
	for _, file := range s.Exclude {
		excluded, err := dataset.Exclusions(file)
		if err != nil {
			return nil, cfg, nil, coded(exitUsage, "%w", err)
		}
		cfg.Split.Exclude = append(slices.Clip(cfg.Split.Exclude), excluded...)
	}
	files, cleanup, err = dataset.WithAnswers(named)
	return files, cfg, cleanup, err
}

// runName is the given name, or one after the first dataset. It is checked before a folder is named after it.
func (s source) runName() (string, error) {
	if s.Name == "" {
		return dataset.RunName(dataset.WithoutWeight(s.Datasets[0])), nil
	}
	if err := schemas.ValidName(s.Name); err != nil {
		return "", coded(exitUsage, "--name: %w", err)
	}
	return s.Name, nil
}

// sayDatasets prints what the files of a published run were read as, so that a file that was taken for another
// format is seen before hours of work.
func sayDatasets(ctx context.Context, out io.Writer, c *courier.Courier, run string) error {
	r, err := c.StartedAs(ctx, run)
	if err != nil || r == nil {
		return err
	}
	lines, err := report.Published(*r)
	for _, s := range lines {
		fmt.Fprintln(out, report.Plain(s))
	}
	return err
}
