package main

import "itool/ops/dataset"

// source are the flags that say what a run is made from.
type source struct {
	Datasets []string `arg:"" name:"dataset" type:"existingfile" help:"${source_datasets}"`
	Base     string   `placeholder:"MODEL" help:"${source_base}"`
	Config   string   `short:"c" type:"existingfile" placeholder:"FILE" help:"Configuration (itool init writes one)."`
	Set      []string `sep:"none" placeholder:"KEY=VALUE" help:"${source_set}"`
	Name     string   `placeholder:"NAME" help:"Name of the run; default: after the dataset."`
}

// runName is the given name, or one after the first dataset.
func (s source) runName() string {
	if s.Name != "" {
		return s.Name
	}
	return dataset.RunName(s.Datasets[0])
}
