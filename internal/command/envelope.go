// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package command

// APIVersion is the version of what commands print with -o json and -o yaml. Fields may be added to a version, but are neither
// removed nor given another meaning.
const APIVersion = "cli.noderestriction.plus/v1alpha1"

// Envelope begins what a command prints with -o json and -o yaml.
type Envelope struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
}

// List is the output of a command that prints a list.
type List[T any] struct {
	Envelope
	Items []T `json:"items"`
}

// NewList returns a list of the kind. Without items it has an empty list, not null.
func NewList[T any](kind string, items []T) List[T] {
	if items == nil {
		items = []T{}
	}
	return List[T]{Envelope{APIVersion, kind}, items}
}
