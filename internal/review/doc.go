// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package review turns an AdmissionReview into a [policy.Request] and a verdict back into an AdmissionReview. It is
// pure, so that the webhook and the command review answer alike.
//
// [Decode] reads the envelope strictly and leaves the objects as they are: who is not a kubelet is answered from the
// envelope alone. [Review.Judge] decodes the objects if a policy would look at them, and [Review.Answer] says what came
// of it.
//
// What an attacker can cause is denied: an object that cannot be read, one that is too large, a panic on it. What only
// a broken or false API server can send, a malformed envelope, is an error.
package review
