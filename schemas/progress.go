package schemas

// Progress says how far a long item is. It is sent, never stored: losing one
// costs nothing.
type Progress struct {
	Stage  string `arrow:"stage"`
	Key    string `arrow:"key"`
	Done   int64  `arrow:"done"`
	Total  int64  `arrow:"total"`
	Unit   string `arrow:"unit"` // steps | nodes | rows
	Detail string `arrow:"detail"`
}

func (Progress) Schema() string { return "progress/v1" }
