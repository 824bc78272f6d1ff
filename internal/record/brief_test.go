// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package record_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"noderestriction.plus/internal/record"
	"noderestriction.plus/policy"
)

func TestABriefLineIsBoundedAndNamesARule(t *testing.T) {
	for _, filler := range []string{"", "a", "<", `"`, "\x00", "é", "世", "\xff"} {
		for _, n := range []int{1, 20, 60, 300} {
			for _, violations := range []int{1, 2, 30} {
				text := strings.Repeat(filler, n)
				d := policy.Decision{}
				for i := range violations {
					d.Violations = append(d.Violations, policy.PolicyViolation{
						Policy: strings.Repeat("p", n) + fmt.Sprint(i/10), Rule: policy.RuleID(fmt.Sprint("baseline-pod-certificate-requests-", i%10)),
					})
				}
				rec := record.New(record.Origin{UID: text, User: text, Late: true}, &policy.Request{
					NodeName: text, Write: policy.Write{
						Operation: "CONNECT", Resource: text, Subresource: text, Namespace: text, Name: text, DryRun: true,
					},
				}, d)
				rec.Boot, rec.Seq = "ABCDEFGHIJKLM", math.MaxUint64
				brief := rec.Brief()
				line, err := json.Marshal(brief)
				if err != nil {
					t.Fatal(err)
				}
				if len(line)+1 > record.MaxBriefLine {
					t.Errorf("%d times %q: %d bytes: %s", n, filler, len(line)+1, line)
				}
				if len(brief.Rules) == 0 {
					t.Errorf("%d times %q: no rule: %s", n, filler, line)
				}
				if got := len(record.ViolationsOf(brief.Rules)) + brief.OmittedViolations; got != violations {
					t.Errorf("%d times %q: %d violations, want %d", n, filler, got, violations)
				}
			}
		}
	}
}
