package schemas_test

import (
	"testing"

	"itool/schemas"
)

// typicalPairs are the rows of a batch of typical size: 64 rows of about a thousand tokens.
func typicalPairs() []schemas.Pair {
	rows := make([]schemas.Pair, 64)
	for i := range rows {
		ids := make([]int32, 900+3*i)
		for j := range ids {
			ids[j] = int32(i*7919+j*104729) & 0x1FFFF
		}
		rows[i] = schemas.Pair{
			ExampleID: "s0-17", PromptIDs: ids, ChosenIDs: ids[:40], RejectedIDs: ids[40:90],
			ChosenText: "[weather(city=\"Bern\")]",
		}
	}
	return rows
}

func BenchmarkEncode(b *testing.B) {
	rows := typicalPairs()
	b.SetBytes(int64(len(encode(b, rows).Body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := schemas.Encode(schemas.Header{}, rows); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	batch := encode(b, typicalPairs())
	b.SetBytes(int64(len(batch.Body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := schemas.Decode[schemas.Pair](batch); err != nil {
			b.Fatal(err)
		}
	}
}

// A small message: most of the time goes to checking its schema.
func BenchmarkDecodeOneRow(b *testing.B) {
	batch := encode(b, []schemas.Score{{ExampleID: "s0-17", Perplexity: 1.5, Tokens: 40}})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := schemas.Decode[schemas.Score](batch); err != nil {
			b.Fatal(err)
		}
	}
}
