package estimate

import (
	"bytes"
	"time"

	"itool/ops/config"
	"itool/stages/policy"
	"itool/stages/policy/kernel"
	"itool/stages/policy/model"
	"itool/stages/policy/train"
)

// promptTokens is what a tree's prompt may take, as in job.Request.Memory; most are shorter.
const promptTokens = 2048

// fourBits is the size in bytes of a linear map's weight in four bits, with its scales: 4.127 bits.
const fourBits = 4.127 / 8

// MemoryOf is the memory that a run with a model of a shape needs at the least: the weights, one tree, and one
// training. four: the linear maps are in four bits, as itool quantize writes them.
func MemoryOf(shape model.Config, four bool, cfg config.Config) (kernel.Need, error) {
	linear, all := 0, shape.Parameters()
	for _, s := range shape.Shapes() {
		linear += shape.NumLayers * s[0] * s[1]
	}
	wrapped := four || shape.Wraps(model.Auto)
	weights := int64(2 * all)
	switch {
	case four:
		weights = int64(2*(all-linear)) + int64(fourBits*float64(linear))
	case !wrapped:
		weights = int64(4 * all) // a small model is kept in float32
	}
	var training kernel.Need
	for _, of := range []train.Config{
		cfg.Warmup.Training(0, cfg.Warmup.Tokens), cfg.Update.Training(0, cfg.Update.Tokens),
	} {
		n, err := train.Need(shape, of, wrapped)
		if err != nil {
			return nil, err
		}
		if n.Sum() > training.Sum() {
			training = n
		}
	}
	need := append(kernel.Need{{For: "weights", Bytes: weights}},
		policy.Need(shape, min(promptTokens, shape.MaxPositions)+cfg.Expand.TokenBudget)...)
	return append(need, training...), nil
}

// MeasureShape is Measure for a model that is not here, only its shape: it times products with one matrix of a layer
// in bf16, and scales to all weights. A model's other work comes on top. It takes about a second.
func MeasureShape(dev kernel.Device, shape model.Config, now func() time.Time) (s Speed, err error) {
	defer kernel.Catch(&err)
	const matrixBytes = 64 << 20 // more than caches hold; a part of a larger matrix will do
	k := shape.HiddenSize
	n := min(shape.IntermediateSize, matrixBytes/2/k)
	row := make([]byte, 2*k)
	for i := range k { // small numbers of both signs
		row[2*i], row[2*i+1] = byte(i*31), 0x3c|byte(i&1)<<7
	}
	data := bytes.Repeat(row, n)
	w := dev.Wrap(&kernel.BF16{N: n, K: k, Data: data})
	share := float64(n) * float64(k) / float64(shape.Parameters())
	rate := func(rows int) float64 {
		x, y := dev.Floats(rows*k), dev.Floats(rows*n)
		dev.MatMul(y, x, w, rows, false) // the first touch of the weights is slow
		out := make([]float32, 1)
		const enough = 300 * time.Millisecond
		times, start := 0, now()
		for took := time.Duration(0); times < 3 || times < 1000 && took < enough; took = now().Sub(start) {
			dev.MatMul(y, x, w, rows, false)
			dev.Read(out, y) // a GPU has computed only then
			times++
		}
		return float64(rows*times) / max(now().Sub(start).Seconds(), 1e-6) * share
	}
	return Speed{Prompt: rate(probePrompt), Draw: rate(probeRows)}, nil
}
