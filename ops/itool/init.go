package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
)

// The defaults with the comments of the fields that they belong to; the test writes
// it from the stages' sources (go test ./ops/itool -run Settings -update).
//
//go:embed settings.yaml
var settings []byte

// initCmd is `itool init`.
type initCmd struct {
	Out string `arg:"" optional:"" default:"itool.yaml" help:"File to write; - writes to the terminal."`
}

func (c *initCmd) Run(_ context.Context, a *app) error {
	if c.Out == "-" {
		_, err := a.out.Write(settings)
		return err
	}
	f, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if os.IsExist(err) {
		return fmt.Errorf("%s is there already: give another name, or - for the terminal", c.Out)
	}
	if err != nil {
		return err
	}
	if _, err := f.Write(settings); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "wrote %s; use it with: itool run DATASET --base DIR --config %s\n", c.Out, c.Out)
	return nil
}
