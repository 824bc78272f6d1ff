// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import "testing"

func TestServerFieldsAreNoChange(t *testing.T) {
	const old = `{"metadata":{"name":"n","resourceVersion":"1","managedFields":[{"manager":"a"}],"labels":{"a":"b"}},"spec":{"x":1}}`
	for name, test := range map[string]struct {
		updated string
		want    bool
	}{
		"only server fields differ": {
			`{"spec":{"x":1},"metadata":{"labels":{"a":"b"},"name":"n","resourceVersion":"2","generation":3}}`, true,
		},
		"a label differs":       {`{"metadata":{"name":"n","labels":{"a":"c"}},"spec":{"x":1}}`, false},
		"a new field is there":  {`{"metadata":{"name":"n","labels":{"a":"b"}},"spec":{"x":1,"y":2}}`, false},
		"there is no metadata":  {`{"spec":{"x":1}}`, false},
		"it is not well-formed": {`{"metadata":`, false},
	} {
		if got := SameObject([]byte(old), []byte(test.updated)); got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}
