package schemas

// Record names, as they appear in the subject itool.run.<run>.<record>.<round>.<key>.
// A name is the part of Schema before the version, except where a comment says
// otherwise. Progress has none: it is never stored.
const (
	RecordRun       = "run"
	RecordShard     = "shard"
	RecordExample   = "example"
	RecordBuffer    = "buffer" // example rows: a task of score
	RecordRoot      = "root"   // one example row: a task of expand
	RecordCase      = "case"   // example rows: a task of evaluate
	RecordScore     = "score"
	RecordSelection = "selection"
	RecordCandidate = "candidate"
	RecordPair      = "pair"
	RecordPolicy    = "policy"
	RecordVerdict   = "verdict"
	RecordManifest  = "manifest"
	RecordGather    = "gather"
	RecordFailed    = "failed"
	RecordRefused   = "refused" // failed rows: an invalid result, and its writer
	RecordCancel    = "cancel"  // an end row, or no body: the record's existence cancels the run
	RecordEnd       = "end"
)

// Keys of the records that exist once per run or once per round. A manifest and
// a gather have the name of the record that they list as their key; the result
// of a whole round has the name of its own record.
const (
	KeyRun       = RecordRun
	KeyCancel    = RecordRun
	KeyEnd       = RecordEnd
	KeySelection = RecordSelection
	KeyPolicy    = RecordPolicy
)

// Values of Policy.Status.
const (
	StatusBase     = "base"           // the weights are the base model's: nothing was trained
	StatusTrained  = "trained"        // the round has weights of its own
	StatusNoUpdate = "no update"      // too few pairs: the parent's weights remain
	StatusGuard    = "stopped: guard" // the guard refused the new weights: the parent's remain; also in End.Status
)

// Values of End.Status, with StatusGuard.
const (
	StatusDone      = "done"
	StatusFailed    = "failed"
	StatusCancelled = "cancelled"
)

// Values of Failed.Reason.
const (
	ReasonRejected = "rejected" // the stage says that no retry can succeed
	ReasonAttempts = "attempts" // every attempt failed
	ReasonInvalid  = "invalid"  // what was published as its result is invalid
)

// Values of Example.Part and Verdict.Part: what an example is used for. Every
// row of the input is in exactly one part; a dropped row stays in its batch with
// its reason, so that nothing is lost between reading and reporting.
const (
	PartTrain      = "train"      // warm-up, and the replay buffer when Replay is set
	PartValidation = "validation" // settings, the guard, calibration; never trained on
	PartTest       = "test"       // held out; only evaluate reads it
	PartDropped    = "dropped"    // Reason says why
)

// Values of Example.Difficulty: the paper's grades.
const (
	DifficultyEasy   = "easy"
	DifficultyMedium = "medium"
	DifficultyHard   = "hard"
)
