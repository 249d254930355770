package schemas

// Example is one assistant turn and everything before it. split writes it; tasks of
// score, expand and evaluate carry it again.
type Example struct {
	ID         string  `arrow:"id"`         // <shard key>-<row number>; also the item key
	Source     string  `arrow:"source"`     // file name of the dataset
	Row        int32   `arrow:"row"`        // row in that file, from 0
	Turn       int32   `arrow:"turn"`       // assistant turn in that row, from 0
	Category   string  `arrow:"category"`   // the benchmark's category, or ""
	Messages   string  `arrow:"messages"`   // JSON [{role, content}], the turns before the answer
	Tools      string  `arrow:"tools"`      // JSON array of tool schemas
	Reference  string  `arrow:"reference"`  // the answer to learn, as text
	Acceptable string  `arrow:"acceptable"` // JSON of BFCL's possible answers; "": the reference is the only one
	PromptIDs  []int32 `arrow:"prompt_ids"` // token ids up to where the assistant's turn begins
	AnswerIDs  []int32 `arrow:"answer_ids"` // token ids of the reference, end-of-turn included
	Template   string  `arrow:"template"`   // hash of the chat template that rendered the ids
	Candidates int32   `arrow:"candidates"` // a: candidate tools
	ToolChars  int32   `arrow:"tool_chars"` // b: characters of the serialised tool set
	Calls      int32   `arrow:"calls"`      // c: calls in the reference
	Difficulty string  `arrow:"difficulty"` // easy | medium | hard
	Part       string  `arrow:"part"`       // train | validation | test | dropped
	Replay     bool    `arrow:"replay"`     // in the replay buffer of the rounds
	Reason     string  `arrow:"reason"`     // why a dropped row was dropped
	Detail     string  `arrow:"detail"`     // the error behind the reason: file, row, field
}

func (Example) Schema() string { return "example/v1" }
