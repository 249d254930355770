package stages_test

import (
	"context"
	"fmt"
	"iter"

	"itool/schemas"
	"itool/stages"
)

// halve is the least that a stage does: it answers every score with half of it.
type halve struct{}

// halveConfig is its section of a run's configuration.
type halveConfig struct {
	By float64 `json:"by"` // divisor, > 0
}

func (c halveConfig) Validate() error {
	if !(c.By > 0) {
		return fmt.Errorf("halve.by: %g is not positive", c.By)
	}
	return nil
}

func (halve) Spec() stages.Spec {
	return stages.Spec{
		Name: "halve", Wakes: "score", Reads: "score/v2", Writes: "score", Schema: "score/v2", NoPolicy: true,
	}
}

func (halve) Process(ctx context.Context, in stages.Input, out stages.Output) error {
	cfg, err := stages.Config(in, halveConfig{By: 2})
	if err != nil {
		return err
	}
	rows, err := stages.Rows[schemas.Score](in.Batches)
	if err != nil {
		return err
	}
	for i := range rows {
		rows[i].Perplexity /= cfg.By
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return stages.Result(in, out, rows)
}

// printer is an Output that prints the result.
type printer struct{ stages.Output }

func (printer) Result(b schemas.Batch) error {
	rows, err := schemas.Decode[schemas.Score](b)
	for _, r := range rows {
		fmt.Printf("%s: %g\n", r.ExampleID, r.Perplexity)
	}
	return err
}

// batches packs rows as the one batch of an item.
func batches[R schemas.Record](rows ...R) iter.Seq2[schemas.Batch, error] {
	return func(yield func(schemas.Batch, error) bool) { yield(schemas.Encode(schemas.Header{}, rows)) }
}

// A stage reads its configuration and its rows, computes, and deposits one result.
func ExampleStage() {
	in := stages.Input{Batches: batches(
		schemas.Score{ExampleID: "a", Perplexity: 3}, schemas.Score{ExampleID: "b", Perplexity: 4},
	)}
	if err := (halve{}).Process(context.Background(), in, printer{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// a: 1.5
	// b: 2
}

// A setting out of its range is a reject: no retry can change the configuration.
func ExampleReject() {
	in := stages.Input{Config: []byte(`{"by": 0}`), Batches: batches[schemas.Score]()}
	err := halve{}.Process(context.Background(), in, printer{})
	fmt.Println(stages.IsReject(err), err)
	// Output:
	// true halve.by: 0 is not positive
}
