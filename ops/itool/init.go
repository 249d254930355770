package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"itool/ops/starter"
	"itool/ops/whole"
)

// The defaults with the comments of the fields that they belong to; the test writes
// it from the stages' sources (go test ./ops/itool -run Settings -update).
//
//go:embed settings.yaml
var settings []byte

// initCmd is `itool init`.
type initCmd struct {
	Out   string `arg:"" optional:"" default:"itool.yaml" help:"File to write; - writes to the terminal."`
	For   string `placeholder:"MODEL" help:"${init_for}"`
	Force bool   `help:"Replace a file that is there."`
	jsonOption
}

// written is what --json prints.
type written struct {
	Out string `json:"out"`
}

func (c *initCmd) Run(_ context.Context, a *app) error {
	if c.JSON && c.Out == "-" {
		return coded(exitUsage, "--json: not with -, which writes the settings themselves to the terminal")
	}
	text, err := c.text(a)
	if err != nil {
		return err
	}
	if c.Out == "-" {
		_, err := a.out.Write(text)
		return err
	}
	if _, err := os.Stat(c.Out); err == nil && !c.Force {
		return fmt.Errorf("%s is there already: give another name, - for the terminal, or --force to replace it", c.Out)
	}
	if err := whole.File(c.Out, func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
		return err
	}
	return c.print(a, schemaInit, written{c.Out}, "wrote %s; use it with: itool run DATASET --base DIR --config %s\n",
		c.Out, c.Out)
}

// text is what goes into the file.
func (c *initCmd) text(a *app) ([]byte, error) {
	if c.For == "" {
		return settings, nil
	}
	dev, err := newDevice(a)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = starter.Write(&b, c.For, c.Out, starter.Machine{Device: dev, Now: time.Now})
	if _, ok := errors.AsType[*starter.UnknownError](err); ok {
		return nil, coded(exitUsage, "--for %w", err)
	}
	return b.Bytes(), err
}
