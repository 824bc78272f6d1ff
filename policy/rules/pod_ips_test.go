// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"errors"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

func TestPodIPsFromTheNode(t *testing.T) {
	set := newPodIPsSet(t, `pods: {ips: {podIPs: {from: NodePodCIDRs, allowedCIDRs: [192.0.2.0/24]}, hostIPs: {from: NodeAddresses}}}`)
	node := &corev1.Node{
		Spec:   corev1.NodeSpec{PodCIDRs: []string{"10.244.1.0/24", "fd00:1::/64"}},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.1"}}},
	}
	silent := &corev1.Node{}
	for name, test := range map[string]struct {
		node          *corev1.Node // nil: it does not exist
		facts         policy.Facts // instead of node
		podIP, hostIP string
		hostNetwork   bool
		want          string // part of the message; empty: allowed
	}{
		"addresses of the node":              {node: node, podIP: "10.244.1.9", hostIP: "10.0.0.1"},
		"an address of the other family":     {node: node, podIP: "fd00:1::9", hostIP: "10.0.0.1"},
		"a listed address":                   {node: node, podIP: "192.0.2.7", hostIP: "10.0.0.1"},
		"a pod address of another node":      {node: node, podIP: "10.244.2.9", hostIP: "10.0.0.1", want: `pod IP "10.244.2.9"`},
		"an address of another host":         {node: node, podIP: "10.244.1.9", hostIP: "10.0.0.2", want: `host IP "10.0.0.2"`},
		"a host's address on its network":    {node: node, podIP: "10.0.0.1", hostIP: "10.0.0.1", hostNetwork: true},
		"a host's address off its network":   {node: node, podIP: "10.0.0.1", hostIP: "10.0.0.1", want: `pod IP "10.0.0.1"`},
		"a node without ranges, listed":      {node: silent, podIP: "192.0.2.7", hostIP: "10.0.0.1"},
		"a node without ranges, not listed":  {node: silent, podIP: "10.244.1.9", hostIP: "10.0.0.1", want: `pod IP "10.244.1.9"`},
		"no node, and a list":                {podIP: "10.244.1.9", hostIP: "10.0.0.1", want: `pod IP "10.244.1.9"`},
		"a node that could not be looked up": {facts: failingFacts{}, podIP: "10.244.1.9", hostIP: "10.0.0.1", want: "could not be looked up"},
	} {
		t.Run(name, func(t *testing.T) {
			facts := test.facts
			if facts == nil {
				static := policy.StaticFacts{NodeObjects: map[string]*corev1.Node{}}
				if test.node != nil {
					static.NodeObjects["n1"] = test.node
				}
				facts = static
			}
			spec := `"spec":{"nodeName":"n1","hostNetwork":false}`
			if test.hostNetwork {
				spec = `"spec":{"nodeName":"n1","hostNetwork":true}`
			}
			r := &policy.Request{
				NodeName: "n1", Write: policy.Write{
					Operation: admissionv1.Update, Resource: "pods", Subresource: "status",
					OldObject: []byte(`{"metadata":{"name":"p"},` + spec + `}`),
					Object: []byte(`{"metadata":{"name":"p"},` + spec + `,"status":{"hostIP":"` + test.hostIP + `","podIP":"` +
						test.podIP + `","podIPs":[{"ip":"` + test.podIP + `"}]}}`),
				}, Facts: facts,
			}
			got := set.Evaluate(r).Message()
			if (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q in it", got, test.want)
			}
		})
	}
}

func newPodIPsSet(t *testing.T, spec string) *policy.Set {
	t.Helper()
	p := &v1alpha1.NodeRestrictionPolicy{}
	p.Spec.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Deny}
	if err := yaml.UnmarshalStrict([]byte(spec), &p.Spec); err != nil {
		t.Fatal(err)
	}
	compiled, errs := rules.NewCompiler().Compile(p)
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	return policy.NewSet(compiled)
}

// failingFacts is an API server that does not answer.
type failingFacts struct{ policy.Facts }

func (failingFacts) NodeObject(string) (*corev1.Node, bool, error) {
	return nil, false, errors.New("secret detail")
}
