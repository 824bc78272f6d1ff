// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policystore

import (
	"fmt"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/types"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy/rules"
)

// readySeries gathers which policies are shown as ready and which are not, in the order of their names.
func readySeries(t *testing.T, registry *prometheus.Registry) (ready, notReady []string) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "node_restriction_plus_policy_ready" {
			continue
		}
		for _, series := range family.GetMetric() {
			name := series.GetLabel()[0].GetValue()
			if series.GetGauge().GetValue() == 1 {
				ready = append(ready, name)
			} else {
				notReady = append(notReady, name)
			}
		}
	}
	return ready, notReady
}

func TestMetricsShowWhichPolicyIsNotReady(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	m := newMetrics(registry)
	if ready, notReady := readySeries(t, registry); !slices.Equal(ready, []string{other}) || notReady != nil {
		t.Errorf("without policies: ready %q, not ready %q", ready, notReady)
	}
	held := policyStates{}
	held.hold(rules.NewCompiler(), []v1alpha1.NodeRestrictionPolicy{object("b", "2", 1, true), object("a", "1", 1, false)})
	m.publish(held)
	ready, notReady := readySeries(t, registry)
	if !slices.Equal(ready, []string{"b", other}) || !slices.Equal(notReady, []string{"a"}) {
		t.Errorf("ready %q, not ready %q", ready, notReady)
	}
	delete(held, "a")
	m.publish(held)
	if ready, notReady := readySeries(t, registry); !slices.Equal(ready, []string{"b", other}) || notReady != nil {
		t.Errorf("after a deletion: ready %q, not ready %q", ready, notReady)
	}
	if n := testutil.ToFloat64(m.policies.WithLabelValues("ready")); n != 1 {
		t.Errorf("%v are counted as ready", n)
	}
}

func TestMetricsFoldPoliciesBeyondOneHundred(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	m := newMetrics(registry)
	held := policyStates{}
	held.hold(rules.NewCompiler(), []v1alpha1.NodeRestrictionPolicy{object(other, "o", 1, true)}) // a policy may have this name
	for i := range 150 {
		name := fmt.Sprintf("p%03d", i)
		held.hold(rules.NewCompiler(), []v1alpha1.NodeRestrictionPolicy{object(name, types.UID(name), 1, i != 149)})
	}
	m.publish(held)
	ready, notReady := readySeries(t, registry)
	if len(ready) != maxNamed || ready[0] != "p000" || ready[99] != "p099" || !slices.Equal(notReady, []string{other}) {
		t.Errorf("ready %q, not ready %q", ready, notReady)
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}
