package report

import (
	"encoding/json"
	"fmt"

	"itool/ops/dataset"
	"itool/stages/split"
)

// DatasetNotes are sentences on the files of the run: what they were read as, and what became of their rows
// besides being kept or dropped.
func (r *Report) DatasetNotes() []string {
	var cfg struct{ Split split.Config }
	_ = json.Unmarshal(r.Config, &cfg) // a run's configuration was read before
	var out []string
	for _, d := range r.Datasets {
		out = append(out, fmt.Sprintf("%s: %d rows, read as %s", d.Name, d.Rows, d.Format))
		if d.Notes != nil {
			for _, s := range dataset.Sentences(d.Notes, cfg.Split) {
				out = append(out, "  "+s)
			}
		}
	}
	return out
}
