// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package detection

// Case is an event that the tests know.
type Case struct {
	Name string // of its file in testdata, without .json
	// Falco and Sigma are the names of the rules that fire for it, and no others. Empty: none.
	Falco, Sigma string
}

// Cases returns the events in testdata. They were written by a real API server: go -C e2e test ./detection -update records them.
func Cases() []Case {
	return []Case{
		{"allowed", "", ""},
		{"denied", deniedFalco, deniedSigma},
		{"denied-by-floor", deniedFalco, deniedSigma},
		{"failed-open", "Write of a kubelet passed without evaluation", "Write of a Kubelet Passed Without Evaluation"},
		{
			"no-answer", "Write of a kubelet refused because NodeRestriction-plus did not answer",
			"Write of a Kubelet Refused Because NodeRestriction-plus Did Not Answer",
		},
		{"other-client", "Credential of a kubelet used by another client", "Credential of a Kubelet Used by Another Client"},
		{"other-webhook", "", ""},
		{"policy-created", policyFalco, policySigma},
		{"policy-deleted", policyFalco, policySigma},
		{"policy-status", "", ""},
		{"probe-denied", "", ""},
		{
			"probe-not-denied", "Enforcement probe of NodeRestriction-plus not denied",
			"Enforcement Probe of NodeRestriction-plus Not Denied",
		},
		{"wiring-changed", wiringFalco, wiringSigma},
		{"wiring-deleted", wiringFalco, wiringSigma},
		{"wiring-dry-run", "", ""},
	}
}

const (
	deniedFalco, deniedSigma = "Write of a kubelet denied by NodeRestriction-plus", "Write of a Kubelet Denied by NodeRestriction-plus"
	wiringFalco, wiringSigma = "Wiring of NodeRestriction-plus changed", "Wiring of NodeRestriction-plus Changed"
	policyFalco, policySigma = "NodeRestrictionPolicy changed", "NodeRestrictionPolicy Changed"
)
