// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// What policies and Nodes are drawn from, so that patterns often match. Patterns may have whatever regular expressions and
// strings in CEL take for something else.
var (
	keyPatterns = []v1alpha1.Pattern{
		"*", "**", "example.com/*", "*.example.com/*", "*/dedicated", "example.com/rack", "exampleXcom/rack", "*example*rack*",
		"node-role.kubernetes.io/*", "kubernetes.io/os", "topology.*", "*'*", `*"*`, `a\*`, "[a-z]*", "(?i)EXAMPLE.com/*", "^*$", "a|b", "{{*}}",
	}
	keys = []string{
		"example.com/rack", "example.com/Rack", "rack.example.com/dedicated", "dedicated", "example-com/rack", "a",
		"kubernetes.io/hostname", "kubernetes.io/os", "beta.kubernetes.io/arch", "node.kubernetes.io/windows-build",
		"node-role.kubernetes.io/control-plane", "kubelet.kubernetes.io/x", "sub.node.kubernetes.io/x", "xnode.kubernetes.io/x",
		"notkubernetes.io/x", "x.k8s.io/y", "k8s.io/y", "topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
		"node-restriction.kubernetes.io/pool", "kubernetes.io", "k8s.io",
	}
	values = []string{"", "worker-1", "Worker-1", "worker-2", "true", "gpu"}
	// pairPatterns are on keys, and on keys and values.
	pairPatterns = func() []v1alpha1.KeyValuePattern {
		var all []v1alpha1.KeyValuePattern
		for i, key := range keyPatterns {
			all = append(all, v1alpha1.KeyValuePattern(key),
				v1alpha1.KeyValuePattern(string(key)+"="+[]string{"gpu", "", "*", "w*-1", "*r*", "*u", "a=b", "'"}[i%8]))
		}
		return append(all, "*=gpu", "example.com/*=t*", "example.com/rack=true", "example.com/rack=gpu", "node-restriction.kubernetes.io/pool=gpu")
	}()
	effects   = []corev1.TaintEffect{"", corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute}
	taintKeys = []string{
		"node.kubernetes.io/not-ready", "node.cloudprovider.kubernetes.io/uninitialized", "node.kubernetes.io/out-of-service",
		"example.com/dedicated", "gpu",
	}
	taintGlobs = []v1alpha1.Pattern{"*", "example.com/*", "gpu", "g*u", "node.*"}
)

// TestFloorAgreesAtRandom draws policies and registrations, always the same ones, and compares the floor's verdicts with the rules'.
func TestFloorAgreesAtRandom(t *testing.T) {
	draw := rand.New(rand.NewPCG(1, 2))
	specs := map[string]v1alpha1.NodeRestrictionPolicySpec{}
	for i := range 40 {
		specs[fmt.Sprintf("p%d", i)] = drawValidSpec(draw)
	}
	floors := renderFloors(t, specs)
	c := &caller{t: t}
	for i := range 40 {
		name := fmt.Sprintf("p%d", i)
		f := floors[name]
		if f == nil {
			continue
		}
		for range 100 {
			r := policy.Request{
				NodeName: "worker-1", Write: policy.Write{
					Operation: admissionv1.Create, Resource: "nodes", Name: "worker-1", Object: mustMarshal(drawNode(draw)),
				},
			}
			checkAgreement(t, f, c, specs[name], r)
		}
	}
	if len(floors) < 35 {
		t.Errorf("only %d of 40 policies have a floor", len(floors))
	}
}

func pick[T any](draw *rand.Rand, from []T) T { return from[draw.IntN(len(from))] }

// some draws up to most elements, none twice.
func some[T comparable](draw *rand.Rand, most int, from []T) []T {
	var drawn []T
	for _, i := range draw.Perm(len(from))[:draw.IntN(most+1)] {
		drawn = append(drawn, from[i])
	}
	return drawn
}

// drawValidSpec draws until no pattern makes the policy invalid, such as a required label that no Node can have.
func drawValidSpec(draw *rand.Rand) v1alpha1.NodeRestrictionPolicySpec {
	for {
		p := &v1alpha1.NodeRestrictionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "test"}, Spec: drawSpec(draw)}
		if _, errs := rules.NewCompiler().Compile(p); len(errs) == 0 {
			return p.Spec
		}
	}
}

func drawSpec(draw *rand.Rand) v1alpha1.NodeRestrictionPolicySpec {
	spec := v1alpha1.NodeRestrictionPolicySpec{ValidationActions: []v1alpha1.ValidationAction{v1alpha1.Deny}, Nodes: v1alpha1.NodeRules{
		Labels: &v1alpha1.NodeLabels{Registration: &v1alpha1.NodeRegistrationLabels{
			Allowed: some(draw, 4, pairPatterns), Denied: some(draw, 2, pairPatterns[4:]), Required: some(draw, 1, pairPatterns),
		}},
		Taints:     &v1alpha1.NodeTaints{Allowed: some(draw, 2, drawTaints(draw)), Required: some(draw, 1, drawTaints(draw))},
		Finalizers: &v1alpha1.NodeFinalizers{Allowed: some(draw, 2, keyPatterns)},
	}}
	if draw.IntN(2) == 0 {
		spec.Nodes.OwnerReferences = &v1alpha1.NodeOwnerReferences{}
	}
	if draw.IntN(8) == 0 {
		spec.Nodes.Labels = nil
	}
	return spec
}

func drawTaints(draw *rand.Rand) []v1alpha1.TaintPattern {
	var patterns []v1alpha1.TaintPattern
	for _, key := range taintGlobs {
		patterns = append(patterns, v1alpha1.TaintPattern{
			Key: key, Value: pick(draw, []v1alpha1.Pattern{"", "", "gpu", "t*"}), Effect: pick(draw, effects),
		})
	}
	return patterns
}

func drawNode(draw *rand.Rand) *corev1.Node {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "worker-1", Labels: map[string]string{}, Finalizers: some(draw, 1, keys)}}
	for _, key := range some(draw, 4, keys) {
		node.Labels[key] = pick(draw, values)
	}
	for _, key := range some(draw, 2, taintKeys) {
		node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: key, Value: pick(draw, values), Effect: pick(draw, effects[1:])})
	}
	if draw.IntN(4) == 0 {
		node.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "a", UID: "1"}}
	}
	return node
}

// TestFloorOfLargeNodes holds that the API server can afford to evaluate the chart's own policies for whatever may be registered: an
// evaluation that it gives up on would be an answer with which no kubelet can live. What is beyond the bounds is Forbidden.
func TestFloorOfLargeNodes(t *testing.T) {
	specs := map[string]v1alpha1.NodeRestrictionPolicySpec{
		"long": longSpec("team-%03d.example.org/*"), "long-pairs": longSpec("team-%03d.example.org/*=pool-*"),
	}
	for _, name := range []string{"recommended", "strict"} {
		data, err := os.ReadFile("../config/policies/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		var p v1alpha1.NodeRestrictionPolicy
		if err := yaml.Unmarshal(data, &p); err != nil {
			t.Fatal(err)
		}
		specs["own-"+name] = p.Spec
	}
	floors := renderFloors(t, specs)
	c := &caller{t: t}
	for name, f := range floors {
		for _, test := range []struct {
			labels, length int
			denied         bool
		}{{32, 60, false}, {256, 100, false}, {256, 317, false}, {257, 20, true}, {4000, 100, true}} {
			node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "worker-1", Labels: map[string]string{}}}
			for i := range test.labels {
				key := fmt.Sprintf("example.com/%04d", i)
				if rest := test.length - len(key); rest > 0 {
					key = "d" + strings.Repeat("x", rest-1) + key
				}
				node.Labels[key] = ""
			}
			r := policy.Request{Write: policy.Write{
				Operation: admissionv1.Create, Resource: "nodes", Name: "worker-1", Object: mustMarshal(node),
			}}
			if messages := f.evaluate(t, c, kubelet, r); (len(messages) > 0) != test.denied {
				t.Errorf("%s: of %d labels of %d characters it says %q", name, test.labels, test.length, messages)
			}
		}
	}
}

// longSpec has as many patterns of a format as the schema lets a policy have, of a length that people write.
func longSpec(format string) v1alpha1.NodeRestrictionPolicySpec {
	at := &v1alpha1.NodeRegistrationLabels{}
	for i := range 128 {
		at.Denied = append(at.Denied, v1alpha1.KeyValuePattern(fmt.Sprintf(format, i)))
	}
	return v1alpha1.NodeRestrictionPolicySpec{
		ValidationActions: []v1alpha1.ValidationAction{v1alpha1.Deny},
		Nodes:             v1alpha1.NodeRules{Labels: &v1alpha1.NodeLabels{Registration: at}},
	}
}
