// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package review_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"noderestriction.plus/internal/review"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/object"
)

// slowFacts takes its time for each lookup.
type slowFacts struct {
	policy.Facts
	takes time.Duration
	asked *int
}

func (f slowFacts) Node(string) (*object.Metadata, bool, error) {
	*f.asked++
	time.Sleep(f.takes)
	return &object.Metadata{Labels: map[string]string{"no": "node"}}, true, nil
}

func TestAWriteIsEvaluatedUntilItsTimeIsOver(t *testing.T) {
	other := replaced(t, `"name":"worker-1","operation"`, `"name":"worker-2","operation"`)
	for name, test := range map[string]struct {
		last, takes, began time.Duration // zero last: never
		message            string
	}{
		"no bound":                     {takes: time.Hour, message: "node labels ("},
		"in time":                      {last: time.Second, message: "node labels ("},
		"over while it was looked up":  {last: time.Second, takes: 2 * time.Second, message: policy.OutOfTime},
		"over before it began":         {last: time.Second, began: 2 * time.Second, message: policy.OutOfTime},
		"too late to look anything up": {last: time.Second, began: 950 * time.Millisecond, message: "could not be looked up"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var last time.Time
				if test.last > 0 {
					last = time.Now().Add(test.last)
				}
				rev, err := new(review.Decoder).DecodeUntil([]byte(other), last)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(test.began)
				v := rev.Evaluate(compiled(t, selecting), slowFacts{takes: test.takes, asked: new(int)})
				if !v.Denied() || !strings.Contains(v.Message(), test.message) {
					t.Errorf("got %q, want %q", v.Message(), test.message)
				}
			})
		})
	}
}

func TestTheLookUpsOfAWriteHaveHalfASecondTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		set := compiled(t, selecting)
		set = policy.NewSet(append(append(set.Policies(), set.Policies()...), append(set.Policies(), set.Policies()...)...)...)
		rev := decoded(t, replaced(t, `"name":"worker-1","operation"`, `"name":"worker-2","operation"`))
		began := time.Now()
		v := rev.Evaluate(set, slowFacts{takes: 200 * time.Millisecond, asked: &asked})
		if asked != 3 || time.Since(began) != 600*time.Millisecond || !strings.Contains(v.Message(), "unverified") {
			t.Errorf("asked %d times in %s: %s", asked, time.Since(began), v.Message())
		}
	})
}

func TestAReviewThatIsNotReadInTime(t *testing.T) {
	over := time.Now().Add(-time.Second)
	many := strings.Repeat(`"",`, 1000)
	t.Run("a kubelet's is denied", func(t *testing.T) {
		body := replaced(t, `"oldObject"`, `"x":[`+many+`""],"oldObject"`)
		rev, err := new(review.Decoder).DecodeUntil([]byte(body), over)
		if err != nil {
			t.Fatal(err)
		}
		if v := rev.Evaluate(compiled(t, nil), nil); !v.Denied() || !strings.Contains(v.Message(), policy.OutOfTime) {
			t.Errorf("got %q", v.Message())
		}
	})
	t.Run("one without a user is refused", func(t *testing.T) {
		if _, err := new(review.Decoder).DecodeUntil([]byte(`{"request":{"userInfo":{"groups":[`+many+`""]}}}`), over); err == nil {
			t.Error("no error")
		}
	})
}

func TestAUserOfManyGroups(t *testing.T) {
	many := strings.Repeat(`"g",`, 100_000)
	extra := strings.Repeat(`"g",`, 2000)
	for name, change := range map[string][2]string{
		"groups": {`"groups":[`, `"groups":[` + many},
		"extra":  {`"extra":{`, `"extra":{"a":[` + extra + `""],"b":["x"],`},
	} {
		t.Run(name, func(t *testing.T) {
			rev := decoded(t, replaced(t, change[0], change[1]))
			if n := len(rev.User.Groups); n > 1000 {
				t.Errorf("%d groups are kept", n)
			}
			if v := rev.Evaluate(compiled(t, nil), nil); !v.Denied() || !strings.Contains(v.Message(), "too many groups") {
				t.Errorf("a kubelet: got %q", v.Message())
			}
			body := strings.Replace(replaced(t, change[0], change[1]), "system:node:worker-1", "admin", 1)
			if v := decoded(t, body).Evaluate(compiled(t, nil), nil); v.Denied() {
				t.Errorf("somebody else: got %q", v.Message())
			}
		})
	}
}
