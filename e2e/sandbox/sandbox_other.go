// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package sandbox

import (
	"errors"
	"runtime"
)

// Run returns an error: there are no namespaces on this system.
func Run(func() error) (int, error) {
	return 0, errors.New("a real node runs on Linux only, and this is " + runtime.GOOS)
}

// AddAddress returns an error, as [Run] does.
func AddAddress(string) error { return errors.ErrUnsupported }

// NewCgroup returns an error, as [Run] does.
func NewCgroup(string) error { return errors.ErrUnsupported }

// Reboot returns an error, as [Run] does.
func Reboot() error { return errors.ErrUnsupported }
