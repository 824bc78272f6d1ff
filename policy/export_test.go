package policy

// EvaluateAll judges a decoded request without passing over rules that an update does not concern.
func (s *Set) EvaluateAll(r *Request) Decision {
	all := *r
	all.differences = differences{}
	return s.Evaluate(&all)
}
