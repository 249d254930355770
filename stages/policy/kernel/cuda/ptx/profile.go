package ptx

import "math/bits"

const (
	banks       = 32 // of 4 bytes
	sectorBytes = 32
)

// profile counts what one ld or st of all active lanes costs; addresses are those of the lanes.
func (w *warp) profile(sp space, active uint32, addresses *lanes, off uint64, size int) {
	if !w.block.machine.Profile {
		return
	}
	stats := &w.block.machine.Stats
	switch sp {
	case shared:
		// The hardware serves 128 bytes at once: 8 bytes a lane take two turns, 16 bytes four.
		group := min(32, 128/size)
		for first := 0; first < 32; first += group {
			stats.Conflicts += conflicts(active>>first&(1<<group-1), addresses[first:first+group], off, size)
		}
	case global:
		stats.Bytes += uint64(bits.OnesCount32(active) * size)
		touched := map[uint64]bool{}
		for l, a := range addresses {
			if active>>l&1 != 0 {
				touched[(a+off)/sectorBytes] = true
			}
		}
		stats.Sectors += uint64(len(touched))
	}
}

// conflicts counts the turns beyond the first that one group of lanes needs: one for every further
// word of the bank that most are wanted of. Lanes that want the same word share a turn.
func conflicts(active uint32, addresses []uint64, off uint64, size int) uint64 {
	var words [banks]map[uint64]bool
	most := 1
	for l, a := range addresses {
		if active>>l&1 == 0 {
			continue
		}
		for b := 0; b < max(size, 4); b += 4 {
			word := (a + off + uint64(b)) / 4
			bank := &words[word%banks]
			if *bank == nil {
				*bank = map[uint64]bool{}
			}
			(*bank)[word] = true
			most = max(most, len(*bank))
		}
	}
	return uint64(most - 1)
}
