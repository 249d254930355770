package op

// selection is the rows of a batch from each segment's first target on: of the last layer nothing else
// is read, but for its keys and values. Behind long prompts they are few.
type selection struct {
	rows  []int32 // ascending
	first []int32 // by segment, as kernel.Device.Attention wants them
}

func (s *selection) find(targets, cu []int32) {
	s.rows, s.first = s.rows[:0], s.first[:0]
	for segment := range len(cu) - 1 {
		row := cu[segment]
		for row < cu[segment+1] && targets[row] < 0 {
			row++
		}
		s.first = append(s.first, row)
		for ; row < cu[segment+1]; row++ {
			s.rows = append(s.rows, row)
		}
	}
}

// gather copies rows of width values of x, one behind the other.
func (s *selection) gather(dst, x []float32, width int) {
	for i, r := range s.rows {
		copy(dst[i*width:(i+1)*width], x[int(r)*width:])
	}
}

// scatter is the way back.
func (s *selection) scatter(x, src []float32, width int) {
	for i, r := range s.rows {
		copy(x[int(r)*width:(int(r)+1)*width], src[i*width:])
	}
}
