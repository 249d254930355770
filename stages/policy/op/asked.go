package op

// asked are the rows of a batch from each segment's first target on: of the last layer nothing else
// is read, but for its keys and values. Behind long prompts they are few.
type asked struct {
	rows  []int32 // ascending
	first []int32 // by segment, as kernel.Device.Attention wants them
}

func (a *asked) find(targets, cu []int32) {
	a.rows, a.first = a.rows[:0], a.first[:0]
	for s := range len(cu) - 1 {
		row := cu[s]
		for row < cu[s+1] && targets[row] < 0 {
			row++
		}
		a.first = append(a.first, row)
		for ; row < cu[s+1]; row++ {
			a.rows = append(a.rows, row)
		}
	}
}

// gather copies rows of width values of x, one behind the other.
func (a *asked) gather(dst, x []float32, width int) {
	for i, r := range a.rows {
		copy(dst[i*width:(i+1)*width], x[int(r)*width:])
	}
}

// scatter is the way back.
func (a *asked) scatter(x, src []float32, width int) {
	for i, r := range a.rows {
		copy(x[int(r)*width:(int(r)+1)*width], src[i*width:])
	}
}
