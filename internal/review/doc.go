// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package review turns an AdmissionReview into a [policy.Request] and a verdict back into an AdmissionReview. It is
// pure, so that the webhook and the command review answer alike.
//
// [Decode] reads the envelope strictly and leaves the objects as they are: requests from users other than kubelets, and node agents that a
// policy names, are answered from the envelope alone. [Review.Evaluate] decodes the objects if a policy evaluates them, and [Review.Answer]
// encodes the verdict.
//
// What an attacker can cause is denied: an object that cannot be read, one that is too large, a panic. What only a broken or
// impersonated API server can send, a malformed envelope, is an error.
package review
