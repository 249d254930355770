package stages

import (
	"context"

	"itool/schemas"
)

// A Judge says whether answers are right, in the place of the check by the reference: a program of the
// user's own. A run names it in its setting judge.
type Judge interface {
	// Judge returns one outcome for each question, in order. Equal questions get equal outcomes, or the run is
	// not repeatable. An error is about the judge, never about an answer: the item is tried again later, and it
	// is no failed attempt.
	Judge(ctx context.Context, questions []Question) ([]Outcome, error)
}

// Question is one answer to one example. The answer came to its end: one that ran out of length is wrong, and
// no judge is asked.
type Question struct {
	Example *schemas.Example // only read
	Answer  string
}

// Outcome is what a judge says of one answer.
type Outcome struct {
	Pass   bool    // the answer is right
	Score  float64 // O of Eq. 6, −1..1
	Reason string  // for people, "" if there is none
}
