package main

import (
	"fmt"
	"io/fs"
	"os"

	"itool/ops/dataset"
	"itool/ops/demo"
)

// source are the flags that say what a run is made from.
type source struct {
	Datasets []string `arg:"" name:"dataset" type:"existingfile" help:"${source_datasets}"`
	Base     string   `type:"existingdir" placeholder:"DIR" help:"${source_base}"`
	Config   string   `short:"c" type:"existingfile" placeholder:"FILE" help:"Configuration (itool init writes one)."`
	Set      []string `sep:"none" placeholder:"KEY=VALUE" help:"${source_set}"`
	Name     string   `placeholder:"NAME" help:"Name of the run; default: after the dataset."`
}

// base opens the base model's folder.
func (s source) base(a *app) fs.FS {
	if s.Base != "" {
		return os.DirFS(s.Base)
	}
	fmt.Fprintln(a.errs, "itool: no --base: the demo's small model is used; it knows a made-up world, "+
		"so expect next to nothing of it on real data")
	return demo.Base()
}

// runName is the given name, or one after the first dataset.
func (s source) runName() string {
	if s.Name != "" {
		return s.Name
	}
	return dataset.RunName(s.Datasets[0])
}
