// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import "github.com/go-logr/logr"

// errorState logs an error once, however often it comes back, and its end.
type errorState struct {
	log  logr.Logger
	what string
	last string
}

// report is told the outcome of each try, nil for a success.
func (s *errorState) report(err error) {
	var now string
	if err != nil {
		now = err.Error()
	}
	switch {
	case now == s.last:
	case now == "":
		s.log.Info("recovered", "from", s.what)
	default:
		s.log.Error(err, s.what)
	}
	s.last = now
}
