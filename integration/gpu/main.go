// Command gpu measures a GPU, and writes RESULTS.md: products, training steps of LoRA and QLoRA, perplexity,
// decoding and a search tree, with random weights of three sizes, beside what a roofline predicts; and the quick
// demo's figures beside the CPU's. `task gpu` runs it after the tests that need a GPU.
//
//	go run -tags gpu ./integration/gpu -device cuda:0 -itool ./itool -o integration/gpu/RESULTS.md
//
// Without a GPU the page has the same rows, says that none was at hand, and keeps the predictions.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"

	"itool/ops/device"
)

func main() {
	name := flag.String("device", "cuda:0", "GPU to measure")
	itool := flag.String("itool", "", "binary with the tag gpu, for the quick demo; none: leave it out")
	out := flag.String("o", "RESULTS.md", "page to write")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *name, *itool, *out)
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, name, itool, out string) error {
	p := page{sections: real.sections()}
	dev, err := device.Open(name, "")
	switch {
	case errors.Is(err, device.ErrNone):
		log.Print(err)
	case err != nil:
		return err
	default:
		dir, err := os.MkdirTemp("", "itool-gpu-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		b := &bench{ctx: ctx, dev: dev, dir: dir, say: log.Printf}
		if err := b.measure(p.sections); err != nil {
			return err
		}
		p.device = dev.Name()
		if itool != "" {
			p.demo = demoRows(ctx, itool, name)
		}
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	return errors.Join(p.write(f), f.Close())
}

// notRun is what a row says without a GPU.
const notRun = "not run: no GPU at hand"

// page is RESULTS.md.
type page struct {
	device   string // "": none at hand
	sections []section
	demo     []string // rows of the demo's table
}

func (p page) write(w io.Writer) error {
	ew := &errWriter{w: w}
	where := "No GPU was at hand: nothing on this page is measured."
	if p.device != "" {
		where = "Measured on " + p.device + "."
	}
	ew.printf(`# On a GPU

Written by %[1]stask gpu%[1]s; do not edit. %[2]s Weights are
random. A figure is the median of the turns after the first. Predicted is a roofline: the larger of operations ÷ peak
and bytes ÷ bandwidth, with dense bf16 peaks and bandwidths of %[3]s.
No program reaches it; products with %[1]smma.sync%[1]s alone reach some 60 %% of an H100's peak. A job whose weights,
gradients, moments and activations do not fit into the memory says so.
`, "`", where, chipList())
	for _, s := range p.sections {
		ew.printf("\n## %s\n\n%s\n\n| job | measured%s |", s.title, s.text, s.beside())
		for _, c := range chips {
			ew.printf(" %s predicted |", c.name)
		}
		ew.printf("\n|---|---|%s\n", s.rule())
		for _, j := range s.jobs {
			ew.printf("| %s | %s |", j.name, j.figure())
			for _, c := range chips {
				ew.printf(" %s |", j.predicted(c))
			}
			ew.printf("\n")
		}
	}
	ew.printf(`
## The quick demo

Accuracy of each policy on the demo's test rows, and the pairs that it was trained on. Products round to bf16 on a GPU,
so the runs differ in their bytes.

| device | accuracy | pairs |
|---|---|---|
`)
	if len(p.demo) == 0 {
		ew.printf("| GPU | %s | |\n", notRun)
	}
	for _, row := range p.demo {
		ew.printf("%s\n", row)
	}
	return ew.err
}

// errWriter keeps the first error.
type errWriter struct {
	w   io.Writer
	err error
}

func (e *errWriter) printf(format string, args ...any) {
	if e.err == nil {
		_, e.err = fmt.Fprintf(e.w, format, args...)
	}
}
