// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denials

import (
	"time"

	"noderestriction.plus/internal/record"
)

// timeText is a time as a record has it.
func timeText(t record.Time) string { return time.Time(t).UTC().Format(record.TimeLayout) }
