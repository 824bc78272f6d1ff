// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denials

import (
	"fmt"
	"time"

	"noderestriction.plus/internal/record"
)

// parseTime reads a time, which may be given as an age.
func parseTime(text string, now time.Time) (time.Time, error) {
	if age, err := time.ParseDuration(text); err == nil {
		if age < 0 {
			return time.Time{}, fmt.Errorf("must not be a negative age, %s", text)
		}
		return now.Add(-age), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("must be an age such as 90m or a time such as 2026-11-24T08:00:00Z, not %q", text)
	}
	return at, nil
}

// timeText is a time as a record has it.
func timeText(t record.Time) string { return time.Time(t).UTC().Format(record.TimeLayout) }
