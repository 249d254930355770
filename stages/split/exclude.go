package split

import (
	"errors"
	"fmt"
	"strings"

	"itool/stages/split/format"
)

// Exclusion names a row, or a turn of it, that is left out, such as one whose label is doubted.
type Exclusion struct {
	Source string `json:"source"`         // name of the published file
	Row    int    `json:"row"`            // in that file, from 0
	Turn   *int   `json:"turn,omitempty"` // assistant's turn in the row, from 0; nil: all of them
	// Question is the beginning of the user's last turn before the answer. A row that asks something else is not left
	// out, since the file has changed; "": any question.
	Question string `json:"question,omitempty"`
	Note     string `json:"note,omitempty"` // for people: why; it becomes the detail of the dropped row
}

// Excluded are the turns that Config.Exclude leaves out.
const Excluded = Reason("excluded")

// MaxQuestion bounds the characters of a question that an exclusion needs.
const MaxQuestion = 200

// Validate names what is wrong with an exclusion.
func (x Exclusion) Validate() error {
	switch {
	case x.Source == "":
		return errors.New("source is missing: the name of a dataset file")
	case x.Row < 0:
		return fmt.Errorf("row %d is below 0", x.Row)
	case x.Turn != nil && *x.Turn < 0:
		return fmt.Errorf("turn %d is below 0; without turn all of the row's are left out", *x.Turn)
	}
	return nil
}

// exclusion is what leaves a turn out; nil: nothing. before are the messages before the answer.
func (t *turns) exclusion(row, turn int, before []format.Message) *Exclusion {
	if t.excluded == nil {
		t.excluded = map[int][]*Exclusion{}
		for i := range t.cfg.Exclude {
			if x := &t.cfg.Exclude[i]; x.Source == t.shard.Name {
				t.excluded[x.Row] = append(t.excluded[x.Row], x)
			}
		}
	}
	for _, x := range t.excluded[row] {
		if x.Turn != nil && *x.Turn != turn {
			continue
		}
		if strings.HasPrefix(lastQuestion(before), x.Question) {
			return x
		}
		t.noted.moved++
	}
	return nil
}

// why is the detail of a row that is left out.
func (x *Exclusion) why() error {
	if x.Note == "" {
		return errors.New("split.exclude names it")
	}
	return fmt.Errorf("split.exclude names it: %s", x.Note)
}

func lastQuestion(before []format.Message) (text string) {
	for _, m := range before {
		if m.Role == "user" {
			text = m.Content
		}
	}
	return text
}
