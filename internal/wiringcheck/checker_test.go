// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package wiringcheck

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/internal/wiring"
)

func TestFindingOf(t *testing.T) {
	weaker, other := wiring.Difference{Part: "gate", Weaker: true, Text: "writes are not sent"}, wiring.Difference{Part: "others", Weaker: false, Text: "more is sent"}
	forbidden := errors.New("forbidden")
	var many []wiring.Difference
	for i := range 9 {
		many = append(many, wiring.Difference{Part: "gate", Weaker: true, Text: fmt.Sprintf("difference %d", i)})
	}
	for name, test := range map[string]struct {
		found  []wiring.Difference
		err    error
		status metav1.ConditionStatus
		reason string
		text   string
	}{
		"no difference":                     {nil, nil, metav1.ConditionTrue, "WiringComplete", "as they were installed"},
		"a difference that is not weaker":   {[]wiring.Difference{other}, nil, metav1.ConditionTrue, "WiringComplete", "but: more is sent"},
		"a weaker difference beside others": {[]wiring.Difference{other, weaker}, nil, metav1.ConditionFalse, "WiringChanged", "writes are not sent"},
		"something cannot be read":          {nil, forbidden, metav1.ConditionUnknown, "WiringUnknown", "it is unknown whether"},
		"a difference, and something cannot be read": {
			[]wiring.Difference{weaker}, forbidden, metav1.ConditionFalse, "WiringChanged", "writes are not sent",
		},
		"many differences": {many, nil, metav1.ConditionFalse, "WiringChanged", "difference 3; and 5 more differences"},
	} {
		f := findingOf(test.found, test.err)
		if f.Status != test.status || f.Reason != test.reason || !strings.Contains(f.Message, test.text) {
			t.Errorf("%s: the finding is %+v", name, f)
		}
	}
}

func TestSettled(t *testing.T) {
	a, b := wiring.Difference{Part: "gate", Weaker: true, Text: "a"}, wiring.Difference{Part: "gate", Weaker: true, Text: "b"}
	c := &Checker{}
	for _, step := range []struct {
		name    string
		found   []wiring.Difference
		settled bool
	}{
		{"the first comparison finds no difference", nil, true},
		{"it finds one", []wiring.Difference{a}, false},
		{"it finds it again", []wiring.Difference{a}, true},
		{"it finds another one, too", []wiring.Difference{a, b}, false},
		{"it finds both again", []wiring.Difference{b, a}, true},
		{"one is gone", []wiring.Difference{b}, true},
		{"both are gone", nil, true},
		{"the first one is back", []wiring.Difference{a}, false},
	} {
		if settled := c.settled(step.found); settled != step.settled {
			t.Errorf("%s: settled is %t", step.name, settled)
		}
	}
}

func TestMetrics(t *testing.T) {
	const floor = "floor"
	m := newMetrics(prometheus.NewRegistry())
	value := func(part, effect string) float64 {
		return testutil.ToFloat64(m.differences.WithLabelValues(part, effect))
	}
	series := testutil.CollectAndCount(m.differences)
	m.set([]wiring.Difference{{Part: "gate", Weaker: true, Text: "a"}, {Part: "gate", Weaker: true, Text: "b"}, {Part: floor, Weaker: false, Text: "c"}})
	if value("gate", effectWeaker) != 2 || value(floor, effectOther) != 1 || value("gate", effectOther) != 0 {
		t.Error("the differences are not counted by part and effect")
	}
	m.set(nil)
	if value("gate", effectWeaker) != 0 {
		t.Error("a difference that is gone is still counted")
	}
	if now := testutil.CollectAndCount(m.differences); now != series {
		t.Errorf("there are %d series, and were %d", now, series)
	}
}
