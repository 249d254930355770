package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
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
	Normalizer    *component      `json:"normalizer"`
	PreTokenizer  *component      `json:"pre_tokenizer"`
	PostProcessor *component      `json:"post_processor"`
	Decoder       *component      `json:"decoder"`
	Model         model           `json:"model"`
}

type addedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// component is one step of the pipeline. Type says which one; the other fields are the settings of
// all supported types.
type component struct {
	Type           string          `json:"type"`
	Normalizers    []component     `json:"normalizers,omitempty"`
	PreTokenizers  []component     `json:"pretokenizers,omitempty"`
	Processors     []component     `json:"processors,omitempty"`
	Pattern        *pattern        `json:"pattern,omitempty"`
	Behavior       string          `json:"behavior,omitempty"`
	Invert         *bool           `json:"invert,omitempty"`
	AddPrefixSpace *bool           `json:"add_prefix_space,omitempty"`
	TrimOffsets    *bool           `json:"trim_offsets,omitempty"`
	UseRegex       *bool           `json:"use_regex,omitempty"`
	Single         json.RawMessage `json:"single,omitempty"`
	Pair           json.RawMessage `json:"pair,omitempty"`
	SpecialTokens  json.RawMessage `json:"special_tokens,omitempty"`
}

type pattern struct {
	Regex  string `json:"Regex,omitempty"`
	String string `json:"String,omitempty"`
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
	err := errors.Join(t.normalizer(f.Normalizer), t.preTokenizer(f.PreTokenizer),
		t.postProcessor(f.PostProcessor), decoder(f.Decoder), t.model(&f.Model))
	if err != nil {
		return nil, err
	}
	if err := t.addedTokens(f.Added); err != nil {
		return nil, err
	}
	for _, token := range t.prefix {
		if _, ok := t.ID(token); !ok {
			return nil, fmt.Errorf("post_processor: single: SpecialToken %q is neither in added_tokens nor in vocab",
				token)
		}
	}
	return t, nil
}

func (t *Tokenizer) normalizer(p *component) error {
	switch {
	case p == nil:
	case p.Type == "NFC":
		t.nfc = true
	case p.Type == "Sequence":
		for i := range p.Normalizers {
			if err := t.normalizer(&p.Normalizers[i]); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("normalizer: type %q is not supported (NFC is)", p.Type)
	}
	return nil
}

func (t *Tokenizer) preTokenizer(p *component) error {
	if p == nil || p.Type != "Sequence" || len(p.PreTokenizers) != 2 {
		return errors.New("pre_tokenizer: not supported (a Sequence of Split and ByteLevel is)")
	}
	split, level := &p.PreTokenizers[0], &p.PreTokenizers[1]
	switch {
	case split.Type != "Split":
		return fmt.Errorf("pre_tokenizer: pretokenizers[0]: type %q is not supported (Split is)", split.Type)
	case split.Pattern == nil || split.Pattern.Regex == "":
		return errors.New("pre_tokenizer: pretokenizers[0]: pattern: not a Regex")
	case split.Behavior != "Isolated" || split.Invert != nil && *split.Invert:
		return fmt.Errorf("pre_tokenizer: pretokenizers[0]: behavior %q or invert is not supported "+
			"(Isolated without invert is)", split.Behavior)
	case level.Type != "ByteLevel":
		return fmt.Errorf("pre_tokenizer: pretokenizers[1]: type %q is not supported (ByteLevel is)", level.Type)
	case level.AddPrefixSpace == nil || *level.AddPrefixSpace:
		return errors.New("pre_tokenizer: pretokenizers[1]: add_prefix_space: must be false")
	case level.UseRegex == nil || *level.UseRegex:
		return errors.New("pre_tokenizer: pretokenizers[1]: use_regex: must be false")
	}
	t.pattern = split.Pattern.Regex
	if t.split = scanners[t.pattern]; t.split == nil {
		return fmt.Errorf("pre_tokenizer: pretokenizers[0]: pattern %q is not supported "+
			"(those of Llama 3, Qwen 2 and %q are)", t.pattern, Pattern)
	}
	return nil
}

// postProcessor remembers the special tokens before a text. For a conversation the chat template
// writes them, as in apply_chat_template.
func (t *Tokenizer) postProcessor(p *component) error {
	switch {
	case p == nil || p.Type == "ByteLevel":
	case p.Type == "TemplateProcessing":
		return t.templateProcessing(p.Single)
	case p.Type == "Sequence":
		for i := range p.Processors {
			if err := t.postProcessor(&p.Processors[i]); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("post_processor: type %q is not supported (ByteLevel and TemplateProcessing are)", p.Type)
	}
	return nil
}

func (t *Tokenizer) templateProcessing(single json.RawMessage) error {
	var pieces []struct {
		Special *struct {
			ID string `json:"id"`
		} `json:"SpecialToken"`
	}
	if err := json.Unmarshal(single, &pieces); err != nil {
		return fmt.Errorf("post_processor: single: %w", err)
	}
	t.prefix = []string{}
	for _, piece := range pieces {
		if piece.Special == nil { // the text itself; tokens after it would end it, so they are left out
			break
		}
		t.prefix = append(t.prefix, piece.Special.ID)
	}
	return nil
}

func decoder(p *component) error {
	if p == nil || p.Type != "ByteLevel" {
		return errors.New("decoder: not supported (ByteLevel is)")
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
	inAlphabet := make(map[string]int32, len(m.Vocab)) // spelled as in the file
	for word, id := range m.Vocab {
		if err := t.setToken(word, id, alphabetBytes(word)); err != nil {
			return fmt.Errorf("model: vocab: %w", err)
		}
		t.vocab[string(t.bytes[id])] = id
		inAlphabet[word] = id
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
	if m.IgnoreMerges {
		t.words = t.vocab
	}
	t.seed = maphash.MakeSeed()
	t.cache = new([cacheSlots]atomic.Pointer[cached])
	return t.readMerges(m.Merges, inAlphabet)
}

// readMerges accepts both forms in use: ["a", "b"] and "a b".
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
		if _, twice := t.merges[pair(left, right)]; !twice {
			t.merges[pair(left, right)] = merged{int32(rank), id}
		}
	}
	return nil
}

func (t *Tokenizer) addedTokens(tokens []addedToken) error {
	tokens = slices.Clone(tokens)
	slices.SortStableFunc(tokens, func(a, b addedToken) int { return int(a.ID) - int(b.ID) })
	for _, a := range tokens {
		switch {
		case a.Content == "":
			return fmt.Errorf("added_tokens: id %d: content is empty", a.ID)
		case a.SingleWord:
			return fmt.Errorf("added_tokens: %q: single_word: not supported", a.Content)
		case a.LStrip:
			return fmt.Errorf("added_tokens: %q: lstrip: not supported", a.Content)
		case a.RStrip:
			return fmt.Errorf("added_tokens: %q: rstrip: not supported", a.Content)
		}
		if _, twice := t.added[a.Content]; twice {
			return fmt.Errorf("added_tokens: %q is listed twice", a.Content)
		}
		if string(t.Bytes(a.ID)) != a.Content { // it may be in the vocabulary as well
			if err := t.setToken(a.Content, a.ID, []byte(a.Content)); err != nil {
				return fmt.Errorf("added_tokens: %w", err)
			}
		}
		t.added[a.Content] = a.ID
		t.all.add(a)
		if a.Special {
			t.specials = append(t.specials, a.Content)
			t.control[a.ID] = true
			t.special = t.special.add(a.Content, a.ID)
			// Not in shielded.normal: after normalisation the marks are removed, and a special
			// token of a user would look like one of the template.
			t.shielded.raw = t.shielded.raw.add(a.Content, a.ID)
		} else {
			t.plain.add(a)
			t.shielded.add(a)
		}
	}
	return nil
}

func (m *matchers) add(a addedToken) {
	if a.Normalized {
		m.normal = m.normal.add(a.Content, a.ID)
	} else {
		m.raw = m.raw.add(a.Content, a.ID)
	}
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

// alphabet is GPT-2's table, which spells each byte as a visible character so that a vocabulary is
// text. A printable byte stands for itself.
var alphabet, byteOf = func() (letters [256]rune, bytes map[rune]byte) {
	bytes = map[rune]byte{}
	next := rune(256)
	for b := range 256 {
		r := rune(b)
		if !(r >= '!' && r <= '~' || r >= 0xA1 && r <= 0xAC || r >= 0xAE) {
			r = next
			next++
		}
		letters[b] = r
		bytes[r] = byte(b)
	}
	return
}()

// alphabetBytes returns the bytes of a word that is spelled in the alphabet. A word that contains
// any other character stands for its own UTF-8.
func alphabetBytes(word string) []byte {
	b := make([]byte, 0, len(word))
	for _, r := range word {
		c, ok := byteOf[r]
		if !ok {
			return []byte(word)
		}
		b = append(b, c)
	}
	return b
}
