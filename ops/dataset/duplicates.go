package dataset

import (
	"unicode"
)

// Duplicates counts conversations that are the same, or nearly so, as one before. Two are the
// same if their words are: letters and digits, in any case. Two are nearly the same if they
// share at least 80 % of their runs of three words (Jaccard), estimated by MinHash; tools and
// the system's text do not count. The memory is fixed: beyond maxSketches conversations, the
// later ones are compared with the first ones and no longer among themselves.
type Duplicates struct {
	Exact    int      `json:"exact"`
	Near     int      `json:"near"`             // not counting the exact ones
	Compared int      `json:"compared"`         // conversations that others were compared with
	Places   []string `json:"places,omitempty"` // of the first ones, with what they repeat
	index    *sketches
}

// Near duplicates are found by their bands (Broder 1997; Leskovec, Rajaraman, Ullman, "Mining
// of Massive Datasets", chapter 3): of 72 minima, 12 bands of 6. Texts that share 80 % of
// their runs meet in a band with 97 %, those that share 50 % with 17 %; the 72 minima decide.
const (
	bands       = 12
	bandRows    = 6
	minima      = bands * bandRows
	maxSketches = 1 << 17
	bandSlots   = 1 << 18
	nearMinima  = minima * 8 / 10
	shingle     = 3 // words
)

// sketch is what is kept of a text: a hash of its words, and the minima of the hashes of its
// runs of three words under 72 permutations, the lowest byte of each.
type sketch struct {
	whole  uint64
	minima [minima]byte
	bands  [bands]uint32
	short  bool // fewer than three words: it has no runs
}

// sketches finds the texts that were added before.
type sketches struct {
	kept  [][minima]byte
	where []uint64         // what the caller knows a kept text by
	exact map[uint64]int32 // whole → kept
	slots [bands][]int32   // a band's hash → kept + 1
}

func newSketches() *sketches {
	s := &sketches{kept: make([][minima]byte, 0, maxSketches), exact: map[uint64]int32{}}
	for i := range s.slots {
		s.slots[i] = make([]int32, bandSlots)
	}
	return s
}

// find returns the first kept text that is the same, or nearly so, or −1.
func (s *sketches) find(k *sketch) (at int, exact bool) {
	if i, ok := s.exact[k.whole]; ok {
		return int(i), true
	}
	if k.short {
		return -1, false
	}
	for b := range k.bands {
		i := int(s.slots[b][k.bands[b]%bandSlots]) - 1
		if i < 0 {
			continue
		}
		same := 0
		for m := range k.minima {
			if k.minima[m] == s.kept[i][m] {
				same++
			}
		}
		if same >= nearMinima {
			return i, false
		}
	}
	return -1, false
}

// add looks a conversation up, counts it and keeps it. where packs file and row.
func (d *Duplicates) add(k *sketch, where uint64, name func(uint64) string) {
	at, exact := d.index.find(k)
	switch {
	case at >= 0 && exact:
		d.Exact++
	case at >= 0:
		d.Near++
		d.index.keep(k, where)
	default:
		d.index.keep(k, where)
	}
	if d.Compared = len(d.index.kept); at >= 0 && len(d.Places) < maxPlaces {
		how := "is nearly"
		if exact {
			how = "is"
		}
		d.Places = append(d.Places, name(where)+" "+how+" "+name(d.index.where[at]))
	}
}

// keep adds a text, unless there are too many.
func (s *sketches) keep(k *sketch, where uint64) {
	if len(s.kept) >= maxSketches {
		return
	}
	i := int32(len(s.kept))
	s.kept, s.where = append(s.kept, k.minima), append(s.where, where)
	s.exact[k.whole] = i
	if k.short {
		return
	}
	for b := range k.bands {
		if slot := &s.slots[b][k.bands[b]%bandSlots]; *slot == 0 {
			*slot = i + 1
		}
	}
}

// sketchOf makes the sketch of texts that stand one behind the other. The hash is FNV-1a, the
// same on every machine and in every run.
func sketchOf(texts ...string) (k sketch, words int) {
	const offset, prime = 14695981039346656037, 1099511628211
	var least [minima]uint64
	for i := range least {
		least[i] = ^uint64(0)
	}
	k.whole = offset
	var last [shingle]uint64
	word, inWord := uint64(offset), false
	end := func() {
		if !inWord {
			return
		}
		k.whole = mix(k.whole ^ word)
		copy(last[:], last[1:])
		last[shingle-1] = word
		if words++; words >= shingle {
			run := mix(mix(mix(last[0])^last[1]) ^ last[2])
			for i := range least {
				least[i] = min(least[i], mix(run^uint64(i+1)*0x9e3779b97f4a7c15))
			}
		}
		word, inWord = offset, false
	}
	for _, text := range texts {
		for _, r := range text {
			if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
				end()
				continue
			}
			word, inWord = (word^uint64(unicode.ToLower(r)))*prime, true
		}
		end()
	}
	k.short = words < shingle
	for b := range k.bands {
		h := uint64(b)
		for i := range bandRows {
			h = mix(h ^ least[b*bandRows+i])
		}
		k.bands[b] = uint32(h)
	}
	for i, m := range least {
		k.minima[i] = byte(m)
	}
	return k, words
}

// mix is the finaliser of SplitMix64: every bit of x changes half of the result's.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
