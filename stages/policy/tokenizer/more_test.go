package tokenizer_test

import (
	"bufio"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"

	"itool/stages/policy/tokenizer"
)

// moreRow is a text with the IDs that Hugging Face tokenizers gives it with one of the files.
type moreRow struct {
	Tok, Text string
	IDs       []int32
}

// moreRows returns the rows by tokenizer, and the tokenizers.
func moreRows(t *testing.T) (rows map[string][]moreRow, toks map[string]*tokenizer.Tokenizer) {
	dir := filepath.Join(thirdParty(t), "..", "tokenizers_more")
	f, err := os.Open(filepath.Join(dir, "rows_a.jsonl"))
	if err != nil {
		t.Skip("third-party data not present: tokenizers_more")
	}
	defer f.Close()
	rows, toks = map[string][]moreRow{}, map[string]*tokenizer.Tokenizer{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var row moreRow
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		if toks[row.Tok] == nil {
			file, err := os.ReadFile(filepath.Join(dir, row.Tok+".json"))
			if err != nil {
				t.Fatal(err)
			}
			toks[row.Tok] = openBytes(t, file)
		}
		rows[row.Tok] = append(rows[row.Tok], row)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return rows, toks
}

// TestMore compares with Hugging Face tokenizers under the pre-tokenizers of published models: the IDs of
// all texts, and each text back from them if the vocabulary has all of its bytes.
func TestMore(t *testing.T) {
	all, toks := moreRows(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		tok, agree, whole := toks[name], 0, 0
		nfc := tok.Parts().NFC
		for _, row := range all[name] {
			got := tok.EncodeRendered(row.Text)
			if !slices.Equal(got, row.IDs) {
				t.Errorf("%s: %q:\n got %v\nwant %v", name, row.Text, got, row.IDs)
				continue
			}
			agree++
			want := row.Text
			if nfc {
				want = norm.NFC.String(want)
			}
			// Bytes without a token are dropped: only a text whose bytes all have tokens comes back.
			if size := len(strings.Join(texts(tok, got), "")); size != len(want) {
				continue
			}
			if whole++; tok.Decode(got) != want {
				t.Errorf("%s: %q came back as %q", name, want, tok.Decode(got))
			}
		}
		t.Logf("%-14s %d of %d texts have the same IDs; %d come back whole", name, agree, len(all[name]), whole)
	}
	if len(all) != 11 {
		t.Errorf("%d tokenizers, want 11", len(all))
	}
}
