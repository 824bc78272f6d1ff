// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"slices"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// FuzzCursor compares what a cursor reads with what a decoder reads. In text that is not well-formed it only has to end.
func FuzzCursor(f *testing.F) {
	for _, text := range []string{
		``, `null`, `[]`, `{}`, `{"a":{}}`, ` { "a" : [ 1 , -2.5e3,true ,false,null ] , "b\"\\" : "\u00e9, [{" } `,
		`[[],[{}],{"a":"\\","b":"\\\""}]`, `{"type":"Ready","observedGeneration":7}`,
		`{`, `[`, `"`, `"\`, `{"a`, `{"a":`, `]`, `}`, `:`, `[1 2`, `{1:2}`, `tru`, "[\x00]",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		text = text[:min(len(text), 1<<10)]
		read := readByCursor(&cursor{text: text}, nil)
		if !jsontext.Value(text).IsValid() {
			return
		}
		if want := readByDecoder(t, NewDecoder(text), nil); !slices.Equal(read, want) {
			t.Errorf("read %q, want %q", read, want)
		}
	})
}

// readByCursor appends the names and the values that a cursor reads, each list and object followed by what is in it.
func readByCursor(c *cursor, read []string) []string {
	kind := c.kind()
	if kind != jsontext.KindBeginObject && kind != jsontext.KindBeginArray {
		return append(read, string(c.value()))
	}
	whole := *c
	read = append(read, string(whole.value()))
	for c.enter(); c.more(); {
		if kind == jsontext.KindBeginObject {
			read = append(read, string(c.name()))
		}
		read = readByCursor(c, read)
	}
	return read
}

// readByDecoder is readByCursor by a decoder.
func readByDecoder(t *testing.T, d *jsontext.Decoder, read []string) []string {
	t.Helper()
	value, err := d.ReadValue()
	if err != nil {
		t.Fatal(err)
	}
	value = value.Clone()
	read = append(read, string(value))
	kind := value.Kind()
	if kind != jsontext.KindBeginObject && kind != jsontext.KindBeginArray {
		return read
	}
	inner := NewDecoder(value)
	if _, err := inner.ReadToken(); err != nil {
		t.Fatal(err)
	}
	for inner.PeekKind() != jsontext.KindEndObject && inner.PeekKind() != jsontext.KindEndArray {
		if kind == jsontext.KindBeginObject {
			name, err := ReadName(inner)
			if err != nil {
				t.Fatal(err)
			}
			read = append(read, string(name))
		}
		read = readByDecoder(t, inner, read)
	}
	return read
}

func TestContainersAreReadAsFarAsRulesReadThem(t *testing.T) {
	for name, test := range map[string]struct {
		list string
		want []Container
		runs bool
		bad  bool
	}{
		"no list":                             {list: `null`},
		"an empty list":                       {list: `[]`, want: []Container{}},
		"an element without fields":           {list: `[null,{}]`, want: []Container{{}, {}}},
		"a container":                         {list: `[{"image":"i","env":[{"name":"no"}],"name":"a\"b"}]`, want: []Container{{Name: `a"b`}}},
		"a status of one that runs":           {list: `[{"name":"a","state":{"running":{}}}]`, runs: true},
		"a status of one that has ended":      {list: `[{"name":"a","state":{"running":null,"terminated":{}}}]`},
		"a privileged container":              {list: `[{"securityContext":{"privileged":true,"x":1}}]`, want: []Container{{SecurityContext: &SecurityContext{Privileged: true}}}},
		"an object instead of a list":         {list: `{}`, bad: true},
		"a text instead of a container":       {list: `["a"]`, bad: true},
		"a number instead of a name":          {list: `[{"name":1}]`, bad: true},
		"a text instead of a state":           {list: `[{"state":"running"}]`, bad: true},
		"a text instead of privileged":        {list: `[{"securityContext":{"privileged":"true"}}]`, bad: true},
		"a list instead of a securityContext": {list: `[{"securityContext":[]}]`, bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			var got []Container
			if err := readContainers([]byte(test.list), &got); (err != nil) != test.bad {
				t.Fatalf("got error %v", err)
			}
			if test.bad {
				return
			}
			runs := slices.ContainsFunc(got, func(c Container) bool { return c.Runs() })
			if runs != test.runs {
				t.Errorf("it runs: %t", runs)
			}
			for i := range test.want {
				if len(got) != len(test.want) || got[i].Name != test.want[i].Name ||
					(got[i].SecurityContext == nil) != (test.want[i].SecurityContext == nil) {
					t.Errorf("got %+v, want %+v", got, test.want)
				}
			}
		})
	}
}
