package access_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"itool/broker"
	"itool/broker/brokertest"
	"itool/ops/access"
	"itool/ops/line"
	"itool/schemas"
	"itool/stages"
)

const run = "r"

// site is a server with the users of all roles, and one run with a record of each kind.
type site struct {
	url   string
	roles []access.Role
	as    map[string]*broker.Broker
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{roles: access.Roles(line.Rows(nil)), as: map[string]*broker.Broker{}}
	t.Setenv("NATS_SYS_PASSWORD", "p-sys")
	for _, r := range s.roles {
		t.Setenv(access.PasswordVariable(r.Name), "p-"+r.Name)
	}
	s.url = brokertest.ConfiguredServer(t, access.NATS(s.roles))
	for _, r := range s.roles {
		b, err := broker.Connect(t.Context(), broker.Config{
			URL: s.url, User: r.Name, Password: "p-" + r.Name, InboxToken: r.Name, Timeout: 2 * time.Second,
		})
		if err != nil {
			t.Fatalf("%s: %v", r.Name, err)
		}
		t.Cleanup(b.Close)
		s.as[r.Name] = b
	}
	return s
}

// TestMatrix: each role does what its work needs, and is refused everything else.
func TestMatrix(t *testing.T) {
	s := newSite(t)
	s.open(t)
	table := line.Rows(nil)
	for _, act := range s.acts(table) {
		var wait sync.WaitGroup // what is denied goes unanswered: all roles wait at once
		for _, r := range s.roles {
			wait.Go(func() { s.try(t, act, r.Name) })
		}
		wait.Wait()
	}
}

func (s *site) try(t *testing.T, act act, role string) {
	may := slices.Contains(act.by, role)
	err := act.do(t.Context(), s.as[role], role)
	for again := 0; may && errors.Is(err, broker.ErrUnavailable) && again < 5; again++ { // a slow machine
		err = act.do(t.Context(), s.as[role], role)
	}
	switch {
	case may && err != nil:
		t.Errorf("%s must be able to %s: %v", role, act.what, err)
	case !may && err == nil:
		t.Errorf("%s could %s", role, act.what)
	case !may && !errors.Is(err, broker.ErrDenied):
		t.Errorf("%s tries to %s: %v, want ErrDenied", role, act.what, err)
	}
}

// open does what happens before workers come: the publisher starts the run, the keeper opens it.
func (s *site) open(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	keeper := s.as[access.Keeper]
	for _, err := range []error{
		keeper.EnsureShared(ctx),
		s.as[access.Publisher].CreateRun(ctx, run, 1<<20),
		s.as[access.Publisher].Start(ctx, run, nil, []byte("x")),
		keeper.CreateRun(ctx, run, 1<<20),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, stage := range line.Stages(nil) {
		spec := stage.Spec()
		if _, err := keeper.Pull(ctx, run, spec.Name, []string{spec.Filter()}, broker.PullOptions{}); err != nil {
			t.Fatal(err)
		}
		at := broker.Address{Run: run, Record: spec.Wakes, Key: "first"}
		if spec.Gather {
			at = broker.Address{Run: run, Record: schemas.RecordGather, Key: spec.Wakes}
		}
		if _, err := keeper.Publish(ctx, at, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// act is something that only some roles may do.
type act struct {
	what string
	by   []string
	do   func(ctx context.Context, b *broker.Broker, role string) error
}

func (s *site) acts(table line.Table) (all []act) {
	everybody := make([]string, len(s.roles))
	for i, r := range s.roles {
		everybody[i] = r.Name
	}
	all = append(all,
		act{"list runs", everybody, func(ctx context.Context, b *broker.Broker, _ string) error {
			return errors.Join(second(b.Runs(ctx)), each(b.Started(ctx)))
		}},
		act{"read how a run goes on", everybody, func(ctx context.Context, b *broker.Broker, _ string) error {
			_, err := b.Get(ctx, broker.Address{Run: run, Record: schemas.RecordEnd, Key: "none"})
			if !errors.Is(err, broker.ErrNotExist) {
				return err
			}
			return errors.Join(second(b.Keys(ctx, run, schemas.RecordManifest, 0)), second(b.Queues(ctx, run)),
				second(b.Usage(ctx, run)), b.Announce(ctx, broker.Hint, run, nil))
		}},
		act{"start a run", []string{access.Publisher, access.Operator},
			func(ctx context.Context, b *broker.Broker, role string) error {
				return errors.Join(b.CreateRun(ctx, "of-"+role, 1<<20), b.Start(ctx, "of-"+role, nil, nil))
			}},
		act{"set a quota", []string{access.Keeper, access.Operator},
			func(ctx context.Context, b *broker.Broker, _ string) error { return b.SetQuota(ctx, run, 2<<20) }},
		act{"show a run's state", []string{access.Keeper, access.Operator},
			func(ctx context.Context, b *broker.Broker, _ string) error { return b.SetState(ctx, run, []byte("x")) }},
		act{"delete a run", []string{access.Operator},
			func(ctx context.Context, b *broker.Broker, role string) error { return b.DeleteRun(ctx, "not-there") }},
	)
	for _, record := range append(table.Records(), schemas.RecordManifest, schemas.RecordGather, schemas.RecordRoot,
		schemas.RecordCancel, schemas.RecordEnd) {
		all = append(all, s.write(table, record))
	}
	for _, stage := range table.Stages() {
		all = append(all, s.take(stage.Spec()))
	}
	return all
}

// write is publishing a record.
func (s *site) write(table line.Table, record string) act {
	by := []string{access.Keeper, access.Operator}
	if record == schemas.RecordCancel {
		by = append(by, access.Publisher)
	}
	for _, stage := range table.Stages() {
		if stage.Spec().Writes == record {
			by = append(by, stage.Spec().Name)
		}
	}
	return act{"write " + record, by, func(ctx context.Context, b *broker.Broker, role string) error {
		_, err := b.Publish(ctx, broker.Address{Run: run, Record: record, Round: 7, Key: role}, nil, nil)
		return err
	}}
}

// take is taking an item and giving it back. The queue of the stage holds one.
func (s *site) take(spec stages.Spec) act {
	by := []string{spec.Name, access.Operator}
	return act{"take items of " + spec.Name, by,
		func(ctx context.Context, b *broker.Broker, role string) error {
			p, err := b.Pull(ctx, run, spec.Name, []string{spec.Filter()}, broker.PullOptions{})
			if err != nil {
				return err
			}
			d, err := p.Next(ctx)
			for errors.Is(err, broker.ErrEmpty) && slices.Contains(by, role) { // another role has it at the moment
				time.Sleep(10 * time.Millisecond)
				d, err = p.Next(ctx)
			}
			if err != nil {
				return err
			}
			err = errors.Join(d.Heartbeat(ctx), second(d.FailedAttempts(ctx)))
			if err == nil && spec.Gather { // while this role alone has the item
				var l *broker.Lease
				if l, err = b.Acquire(ctx, fmt.Sprintf("%s-%s-0", run, spec.Name), role, 2*time.Second); err == nil {
					err = errors.Join(l.Renew(ctx), l.Release(ctx))
				}
			}
			err = errors.Join(err, d.HandBack(ctx))
			return err
		}}
}

// TestInboxes: a role cannot read the answers that another one gets.
func TestInboxes(t *testing.T) {
	s := newSite(t)
	b, err := broker.Connect(t.Context(), broker.Config{
		URL: s.url, User: "filter", Password: "p-filter", InboxToken: "update", Timeout: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := b.Runs(t.Context()); !errors.Is(err, broker.ErrDenied) {
		t.Errorf("with the inbox of another role: %v, want ErrDenied", err)
	}
}

// TestNoSecret: the configuration holds names of variables, no passwords, and one user per role.
func TestNoSecret(t *testing.T) {
	roles := access.Roles(line.Rows(nil))
	text := access.NATS(roles)
	for _, r := range roles {
		if want := "user: " + r.Name + ", password: $" + access.PasswordVariable(r.Name) + " }"; !strings.Contains(
			strings.ReplaceAll(text, "\n        permissions", " }"), want) {
			t.Errorf("no %s", want)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func each[T any](all func(func(T, error) bool)) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}
