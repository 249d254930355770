package op_test

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/ref"
	"itool/stages/policy/op"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

var small = op.Shape{T: 12, C: 8, H: 4, G: 2, D: 4, F: 10, V: 13, R: 2, Eps: 1e-5}

// bench is one operation under test: its graph, its inputs and its parameters.
type bench struct {
	t      *testing.T
	g      *G.ExprGraph
	c      *op.Context
	batch  op.Batch
	rows   op.Rows
	rand   *rand.Rand
	params map[string]*G.Node
}

func newBench(t *testing.T, keep int) *bench { return shaped(t, small, keep) }

func shaped(t *testing.T, small op.Shape, keep int) *bench {
	positions := 16
	cos, sin := make([]float32, positions*small.D/2), make([]float32, positions*small.D/2)
	for i := range cos {
		s, c := math.Sincos(0.3 * float64(i))
		cos[i], sin[i] = float32(c), float32(s)
	}
	b := &bench{
		t: t, g: G.NewGraph(), c: op.NewContext(small, ref.New(), kernel.Host(cos), kernel.Host(sin), keep),
		rand: rand.New(rand.NewPCG(1, 2)), params: map[string]*G.Node{},
	}
	b.c.Gradients = true
	var err error
	if b.batch, b.rows, err = op.NewBatch(b.g, b.c); err != nil {
		t.Fatal(err)
	}
	b.rows.Reset()
	b.rows.Add([]int32{1, 2}, []int32{3, 4, 2})
	b.rows.Add([]int32{5}, []int32{1, 12, 0})
	for i := b.rows.Len(); i < small.T; i++ { // what lies behind must not matter, nor even be valid
		b.rows.IDs[i], b.rows.Targets[i], b.rows.Positions[i] = 99, 99, -7
	}
	return b
}

func (b *bench) noise(n int, scale float64) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(b.rand.NormFloat64() * scale)
	}
	return v
}

// param adds a trained input.
func (b *bench) param(name string, scale float64, shape ...int) *G.Node {
	n := 1
	for _, d := range shape {
		n *= d
	}
	data := b.noise(n, scale)
	if len(shape) == 1 {
		for i := range data {
			data[i]++ // a norm's weight is around 1
		}
	}
	v := G.WithValue(op.NewArray(b.c.Device, kernel.Host(data), shape...))
	if len(shape) == 1 {
		b.params[name] = G.NewVector(b.g, tensor.Float32, G.WithName(name), G.WithShape(shape...), v)
	} else {
		b.params[name] = G.NewMatrix(b.g, tensor.Float32, G.WithName(name), G.WithShape(shape...), v)
	}
	return b.params[name]
}

// linear is a linear layer in one of three modes: "frozen", "lora" or "full".
func (b *bench) linear(name, mode string, n, k int) op.Linear {
	w := kernel.Host(b.noise(n*k, 0.4))
	l := op.Linear{N: n, K: k, W: w, M: b.c.Device.Pack(w, n, k)}
	switch mode {
	case "lora":
		l.A, l.B = b.param(name+".A", 0.5, small.R, k), b.param(name+".B", 0.5, n, small.R)
		l.Rank, l.Scale = small.R, 1.5
	case "full":
		l.Weight, l.W = b.param(name, 0.4, n, k), kernel.Floats{}
	}
	return l
}

func (b *bench) vector(name, mode string) op.Vector { return b.sized(name, mode, small.C) }

func (b *bench) sized(name, mode string, n int) op.Vector {
	if mode == "full" {
		return op.Vector{Node: b.param(name, 0.2, n)}
	}
	return op.Vector{W: kernel.Host(b.noise(n, 1))}
}

// dot is Σ coefficient · y over the rows that are in use: a scalar to differentiate.
func (b *bench) dot(y *G.Node) (*G.Node, func() float64) {
	var sum float64
	rows := b.rows.Len()
	per := y.Shape().TotalSize() / small.T
	coef := b.noise(small.T*per, 1)
	grad := op.NewArray(b.c.Device, kernel.Host(slices.Clone(coef)), y.Shape()...) // garbage behind the last row too
	cost, err := op.Apply(op.Fused{
		Name: "dot", Inputs: G.Nodes{y}, Out: G.NewF32(0),
		Forward: func(in []G.Value) error {
			sum = 0
			for i, v := range in[0].Data().([]float32)[:rows*per] {
				sum += float64(coef[i]) * float64(v)
			}
			return nil
		},
		Backward: func([]G.Value, G.Value) error { return nil },
		Grads:    []op.Grad{{Input: 0, Value: grad}},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return cost, func() float64 { return sum }
}

// check compares the gradient of every parameter with central differences, in the direction of the
// gradient's sign and in random directions.
func (b *bench) check(y *G.Node) {
	b.t.Helper()
	cost, sum := b.dot(y)
	var nodes G.Nodes
	for _, p := range b.params {
		nodes = append(nodes, p)
	}
	derivs := must[G.Nodes](b.t)(G.Grad(cost, nodes...))
	if err := op.Distinct(b.g); err != nil {
		b.t.Fatal(err)
	}
	m := must[*op.Program](b.t)(op.Compile(append(derivs, cost)...))
	run := func() float64 {
		if err := m.Run(); err != nil {
			b.t.Fatal(err)
		}
		return sum()
	}
	run()
	grads := map[string][]float32{}
	for name, p := range b.params {
		grads[name] = slices.Clone(op.Value(p.Deriv()).Data().([]float32))
	}
	for name, p := range b.params {
		data, g := p.Value().Data().([]float32), grads[name]
		old := slices.Clone(data)
		for try := range 3 {
			const h = 1.0 / 512
			var want, size float64
			dir := make([]float32, len(data))
			for i := range dir {
				dir[i] = float32(1 - 2*b.rand.IntN(2))
				if try == 0 && g[i] != 0 {
					dir[i] = float32(math.Copysign(1, float64(g[i])))
				}
				want += float64(dir[i]) * float64(g[i])
				size += math.Abs(float64(g[i]))
			}
			at := func(step float32) float64 {
				for i := range data {
					data[i] = old[i] + step*dir[i]
				}
				defer copy(data, old)
				return run()
			}
			got := (at(h) - at(-h)) / (2 * h)
			if size == 0 || math.Abs(got-want) > 3e-3*size {
				b.t.Errorf("%s, direction %d: gradient gives %.6f, finite differences %.6f (size %.3f)",
					name, try, want, got, size)
			}
		}
	}
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestGradients(t *testing.T) {
	s := small
	attention := func(b *bench, name, mode string, layer int, x *G.Node) *G.Node {
		return must[*G.Node](b.t)(op.Attention(name, b.c, layer, b.batch, x, op.AttentionParams{
			Norm: b.vector(name+".norm", mode), Q: b.linear(name+".q", mode, s.H*s.D, s.C),
			K: b.linear(name+".k", mode, s.G*s.D, s.C),
			V: b.linear(name+".v", mode, s.G*s.D, s.C), O: b.linear(name+".o", mode, s.C, s.H*s.D)}))
	}
	swiglu := func(b *bench, name, mode string, layer int, x *G.Node) *G.Node {
		return must[*G.Node](b.t)(op.SwiGLU(name, b.c, layer, b.batch, x, op.SwiGLUParams{
			Norm: b.vector(name+".norm", mode), Gate: b.linear(name+".gate", mode, s.F, s.C),
			Up:   b.linear(name+".up", mode, s.F, s.C),
			Down: b.linear(name+".down", mode, s.C, s.F)}))
	}
	// What Qwen adds: biases, and norms of the heads.
	qwen := func(b *bench, name, mode string, layer int, x *G.Node) *G.Node {
		p := op.AttentionParams{
			Norm: b.vector(name+".norm", mode), Q: b.linear(name+".q", mode, s.H*s.D, s.C),
			K: b.linear(name+".k", mode, s.G*s.D, s.C),
			V: b.linear(name+".v", mode, s.G*s.D, s.C), O: b.linear(name+".o", mode, s.C, s.H*s.D),
			QNorm: b.sized(name+".qnorm", mode, s.D), KNorm: b.sized(name+".knorm", mode, s.D),
		}
		p.Q.Bias, p.K.Bias, p.V.Bias = b.sized(name+".q.bias", mode, p.Q.N), b.sized(name+".k.bias", mode, p.K.N),
			b.sized(name+".v.bias", mode, p.V.N)
		return must[*G.Node](b.t)(op.Attention(name, b.c, layer, b.batch, x, p))
	}
	// What SmolLM3 and Granite add: layers that do not rotate, and factors.
	scaled := func(b *bench, name, mode string, layer int, x *G.Node) *G.Node {
		return must[*G.Node](b.t)(op.Attention(name, b.c, layer, b.batch, x, op.AttentionParams{
			Norm: b.vector(name+".norm", mode), Q: b.linear(name+".q", mode, s.H*s.D, s.C),
			K: b.linear(name+".k", mode, s.G*s.D, s.C), V: b.linear(name+".v", mode, s.G*s.D, s.C),
			O: b.linear(name+".o", mode, s.C, s.H*s.D), NoRope: layer == 1}))
	}
	granite := small
	granite.Scales = op.Scales{Embed: 1.5, Query: 0.6, Head: 0.7}
	for _, mode := range []string{"frozen", "lora", "full"} {
		t.Run("scaled/"+mode, func(t *testing.T) { // two layers share one memory
			b := shaped(t, granite, 1)
			b.check(scaled(b, "a1", mode, 1, scaled(b, "a0", mode, 0, b.param("x", 1, s.T, s.C))))
		})
		t.Run("qwen/"+mode, func(t *testing.T) { // two layers share one memory
			shape := small
			shape.HeadNorm = true
			b := shaped(t, shape, 1)
			b.check(qwen(b, "a1", mode, 1, qwen(b, "a0", mode, 0, b.param("x", 1, s.T, s.C))))
		})
		t.Run("attention/"+mode, func(t *testing.T) {
			b := newBench(t, 1)
			b.check(attention(b, "a", mode, 0, b.param("x", 1, s.T, s.C)))
		})
		t.Run("swiglu/"+mode, func(t *testing.T) {
			b := newBench(t, 1)
			b.check(swiglu(b, "m", mode, 0, b.param("x", 1, s.T, s.C)))
		})
		t.Run("recomputed/"+mode, func(t *testing.T) { // two layers share one memory
			b := newBench(t, 1)
			x := attention(b, "a0", mode, 0, b.param("x", 1, s.T, s.C))
			x = swiglu(b, "m0", mode, 0, x)
			b.check(swiglu(b, "m1", mode, 1, attention(b, "a1", mode, 1, x)))
		})
		for name, shape := range map[string]op.Shape{"head/": small, "scaled head/": granite} {
			t.Run(name+mode, func(t *testing.T) {
				b := shaped(t, shape, 1)
				w := kernel.Host(b.noise(s.V*s.C, 0.5))
				p := op.HeadParams{Norm: b.vector("norm", mode), W: w, M: b.c.Device.Pack(w, s.V, s.C)}
				if mode == "full" {
					p.Weight = b.param("w", 0.5, s.V, s.C)
				}
				b.check(must[*G.Node](t)(op.Head("head", b.c, b.batch, b.param("x", 1, s.T, s.C), p)))
			})
		}
	}
	tied := func(t *testing.T, shape op.Shape) {
		b := shaped(t, shape, 1)
		table := b.param("table", 1, s.V, s.C)
		x, grad, err := op.Embed("embed", b.c, b.batch, op.Table{Node: table})
		if err != nil {
			t.Fatal(err)
		}
		x = swiglu(b, "m", "frozen", 0, x)
		b.check(must[*G.Node](t)(op.Head("head", b.c, b.batch, x, op.HeadParams{
			Norm: b.vector("norm", "frozen"), M: b.c.Device.Pack(b.c.Device.Floats(s.V*s.C), s.V, s.C), Weight: table,
			TiedGrad: grad})))
	}
	t.Run("embed, tied head", func(t *testing.T) { tied(t, small) })
	t.Run("scaled embed, tied head", func(t *testing.T) { tied(t, granite) })
}

// TestRecomputeSameBits: layers that compute their activations again get the same bits as layers that keep
// them.
func TestRecomputeSameBits(t *testing.T) {
	gradient := func(keep int) []float32 {
		b := newBench(t, keep)
		x := b.param("x", 1, small.T, small.C)
		y := x
		for i, name := range []string{"a0", "a1", "a2"} {
			y = must[*G.Node](t)(op.Attention(name, b.c, i, b.batch, y, op.AttentionParams{
				Norm: b.vector("", "frozen"), Q: b.linear(name+"q", "lora", 16, 8), K: b.linear(name+"k", "lora", 8, 8),
				V: b.linear(name+"v", "lora", 8, 8), O: b.linear(name+"o", "lora", 8, 16)}))
		}
		cost, _ := b.dot(y)
		derivs := must[G.Nodes](t)(G.Grad(cost, x))
		if err := must[*op.Program](t)(op.Compile(derivs...)).Run(); err != nil {
			t.Fatal(err)
		}
		return op.Value(derivs[0]).Data().([]float32)[:b.rows.Len()*small.C]
	}
	if one, three := gradient(1), gradient(3); !slices.Equal(one, three) {
		t.Errorf("one memory gives %v, three %v", one[:4], three[:4])
	}
}

// A frozen head computes its gradient in the forward pass, and only if Context.Gradients is set.
func TestHeadWithoutGradients(t *testing.T) {
	b := newBench(t, 1)
	b.c.Gradients = false
	w, x := kernel.Host(b.noise(small.V*small.C, 0.5)), b.param("x", 1, small.T, small.C)
	cost, _ := b.dot(must[*G.Node](t)(op.Head("head", b.c, b.batch, x,
		op.HeadParams{Norm: b.vector("", "frozen"), W: w, M: b.c.Device.Pack(w, small.V, small.C)})))
	derivs := must[G.Nodes](t)(G.Grad(cost, x))
	if err := must[*op.Program](t)(op.Compile(cost)).Run(); err != nil {
		t.Error(err)
	}
	err := must[*op.Program](t)(op.Compile(derivs...)).Run()
	if err == nil || !strings.Contains(err.Error(), "without Context.Gradients") {
		t.Errorf("got %v", err)
	}
}

// The last layer computes only the rows from a segment's first target on. The gradients are the same.
func TestLastLayer(t *testing.T) {
	for _, mode := range []string{"frozen", "lora", "full"} {
		for _, kind := range []string{"llama", "norm", "scaled"} {
			norm, scaled := kind == "norm", kind == "scaled"
			run := func(last bool) (logps []float32, grads map[string][]float32) {
				shape := small
				shape.HeadNorm = norm
				if scaled {
					shape.Scales = op.Scales{Query: 0.6, Head: 0.7}
				}
				b := shaped(t, shape, 1)
				b.rows.Reset() // a long prompt, a pair, and nothing to learn
				b.rows.Add([]int32{1, 2, 3, 4}, []int32{5})
				b.rows.AddPair([]int32{6, 7}, []int32{8}, []int32{9})
				b.rows.Add([]int32{10, 11}, nil)
				p := op.AttentionParams{
					Norm: b.vector("anorm", mode), Q: b.linear("q", mode, 16, 8), K: b.linear("k", mode, 8, 8),
					V: b.linear("v", mode, 8, 8), O: b.linear("o", mode, 8, 16), NoRope: scaled,
					Last: last,
				}
				if norm {
					p.QNorm, p.KNorm = b.sized("qn", mode, 4), b.sized("kn", mode, 4)
				}
				x := must[*G.Node](t)(op.Attention("a", b.c, 0, b.batch, b.param("x", 1, small.T, small.C), p))
				x = must[*G.Node](t)(op.SwiGLU("m", b.c, 0, b.batch, x, op.SwiGLUParams{
					Norm: b.vector("mnorm", mode), Gate: b.linear("gate", mode, 10, 8), Up: b.linear("up", mode, 10, 8),
					Down: b.linear("down", mode, 8, 10), Last: last,
				}))
				w := kernel.Host(b.noise(small.V*small.C, 0.5))
				logp := must[*G.Node](t)(op.Head("head", b.c, b.batch, x,
					op.HeadParams{Norm: b.vector("hnorm", "frozen"), W: w, M: b.c.Device.Pack(w, small.V, small.C)}))
				cost, _ := b.dot(logp)
				var names []string
				var nodes G.Nodes
				for _, name := range slices.Sorted(maps.Keys(b.params)) {
					names, nodes = append(names, name), append(nodes, b.params[name])
				}
				derivs := must[G.Nodes](t)(G.Grad(cost, nodes...))
				program := must[*op.Program](t)(op.Compile(append(G.Nodes{cost}, derivs...)...))
				for range 2 { // what a run leaves must not matter to the next
					for _, d := range derivs[:len(derivs)-1] { // all but x add up
						clear(op.Value(d).Data().([]float32))
					}
					if err := program.Run(); err != nil {
						t.Fatal(err)
					}
				}
				grads = map[string][]float32{}
				for i, name := range names {
					grads[name] = op.Value(derivs[i]).Data().([]float32)
				}
				grads["x"] = grads["x"][:b.rows.Len()*small.C]
				return op.Value(logp).Data().([]float32)[:b.rows.Len()], grads
			}
			want, wantGrads := run(false)
			got, grads := run(true)
			if !slices.Equal(got, want) {
				t.Errorf("%s, %s: log-probabilities %v, want %v", mode, kind, got, want)
			}
			for name, w := range wantGrads {
				for i := range w {
					if math.Abs(float64(grads[name][i]-w[i])) > 1e-5*(1+math.Abs(float64(w[i]))) {
						t.Errorf("%s, %s: gradient %s[%d] is %v, want %v",
							mode, kind, name, i, grads[name][i], w[i])
						break
					}
				}
			}
		}
	}
}
