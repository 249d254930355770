package python

import (
	"math/big"
	"math/bits"
)

// Random is CPython's random.Random: the Mersenne Twister MT19937 of Matsumoto and Nishimura
// (ACM TOMACS 8, 1998), seeded by init_by_array with the digits of the seed.
type Random struct {
	state [624]uint32
	next  int
}

// NewRandom is random.Random(seed) for a seed of 32 bits.
func NewRandom(seed uint32) *Random {
	r := &Random{}
	r.fill(19650218)
	i := 1
	for range len(r.state) {
		r.state[i] = (r.state[i] ^ (r.state[i-1]^r.state[i-1]>>30)*1664525) + seed
		i = r.step(i)
	}
	for range len(r.state) - 1 {
		r.state[i] = (r.state[i] ^ (r.state[i-1]^r.state[i-1]>>30)*1566083941) - uint32(i)
		i = r.step(i)
	}
	r.state[0] = 1 << 31
	r.next = len(r.state)
	return r
}

func (r *Random) step(i int) int {
	if i++; i >= len(r.state) {
		r.state[0] = r.state[len(r.state)-1]
		return 1
	}
	return i
}

func (r *Random) fill(seed uint32) {
	r.state[0] = seed
	for i := 1; i < len(r.state); i++ {
		r.state[i] = 1812433253*(r.state[i-1]^r.state[i-1]>>30) + uint32(i)
	}
}

// Word returns the next 32 bits.
func (r *Random) Word() uint32 {
	if r.next == len(r.state) {
		r.twist()
	}
	y := r.state[r.next]
	r.next++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

func (r *Random) twist() {
	const n, m = 624, 397
	for i := range n {
		y := r.state[i]&0x80000000 | r.state[(i+1)%n]&0x7fffffff
		r.state[i] = r.state[(i+m)%n] ^ y>>1 ^ y&1*0x9908b0df
	}
	r.next = 0
}

// Between is randint(low, high): low <= x <= high.
func (r *Random) Between(low, high int64) *big.Int {
	return big.NewInt(low + int64(r.below(uint64(high-low)+1)))
}

// below draws from [0, n) as random.Random does: bits until they are small enough.
func (r *Random) below(n uint64) uint64 {
	k := bits.Len64(n)
	for {
		if x := r.bits(k); x < n {
			return x
		}
	}
}

func (r *Random) bits(k int) uint64 {
	if k <= 32 {
		return uint64(r.Word() >> (32 - k))
	}
	low := uint64(r.Word())
	return low | uint64(r.Word()>>(64-k))<<32
}

// Float is random(): 53 bits in [0, 1).
func (r *Random) Float() float64 {
	high, low := r.Word()>>5, r.Word()>>6
	return (float64(high)*(1<<26) + float64(low)) / (1 << 53)
}

// Uniform is uniform(low, high).
func (r *Random) Uniform(low, high float64) float64 { return low + (high-low)*r.Float() }
