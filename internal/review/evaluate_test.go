// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package review_test

import (
	"errors"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/review"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/object"
	"noderestriction.plus/policy/rules"
)

// compiled is a set of one policy that forbids a kubelet to set labels of its Node that it does not need.
func compiled(t testing.TB, tweak func(*v1alpha1.NodeRestrictionPolicy)) *policy.Set {
	t.Helper()
	p := &v1alpha1.NodeRestrictionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "test", Generation: 3},
		Spec: v1alpha1.NodeRestrictionPolicySpec{ValidationActions: []v1alpha1.ValidationAction{v1alpha1.Deny}, Nodes: v1alpha1.NodeRules{
			Labels: &v1alpha1.NodeLabels{Update: &v1alpha1.NodeUpdateLabels{Additions: v1alpha1.AdditionsListed}},
		}},
	}
	if tweak != nil {
		tweak(p)
	}
	c, errs := rules.NewCompiler().Compile(p)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return policy.NewSet(c)
}

func decoded(t testing.TB, body string) *review.Review {
	t.Helper()
	r, err := review.Decode([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// panickingFacts stands for a bug during an evaluation.
type panickingFacts struct{ policy.Facts }

func (panickingFacts) Node(string) (*object.Metadata, bool, error) { panic("a fault") }

// selecting makes a policy ask for the labels of the stored Node wherever the review does not hold them.
func selecting(p *v1alpha1.NodeRestrictionPolicy) {
	p.Spec.Match = &v1alpha1.Match{NodeSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"no": "node"}}}
}

func TestEvaluate(t *testing.T) {
	object := strings.Index(kubeletUpdate, `"object":`)
	const unverified = `node "worker-1" violates NodeRestrictionPolicy "test": unverified `
	tests := map[string]struct {
		body    string
		tweak   func(*v1alpha1.NodeRestrictionPolicy)
		message string // empty: allowed
		fails   bool   // the verdict has an error for the log
	}{
		"a kubelet's write that violates the policy": {
			body:    kubeletUpdate,
			message: `node "worker-1" violates NodeRestrictionPolicy "test": node labels (must not add "a")`,
		},
		"a kubelet's write that violates nothing": {body: replaced(t, `"labels":{"a":"b"}`, `"labels":{}`)},
		"the same write by somebody else":         {body: replaced(t, "system:node:worker-1", "admin")},
		"a malformed object by somebody else": {
			body: strings.Replace(replaced(t, "system:node:worker-1", "admin"), `"labels":{`, `"labels":{"a":"x",`, 1),
		},
		"a kubelet that names no node": {
			body:    replaced(t, "system:node:worker-1", "system:node:"),
			message: "the user name of the kubelet names no node",
		},
		"a kubelet that names no node, in another group's resource": {
			body: strings.ReplaceAll(replaced(t, "system:node:worker-1", "system:node:"),
				`"group":""`, `"group":"x"`),
			message: "the user name of the kubelet names no node",
		},
		"a resource of another group with the name of an evaluated one": {
			body: replaced(t, coreNodes,
				`"resource":{"group":"example.com","version":"v1","resource":"nodes"},"sub`),
		},
		"an unknown version of an evaluated resource": {
			body: replaced(t, coreNodes,
				`"resource":{"group":"","version":"v2","resource":"nodes"},"sub`),
			message: unverified + `(the version of the object is not known)`,
			fails:   true,
		},
		"a malformed object": {
			body:    replaced(t, `"labels":{`, `"labels":{"a":"x",`),
			message: unverified + `(the object could not be read)`,
			fails:   true,
		},
		"a malformed object that no policy evaluates": {
			body: strings.Replace(replaced(t, `"labels":{`, `"labels":{"a":"x",`),
				`"subResource":"status"`, `"subResource":"proxy"`, 1),
		},
		"a malformed object of a node that no policy matches": {
			body: replaced(t, `"labels":{`, `"labels":{"a":"x",`),
			tweak: func(p *v1alpha1.NodeRestrictionPolicy) {
				p.Spec.Match = &v1alpha1.Match{NodeNames: []v1alpha1.Pattern{"gpu-*"}}
			},
		},
		"a malformed object where the selector cannot be asked": {
			body:    replaced(t, `"labels":{`, `"labels":{"a":"x",`),
			tweak:   selecting,
			message: unverified + `(the object could not be read)`,
			fails:   true,
		},
		"an object of the wrong form": {
			body:    replaced(t, `"labels":{"a":"b"}`, `"labels":["a"]`),
			message: unverified + `(the object could not be read)`,
			fails:   true,
		},
		"an update without the stored object": {
			body:    replaced(t, `"oldObject":`, `"x":`),
			message: unverified + `(the object could not be read)`,
			fails:   true,
		},
		"an update without the new object": {
			body:    kubeletUpdate[:object] + `"object":null,"x":` + kubeletUpdate[object+len(`"object":`):],
			message: unverified + `(the object could not be read)`,
			fails:   true,
		},
		"a panic": {
			body:    replaced(t, `"name":"worker-1","operation"`, `"name":"worker-2","operation"`),
			tweak:   selecting,
			message: unverified + `(internal error)`,
			fails:   true,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			v := decoded(t, test.body).Evaluate(compiled(t, test.tweak), panickingFacts{})
			if v.Denied() != (test.message != "") || v.Message() != test.message {
				t.Errorf("got denied=%v %q, want %q", v.Denied(), v.Message(), test.message)
			}
			if (v.Err != nil) != test.fails {
				t.Errorf("got error %v, want one: %v", v.Err, test.fails)
			}
		})
	}
}

func TestJudgeWarnsAndAuditsWhatItCannotRead(t *testing.T) {
	for _, action := range []v1alpha1.ValidationAction{v1alpha1.Warn, v1alpha1.Audit} {
		set := compiled(t, func(p *v1alpha1.NodeRestrictionPolicy) {
			p.Spec.ValidationActions = []v1alpha1.ValidationAction{action}
		})
		v := decoded(t, replaced(t, `"labels":{`, `"labels":{"a":"x",`)).Evaluate(set, nil)
		if v.Denied() || v.Action() != action {
			t.Errorf("%s: got denied=%v, action %q", action, v.Denied(), v.Action())
		}
	}
}

func TestJudgeKeepsTheStackOfAPanic(t *testing.T) {
	v := decoded(t, replaced(t, `"name":"worker-1","operation"`, `"name":"worker-2","operation"`)).
		Evaluate(compiled(t, selecting), panickingFacts{})
	fault, ok := errors.AsType[*review.PanicError](v.Err)
	if !ok || fault.Error() != "panic: a fault" || !strings.Contains(string(fault.Stack), "panickingFacts") {
		t.Errorf("got %v", v.Err)
	}
	if strings.Contains(v.Message(), "fault") {
		t.Errorf("the message shows the client what happened inside: %s", v.Message())
	}
}

func TestJudgeLeavesObjectsUndecodedThatNobodyLooksAt(t *testing.T) {
	malformed := replaced(t, `"labels":{"a":"b"}`, `"labels":["a"]`)
	for name, body := range map[string]string{
		"of another user": strings.Replace(malformed, "system:node:worker-1", "admin", 1),
		"not evaluated":   strings.Replace(malformed, `"subResource":"status"`, `"subResource":"proxy"`, 1),
	} {
		if v := decoded(t, body).Evaluate(compiled(t, nil), nil); v.Err != nil || v.Denied() {
			t.Errorf("%s: got the error %v and %q", name, v.Err, v.Message())
		}
	}
}
