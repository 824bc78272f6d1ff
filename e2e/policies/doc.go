// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package policies compares what kubectl nrp check says about policies with what an API server says about them.
package policies
