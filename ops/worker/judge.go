package worker

import (
	"context"
	"encoding/json"
	"fmt"

	"itool/stages"
)

// Judge is a judge of the user's own. name is what the run calls it: a judge that calls itself otherwise is an
// error, because the run's results would be another's.
type Judge interface {
	Judge(ctx context.Context, name string, questions []stages.Question) ([]stages.Outcome, error)
}

// judge is who decides for the run whether answers are right: nil if its reference does.
func (it *item) judge(run *description) stages.Judge {
	if run.judge == "" {
		return nil
	}
	return runJudge{it, run.judge}
}

// judgeOf reads the setting judge.
func judgeOf(sections map[string]json.RawMessage) (name string, err error) {
	if text, ok := sections["judge"]; ok {
		if err := json.Unmarshal(text, &name); err != nil {
			return "", stages.Reject(fmt.Errorf("configuration: judge: %w", err))
		}
	}
	return name, nil
}

// runJudge asks this worker's judge for an item. Its errors are noted: the item goes back to its queue, and that
// is no failed attempt, also if the stage calls the error final.
type runJudge struct {
	it   *item
	name string
}

func (j runJudge) Judge(ctx context.Context, questions []stages.Question) ([]stages.Outcome, error) {
	if j.it.w.Judge == nil {
		return nil, j.wait("this worker has none; start it with --judge")
	}
	said, err := j.it.w.Judge.Judge(ctx, j.name, questions)
	if err != nil && ctx.Err() == nil {
		return nil, j.wait(err.Error())
	}
	return said, err
}

func (j runJudge) wait(why string) error {
	err := &waitError{fmt.Sprintf("judge: the run needs the judge %s: %s", j.name, why)}
	j.it.note(err)
	return err
}
