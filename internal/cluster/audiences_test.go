// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestAPIAudiences(t *testing.T) {
	token := func(payload string) string {
		return "e30." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2VjcmV0"
	}
	for _, test := range []struct {
		name, token string
		want        []string
	}{
		{"a list of audiences", token(`{"aud":["https://a","b"],"sub":"x"}`), []string{"https://a", "b"}},
		{"one audience, and a line end after the token", token(`{"aud":"https://a"}`) + "\n", []string{"https://a"}},
		{"no audience", token(`{"sub":"x"}`), nil},
		{"an audience of the wrong form", token(`{"aud":{"secret":1}}`), nil},
		{"what is not a web token", "secret", nil},
		{"what is not base64", "e30.!secret!.x", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := &Objects{tokenFile: filepath.Join(t.TempDir(), "token")}
			if err := os.WriteFile(o.tokenFile, []byte(test.token), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := o.APIAudiences()
			if !slices.Equal(got, test.want) || (err == nil) != (test.want != nil) {
				t.Errorf("got %q, %v", got, err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error quotes the token: %v", err)
			}
		})
	}
	for _, o := range []*Objects{{}, {tokenFile: filepath.Join(t.TempDir(), "none")}} {
		if _, err := o.APIAudiences(); err == nil {
			t.Errorf("with the file %q: no error", o.tokenFile)
		}
	}
}
