// Package eval asks a model the questions of a benchmark or of a dataset, and judges its answers.
//
// Options.BFCL, APIBank and Load read the questions; those of BFCL's multi-turn categories are
// conversations. Ask has a Model answer them and keeps the answers in a folder, in the result format of the
// Berkeley Function Calling Leaderboard: that folder is all there is to resume from, and bfcl-eval can judge
// it. Judge makes verdicts from such a folder, also of one that bfcl-eval wrote. Summarise and Text are for
// people.
//
// It differs from the stage evaluate in that no run, broker or store is needed, and that the model may be
// one behind an endpoint.
package eval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"itool/stages/evaluate/converse"
)

// Model answers questions, greedily. Many goroutines may call it at once.
type Model interface {
	// Answer answers a case of one turn. An error of the question alone, such as a prompt that is too
	// long for the model, is Answer.Error; an error that is returned ends the evaluation.
	Answer(ctx context.Context, c *Case) (Answer, error)
	converse.Model // for cases of several turns
	// Pythonic writes the calls in a text of Step as BFCL has them; a text without calls stays.
	Pythonic(text string) string
}

// Answer is one answer, in the fields of BFCL's result files and two of our own.
type Answer struct {
	ID string `json:"id"`
	// Result is a text or, of several turns, a list by turn of the texts of its steps. Files of others may
	// hold a list of {name: arguments as JSON} instead of a text.
	Result       any    `json:"result"`
	PromptTokens int    `json:"input_token_count"`
	Tokens       int    `json:"output_token_count"`
	Cut          bool   `json:"cut,omitempty"`   // it reached the length limit
	Error        string `json:"error,omitempty"` // why there is no answer
}

// AtOnce is how many cases are asked at the same time.
type AtOnce struct{ Questions, Conversations int }

// Progress says how far Ask is. Questions of one turn come first; conversations take far longer.
type Progress struct {
	Done, All     int  // cases that are answered, those of former calls included, and all cases
	Conversations bool // these are asked now
	Asked, Open   int  // of the kind that is asked now: answered by this call, and still open
	Later         int  // conversations that are still to be begun with
}

// Ask has the model answer all cases that the folder has no answer to, questions in the order of their files,
// conversations by their functions. It appends each answer to the folder's file as soon as the cases before it
// are answered. So the bytes of a file do not depend on what is answered first. progress is called before each
// kind of cases and after every answer.
func Ask(ctx context.Context, m Model, files []File, dir *Folder, atOnce AtOnce, progress func(Progress)) error {
	var questions, conversations []job
	p := Progress{}
	for i := range files {
		for k := range files[i].Cases {
			c := &files[i].Cases[k]
			switch p.All++; {
			case c.Refused != "" || dir.Has(files[i].Name, c.ID):
				p.Done++
			case c.Entry != nil:
				conversations = append(conversations, job{&files[i], c})
			default:
				questions = append(questions, job{&files[i], c})
			}
		}
	}
	ask := func(jobs []job, atOnce int) error {
		p.Asked, p.Open = 0, len(jobs)
		progress(p)
		return inOrder(ctx, len(jobs), atOnce, func(ctx context.Context, i int) (Answer, error) {
			a, err := jobs[i].answer(ctx, m)
			if err != nil {
				return Answer{}, fmt.Errorf("%s: %w", jobs[i].c.Example.ID, err)
			}
			a.ID = jobs[i].c.ID
			return a, nil
		}, func(i int, a Answer) error {
			p.Done, p.Asked, p.Open = p.Done+1, p.Asked+1, p.Open-1
			progress(p)
			return dir.Add(jobs[i].file.Name, a)
		})
	}
	p.Later = len(conversations)
	if len(questions) > 0 || len(conversations) == 0 {
		if err := ask(questions, atOnce.Questions); err != nil {
			return err
		}
	}
	if len(conversations) == 0 {
		return nil
	}
	// Conversations with the same functions begin with the same thousands of tokens, which are computed once if they
	// follow each other; the files have them mixed.
	slices.SortStableFunc(conversations, func(a, b job) int {
		return slices.Compare(a.c.Entry.Classes, b.c.Entry.Classes)
	})
	p.Conversations, p.Later = true, 0
	return ask(conversations, atOnce.Conversations)
}

type job struct {
	file *File
	c    *Case
}

func (j job) answer(ctx context.Context, m Model) (Answer, error) {
	if j.c.Entry != nil {
		return j.converse(ctx, m)
	}
	return m.Answer(ctx, j.c)
}

// inOrder calls do for 0..n-1, atOnce at a time, and take with the results in order. Results that wait for
// an earlier one are at most eight times atOnce. The first error ends it.
func inOrder[T any](
	ctx context.Context, n, atOnce int, do func(context.Context, int) (T, error), take func(int, T) error,
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		value T
		err   error
	}
	window := make(chan chan result, 8*atOnce) // of results in order; bounds those that wait
	slots := make(chan struct{}, atOnce)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer cancel() // before the wait
	workers.Go(func() {
		defer close(window)
		for i := range n {
			r := make(chan result, 1)
			select {
			case window <- r:
			case <-ctx.Done():
				return
			}
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				r <- result{err: ctx.Err()}
				return
			}
			workers.Go(func() {
				defer func() { <-slots }()
				value, err := do(ctx, i)
				r <- result{value, err}
			})
		}
	})
	i := 0
	for r := range window {
		got := <-r
		if got.err == nil {
			got.err = take(i, got.value)
		}
		if got.err != nil {
			return got.err
		}
		i++
	}
	if i < n {
		return errors.Join(ctx.Err(), context.Cause(ctx))
	}
	return nil
}
