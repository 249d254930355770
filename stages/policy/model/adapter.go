package model

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"slices"

	"itool/stages/policy/kernel"
	"itool/stages/policy/model/safetensors"
)

const (
	adapterConfigName  = "adapter_config.json"
	adapterWeightsName = "adapter_model.safetensors"
)

// Adapter is a LoRA: for every targeted linear map y = W·x + scale·B·(A·x).
type Adapter struct {
	Rank       int     // R
	Alpha      float64 // the scale is Alpha/R
	RankStable bool    // rsLoRA: the scale is Alpha/√R
	Base       string  // BaseDigest of the model that it was trained on; empty: unknown
	Layers     []AdapterLayer
}

// AdapterLayer has a layer's low-rank maps in the order of Module; nil for a map that is not adapted.
type AdapterLayer [Modules]*LoRA

// LoRA is the low-rank change of one linear map (N, K).
type LoRA struct {
	A []float32 // (R, K)
	B []float32 // (N, R)
}

// Scale is the factor of B·A: Alpha/R, or Alpha/√R with RankStable.
func (a *Adapter) Scale() float64 {
	if a.RankStable {
		return a.Alpha / math.Sqrt(float64(a.Rank))
	}
	return a.Alpha / float64(a.Rank)
}

// Targets lists the modules that the adapter changes in at least one layer.
func (a *Adapter) Targets() []string {
	var names []string
	for j := range Modules {
		if slices.ContainsFunc(a.Layers, func(l AdapterLayer) bool { return l[j] != nil }) {
			names = append(names, Module(j).String())
		}
	}
	return names
}

// Clone returns a deep copy.
func (a *Adapter) Clone() *Adapter {
	b := *a
	b.Layers = make([]AdapterLayer, len(a.Layers))
	for i, l := range a.Layers {
		for j, lora := range l {
			if lora != nil {
				b.Layers[i][j] = &LoRA{A: slices.Clone(lora.A), B: slices.Clone(lora.B)}
			}
		}
	}
	return &b
}

// at returns the matrices for one linear map, or nil. a may be nil.
func (a *Adapter) at(layer int, m Module) *LoRA {
	if a == nil {
		return nil
	}
	return a.Layers[layer][m]
}

// addTo adds scale·B·A to w (N, K).
func (a *Adapter) addTo(w []float32, l *LoRA, dev kernel.Device) {
	addProduct(w, l.B, l.A, a.Rank, float32(a.Scale()), dev)
}

// addProduct adds scale·B·A to w (N, K) in the memory of the host. b (N, R), a (R, K).
func addProduct(w, b, a []float32, rank int, scale float32, dev kernel.Device) {
	on := dev.Put(w)
	dev.Gemm(false, false, len(b)/rank, len(a)/rank, rank, scale, dev.Put(b), dev.Put(a), true, on)
	if on.Host == nil {
		dev.Read(w, on)
	}
}

// WithAdapter returns a model with the same base and the adapter a instead of its own; without an
// adapter if a is nil. The base weights are shared, and a is not copied.
func (m *Model) WithAdapter(a *Adapter) (*Model, error) {
	if a != nil {
		if err := a.fits(m.Config); err != nil {
			return nil, fmt.Errorf("model: adapter: %w", err)
		}
	}
	n := *m
	n.Adapter, n.Layers = a, slices.Clone(m.Layers)
	n.place(m)
	n.pack(m)
	return &n, nil
}

// merged is a wrapped weight plus an adapter. The sum is computed when rows are read, so a large merged
// model need not fit into memory.
type merged struct {
	kernel.Weight
	lora  *LoRA
	rank  int
	scale float32
	dev   kernel.Device
}

// Rows adds scale·B·A to the rows. A row has the same bits as in the product of all rows.
func (w *merged) Rows(dst []float32, from, to int) {
	w.Weight.Rows(dst, from, to)
	_, k := w.Shape()
	addProduct(dst[:(to-from)*k], w.lora.B[from*w.rank:to*w.rank], w.lora.A, w.rank, w.scale, w.dev)
}

// Merged returns a model without an adapter whose base weights are base + adapter.
func (m *Model) Merged() *Model {
	n := *m
	n.Adapter, n.Layers = nil, slices.Clone(m.Layers)
	if m.Adapter == nil {
		return &n
	}
	n.opened = ""
	n.place(m)
	defer n.connect()
	for i := range n.Layers {
		for j, l := range n.Layers[i].Linears() {
			lora := m.Adapter.at(i, Module(j))
			if lora == nil {
				continue
			}
			if l.Wrapped != nil {
				l.Wrapped, l.Unmerged = &merged{l.Wrapped, lora, m.Adapter.Rank, float32(m.Adapter.Scale()),
					m.Device}, nil
				l.M = m.Device.Wrap(l.Wrapped)
				continue
			}
			l.W = slices.Clone(l.W)
			m.Adapter.addTo(l.W, lora, m.Device) // M holds base + adapter already
		}
	}
	return &n
}

// MergeChanges tells whether any weight of the merged model differs from the base when both are
// rounded to dtype: rounding may remove a small change.
func (m *Model) MergeChanges(dtype safetensors.Dtype) bool {
	merged, changes := m.Merged(), false
	for i := range m.Layers {
		base, with := m.Layers[i].Linears(), merged.Layers[i].Linears()
		for j, l := range base {
			if m.Adapter.at(i, Module(j)) == nil {
				continue
			}
			together(l.Weight(), with[j].Weight(), func(x, y float32) bool {
				changes = dtype.Round(x) != dtype.Round(y)
				return !changes
			})
			if changes {
				return true
			}
		}
	}
	return false
}

// fits checks that every size belongs to a model of this config.
func (a *Adapter) fits(cfg Config) error {
	if a.Rank < 1 || a.Rank > 1<<12 {
		return fmt.Errorf("rank %d is not within 1..4096", a.Rank)
	}
	if math.IsNaN(a.Scale()) || math.IsInf(a.Scale(), 0) {
		return fmt.Errorf("alpha %v is not finite", a.Alpha)
	}
	if len(a.Layers) != cfg.NumLayers {
		return fmt.Errorf("it has %d layers, the model %d", len(a.Layers), cfg.NumLayers)
	}
	for i, l := range a.Layers {
		for j, s := range cfg.Shapes() {
			n, k := s[0], s[1]
			if lora := l[j]; lora != nil && (len(lora.A) != a.Rank*k || len(lora.B) != n*a.Rank) {
				return fmt.Errorf("layer %d %s: A and B hold %d and %d values, "+
					"rank %d of a (%d, %d) map needs %d and %d",
					i, Module(j), len(lora.A), len(lora.B), a.Rank, n, k, a.Rank*k, n*a.Rank)
			}
		}
	}
	return nil
}

// adapterFile is adapter_config.json of PEFT. Any method other than LoRA as above is an error.
type adapterFile struct {
	PeftType      string          `json:"peft_type"`
	TaskType      string          `json:"task_type,omitempty"`
	Base          string          `json:"base_model_name_or_path"`
	Rank          int             `json:"r"`
	Alpha         float64         `json:"lora_alpha"`
	Dropout       float64         `json:"lora_dropout"`
	Targets       json.RawMessage `json:"target_modules"` // a list or a pattern; not used, the tensors decide
	Bias          string          `json:"bias"`
	RankStable    bool            `json:"use_rslora"`
	Dora          bool            `json:"use_dora"`
	FanInFanOut   bool            `json:"fan_in_fan_out"`
	ModulesToSave []string        `json:"modules_to_save,omitempty"`
	RankPattern   map[string]any  `json:"rank_pattern,omitempty"` // PEFT does not accept null here or in the next field
	AlphaPattern  map[string]any  `json:"alpha_pattern,omitempty"`
	Init          any             `json:"init_lora_weights"`
	Inference     bool            `json:"inference_mode"`
}

// unreadAdapter lists the fields of PEFT's LoraConfig that do not change the sum W·x + scale·B·A·x: the
// origin of the adapter, the modules that have one (the tensors say that), and settings of features
// that another field switches on.
var unreadAdapter = unread{
	"peft_version": ignored, "revision": ignored, "auto_mapping": ignored, "runtime_config": ignored,
	"megatron_core":   ignored,
	"exclude_modules": ignored, "layers_to_transform": ignored, "layers_pattern": ignored,
	"ensure_weight_tying": ignored, "qalora_group_size": ignored,
}

// ReadAdapter reads adapter_config.json and adapter_model.safetensors for a model with the config cfg.
func ReadAdapter(fsys fs.FS, cfg Config) (*Adapter, error) {
	text, err := fs.ReadFile(fsys, adapterConfigName)
	if err != nil {
		return nil, err
	}
	var f adapterFile
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, fmt.Errorf("%s: %w", adapterConfigName, err)
	}
	if err := f.supported(); err != nil {
		return nil, fmt.Errorf("%s: %w", adapterConfigName, err)
	}
	if err := unreadAdapter.refuse(text, adapterFile{}, cfg.Family); err != nil {
		return nil, fmt.Errorf("%s: %w", adapterConfigName, err)
	}
	a := &Adapter{Rank: f.Rank, Alpha: f.Alpha, RankStable: f.RankStable, Layers: make([]AdapterLayer, cfg.NumLayers)}
	if err := a.read(fsys, cfg); err != nil {
		return nil, err
	}
	if err := a.fits(cfg); err != nil {
		return nil, fmt.Errorf("%s: %w", adapterConfigName, err)
	}
	return a, nil
}

func (f *adapterFile) supported() error {
	switch {
	case f.PeftType != "LORA":
		return fmt.Errorf("peft_type: %q: only LORA is supported", f.PeftType)
	case f.Rank < 1 || f.Rank > 1<<12:
		return fmt.Errorf("r: %d is not within 1..4096", f.Rank)
	case f.Bias != "" && f.Bias != "none":
		return fmt.Errorf("bias: %q: only none is supported", f.Bias)
	case f.Dora:
		return fmt.Errorf("use_dora: true is not supported")
	case f.FanInFanOut:
		return fmt.Errorf("fan_in_fan_out: true is not supported")
	case len(f.ModulesToSave) > 0:
		return fmt.Errorf("modules_to_save: %v is not supported", f.ModulesToSave)
	case len(f.RankPattern)+len(f.AlphaPattern) > 0:
		return fmt.Errorf("rank_pattern, alpha_pattern: one rank and one alpha for all modules is supported")
	}
	if s, ok := f.Init.(string); ok && s != "gaussian" && s != "orthogonal" { // other methods change the base weights
		return fmt.Errorf("init_lora_weights: %q: the adapter belongs to a changed base, convert it to plain LoRA", s)
	}
	return nil
}

// read takes the tensors. A without B, and tensors with unknown names, are errors.
func (a *Adapter) read(fsys fs.FS, cfg Config) error {
	f, err := safetensors.Read(fsys, adapterWeightsName)
	if err != nil {
		return err
	}
	a.Base = f.Metadata[baseKey]
	take := func(name string, shape ...int) ([]float32, error) {
		if have, ok := f.Shape(name); ok && !slices.Equal(have, shape) {
			return nil, fmt.Errorf("%s: tensor %q has shape %v, %s (r = %d) asks for %v on this base: "+
				"they do not belong together",
				adapterWeightsName, name, have, adapterConfigName, a.Rank, shape)
		}
		return f.Float32(name, shape...)
	}
	taken := 0
	for i := range a.Layers {
		for j, s := range cfg.Shapes() {
			nameA, nameB := loraNames(i, Module(j))
			_, hasA := f.Shape(nameA)
			_, hasB := f.Shape(nameB)
			if !hasA && !hasB {
				continue
			}
			l := &LoRA{}
			if l.A, err = take(nameA, a.Rank, s[1]); err != nil {
				return err
			}
			if l.B, err = take(nameB, s[0], a.Rank); err != nil {
				return err
			}
			a.Layers[i][j] = l
			taken += 2
		}
	}
	if names := f.Names(); taken != len(names) || taken == 0 {
		return fmt.Errorf("%s: %d of %d tensors fit the model's layers: the adapter belongs to another model",
			adapterWeightsName, taken, len(names))
	}
	return nil
}

func loraNames(layer int, m Module) (a, b string) {
	at := fmt.Sprintf("base_model.model.model.layers.%d.%s.%s.", layer, moduleNames[m].group, moduleNames[m].name)
	return at + "lora_A.weight", at + "lora_B.weight"
}
