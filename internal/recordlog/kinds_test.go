// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package recordlog

import (
	"fmt"
	"testing"

	"noderestriction.plus/internal/record"
)

func TestManyKindsTakeBoundedMemoryAndTheLatestAreKnown(t *testing.T) {
	k := kinds{limit: 100}
	for n := 1; n <= 1000; n++ {
		k.complete(&Entry{Record: record.Record{Boot: "B1", Seq: uint64(n), Fingerprint: fmt.Sprint(n)}})
		k.complete(&Entry{Record: record.Record{Boot: "B1", Fingerprint: "often"}, Compact: n > 1})
	}
	if got := len(k.current) + len(k.previous); got > 200 {
		t.Errorf("%d kinds are remembered", got)
	}
	for fingerprint, want := range map[string]bool{"1": false, "700": false, "950": true, "1000": true, "often": true} {
		e := Entry{Record: record.Record{Boot: "B1", Fingerprint: fingerprint}, Compact: true}
		k.complete(&e)
		if known := e.Resource != Unknown; known != want {
			t.Errorf("kind %s: known %v, want %v", fingerprint, known, want)
		}
	}
}
