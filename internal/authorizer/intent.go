// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package authorizer

import (
	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/text"

	"k8s.io/apimachinery/pkg/util/version"
)

// certainty is whether the Node authorizer allows a request.
type certainty int

const (
	never   certainty = iota // in no release, whatever the feature gates
	perhaps                  // in some, or if the object is related to the node
	surely                   // in all, with the default feature gates
)

// intents are the Node authorizers that an API server may have.
type intents struct {
	defaults []*nodeauthorizer.Table // of each release
	variants []*nodeauthorizer.Table // with one other feature gate
}

// newIntents returns the Node authorizers of a minor release of Kubernetes 1, or those of all releases if that is 0.
func newIntents(minor int) (*intents, error) {
	oldest, newest := minor, minor
	if minor == 0 {
		oldest, newest = nodeauthorizer.Oldest, nodeauthorizer.Newest
	}
	all := &intents{}
	for m := oldest; m <= newest; m++ {
		table, err := nodeauthorizer.New(m, nil)
		if err != nil {
			return nil, err
		}
		all.defaults = append(all.defaults, table)
		for _, gate := range table.Gates() {
			variant, err := nodeauthorizer.New(m, map[nodeauthorizer.Gate]bool{gate: !table.Enabled(gate)})
			if err != nil {
				return nil, err
			}
			all.variants = append(all.variants, variant)
		}
	}
	return all, nil
}

// of returns whether the Node authorizer allows a request of the kubelet of a node.
func (all *intents) of(node string, r *authorization.Request) certainty {
	always := true
	for _, table := range all.defaults {
		always = always && table.Decide(node, r, is(false)) != nil
	}
	if always {
		return surely
	}
	for _, tables := range [][]*nodeauthorizer.Table{all.defaults, all.variants} {
		for _, table := range tables {
			if table.Decide(node, r, is(true)) != nil {
				return perhaps
			}
		}
	}
	return never
}

// is returns the answer to whether an object is related to a node.
func is(related bool) func(*authorization.Request) bool {
	return func(*authorization.Request) bool { return related }
}

// minorOf returns the minor release of a version of Kubernetes, or 0 for an empty text.
func minorOf(kubernetes string) (int, error) {
	if kubernetes == "" {
		return 0, nil
	}
	v, err := version.ParseGeneric(kubernetes)
	if err != nil || v.Major() != 1 {
		return 0, command.Usagef("--kubernetes: %s is not a version such as 1.32", text.Quote(kubernetes))
	}
	return int(v.Minor()), nil
}
