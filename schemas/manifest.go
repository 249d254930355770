package schemas

// Manifest opens a round: the keys whose results the keeper will wait for. It
// is written before the first task of the round, so that a crash in between
// loses nothing.
type Manifest struct {
	Key string `arrow:"key"`
}

func (Manifest) Schema() string { return "manifest/v1" }
