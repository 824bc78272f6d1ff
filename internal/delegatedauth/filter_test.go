// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package delegatedauth

import (
	"net/http"
	"strings"
	"testing"
)

func TestBearerToken(t *testing.T) {
	long := strings.Repeat("x", maxTokenBytes)
	for _, test := range []struct {
		name   string
		values []string
		want   string // empty: none
	}{
		{"without a header there is no token", nil, ""},
		{"an empty header has none", []string{""}, ""},
		{"it is behind the scheme", []string{"Bearer a.b-c_d~e+f/g=="}, "a.b-c_d~e+f/g=="},
		{"the scheme may be written in any letters", []string{"bEARER a"}, "a"},
		{"a scheme alone has none", []string{"Bearer"}, ""},
		{"an empty token does not count", []string{"Bearer "}, ""},
		{"another scheme has none", []string{"Basic a"}, ""},
		{"a longer scheme has none", []string{"Bearers a"}, ""},
		{"a tab ends no scheme", []string{"Bearer\ta"}, ""},
		{"two spaces are not one", []string{"Bearer  a"}, ""},
		{"it has no space", []string{"Bearer a b"}, ""},
		{"it does not end in a space", []string{"Bearer a "}, ""},
		{"it has no tab", []string{"Bearer \t a"}, ""},
		{"it has no control character", []string{"Bearer a\x7f"}, ""},
		{"it has no letter beyond ASCII", []string{"Bearer \u00a0"}, ""},
		{"it may be long", []string{"Bearer " + long}, long},
		{"it may not be longer", []string{"Bearer " + long + "x"}, ""},
		{"of two headers none counts", []string{"Bearer a", "Bearer a"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok := bearerToken(http.Header{"Authorization": test.values})
			if got != test.want || ok != (test.want != "") {
				t.Errorf("got %.40q, %t", got, ok)
			}
		})
	}
}
