package tokenizer_test

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"itool/stages/policy/tokenizer"
)

// with returns testdata/base.json with other values of some fields, named as "model.ignore_merges".
func with(t testing.TB, fields map[string]any) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/base.json")
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]any
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	for name, v := range fields {
		in := file
		for outer, rest, nested := strings.Cut(name, "."); nested; outer, rest, nested = strings.Cut(name, ".") {
			in, name = in[outer].(map[string]any), rest
		}
		in[name] = v
	}
	if data, err = json.Marshal(file); err != nil {
		t.Fatal(err)
	}
	return data
}

// TestSteps compares with Hugging Face tokenizers 0.23.3 under all supported steps of pre-tokenizers, alone
// and one behind the other. The vocabulary was trained on texts that were cut anywhere, so a wrong cut gives
// other IDs.
func TestSteps(t *testing.T) {
	f, err := os.Open("testdata/steps.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c struct {
			Name         string
			PreTokenizer any  `json:"pre_tokenizer"`
			Normalizer   any  `json:"normalizer"`
			IgnoreMerges bool `json:"ignore_merges"`
			Rows         []struct {
				Text string
				IDs  []int32
				Back string
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		t.Run(c.Name, func(t *testing.T) {
			tok := openBytes(t, with(t, map[string]any{
				"pre_tokenizer": c.PreTokenizer, "normalizer": c.Normalizer, "model.ignore_merges": c.IgnoreMerges,
			}))
			for _, r := range c.Rows {
				if got := tok.EncodeRendered(r.Text); !slices.Equal(got, r.IDs) {
					t.Errorf("%q:\n got %q\nwant %q", r.Text, texts(tok, got), texts(tok, r.IDs))
				}
				if got := tok.Decode(r.IDs); got != r.Back {
					t.Errorf("%v: back: got %q, want %q", r.IDs, got, r.Back)
				}
			}
		})
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

func texts(tok *tokenizer.Tokenizer, ids []int32) (all []string) {
	for _, id := range ids {
		all = append(all, string(tok.Bytes(id)))
	}
	return all
}

type object = map[string]any

func sequence(steps ...any) object { return object{"type": "Sequence", "pretokenizers": steps} }

func split(regex string) object {
	return object{"type": "Split", "pattern": object{"Regex": regex}, "behavior": "Isolated", "invert": false}
}

func byteLevel() object {
	return object{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}
}

// TestBacktracking: an expression that keeps a backtracking library busy without end cuts as it says.
func TestBacktracking(t *testing.T) {
	tok := openBytes(t, with(t, object{"pre_tokenizer": sequence(split(`(?:a+)+b|(?:a|a)*c| `), byteLevel())}))
	long := strings.Repeat("a", 100_000)
	if got := tok.Decode(tok.Encode(long + " " + long)); got != long+" "+long {
		t.Errorf("%d bytes come back, want %d", len(got), 2*len(long)+1)
	}
}

// TestMergeListedTwice: the last place counts. The tokens are those of Hugging Face tokenizers 0.23.3.
func TestMergeListedTwice(t *testing.T) {
	for want, merges := range map[string][][]string{
		"t he": {{"h", "e"}, {"t", "h"}},
		"th e": {{"h", "e"}, {"t", "h"}, {"h", "e"}},
	} {
		tok := openBytes(t, with(t, map[string]any{"model.merges": merges}))
		if got := strings.Join(texts(tok, tok.Encode("the")), " "); got != want {
			t.Errorf("merges %v: %q, want %q", merges, got, want)
		}
	}
}

// TestControl: no text becomes a control token, even where merges would make one of it.
func TestControl(t *testing.T) {
	made := func(file []byte) []byte {
		s := strings.Replace(string(file), `"merges":[`, `"merges":[["<","e"],["<e","nd"],["<end",">"],["n","d"],`, 1)
		words := `"vocab":{"<e":900,"<en":901,"<end":902,"<end>":903,"nd":904,`
		return []byte(strings.Replace(s, `"vocab":{`, words, 1))
	}
	added := []any{object{"id": 903, "content": "<end>", "single_word": false, "lstrip": false, "rstrip": false,
		"normalized": false, "special": true}}
	for _, ignore := range []bool{false, true} {
		tok := openBytes(t, made(with(t, object{
			"pre_tokenizer": byteLevel(), "added_tokens": added, "model.ignore_merges": ignore,
		})))
		ids := tok.Encode("<end>")
		if slices.ContainsFunc(ids, tok.IsSpecial) || tok.Decode(ids) != "<end>" {
			t.Errorf("ignore_merges %v: %v is %q", ignore, ids, texts(tok, ids))
		}
		if got := tok.EncodeRendered("<end>"); len(got) != 1 || !tok.IsSpecial(got[0]) {
			t.Errorf("ignore_merges %v: rendered: %v", ignore, got)
		}
	}
}

// TestByteAsControl: a special token that is the token of a byte would come out of any text.
func TestByteAsControl(t *testing.T) {
	_, err := tokenizer.Open(fstest.MapFS{tokenizer.File: {Data: with(t, object{
		"pre_tokenizer": byteLevel(), "added_tokens": []any{object{"id": 1, "content": "!", "single_word": false,
			"lstrip": false, "rstrip": false, "normalized": false, "special": true}},
	})}})
	if err == nil || !strings.Contains(err.Error(), `"!" is special, but also the token of a byte`) {
		t.Errorf("got %v", err)
	}
}
