package toolcall

// DecodeStep reads the raw text of one step as the checker of BFCL's multi-turn categories
// does: as one of single turns in the edition V3. What it is not sure of is an error.
func DecodeStep(raw string) ([]Call, error) { return DecodeEdition(raw, V3) }
