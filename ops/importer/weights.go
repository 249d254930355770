package importer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"itool/stages/policy/gguf"
	"itool/stages/policy/model/safetensors"
)

// weights writes the weights in one file, or in shards with an index, as transformers names them.
func (g GGUF) weights(f folder, c *gguf.Checkpoint) (files int, size int64, err error) {
	limit := g.ShardBytes
	if limit <= 0 {
		limit = shardBytes
	}
	shards, size := cut(c.Weights, g.Dtype, limit)
	if len(shards) == 1 {
		return 1, size, g.shard(f, "model.safetensors", shards[0])
	}
	index := struct {
		Metadata map[string]int64  `json:"metadata"`
		Map      map[string]string `json:"weight_map"`
	}{map[string]int64{"total_size": size}, map[string]string{}}
	for i, shard := range shards {
		name := fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(shards))
		if err := g.shard(f, name, shard); err != nil {
			return 0, 0, err
		}
		for _, w := range shard {
			index.Map[w.Name] = name
		}
	}
	text, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		return 0, 0, err
	}
	return len(shards), size, f.write("model.safetensors.index.json", append(text, '\n'))
}

// cut divides the weights, in their order, into shards of at most limit bytes; a larger weight has one of
// its own. size is the sum of all in bytes.
func cut(weights []gguf.Weight, quantized safetensors.Dtype, limit int64) (shards [][]gguf.Weight, size int64) {
	from, in := 0, int64(0)
	for i := range weights {
		n := weights[i].Bytes(quantized)
		if i > from && in+n > limit {
			shards = append(shards, weights[from:i])
			from, in = i, 0
		}
		in += n
		size += n
	}
	return append(shards, weights[from:]), size
}

// shard writes one file.
func (g GGUF) shard(f folder, name string, weights []gguf.Weight) (err error) {
	var tensors []safetensors.Tensor
	for i := range weights {
		w := &weights[i]
		tensors = append(tensors, safetensors.Tensor{
			Name: w.Name, Shape: w.Shape, Dtype: w.Dtype(g.Dtype),
			Stream: func(out io.Writer) error { return w.Stream(out, g.Dtype) },
		})
	}
	out, err := f.create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	// transformers asks for the metadata; each tensor has its own type, so that of Write does not matter.
	return safetensors.Write(out, tensors, safetensors.F32, map[string]string{"format": "pt"})
}
