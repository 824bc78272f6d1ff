package policy

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// differences are the parts in which the two objects of an update differ, byte for byte.
type differences struct {
	known bool // they have been looked for
	in    partSet
	parts []difference
}

// difference is a part that is not the same in both objects.
type difference struct {
	id            partID
	section, name string
	old, updated  jsontext.Value // nil: the object has no such part
}

// compare finds the differences, and marks the parts that are the same in both.
func compare(old, updated Parts) differences {
	d := differences{known: true}
	inOld, inUpdated := partFinder{parts: old}, partFinder{parts: updated}
	found := 0
	for i := range updated {
		p := &updated[i]
		before := inOld.find(p, i)
		if before == nil {
			d.add(difference{p.id, p.section, p.name, nil, p.value})
			continue
		}
		found++
		if p.same = bytes.Equal(before.value, p.value); !p.same {
			d.add(difference{p.id, p.section, p.name, before.value, p.value})
		}
	}
	if found == len(old) {
		return d
	}
	for i := range old {
		if p := &old[i]; inUpdated.find(p, i) == nil {
			d.add(difference{p.id, p.section, p.name, p.value, nil})
		}
	}
	return d
}

func (d *differences) add(change difference) {
	d.in |= 1 << change.id
	d.parts = append(d.parts, change)
}
