// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package follow

import (
	"testing"
	"time"
)

// writer is a replica that keeps an object, which is a text, as it wants it.
type writer struct {
	wants  string
	pace   pace
	writes int
}

// step writes what is due, and returns the object.
func (w *writer) step(object string, now time.Time) string {
	wanted := w.wants
	if object == w.wants {
		wanted = ""
	}
	if !w.pace.due(wanted, now) {
		return object
	}
	w.writes++
	w.pace.made(now)
	return w.wants
}

// run runs writers for a time. Each tick, change may replace the object.
func run(duration time.Duration, writers []*writer, change func(object string, at time.Duration) string) (object string) {
	start := time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)
	for at := time.Duration(0); at < duration; at += interval {
		object = change(object, at)
		for _, w := range writers {
			object = w.step(object, start.Add(at))
		}
	}
	return object
}

func unchanged(object string, _ time.Duration) string { return object }

func TestReplicasThatAgreeWriteOnce(t *testing.T) {
	a, b := &writer{wants: "x"}, &writer{wants: "x"}
	if object := run(10*time.Minute, []*writer{a, b}, unchanged); object != "x" || a.writes+b.writes != 1 {
		t.Errorf("the object is %q after %d writes", object, a.writes+b.writes)
	}
}

// TestTwoVersionsDoNotFight has replicas of two versions that make different conditions of the same policies, for an hour.
func TestTwoVersionsDoNotFight(t *testing.T) {
	writers := []*writer{{wants: "old"}, {wants: "old"}, {wants: "new"}}
	run(time.Hour, writers, unchanged)
	for i, w := range writers {
		// Once in maxWait, and a few more until the pause is that long.
		if limit := int(time.Hour/maxWait) + 5; w.writes > limit {
			t.Errorf("replica %d writes %d times, more than %d", i, w.writes, limit)
		}
	}
}

func TestAChangeBySomebodyElseIsUndoneWithinAMinute(t *testing.T) {
	w := &writer{wants: "x"}
	var changed, longest time.Duration
	run(time.Hour, []*writer{w}, func(object string, at time.Duration) string {
		switch {
		case object == "x" && at%(10*time.Minute) == 5*time.Minute: // now and then
			changed = at
			return "bent"
		case object == "x" && changed > 0:
			longest = max(longest, at-changed)
			changed = 0
		}
		return object
	})
	if longest > 5*time.Second {
		t.Errorf("it takes %s", longest)
	}

	changed, longest = 0, 0
	w = &writer{wants: "x"}
	run(time.Hour, []*writer{w}, func(object string, at time.Duration) string {
		if object != "x" {
			longest = max(longest, at-changed)
			return object
		}
		changed = at
		return "bent" // at once, each time
	})
	if longest > time.Minute || longest < maxWait/2 {
		t.Errorf("it takes %s, of somebody who undoes each write", longest)
	}
}

func TestAReplicaThatIsBehindWritesNothing(t *testing.T) {
	ahead, behind := &writer{wants: "new"}, &writer{wants: "old"}
	object := run(time.Minute, []*writer{ahead, behind}, func(object string, at time.Duration) string {
		if at == 0 {
			ahead.wants, behind.wants = "old", "old"
			return "old"
		}
		if at == 10*time.Second {
			ahead.wants = "new"
		}
		if ahead.writes > 0 { // it hears of the policy a moment after the first write
			behind.wants = "new"
		}
		return object
	})
	if object != "new" || ahead.writes != 1 || behind.writes != 0 {
		t.Errorf("the object is %q after %d and %d writes", object, ahead.writes, behind.writes)
	}
}

func TestEachChangeOfThePoliciesIsWrittenSoon(t *testing.T) {
	w := &writer{wants: "a"}
	versions := []string{"a", "b", "c"}
	run(time.Minute, []*writer{w}, func(object string, at time.Duration) string {
		w.wants = versions[int(at/(5*time.Second))%len(versions)]
		return object
	})
	if w.writes != 12 {
		t.Errorf("12 changes are %d writes", w.writes)
	}
}
