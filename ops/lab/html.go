package lab

import "io"

// HTML writes one self-contained page.
func (r *Result) HTML(w io.Writer) error { return nil }
