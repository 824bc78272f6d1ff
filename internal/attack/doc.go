// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package attack has the command attack: it sends a catalogue of attacks with the identity of a kubelet, each as a dry run, and
// reports who stopped each of them.
//
// Nothing is ever written. A guard on the connection refuses every request that is not on its list, and each one on the list
// that could write anything without dryRun=All. Requests for tokens are not on the list, because the API server issues the token
// in spite of dryRun.
//
// An Attack is a function of the state of a cluster: what the command has read there, or a model with --offline. It returns the
// request and the object as it would be after it, so that the same attack can be sent to an API server and evaluated by policies.
package attack
