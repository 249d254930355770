// Package checkpoint keeps whole folders in a store: weights, optimiser state, tokenizer,
// datasets. It does not know what is in the files.
//
//	<prefix>/parts/<sha256>           content of a file, stored once, shared by all checkpoints
//	<prefix>/manifests/<digest>.json  the names of the files and their content; written last
//
// A checkpoint is named by the digest of its manifest and never changes. The caller of
// Write keeps the digest; this package stores no "latest". A checkpoint exists as soon as
// its manifest exists, so a writer that is killed half-way leaves only unused parts. Unused
// parts may be deleted only while no writer is at work: a writer may be about to use them.
//
//	m, err := checkpoint.Write(ctx, store, "runs/r1/policy", nil, trainer.Save)
//	fsys, _, err := checkpoint.Open(ctx, store, "runs/r1/policy", m.Digest(), checkpoint.Cache(dir))
package checkpoint

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"itool/storage"
)

// Manifest lists the files of a checkpoint.
type Manifest struct {
	Parts []Part // at least one; sorted by name if this package returned it
}

// Part is one file of a checkpoint.
type Part struct {
	Name   string `json:"name"`   // obeys storage.CheckKey; "/" makes folders
	SHA256 string `json:"sha256"` // of the content, lower-case hex
	Size   int64  `json:"size"`   // bytes
}

const (
	format      = "itool-checkpoint/1"
	maxManifest = 16 << 20 // bytes; a manifest is read into memory
)

// manifestJSON is the stored form: these fields in this order, without white space. Names
// and digests need no JSON escapes, so every language encodes a manifest to the same bytes.
type manifestJSON struct {
	Format string `json:"format"`
	Parts  []Part `json:"parts"`
}

// Digest names the checkpoint: the SHA-256, in hex, of its canonical JSON. The
// order of Parts does not matter.
func (m Manifest) Digest() string {
	sum := sha256.Sum256(m.encode())
	return hex.EncodeToString(sum[:])
}

func (m Manifest) encode() []byte {
	p, err := json.Marshal(manifestJSON{format, m.sorted()})
	if err != nil {
		panic(err) // strings and integers always encode
	}
	return p
}

func (m Manifest) sorted() []Part {
	return slices.SortedFunc(slices.Values(m.Parts), func(a, b Part) int { return strings.Compare(a.Name, b.Name) })
}

// check returns an error if a manifest is invalid: it has no parts, a bad name, a name that
// appears twice or is also a folder, a bad digest or a negative size.
func (m Manifest) check() error {
	if len(m.Parts) == 0 {
		return errors.New("it has no parts")
	}
	names := make(map[string]bool, len(m.Parts))
	for _, p := range m.Parts {
		if err := storage.CheckKey(p.Name); err != nil {
			return fmt.Errorf("part name: %w", err)
		}
		if names[p.Name] {
			return fmt.Errorf("part %s appears twice", p.Name)
		}
		names[p.Name] = true
		if !isDigest(p.SHA256) {
			return fmt.Errorf("part %s: %.80q is not a sha256 in lower-case hex", p.Name, p.SHA256)
		}
		if p.Size < 0 {
			return fmt.Errorf("part %s: its size is %d", p.Name, p.Size)
		}
	}
	for name := range names {
		for i, c := range name {
			if c == '/' && names[name[:i]] {
				return fmt.Errorf("part %s is also the folder of part %s", name[:i], name)
			}
		}
	}
	return nil
}

func isDigest(s string) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == sha256.Size && s == strings.ToLower(s)
}

// Keys are the keys of the objects that a checkpoint consists of.
func Keys(prefix string, m Manifest) []string {
	keys := []string{manifestKey(prefix, m.Digest())}
	for _, p := range m.Parts {
		keys = append(keys, partKey(prefix, p.SHA256))
	}
	return keys
}

func partKey(prefix, sha string) string        { return prefix + "/parts/" + sha }
func manifestKey(prefix, digest string) string { return prefix + "/manifests/" + digest + ".json" }

// Load reads and verifies the manifest with this digest. A missing manifest is
// storage.ErrNotExist, a damaged one storage.ErrCorrupt.
func Load(ctx context.Context, s storage.Store, prefix, digest string) (Manifest, error) {
	m, err := load(ctx, s, prefix, digest)
	if err != nil {
		return Manifest{}, fmt.Errorf("checkpoint %.12s: %w", digest, err)
	}
	return m, nil
}

func load(ctx context.Context, s storage.Store, prefix, digest string) (Manifest, error) {
	if !isDigest(digest) {
		return Manifest{}, fmt.Errorf("%.80q is not a digest: want 64 lower-case hex digits", digest)
	}
	r, info, err := s.Get(ctx, manifestKey(prefix, digest))
	if err != nil {
		return Manifest{}, err
	}
	defer r.Close()
	if info.Size > maxManifest {
		return Manifest{}, fmt.Errorf("%w: a manifest of %d bytes, at most %d are allowed",
			storage.ErrCorrupt, info.Size, maxManifest)
	}
	raw, err := io.ReadAll(io.LimitReader(r, maxManifest+1))
	if err != nil {
		return Manifest{}, err
	}
	// The store verified that these are the bytes that were put under the key. This check
	// verifies that they are the manifest that was asked for.
	if sum := sha256.Sum256(raw); hex.EncodeToString(sum[:]) != digest {
		return Manifest{}, fmt.Errorf("%w: the manifest's sha256 is %x", storage.ErrCorrupt, sum)
	}
	return decode(raw)
}

// decode reads a manifest. It accepts only the canonical form, so that one checkpoint has
// one digest.
func decode(raw []byte) (Manifest, error) {
	var in manifestJSON
	if err := json.Unmarshal(raw, &in); err != nil {
		return Manifest{}, fmt.Errorf("%w: manifest: %w", storage.ErrCorrupt, err)
	}
	if in.Format != format {
		return Manifest{}, fmt.Errorf("its format is %.40q, this version reads only %q; use a newer version",
			in.Format, format)
	}
	m := Manifest{Parts: in.Parts}
	if err := m.check(); err != nil {
		return Manifest{}, fmt.Errorf("%w: manifest: %w", storage.ErrCorrupt, err)
	}
	if !bytes.Equal(m.encode(), raw) {
		return Manifest{}, fmt.Errorf("%w: the manifest is not in canonical form", storage.ErrCorrupt)
	}
	return m, nil
}
