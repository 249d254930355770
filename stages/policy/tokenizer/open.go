package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
)

// File is the name that Open reads.
const File = "tokenizer.json"

const (
	maxFile  = 256 << 20 // bytes
	maxToken = 1 << 20   // IDs; the largest vocabulary in use has 2¹⁸
)

// file is tokenizer.json. Every field that changes IDs is read and checked. Truncation and padding
// are ignored: they are settings of a call, and callers of Hugging Face tokenizers override them too.
type file struct {
	Version       string          `json:"version"`
	Truncation    json.RawMessage `json:"truncation"`
	Padding       json.RawMessage `json:"padding"`
	Added         []addedToken    `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Decoder       json.RawMessage `json:"decoder"`
	Model         model           `json:"model"`
}

type model struct {
	Type         string            `json:"type"`
	Dropout      *float64          `json:"dropout"`
	Unk          *string           `json:"unk_token"`
	Prefix       *string           `json:"continuing_subword_prefix"`
	Suffix       *string           `json:"end_of_word_suffix"`
	FuseUnk      bool              `json:"fuse_unk"`
	ByteFallback bool              `json:"byte_fallback"`
	IgnoreMerges bool              `json:"ignore_merges"`
	Vocab        map[string]int32  `json:"vocab"`
	Merges       []json.RawMessage `json:"merges"`
}

// Open reads tokenizer.json. Errors name the field that is broken or not supported.
func Open(fsys fs.FS) (*Tokenizer, error) {
	info, err := fs.Stat(fsys, File)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("tokenizer: %s: %d bytes, more than %d: this is not a tokenizer",
			File, info.Size(), maxFile)
	}
	data, err := fs.ReadFile(fsys, File)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	t, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %s: %w", File, err)
	}
	return t, nil
}

func parse(data []byte) (*Tokenizer, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields() // an unknown field may change IDs
	var f file
	if err := d.Decode(&f); err != nil {
		return nil, err
	}
	t := &Tokenizer{added: map[string]int32{}, vocab: map[string]int32{}, control: map[int32]bool{}}
	err := errors.Join(t.normalizer(f.Normalizer, "normalizer", 0), t.preTokenizer(f.PreTokenizer),
		t.postProcessor(f.PostProcessor, "post_processor", 0), t.decoder(f.Decoder), t.model(&f.Model))
	if err != nil {
		return nil, err
	}
	if err := t.addedTokens(f.Added, f.Model.Vocab); err != nil {
		return nil, err
	}
	for i := range t.prefix {
		if err := t.prefix[i].check(t); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *Tokenizer) normalizer(raw json.RawMessage, where string, depth int) error {
	if isNull(raw) {
		return nil
	}
	kind, err := typeOf(raw, where)
	switch {
	case err != nil:
		return err
	case kind == "NFC":
		t.nfc = true
		return nil
	case kind != "Sequence":
		return fmt.Errorf("%s: type %q is not supported (NFC is)", where, kind)
	case depth == maxNest:
		return fmt.Errorf("%s: more than %d Sequences in one another", where, maxNest)
	}
	var c struct {
		Type  string            `json:"type"`
		Steps []json.RawMessage `json:"normalizers"`
	}
	if err := fields(raw, where, &c); err != nil {
		return err
	}
	for i, s := range c.Steps {
		if err := t.normalizer(s, fmt.Sprintf("%s: normalizers[%d]", where, i), depth+1); err != nil {
			return err
		}
	}
	return nil
}

// postProcessor remembers the special tokens before a text. For a conversation the chat template
// writes them, as in apply_chat_template.
func (t *Tokenizer) postProcessor(raw json.RawMessage, where string, depth int) error {
	if isNull(raw) {
		return nil
	}
	kind, err := typeOf(raw, where)
	switch {
	case err != nil:
		return err
	case kind == "ByteLevel": // it changes only the offsets of tokens, which are not used
		return nil
	case kind == "TemplateProcessing":
		return t.templateProcessing(raw, where)
	case kind != "Sequence":
		return fmt.Errorf("%s: type %q is not supported (ByteLevel and TemplateProcessing are)", where, kind)
	case depth == maxNest:
		return fmt.Errorf("%s: more than %d Sequences in one another", where, maxNest)
	}
	var c struct {
		Type  string            `json:"type"`
		Steps []json.RawMessage `json:"processors"`
	}
	if err := fields(raw, where, &c); err != nil {
		return err
	}
	for i, s := range c.Steps {
		if err := t.postProcessor(s, fmt.Sprintf("%s: processors[%d]", where, i), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tokenizer) templateProcessing(raw json.RawMessage, where string) error {
	var c struct {
		Single   json.RawMessage `json:"single"`
		Specials map[string]struct {
			IDs []int32 `json:"ids"`
		} `json:"special_tokens"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	var pieces []struct {
		Special *struct {
			ID string `json:"id"`
		} `json:"SpecialToken"`
	}
	if err := json.Unmarshal(c.Single, &pieces); err != nil {
		return fmt.Errorf("%s: single: %w", where, err)
	}
	t.prefix = []prefixToken{}
	for _, piece := range pieces {
		if piece.Special == nil { // the text itself; tokens after it would end it, so they are left out
			break
		}
		name := piece.Special.ID
		t.prefix = append(t.prefix, prefixToken{name, c.Specials[name].IDs})
	}
	return nil
}

// prefixToken is a special token before a text. ids, if it has any, are what the post-processor writes for it.
type prefixToken struct {
	name string
	ids  []int32
}

// check compares a token before a text with the vocabulary.
func (p *prefixToken) check(t *Tokenizer) error {
	id, ok := t.ID(p.name)
	if !ok {
		return fmt.Errorf("post_processor: single: SpecialToken %q is neither in added_tokens nor in vocab", p.name)
	}
	if p.ids != nil && !slices.Equal(p.ids, []int32{id}) {
		return fmt.Errorf("post_processor: special_tokens: %q: ids %v: in the vocabulary it is %d", p.name, p.ids, id)
	}
	return nil
}

func (t *Tokenizer) decoder(raw json.RawMessage) error {
	kind := "null"
	if !isNull(raw) {
		var err error
		if kind, err = typeOf(raw, "decoder"); err != nil {
			return err
		}
	}
	if kind != "ByteLevel" {
		return fmt.Errorf("decoder: type %q is not supported (ByteLevel is)", kind)
	}
	return nil
}

func (t *Tokenizer) model(m *model) error {
	empty := func(s *string) bool { return s == nil || *s == "" }
	switch {
	case m.Type != "BPE" && m.Type != "":
		return fmt.Errorf("model: type %q is not supported (BPE is)", m.Type)
	case m.Dropout != nil && *m.Dropout != 0:
		return errors.New("model: dropout: must be null: it makes the IDs random")
	case !empty(m.Prefix):
		return errors.New("model: continuing_subword_prefix: not supported")
	case !empty(m.Suffix):
		return errors.New("model: end_of_word_suffix: not supported")
	case m.ByteFallback:
		return errors.New("model: byte_fallback: not supported (byte-level vocabularies need none)")
	case len(m.Vocab) == 0:
		return errors.New("model: vocab: empty")
	}
	var others []string // words that are not spelled in the alphabet: no piece of a text is one
	for word, id := range m.Vocab {
		b, ok := alphabetBytes(word)
		if err := t.setToken(word, id, b); err != nil {
			return fmt.Errorf("model: vocab: %w", err)
		}
		if ok {
			t.vocab[string(b)] = id
		} else {
			others = append(others, word)
		}
	}
	if m.IgnoreMerges {
		t.words = maps.Clone(t.vocab)
	}
	for _, word := range others {
		if _, ok := t.vocab[word]; !ok {
			t.vocab[word] = m.Vocab[word]
		}
	}
	for b, r := range alphabet {
		id, ok := m.Vocab[string(r)]
		if !ok {
			id = -1
			if !empty(m.Unk) {
				return fmt.Errorf("model: unk_token: not supported when a byte (0x%02x) has no token", b)
			}
		}
		t.single[b] = id
	}
	t.seed = maphash.MakeSeed()
	t.cache = new([cacheSlots]atomic.Pointer[cached])
	return t.readMerges(m.Merges, m.Vocab)
}

// readMerges accepts both forms in use: ["a", "b"] and "a b". A merge that is listed twice has the rank of
// its last place, as in Hugging Face tokenizers.
func (t *Tokenizer) readMerges(merges []json.RawMessage, vocab map[string]int32) error {
	t.merges = make(map[uint64]merged, len(merges))
	for rank, raw := range merges {
		var two []string
		var one string
		if json.Unmarshal(raw, &two) != nil {
			if err := json.Unmarshal(raw, &one); err != nil {
				return fmt.Errorf("model: merges[%d]: %w", rank, err)
			}
			two = strings.Split(one, " ")
		}
		if len(two) != 2 {
			return fmt.Errorf("model: merges[%d]: %s is not a pair", rank, raw)
		}
		left, okL := vocab[two[0]]
		right, okR := vocab[two[1]]
		id, ok := vocab[two[0]+two[1]]
		if !okL || !okR || !ok {
			return fmt.Errorf("model: merges[%d]: %s is not in the vocabulary", rank, raw)
		}
		t.merges[pair(left, right)] = merged{int32(rank), id}
	}
	return nil
}

// setToken sets the bytes of id.
func (t *Tokenizer) setToken(word string, id int32, content []byte) error {
	if id < 0 || id >= maxToken {
		return fmt.Errorf("%q: id %d is out of range", word, id)
	}
	for int(id) >= len(t.bytes) {
		t.bytes = append(t.bytes, nil)
	}
	if t.bytes[id] != nil {
		return fmt.Errorf("%q: id %d is taken by %q", word, id, t.bytes[id])
	}
	t.bytes[id] = content
	return nil
}
