package tokenizer

// trie finds added tokens in a text: the leftmost one, and of those the longest. A nil trie finds
// nothing. For tokens of bounded length the cost is linear in the length of the text, also for
// hostile texts such as "<<<<<<".
type trie struct {
	id   int32 // -1: no token ends here
	next map[byte]*trie
}

func (t *trie) add(content string, id int32) *trie {
	if t == nil {
		t = &trie{id: -1}
	}
	at := t
	for i := range len(content) {
		if at.next == nil {
			at.next = map[byte]*trie{}
		}
		if at.next[content[i]] == nil {
			at.next[content[i]] = &trie{id: -1}
		}
		at = at.next[content[i]]
	}
	at.id = id
	return t
}

// longest returns the longest token at the beginning of text, and its length; 0 for none.
func (t *trie) longest(text string) (id int32, n int) {
	if t == nil {
		return 0, 0
	}
	at := t
	for i := range len(text) {
		if at = at.next[text[i]]; at == nil {
			break
		}
		if at.id >= 0 {
			id, n = at.id, i+1
		}
	}
	return id, n
}

// cut calls token for each added token in text, and part for each non-empty text between them, in
// order.
func (t *trie) cut(text string, token func(content string, id int32), part func(string)) {
	if t == nil {
		if text != "" {
			part(text)
		}
		return
	}
	var first [256]bool
	for c := range t.next {
		first[c] = true
	}
	from := 0
	for i := 0; i < len(text); {
		if !first[text[i]] {
			i++
			continue
		}
		id, n := t.longest(text[i:])
		if n == 0 {
			i++
			continue
		}
		if i > from {
			part(text[from:i])
		}
		token(text[i:i+n], id)
		i += n
		from = i
	}
	if from < len(text) {
		part(text[from:])
	}
}
