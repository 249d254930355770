package judge

import (
	"fmt"
	"iter"

	"itool/schemas"
	"itool/stages"
	"itool/stages/policy"
)

// CheckTemplate is an error unless p's own chat template rendered the tokens of
// ex. Tokens of another template are a prompt that p has never seen.
func CheckTemplate(p *policy.Policy, ex *schemas.Example) error {
	if ex.Template == p.TemplateHash() {
		return nil
	}
	return fmt.Errorf("example %s was rendered by template %.12s, the policy has %.12s: "+
		"split the dataset again with this base", ex.ID, ex.Template, p.TemplateHash())
}

// Askable reports whether p can be asked ex and its answer judged: the template is
// p's own, the prompt leaves room for an answer, and tools and reference parse.
func Askable(p *policy.Policy, ex *schemas.Example) bool {
	if CheckTemplate(p, ex) != nil || len(ex.PromptIDs) == 0 || len(ex.PromptIDs) >= p.ContextLength() {
		return false
	}
	_, err := NewExaminer(ex)
	return err == nil
}

// Validation returns the validation examples that are askable, in the order of the
// batches, and counts the others as unfit. Those are no error: what is measured on
// validation examples must not end a run that can do without it.
func Validation(
	p *policy.Policy, batches iter.Seq2[schemas.Batch, error],
) (exs []schemas.Example, unfit int, err error) {
	for ex, err := range stages.Each[schemas.Example](batches) {
		switch {
		case err != nil:
			return nil, 0, err
		case ex.Part != schemas.PartValidation:
		case !Askable(p, &ex):
			unfit++
		default:
			exs = append(exs, ex)
		}
	}
	return exs, unfit, nil
}

// Spread takes at most n elements, evenly over all of them, so that one kind does
// not stand for a dataset that is sorted by kind.
func Spread[E any](all []E, n int) []E {
	if n >= len(all) {
		return all
	}
	out := make([]E, n)
	for i := range out {
		out[i] = all[i*len(all)/n]
	}
	return out
}
