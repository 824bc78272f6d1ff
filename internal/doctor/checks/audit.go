// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/nodeauthorizer"
)

func audit() Check {
	return Check{
		ID: "audit", Severity: nodeauthorizer.Medium, Worst: Bad,
		Asks: "Does the API server write an audit log?",
		Gain: "leaves no trace of what a stolen credential did",
		How: "It reads from /metrics how many audit events the API server has logged. Which events these are follows from the audit policy," +
			" which no API shows: writes of kubelets must be logged at the level Metadata, with their annotations. One API server" +
			" of several is read.",
		Needs: []authorization.Request{{Verb: "get", Path: "/metrics"}}, run: runAudit,
	}
}

func runAudit(s *Snapshot, f *Finding) {
	metrics, ok := known(s, f, &s.Metrics)
	if !ok {
		return
	}
	if metrics.AuditEvents == nil {
		f.cannot("/metrics has no apiserver_audit_event_total")
		return
	}
	if *metrics.AuditEvents == 0 {
		f.bad("kube-apiserver", "--audit-policy-file, --audit-log-path", Fix{
			On: OnControlPlane, Note: "log writes of the group system:nodes at the level Metadata: docs/hardening.md, row 12",
		}, "it has logged no request")
		return
	}
	f.note("it logs; check that the audit policy logs writes of the group system:nodes at the level Metadata")
}
