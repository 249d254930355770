package cuda_test

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"

	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cuda"
)

// headTolerance: the gradient of a logit is rounded to bf16 in both, but to one of two neighbours.
const headTolerance = 1e-2

// head makes inputs and uploads them; a third of the rows has no target.
func (r *rig) head(t, v, k int, kind string) (h cuda.Head, x []float32, w kernel.Weight, targets []int32) {
	x, w, targets = r.normal(t*k, 1), r.weights(v, k)[kind], r.indexes(t, v)
	for i := range targets {
		if i%3 == 2 {
			targets[i] = -1
		}
	}
	weight, err := r.dev.Upload(w)
	r.must(err)
	return cuda.Head{X: r.in(x), W: weight, Targets: r.in(targets), T: t}, x, w, targets
}

func TestLogProbs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i, s := range [][3]int{{1, 1, 32}, {5, 33, 40}, {17, 100, 64}, {3, 8200, 32}, {2, 16400, 32}, {0, 9, 8}} {
		rows, v, k := s[0], s[1], s[2]
		kind := []string{"bf16", "int8", "nf4 of bfloat16", "nf4 of float32", "fp16", "bf16"}[i]
		h, x, w, targets := r.head(rows, v, k, kind)
		logp, lse, grad := r.alloc(4*rows), r.alloc(4*rows), r.alloc(4*rows*k)
		wantLogp, wantLSE, wantGrad := make([]float32, rows), make([]float32, rows), make([]float32, rows*k)
		raw := kernel.Widened(w)
		judge.LogProbsGrad(wantGrad, wantLogp, wantLSE, x, judge.Pack(raw, v, k), raw, targets, rows)
		r.must(r.dev.LogProbs(logp, lse, h))
		what := fmt.Sprint(s, kind)
		r.near("logp "+what, r.out(logp, rows), wantLogp, 2e-5)
		r.near("lse "+what, r.out(lse, rows), wantLSE, 2e-5)
		alone := r.out(logp, rows)
		r.must(r.dev.LogProbsGrad(grad, logp, lse, h))
		sameBits(t, "logp with a gradient", r.out(logp, rows), alone)
		r.near("grad "+what, r.out(grad, rows*k), wantGrad, headTolerance)
	}
}

func TestLogProbsBackward(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, s := range [][3]int{{1, 1, 32}, {7, 40, 33}, {20, 130, 64}, {2, 8210, 32}} {
		rows, v, k := s[0], s[1], s[2]
		h, x, w, targets := r.head(rows, v, k, "bf16")
		dlogp, dx, dw := r.normal(rows, 1), r.normal(rows*k, 1), r.normal(v*k, 1)
		logp, lse := make([]float32, rows), make([]float32, rows)
		raw := kernel.Widened(w)
		packed := judge.Pack(raw, v, k)
		judge.LogProbs(logp, lse, x, packed, targets, rows)
		adx, adw := r.in(dx), r.in(dw)
		r.must(r.dev.LogProbsBackward(adx, adw, r.in(dlogp), r.in(lse), h))
		judge.LogProbsBackward(dx, dw, dlogp, lse, x, packed, raw, targets, rows)
		r.near(fmt.Sprint("dx ", s), r.out(adx, len(dx)), dx, headTolerance)
		r.near(fmt.Sprint("dw ", s), r.out(adw, len(dw)), dw, headTolerance)
	}
	h, _, _, _ := r.head(1, 32, 32, "int8")
	if err := r.dev.LogProbsBackward(0, 0, 0, 0, h); err == nil {
		t.Error("a head in int8 was trained")
	}
}

// A row has the same bits alone as among more rows than one chunk has.
func TestHeadRows(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const rows, v, k = 1030, 40, 32
	h, x, _, targets := r.head(rows, v, k, "bf16")
	logp, lse := r.alloc(4*rows), r.alloc(4*rows)
	r.must(r.dev.LogProbs(logp, lse, h))
	want := r.out(logp, rows)
	for _, at := range []int{0, 7, 1023, 1024, 1029} {
		h.X, h.Targets, h.T = r.in(x[at*k:(at+1)*k]), r.in(targets[at:at+1]), 1
		r.must(r.dev.LogProbs(logp, lse, h))
		sameBits(t, fmt.Sprint("row ", at), r.out(logp, 1), want[at:at+1])
	}
}

// settings are all kinds of sampling.
var settings = []cuda.Setting{
	{}, {Temperature: 1}, {Temperature: 0.5}, {Temperature: 2, TopK: 3}, {Temperature: 1, TopK: 1},
	{Temperature: 1, TopP: 0.5}, {Temperature: 1.3, TopP: 0.9}, {Temperature: 1, TopP: 0.01},
	{Temperature: 1, MinP: 0.2}, {Temperature: 1, TopK: 20, TopP: 0.8, MinP: 0.05},
	{Temperature: 1, TopP: 1, TopK: 9999},
	{Temperature: 0.7, TopK: 2, TopP: 0.999},
}

// sampled runs Sample with a head that passes x through: W is the identity, so that logits are x in bf16.
func (r *rig) sampled(logits []float32, v int, set []cuda.Setting, u []float64) (ids []int32, logp []float32) {
	r.t.Helper()
	identity := &kernel.Dense{N: v, K: v, Data: make([]float32, v*v)}
	for i := range v {
		identity.Data[i*v+i] = 1
	}
	w, err := r.dev.Upload(identity)
	r.must(err)
	out := cuda.Sampled{IDs: r.alloc(4 * len(u)), LogP: r.alloc(4 * len(u))}
	r.must(r.dev.Sample(out, r.in(logits), w, r.in(set), r.in(u), len(u)))
	b := make([]byte, 4*len(u))
	r.must(r.driver.CopyOut(b, out.IDs))
	for i := range u {
		ids = append(ids, int32(binary.LittleEndian.Uint32(b[4*i:])))
	}
	return ids, r.out(out.LogP, len(u))
}

// TestSample compares with a twin that sorts. Logits are integers, so that many are equal.
func TestSample(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, v := range []int{1, 2, 33, 130} {
		var logits []float32
		var u []float64
		rows := make([][]float32, 0, len(settings))
		for i := range settings {
			row := make([]float32, v)
			for j := range row {
				row[j] = float32(r.rng.IntN(12) - 6)
			}
			rows, logits = append(rows, row), append(logits, row...)
			u = append(u, []float64{r.rng.Float64(), 0, 1 - 0x1p-53, 0.5}[i%4])
		}
		ids, logp := r.sampled(logits, v, settings, u)
		for i, set := range settings {
			checkSample(t, rows[i], set, u[i], int(ids[i]), float64(logp[i]))
		}
	}
}

// checkSample tests one drawn token against the rules of package sample.
func checkSample(t *testing.T, logits []float32, set cuda.Setting, u float64, id int, logp float64) {
	t.Helper()
	top, raw := float64(slices.Max(logits)), 0.0
	for _, l := range logits {
		raw += math.Exp(float64(l) - top)
	}
	if want := float64(logits[id]) - top - math.Log(raw); math.Abs(logp-want) > 1e-5 {
		t.Errorf("%+v of %d: log-probability %v of token %d, want %v", set, len(logits), logp, id, want)
	}
	if set.Temperature == 0 {
		if want := slices.Index(logits, slices.Max(logits)); id != want {
			t.Errorf("greedy: token %d, want %d", id, want)
		}
		return
	}
	kept := keep(logits, set)
	slices.Sort(kept)
	total, before, mine := 0.0, 0.0, 0.0
	for _, k := range kept {
		w := math.Exp((float64(logits[k]) - top) / float64(set.Temperature))
		switch {
		case k < id:
			before += w
		case k == id:
			mine = w
		}
		total += w
	}
	const slack = 1e-5
	if mine == 0 || u*total < before-slack*total || u*total > before+mine+slack*total {
		t.Errorf("%+v of %d, u %v: token %d has %v to %v of %v", set, len(logits), u, id, before, before+mine, total)
	}
}

// keep cuts as package sample does: top-k, then top-p of the rest, then min-p.
func keep(logits []float32, set cuda.Setting) (ids []int) {
	top := slices.Max(logits)
	weight := func(id int) float64 { return math.Exp(float64(logits[id]-top) / float64(set.Temperature)) }
	for id := range logits {
		ids = append(ids, id)
	}
	slices.SortStableFunc(ids, func(a, b int) int { return cmp.Compare(logits[b], logits[a]) })
	if set.TopK > 0 && int(set.TopK) < len(ids) {
		ids = ids[:set.TopK]
	}
	if set.TopP > 0 && set.TopP < 1 {
		sum, reached := 0.0, 0.0
		for _, id := range ids {
			sum += weight(id)
		}
		for i, id := range ids {
			if reached += weight(id); reached >= float64(set.TopP)*sum {
				ids = ids[:i+1]
				break
			}
		}
	}
	return slices.DeleteFunc(ids, func(id int) bool { return weight(id) < float64(set.MinP) })
}

// Logits that are not finite give the likeliest token, and a log-probability that is not finite.
func TestSampleBroken(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const v = 40
	logits := make([]float32, v)
	logits[7], logits[3] = 2, float32(math.NaN())
	_, logp := r.sampled(logits, v, []cuda.Setting{{Temperature: 1}}, []float64{0.5})
	if logp[0]-logp[0] == 0 {
		t.Errorf("log-probability %v of broken logits", logp[0])
	}
}

// The vocabulary of Qwen: 152 thousand tokens, drawn and scored.
func TestLargeVocabulary(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const v, k = 151936, 8
	w := &kernel.BF16{N: v, K: k, Data: make([]byte, 2*v*k)}
	for i := range v * k {
		binary.LittleEndian.PutUint16(w.Data[2*i:], kernel.ToBF16(float32(r.rng.NormFloat64())))
	}
	weight, err := r.dev.Upload(w)
	r.must(err)
	x, targets := r.normal(k, 2), []int32{151935}
	logp, lse := r.alloc(4), r.alloc(4)
	r.must(r.dev.LogProbs(logp, lse, cuda.Head{X: r.in(x), W: weight, Targets: r.in(targets), T: 1}))
	want, wantLSE := make([]float32, 1), make([]float32, 1)
	packed := judge.Wrap(w)
	judge.LogProbs(want, wantLSE, x, packed, targets, 1)
	r.near("logp", r.out(logp, 1), want, 2e-5)
	logits := make([]float32, v)
	judge.MatMul(logits, x, packed, 1, false)
	set := cuda.Setting{Temperature: 1, TopP: 0.5}
	out := cuda.Sampled{IDs: r.alloc(4), LogP: r.alloc(4)}
	r.must(r.dev.Sample(out, r.in(x), weight, r.in([]cuda.Setting{set}), r.in([]float64{0.3}), 1))
	id := int(math.Float32bits(r.out(out.IDs, 1)[0]))
	checkSample(t, logits, set, 0.3, id, float64(r.out(out.LogP, 1)[0]))
}
