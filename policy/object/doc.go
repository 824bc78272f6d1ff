// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package object reads the objects of a write. A Node or a pod is split into its parts, the members of its metadata, spec and status.
// A [View] of a [Write] decodes a [Part] when a rule first asks for it; a part that an update does not change is decoded once for both
// objects, or not at all. Objects of other resources are decoded as a whole by [Decode].
//
// The package knows neither rules nor policies.
package object
