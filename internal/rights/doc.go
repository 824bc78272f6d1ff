// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rights has the command rights: it says what the credential of a kubelet may really do, compared with what the Node
// authorizer intends.
//
// A question is a request, and an answer is what all authorizers of an API server together say to it. [Analyze] puts each question in
// a class from three sources: the table of the Node authorizer, the grants of RBAC, and the answer, if there is a cluster. Questions
// come from the table, and from every rule that RBAC gives to the kubelet.
package rights
