// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseTime reads a time, which may be given as an age such as 90m or 2d, or as a date, which begins at midnight UTC.
func ParseTime(text string, now time.Time) (time.Time, error) {
	age, err := parseAge(text)
	switch {
	case err == nil && age < 0:
		return time.Time{}, fmt.Errorf("must not be a negative age, %s", text)
	case err == nil:
		return now.Add(-age), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf(
		"must be an age such as 90m or 2d, a date such as 2026-11-24 or a time such as 2026-11-24T08:00:00Z, not %q", text)
}

// maxDays bounds an age in days, so that it does not overflow.
const maxDays = 36_500

// parseAge reads a duration, which may be in days.
func parseAge(text string) (time.Duration, error) {
	if number, inDays := strings.CutSuffix(text, "d"); inDays {
		if days, err := strconv.Atoi(number); err == nil && days <= maxDays && days >= -maxDays {
			return time.Duration(days) * 24 * time.Hour, nil
		}
	}
	return time.ParseDuration(text)
}
