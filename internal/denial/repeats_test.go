package denial

import (
	"fmt"
	"testing"
	"time"
)

func TestRepeatsCountsWithinAMinute(t *testing.T) {
	r := newRepeats()
	now := time.Now()
	for want := 1; want <= 3; want++ {
		if got := r.count("a", now); got != want {
			t.Errorf("got %d, want %d", got, want)
		}
	}
	if got := r.count("b", now); got != 1 {
		t.Errorf("another kind: got %d, want 1", got)
	}
	if got := r.count("a", now.Add(window-1)); got != 4 {
		t.Errorf("within the minute: got %d, want 4", got)
	}
	if got := r.count("a", now.Add(window)); got != 1 {
		t.Errorf("a minute later: got %d, want 1", got)
	}
}

func TestRepeatsForgetsOnlyWhatIsOld(t *testing.T) {
	r := newRepeats()
	now := time.Now()
	r.count("old", now)
	r.count("busy", now)
	for i := range 10 * maxGeneration {
		r.count(fmt.Sprint(i), now)
		if i%1000 == 0 {
			r.count("busy", now)
		}
	}
	if n := len(r.current) + len(r.previous); n > 2*maxGeneration {
		t.Errorf("remembers %d kinds, want at most %d", n, 2*maxGeneration)
	}
	if got := r.count("busy", now); got != 52 {
		t.Errorf("a kind that goes on: got %d, want 52", got)
	}
	if got := r.count("old", now); got != 1 {
		t.Errorf("a kind that ended: got %d, want 1", got)
	}
}
