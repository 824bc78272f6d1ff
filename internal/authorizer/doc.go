// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package authorizer has the command authorizer: it makes an entry for the AuthorizationConfiguration of API servers that denies
// kubelets what other authorizers would add to the answer of the Node authorizer, and says what the entry denies.
//
// The entry is a webhook that is never called. It stands behind the Node authorizer. Its match conditions exclude all clients that are
// not kubelets, and what kubelets need from other authorizers; the last one always fails, and failurePolicy Deny makes a denial of that.
package authorizer
