// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"fmt"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/fixture"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/object"
)

// countingFacts counts the lookups that must be answered from memory.
type countingFacts struct {
	policy.Facts
	nodes, addresses, providerIDs, drivers int
}

func (f *countingFacts) Node(name string) (*object.Metadata, bool, error) {
	f.nodes++
	return f.Facts.Node(name)
}

func (f *countingFacts) NodesAt(address string) ([]string, error) {
	f.addresses++
	return f.Facts.NodesAt(address)
}

func (f *countingFacts) NodesOf(machine string) ([]string, error) {
	f.providerIDs++
	return f.Facts.NodesOf(machine)
}

func (f *countingFacts) CSIDriverNames() ([]string, error) {
	f.drivers++
	return f.Facts.CSIDriverNames()
}

// TestOnlyUnlistedLabelsAreLookedUp checks that CSIDrivers, which are read live, are read only for a label that nothing else allows.
func TestOnlyUnlistedLabelsAreLookedUp(t *testing.T) {
	p := &v1alpha1.NodeRestrictionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "test"}}
	p.Spec.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Deny}
	p.Spec.Nodes.Labels = &v1alpha1.NodeLabels{
		Update: &v1alpha1.NodeUpdateLabels{Allowed: []v1alpha1.KeyValuePattern{"example.com/rack"}},
	}
	set := setOf(t, &fixture.Fixture{Policies: []*v1alpha1.NodeRestrictionPolicy{p}})
	const node = `{"metadata":{"name":"worker-1","annotations":{"csi.volume.kubernetes.io/nodeid":"{\"a\":\"1\"}"}%s}}`
	for name, test := range map[string]struct {
		label string
		want  int
	}{
		"a kubelet repairs its own label":     {"topology.kubernetes.io/zone", 0},
		"the policy allows the label":         {"example.com/rack", 0},
		"no driver brings a reserved label":   {"node-role.kubernetes.io/infra", 0},
		"a driver may have brought the label": {"topology.csi.example.com/zone", 1},
	} {
		t.Run(name, func(t *testing.T) {
			facts := &countingFacts{Facts: policy.StaticFacts{}}
			set.Evaluate(&policy.Request{NodeName: "worker-1", Facts: facts, Write: policy.Write{
				Operation: admissionv1.Update, Resource: "nodes", Subresource: "status", Version: "v1", Name: "worker-1",
				OldObject: fmt.Appendf(nil, node, ""), Object: fmt.Appendf(nil, node, fmt.Sprintf(`,"labels":{%q:"a"}`, test.label)),
			}})
			if facts.drivers != test.want {
				t.Errorf("CSIDrivers were looked up %d times, want %d", facts.drivers, test.want)
			}
		})
	}
}

func TestSetSaysWhatItLooksUp(t *testing.T) {
	var asked countingFacts
	for _, f := range allFixtures(t) {
		set := setOf(t, f)
		facts := &countingFacts{Facts: f.Request.Facts}
		if facts.Facts == nil {
			facts.Facts = policy.StaticFacts{}
		}
		r := f.Request
		r.Facts = facts
		set.Evaluate(&r)
		if facts.nodes > 0 && !set.LooksUpNodes() || facts.addresses > 0 && !set.LooksUpAddresses() ||
			facts.providerIDs > 0 && !set.LooksUpProviderIDs() {
			t.Errorf("%s: a set looks up what it says it does not", f.Comment)
		}
		asked.nodes += facts.nodes
		asked.addresses += facts.addresses
		asked.providerIDs += facts.providerIDs
	}
	if asked.nodes == 0 || asked.addresses == 0 || asked.providerIDs == 0 {
		t.Errorf("the fixtures look up %d nodes, %d addresses, %d provider IDs", asked.nodes, asked.addresses, asked.providerIDs)
	}
}
