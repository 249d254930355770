package line

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/schemas"
	"itool/stages"
)

// runState is what the keeper remembers of a run. Every record in it is written once, so what is
// remembered stays true, and a keeper that forgot it reads it again.
type runState struct {
	start broker.Message // without its body; another start message is another run of the same name
	state State          // of the last step

	read   bool // the start message was read
	run    schemas.Run
	cfg    Config
	shards []schemas.Shard

	created  bool                    // stream, first records and queues
	tallies  map[string]*tally       // of the open rounds, by "<result>.<round>"
	opened   map[string]bool         // all tasks of "<result>.<round>" are in the stream
	closed   map[string]bool         // "<result>.<round>" is gathered, or its only record exists
	policies map[int]*schemas.Policy // by round; only checkpoint, status and detail
	counted  bool                    // the three counts below
	replay   int                     // examples in the replay buffer
	cases    int                     // examples to evaluate
	parts    map[string]int          // examples by part

	counts   []StageCount // of the rounds that were closed last
	observed time.Time    // when Observe was told last

	roomAsked time.Time // when the room in the stream was looked at last, and
	full      error     // what grow found then

	said     string               // the last status, and
	saidAt   time.Time            // when it was written
	queues   map[string]queueView // by stage: queues whose items no worker takes,
	queuesAt time.Time            // when they were looked at, and
	unserved []string             // what was to be said then
}

// runState returns what is remembered of the run. If the name was given to another run, that is
// nothing.
func (k *Keeper) runState(start broker.Message) *runState {
	const sha = "itool-sha256"
	s := k.runs[start.Run]
	if s != nil && s.start.Sequence == start.Sequence && s.start.Header[sha] == start.Header[sha] {
		return s
	}
	start.Data = nil
	s = &runState{start: start, run: schemas.Run{Name: start.Run}, state: State{Run: start.Run}, cfg: Default()}
	if k.runs == nil {
		k.runs = map[string]*runState{}
	}
	if k.Line == nil {
		k.Line = Rows(nil)
	}
	k.runs[start.Run] = s
	return s
}

// forget frees what is not needed after the end of a run.
func (s *runState) forget() {
	*s = runState{start: s.start, state: s.state, read: s.read, run: schemas.Run{Name: s.run.Name}, cfg: s.cfg}
}

// open reads the start message. A damaged message fails its run. A message that another version of
// itool may understand stalls it.
func (k *Keeper) open(ctx context.Context, s *runState, start broker.Message) error {
	batch, err := k.Courier.Open(ctx, start)
	var rows []schemas.Run
	if err == nil {
		rows, err = schemas.Decode[schemas.Run](batch)
	}
	var infra *courier.InfraError
	var newer *schemas.NewerError
	switch {
	case errors.As(err, &infra) || ctx.Err() != nil:
		return err
	case errors.As(err, &newer):
		return errStalled{"waiting: needs " + newer.Want + ": " + err.Error()}
	case err != nil:
		return badStart(err)
	case len(rows) != 1:
		return badStart(fmt.Errorf("it holds %d rows instead of one", len(rows)))
	case batch.Header.Run != start.Run || rows[0].Name != start.Run:
		return badStart(fmt.Errorf("it says run %q in its header and %q in its row", batch.Header.Run, rows[0].Name))
	}
	var sections struct{ Line json.RawMessage }
	if err := json.Unmarshal([]byte(rows[0].Config), &sections); err != nil {
		return badStart(fmt.Errorf("configuration: %w", err))
	}
	cfg, err := stages.Config(stages.Input{Config: sections.Line}, Default())
	if err != nil {
		return errStalled{fmt.Sprintf("section line: %v: start a keeper of the version that published the run", err)}
	}
	shards, err := readShards(rows[0].Dataset)
	if err != nil {
		return badStart(fmt.Errorf("dataset: %w", err))
	}
	s.run, s.cfg, s.shards, s.read = rows[0], cfg, shards, true
	s.tallies, s.policies = map[string]*tally{}, map[int]*schemas.Policy{}
	s.opened, s.closed = map[string]bool{}, map[string]bool{}
	return nil
}

func badStart(err error) error {
	return errFailed{fmt.Sprintf(
		"the start message is damaged or foreign: %v; publish the run again under another name", err)}
}

func readShards(text string) (shards []schemas.Shard, err error) {
	if err := json.Unmarshal([]byte(text), &shards); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for i, s := range shards {
		if err := schemas.ValidName(s.Key); err != nil {
			return nil, fmt.Errorf("shard %d: key: %w", i, err)
		}
		if seen[s.Key] {
			return nil, fmt.Errorf("shard %d: key %s appears twice", i, s.Key)
		}
		seen[s.Key] = true
	}
	return shards, nil
}

// createStream makes the run's stream, unless the publisher has made it.
func (k *Keeper) createStream(ctx context.Context, s *runState) error {
	quota := int64(smallestRun) // of a run that could not be opened: its end must have a place
	if s.read {
		estimate, most, err := Quota(s.run)
		if err != nil {
			return badStart(err)
		}
		quota = firstQuota(estimate, most)
	}
	err := k.Courier.Broker.CreateRun(ctx, s.run.Name, quota)
	if errors.Is(err, broker.ErrFull) {
		return errStalled{noRoom(ctx, k.Courier, s.run.Name, quota, err).Error()}
	}
	return err
}

// create makes the run's stream, its first two records and its queues.
func (k *Keeper) create(ctx context.Context, s *runState) error {
	if s.created {
		return nil
	}
	if err := k.createStream(ctx, s); err != nil {
		return err
	}
	if err := publish(ctx, k, s, schemas.RecordRun, 0, schemas.KeyRun, "", []schemas.Run{s.run}); err != nil {
		return err
	}
	base := []schemas.Policy{
		{Checkpoint: s.run.Base, Base: s.run.Base, Status: schemas.StatusBase, Metrics: "{}", Curve: "[]"},
	}
	if err := publish(ctx, k, s, schemas.RecordPolicy, Base, schemas.KeyPolicy, s.run.Base, base); err != nil {
		return err
	}
	for _, row := range k.Line {
		spec := row.Spec()
		opt := broker.PullOptions{AckWait: k.AckWait}
		if _, err := k.Courier.Broker.Pull(ctx, s.run.Name, spec.Name, []string{spec.Filter()}, opt); err != nil {
			return err
		}
	}
	s.created = true
	return nil
}
