package report

// PolicyOf is the policy of a round, −1 for the base; nil while the run has none.
func (r *Report) PolicyOf(round int) *Policy {
	for i := range r.Policies {
		if r.Policies[i].Round == round {
			return &r.Policies[i]
		}
	}
	return nil
}
