// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package webhooks_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"noderestriction.plus/policy"
	"noderestriction.plus/policy/object"
)

// slowFacts takes its time for each lookup.
type slowFacts struct {
	policy.Facts
	takes time.Duration
}

func (f slowFacts) Node(string) (*object.Metadata, bool, error) {
	time.Sleep(f.takes)
	return &object.Metadata{Labels: map[string]string{"no": "node"}}, true, nil
}

// TestInvariantLWithLateAnswers: denied answers in time = records that are not late = denials counted, and each late
// answer is counted as such.
func TestInvariantLWithLateAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		timeout   string
		takes     time.Duration
		late      bool
		reason    string
		evaluated int64
	}{
		"in time":                    {"timeout=2s", 100 * time.Millisecond, false, "node finalizers (", 1},
		"past 80 % of the time":      {"timeout=2s", 1700 * time.Millisecond, false, policy.OutOfTime, 0},
		"past the deadline":          {"timeout=2s", 3 * time.Second, true, policy.OutOfTime, 0},
		"past the default deadline":  {"", 11 * time.Second, true, policy.OutOfTime, 0},
		"in time by the default one": {"", 3 * time.Second, false, "node finalizers (", 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, options{policies: &store{set: compiled(t, selecting())}, facts: slowFacts{takes: test.takes}})
				body := strings.Replace(attack("u-1", "worker-1"), `"name":"worker-1","op`, `"name":"worker-2","op`, 1)
				_, got := r.post(t, body, func(request *http.Request) { request.URL.RawQuery = test.timeout })
				if got.Response.Allowed || !strings.Contains(got.Response.Result.Message, test.reason) {
					t.Errorf("got %+v", got.Response)
				}
				if n := r.evaluated.Load(); n != test.evaluated {
					t.Errorf("%d policies have evaluated the write, want %d", n, test.evaluated)
				}
				records := r.denials.records(t)
				if len(records) != 1 || records[0].Late != test.late || records[0].Msg != policy.Denied {
					t.Errorf("got records %+v", records)
				}
				want := map[string]float64{"denials_total": 1, "violations_total": 1, "late_answers_total": 0}
				if test.late {
					want = map[string]float64{"denials_total": 0, "violations_total": 0, "late_answers_total": 1}
				} else {
					want["violations_total"] = float64(len(records[0].Violations))
				}
				for name, n := range want {
					if counted := r.metric(t, name); counted != n {
						t.Errorf("%s is %v, want %v", name, counted, n)
					}
				}
			})
		})
	}
}
