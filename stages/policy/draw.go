package policy

// At is the place after the first n tokens of the draw, 1 ≤ n ≤ len(d.Tokens):
// another branch can go on there without computing anything again. d.End must be
// of a live session.
func (d *Draw) At(n int) Branch {
	keep := len(d.End.path) - (len(d.Tokens) - n)
	return Branch{of: d.End.of, path: d.End.path[:keep:keep], last: d.Tokens[n-1]}
}
