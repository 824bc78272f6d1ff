// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denials

import (
	"fmt"
	"time"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/record"
)

// parseTime reads a time, which may be given as an age such as 90m or 2d, or as a date, which begins at midnight UTC.
func parseTime(text string, now time.Time) (time.Time, error) {
	age, err := command.ParseAge(text)
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

// timeText is a time as a record has it.
func timeText(t record.Time) string { return time.Time(t).UTC().Format(record.TimeLayout) }
