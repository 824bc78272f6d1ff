// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/project"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/fixture"
	"noderestriction.plus/internal/manifest"
)

// nobody is an address at which nothing answers.
const nobody = "https://127.0.0.1:9"

// testDistributions sends the writes of each distribution's agents and static pods with the policy of the distribution, and again while
// the product does not answer: then they must pass, except mirror pods, which wait.
func (s *pair) testDistributions(t *testing.T) {
	names, err := project.Distributions()
	suite.Check(t, err)
	enforced := map[string]bool{}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			suite.Check(t, s.product.Configure(t.Context(), s.Kubectl, s.helm, "policies.distribution="+name))
			s.enforce(t, []*v1alpha1.NodeRestrictionPolicy{profile(t, name)}, enforced)
			suite.Check(t, s.product.AwaitCalled(t.Context(), s.open))
			for path, f := range s.distributionFixtures(t, name) {
				t.Run(path, func(t *testing.T) { s.testAgent(t, f) })
			}
			suite.Check(t, s.SetURL(t.Context(), nobody))
			s.awaitUnanswered(t)
			t.Run("while nothing answers", func(t *testing.T) {
				for path, f := range s.distributionFixtures(t, name) {
					if f.Want == fixture.Allowed {
						t.Run(path, func(t *testing.T) { s.testAgentAlone(t, f) })
					}
				}
			})
		})
	}
	s.enforce(t, nil, enforced)
	s.sendEverything(t)
}

// testAgent sends a fixture's write once.
func (s *pair) testAgent(t *testing.T, f *fixture.Fixture) {
	r := &replay{setup: s.newSetup(t, f, s.open, nil), kubelet: suite.Kubelet(t, s.open, f.Request.NodeName)}
	defer r.clear(t)
	w := r.set(t)
	r.awaitLookups(t, w)
	r.send(t, r.encodings()[0], w)
}

// testAgentAlone sends a fixture's write once, while the product does not answer.
func (s *pair) testAgentAlone(t *testing.T, f *fixture.Fixture) {
	r := &replay{setup: s.newSetup(t, f, s.open, nil), kubelet: suite.Kubelet(t, s.open, f.Request.NodeName)}
	defer r.clear(t)
	w := r.set(t)
	if a := r.request(t, r.encodings()[0], w, false); a.Outcome != suite.Allowed {
		t.Errorf("want %s, got %s", suite.Allowed, a)
	}
}

// awaitUnanswered waits until the API server no longer reaches the product.
func (s *pair) awaitUnanswered(t *testing.T) {
	t.Helper()
	const node = "unanswered"
	s.CreateNode(t, node)
	kubelet := suite.Kubelet(t, s.open, node)
	suite.Eventually(t, time.Minute, func() error {
		a := kubelet.Do(t.Context(), suite.AddFinalizer(node))
		if a.Outcome == suite.Unanswered {
			return nil
		}
		return errors.New(a.String())
	})
	suite.Check(t, s.Admin.CoreV1().Nodes().Delete(t.Context(), node, metav1.DeleteOptions{}))
}

// profile returns the policy recommended, adapted to a distribution.
func profile(t *testing.T, name string) *v1alpha1.NodeRestrictionPolicy {
	t.Helper()
	data, err := project.ReadFile("config", "policies", "profiles", name+".yaml")
	suite.Check(t, err)
	policies, err := manifest.Policies(data)
	suite.Check(t, err)
	return policies[0]
}

// distributionFixtures returns the fixtures of a distribution by verdict and name, except those of resources that the API servers do not
// have.
func (s *environment) distributionFixtures(t *testing.T, name string) map[string]*fixture.Fixture {
	t.Helper()
	directory := "../config/policies/distributions/testdata/" + name
	paths, err := filepath.Glob(directory + "/*/*.txtar")
	suite.Check(t, err)
	if len(paths) == 0 {
		t.Fatalf("%s has no fixtures", name)
	}
	all := map[string]*fixture.Fixture{}
	minor := s.minor(t)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		suite.Check(t, err)
		f, err := fixture.Parse(data)
		suite.Check(t, err)
		if resourceOf(t, f.Request.Resource).since <= minor {
			all[strings.TrimSuffix(strings.TrimPrefix(path, directory+"/"), ".txtar")] = f
		}
	}
	return all
}
