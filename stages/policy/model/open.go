package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"itool/stages/policy/kernel"
	"itool/stages/policy/model/nf4"
	"itool/stages/policy/model/safetensors"
)

// Form is how the matrices of a checkpoint are in memory. Matrices that the file has in four bits
// stay in four bits, except with Float32.
type Form string

// The forms.
const (
	Auto    Form = ""        // Float32 if the matrices take at most 1 GiB in it, else Mapped
	Float32 Form = "float32" // as rows and packed: eight bytes per weight, the fastest for small models
	Mapped  Form = "stored"  // wrapped, in the file's type; a large local file is mapped, not read
	Int8    Form = "int8"    // wrapped, rounded to eight bits by kernel.ToInt8: about half the memory of bf16
)

// float32Bytes is the most that Auto spends on matrices in float32.
const float32Bytes = 1 << 30

// Open reads a checkpoint: config.json with model.safetensors or its shards, and, if the folder has
// them, adapter_config.json with adapter_model.safetensors. Errors name the file, and the tensor or
// field.
func Open(fsys fs.FS, dev kernel.Device) (*Model, error) { return OpenAs(fsys, dev, Auto) }

// OpenAs is Open with a choice of form.
func OpenAs(fsys fs.FS, dev kernel.Device, form Form) (*Model, error) {
	return OpenBeside(fsys, dev, form, func(Config) kernel.Need { return nil })
}

// OpenBeside is OpenAs for a caller who needs more memory of the device than that of the weights: if both together do
// not fit, nothing is put on the device, and the error has the sum.
func OpenBeside(fsys fs.FS, dev kernel.Device, form Form, more func(Config) kernel.Need) (*Model, error) {
	m, err := load(fsys, dev, form)
	if err == nil {
		err = append(m.need(), more(m.Config)...).Fits(dev)
	}
	if err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	m.finish()
	return m, nil
}

// load reads a model into the memory of the host.
func load(fsys fs.FS, dev kernel.Device, form Form) (*Model, error) {
	cfg, err := ReadConfig(fsys)
	if err != nil {
		return nil, err
	}
	files, err := openWeights(fsys)
	if err != nil {
		return nil, err
	}
	m := &Model{Config: cfg, Device: dev, Layers: make([]Layer, cfg.NumLayers)}
	if err := m.read(files, form); err != nil {
		return nil, err
	}
	if _, err := fs.Stat(fsys, adapterConfigName); err == nil {
		if m.Adapter, err = m.readAdapter(fsys); err != nil {
			return nil, err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	m.tie()
	return m, nil
}

// readAdapter reads an adapter that was trained on this base.
func (m *Model) readAdapter(fsys fs.FS) (*Adapter, error) {
	a, err := ReadAdapter(fsys, m.Config)
	if err != nil {
		return nil, err
	}
	if base := m.BaseDigest(); a.Base != "" && a.Base != base {
		return nil, fmt.Errorf("%s: the adapter belongs to another base: it was trained on %.12s, this one is "+
			"%.12s (%s in the file's metadata; a base and its quantization differ): use it with its own base",
			adapterWeightsName, a.Base, base, baseKey)
	}
	return a, nil
}

// WithAdapterOf is WithAdapter with the adapter of a folder: adapter_config.json and adapter_model.safetensors.
func (m *Model) WithAdapterOf(fsys fs.FS) (*Model, error) {
	a, err := m.readAdapter(fsys)
	if err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	return m.WithAdapter(a)
}

// weights maps a tensor's name to its file.
type weights map[string]*safetensors.File

const (
	weightsName = "model.safetensors"
	indexName   = "model.safetensors.index.json"
)

// WeightFiles are the names of the files from which Open reads a folder's weights: the single file, or
// the index and the shards that it names. fs.ErrNotExist: there is neither; shards may be missing.
func WeightFiles(fsys fs.FS) ([]string, error) {
	if _, err := fs.Stat(fsys, weightsName); !errors.Is(err, fs.ErrNotExist) {
		return []string{weightsName}, err
	}
	index, err := readIndex(fsys)
	if err != nil {
		return nil, err
	}
	shards := map[string]bool{}
	for _, name := range index {
		shards[name] = true
	}
	return append([]string{indexName}, slices.Sorted(maps.Keys(shards))...), nil
}

// readIndex returns the shard of each tensor.
func readIndex(fsys fs.FS) (map[string]string, error) {
	text, err := fs.ReadFile(fsys, indexName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("neither %s nor %s exists: %w", weightsName, indexName, fs.ErrNotExist)
	} else if err != nil {
		return nil, err
	}
	var index struct {
		Map map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(text, &index); err != nil {
		return nil, fmt.Errorf("%s: %w", indexName, err)
	}
	for tensor, name := range index.Map {
		if name != path.Base(name) || !fs.ValidPath(name) || name == "." {
			return nil, fmt.Errorf("%s: tensor %q: %q is not a file name", indexName, tensor, name)
		}
	}
	return index.Map, nil
}

// openWeights reads the single file, or else the shards that the index names.
func openWeights(fsys fs.FS) (weights, error) {
	w := weights{}
	f, err := safetensors.Read(fsys, weightsName)
	if err == nil {
		for _, name := range f.Names() {
			w[name] = f
		}
		return w, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	index, err := readIndex(fsys)
	if err != nil {
		return nil, err
	}
	shards := map[string]*safetensors.File{}
	for tensor, name := range index {
		if shards[name] == nil {
			if shards[name], err = safetensors.Read(fsys, name); err != nil {
				return nil, err
			}
		}
		if _, ok := shards[name].Shape(tensor); !ok {
			return nil, fmt.Errorf("%s: tensor %q is missing, although %s lists it", name, tensor, indexName)
		}
		w[tensor] = shards[name]
	}
	for _, name := range slices.Sorted(maps.Keys(shards)) {
		for _, tensor := range shards[name].Names() {
			if index[tensor] != name {
				return nil, fmt.Errorf("%s: tensor %q is not in %s, or in another file there, and would be ignored: "+
					"take the index that came with the weights", name, tensor, indexName)
			}
		}
	}
	return w, nil
}

// read fills the model. A tensor that it would not use is an error: without it, a bias or q_norm that
// is left out would give another model without any error.
func (m *Model) read(files weights, form Form) error {
	wraps := m.Wraps(form)
	quantized := nf4.Files(func(name string) *safetensors.File { return files[name] })
	known := map[string]bool{}
	sum, fourBits := newBaseSum(), false
	for _, t := range m.tensors() {
		known[t.name] = true
		f, ok := files[t.name]
		if !ok {
			return fmt.Errorf("%s: tensor %q is missing: the weights do not belong to this config.json",
				weightsName, t.name)
		}
		if have, _ := f.Shape(t.name); t.data == &m.Embed && len(have) == 2 && have[0] < m.VocabSize {
			return fmt.Errorf("config.json: vocab_size %d is larger than the embedding: tensor %q has %d rows",
				m.VocabSize, t.name, have[0])
		}
		if t.wrapped != nil && quantized.Has(t.name) {
			if err := m.readQuantized(quantized, t, form); err != nil {
				return err
			}
			fourBits = true
			for _, name := range nf4.Companions(t.name) {
				known[name] = true
			}
			sum.add(t)
			continue
		}
		if err := readTensor(f, t, wraps); err != nil {
			return err
		}
		sum.add(t)
		if form == Int8 && t.wrapped != nil {
			w, err := kernel.ToInt8(t.weight())
			if err != nil {
				return fmt.Errorf("tensor %q cannot be rounded to eight bits: %w", t.name, err)
			}
			*t.wrapped, *t.data = w, nil
		}
	}
	if m.NF4 && !fourBits {
		return errors.New("config.json: quantization_config: no tensor is in four bits: take the config.json that " +
			"came with the weights, or delete the field")
	}
	m.opened = sum.String()
	return m.checkOthers(files, known)
}

// readTensor reads a weight that is not quantized: mapped if wraps says so, else in float32.
func readTensor(f *safetensors.File, t tensor, wraps bool) (err error) {
	if wraps && t.wrapped != nil {
		*t.wrapped, err = f.Mapped(t.name, t.shape[0], t.shape[1])
		return err
	}
	*t.data, err = f.Float32(t.name, t.shape...)
	return err
}

// checkOthers refuses tensors that the model does not have: they would be ignored.
func (m *Model) checkOthers(files weights, known map[string]bool) error {
	for name, f := range files {
		switch {
		case known[name], strings.HasSuffix(name, "rotary_emb.inv_freq"):
		case name == headName: // tied, but the file has it nevertheless
			w, err := f.Float32(name, m.VocabSize, m.HiddenSize)
			if err != nil {
				return err
			}
			embed, err := files[embedName].Float32(embedName, m.VocabSize, m.HiddenSize)
			if err != nil {
				return err
			}
			if !slices.Equal(w, embed) {
				return fmt.Errorf("tensor %q differs from the embedding, but config.json ties them: set "+
					"tie_word_embeddings to false", name)
			}
		default:
			return fmt.Errorf("tensor %q is not part of a %s model as config.json describes it: it would be ignored",
				name, m.Family)
		}
	}
	return nil
}

// readQuantized reads a weight in four bits. config.json must say that the model has such weights.
func (m *Model) readQuantized(files nf4.Files, t tensor, form Form) error {
	if !m.NF4 {
		return fmt.Errorf("tensor %q is quantized, but config.json has no quantization_config: take the "+
			"config.json that came with it", t.name)
	}
	w, err := files.Read(t.name, t.shape[0], t.shape[1])
	if err != nil {
		return err
	}
	if form == Float32 {
		*t.data = kernel.Widened(w)
	} else {
		*t.wrapped = w
	}
	return nil
}

const (
	embedName = "model.embed_tokens.weight"
	headName  = "lm_head.weight"
)

// Wraps tells whether kernels read the matrices in their own type, without a packed copy. Those in four bits they do
// in every form but Float32.
func (c Config) Wraps(form Form) bool {
	return form == Mapped || form == Int8 || form == Auto && 4*int64(c.Parameters()) > float32Bytes
}

// tensor is one weight of a checkpoint: name, shape, and the place for its values in the model.
type tensor struct {
	name     string
	shape    []int
	data     *[]float32
	wrapped  *kernel.Weight // the place of a wrapped weight; nil for a tensor that is never wrapped
	linear   bool           // a linear map of a layer
	residual bool           // adds to the residual stream
	bias     bool
}

// weight is a matrix, wrapped or in float32.
func (t tensor) weight() kernel.Weight {
	if *t.wrapped != nil {
		return *t.wrapped
	}
	return &kernel.Dense{N: t.shape[0], K: t.shape[1], Data: *t.data}
}

// values returns a copy of the tensor in float32.
func (t tensor) values() []float32 {
	if t.wrapped != nil {
		return kernel.Widened(t.weight())
	}
	return slices.Clone(*t.data)
}

// Parameters is the number of weights. A tied head counts once.
func (c Config) Parameters() int {
	n := 0
	for _, t := range c.Tensors() {
		n += size(t.Shape)
	}
	return n
}

// Tensor is the name and the shape of a tensor of a checkpoint.
type Tensor struct {
	Name  string
	Shape []int // of a vector (n), of a matrix (n, k)
}

// Tensors lists the tensors of a checkpoint in 16 or 32 bits, in a fixed order. A tied head is not in the
// list. The config must be valid.
func (c Config) Tensors() []Tensor {
	var all []Tensor
	for _, t := range (&Model{Config: c, Layers: make([]Layer, c.NumLayers)}).tensors() {
		all = append(all, Tensor{t.name, t.shape})
	}
	return all
}

// Shapes are the shapes (N, K) of a layer's linear maps.
func (c Config) Shapes() [Modules][2]int {
	h, qd, kvd, f := c.HiddenSize, c.NumHeads*c.HeadDim, c.NumKVHeads*c.HeadDim, c.IntermediateSize
	return [Modules][2]int{Q: {qd, h}, K: {kvd, h}, V: {kvd, h}, O: {h, qd}, Gate: {f, h}, Up: {f, h}, Down: {h, f}}
}

// tensors lists every tensor of a checkpoint in a fixed order. A tied head is not in the list.
func (m *Model) tensors() []tensor {
	c := m.HiddenSize
	ts := []tensor{
		{name: embedName, shape: []int{m.VocabSize, c}, data: &m.Embed, wrapped: &m.Wrapped.Embed},
		{name: "model.norm.weight", shape: []int{c}, data: &m.Norm},
	}
	if !m.TieEmbeddings {
		ts = append(ts, tensor{name: headName, shape: []int{m.VocabSize, c}, data: &m.HeadW, wrapped: &m.Wrapped.Head})
	}
	shapes := m.Shapes()
	for i := range m.Layers {
		l, at := &m.Layers[i], fmt.Sprintf("model.layers.%d.", i)
		ts = append(ts,
			tensor{name: at + "input_layernorm.weight", shape: []int{c}, data: &l.InputNorm},
			tensor{name: at + "post_attention_layernorm.weight", shape: []int{c}, data: &l.PostNorm})
		for j, lin := range l.Linears() {
			ts = append(ts, tensor{
				name:  at + moduleNames[j].group + "." + moduleNames[j].name + ".weight",
				shape: shapes[j][:], data: &lin.W, wrapped: &lin.Wrapped, linear: true,
				residual: Module(j) == O || Module(j) == Down,
			})
			if m.Family == Qwen2 && Module(j) <= V {
				ts = append(ts, tensor{name: at + "self_attn." + moduleNames[j].name + ".bias", shape: shapes[j][:1],
					data: &lin.Bias, bias: true})
			}
		}
		if m.Family == Qwen3 {
			ts = append(ts,
				tensor{name: at + "self_attn.q_norm.weight", shape: []int{m.HeadDim}, data: &l.QNorm},
				tensor{name: at + "self_attn.k_norm.weight", shape: []int{m.HeadDim}, data: &l.KNorm})
		}
	}
	return ts
}
