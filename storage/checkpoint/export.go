package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"itool/storage"
	"itool/storage/internal/tempfile"
)

// ExportDir writes a checkpoint into a new folder, which must not exist. It
// appears whole and verified, or not at all.
func ExportDir(ctx context.Context, s storage.Store, prefix, digest, dir string) error {
	fsys, m, err := Open(ctx, s, prefix, digest)
	if err != nil {
		return err
	}
	if err := export(ctx, fsys, m, dir); err != nil {
		return fmt.Errorf("checkpoint %.12s: export to %s: %w", digest, dir, err)
	}
	return nil
}

func export(ctx context.Context, fsys fs.FS, m Manifest, dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if err := refuseExisting(dir); err != nil {
		return err
	}
	up := filepath.Dir(dir)
	if err := os.MkdirAll(up, 0o755); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(up, "."+filepath.Base(dir)+".partial-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp) // after the rename there is nothing to remove
	if err := os.Chmod(temp, 0o755); err != nil {
		return err
	}
	for _, p := range m.Parts {
		if err := exportPart(ctx, fsys, p.Name, temp); err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	if err := refuseExisting(dir); err != nil { // a second exporter was faster
		return err
	}
	if err := os.Rename(temp, dir); err != nil {
		return err
	}
	return tempfile.SyncDir(up)
}

func refuseExisting(dir string) error {
	_, err := os.Lstat(dir)
	if err == nil {
		return fmt.Errorf("%w; name a new folder", fs.ErrExist)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func exportPart(ctx context.Context, fsys fs.FS, name, root string) error {
	local, err := filepath.Localize(name)
	if err != nil {
		return fmt.Errorf("this system has no such file names: %w", err)
	}
	to := filepath.Join(root, local)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	in, err := fsys.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := io.Copy(out, contextReader{ctx.Err, in}); err != nil {
		return err
	}
	if err := out.Sync(); err != nil {
		return err
	}
	return out.Close()
}
