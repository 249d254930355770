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

// A run that differs from a finished one only in the settings of a late stage would
// compute everything before it a second time. It takes those records instead.
//
// Why a taken record is what the run would have computed itself: an item's seed derives
// from the run's seed, the record, the key and the round; policies, inputs and datasets
// go by their digests; a stage sees its own section of the configuration and no other;
// and the same item gives the same bytes. So two runs with the same seed, base and
// dataset have the same records up to the first stage whose section differs. Names of
// runs and digests of whole configurations stand in headers only, and are written anew.
//
// Why a mistake here would show: the tasks are still opened by the keeper, and delivered
// to a worker, who finds the result there and adopts it only when it answers the same
// input under the same policy; anything else is an error (worker: adopt).
//
// Records are put into the run's stream before its start message, so that nobody
// computes meanwhile what is about to come. A crash in between leaves some of them; the
// next try writes the rest, perhaps from another run, with the same bytes.

// HeaderReused names the run whose worker made a record that was taken over.
const HeaderReused = "itool-shared"

// link is one step of the chain: a record of a round, and the settings that it depends
// on beside those of all links before it.
type link struct {
	record   string
	round    int
	settings []string // "section" or "section.key"
}

// chain is what a run writes, in the order in which one follows from the other. What is made
// of every policy, such as its verdicts, is not in it.
func chain(table line.Table, rounds int) []link {
	links := linksOf(table, line.Once, 0)
	for r := range rounds {
		links = append(links, linksOf(table, line.EachRound, r)...)
	}
	return links
}

// linksOf are the links of one round of the line.
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

// commonLinks returns the records that run can take from donor: those of the links up to the
// first that differs, and the verdicts on their policies.
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

// frozen are the sections of a frozen configuration, as text.
type frozen map[string]map[string]json.RawMessage

func sections(config string) (frozen, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal([]byte(config), &all); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	f := frozen{}
	for name, text := range all {
		var keys map[string]json.RawMessage
		if json.Unmarshal(text, &keys) == nil { // the seed is no section
			f[name] = keys
		}
	}
	return f, nil
}

// at is the text of a section or of one key in it.
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

// reuse copies what can be taken from the run that has most of it.
func (l *Lab) reuse(ctx context.Context, r *Run, run schemas.Run, runs map[string]schemas.Run) (n int, from string, err error) {
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
	if err := l.Courier.Broker.CreateRun(ctx, r.Name, r.Config.Line.StreamMaxByte); err != nil {
		return 0, "", err
	}
	// A worker needs the description, and may look before the keeper has come.
	b, err := schemas.Encode(schemas.Header{Run: r.Name, Key: schemas.KeyRun, Seed: stages.Seed(run.Seed, "run/run", 0), Config: run.ConfigDigest, Worker: "lab"}, []schemas.Run{run})
	if err != nil {
		return 0, "", err
	}
	if _, err := l.Courier.Publish(ctx, schemas.RecordRun, b, nil); err != nil {
		return 0, "", err
	}
	for _, k := range best {
		m, err := l.copyRecords(ctx, run, from, k)
		if err != nil {
			return 0, "", fmt.Errorf("take %s.%d from run %s: %w", k.record, k.round, from, err)
		}
		n += m
	}
	return n, from, nil
}

// reusable tells whether a run may be taken from: it ran to its end, nothing in it failed,
// and all of it was made at our kernel level, whose bytes are its own.
func (l *Lab) reusable(ctx context.Context, run string) (bool, error) {
	end, _, err := courier.Rows[schemas.End](ctx, l.Courier, run, schemas.RecordEnd, 0, schemas.KeyEnd)
	switch {
	case errors.Is(err, broker.ErrNotExist), errors.Is(err, broker.ErrNoRun):
		return false, nil
	case err != nil:
		return false, err
	case len(end) != 1 || end[0].Status != schemas.StatusDone && end[0].Status != schemas.StatusGuard:
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
			if m.Header[courier.HeaderSeconds] != "" && l.Device != "" && !strings.HasSuffix(m.Header["itool-worker"], " "+l.Device) {
				l.Log.Info("nothing is taken from a run of another kernel level", "run", run, "worker", m.Header["itool-worker"])
				return false, nil
			}
		}
	}
	return true, nil
}

// copyRecords puts the records of one link into the run, under its name and configuration.
// Who made them, and in how much time, stays.
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
			for _, h := range []string{courier.HeaderSeconds, HeaderReused} { // a maker of its own goes before from
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
