// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"fmt"
	"strings"
	"testing"
)

func TestPartsAreFoundWithoutLookingThroughAll(t *testing.T) {
	const n = 4000
	object := func(name string) string { return `{"metadata":{` + manyMembers(n, `"`+name+`%":1`) + `}}` }
	before, err := split([]byte(object("a")))
	if err != nil {
		t.Fatal(err)
	}
	after, err := split([]byte(object("b")))
	if err != nil {
		t.Fatal(err)
	}
	if d := compare(before, after); len(d.parts) != 2*n {
		t.Errorf("got %d differences", len(d.parts))
	}
	if _, err := split([]byte(`{"metadata":{` + manyMembers(maxParts+1, `"a%":1`) + `}}`)); err == nil {
		t.Error("an object of too many members was taken apart")
	}
}

// manyMembers are members of an object, each with its number for %.
func manyMembers(n int, format string) string {
	list := make([]string, n)
	for i := range list {
		list[i] = strings.ReplaceAll(format, "%", fmt.Sprint(i))
	}
	return strings.Join(list, ",")
}

func TestValuesAreCountedDownToADepth(t *testing.T) {
	if n := countValues([]byte(`[{"a":[1,2,"\",,"]},{},{}]`), 1); n != 3 {
		t.Errorf("got %d values", n)
	}
	if n := countValues([]byte(`[{"a":[1,2,"\",,"]},{},{}]`), anyDepth); n != 5 {
		t.Errorf("got %d values at any depth", n)
	}
}
