// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package e2e_test

// raceDetector has the product built with Go's race detector, too.
const raceDetector = false
