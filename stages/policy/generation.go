package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"itool/stages/policy/sample"
)

const generationFile = "generation_config.json"

// Generation is what a checkpoint's generation_config.json says of how its makers draw
// answers.
type Generation struct {
	Sampling   sample.Settings // temperature 1 and nothing cut where the file says nothing
	Repetition float64         // repetition_penalty, which nothing here applies; 1: none

	eos []int32
}

// Generation: for those who draw for people. Search and training have settings of
// their own.
func (p *Policy) Generation() Generation { return p.generation }

// readGeneration reads the file, which need not be there. do_sample does not count, as
// elsewhere: whoever wants greedy answers asks for temperature 0.
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

func set[T any](to *T, said *T) {
	if said != nil {
		*to = *said
	}
}
