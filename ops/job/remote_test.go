package job_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"sync/atomic"
	"testing"

	"itool/ops/job"
	"itool/ops/serve"
	"itool/ops/site"
	"itool/schemas"
	"itool/stages"
	"itool/stages/policy"
	"itool/stages/policy/policytest"
	"itool/stages/policy/remote"
)

// TestRemoteEngineGivesTheSameRun: a run whose draws and scores come from `itool serve` has the scores, verdicts and
// policies of one that computes them itself, although the server breaks off now and then.
func TestRemoteEngineGivesTheSameRun(t *testing.T) {
	if testing.Short() {
		t.Skip("two whole runs, for some seconds; the full test run does it")
	}
	adapters := t.TempDir()
	s := serve.New(policytest.Open(t, 1), serve.Options{Adapters: os.DirFS(adapters)})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/completions" && asked.Add(1)%23 == 0 {
			panic(http.ErrAbortHandler)
		}
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { server.Close(); stop(); <-done })
	pool, err := remote.New(remote.Options{Addresses: []string{server.URL}, Adapters: adapters})
	if err != nil {
		t.Fatal(err)
	}
	kind, err := pool.Kind(t.Context())
	if err != nil || kind != remote.Itool {
		t.Fatalf("the server is %q (%v)", kind, err)
	}
	own, theirs := searched(t, policy.Own, policy.Options{}), searched(t, kind, policy.Options{Servers: pool})
	if !reflect.DeepEqual(own, theirs) {
		t.Errorf("with the own engine\n%+v\nwith a server\n%+v", own, theirs)
	}
	if len(own.scores) == 0 || len(own.verdicts) == 0 || len(own.policies) != 2 {
		t.Errorf("this tests nothing: %+v", own)
	}
	if asked.Load() < 40 {
		t.Errorf("the server was asked %d times: it did not compute", asked.Load())
	}
}

// records are what a run found out.
type records struct {
	scores   []schemas.Score
	verdicts []schemas.Verdict
	policies []string // digests of their checkpoints
}

// searched is a run of one round with an engine.
func searched(t *testing.T, kind string, o policy.Options) (out records) {
	t.Helper()
	s, err := site.OpenFolder(t.Context(), filepath.Join(t.TempDir(), "site"), site.AnyPort,
		slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	j := newJob(t, s)
	if j.Engine, err = policy.NewEngine(o); err != nil {
		t.Fatal(err)
	}
	j.Slots = 4
	cfg := &j.Config
	cfg.Engine.Kind, cfg.Line.Rounds, cfg.Line.Evaluate, cfg.Split.ValidationShare = kind, 1, "validation", 0.3
	cfg.Expand.Iterations, cfg.Expand.MaxAnswerTokens, cfg.Evaluate.MaxTokens = 2, 48, 48
	cfg.Select.MaxTokens, cfg.Select.HeadroomDraws = 48, 2
	if err := j.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if end, err := j.Work(t.Context()); err != nil || !end.Ended || end.Status != schemas.StatusDone {
		t.Fatalf("the run ends in %+v, %v", end, err)
	}
	out.scores = recorded[schemas.Score](t, j, schemas.RecordScore, 0)
	for round := range 2 {
		for _, p := range recorded[schemas.Policy](t, j, schemas.RecordPolicy, round) {
			out.policies = append(out.policies, p.Checkpoint)
		}
		out.verdicts = append(out.verdicts, recorded[schemas.Verdict](t, j, schemas.RecordVerdict, round)...)
	}
	return out
}

func recorded[R schemas.Record](t *testing.T, j *job.Job, record string, round int) []R {
	t.Helper()
	keys, err := j.Courier.ResultKeys(t.Context(), j.Name, record, round)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := stages.Rows[R](j.Courier.Round(t.Context(), j.Name, record, round, keys))
	if err != nil {
		t.Fatal(err)
	}
	return rows
}
