package peers

import (
	"bufio"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"itool/ops/synth"
	"itool/stages/policy"
	"itool/stages/policy/train"
)

// realTexts are prose, code, JSON, questions of BFCL, characters of many scripts, and runs of white space.
func realTexts(t *testing.T) (texts []string) {
	t.Helper()
	texts = []string{
		"", " ", "\n", "\r\n", "\t\t", "<|im_start|>", "a<|im_end|>\n<|im_start|>b", "<|endoftext|>", "<|im_star",
		"don't", "DON'T we'll I'd 'S", "1234567890", "3.14159", "v1.2.3-rc4", "２０２６ ½ ² ①", "x²+y₃", "naïve café",
		"ﬁ ﬂ Ⅷ", "e\u0301 \u0301x", "👩‍👩‍👧‍👦 🇨🇭 ✌🏽", "\u202eabc\u202c", "\u00a0\u2003\u3000x", "a\u200bb\u200dc\ufeff",
		"日本語のテキスト。", "한국어 텍스트", "مرحبا بالعالم ١٢٣", "नमस्ते दुनिया", "שלום עולם", "สวัสดีชาวโลก", "Привет, мир!",
		"Γειά σου Κόσμε", "\x00\x01\x7f", "~!@#$%^&*()",
	}
	for _, r := range realRows(t) {
		texts = append(texts, r.Request(), r.Answer(), string(r.Tools))
	}
	texts = append(texts, sourceTexts(t)...)
	texts = append(texts, questions(t, 300)...)
	rng := rand.New(rand.NewPCG(14, 6))
	spaces := []string{
		" ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u2009", "\u3000", "x", "Don't", "42", "—", "é", "'s", "{\"a\": 1}",
	}
	for range 300 {
		var b strings.Builder
		for range 1 + rng.IntN(12) {
			b.WriteString(spaces[rng.IntN(len(spaces))])
		}
		texts = append(texts, b.String())
	}
	blocks := [][2]rune{
		{0x20, 0x7f}, {0xa0, 0x180}, {0x370, 0x378}, {0x388, 0x38b}, {0x400, 0x530}, {0x5d0, 0x5eb}, {0x620, 0x6d4},
		{0x905, 0x93a}, {0xe01, 0xe3b}, {0x3041, 0x3097}, {0x4e00, 0x9fa6}, {0xac00, 0xd7a4}, {0x2190, 0x2300},
		{0x1f300, 0x1f600}, {0x1d400, 0x1d455}, {0x2000, 0x2028}, {0x2460, 0x249c},
	}
	for range 400 {
		var b strings.Builder
		for range 1 + rng.IntN(20) {
			block := blocks[rng.IntN(len(blocks))]
			b.WriteRune(block[0] + rng.Int32N(block[1]-block[0]))
		}
		texts = append(texts, b.String())
	}
	return texts
}

// sourceTexts are pieces of this repository: code, prose, tables and data.
func sourceTexts(t *testing.T) (texts []string) {
	t.Helper()
	root := os.DirFS("../..")
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		hidden := strings.HasPrefix(d.Name(), ".") && name != "."
		if err != nil || d.IsDir() {
			if hidden {
				return fs.SkipDir
			}
			return err
		}
		switch filepath.Ext(name) {
		case ".go", ".py", ".md", ".yaml", ".yml", ".json", ".s", ".html":
		default:
			return nil
		}
		data, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		text := strings.ToValidUTF8(string(data), "")
		const piece = 600
		if len(text) > piece { // one from the middle, perhaps from the middle of a line
			text = strings.ToValidUTF8(text[len(text)/2:][:piece/2], "")
		}
		texts = append(texts, text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

// questions are rows of BFCL as they stand in its files.
func questions(t *testing.T, each int) (rows []string) {
	t.Helper()
	for _, name := range []string{"live_simple", "simple", "live_multiple", "java"} {
		f, err := os.Open("../../../shared/data/bfcl_v3/BFCL_v3_" + name + ".json")
		if err != nil {
			t.Logf("%v: its questions are left out", err)
			continue
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<20)
		for n := 0; n < each && lines.Scan(); n++ {
			rows = append(rows, lines.Text())
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	return rows
}

// realRows are rows of tool use.
func realRows(t *testing.T) (rows []synth.Row) {
	t.Helper()
	c := synth.Default()
	c.Rows, c.Tools = 300, 2
	made, err := synth.Make(c)
	if err != nil {
		t.Fatal(err)
	}
	for r := range made {
		rows = append(rows, r)
	}
	return rows
}

// conversation is a row's messages without the answer.
func conversation(r synth.Row) (msgs []policy.Message) {
	for _, m := range r.Messages[:len(r.Messages)-1] {
		msgs = append(msgs, policy.Message{Role: m.Role, Content: m.Content})
	}
	return msgs
}

// plain are questions without tools.
func plain() []string {
	return []string{
		"What is the capital of France?", "Write a haiku about the sea.", "What is 12 times 7?",
		"Name three planets that are larger than the Earth.", "Translate 'good morning' into Spanish.",
		"Write a Python function that reverses a string.", "Who wrote Romeo and Juliet?", "Why is the sky blue?",
		"Give me a JSON object with the keys name and age.", "What comes after Tuesday?", "Explain gravity to a child.",
		"List the vowels of the English alphabet.",
	}
}

// realChats are conversations with and without a system message, of one request or several.
func realChats() (chats [][]policy.Message) {
	for i, q := range plain() {
		var c []policy.Message
		if i%2 == 0 {
			c = append(c, policy.Message{Role: "system", Content: "You answer briefly."})
		}
		c = append(c, policy.Message{Role: "user", Content: q})
		if i%3 == 0 {
			c = append(c, policy.Message{Role: "assistant", Content: "Let me think:\n\n\t1. "},
				policy.Message{Role: "user", Content: "  Go on…  "})
		}
		chats = append(chats, c)
	}
	return chats
}

// realPrompts are prompts in token IDs: plain questions, and requests with tools in the system message.
func realPrompts(t *testing.T, base string) (prompts [][]int32) {
	t.Helper()
	p := withTools(t, base)
	for _, q := range plain() {
		ids, err := p.Prompt([]policy.Message{{Role: "user", Content: q}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		prompts = append(prompts, ids)
	}
	for _, r := range realRows(t)[:12] {
		ids, err := p.Prompt(conversation(r), r.Tools)
		if err != nil {
			t.Fatal(err)
		}
		prompts = append(prompts, ids)
	}
	return prompts
}

// withTools opens a model whose prompts have the tools in the system message.
func withTools(t *testing.T, base string) *policy.Policy {
	t.Helper()
	fsys, err := policy.ToolsInSystem(os.DirFS(base))
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Open(fsys, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// realBatches are eight examples and five pairs of rows of tool use.
func realBatches(t *testing.T, base string) (examples []train.Example, pairs []train.Pair) {
	t.Helper()
	p := withTools(t, base)
	for _, r := range realRows(t) {
		prompt, err := p.Prompt(conversation(r), r.Tools)
		if err != nil {
			t.Fatal(err)
		}
		if len(prompt) > 256 { // PyTorch would take long
			continue
		}
		examples = append(examples, train.Example{ID: r.Request(), Prompt: prompt, Answer: p.Answer(r.Answer())})
		if len(examples) == 8 {
			break
		}
	}
	for i, e := range examples[:5] {
		others := slices.Concat(examples[i+1:], examples[:i]) // some rows have the same answer
		j := slices.IndexFunc(others, func(o train.Example) bool { return !slices.Equal(o.Answer, e.Answer) })
		pairs = append(pairs, train.Pair{ID: e.ID, Prompt: e.Prompt, Chosen: e.Answer, Rejected: others[j].Answer})
	}
	return examples, pairs
}

// peerBatches are examples and pairs as real.py reads them.
func peerBatches(examples []train.Example, pairs []train.Pair) (es, ps []map[string][]int32) {
	for _, e := range examples {
		es = append(es, map[string][]int32{"prompt": e.Prompt, "answer": e.Answer})
	}
	for _, p := range pairs {
		ps = append(ps, map[string][]int32{"prompt": p.Prompt, "chosen": p.Chosen, "rejected": p.Rejected})
	}
	return es, ps
}
