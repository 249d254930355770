package schemas

// Manifest opens a round: the keys whose results the keeper waits for. It is written
// before the first task of the round, so that a crash between the two loses nothing.
type Manifest struct {
	Key string `arrow:"key"` // item key
}

func (Manifest) Schema() string { return "manifest/v1" }
