package policy

// At is the place after the first n tokens of the draw, 1 ≤ n ≤ len(d.Tokens): another branch can go
// on there, and nothing is computed again. Like d.End it is valid until the session restarts.
func (d *Draw) At(n int) Branch {
	at := d.End // with its session and epoch
	keep := len(at.path) - (len(d.Tokens) - n)
	at.path, at.last = at.path[:keep:keep], d.Tokens[n-1]
	return at
}
