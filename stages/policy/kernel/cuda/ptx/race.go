package ptx

import "fmt"

// The race check, of shared and of global memory.
//
// Two accesses of one byte by two threads, at least one of them a write, are a race unless something
// orders them: bar.sync for threads of a block, bar.warp.sync of the whole warp for threads of a warp,
// the end of a launch for all. Nothing orders threads of two blocks within a launch. Atomics do not
// race with atomics.
//
// Time is counted in intervals. The machine's clock goes up with every launch, block and bar.sync, so
// that one number tells an interval of a block from all others, and the history need never be cleared.
// Within an interval each warp counts its own bar.warp.syncs.
//
// A shadow keeps, of a byte or granule, the last writer and two readers: the latest, and one of another
// block or warp, an earlier block's before another warp's. With readers of two warps or blocks, any
// writer races with one of them. With readers of one warp only, it matters whether a thread other than
// the writer has read since the last bar.warp.sync; the flag many says so.

// access is who touched a granule, and when.
type access struct {
	phase, warpPhase uint32
	thread           int32 // in the block
	flags            uint32
}

const (
	many   = 1 // of reads: other threads of the warp as well, in this warpPhase
	atomic = 2 // of writes
)

// times are the clock when the launch, the block and the interval began that run now.
type times struct{ launch, block, phase uint32 }

type shadow struct {
	write       access
	read, read2 access
}

type accessKind int

const (
	readAccess accessKind = iota
	writeAccess
	atomicAccess
)

func (k accessKind) String() string { return [...]string{"read", "write", "atomic"}[k] }

// otherBlock tells whether another block of this launch made the access.
func (a *access) otherBlock(t *times) bool { return a.phase >= t.launch && a.phase < t.block }

// races tells whether nothing orders an access now behind the earlier one a.
func (a *access) races(now *access, t *times) bool {
	if a.phase != now.phase {
		return a.otherBlock(t)
	}
	if a.thread>>5 != now.thread>>5 {
		return true
	}
	return a.warpPhase == now.warpPhase && (a.thread != now.thread || a.flags&many != 0)
}

// check judges an access of byte i and records it.
func (s *shadow) check(now *access, t *times, kind accessKind, lane, i int) error {
	if s.write.races(now, t) && now.flags&s.write.flags&atomic == 0 {
		return fault(Race, lane, "byte %d: %s by thread %d, and no barrier since the write by %s",
			i, kind, now.thread, s.write.who(t))
	}
	if kind == readAccess {
		s.recordRead(now, t)
		return nil
	}
	for _, r := range []*access{&s.read, &s.read2} {
		if r.races(now, t) {
			return fault(Race, lane, "byte %d: %s by thread %d, and no barrier since the read by %s or its warp",
				i, kind, now.thread, r.who(t))
		}
	}
	s.write = *now
	return nil
}

func (s *shadow) recordRead(now *access, t *times) {
	r := &s.read
	switch {
	case r.phase != now.phase:
		if r.otherBlock(t) {
			s.read2 = *r
		}
		*r = *now
	case r.thread>>5 != now.thread>>5:
		if !s.read2.otherBlock(t) {
			s.read2 = *r
		}
		*r = *now
	case r.warpPhase != now.warpPhase:
		*r = *now
	case r.thread != now.thread:
		r.flags |= many
	}
}

func (a *access) who(t *times) string {
	if a.otherBlock(t) {
		return fmt.Sprintf("thread %d of another block", a.thread)
	}
	return fmt.Sprintf("thread %d", a.thread)
}

func (w *warp) now(lane int, kind accessKind) access {
	a := access{phase: w.block.time.phase, warpPhase: w.phase, thread: int32(w.id*32 + lane)}
	if kind == atomicAccess {
		a.flags = atomic
	}
	return a
}

// touch is the race check of n bytes of global memory.
func (a *allocation) touch(w *warp, lane, off, n int, kind accessKind) error {
	if a.shadow == nil {
		a.granule = 4
		a.shadow = make([]shadow, (len(a.data)+3)/4)
	}
	if n < a.granule {
		finer := make([]shadow, len(a.shadow)*a.granule/n)
		for i := range finer {
			finer[i] = a.shadow[i*n/a.granule]
		}
		a.shadow, a.granule = finer, n
	}
	now := w.now(lane, kind)
	for i := off; i < off+n; i += a.granule {
		if err := a.shadow[i/a.granule].check(&now, &w.block.time, kind, lane, i); err != nil {
			return err
		}
	}
	return nil
}

// sharedMemory is a block's shared memory, with what the checks need to know of each byte.
type sharedMemory struct {
	data    []byte
	written []byte
	shadow  []shadow
	pending []int32 // of each word: 1 + the thread whose cp.async is on its way there
	whole   []bool  // of each word of 4 bytes: its bytes have one history so far, that of the first
}

func newSharedMemory(size int) *sharedMemory {
	words := (size + 3) / 4
	return &sharedMemory{data: make([]byte, size), written: make([]byte, size),
		shadow: make([]shadow, 4*words), pending: make([]int32, words), whole: make([]bool, words)}
}

func (s *sharedMemory) reset() {
	clear(s.data)
	clear(s.written)
	clear(s.pending)
	for i := range s.whole {
		s.whole[i] = true
	}
}

// access checks one lane's access of n bytes and gives them.
func (s *sharedMemory) access(w *warp, lane int, off uint64, n int, kind accessKind) ([]byte, error) {
	if off > uint64(len(s.data)) || off+uint64(n) > uint64(len(s.data)) {
		return nil, fault(OutOfBounds, lane, "%s of %d bytes at %d of shared memory, which has %d",
			kind, n, int64(off), len(s.data))
	}
	if off&uint64(n-1) != 0 {
		return nil, fault(Misaligned, lane, "%s of %d bytes at %d of shared memory", kind, n, off)
	}
	if err := s.touch(w, lane, int(off), n, kind); err != nil {
		return nil, err
	}
	written := s.written[off : off+uint64(n)]
	if kind == writeAccess {
		setAll(written)
	} else if !allSet(written) {
		return nil, fault(Uninitialised, lane, "%d bytes at %d of shared memory", n, off)
	}
	return s.data[off : off+uint64(n)], nil
}

func (s *sharedMemory) touch(w *warp, lane, off, n int, kind accessKind) error {
	now := w.now(lane, kind)
	t := times{w.block.time.block, w.block.time.block, now.phase} // other blocks have other shared memory
	for i := off; i < off+n; {
		if p := s.pending[i/4]; p != 0 {
			return fault(Async, lane, "%s of byte %d of shared memory, where thread %d copies to", kind, i, p-1)
		}
		step := s.step(i/4, n)
		if err := s.shadow[i].check(&now, &t, kind, lane, i); err != nil {
			return err
		}
		i += step
	}
	return nil
}

// step is how many bytes of a word share one history. The first access of less than a word gives each
// byte its own.
func (s *sharedMemory) step(word, n int) int {
	switch {
	case !s.whole[word]:
		return 1
	case n >= 4:
		return 4
	}
	s.whole[word] = false
	for j := range 3 {
		s.shadow[4*word+j+1] = s.shadow[4*word]
	}
	return 1
}
