package op_test

import (
	"fmt"
	"math"

	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/ref"
	"itool/stages/policy/op"

	G "gorgonia.org/gorgonia"
)

// The smallest graph: an embedding of four words, and a head on it without a layer between them. Each row
// of the batch before an answer's token gets that token's log-probability.
func Example() {
	shape := op.Shape{T: 6, C: 2, H: 1, G: 1, D: 2, F: 2, V: 4, Eps: 1e-6}
	angles := kernel.Host(make([]float32, 8*shape.D/2)) // not used: there is no attention
	ctx := op.NewContext(shape, ref.New(), angles, angles, 1)
	g := G.NewGraph()
	batch, rows, err := op.NewBatch(g, ctx)
	if err != nil {
		fmt.Println(err)
		return
	}

	embedding := kernel.Host([]float32{1, 1, 1, -1, -1, 1, -1, -1}) // (V, C)
	x, _, err := op.Embed("embed", ctx, batch, op.Table{W: embedding})
	if err != nil {
		fmt.Println(err)
		return
	}
	logp, err := op.Head("head", ctx, batch, x, op.HeadParams{
		Norm: op.Vector{W: kernel.Host([]float32{1, 1})}, W: embedding, M: ctx.Device.Pack(embedding, shape.V, shape.C),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	program, err := op.Compile(logp)
	if err != nil {
		fmt.Println(err)
		return
	}
	rows.Reset()
	rows.Add([]int32{0}, []int32{0, 3}) // prompt 0, answer 0 3: rows 0 and 1 have a target, row 2 has none
	if err := program.Run(); err != nil {
		fmt.Println(err)
		return
	}
	for i, v := range op.Numbers(op.Value(logp))[:rows.Len()] {
		fmt.Printf("row %d, target %2d: probability %.3f\n", i, rows.Targets[i], math.Exp(float64(v)))
	}
	// Output:
	// row 0, target  0: probability 0.776
	// row 1, target  3: probability 0.014
	// row 2, target -1: probability 1.000
}
