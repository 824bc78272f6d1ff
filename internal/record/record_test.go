// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package record_test

import (
	stdjson "encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/policy"
)

var origin = record.Origin{
	UID: "705ab4f5", User: "system:node:worker-1", ClientAuth: record.ClientAuthMTLS, Version: "v0.1.0",
}

func request() *policy.Request {
	return &policy.Request{
		NodeName: "worker-1", Write: policy.Write{
			Operation: admissionv1.Update, Resource: "nodes", Subresource: "status", Name: "worker-1",
		},
	}
}

func violation(policyName string, rule policy.RuleID, action v1alpha1.ValidationAction) policy.PolicyViolation {
	return policy.PolicyViolation{
		Policy: policyName, Generation: 3, Rule: rule, Action: action,
		Violation: policy.Violation{Field: "metadata.finalizers", Detail: `must not add "x"`},
	}
}

func decision(violations ...policy.PolicyViolation) policy.Decision {
	return policy.Decision{NodeName: "worker-1", Violations: violations}
}

func TestARecordHasTheKeysInTheirOrder(t *testing.T) {
	rec := record.New(origin, request(), decision(violation("recommended", "node-finalizers", v1alpha1.Deny)))
	rec.Time = record.Time(time.Date(2026, 11, 24, 9, 0, 0, 1_999_999, time.FixedZone("", 3600)))
	rec.Boot, rec.Seq = "b7", 1412
	const want = `{"ts":"2026-11-24T08:00:00.001Z","level":"info","logger":"denial","msg":"denied",` +
		`"boot":"b7","seq":1412,"uid":"705ab4f5","node":"worker-1","user":"system:node:worker-1",` +
		`"operation":"UPDATE","resource":"nodes","subresource":"status","namespace":"",` +
		`"name":"worker-1","dryRun":false,"clientAuth":"mtls",` +
		`"violations":[{"policy":"recommended","generation":3,"rule":"node-finalizers","field":"metadata.finalizers",` +
		`"reason":"node finalizers","detail":"must not add \"x\"","action":"Deny"}],"version":"v0.1.0",` +
		`"fingerprint":"037a6c6838a8b983"}`
	for name, marshal := range map[string]func(any) ([]byte, error){
		"encoding/json": stdjson.Marshal,
		"json v2":       func(v any) ([]byte, error) { return json.Marshal(v) },
	} {
		got, err := marshal(rec)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, want)
		}
	}
}

func actions(a ...v1alpha1.ValidationAction) []v1alpha1.ValidationAction { return a }

func TestMsgIsTheStrongestAction(t *testing.T) {
	tests := map[string]struct {
		actions []v1alpha1.ValidationAction
		want    policy.Outcome
	}{
		"denied by one of several": {actions(v1alpha1.Audit, v1alpha1.Deny, v1alpha1.Warn), policy.Denied},
		"warned":                   {actions(v1alpha1.Audit, v1alpha1.Warn), policy.Warned},
		"only audited":             {actions(v1alpha1.Audit), policy.Audited},
		"no violation":             {nil, policy.Allowed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var d policy.Decision
			for _, a := range test.actions {
				d.Violations = append(d.Violations, violation("p", "node-labels", a))
			}
			if rec := record.New(origin, request(), d); rec.Msg != test.want {
				t.Errorf("got %q, want %q", rec.Msg, test.want)
			}
		})
	}
}

func TestViolationsBeyondTheLineAreCounted(t *testing.T) {
	var d policy.Decision
	for range 100 {
		d.Violations = append(d.Violations, violation(strings.Repeat("p", 253), "node-labels", v1alpha1.Deny))
	}
	rec := record.New(origin, request(), d)
	if n := len(rec.Violations); n < 5 || n+rec.OmittedViolations != 100 || !rec.Truncated {
		t.Errorf("got %d violations, %d omitted, truncated %v", n, rec.OmittedViolations, rec.Truncated)
	}
	if len(rec.Decision.Violations) != 100 {
		t.Error("those who count do not see every violation")
	}
}

func TestFingerprint(t *testing.T) {
	base := record.New(origin, request(), decision(violation("p", "node-labels", v1alpha1.Deny))).Fingerprint
	d := decision(violation("p", "node-labels", v1alpha1.Deny))
	d.Violations[0].Detail, d.Violations[0].Generation = "another", 4
	r := request()
	r.Name, r.Namespace = "another", "another"
	other := origin
	other.UID = "another"
	if got := record.New(other, r, d).Fingerprint; got != base {
		t.Errorf("records that differ in uid, name and detail only: got %s, want %s", got, base)
	}
	for name, change := range map[string]func(r *policy.Request, d *policy.Decision){
		"the node":        func(r *policy.Request, _ *policy.Decision) { r.NodeName = "worker-2" },
		"the operation":   func(r *policy.Request, _ *policy.Decision) { r.Operation = admissionv1.Create },
		"the resource":    func(r *policy.Request, _ *policy.Decision) { r.Resource = "pods" },
		"the subresource": func(r *policy.Request, _ *policy.Decision) { r.Subresource = "" },
		"dry run":         func(r *policy.Request, _ *policy.Decision) { r.DryRun = true },
		"the policy":      func(_ *policy.Request, d *policy.Decision) { d.Violations[0].Policy = "q" },
		"the rule":        func(_ *policy.Request, d *policy.Decision) { d.Violations[0].Rule = "node-taints" },
		"the action":      func(_ *policy.Request, d *policy.Decision) { d.Violations[0].Action = v1alpha1.Warn },
		"a second violation": func(_ *policy.Request, d *policy.Decision) {
			d.Violations = append(d.Violations, violation("p", "node-taints", v1alpha1.Deny))
		},
		"where one value ends": func(r *policy.Request, _ *policy.Decision) {
			r.NodeName, r.Operation = "worker-", "1UPDATE"
		},
	} {
		r, d := request(), decision(violation("p", "node-labels", v1alpha1.Deny))
		change(r, &d)
		if record.New(origin, r, d).Fingerprint == base {
			t.Errorf("records that differ in %s have the same fingerprint", name)
		}
	}
}

func TestTimeIsReadAsItIsWritten(t *testing.T) {
	var got record.Time
	if err := got.UnmarshalText([]byte("2026-11-24T08:00:00.001Z")); err != nil {
		t.Fatal(err)
	}
	if want := time.Date(2026, 11, 24, 8, 0, 0, 1_000_000, time.UTC); !time.Time(got).Equal(want) {
		t.Errorf("got %v, want %v", time.Time(got), want)
	}
	if err := got.UnmarshalText([]byte("yesterday")); err == nil {
		t.Error("got no error for what is not a time")
	}
}
