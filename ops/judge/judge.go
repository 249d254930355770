// Package judge asks a judge of the user's own whether answers are right: a command that reads and writes lines,
// or an HTTP endpoint. Both speak the same JSON; ops/guide/judge.md has it to the byte, wire.go is its code.
//
//	j, err := judge.Open("python3 judge.py", judge.Options{})
//	name, err := j.Name(ctx)
//	outcomes, err := j.Judge(ctx, name, questions)
//
// Questions of all items that ask at the same time go out in common batches. Outcomes are kept by the digest of
// the judge's name, the example and the answer, so that no answer is judged twice. All errors are about the
// judge: it is away, too slow, calls itself otherwise, or says what the page does not allow. Questions of a batch
// that failed are asked one by one the next time, so that one at which the judge dies does not stop the others.
//
// It knows no model, no stage and no queue.
package judge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"itool/stages"
)

// Options of a judge. The zero value is sensible.
type Options struct {
	Timeout time.Duration // of one batch; default: a minute. A command has ten times as long to start
	Token   string        // sent to an endpoint as a bearer token; "": none
	Kept    int           // outcomes that are kept; default: 100,000, some 20 MB
}

// Judge is a judge's door. It may be used by many goroutines at once.
type Judge struct {
	address string // for errors: without login and query
	options Options
	pipes   []transport // each carries one batch at a time
	ctx     context.Context
	close   context.CancelFunc
	sending sync.WaitGroup

	mu       sync.Mutex
	idle     []transport
	waiting  []*question          // not sent yet, in order
	open     map[digest]*question // waiting or sent
	kept     *cache
	suspects map[digest]bool // questions of a batch that failed: each goes alone
}

// transport carries one batch to the judge and the answer back.
type transport interface {
	ready(ctx context.Context) error // starts what must run before; it may take long
	exchange(ctx context.Context, request []byte) (answer []byte, err error)
	stop() // what comes next from the judge belongs to no batch
}

// endpointBatches are the batches that are sent to an endpoint at the same time. A command gets one: it can
// judge the answers of a batch side by side itself.
const endpointBatches = 4

// Open prepares to ask the judge at an address: an http or https URL, or a command whose words are separated by
// spaces. Nothing is started or sent before the first question.
func Open(address string, o Options) (*Judge, error) {
	if o.Timeout <= 0 {
		o.Timeout = time.Minute
	}
	if o.Kept <= 0 {
		o.Kept = 100_000
	}
	j := &Judge{options: o, open: map[digest]*question{}, kept: newCache(o.Kept), suspects: map[digest]bool{}}
	if strings.HasPrefix(address, "http://") || strings.HasPrefix(address, "https://") {
		e, err := newEndpoint(address, o.Token)
		if err != nil {
			return nil, err
		}
		j.address = e.shown
		for range endpointBatches {
			j.pipes = append(j.pipes, e)
		}
	} else {
		c, err := newCommand(address, 10*o.Timeout)
		if err != nil {
			return nil, err
		}
		j.address, j.pipes = c.name, []transport{c}
	}
	j.idle = append(j.idle, j.pipes...)
	j.ctx, j.close = context.WithCancel(context.Background())
	return j, nil
}

// Close ends the command, and the questions that are under way. Nothing may be asked afterwards.
func (j *Judge) Close() {
	j.close()
	j.sending.Wait()
	for _, p := range j.pipes {
		p.stop()
	}
}

// Name is what the judge calls itself. It is asked for each time.
func (j *Judge) Name(ctx context.Context) (string, error) {
	q := &question{done: make(chan struct{})} // without an answer to judge
	j.mu.Lock()
	j.waiting = append(j.waiting, q)
	j.mu.Unlock()
	j.send()
	if err := j.await(ctx, q); err != nil {
		return "", err
	}
	return q.judge, nil
}

// Judge returns the outcomes of the answers, in order. A judge that does not call itself name is an error.
func (j *Judge) Judge(ctx context.Context, name string, asked []stages.Question) ([]stages.Outcome, error) {
	all := make([]*question, len(asked))
	for i, a := range asked {
		q, err := newQuestion(name, a)
		if err != nil {
			return nil, err
		}
		all[i] = j.enqueue(q)
	}
	j.send()
	out := make([]stages.Outcome, len(all))
	for i, q := range all {
		if err := j.await(ctx, q); err != nil {
			return nil, err
		}
		out[i] = q.outcome
	}
	return out, nil
}

func (j *Judge) await(ctx context.Context, q *question) error {
	select {
	case <-q.done:
		return q.err
	case <-ctx.Done():
		return ctx.Err()
	case <-j.ctx.Done():
		return fmt.Errorf("%s was closed", j.address)
	}
}

// enqueue returns the question, or an equal one that is answered or under way.
func (j *Judge) enqueue(q *question) *question {
	j.mu.Lock()
	defer j.mu.Unlock()
	if outcome, ok := j.kept.get(q.digest); ok {
		q.outcome = outcome
		close(q.done)
		return q
	}
	if same, ok := j.open[q.digest]; ok {
		return same
	}
	j.open[q.digest] = q
	j.waiting = append(j.waiting, q)
	return q
}

// send lets idle transports work as long as there are questions.
func (j *Judge) send() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.idle) > 0 && len(j.waiting) > 0 && j.ctx.Err() == nil {
		t, batch := j.idle[len(j.idle)-1], j.take()
		j.idle = j.idle[:len(j.idle)-1]
		j.sending.Go(func() {
			for len(batch) > 0 {
				j.ask(t, batch)
				j.mu.Lock()
				if batch = j.take(); len(batch) == 0 {
					j.idle = append(j.idle, t)
				}
				j.mu.Unlock()
			}
		})
	}
}

// take takes the next batch off the queue: one suspect, or as many others as fit.
func (j *Judge) take() (batch []*question) {
	size := 0
	for len(j.waiting) > 0 && len(batch) < mostQuestions {
		q := j.waiting[0]
		suspect := j.suspects[q.digest]
		if len(batch) > 0 && (suspect || size+len(q.text) > mostBytes) {
			break
		}
		batch, size = append(batch, q), size+len(q.text)
		if j.waiting = j.waiting[1:]; suspect {
			break
		}
	}
	return batch
}

// ask sends one batch and tells those who wait what came of it.
func (j *Judge) ask(t transport, batch []*question) {
	name, outcomes, err := j.exchange(t, batch)
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		err = j.failure(batch, err)
	}
	for i, q := range batch {
		delete(j.open, q.digest)
		switch {
		case err != nil:
			if q.err = err; q.text != nil && len(j.suspects) < mostSuspects {
				j.suspects[q.digest] = true
			}
		case q.text == nil:
			q.judge = name
		case q.name != name:
			q.err = fmt.Errorf("%s calls itself %q, the run wants %q", j.address, name, q.name)
		default:
			q.outcome = outcomes[i]
			j.kept.put(q.digest, q.outcome)
			delete(j.suspects, q.digest)
		}
		close(q.done)
	}
}

// mostSuspects bounds the questions that are remembered because their batch failed.
const mostSuspects = 10_000

// exchange asks once more if the judge fails in another way than by taking too long: a program that has died is
// started again, a connection made again.
func (j *Judge) exchange(t transport, batch []*question) (name string, outcomes []stages.Outcome, err error) {
	for range 2 {
		name, outcomes, err = j.once(t, batch)
		if err == nil || errors.Is(err, errLate) || j.ctx.Err() != nil {
			break
		}
	}
	return name, outcomes, err
}

// errLate is a judge that takes too long.
var errLate = errors.New("too slow")

func (j *Judge) once(t transport, batch []*question) (string, []stages.Outcome, error) {
	if err := t.ready(j.ctx); err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithTimeoutCause(j.ctx, j.options.Timeout,
		fmt.Errorf("%w: no answer within %v (--judge-timeout)", errLate, j.options.Timeout))
	defer cancel()
	request, number := encode(batch)
	answer, err := t.exchange(ctx, request)
	if err != nil {
		return "", nil, err
	}
	asked := 0
	for _, q := range batch {
		if q.text != nil {
			asked++
		}
	}
	name, said, err := decode(answer, number, asked)
	if err != nil {
		t.stop() // what it writes next may belong to this batch
		return "", nil, err
	}
	outcomes := make([]stages.Outcome, len(batch))
	for i, q := range batch {
		if q.text != nil {
			outcomes[i], said = said[0], said[1:]
		}
	}
	return name, outcomes, nil
}

// failure names the judge, and the example if only one was asked about.
func (j *Judge) failure(batch []*question, err error) error {
	about := fmt.Sprintf("%d answers", len(batch))
	if len(batch) == 1 && batch[0].text != nil {
		about = "an answer to example " + batch[0].example
	} else if len(batch) == 1 {
		about = "its name"
	}
	return fmt.Errorf("%s was asked about %s: %w", j.address, about, err)
}
