// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"bytes"
	"slices"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

const likeObject = `{"kind":"Pod","metadata":{"name":"a","labels":{"b":"c"}},"spec":{"x":1},"status":{"conditions":[{"type":"Ready"},{}],"y":2},"z":[]}`

func TestObjectsThatAreAlikeAreReadTheSame(t *testing.T) {
	for name, test := range map[string]struct {
		other, text string
		like        bool
	}{
		"the same":                       {likeObject, likeObject, true},
		"with something behind it":       {likeObject, likeObject + `,"dryRun":false}`, true},
		"an empty object":                {`{}`, `{}`, true},
		"a part changes":                 {likeObject, replaceOnce(likeObject, `"x":1`, `"x":{"new":[1,2]}`), true},
		"a number grows":                 {likeObject, replaceOnce(likeObject, `"x":1`, `"x":12`), true},
		"an element changes":             {likeObject, replaceOnce(likeObject, `"Ready"`, `"Other"`), true},
		"a name of several bytes":        {`{"é":1}`, `{"é":2}`, true},
		"a part is added":                {likeObject, replaceOnce(likeObject, `"x":1`, `"x":1,"n":1`), false},
		"a part is missing":              {likeObject, replaceOnce(likeObject, `"x":1`, ``), false},
		"a section is added":             {`{"kind":"Pod"}`, `{"kind":"Pod","status":{}}`, false},
		"a section was null":             {`{"status":null}`, `{"status":{"x":1}}`, false},
		"parts change places":            {`{"a":1,"b":2}`, `{"b":2,"a":1}`, false},
		"a name comes twice":             {`{"a":1,"b":2}`, `{"a":1,"a":2}`, false},
		"a name comes twice in a part":   {likeObject, replaceOnce(likeObject, `"x":1`, `"x":{"a":1,"a":1}`), false},
		"there is space":                 {likeObject, replaceOnce(likeObject, `"x":1`, `"x":1 `), false},
		"a part is not well-formed":      {likeObject, replaceOnce(likeObject, `"x":1`, `"x":tru`), false},
		"a part continues":               {likeObject, replaceOnce(likeObject, `"x":1`, `"x":1true`), false},
		"a comma is missing":             {`{"a":1,"b":2}`, `{"a":1"b":2}`, false},
		"a comma is at the end":          {`{"a":1}`, `{"a":1,}`, false},
		"it ends too early":              {likeObject, likeObject[:len(likeObject)-1], false},
		"a quote in a name was escaped":  {`{"a\"b":1}`, `{"a"b":1}`, false},
		"a newline in a name as well":    {`{"a\nb":1}`, "{\"a\nb\":1}", false},
		"the name is escaped in both":    {`{"a\"b":1}`, `{"a\"b":1}`, false},
		"there is no object":             {likeObject, `[]`, false},
		"there is nothing":               {likeObject, ``, false},
		"invalid UTF-8 in a part":        {`{"a":"b"}`, "{\"a\":\"\xff\"}", false},
		"the same text in another place": {`{"a":"b","c":1}`, `{"a":"b","c":1,"a":"b"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			if like := checkLike(t, []byte(test.other), []byte(test.text)); like != test.like {
				t.Errorf("it is like the other one: %t", like)
			}
		})
	}
}

// FuzzLike looks for objects that are read in two ways.
func FuzzLike(f *testing.F) {
	for _, text := range []string{likeObject, `{}`, `{"a":1,"b":2}`, `{"status":null}`, `{"a\"b":1}`} {
		f.Add([]byte(text), []byte(text), 3, []byte(`"`))
		f.Add([]byte(text), []byte(likeObject), 0, []byte{})
	}
	// A byte of the text is replaced, so that most objects are alike.
	f.Fuzz(func(t *testing.T, other, text []byte, at int, by []byte) {
		if at >= 0 && at < len(other) {
			checkLike(t, other, slices.Concat(other[:at], by, other[at+1:]))
		}
		checkLike(t, other, text)
	})
}

// checkLike compares what ReadLike reads with what ReadObject reads, and reports whether ReadLike reads it.
func checkLike(t *testing.T, other, text []byte) bool {
	t.Helper()
	parts, err := split(other)
	if err != nil {
		return false
	}
	object, read, like := ReadLike(new(jsontext.Decoder), text, parts)
	if !like {
		return false
	}
	whole, want, err := ReadObject(jsontext.NewDecoder(bytes.NewBuffer(text)), text)
	if err != nil {
		t.Fatalf("%q is not well-formed: %v", text, err)
	}
	same := func(a, b part) bool {
		return a.is(&b) && bytes.Equal(a.value, b.value) &&
			slices.EqualFunc(a.elements, b.elements, func(a, b jsontext.Value) bool { return bytes.Equal(a, b) })
	}
	if !bytes.Equal(object, whole) || !slices.EqualFunc(read, want, same) {
		t.Errorf("like %q, %q is read as %v, want %v", other, text, read, want)
	}
	return true
}

func replaceOnce(text, old, updated string) string {
	return string(bytes.Replace([]byte(text), []byte(old), []byte(updated), 1))
}
