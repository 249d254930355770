package schemas

// Run starts a run and describes it. The publisher writes it to itool.start.<run>;
// nothing in it changes afterwards.
//
// Version 1 had no store; it is read as if the run named none.
type Run struct {
	Name         string `arrow:"name"`          // the run
	Created      string `arrow:"created"`       // RFC 3339; for people, nothing derives from it
	Seed         uint64 `arrow:"seed"`          // every random choice of the run derives from it
	Config       string `arrow:"config"`        // the resolved configuration, JSON
	ConfigDigest string `arrow:"config_digest"` // sha256 of Config
	Base         string `arrow:"base"`          // digest of the base model's checkpoint
	Dataset      string `arrow:"dataset"`       // JSON array of Shard: the tasks of split
	Store        string `arrow:"store"`         // identity of the store with its files; "": any store is taken for it
}

func (Run) Schema() string { return "run/v2" }

// Upgrade reads version 1.
func (Run) Upgrade(b Batch) ([]Run, error) {
	old, err := Decode[runV1](b)
	if err != nil {
		return nil, err
	}
	rows := make([]Run, len(old))
	for i, o := range old {
		rows[i] = Run{
			Name: o.Name, Created: o.Created, Seed: o.Seed, Config: o.Config, ConfigDigest: o.ConfigDigest,
			Base: o.Base, Dataset: o.Dataset,
		}
	}
	return rows, nil
}

// runV1 is the record before stores had an identity.
type runV1 struct {
	Name         string `arrow:"name"`
	Created      string `arrow:"created"`
	Seed         uint64 `arrow:"seed"`
	Config       string `arrow:"config"`
	ConfigDigest string `arrow:"config_digest"`
	Base         string `arrow:"base"`
	Dataset      string `arrow:"dataset"`
}

func (runV1) Schema() string { return "run/v1" }

// Shard is the task of split: some rows of one published file.
type Shard struct {
	Key    string `arrow:"key"`    // the item key
	File   string `arrow:"file"`   // storage key of the shard's rows, or of the whole file
	SHA256 string `arrow:"sha256"` // digest of the published file
	Name   string `arrow:"name"`   // its name, for errors and reports
	Format string `arrow:"format"` // toolace | bfcl | …
	First  int32  `arrow:"first"`  // first row of this shard
	Rows   int32  `arrow:"rows"`   // number of rows
}

func (Shard) Schema() string { return "shard/v1" }

// End closes a run. The keeper writes it once.
type End struct {
	Status string `arrow:"status"` // done | stopped: guard | failed | cancelled
	Detail string `arrow:"detail"` // why, and what to do
	Rounds int32  `arrow:"rounds"` // rounds that changed the policy
}

func (End) Schema() string { return "end/v1" }
