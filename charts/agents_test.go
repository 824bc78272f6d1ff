// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"

	"noderestriction.plus/internal/fixture"
	"noderestriction.plus/internal/review"
	"noderestriction.plus/policy"
)

// agentFixtures returns the fixtures of node agents, by their paths.
func agentFixtures(t *testing.T) map[string]*fixture.Fixture {
	t.Helper()
	all := map[string]*fixture.Fixture{}
	for _, directory := range []string{"agents", "objects", "pod-spec"} {
		maps.Copy(all, readFixtures(t, "../policy/rules/testdata/"+directory+"/*/*.txtar"))
	}
	return all
}

// identities returns a user with other credentials of the same account: bound to another node, to none, to two, and to an empty one.
func identities(user authenticationv1.UserInfo) []authenticationv1.UserInfo {
	all := []authenticationv1.UserInfo{user}
	for _, names := range [][]string{{"worker-1"}, {"worker-2"}, {}, {""}, {"worker-1", "worker-1"}, {strings.Repeat("n", 254)}} {
		other := user
		other.Extra = map[string]authenticationv1.ExtraValue{"authentication.kubernetes.io/node-name": names}
		all = append(all, other)
	}
	unbound := user
	unbound.Extra = nil
	return append(all, unbound)
}

// TestAgentsInCEL evaluates the writes of node agents by their compiled policies: what an API server evaluates of them are the rules that say
// so, for which it gives the verdicts of the webhook, whatever node the credential names.
func TestAgentsInCEL(t *testing.T) {
	inCEL := func(rule policy.RuleID) bool {
		return slices.Contains([]policy.RuleID{"node-self", "pod-self", "objects", policy.WithoutNode}, rule)
	}
	compared, denied := 0, 0
	for name, f := range agentFixtures(t) {
		if strings.HasPrefix(f.Request.Resource, "ciliumnodes") {
			continue // its type is not known here
		}
		t.Run(name, func(t *testing.T) {
			written, ok := asStored(f.Request)
			if !ok {
				t.Fatal("an API server would not read the objects")
			}
			kinds := compileFor(t, f.Policies)
			for _, user := range identities(written.User) {
				r := written
				id, _ := review.SubjectOf(user)
				r.User, r.Subject, r.NodeName = user, id.Subject, id.Node
				want, _ := byEngine(t, f.Policies, r)
				attributes := (&caller{t: t}).attributesOf(r)
				got := map[policy.RuleID]bool{}
				for _, kind := range kinds {
					if !isFor(kind, attributes) {
						continue
					}
					e, errs := newEnforced(kind)
					if len(errs) > 0 {
						t.Fatal(errs)
					}
					violated, failed := e.violated(t, attributes)
					if failed != "" {
						t.Fatal(failed)
					}
					for rule := range violated {
						got[rule] = true
					}
				}
				for _, rule := range []policy.RuleID{"node-self", "pod-self", "objects", policy.WithoutNode} {
					compared++
					allowed := rule == policy.WithoutNode && f.Policies[0].Spec.Subjects.WithoutNode == "Allow"
					if got[rule] != (want[rule] && !allowed) {
						t.Errorf("%s with %v: the API server says %t, the webhook %t", rule, user.Extra, got[rule], want[rule])
					}
					if got[rule] {
						denied++
					}
				}
				for rule := range got {
					if !inCEL(rule) {
						t.Errorf("the API server evaluates %s", rule)
					}
				}
			}
		})
	}
	if compared < 500 || denied < 100 {
		t.Errorf("only %d verdicts were compared, of them %d denials", compared, denied)
	}
}
