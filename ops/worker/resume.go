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

// The checkpoints of a long item have their own folder in the store. Each has a small pointer, whose
// name is the step:
//
//	runs/<run>/resume/<stage>-<round>-<item>/{parts,manifests,steps}/…
//
// The pointer is written last, so a crash leaves the pointer before it. An item resumes from the
// newest checkpoint whose parts are all sound. The last two are kept, and none once the result is
// published.
//
// A pointer also says how often the item had failed before it. Those failures do not count any more:
// an item that makes progress between its failures is not given up.
//
// <item> is a digest of what the item belongs to, because another run of the same name must not
// resume from the checkpoints of this one.

const kept = 2 // checkpoints

func (it *item) resumeFolder(run *description) string {
	sum := sha256.New()
	for _, s := range []string{run.sha, it.in.Header.Policy, it.in.Header.SHA256, it.in.Header.Key} {
		fmt.Fprintln(sum, s)
	}
	digest := hex.EncodeToString(sum.Sum(nil))[:16]
	return fmt.Sprintf("runs/%s/resume/%s-%d-%s", it.runName, it.spec.Name, it.target.Round, digest)
}

func (o *output) Checkpoint(ctx context.Context, step int, write func(stages.Create) error) error {
	it := o.it
	it.marked = true
	err := it.hold(ctx, func(ctx context.Context) error {
		m, err := o.write(ctx, it.folder, nil, write)
		if err != nil {
			return err
		}
		key := fmt.Sprintf("%s/steps/%09d", it.folder, step)
		pointer := fmt.Sprint(m.Digest(), " ", it.forgiven+it.failures)
		_, err = it.w.Courier.Store.Put(ctx, key, strings.NewReader(pointer), int64(len(pointer)))
		return courier.Infra(ctx, err)
	})
	if err == nil {
		it.sweep(ctx, kept)
	}
	return err
}

// resume opens the newest sound checkpoint of an earlier attempt, or returns nil.
//
// Items of a stage that does not gather are many and short, so only those that failed before are
// looked up.
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
			it.log().Info("resuming", "from", key)
			it.forgiven = min(forgiven, it.failures)
			it.failures -= it.forgiven
			return folder{fsys, it.blame(ctx)}, nil
		case ctx.Err() != nil, errors.As(err, &infra):
			return nil, err // wait: a start from the beginning would waste hours
		}
		it.w.Log.Warn("a checkpoint is damaged; trying the one before", "checkpoint", key, "error", err)
	}
	return nil, nil
}

// steps lists the pointers, oldest first.
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

// checkDigest finds a damaged digest before it is used as a name in the store, where it would look
// like a missing object.
func checkDigest(s string) error {
	if len(s) != 64 || strings.Trim(s, "0123456789abcdef") != "" {
		return fmt.Errorf("%w: %.80q is no digest of a checkpoint", storage.ErrCorrupt, s)
	}
	return nil
}

// resumeFrom opens a checkpoint and reads every part of it: a lost part must be found now, while an
// older checkpoint can still be used.
func (it *item) resumeFrom(ctx context.Context, step string) (fsys fs.FS, failures int, err error) {
	digest, failures, err := it.pointsTo(ctx, step)
	if err != nil {
		return nil, 0, courier.Infra(ctx, err)
	}
	fsys, m, err := checkpoint.Open(ctx, it.w.Courier.Store, it.folder, digest)
	for i := 0; err == nil && i < len(m.Parts); i++ {
		var f fs.File
		if f, err = fsys.Open(m.Parts[i].Name); err == nil {
			_, err = io.Copy(io.Discard, f) // to the end: there the digest is compared
			err = errors.Join(err, f.Close())
		}
	}
	return fsys, failures, courier.Infra(ctx, err)
}

// sweep keeps the newest checkpoints and removes what only older ones need. An error leaves waste for
// the next sweep. A worker that lost its lease and still writes here may lose a part by it; resuming
// then uses the checkpoint before.
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
			return err // its parts are unknown: remove nothing
		}
		needed[path.Base(step)], needed[digest+".json"] = true, true
		for _, p := range m.Parts {
			needed[p.SHA256] = true
		}
	}
	// Pointers first, so that no pointer without a checkpoint is left.
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
