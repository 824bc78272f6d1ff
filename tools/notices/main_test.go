// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// isc and zeroBSD differ in one condition. The project accepts the first.
const (
	isc     = grant + ",\nprovided that the above copyright notice and this permission notice appear in all copies.\n" + disclaimer
	zeroBSD = grant + ".\n" + disclaimer

	grant = "Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted"

	disclaimer = `
THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED
WARRANTIES OF MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT, INDIRECT, OR
CONSEQUENTIAL DAMAGES OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN ACTION OF CONTRACT,
NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.
`
)

func TestRead(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		want  string // the error
	}{
		{name: "an accepted licence", files: map[string]string{"LICENSE": isc}},
		{name: "a licence by another name", files: map[string]string{"LICENCE.md": isc}},
		{name: "a licence that is not accepted", files: map[string]string{"LICENSE": zeroBSD}, want: "is not accepted"},
		{name: "a text that is no licence", files: map[string]string{"COPYING": "Ask me."}, want: "no known licence"},
		{name: "no licence", files: map[string]string{"README.md": isc}, want: "it has no licence"},
		{name: "a notice is no licence", files: map[string]string{"NOTICE": isc}, want: "it has no licence"},
		{
			name: "each licence counts", files: map[string]string{"LICENSE": isc, "LICENSE.other": zeroBSD},
			want: "LICENSE.other: ",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range test.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := read("example.com/m", []string{dir})
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestLicencesBelowTheRootAreFound(t *testing.T) {
	root := t.TempDir()
	below := filepath.Join(root, "a", "b")
	if err := os.MkdirAll(below, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{root, filepath.Dir(below)} {
		if err := os.WriteFile(filepath.Join(dir, "LICENSE"), []byte(isc), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	notices, err := read("example.com/m", addUpTo(nil, below, root))
	if err != nil {
		t.Fatal(err)
	}
	text := render(notices)
	if !strings.Contains(text, "example.com/m: ISC\n") || !strings.Contains(text, "example.com/m: a/LICENSE\n") {
		t.Errorf("the notices lack a licence:\n%s", text)
	}
	if strings.Count(text, "Permission to use") != 1 {
		t.Errorf("the same text stands in the notices more than once:\n%s", text)
	}
}
