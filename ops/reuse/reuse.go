// Package reuse copies records from one run to another that would compute the same: for the arms of a
// lab, and for a run that is forked from a round of another.
//
//	links, err := reuse.Common(run, donor)
//	n, err := reuse.Copy(ctx, c, run, donor.Name, links)
//	err = line.Start(ctx, c, run)
//
// It does not know what the stages do: which record depends on which settings is in line.Rows.
package reuse

import (
	"context"
	"encoding/json"
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
// before that stage would be computed a second time. They are copied instead.
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

// Header is the header of a copied record. It names the run that computed the record.
const Header = "itool-shared"

// Link is one step of the chain of a run: a record of a round.
type Link struct {
	Record   string
	Round    int
	settings []string // that it depends on beside those of all earlier links: "section" or "section.key"
}

// chain lists the records of a run, each computed from the one before. It has no verdicts and
// no other records about a policy: no record of the chain depends on them.
func chain(table line.Table, rounds int) []Link {
	links := linksOf(table, line.Once, 0)
	for r := range rounds {
		links = append(links, linksOf(table, line.EachRound, r)...)
	}
	return links
}

// linksOf are the links of one round, or those before the first round with line.Once.
func linksOf(table line.Table, when line.When, round int) (links []Link) {
	for _, row := range table {
		if row.When != when {
			continue
		}
		l := Link{row.Spec().Writes, round, row.Settings()}
		if row.Spec().NextRound {
			l.Round++
		}
		links = append(links, l)
	}
	return links
}

// Common returns the records that run can copy from donor: the links before the first
// one that differs, and the verdicts on their policies.
func Common(run, donor schemas.Run) ([]Link, error) { return common(run, donor, frozen.rounds) }

// common is Common of the first rounds of both runs: of as many as both have by rounds.
func common(run, donor schemas.Run, rounds func(frozen) int) ([]Link, error) {
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
	links := chain(table, min(rounds(a), rounds(b)))
	if !same(links[0].settings) {
		return nil, nil // not even the examples
	}
	var out []Link
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
		if l.Record == schemas.RecordPolicy {
			verdicts(l.Round)
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
	f := frozen{"engine": {"kind": json.RawMessage(`"own"`)}} // of runs from before the section
	for name, text := range all {
		var keys map[string]json.RawMessage
		if json.Unmarshal(text, &keys) != nil { // the seed, which is no section
			keys = map[string]json.RawMessage{"": text}
		}
		f[name] = keys
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

// Records is how many records of the links a run has: a run that was cancelled early has few, however many it was to
// have.
func Records(ctx context.Context, c *courier.Courier, run string, links []Link) (n int, err error) {
	for _, k := range links {
		m, err := c.Broker.Count(ctx, run, fmt.Sprintf("%s.%d.*", k.Record, k.Round))
		if err != nil {
			return 0, err
		}
		n += m
	}
	return n, nil
}

// Copy makes the stream of a run that is not started yet and copies links of another run into it. It
// returns the number of records. Repeating it after an error copies the rest.
func Copy(ctx context.Context, c *courier.Courier, run schemas.Run, from string, links []Link) (n int, err error) {
	if err := reserve(ctx, c, run, from); err != nil {
		return 0, err
	}
	// A worker needs the run's description, and may look for it before the keeper writes it.
	b, err := schemas.Encode(schemas.Header{
		Run: run.Name, Key: schemas.KeyRun, Seed: stages.Seed(run.Seed, "run/run", 0),
		Config: run.ConfigDigest, Worker: "copied",
	}, []schemas.Run{run})
	if err != nil {
		return 0, err
	}
	if _, err := c.Publish(ctx, schemas.RecordRun, b, nil); err != nil {
		return 0, err
	}
	for _, k := range links {
		m, err := copyRecords(ctx, c, run, from, k)
		if err != nil {
			return 0, fmt.Errorf("copy %s.%d from run %s: %w", k.Record, k.Round, from, err)
		}
		n += m
	}
	return n, nil
}

// reserve makes the run's stream, with room for what is copied from the other run, too.
func reserve(ctx context.Context, c *courier.Courier, run schemas.Run, from string) error {
	if err := line.Reserve(ctx, c, run); err != nil {
		return err
	}
	other, err := c.Broker.Usage(ctx, from)
	if err != nil {
		return err
	}
	own, err := c.Broker.Usage(ctx, run.Name)
	if err != nil {
		return err
	}
	return line.SetQuota(ctx, c, run.Name, max(own.QuotaBytes, 2*int64(other.Bytes)))
}

// copyRecords copies the records of one link into the run, under its name and configuration.
// It keeps the name of the worker that computed them, and the seconds that it took.
func copyRecords(
	ctx context.Context, c *courier.Courier, run schemas.Run, from string, k Link,
) (n int, err error) {
	keys, err := c.Broker.Keys(ctx, from, k.Record, k.Round)
	if err != nil {
		return 0, err
	}
	g, groupCtx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for _, key := range keys {
		g.Go(func() error {
			m, err := c.Broker.Get(groupCtx, broker.Address{Run: from, Record: k.Record, Round: k.Round, Key: key})
			if err != nil {
				return err
			}
			b, err := c.Open(groupCtx, m)
			if err != nil {
				return err
			}
			b.Header.Run, b.Header.Config = run.Name, run.ConfigDigest
			extra := map[string]string{Header: from}
			// A record that the other run has copied itself keeps its origin.
			for _, h := range []string{courier.HeaderSeconds, Header} {
				if v := m.Header[h]; v != "" {
					extra[h] = v
				}
			}
			_, err = c.Publish(groupCtx, k.Record, b, extra)
			return err
		})
	}
	return len(keys), g.Wait()
}
