package disk

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"itool/storage"
)

// List walks the folders that can contain keys with the prefix; see storage.Store. A
// damaged file is listed too, with a size that may be wrong; Get says what is wrong.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) {
		if err := storage.CheckPrefix(prefix); err != nil {
			yield(storage.Info{}, fmt.Errorf("storage/disk: list: %w", err))
			return
		}
		folder, _ := path.Split(prefix)
		s.walk(ctx, strings.TrimSuffix(folder, "/"), prefix, yield)
	}
}

// walk yields the objects in folder whose key begins with prefix. It returns false to end
// the whole walk.
func (s *Store) walk(ctx context.Context, folder, prefix string, yield func(storage.Info, error) bool) bool {
	fail := func(err error) bool {
		yield(storage.Info{}, fmt.Errorf("storage/disk: list %s: %w", prefix, err))
		return false
	}
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	entries, err := os.ReadDir(filepath.Join(s.objects, filepath.FromSlash(folder)))
	if isAbsent(err) {
		return true // the folder was deleted meanwhile or never existed
	}
	if err != nil {
		return fail(err)
	}
	// In byte order of whole keys, "a-b" comes before "a/b": "-" < "/".
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return cmp.Compare(sortName(a), sortName(b)) })
	for _, e := range entries {
		key := path.Join(folder, e.Name())
		if e.IsDir() {
			if sub := key + "/"; strings.HasPrefix(sub, prefix) || strings.HasPrefix(prefix, sub) {
				if !s.walk(ctx, key, prefix, yield) {
					return false
				}
			}
			continue
		}
		if !strings.HasPrefix(key, prefix) || storage.CheckKey(key) != nil {
			continue
		}
		st, err := e.Info()
		if isAbsent(err) {
			continue
		}
		if err != nil {
			return fail(err)
		}
		info := storage.Info{Key: key, Size: max(0, st.Size()-int64(trailerSize)), Modified: st.ModTime()}
		if !yield(info, nil) {
			return false
		}
	}
	return true
}

func sortName(e fs.DirEntry) string {
	if e.IsDir() {
		return e.Name() + "/"
	}
	return e.Name()
}
