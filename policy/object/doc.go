// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package object reads the objects of a write: the Node, the pod, or what a rule wants of another object. It decodes only the parts
// that are asked for, and those that an update does not change at most once.
//
// A [Write] is what was written, a [View] what rules see of it. The package knows neither rules nor policies.
package object
