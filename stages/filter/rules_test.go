package filter

import (
	"math"
	"math/rand/v2"
	"testing"
)

// slowDistance is the edit distance by its definition, in a whole table.
func slowDistance(a, b []int32) int {
	table := make([][]int, len(a)+1)
	for i := range table {
		table[i] = make([]int, len(b)+1)
		for j := range table[i] {
			switch {
			case i == 0 || j == 0:
				table[i][j] = i + j
			case a[i-1] == b[j-1]:
				table[i][j] = table[i-1][j-1]
			default:
				table[i][j] = 1 + min(table[i-1][j-1], table[i-1][j], table[i][j-1])
			}
		}
	}
	return table[len(a)][len(b)]
}

func TestDistance(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	draw := func() []int32 {
		ids := make([]int32, random.IntN(12))
		for i := range ids {
			ids[i] = int32(random.IntN(3))
		}
		return ids
	}
	for range 5000 {
		a, b := draw(), draw()
		if got, want := distance(a, b), slowDistance(a, b); got != want {
			t.Fatalf("distance(%v, %v) = %d, want %d", a, b, got, want)
		}
	}
}

func TestSimilarity(t *testing.T) {
	for _, c := range []struct {
		name string
		a, b []int32
		want float64
	}{
		{"both empty", nil, nil, 1},
		{"one empty", []int32{1, 2}, nil, 0},
		{"equal", []int32{1, 2}, []int32{1, 2}, 1},
		{"one of four replaced", []int32{1, 2, 3, 4}, []int32{1, 9, 3, 4}, 0.75},
		{"one of four missing", []int32{1, 2, 3, 4}, []int32{1, 3, 4}, 0.75},
		{"nothing alike", []int32{1, 2}, []int32{3, 4, 5}, 0},
	} {
		if got := similarity(c.a, c.b); math.Abs(got-c.want) > 1e-15 {
			t.Errorf("%s: similarity %g, want %g", c.name, got, c.want)
		}
	}
}

func BenchmarkDistance200(b *testing.B) {
	x, y := make([]int32, 200), make([]int32, 200)
	for i := range x {
		x[i], y[i] = int32(i*7%50), int32(i*11%50)
	}
	for b.Loop() {
		distance(x, y)
	}
}
