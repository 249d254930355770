package courier

import (
	"context"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"itool/storage"
)

// maxBaseName is how many bytes of a base's name are kept.
const maxBaseName = 1024

// BaseNameKey is where the store has the name of a run's base.
func BaseNameKey(run string) string { return "runs/" + run + "/bodies/base-name" }

// SaveBaseName keeps the name by which a user named the base of a run, such as a folder, for exports: nothing of
// the run depends on it. The first one stays. An empty name is not kept.
func (c *Courier) SaveBaseName(ctx context.Context, run, name string) error {
	if name == "" {
		return nil
	}
	name = name[:min(len(name), maxBaseName)]
	_, err := c.Store.PutIfAbsent(ctx, BaseNameKey(run), strings.NewReader(name), int64(len(name)))
	if errors.Is(err, storage.ErrExists) {
		return nil
	}
	return Infra(ctx, err)
}

// BaseName is the name that SaveBaseName kept; empty: none, as for runs of earlier versions.
func (c *Courier) BaseName(ctx context.Context, run string) (string, error) {
	r, _, err := c.Store.Get(ctx, BaseNameKey(run))
	if errors.Is(err, storage.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", Infra(ctx, err)
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxBaseName))
	if err != nil {
		return "", Infra(ctx, err)
	}
	if !utf8.Valid(text) {
		return "", nil
	}
	return string(text), nil
}
