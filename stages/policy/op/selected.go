package op

// selection is the selected rows of a batch: in each segment, those from the first target on. Of the last
// layer only their output is read, besides all keys and values. After long prompts they are few.
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

// gather copies the selected rows of x, each of width values, to dst, one behind the other.
func (s *selection) gather(dst, x []float32, width int) {
	for i, r := range s.rows {
		copy(dst[i*width:(i+1)*width], x[int(r)*width:])
	}
}

// scatter copies the rows of src to the selected rows of x. The other rows of x keep their values.
func (s *selection) scatter(x, src []float32, width int) {
	for i, r := range s.rows {
		copy(x[int(r)*width:(int(r)+1)*width], src[i*width:])
	}
}
