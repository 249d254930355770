package pretrain

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"itool/ops/synth"
	"itool/stages/policy"
	"itool/stages/policy/template"
)

// recallTexts makes conversations that train and test copying: repeating words, and
// recalling values from a list of pairs. Every call needs this skill: its values are in
// the request, its names are in the tools.
type recallTexts struct {
	rand  *rand.Rand
	words synth.Words
}

// styles are the ways to write a pair and to ask for its value.
var styles = []struct{ note, ask string }{
	{"%s: %s", "%s"}, {"%s = %s", "what is %s"}, {"%s is %s", "%s?"},
}

// conversation asks to repeat up to 4·size words, or lists size pairs and asks for each.
func (n *recallTexts) conversation(size int) conversation {
	if n.rand.IntN(3) == 0 {
		return n.repeat(size)
	}
	keys, values, notes, style := n.notes(size, n.value)
	t := conversation{messages: []template.Message{{Role: "system", Content: notes}}}
	for _, k := range n.rand.Perm(size) {
		t.messages = append(t.messages,
			template.Message{Role: "user", Content: fmt.Sprintf(styles[style].ask, keys[k])},
			template.Message{Role: "assistant", Content: values[k]})
	}
	return t
}

// repeat asks to repeat 1 to 4·size words: the simplest way to copy.
func (n *recallTexts) repeat(size int) conversation {
	words := make([]string, 1+n.rand.IntN(4*size))
	for i := range words {
		words[i] = n.value()
	}
	text := strings.Join(words, " ")
	return conversation{messages: []template.Message{
		{Role: "user", Content: "repeat " + text}, {Role: "assistant", Content: text},
	}}
}

// notes writes a list of pairs with different keys. It draws each value with value.
func (n *recallTexts) notes(pairs int, value func() string) (keys, values []string, text string, style int) {
	style = n.rand.IntN(len(styles))
	seen := map[string]bool{}
	for len(keys) < pairs {
		k := n.words.Word()
		if seen[k] {
			continue
		}
		seen[k] = true
		keys, values = append(keys, k), append(values, value())
	}
	var b strings.Builder
	b.WriteString("Notes:")
	for i := range keys {
		fmt.Fprintf(&b, "\n"+styles[style].note, keys[i], values[i])
	}
	return keys, values, b.String(), style
}

// value draws a word, a name or a number.
func (n *recallTexts) value() string {
	switch n.rand.IntN(4) {
	case 0:
		return n.words.Name()
	case 1:
		return strconv.Itoa(n.words.Number(2, 999))
	}
	return n.words.Word()
}

// Recall measures how well p copies: it shows p a list of pairs and asks for the value of
// one of them, asks times, with greedy decoding. Keys and values are words of the given
// fold; a value has exactly three tokens. It returns the share of right answers, [0, 1].
func Recall(ctx context.Context, p *policy.Policy, asks, pairs int, seed uint64, fold, folds int) (float64, error) {
	n := &recallTexts{rand: rand.New(rand.NewPCG(seed, 0x7ec)), words: synth.NewWords(seed, fold, folds)}
	value := func() string {
		for range 10_000 {
			if v := n.words.Word(); len(p.Answer(v)) == 4 { // three, and the end of the turn
				return v
			}
		}
		return n.words.Word() // the vocabulary has no words of three tokens
	}
	prompts, want := make([][]int32, asks), make([]string, asks)
	for i := range prompts {
		keys, values, notes, style := n.notes(pairs, value)
		k := n.rand.IntN(pairs)
		ids, err := p.Prompt([]policy.Message{
			{Role: "system", Content: notes}, {Role: "user", Content: fmt.Sprintf(styles[style].ask, keys[k])},
		}, nil)
		if err != nil {
			return 0, err
		}
		prompts[i], want[i] = ids, values[k]
	}
	draws, err := p.Generate(ctx, prompts, policy.Request{MaxTokens: 12})
	if err != nil {
		return 0, err
	}
	right := 0
	for i, d := range draws {
		if p.Text(d.Tokens) == want[i] {
			right++
		}
	}
	return float64(right) / float64(asks), nil
}
