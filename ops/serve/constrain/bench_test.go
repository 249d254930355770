package constrain_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"itool/ops/serve/constrain"
)

// words49k is a vocabulary as large as SmolLM2's: the bytes, and words of letters, most behind a blank, some with
// punctuation.
func words49k() [][]byte {
	random := rand.New(rand.NewPCG(1, 1))
	var tokens [][]byte
	for b := range 256 {
		tokens = append(tokens, []byte{byte(b)})
	}
	tokens = append(tokens, []byte("<|end|>"))
	seen := map[string]bool{}
	for len(tokens) < 49152 {
		var w []byte
		if random.IntN(2) == 0 {
			w = append(w, ' ')
		}
		for range 1 + random.IntN(8) {
			w = append(w, byte('a'+random.IntN(26)))
		}
		if random.IntN(20) == 0 {
			w = append(w, `"{}[]:,.'\`[random.IntN(10)])
		}
		if !seen[string(w)] {
			seen[string(w)] = true
			tokens = append(tokens, w)
		}
	}
	return tokens
}

// BenchmarkConstrain measures an answer {"name": …, "age": …} of 40 tokens: with states that are new for each
// answer, and with those of an earlier one.
func BenchmarkConstrain(b *testing.B) {
	tokens := words49k()
	bytesOf := func(id int32) []byte { return tokens[id] }
	control := func(id int32) bool { return id == 256 }
	newVocabulary := func() *constrain.Vocabulary {
		v, err := constrain.NewVocabulary(len(tokens), bytesOf, control, []int32{256})
		if err != nil {
			b.Fatal(err)
		}
		return v
	}
	v := newVocabulary()
	spec := constrain.Spec{Schema: json.RawMessage(`{"type": "object", "properties": {"name": {"type": "string"},
		"tags": {"type": "array", "items": {"type": "string"}}, "age": {"type": "integer"}},
		"required": ["name", "age"]}`)}
	compile := func() *constrain.Grammar {
		g, err := constrain.Compile(v, spec)
		if err != nil {
			b.Fatal(err)
		}
		return g
	}
	const answer = `{"name": "Ada Lovelace", "tags": ["x"], "age": 36}`
	write := func(g *constrain.Grammar) {
		m := g.Matcher()
		for _, c := range []byte(answer) {
			if _, err := m.Allowed(); err != nil {
				b.Fatal(err)
			}
			m.Accept(int32(c))
		}
		if !m.Done() {
			b.Fatal(fmt.Errorf("%s is not taken", answer))
		}
	}
	b.Run("vocabulary", func(b *testing.B) {
		for b.Loop() {
			newVocabulary()
		}
	})
	b.Run("compile", func(b *testing.B) {
		for b.Loop() {
			compile()
		}
	})
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			write(compile())
		}
		b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(answer)), "µs/token")
	})
	b.Run("kept", func(b *testing.B) {
		g := compile()
		write(g)
		b.ReportAllocs()
		for b.Loop() {
			write(g)
		}
		b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(answer)), "µs/token")
	})
}
