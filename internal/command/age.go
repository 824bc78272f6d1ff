// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"strconv"
	"strings"
	"time"
)

// maxDays bounds an age in days, so that it does not overflow.
const maxDays = 36_500

// ParseAge reads a duration, such as 90m, which may be in days, such as 2d.
func ParseAge(text string) (time.Duration, error) {
	if number, inDays := strings.CutSuffix(text, "d"); inDays {
		if days, err := strconv.Atoi(number); err == nil && days <= maxDays && days >= -maxDays {
			return time.Duration(days) * 24 * time.Hour, nil
		}
	}
	return time.ParseDuration(text)
}
