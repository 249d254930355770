package line

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/schemas"
	"itool/stages/policy"
	"itool/stages/split"
	"itool/storage"
	"itool/storage/checkpoint"
)

// Request starts a run.
type Request struct {
	Run       string   // name, one token of [A-Za-z0-9_-]
	Seed      uint64   // every random choice derives from it
	Config    string   // the resolved configuration, JSON
	Digest    string   // of Config
	ShardRows int      // rows per split task
	Base      fs.FS    // a Hugging Face folder; what is no part of the model is not stored
	BaseName  string   // by which a user named it, for exports; may be empty
	Files     []string // dataset files
	Created   time.Time

	Traceparent string // of the span that publishes it, for traces; may be empty
}

// Publish stores the base model and the dataset, then starts the run: a keeper does the rest.
// Everything is checked before the start message is written, so a run that starts has all that it
// needs. Publishing the same request again is no error; another request under the same name is.
func Publish(ctx context.Context, c *courier.Courier, engine *policy.Engine, req Request) error {
	run, err := Prepare(ctx, c, engine, req)
	if err != nil {
		return err
	}
	return StartTraced(ctx, c, run, req.Traceparent)
}

// Prepare is the first half of Publish: it checks and stores everything that the run needs and
// returns its description. It does not start the run.
func Prepare(ctx context.Context, c *courier.Courier, engine *policy.Engine, req Request) (schemas.Run, error) {
	if err := schemas.ValidName(req.Run); err != nil {
		return schemas.Run{}, fmt.Errorf("run name: %w", err)
	}
	if len(req.Files) == 0 {
		return schemas.Run{}, errors.New("publish: no dataset file was given")
	}
	cfg, err := req.splitConfig()
	if err != nil {
		return schemas.Run{}, err
	}
	if err := CheckFileNames(req.Files, cfg); err != nil {
		return schemas.Run{}, err
	}
	store, err := identity(ctx, c)
	if err != nil {
		return schemas.Run{}, err
	}
	// Check the base before anything is stored, so that a broken one leaves nothing behind.
	folder, err := checkBase(engine, req.Base, cfg)
	if err != nil {
		return schemas.Run{}, fmt.Errorf("base model: %w", err)
	}
	shards, err := publishFiles(ctx, c.Store, req.Files, req.ShardRows, cfg.Options())
	if err != nil {
		return schemas.Run{}, err
	}
	base, err := checkpoint.ImportDir(ctx, c.Store, courier.Checkpoints, folder)
	if err != nil {
		return schemas.Run{}, fmt.Errorf("store base model: %w", err)
	}
	if err := c.SaveBaseName(ctx, req.Run, req.BaseName); err != nil {
		return schemas.Run{}, err
	}
	dataset, err := json.Marshal(shards)
	if err != nil {
		return schemas.Run{}, err
	}
	return schemas.Run{
		Name: req.Run, Created: req.Created.UTC().Format(time.RFC3339), Seed: req.Seed,
		Config: req.Config, ConfigDigest: req.Digest, Base: base.Digest(), Dataset: string(dataset),
		Store: store,
	}, nil
}

// identity names the store in the run's record, so that a worker with another store takes no
// item of the run.
func identity(ctx context.Context, c *courier.Courier) (string, error) {
	id, err := c.StoreID(ctx)
	if errors.Is(err, storage.ErrNotExist) {
		return "", fmt.Errorf("publish: %v has no identity yet, by which workers tell it from other stores: "+
			"`itool doctor --create --store …` gives it one", c.Store)
	}
	if err != nil {
		return "", fmt.Errorf("publish: identity of the store: %w", err)
	}
	return id, nil
}

// Start is the second half of Publish: it writes the message that wakes the keeper.
func Start(ctx context.Context, c *courier.Courier, run schemas.Run) error {
	return StartTraced(ctx, c, run, "")
}

// StartTraced is Start under a span, which all records of the run then name.
func StartTraced(ctx context.Context, c *courier.Courier, run schemas.Run, traceparent string) error {
	h := schemas.Header{
		Run: run.Name, Key: schemas.KeyRun, Seed: run.Seed, Config: run.ConfigDigest, Policy: run.Base,
		Traceparent: traceparent,
	}
	b, err := schemas.Encode(h, []schemas.Run{run})
	if err != nil {
		return err
	}
	if err := Reserve(ctx, c, run); err != nil && !errors.Is(err, broker.ErrDenied) {
		return fmt.Errorf("publish: %w", err) // who may only start runs learns of a full server from the keeper
	}
	err = c.Broker.Start(ctx, run.Name, b.Header.Map(), b.Body)
	if errors.Is(err, broker.ErrExists) {
		if old, oldErr := c.StartedAs(ctx, run.Name); oldErr == nil && old != nil && sameRun(*old, run) {
			return nil
		}
		return fmt.Errorf("a run named %s exists with another dataset, base or configuration: choose another name",
			run.Name)
	}
	if err != nil {
		return err
	}
	_ = c.Broker.Announce(ctx, broker.Hint, run.Name, nil)
	return nil
}

// sameRun reports whether a run is the one that was started before, perhaps by the version of itool
// that did not name the store.
func sameRun(old, run schemas.Run) bool {
	if old.Store == "" {
		run.Store = ""
	}
	return old == run
}

// splitConfig is the section split of the run's configuration.
func (req Request) splitConfig() (split.Config, error) {
	cfg := struct{ Split split.Config }{split.Default()}
	if err := json.Unmarshal([]byte(req.Config), &cfg); err != nil {
		return cfg.Split, fmt.Errorf("configuration: %w", err)
	}
	return cfg.Split, nil
}

// BaseFolder is the folder of a base as a run stores it: without what does not belong to a base, and with another
// chat template if the tools belong in the system message.
func BaseFolder(folder fs.FS, cfg split.Config) (base fs.FS, err error) {
	if base, err = onlyBase(folder); err != nil || cfg.ToolsIn != split.ToolsInSystem {
		return base, err
	}
	return policy.ToolsInSystem(base)
}

// checkBase opens the base and returns its folder as the run stores it.
func checkBase(engine *policy.Engine, base fs.FS, cfg split.Config) (folder fs.FS, err error) {
	if base, err = BaseFolder(base, cfg); err != nil {
		return nil, err
	}
	p, err := engine.Check(base)
	if err != nil {
		return nil, err
	}
	return base, split.CheckBase(p, cfg)
}

// excludedFiles are the files that exclusions name, each once.
func excludedFiles(cfg split.Config) (names []string) {
	for _, x := range cfg.Exclude {
		if !slices.Contains(names, x.Source) {
			names = append(names, x.Source)
		}
	}
	return names
}

// CheckFileNames refuses settings that name a file that is none of files, or two of them at once:
// with a misspelt name nothing would be held out.
func CheckFileNames(files []string, cfg split.Config) error {
	var names []string
	for _, f := range files {
		names = append(names, shardName(f))
	}
	for _, s := range []struct {
		setting string
		wanted  []string
	}{
		{"test_files", cfg.TestFiles}, {"validation_files", cfg.ValidationFiles},
		{"weights", slices.Sorted(maps.Keys(cfg.Weights))}, {"exclude", excludedFiles(cfg)},
	} {
		for _, name := range s.wanted {
			n := 0
			for _, other := range names {
				if other == name {
					n++
				}
			}
			switch {
			case n == 0:
				return fmt.Errorf("split.%s: no published file is named %q; the files are: %s",
					s.setting, name, strings.Join(names, ", "))
			case n > 1:
				return fmt.Errorf("split.%s: %d published files are named %q: rename them, so that one can be meant",
					s.setting, n, name)
			}
		}
	}
	return nil
}

// shardName is the name of a dataset file in its examples.
func shardName(path string) string { return strings.ToValidUTF8(filepath.Base(path), "_") }
