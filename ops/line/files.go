package line

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"itool/schemas"
	"itool/stages/split/format"
	"itool/storage"
)

const (
	maxFiles = 100     // of a run, and
	maxParts = 100_000 // shards of a file: their numbers have two and five digits in the item keys
	// shardBytes ends a shard before line.shard_rows does, because a shard's rows are packed in
	// memory, and a row may have a MiB.
	shardBytes = 64 << 20
)

// publishFiles stores the rows of dataset files, each shard as an object of its own. All files
// are read before anything is stored, so that a broken one leaves nothing behind. Meanwhile
// the packed rows lie in a temporary file; memory holds one shard.
func publishFiles(
	ctx context.Context, store storage.Store, files []string, rows int, options format.Options,
) ([]schemas.Shard, error) {
	if len(files) > maxFiles {
		return nil, fmt.Errorf("publish: %d dataset files, %d are the most: join some of them", len(files), maxFiles)
	}
	spool, err := os.CreateTemp("", "itool-publish-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(spool.Name())
	defer spool.Close()
	p := &packed{spool: spool, shardRows: rows, options: options, ends: []int64{0}}
	for i, file := range files {
		p.begin = len(p.shards)
		if err := p.file(ctx, i, file); err != nil {
			return nil, fmt.Errorf("dataset %s: %w", file, err)
		}
	}
	for i, shard := range p.shards {
		body := io.NewSectionReader(spool, p.ends[i], p.ends[i+1]-p.ends[i])
		_, err := store.PutIfAbsent(ctx, shard.File, body, body.Size())
		if err != nil && !errors.Is(err, storage.ErrExists) {
			return nil, fmt.Errorf("store %s: %w", shard.Name, err)
		}
	}
	return p.shards, nil
}

// packed are the shards of a run's files, packed in one temporary file.
type packed struct {
	spool     *os.File
	shardRows int
	options   format.Options // what the settings say about the files
	shards    []schemas.Shard
	begin     int     // the first shard of the file that is read
	ends      []int64 // of the shards in spool, behind a 0; (shards+1)
}

// file packs the rows of one dataset file.
func (p *packed) file(ctx context.Context, index int, path string) error {
	f, err := p.options.OpenFile(path)
	if err != nil {
		return err
	}
	defer f.Close()
	digest, err := f.Digest()
	if err != nil {
		return err
	}
	all := schemas.Shard{SHA256: digest, Name: shardName(path), Format: string(f.Format)}
	if err := p.cut(ctx, index, all, f.File); err != nil {
		return err
	}
	return f.Unchanged() // the digest stands in the keys: under it may lie no rows of another content
}

// cut cuts a file into shards.
func (p *packed) cut(ctx context.Context, index int, all schemas.Shard, f *format.File) error {
	shard, err := format.NewShard(0)
	if err != nil {
		return err
	}
	for raw, err := range f.Rows(ctx) {
		if err == nil && raw.Number >= math.MaxInt32 {
			err = fmt.Errorf("more than %d rows: cut it into several files", math.MaxInt32)
		}
		if err == nil {
			err = shard.Add(raw)
		}
		if err != nil {
			return err
		}
		if shard.Rows == p.shardRows || shard.Size >= shardBytes {
			if err := p.end(index, all, shard); err != nil {
				return err
			}
		}
	}
	if shard.Rows == 0 {
		return nil
	}
	return p.end(index, all, shard)
}

// end puts a shard of the file number index into the spool. The key of its object begins
// with the version of what Shard writes: another version writes other objects.
func (p *packed) end(index int, s schemas.Shard, rows *format.Shard) error {
	n := len(p.shards) - p.begin
	if n == maxParts {
		return fmt.Errorf("more than %d shards: raise line.shard_rows", maxParts)
	}
	s.Key, s.First, s.Rows = fmt.Sprintf("s%02d%05d", index, n), int32(rows.First), int32(rows.Rows)
	s.File = fmt.Sprintf("shards/1/%s/%d-%d", s.SHA256, s.First, s.Rows)
	if err := rows.End(p.spool, s.SHA256); err != nil {
		return err
	}
	end, err := p.spool.Seek(0, io.SeekCurrent)
	p.shards, p.ends = append(p.shards, s), append(p.ends, end)
	return err
}
