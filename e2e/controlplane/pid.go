package controlplane

// PID is the API server's process ID.
func (s *APIServer) PID() int { return s.process.PID() }
