package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/line"
	"itool/schemas"
	"itool/stages"
)

// If a run differs from a finished one only in the settings of a late stage, everything
// before that stage would be computed a second time. The lab copies those records instead.
//
// A copied record has the bytes that the run would have computed itself. An item's seed
// derives from the run's seed, the record, the key and the round. Policies, inputs and
// datasets are named by their digests. A stage sees only its own section of the
// configuration. The same item gives the same bytes. So two runs with the same seed, base and
// dataset have the same records up to the first stage whose section differs. The name of the
// run and the digest of its configuration occur only in headers, which are written again.
//
// A mistake here would be found. The keeper still opens the tasks, and a worker still
// receives them. The worker finds the existing result, and accepts it only if it answers the
// same input under the same policy; otherwise it reports an error (worker: adopt).
//
// Records are copied into the run's stream before its start message, so that no worker
// computes them meanwhile. A crash may leave a part of them. The next attempt copies the
// rest, perhaps from another run, with the same bytes.

// HeaderReused is the header of a copied record. It names the run that computed the record.
const HeaderReused = "itool-shared"

// link is one step of the chain: a record of a round, and the settings that it depends on in
// addition to those of all earlier links.
type link struct {
	record   string
	round    int
	settings []string // "section" or "section.key"
}

// chain lists the records of a run, each computed from the one before. It has no verdicts and
// no other records about a policy: no record of the chain depends on them.
func chain(table line.Table, rounds int) []link {
	links := linksOf(table, line.Once, 0)
	for r := range rounds {
		links = append(links, linksOf(table, line.EachRound, r)...)
	}
	return links
}

// linksOf are the links of one round, or those before the first round with line.Once.
func linksOf(table line.Table, when line.When, round int) (links []link) {
	for _, row := range table {
		if row.When != when {
			continue
		}
		l := link{row.Spec().Writes, round, row.Settings()}
		if row.Spec().NextRound {
			l.round++
		}
		links = append(links, l)
	}
	return links
}

// commonLinks returns the records that run can copy from donor: the links before the first
// one that differs, and the verdicts on their policies.
func commonLinks(run, donor schemas.Run) ([]link, error) {
	if run.Seed != donor.Seed || run.Base != donor.Base || run.Dataset != donor.Dataset {
		return nil, nil
	}
	a, err := sections(run.Config)
	if err != nil {
		return nil, err
	}
	b, err := sections(donor.Config)
	if err != nil {
		return nil, err
	}
	same := func(settings []string) bool {
		return !slices.ContainsFunc(settings, func(s string) bool { return a.at(s) != b.at(s) })
	}
	table := line.Rows(nil)
	links := chain(table, min(a.rounds(), b.rounds()))
	if !same(links[0].settings) {
		return nil, nil // not even the examples
	}
	var out []link
	verdicts := func(round int) {
		for _, l := range linksOf(table, line.EachPolicy, round) {
			if same(l.settings) {
				out = append(out, l)
			}
		}
	}
	verdicts(line.Base)
	for _, l := range links {
		if !same(l.settings) {
			break
		}
		out = append(out, l)
		if l.record == schemas.RecordPolicy {
			verdicts(l.round)
		}
	}
	return out, nil
}

// frozen is a frozen configuration: section → key → value as text.
type frozen map[string]map[string]json.RawMessage

func sections(config string) (frozen, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal([]byte(config), &all); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	f := frozen{}
	for name, text := range all {
		var keys map[string]json.RawMessage
		if json.Unmarshal(text, &keys) == nil { // fails for the seed, which is no section
			f[name] = keys
		}
	}
	return f, nil
}

// at is the text of a section, or of one key in it: "section" or "section.key".
func (f frozen) at(path string) string {
	section, key, one := strings.Cut(path, ".")
	if one {
		return string(f[section][key])
	}
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(f[section])) {
		fmt.Fprintf(&b, "%s=%s\n", k, f[section][k])
	}
	return b.String()
}

func (f frozen) rounds() (n int) {
	_ = json.Unmarshal(f["line"]["rounds"], &n)
	return n
}

// reuse copies records from the run that has most in common with r. It returns the number of
// records, and the other run's name.
func (l *Lab) reuse(ctx context.Context, r *Run, run schemas.Run, runs map[string]schemas.Run) (
	n int, from string, err error) {
	var best []link
	for _, name := range slices.Sorted(maps.Keys(runs)) {
		links, err := commonLinks(run, runs[name])
		if err != nil {
			return 0, "", fmt.Errorf("run %s: %w", name, err)
		}
		if len(links) <= len(best) {
			continue
		}
		if ok, err := l.reusable(ctx, name); err != nil {
			return 0, "", err
		} else if ok {
			best, from = links, name
		}
	}
	if len(best) == 0 {
		return 0, "", nil
	}
	if err := l.reserve(ctx, r, run, from); err != nil {
		return 0, "", err
	}
	// A worker needs the run's description, and may look for it before the keeper writes it.
	b, err := schemas.Encode(schemas.Header{
		Run: r.Name, Key: schemas.KeyRun, Seed: stages.Seed(run.Seed, "run/run", 0),
		Config: run.ConfigDigest, Worker: "lab",
	}, []schemas.Run{run})
	if err != nil {
		return 0, "", err
	}
	if _, err := l.Courier.Publish(ctx, schemas.RecordRun, b, nil); err != nil {
		return 0, "", err
	}
	for _, k := range best {
		m, err := l.copyRecords(ctx, run, from, k)
		if err != nil {
			return 0, "", fmt.Errorf("copy %s.%d from run %s: %w", k.record, k.round, from, err)
		}
		n += m
	}
	return n, from, nil
}

// reserve makes the run's stream, with room for what is copied from the other run, too.
func (l *Lab) reserve(ctx context.Context, r *Run, run schemas.Run, from string) error {
	if err := line.Reserve(ctx, l.Courier, run); err != nil {
		return err
	}
	other, err := l.Courier.Broker.Usage(ctx, from)
	if err != nil {
		return err
	}
	own, err := l.Courier.Broker.Usage(ctx, r.Name)
	if err != nil {
		return err
	}
	return line.SetQuota(ctx, l.Courier, r.Name, max(own.QuotaBytes, 2*int64(other.Bytes)))
}

// reusable reports whether records may be copied from a run: it is done, no item failed, and
// all records were computed at our kernel level. Another level gives other bytes.
func (l *Lab) reusable(ctx context.Context, run string) (bool, error) {
	end, err := l.Courier.End(ctx, run)
	switch {
	case errors.Is(err, broker.ErrNotExist), errors.Is(err, broker.ErrNoRun):
		return false, nil
	case err != nil:
		return false, err
	case end.Status != schemas.StatusDone && end.Status != schemas.StatusGuard:
		return false, nil
	}
	if failed, err := l.Courier.Broker.Count(ctx, run, "failed.*.*"); err != nil || failed > 0 {
		return false, err
	}
	for _, record := range line.Rows(nil).Records() {
		if record == schemas.RecordExample || record == schemas.RecordPair {
			continue // made without the kernels: the same bytes at every level
		}
		for m, err := range l.Courier.Broker.List(ctx, run, record+".*.*") {
			if err != nil {
				return false, err
			}
			worker := m.Header["itool-worker"] // its name ends with its kernel level
			computed := m.Header[courier.HeaderSeconds] != ""
			if computed && l.Device != "" && !strings.HasSuffix(worker, " "+l.Device) {
				l.Log.Info("a run of another kernel level is not reused", "run", run, "worker", worker)
				return false, nil
			}
		}
	}
	return true, nil
}

// copyRecords copies the records of one link into the run, under its name and configuration.
// It keeps the name of the worker that computed them, and the seconds that it took.
func (l *Lab) copyRecords(ctx context.Context, run schemas.Run, from string, k link) (n int, err error) {
	keys, err := l.Courier.Broker.Keys(ctx, from, k.record, k.round)
	if err != nil {
		return 0, err
	}
	g, c := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for _, key := range keys {
		g.Go(func() error {
			m, err := l.Courier.Broker.Get(c, broker.Address{Run: from, Record: k.record, Round: k.round, Key: key})
			if err != nil {
				return err
			}
			b, err := l.Courier.Open(c, m)
			if err != nil {
				return err
			}
			b.Header.Run, b.Header.Config = run.Name, run.ConfigDigest
			extra := map[string]string{HeaderReused: from}
			// A record that the other run has copied itself keeps its origin.
			for _, h := range []string{courier.HeaderSeconds, HeaderReused} {
				if v := m.Header[h]; v != "" {
					extra[h] = v
				}
			}
			_, err = l.Courier.Publish(c, k.record, b, extra)
			return err
		})
	}
	return len(keys), g.Wait()
}
