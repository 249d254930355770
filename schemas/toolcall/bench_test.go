package toolcall_test

import (
	"testing"

	"itool/schemas/toolcall"
)

func BenchmarkParse(b *testing.B) {
	const answer = `[Market Trends API(trend_type="MARKET_INDEXES", country="us"), ` +
		`get(a=[1, 2.5, {'k': (True, None)}])]`
	b.SetBytes(int64(len(answer)))
	for b.Loop() {
		if _, err := toolcall.Parse(answer); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	const answer = "```\n[get_weather(city='Paris', days=3), get(a=[1, 2.5, {'k': (True, None)}])]\n```"
	b.SetBytes(int64(len(answer)))
	for b.Loop() {
		if _, err := toolcall.Decode(answer); err != nil {
			b.Fatal(err)
		}
	}
}
