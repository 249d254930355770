package worker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"itool/ops/courier"
	"itool/stages"
	"itool/storage"
	"itool/storage/checkpoint"
)

// A long item's checkpoints lie in a folder of their own in the store, and beside
// them one small pointer each, whose name holds the step:
//
//	runs/<run>/resume/<stage>-<round>-<item>/{parts,manifests,steps}/…
//
// A pointer is written last, so a crash leaves the one before. The newest whose parts
// are all right is resumed from. The last two are kept, and none once the result is
// published. A pointer also says how often the item had failed before it: an item that
// gets on between two failures is not given up for their number. <item> is a digest of what the item belongs to: another run under the
// same name must not go on from where this one stopped.

const kept = 2

func (it *item) resumeFolder(run *description) string {
	sum := sha256.New()
	for _, s := range []string{run.sha, it.in.Header.Policy, it.in.Header.SHA256, it.in.Header.Key} {
		fmt.Fprintln(sum, s)
	}
	return fmt.Sprintf("runs/%s/resume/%s-%d-%s", it.runName, it.spec.Name, it.target.Round, hex.EncodeToString(sum.Sum(nil))[:16])
}

func (o *output) Checkpoint(ctx context.Context, step int, write func(stages.Create) error) error {
	it := o.it
	it.marked = true
	err := it.hold(ctx, func(ctx context.Context) error {
		m, err := o.write(ctx, it.folder, nil, write)
		if err != nil {
			return err
		}
		key, pointer := fmt.Sprintf("%s/steps/%09d", it.folder, step), fmt.Sprint(m.Digest(), " ", it.forgiven+it.failures)
		_, err = it.w.Courier.Store.Put(ctx, key, strings.NewReader(pointer), int64(len(pointer)))
		return courier.Infra(ctx, err)
	})
	if err == nil {
		it.sweep(ctx, kept)
	}
	return err
}

// resume opens the newest whole checkpoint of an earlier try, or returns nil.
//
// Of single items, of which there are many and short ones, only those that crashed
// are looked after.
func (it *item) resume(ctx context.Context, run *description) (fs.FS, error) {
	it.folder = it.resumeFolder(run)
	if it.marked = it.marked || it.spec.Gather || it.failures > 0; !it.marked {
		return nil, nil
	}
	steps, err := it.steps(ctx)
	if err != nil {
		return nil, courier.Infra(ctx, err)
	}
	for _, key := range slices.Backward(steps) {
		fsys, forgiven, err := it.resumeFrom(ctx, key)
		var infra *courier.InfraError
		switch {
		case err == nil:
			it.w.Log.Info("resuming", "run", it.runName, "stage", it.spec.Name, "from", key)
			it.forgiven = min(forgiven, it.failures)
			it.failures -= it.forgiven
			return folder{fsys, it.blame(ctx)}, nil
		case ctx.Err() != nil, errors.As(err, &infra):
			return nil, err // wait: to begin anew would throw hours away
		}
		it.w.Log.Warn("a checkpoint is damaged; trying the one before", "checkpoint", key, "error", err)
	}
	return nil, nil
}

// steps lists the pointers, the oldest first.
func (it *item) steps(ctx context.Context) (keys []string, err error) {
	for info, err := range it.w.Courier.Store.List(ctx, it.folder+"/steps/") {
		if err != nil {
			return nil, err
		}
		keys = append(keys, info.Key)
	}
	return keys, nil
}

// pointsTo reads a pointer.
func (it *item) pointsTo(ctx context.Context, step string) (digest string, failures int, err error) {
	r, _, err := it.w.Courier.Store.Get(ctx, step)
	if err != nil {
		return "", 0, err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, 128))
	if err != nil {
		return "", 0, err
	}
	digest, count, _ := strings.Cut(string(text), " ")
	if err := checkDigest(digest); err != nil {
		return "", 0, err
	}
	if failures, err = strconv.Atoi(count); err != nil || failures < 0 {
		return "", 0, fmt.Errorf("%w: %s: %.40q is no count of failures", storage.ErrCorrupt, step, count)
	}
	return digest, failures, nil
}

// checkDigest tells a name that is none from a store that does not answer.
func checkDigest(s string) error {
	if len(s) != 64 || strings.Trim(s, "0123456789abcdef") != "" {
		return fmt.Errorf("%w: %.80q is no digest of a checkpoint", storage.ErrCorrupt, s)
	}
	return nil
}

// resumeFrom opens a checkpoint and every part of it: a part that is lost must show
// now, while there is another checkpoint to go back to.
func (it *item) resumeFrom(ctx context.Context, step string) (fsys fs.FS, failures int, err error) {
	digest, failures, err := it.pointsTo(ctx, step)
	if err != nil {
		return nil, 0, courier.Infra(ctx, err)
	}
	fsys, m, err := checkpoint.Open(ctx, it.w.Courier.Store, it.folder, digest)
	for i := 0; err == nil && i < len(m.Parts); i++ {
		var f fs.File
		if f, err = fsys.Open(m.Parts[i].Name); err == nil {
			_, err = io.Copy(io.Discard, f) // to the end, where the digest is compared
			err = errors.Join(err, f.Close())
		}
	}
	return fsys, failures, courier.Infra(ctx, err)
}

// sweep keeps the newest checkpoints and removes what only older ones need. It is
// housekeeping: an error leaves waste behind, for the next time. Whoever still writes
// here without a lease may lose a part by it; resuming then takes the one before.
func (it *item) sweep(ctx context.Context, keep int) {
	if err := it.trySweep(ctx, keep); err != nil && ctx.Err() == nil {
		it.w.Log.Warn("old checkpoints were not removed", "folder", it.folder, "error", err)
	}
}

func (it *item) trySweep(ctx context.Context, keep int) error {
	store := it.w.Courier.Store
	steps, err := it.steps(ctx)
	if err != nil {
		return err
	}
	needed := map[string]bool{}
	old := max(len(steps)-keep, 0)
	for _, step := range steps[old:] {
		digest, _, err := it.pointsTo(ctx, step)
		if err != nil {
			return err
		}
		m, err := checkpoint.Load(ctx, store, it.folder, digest)
		if err != nil {
			return err // what it needs is unknown: remove nothing
		}
		needed[path.Base(step)], needed[digest+".json"] = true, true
		for _, p := range m.Parts {
			needed[p.SHA256] = true
		}
	}
	// Pointers first, so that none is left that points to nothing.
	for _, what := range []string{"/steps/", "/manifests/", "/parts/"} {
		for info, err := range store.List(ctx, it.folder+what) {
			if err == nil && !needed[path.Base(info.Key)] {
				err = store.Delete(ctx, info.Key)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}
