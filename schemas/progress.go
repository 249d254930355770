package schemas

// Progress says how far a long item is. It is sent, never stored: losing one does no harm.
type Progress struct {
	Stage  string `arrow:"stage"`  // the stage at work
	Key    string `arrow:"key"`    // its item
	Done   int64  `arrow:"done"`   // units done
	Total  int64  `arrow:"total"`  // units in all; 0: unknown
	Unit   string `arrow:"unit"`   // steps | nodes | rows
	Detail string `arrow:"detail"` // for people
}

func (Progress) Schema() string { return "progress/v1" }
