package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"itool/stages/policy/sample"
)

const generationFile = "generation_config.json"

// Generation is the content of a checkpoint's generation_config.json: how the model's makers recommend to
// draw answers.
type Generation struct {
	Sampling   sample.Settings // temperature 1 and nothing cut, unless the file has other values
	Repetition float64         // repetition_penalty, which the engine does not apply; 1: none

	eos []int32
}

// Generation returns the recommended settings. A server uses them; search and training have their own.
func (p *Policy) Generation() Generation { return p.generation }

// readGeneration reads the file, which may be missing. do_sample is ignored, as other servers do: a
// request for greedy answers has temperature 0.
func readGeneration(fsys fs.FS) (Generation, error) {
	g := Generation{Sampling: sample.Settings{Temperature: 1}, Repetition: 1}
	data, err := fs.ReadFile(fsys, generationFile)
	if errors.Is(err, fs.ErrNotExist) {
		return g, nil
	} else if err != nil {
		return g, err
	}
	var f struct {
		EOS         json.RawMessage `json:"eos_token_id"`
		Temperature *float64        `json:"temperature"`
		TopP        *float64        `json:"top_p"`
		TopK        *int            `json:"top_k"`
		MinP        *float64        `json:"min_p"`
		Repetition  *float64        `json:"repetition_penalty"`
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return g, fmt.Errorf("%s: %w", generationFile, err)
	}
	set(&g.Sampling.Temperature, f.Temperature)
	set(&g.Sampling.TopP, f.TopP)
	set(&g.Sampling.TopK, f.TopK)
	set(&g.Sampling.MinP, f.MinP)
	set(&g.Repetition, f.Repetition)
	if err := g.Sampling.Validate(); err != nil {
		return g, fmt.Errorf("%s: %w", generationFile, err)
	}
	var one *int32
	if len(f.EOS) > 0 && json.Unmarshal(f.EOS, &g.eos) != nil {
		if err := json.Unmarshal(f.EOS, &one); err != nil {
			return g, fmt.Errorf("%s: eos_token_id: %w", generationFile, err)
		}
		if one != nil {
			g.eos = []int32{*one}
		}
	}
	return g, nil
}

// set overwrites a default with the file's value, if the file has one.
func set[T any](to *T, value *T) {
	if value != nil {
		*to = *value
	}
}
