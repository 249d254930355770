package line

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"itool/broker"
	"itool/ops/courier"
	"itool/schemas"
	"itool/stages"
)

// runState is what the keeper has read of a run. All of it is write-once in the
// stream, so it may be remembered for ever and lost at any time.
type runState struct {
	start broker.Message // without its body; another message under the name is another run
	state State          // of the last step

	read   bool // the start message
	run    schemas.Run
	cfg    Config
	shards []schemas.Shard

	created  bool
	keys     map[string][]string     // manifest keys of the open rounds, by "<result>.<round>"
	opened   map[string]bool         // all tasks of "<result>.<round>" are in the stream
	closed   map[string]bool         // "<result>.<round>" is gathered, or its only record is there
	policies map[int]*schemas.Policy // what the line asks of a policy
	counted  bool
	replay   int            // examples in the replay buffer
	cases    int            // examples to evaluate
	parts    map[string]int // examples by part
}

// runState returns what is remembered of the run, a new one when the name was given to another run.
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

// forget frees what an ended run does not need.
func (s *runState) forget() {
	*s = runState{start: s.start, state: s.state, read: s.read, run: schemas.Run{Name: s.run.Name}, cfg: s.cfg}
}

// open reads the start message. One that nobody will ever understand fails its run;
// one that another version may understand stalls it.
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
		return junk(err)
	case len(rows) != 1:
		return junk(fmt.Errorf("it holds %d rows instead of one", len(rows)))
	case batch.Header.Run != start.Run || rows[0].Name != start.Run:
		return junk(fmt.Errorf("it says run %q in its header and %q in its row", batch.Header.Run, rows[0].Name))
	}
	var sections struct{ Line json.RawMessage }
	if err := json.Unmarshal([]byte(rows[0].Config), &sections); err != nil {
		return junk(fmt.Errorf("configuration: %w", err))
	}
	cfg := Default()
	err = stages.Input{Config: sections.Line}.Decode(&cfg)
	if err == nil {
		err = cfg.Validate()
	}
	if err != nil {
		return errStalled{fmt.Sprintf("section line: %v: a keeper of the version that published the run understands it", err)}
	}
	shards, err := readShards(rows[0].Dataset)
	if err != nil {
		return junk(fmt.Errorf("dataset: %w", err))
	}
	s.run, s.cfg, s.shards, s.read = rows[0], cfg, shards, true
	s.keys, s.opened, s.closed, s.policies = map[string][]string{}, map[string]bool{}, map[string]bool{}, map[int]*schemas.Policy{}
	return nil
}

func junk(err error) error {
	return errFailed{fmt.Sprintf("the start message is damaged or foreign: %v; publish the run again under another name", err)}
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

// create makes the run's stream, its first two records and its queues.
func (k *Keeper) create(ctx context.Context, s *runState) error {
	if s.created {
		return nil
	}
	if err := k.Courier.Broker.CreateRun(ctx, s.run.Name, s.cfg.StreamMaxByte); err != nil {
		return err
	}
	if err := publish(ctx, k, s, schemas.RecordRun, 0, schemas.KeyRun, "", []schemas.Run{s.run}); err != nil {
		return err
	}
	base := schemas.Policy{Checkpoint: s.run.Base, Base: s.run.Base, Status: schemas.StatusBase, Metrics: "{}", Curve: "[]"}
	if err := publish(ctx, k, s, schemas.RecordPolicy, Base, schemas.KeyPolicy, s.run.Base, []schemas.Policy{base}); err != nil {
		return err
	}
	for _, row := range k.Line {
		spec := row.Spec()
		if _, err := k.Courier.Broker.Pull(ctx, s.run.Name, spec.Name, []string{spec.Filter()}, broker.PullOptions{AckWait: k.AckWait}); err != nil {
			return err
		}
	}
	s.created = true
	return nil
}
