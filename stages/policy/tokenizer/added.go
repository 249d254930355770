package tokenizer

import (
	"fmt"
	"maps"
	"slices"
)

type addedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// refused says what about a token is not supported.
func (a *addedToken) refused() error {
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
	return nil
}

// addedTokens reads the tokens that are found in texts as a whole. vocab is as in the file. Hugging Face
// tokenizers does not believe the file's IDs: a token has the ID of the vocabulary, or else the next one
// behind it. A file that says otherwise is refused.
func (t *Tokenizer) addedTokens(tokens []addedToken, vocab map[string]int32) error {
	next := int32(len(vocab))
	for i := range tokens {
		a := &tokens[i]
		if err := a.refused(); err != nil {
			return err
		}
		id, known := vocab[a.Content]
		if !known {
			id = next
			next++
		}
		switch _, twice := t.added[a.Content]; {
		case twice:
			return fmt.Errorf("added_tokens: %q is listed twice", a.Content)
		case a.ID < 0 || a.ID >= maxToken:
			return fmt.Errorf("added_tokens: %q: id %d is out of range", a.Content, a.ID)
		case a.ID != id && known:
			return fmt.Errorf("added_tokens: %q: id %d, but in vocab it has %d", a.Content, a.ID, id)
		case a.ID != id:
			return fmt.Errorf("added_tokens: %q: id %d, but %d is the next one behind the vocabulary: "+
				"Hugging Face tokenizers would use that", a.Content, a.ID, id)
		case a.Special && slices.Contains(t.single[:], id):
			return fmt.Errorf("added_tokens: %q is special, but also the token of a byte of any text: "+
				"not supported", a.Content)
		}
		if err := t.addToken(a, known); err != nil {
			return err
		}
	}
	// A rendered text is cut at the content of a special token; in any other text it must not become the token.
	maps.DeleteFunc(t.merges, func(_ uint64, m merged) bool { return t.control[m.id] })
	slices.SortFunc(t.specials, func(a, b string) int { return int(t.added[a] - t.added[b]) })
	return nil
}

// addToken adds a token. inVocab: the vocabulary has it as well.
func (t *Tokenizer) addToken(a *addedToken, inVocab bool) error {
	found := a.Content // what it looks like in a normalised text
	if a.Normalized && t.nfc {
		found = nfc(a.Content)
	}
	b, _ := alphabetBytes(found) // Hugging Face tokenizers decodes it like a word
	if inVocab {
		t.bytes[a.ID] = nil
	}
	if err := t.setToken(a.Content, a.ID, b); err != nil {
		return fmt.Errorf("added_tokens: %w", err)
	}
	t.added[a.Content] = a.ID
	if err := t.all.add(a, found); err != nil {
		return err
	}
	if !a.Special {
		if err := t.shielded.add(a, found); err != nil {
			return err
		}
		return t.plain.add(a, found)
	}
	t.specials = append(t.specials, a.Content)
	t.control[a.ID] = true
	t.special = t.special.add(a.Content, a.ID)
	// Not in shielded.normal: after normalisation the marks are removed, and a special token of a user
	// would look like one of the template.
	t.shielded.raw = t.shielded.raw.add(a.Content, a.ID)
	delete(t.words, string(b))
	return nil
}

// add adds a token. found is its content in a normalised text.
func (m *matchers) add(a *addedToken, found string) error {
	if !a.Normalized {
		m.raw = m.raw.add(a.Content, a.ID)
		return nil
	}
	if _, n := m.normal.longest(found); n == len(found) {
		return fmt.Errorf("added_tokens: %q: normalised it is another token", a.Content)
	}
	m.normal = m.normal.add(found, a.ID)
	return nil
}
