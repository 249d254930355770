package dataset

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path/filepath"

	"itool/schemas"
	"itool/stages"
	"itool/stages/split"
	"itool/stages/split/format"
)

// Request says what to survey, and with what.
type Request struct {
	Files     []string
	Against   []string     // files that the data should not hold, such as a benchmark's
	Config    split.Config // of the run that the data is for
	ShardRows int          // rows that are in memory at once, for each worker
	Stage     stages.Stage // split
	Base      fs.FS        // renders the prompts
	Text      func(ids []int32) string
	Prompts   int // examples to show with their prompts
	Workers   int // shards that are read at once, ≥ 1
}

// Survey is what a dataset holds, as a run's split stage reads it.
type Survey struct {
	Files      []FileFound `json:"files"`
	Rows       int         `json:"rows"`
	Numbers    *Numbers    `json:"examples"`
	Duplicates Duplicates  `json:"duplicates"`
	Overlap    []*Overlap  `json:"overlap,omitempty"`
	Prompts    []Prompt    `json:"prompts,omitempty"`

	cfg split.Config
}

// FileFound is what a file turned out to be.
type FileFound struct {
	Name      string `json:"name"`
	Format    string `json:"format"`
	Container string `json:"container"`
	Packing   string `json:"packing,omitempty"`
	Rows      int    `json:"rows"`
	// Notes say what became of its rows besides being kept or dropped: unknown keys and more.
	Notes split.Notes `json:"notes"`
}

// Prompt is an example as the model sees it, and what it learns of it.
type Prompt struct {
	Source string `json:"source"`
	Row    int32  `json:"row"`
	Prompt string `json:"prompt"`
	Learnt string `json:"learnt"`
}

// Look surveys a dataset: it runs the split stage over its shards, in this process and without
// storing anything, and counts what comes out, in the order of the rows.
func Look(ctx context.Context, req Request) (*Survey, error) {
	s := &surveyor{req: req, shown: map[int]int{}, out: &Survey{
		Numbers: NewNumbers(), Duplicates: Duplicates{index: newSketches()}, cfg: req.Config,
	}}
	for _, path := range req.Against {
		o, err := newOverlap(ctx, path)
		if err != nil {
			return nil, fmt.Errorf("--against %w", err)
		}
		s.out.Overlap = append(s.out.Overlap, o)
	}
	if err := s.all(ctx); err != nil {
		return nil, err
	}
	s.endTalk()
	s.out.Numbers.Finish()
	return s.out, nil
}

// Digest stands for the base's, which a survey need not know. A caller who opens the base under
// it shares the policy with Look.
const Digest = "survey"

type surveyor struct {
	req  Request
	out  *Survey
	last [3]int32 // file, row and turn of the last example: a copy of it is no duplicate
	// The conversation of the last example, up to its last turn so far: the turns of one row
	// are no duplicates of each other.
	talk  []string
	where uint64
	shown map[int]int // prompts, by file
}

// part is a shard on its way through split.
type part struct {
	file  int
	shard schemas.Shard
	body  []byte
	done  chan result
}

type result struct {
	examples []schemas.Example
	notes    split.Notes
	err      error
}

// all reads the files, with at most Workers shards in work, and adds them in their order.
func (s *surveyor) all(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var queue []*part
	defer func() {
		cancel()
		for _, p := range queue {
			<-p.done
		}
	}()
	next := func() error {
		p := queue[0]
		r := <-p.done
		queue = queue[1:]
		if r.err != nil {
			return r.err
		}
		s.add(p.file, r)
		return nil
	}
	for p, err := range s.parts(ctx) {
		if err != nil {
			return err
		}
		if len(queue) >= s.req.Workers {
			if err := next(); err != nil {
				return err
			}
		}
		queue = append(queue, p)
		go func() { p.done <- s.split(ctx, p) }()
	}
	for len(queue) > 0 {
		if err := next(); err != nil {
			return err
		}
	}
	return nil
}

// parts cuts the files into shards, as publishing does.
func (s *surveyor) parts(ctx context.Context) iter.Seq2[*part, error] {
	return func(yield func(*part, error) bool) {
		for i, path := range s.req.Files {
			more := true
			err := s.cut(ctx, i, path, func(p *part) bool {
				more = yield(p, nil)
				return more
			})
			if err != nil {
				yield(nil, fmt.Errorf("dataset %s: %w", path, err))
				return
			}
			if !more {
				return
			}
		}
	}
}

func (s *surveyor) cut(ctx context.Context, index int, path string, yield func(*part) bool) error {
	f, err := s.req.Config.Options().OpenFile(path)
	if err != nil {
		return err
	}
	defer f.Close()
	found := FileFound{Name: filepath.Base(path), Format: string(f.Format), Container: f.Container, Packing: f.Packing}
	s.out.Files = append(s.out.Files, found)
	shard, err := format.NewShard(0)
	if err != nil {
		return err
	}
	end := func() (more bool, err error) {
		p := &part{file: index, done: make(chan result, 1), shard: schemas.Shard{
			Key: "s0", File: "rows", SHA256: "file", Name: found.Name, Format: found.Format,
			First: int32(shard.First), Rows: int32(shard.Rows),
		}}
		var b bytes.Buffer
		err = shard.End(&b, p.shard.SHA256)
		p.body = b.Bytes()
		return err == nil && yield(p), err
	}
	for raw, err := range f.Rows(ctx) {
		if err == nil {
			err = shard.Add(raw)
		}
		if err != nil {
			return err
		}
		s.out.Rows++
		s.out.Files[len(s.out.Files)-1].Rows++
		if shard.Rows == s.req.ShardRows || shard.Size >= shardBytes {
			if more, err := end(); !more {
				return err
			}
		}
	}
	if shard.Rows > 0 {
		_, err = end()
	}
	return err
}

// shardBytes ends a shard before ShardRows does.
const shardBytes = 64 << 20

// split runs the stage on a shard.
func (s *surveyor) split(ctx context.Context, p *part) (r result) {
	batch, err := schemas.Encode(schemas.Header{Key: p.shard.Key}, []schemas.Shard{p.shard})
	if err != nil {
		return result{err: err}
	}
	cfg, err := json.Marshal(s.req.Config)
	if err != nil {
		return result{err: err}
	}
	in := stages.Input{
		Header: batch.Header, Config: cfg, Policy: s.req.Base, PolicyDigest: Digest,
		Batches: func(yield func(schemas.Batch, error) bool) { yield(batch, nil) },
		Dataset: func(string) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(p.body)), nil },
	}
	var out collector
	if err := s.req.Stage.Process(ctx, in, &out); err != nil {
		return result{err: err}
	}
	r.notes = out.notes
	r.examples, r.err = schemas.Decode[schemas.Example](out.batch)
	return r
}

// add counts the examples of a shard.
func (s *surveyor) add(file int, r result) {
	s.out.Files[file].Notes.Add(r.notes)
	for i := range r.examples {
		e := &r.examples[i]
		s.out.Numbers.Add(e)
		if e.Part == schemas.PartDropped {
			continue
		}
		at := [3]int32{int32(file) + 1, e.Row, e.Turn}
		if at == s.last {
			continue // a copy: split.weights
		}
		s.compare(file, e, at[0] == s.last[0] && at[1] == s.last[1])
		s.last = at
		if quota := (s.req.Prompts + len(s.req.Files) - 1) / len(s.req.Files); s.shown[file] < quota {
			s.shown[file]++
			s.out.Prompts = append(s.out.Prompts, Prompt{
				e.Source, e.Row, s.req.Text(e.PromptIDs), s.req.Text(e.AnswerIDs),
			})
		}
	}
}

// compare looks for the conversation among those before it, and for the example's question
// among those that the data should not hold. again: the row is that of the example before.
func (s *surveyor) compare(file int, e *schemas.Example, again bool) {
	var messages []struct{ Role, Content string }
	if json.Unmarshal([]byte(e.Messages), &messages) != nil || len(messages) == 0 {
		return
	}
	if !again {
		s.endTalk()
	}
	s.talk, s.where = s.talk[:0], uint64(file)<<32|uint64(uint32(e.Row))
	question := ""
	for _, m := range messages {
		if m.Role == "system" {
			continue
		}
		if s.talk = append(s.talk, m.Content); m.Role == "user" {
			question = m.Content
		}
	}
	s.talk = append(s.talk, e.Reference)
	if len(s.out.Overlap) == 0 || messages[len(messages)-1].Role != "user" {
		return // a turn behind a tool's answer has the same question as the turn before
	}
	if k, words := sketchOf(question); words >= leastWords {
		for _, o := range s.out.Overlap {
			o.add(&k, fmt.Sprintf("%s row %d", e.Source, e.Row))
		}
	}
}

// endTalk compares a conversation that is complete.
func (s *surveyor) endTalk() {
	if len(s.talk) == 0 {
		return
	}
	k, _ := sketchOf(s.talk...)
	s.talk = s.talk[:0]
	s.out.Duplicates.add(&k, s.where, func(at uint64) string {
		return fmt.Sprintf("%s row %d", s.out.Files[at>>32].Name, uint32(at))
	})
}

// collector takes what split gives.
type collector struct {
	batch schemas.Batch
	notes split.Notes
}

var errSave = errors.New("a survey stores nothing")

func (c *collector) Result(b schemas.Batch) error { c.batch = b; return nil }

func (c *collector) Attach(_ context.Context, name string, r io.Reader) error {
	if name != split.NotesFile {
		return nil
	}
	return json.NewDecoder(r).Decode(&c.notes)
}

func (c *collector) Save(context.Context, func(stages.Create) error, ...string) (string, error) {
	return "", errSave
}

func (c *collector) Checkpoint(context.Context, int, func(stages.Create) error) error { return nil }

func (c *collector) Progress(int, int, string, string) {}
