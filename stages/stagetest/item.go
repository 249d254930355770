package stagetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"slices"
	"testing"

	"itool/schemas"
	"itool/stages"
)

// Item is what the tests of a stage give to Process, without the worker, broker and store
// behind it. Input makes any number of equal stages.Inputs of it. The zero value of every
// field is sensible.
type Item struct {
	Header  schemas.Header    // Run, Key and Seed are filled in where they are empty
	Config  any               // the stage's section: its struct or a json.RawMessage; nil: the defaults
	Policy  fs.FS             // nil for stages without a policy
	Digest  string            // of Policy; "": computed from its files
	Batches []schemas.Batch   // the one batch or, for a stage that gathers, the round in key order
	Failed  []string          // keys of the round without a result
	Rounds  []Round           // what Input.Round finds; any other round is empty
	Files   map[string][]byte // what Input.Dataset opens, by storage key
	Resume  fs.FS             // as in stages.Input
	Judge   stages.Judge      // as in stages.Input
}

// Round has the batches of another record of the run, for stages whose Spec.Also names the
// record.
type Round struct {
	Record  string
	Round   int
	Batches []schemas.Batch
}

// Batch encodes rows as the result of the item with this key.
func Batch[R schemas.Record](t testing.TB, key string, rows ...R) schemas.Batch {
	t.Helper()
	b, err := schemas.Encode(schemas.Header{Run: "run", Key: key}, rows)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Input makes a fresh Input of the item.
func (i Item) Input(t testing.TB) stages.Input {
	t.Helper()
	h := i.Header
	if h.Key == "" && len(i.Batches) > 0 {
		h.Key = i.Batches[0].Header.Key
	}
	if h.Run == "" {
		h.Run = "run"
	}
	if h.Seed == 0 {
		h.Seed = 7
	}
	in := stages.Input{Header: h, Policy: i.Policy, PolicyDigest: i.Digest, Resume: i.Resume, Failed: i.Failed,
		Judge: i.Judge}
	if in.PolicyDigest == "" && i.Policy != nil {
		in.PolicyDigest = digest(t, files(t, i.Policy))
	}
	if in.Header.Policy == "" {
		in.Header.Policy = in.PolicyDigest
	}
	in.Config = section(t, i.Config)
	in.Batches = batches(underPolicy(in.PolicyDigest, i.Batches))
	in.Round = func(record string, round int) iter.Seq2[schemas.Batch, error] {
		for _, r := range i.Rounds {
			if r.Record == record && r.Round == round {
				return batches(r.Batches)
			}
		}
		return batches(nil)
	}
	in.Dataset = func(key string) (io.ReadCloser, error) {
		data, ok := i.Files[key]
		if !ok {
			return nil, stages.Reject(fmt.Errorf("dataset file %s: %w", key, fs.ErrNotExist))
		}
		return io.NopCloser(bytes.NewReader(data)), nil
	}
	return in
}

func section(t testing.TB, config any) json.RawMessage {
	if config == nil {
		return nil
	}
	if raw, ok := config.(json.RawMessage); ok {
		return raw
	}
	data, err := json.Marshal(config)
	if err != nil {
		t.Fatalf("configuration: %v", err)
	}
	return data
}

// underPolicy returns the batches, with the policy filled in where the header has none: the
// worker gives a stage no others.
func underPolicy(policy string, list []schemas.Batch) []schemas.Batch {
	list = slices.Clone(list)
	for i := range list {
		if list[i].Header.Policy == "" {
			list[i].Header.Policy = policy
		}
	}
	return list
}

func batches(list []schemas.Batch) iter.Seq2[schemas.Batch, error] {
	return func(yield func(schemas.Batch, error) bool) {
		for _, b := range list {
			if !yield(b, nil) {
				return
			}
		}
	}
}

// errInfra is how a stage sees a broken network. The suite checks that it comes back from
// Process, and not as a reject.
var errInfra = errors.New("stagetest: the store does not answer")

// broken yields no batch, only errInfra.
func broken(yield func(schemas.Batch, error) bool) { yield(schemas.Batch{}, errInfra) }
