package denial

import "time"

const (
	// fullRecords is how many equal records are written in full within a window; the others are compact.
	fullRecords = 10
	window      = time.Minute
	// maxGeneration bounds the memory of repeats: two generations of some 100 bytes an entry.
	maxGeneration = 5000
)

// repeats counts equal records. It remembers the latest 5,000 to 10,000 kinds; a kind that is forgotten is written in
// full again.
type repeats struct {
	current, previous map[string]*repeat
}

type repeat struct {
	since time.Time
	n     int
}

func newRepeats() repeats { return repeats{current: map[string]*repeat{}} }

// count counts one more record and returns how many with this fingerprint there were in the current window.
func (r *repeats) count(fingerprint string, now time.Time) int {
	seen, ok := r.current[fingerprint]
	if !ok {
		if len(r.current) == maxGeneration {
			r.previous, r.current = r.current, make(map[string]*repeat)
		}
		if seen, ok = r.previous[fingerprint]; !ok {
			seen = &repeat{since: now}
		}
		r.current[fingerprint] = seen
	}
	if now.Sub(seen.since) >= window {
		*seen = repeat{since: now}
	}
	seen.n++
	return seen.n
}
