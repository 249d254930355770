package schemas

// Failed marks an item that a worker gave up. The item itself stays in the stream under
// Subject, so that it can be inspected and queued again.
type Failed struct {
	Stage    string `arrow:"stage"`    // the stage that gave it up
	Subject  string `arrow:"subject"`  // the task that failed
	Attempts int32  `arrow:"attempts"` // how often it was tried
	Reason   string `arrow:"reason"`   // rejected | attempts | invalid
	Error    string `arrow:"error"`    // the last error, whole
	Worker   string `arrow:"worker"`   // the worker that gave it up
}

func (Failed) Schema() string { return "failed/v1" }
