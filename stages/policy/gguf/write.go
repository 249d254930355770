package gguf

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"itool/stages/policy"
	"itool/stages/policy/kernel"
	"itool/stages/policy/model"
	"itool/stages/policy/model/safetensors"
	"itool/stages/policy/tokenizer"
)

// Options are the choices for a file.
type Options struct {
	Name        string // general.name; may be empty
	NoTokenizer bool   // only the weights, for programs that pass token IDs
	Int8        bool   // matrices in eight bits (Q8_0) if their rows are whole blocks of 32
	// Dtype is the type of matrices: BF16, F16 or F32; empty: that of the checkpoint. Those that Int8 rounds
	// are in eight bits all the same.
	Dtype safetensors.Dtype
}

// ErrTokenizer says that llama.cpp has no rule to cut texts as the policy's tokenizer does.
var ErrTokenizer = errors.New("llama.cpp has a rule to cut texts for the tokenizers of Llama 3, Qwen 2 to 3.5, " +
	"GPT-2, GPT-4o, SmolLM, StarCoder, Tekken, DeepSeek V3 and Coder, DBRX, Viking and Seed Coder: " +
	"with this one the same text would get other tokens there")

// source is a matrix (N, K), or a vector (K) with N = 0, to write.
type source struct {
	name string
	n, k int
	kind Type
	rows func(dst []float32, from, to int) // dst (to−from, K)
}

// size is the tensor's size in bytes.
func (t *source) size() uint64 {
	l := layouts[t.kind]
	return uint64(max(t.n, 1)) * uint64(t.k) / uint64(l.values) * uint64(l.bytes)
}

// Write writes the policy with its adapter merged into the base. Matrices have the checkpoint's type,
// bf16, fp16 or float32, unless Options say otherwise. A model that llama.cpp would compute differently is an
// error; a tokenizer whose texts it cuts nearly as the model does is none: see Departs.
func Write(w io.Writer, p *policy.Policy, o Options) error {
	m := p.Model().Merged()
	if o.Dtype != "" {
		m.DType = model.TypeName(o.Dtype)
	}
	if err := expressible(&m.Config); err != nil {
		return fmt.Errorf("gguf: %w", err)
	}
	e := &encoder{w: bufio.NewWriterSize(w, 1<<16)}
	meta := keys(m, o)
	if o.NoTokenizer {
		meta.str("tokenizer.ggml.model", "none")
	} else if err := meta.tokenizer(p); err != nil {
		return fmt.Errorf("gguf: %w", err)
	}
	tensors := tensors(m, o)
	e.bytes([]byte("GGUF"))
	e.u32(3)
	e.u64(uint64(len(tensors)))
	e.u64(uint64(meta.n))
	e.bytes(meta.text)
	var at uint64
	for _, t := range tensors {
		e.str(t.name)
		if t.n == 0 {
			e.u32(1)
			e.u64(uint64(t.k))
		} else {
			e.u32(2)
			e.u64(uint64(t.k)) // the innermost dimension comes first
			e.u64(uint64(t.n))
		}
		e.u32(uint32(t.kind))
		e.u64(at)
		at += padded(t.size())
	}
	e.pad()
	for _, t := range tensors {
		e.tensor(&t)
		e.pad()
	}
	if e.err == nil {
		e.err = e.w.Flush()
	}
	if e.err != nil {
		return fmt.Errorf("gguf: %w", e.err)
	}
	return nil
}

func padded(n uint64) uint64 { return (n + alignment - 1) / alignment * alignment }

// keys is the metadata of the model, with the names of llama.cpp.
func keys(m *model.Model, o Options) *metadata {
	arch := architecture(m.Family)
	d := &metadata{}
	d.str("general.architecture", arch)
	d.str("general.type", "model")
	if o.Name != "" {
		d.str("general.name", o.Name)
	}
	fileType := uint32(0) // all float32
	switch {
	case o.Int8:
		fileType = 7 // mostly Q8_0
	case m.DType == "bfloat16":
		fileType = 32 // mostly bf16
	case m.DType == "float16":
		fileType = 1 // mostly fp16
	}
	d.u32("general.file_type", fileType)
	d.u32("general.alignment", alignment)
	for _, f := range []struct {
		key string
		v   int
	}{
		{"block_count", m.NumLayers}, {"context_length", m.MaxPositions}, {"embedding_length", m.HiddenSize},
		{"feed_forward_length", m.IntermediateSize},
		{"attention.head_count", m.NumHeads}, {"attention.head_count_kv", m.NumKVHeads},
		{"attention.key_length", m.HeadDim}, {"attention.value_length", m.HeadDim},
		{"rope.dimension_count", m.HeadDim}, {"vocab_size", m.VocabSize},
	} {
		d.u32(arch+"."+f.key, uint32(f.v))
	}
	d.f32(arch+".rope.freq_base", float32(m.RopeTheta))
	d.f32(arch+".attention.layer_norm_rms_epsilon", float32(m.RMSNormEps))
	if s := m.Multipliers; s != nil {
		for _, k := range multipliers(s) {
			d.f32(arch+"."+k.name, float32(*k.value))
		}
	}
	return d
}

// tokenizer adds vocabulary, merges and template.
func (d *metadata) tokenizer(p *policy.Policy) error {
	parts := p.Tokenizer()
	rule, err := known(parts)
	if err != nil {
		return err
	}
	size := p.VocabSize()
	tokens, kinds := make([]string, size), make([]int32, size)
	for id := range tokens {
		kind := tokenizer.None
		if id < len(parts.Kinds) {
			tokens[id], kind = parts.Tokens[id], parts.Kinds[id]
		}
		switch kind {
		case tokenizer.Word:
			kinds[id] = kindNormal
		case tokenizer.Control:
			kinds[id] = kindControl
		case tokenizer.Added:
			kinds[id] = kindAdded
		default: // a row of the embedding without a token
			tokens[id], kinds[id] = fmt.Sprintf("[PAD%d]", id), kindUnused
		}
	}
	d.str("tokenizer.ggml.model", "gpt2")
	d.str("tokenizer.ggml.pre", rule.names[0])
	d.strs("tokenizer.ggml.tokens", tokens)
	d.i32s("tokenizer.ggml.token_type", kinds)
	d.strs("tokenizer.ggml.merges", parts.Merges)
	if bos := p.BOS(); bos >= 0 {
		d.u32("tokenizer.ggml.bos_token_id", uint32(bos))
	}
	d.u32("tokenizer.ggml.eos_token_id", uint32(last(p.EndOfTurn())))
	d.bool("tokenizer.ggml.add_bos_token", slices.Equal(p.Raw(""), []int32{p.BOS()}))
	d.str("tokenizer.chat_template", p.Template())
	return nil
}

func last(ids []int32) int32 { return ids[len(ids)-1] }

// moduleNames are the names of the linear maps in llama.cpp, in the order of model.Module.
var moduleNames = [model.Modules]string{"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"}

// tensors lists the weights of a model without an adapter.
func tensors(m *model.Model, o Options) []source {
	c := m.HiddenSize
	matrix := func(name string, w kernel.Weight) source {
		n, k := w.Shape()
		t := source{name: name, n: n, k: k, kind: F32, rows: w.Rows}
		switch {
		case o.Int8 && k%kernel.Int8Block == 0:
			t.kind = Q8_0
		case m.DType == "bfloat16":
			t.kind = BF16
		case m.DType == "float16":
			t.kind = F16
		}
		return t
	}
	all := []source{matrix("token_embd.weight", m.EmbedWeight()), vector("output_norm.weight", m.Norm)}
	if !m.TieEmbeddings {
		all = append(all, matrix("output.weight", m.HeadWeight()))
	}
	if s := m.RopeScaling; s != nil {
		all = append(all, vector("rope_freqs.weight", m.RopeFactors()))
	}
	for i := range m.Layers {
		l, at := &m.Layers[i], fmt.Sprintf("blk.%d.", i)
		all = append(all, vector(at+"attn_norm.weight", l.InputNorm[:c]), vector(at+"ffn_norm.weight", l.PostNorm[:c]))
		if l.QNorm != nil {
			all = append(all, vector(at+"attn_q_norm.weight", l.QNorm), vector(at+"attn_k_norm.weight", l.KNorm))
		}
		for j, lin := range l.Linears() {
			w, bias := matrix(at+moduleNames[j]+".weight", lin.Weight()), lin.Bias
			heads := map[model.Module]int{model.Q: m.NumHeads, model.K: m.NumKVHeads}[model.Module(j)]
			if heads > 0 && rotatesNeighbours(m.Family) {
				w.rows = interleaved(w.rows, heads, m.HeadDim, w.k)
			}
			all = append(all, w)
			if bias != nil {
				all = append(all, vector(at+moduleNames[j]+".bias", bias))
			}
		}
	}
	return all
}

func vector(name string, v []float32) source {
	return source{name: name, k: len(v), kind: F32, rows: func(dst []float32, _, _ int) { copy(dst, v) }}
}

// interleaved reorders the rows of each head for llama.cpp, where it rotates neighbouring rows; Hugging Face
// rotates row i with row i + D/2.
func interleaved(rows func([]float32, int, int), heads, d, k int) func([]float32, int, int) {
	return func(dst []float32, from, to int) {
		for r := from; r < to; r++ {
			h, i := r/d, r%d
			at := h*d + i%2*(d/2) + i/2
			rows(dst[(r-from)*k:(r-from+1)*k], at, at+1)
		}
	}
}

// metadata collects key-value pairs.
type metadata struct {
	n    int
	text []byte
}

func (d *metadata) key(name string, kind uint32) {
	d.n++
	d.text = appendString(d.text, name)
	d.text = binary.LittleEndian.AppendUint32(d.text, kind)
}

func (d *metadata) u32(name string, v uint32) {
	d.key(name, typeUint32)
	d.text = binary.LittleEndian.AppendUint32(d.text, v)
}

func (d *metadata) f32(name string, v float32) {
	d.key(name, typeFloat32)
	d.text = binary.LittleEndian.AppendUint32(d.text, math.Float32bits(v))
}

func (d *metadata) bool(name string, v bool) {
	d.key(name, typeBool)
	b := byte(0)
	if v {
		b = 1
	}
	d.text = append(d.text, b)
}

func (d *metadata) str(name, v string) {
	d.key(name, typeString)
	d.text = appendString(d.text, v)
}

func (d *metadata) array(name string, kind uint32, n int) {
	d.key(name, typeArray)
	d.text = binary.LittleEndian.AppendUint32(d.text, kind)
	d.text = binary.LittleEndian.AppendUint64(d.text, uint64(n))
}

func (d *metadata) strs(name string, v []string) {
	d.array(name, typeString, len(v))
	for _, s := range v {
		d.text = appendString(d.text, s)
	}
}

func (d *metadata) i32s(name string, v []int32) {
	d.array(name, typeInt32, len(v))
	for _, x := range v {
		d.text = binary.LittleEndian.AppendUint32(d.text, uint32(x))
	}
}

func appendString(b []byte, s string) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(len(s)))
	return append(b, s...)
}

// encoder writes, counts the bytes and remembers the first error.
type encoder struct {
	w    *bufio.Writer
	at   uint64
	err  error
	rows []float32
	out  []byte
}

func (e *encoder) bytes(b []byte) {
	if e.err == nil {
		_, e.err = e.w.Write(b)
	}
	e.at += uint64(len(b))
}

func (e *encoder) u32(v uint32) { e.bytes(binary.LittleEndian.AppendUint32(nil, v)) }
func (e *encoder) u64(v uint64) { e.bytes(binary.LittleEndian.AppendUint64(nil, v)) }
func (e *encoder) str(s string) { e.bytes(appendString(nil, s)) }
func (e *encoder) pad()         { e.bytes(make([]byte, padded(e.at)-e.at)) }

// tensor writes a tensor, some rows at a time.
func (e *encoder) tensor(t *source) {
	const some = 64
	for from := 0; from < max(t.n, 1) && e.err == nil; from += some {
		to := min(max(t.n, 1), from+some)
		n := (to - from) * t.k
		e.rows = slices.Grow(e.rows[:0], n)[:n]
		t.rows(e.rows, from, to)
		e.out = e.out[:0]
		switch t.kind {
		case Q8_0:
			e.int8(t, from, to)
		case BF16:
			for _, v := range e.rows {
				e.out = binary.LittleEndian.AppendUint16(e.out, kernel.ToBF16(v))
			}
		case F16:
			e.halves(t, from)
		default:
			for _, v := range e.rows {
				e.out = binary.LittleEndian.AppendUint32(e.out, math.Float32bits(v))
			}
		}
		e.bytes(e.out)
	}
}

// halves rounds the rows, of which the first is row from of the tensor, to IEEE halves.
func (e *encoder) halves(t *source, from int) {
	for i, v := range e.rows {
		h := kernel.ToHalf(v)
		if h&0x7c00 == 0x7c00 && e.err == nil {
			e.err = fmt.Errorf("tensor %s, row %d, value %d is %v, %w", t.name, from+i/t.k, i%t.k, v,
				safetensors.ErrTooLarge)
		}
		e.out = binary.LittleEndian.AppendUint16(e.out, h)
	}
}

// int8 writes rows as blocks: a scale and 32 codes.
func (e *encoder) int8(t *source, from, to int) {
	w, err := kernel.ToInt8(&kernel.Dense{N: to - from, K: t.k, Data: e.rows})
	if err != nil {
		if e.err == nil {
			e.err = fmt.Errorf("tensor %s, rows %d to %d: %w", t.name, from, to-1, err)
		}
		return
	}
	var codes [kernel.Int8Block]int8
	for r := range to - from {
		for b := range t.k / kernel.Int8Block {
			e.out = binary.LittleEndian.AppendUint16(e.out, w.Block(&codes, r, b))
			for _, c := range codes {
				e.out = append(e.out, byte(c))
			}
		}
	}
}
