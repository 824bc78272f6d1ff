// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"encoding/json"
	"testing"
	"time"
)

func TestPatchAddsOnlyWhatIsMissing(t *testing.T) {
	t.Parallel()
	old, current := newTestCA(t, epoch.Add(-day), epoch.Add(day)), newTestCA(t, epoch.Add(-day), epoch.Add(day))
	both := bundle{old.cert, current.cert}
	o := observed{known: true, exists: true, version: "7", bundles: []bundle{{old.cert}, both, nil}}
	got := o.patch(both, epoch)
	want := []operation{
		{"test", "/metadata/resourceVersion", "7"},
		{"add", "/webhooks/0/clientConfig/caBundle", both.encode()},
		{"add", "/webhooks/2/clientConfig/caBundle", both.encode()},
	}
	if g, w := toJSON(t, got), toJSON(t, want); g != w {
		t.Errorf("got %s\nwant %s", g, w)
	}
	for name, o := range map[string]observed{
		"all have it":               {known: true, exists: true, bundles: []bundle{both, {current.cert, old.cert}}},
		"there are no webhooks":     {known: true, exists: true},
		"there is no configuration": {known: true},
		"it has not been read":      {},
	} {
		if got := o.patch(both, epoch); got != nil {
			t.Errorf("%s: got %s", name, toJSON(t, got))
		}
	}
}

func TestTrusts(t *testing.T) {
	t.Parallel()
	a, other := newTestCA(t, epoch, epoch.Add(time.Hour)).cert, newTestCA(t, epoch, epoch.Add(time.Hour)).cert
	for _, test := range []struct {
		name string
		o    observed
		want bool
	}{
		{"it is unknown before it has been read", observed{}, false},
		{"without a configuration no webhook is called", observed{known: true}, true},
		{"every webhook has it", observed{known: true, exists: true, bundles: []bundle{{a}, {other, a}}}, true},
		{"one webhook lacks it", observed{known: true, exists: true, bundles: []bundle{{a}, {other}}}, false},
		{"one webhook has no bundle", observed{known: true, exists: true, bundles: []bundle{{a}, nil}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.o.trusts(a); got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
