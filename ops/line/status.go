package line

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"itool/broker"
	"itool/ops/courier"
)

// Status is what the run's keeper says of a run that goes on: why it does not, and what was ignored. It is
// kept at the broker and renewed; it disappears when there is no keeper.
type Status struct {
	Stalled string   `json:"stalled,omitempty"` // why a person must act, and how; "": nothing of the kind
	Waiting []string `json:"waiting,omitempty"` // what may go on by itself, and what helps; sorted
	Foreign int      `json:"foreign,omitempty"` // messages in open rounds that are no items
	Refused int      `json:"refused,omitempty"` // invalid results of open rounds
	Keeper  string   `json:"keeper"`            // who says so
}

// NoKeeper is what a run waits for that has no status.
const NoKeeper = "waiting: keeper: no keeper looks after this run: start `itool work keeper`, or `itool up`; " +
	"a run of `itool run` goes on with the same command, or `itool resume`"

// ReadStatus reads a run's status; nil: no keeper has renewed it for a minute.
func ReadStatus(ctx context.Context, c *courier.Courier, run string) (*Status, error) {
	text, err := c.Broker.State(ctx, run)
	if errors.Is(err, broker.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var s Status
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("status of run %s: %w", run, err)
	}
	return &s, nil
}

const (
	renewEvery = broker.StateLife / 4
	// idleEvery is how often a keeper looks for queues without workers.
	idleEvery = 5 * time.Second
	maxReason = 2000 // characters of a reason
)

// noWorkerAfter is how long items may wait while none is in work before the keeper says that no worker takes
// them. Workers that are started by the depth of the queue need longer, but then it is true so long.
const noWorkerAfter = 30 * time.Second

// publishStatus renews the run's status. It is no failure of the run if that fails.
func (k *Keeper) publishStatus(ctx context.Context, s *runState, st State, err error) {
	if ctx.Err() != nil {
		return
	}
	if st.Ended || errors.Is(err, broker.ErrNoRun) {
		st.Run, st.Ended = s.run.Name, true
		k.observe(s, st, Status{})
		return
	}
	status := Status{Stalled: clip(st.Stalled), Keeper: k.Worker}
	if err != nil {
		status.Waiting = append(status.Waiting, waitingFor(err))
	}
	if err == nil && st.Stalled == "" {
		status.Waiting = append(status.Waiting, k.unserved(ctx, s)...)
	}
	for _, t := range s.tallies {
		status.Foreign += t.foreign
		for _, n := range t.refused {
			status.Refused += n
		}
	}
	slices.Sort(status.Waiting)
	k.observe(s, st, status)
	text, err := json.Marshal(status)
	if err != nil || string(text) == s.said && time.Since(s.saidAt) < renewEvery {
		return
	}
	if err := k.Courier.Broker.SetState(ctx, st.Run, text); err != nil {
		k.Log.Warn("the state of the run was not renewed", "run", st.Run, "error", err)
		return
	}
	s.said, s.saidAt = string(text), time.Now()
}

// renew writes the last status again if it is old: a step may take minutes.
func (k *Keeper) renew(ctx context.Context, s *runState) {
	if time.Since(s.saidAt) < renewEvery {
		return
	}
	if s.said == "" {
		text, err := json.Marshal(Status{Keeper: k.Worker})
		if err != nil {
			return
		}
		s.said = string(text)
	}
	if err := k.Courier.Broker.SetState(ctx, s.run.Name, []byte(s.said)); err == nil {
		s.saidAt = time.Now()
	}
}

// waitingFor says what an error of a step waits for. The keeper tries again.
func waitingFor(err error) string {
	var lost *lostError
	text := err.Error()
	switch {
	case errors.As(err, &lost):
		text += ": bring the object back, or start the run again under another name"
	case strings.Contains(text, "broker: "):
		text = "waiting: broker: " + text
	case isStoreError(err):
		text = "waiting: store: " + text + ": bring the store back; nothing fails meanwhile"
	default:
		text = "waiting: keeper: " + text + ": it tries again; if that does not help, look into its log"
	}
	return clip(text)
}

func isStoreError(err error) bool {
	var infra *courier.InfraError
	return errors.As(err, &infra) || strings.Contains(err.Error(), "storage")
}

func clip(text string) string {
	text = strings.ToValidUTF8(text, "�")
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	return text
}

// queueView is what a keeper saw of a queue.
type queueView struct {
	pending int
	since   time.Time // since when items wait and none is in work
}

// unserved names the stages whose items no worker takes. It looks every idleEvery, and says the same in between.
func (k *Keeper) unserved(ctx context.Context, s *runState) []string {
	patience := k.NoWorkerAfter
	if patience == 0 {
		patience = noWorkerAfter
	}
	if time.Since(s.queuesAt) <= min(idleEvery, patience/2) {
		return s.unserved
	}
	s.queuesAt = time.Now()
	queues, _ := k.Courier.Broker.Queues(ctx, s.run.Name) // none: nothing is known to wait
	if s.queues == nil {
		s.queues = map[string]queueView{}
	}
	late := false
	for _, row := range k.Line {
		stage := row.Spec().Name
		pending := queues[stage].Pending
		seen, known := s.queues[stage]
		switch {
		case pending == 0 || queues[stage].InFlight > 0 || known && pending < seen.pending:
			delete(s.queues, stage) // it is served
		case !known:
			s.queues[stage] = queueView{pending, time.Now()}
		default:
			s.queues[stage] = queueView{pending, seen.since}
			late = late || time.Since(seen.since) > patience
		}
	}
	s.unserved = nil
	if !late {
		return nil
	}
	// A worker may be there and busy: its slots are full, or it does that stage for another run. A warm-up may last an
	// hour, and one more worker is no remedy then. A worker that does not answer takes nothing.
	if time.Since(k.workingAt) > min(idleEvery, patience/2) { // asking takes a third of a second
		k.working, _ = k.Courier.Working(ctx)
		k.workingAt = time.Now()
	}
	for _, w := range k.working {
		delete(s.queues, w.Stage)
	}
	for stage, q := range s.queues {
		if time.Since(q.since) > patience {
			why := fmt.Sprintf("waiting: worker: no worker takes %s, for which %d items wait: ", stage, q.pending)
			s.unserved = append(s.unserved, why+"start `itool work "+stage+"`; one that runs may have another store, "+
				"which it says")
		}
	}
	return s.unserved
}
