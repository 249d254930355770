package ptx

// Instructions in which the lanes of a warp act together.

// together checks that all lanes that the mask names are here, and no others.
func together(w *warp, active uint32, masks *lanes) error {
	for l := range 32 {
		if active>>l&1 == 0 {
			continue
		}
		if want := uint32(masks[l]) & w.live; want != active {
			return fault(Divergence, l, "the mask names lanes %08x, of which %08x live, but %08x are here",
				uint32(masks[l]), want, active)
		}
	}
	return nil
}

func (c *compiler) warpBarrier() exec {
	mask := c.src(0)
	return func(w *warp, active uint32) error {
		if err := together(w, active, &w.regs[mask]); err != nil {
			return err
		}
		if active == w.live { // a barrier of some lanes orders too little for the race check to count on
			w.phase++
		}
		return nil
	}
}

func (c *compiler) warpWide() exec {
	switch {
	case c.in.op == "activemask.b32":
		d := c.dst(0)
		return func(w *warp, active uint32) error { return fill(w, active, d, uint64(active)) }
	case c.in.parts[0] == "shfl" && len(c.in.parts) == 4 && c.part(1) == "sync" && c.typ() == "b32":
		return c.shuffle()
	case c.in.parts[0] == "vote" && len(c.in.parts) == 4 && c.part(1) == "sync":
		return c.vote()
	case c.in.parts[0] == "redux" && len(c.in.parts) == 4 && c.part(1) == "sync":
		return c.reduce()
	}
	return nil
}

// sourceLane is the lane that a shuffle reads from, and whether it is within the segment. clamp has the
// bound in its low bits, and the mask of the segments from bit 8 on.
func sourceLane(mode string, lane, by int, clamp uint64) (from int, within bool) {
	segment, bound := int(clamp>>8&31), int(clamp&31)
	last := lane&segment | bound&^segment
	switch mode {
	case "up":
		return lane - by, lane-by >= last
	case "down":
		from = lane + by
	case "bfly":
		from = lane ^ by
	default: // idx
		from = lane&segment | by&^segment
	}
	return from, from <= last
}

func (c *compiler) shuffle() exec {
	mode := c.part(2)
	if mode != "up" && mode != "down" && mode != "bfly" && mode != "idx" {
		return nil
	}
	d, p := c.pair(0)
	a, b, clamp, mask := c.src(1), c.src(2), c.src(3), c.src(4)
	return func(w *warp, active uint32) error {
		if err := together(w, active, &w.regs[mask]); err != nil {
			return err
		}
		values, by, clamps := w.regs[a], w.regs[b], w.regs[clamp]
		for l := range 32 {
			if active>>l&1 == 0 {
				continue
			}
			from, within := sourceLane(mode, l, int(by[l]&31), clamps[l])
			if !within {
				from = l
			}
			if active>>from&1 == 0 {
				return fault(Divergence, l, "%s reads lane %d, which takes no part", c.in.op, from)
			}
			w.regs[d][l] = values[from]
			if p >= 0 {
				w.regs[p][l] = boolBit(within)
			}
		}
		return nil
	}
}

func (c *compiler) vote() exec {
	mode, d := c.part(2), c.dst(0)
	a, not := c.predicate(1)
	mask := c.src(2)
	if mode != "ballot" && mode != "any" && mode != "all" && mode != "uni" {
		return nil
	}
	return func(w *warp, active uint32) error {
		if err := together(w, active, &w.regs[mask]); err != nil {
			return err
		}
		var votes uint32
		for l := range 32 {
			if (w.regs[a][l] != 0) != not {
				votes |= 1 << l & active
			}
		}
		result := uint64(votes)
		switch mode {
		case "any":
			result = boolBit(votes != 0)
		case "all":
			result = boolBit(votes == active)
		case "uni":
			result = boolBit(votes == active || votes == 0)
		}
		return fill(w, active, d, result)
	}
}

// reduce is redux: one value of all lanes.
func (c *compiler) reduce() exec {
	f := binary2(c.part(2), c.typ())
	if f == nil || typeBits[c.typ()] != 32 || c.typ() == "f32" {
		return nil
	}
	d, a, mask := c.dst(0), c.src(1), c.src(2)
	return func(w *warp, active uint32) error {
		if err := together(w, active, &w.regs[mask]); err != nil {
			return err
		}
		first, v := true, uint64(0)
		for l := range 32 {
			if active>>l&1 == 0 {
				continue
			}
			if first {
				first, v = false, w.regs[a][l]
			} else {
				v = f(v, w.regs[a][l])
			}
		}
		return fill(w, active, d, v)
	}
}
