package job

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"time"

	"itool/ops/courier"
	"itool/ops/line"
	"itool/stages/policy"
	"itool/stages/policy/model"
)

// Publish starts the run, or finds it started by the same request. A run with the same
// name and other settings is an error that names the settings.
func Publish(ctx context.Context, c *courier.Courier, e *policy.Engine, r Request) error {
	r, err := r.Resolve()
	if err != nil {
		return err
	}
	if err := r.Fits(e.Device()); err != nil {
		return err
	}
	text, digest, err := r.Config.Freeze()
	if err != nil {
		return err
	}
	created := time.Now()
	old, err := c.StartedAs(ctx, r.Name)
	if err != nil {
		return err
	}
	if old != nil {
		if old.ConfigDigest != digest {
			return fmt.Errorf("a run named %s is there with another configuration (%s): give the same settings to "+
				"resume it, or another --name", r.Name, differences(old.Config, text))
		}
		// The time is part of the description: the same bytes need the same time.
		if created, err = time.Parse(time.RFC3339, old.Created); err != nil {
			return fmt.Errorf("run %s: created: %w", r.Name, err)
		}
	}
	return line.Publish(ctx, c, e, line.Request{
		Run: r.Name, Seed: r.Config.Seed, Config: text, Digest: digest, ShardRows: r.Config.Line.ShardRows,
		Base: r.Base, BaseName: r.BaseName, Files: r.Files, Created: created, Traceparent: r.Traceparent,
	})
}

// Resolve replaces the settings that are left to the base model's size.
func (r Request) Resolve() (Request, error) {
	if r.Config.Line.BatchRows == 0 {
		shape, err := model.ReadConfig(r.Base)
		if err != nil {
			return r, fmt.Errorf("base model: %w", err)
		}
		r.Config.Line.BatchRows = line.BatchRowsFor(shape.Parameters())
	}
	return r, nil
}

// Only refuses a courier whose broker holds runs, but not this one. Forks of it do not matter.
func Only(ctx context.Context, c *courier.Courier, name, dir string) error {
	own, err := c.StartedAs(ctx, name)
	if own != nil || err != nil {
		return err
	}
	for m, err := range c.Broker.Started(ctx) {
		if err != nil {
			return err
		}
		if m.Run != name {
			return fmt.Errorf("%s is the folder of run %s: give another --dir", dir, m.Run)
		}
	}
	return nil
}

// differences names up to four settings that differ between two configurations.
func differences(old, now string) string {
	a, b := map[string]string{}, map[string]string{}
	flatten("", old, a)
	flatten("", now, b)
	var out []string
	for k := range b {
		if a[k] != b[k] {
			out = append(out, fmt.Sprintf("%s was %s, is %s", k, a[k], b[k]))
		}
	}
	sort.Strings(out)
	if len(out) > 4 {
		out = append(out[:4], "…")
	}
	return strings.Join(out, "; ")
}

// flatten writes every value of nested JSON objects under its dotted path.
func flatten(path, text string, into map[string]string) {
	var section map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &section) != nil {
		into[strings.TrimPrefix(path, ".")] = text
		return
	}
	for k, v := range section {
		flatten(path+"."+k, string(v), into)
	}
}
