// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package review_test

import (
	"fmt"
	"strings"
	"testing"

	"noderestriction.plus/internal/review"
)

// manyMembers are the members of an object.
func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"a%d":0,`, i)
	}
	return strings.TrimSuffix(b.String(), ",")
}

func TestObjectsOfManyMembersAreNotRead(t *testing.T) {
	const many = 256<<10 + 1
	for name, test := range map[string]struct {
		body       string
		unreadable bool
	}{
		"in the object":     {replaced(t, `"labels":{`, `"new":{`+manyMembers(many)+`},"labels":{`), true},
		"beside the object": {replaced(t, `"dryRun"`, `"x":{`+manyMembers(many)+`},"dryRun"`), true},
		"in two objects":    {replaced(t, `"dryRun"`, `"x":[{`+manyMembers(many/2)+`},{`+manyMembers(many/2)+`}],"dryRun"`), false},
		"in a list":         {replaced(t, `"dryRun"`, `"x":[`+strings.Repeat(`"",`, many)+`""],"dryRun"`), false},
		"in a text":         {replaced(t, `"dryRun"`, `"x":"`+strings.Repeat(`\":,`, many)+`","dryRun"`), false},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := review.Decode([]byte(test.body))
			if err != nil {
				t.Fatal(err)
			}
			if unreadable := r.Request.Undecodable != ""; unreadable != test.unreadable {
				t.Errorf("got %q", r.Request.Undecodable)
			}
		})
	}
}
