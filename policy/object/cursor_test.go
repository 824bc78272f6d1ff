// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	corev1 "k8s.io/api/core/v1"
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

func TestListsAreReadByTheirElements(t *testing.T) {
	for name, test := range map[string]struct {
		statuses string
		want     []string // names, with a + for containers that run
		bad      bool
	}{
		"null instead of a list":         {statuses: `null`},
		"an empty list":                  {statuses: `[]`},
		"a status without fields":        {statuses: `[{}]`, want: []string{""}},
		"a name with an escape":          {statuses: `[{"image":"i","x":[{"name":"no"}],"name":"a\"b"}]`, want: []string{`a"b`}},
		"one runs, and one has ended":    {statuses: `[{"name":"a","state":{"running":{}}}, {"name":"b","state":{"running":null}}]`, want: []string{"a+", "b"}},
		"more elements than are kept":    {statuses: `[` + strings.Repeat(`{"name":"a"},`, maxElements+1) + `{"name":"a"}]`, want: slices.Repeat([]string{"a"}, maxElements+2)},
		"an object instead of a list":    {statuses: `{}`, bad: true},
		"a text instead of a status":     {statuses: `["a"]`, bad: true},
		"a number instead of a name":     {statuses: `[{"name":1}]`, bad: true},
		"a status that runs like a text": {statuses: `[{"name":"a","state":"running"}]`, want: []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			object := []byte(`{"status":{"containerStatuses":` + test.statuses + `}}`)
			v := &View{}
			if err := v.Open(&Write{Operation: "CREATE", Resource: "pods", Object: object}); err != nil {
				t.Fatal(err)
			}
			var got []string
			statuses := v.Pod().ContainerStatuses().New()
			for i := range statuses {
				if statuses[i].Runs() {
					statuses[i].Name += "+"
				}
				got = append(got, statuses[i].Name)
			}
			if (v.Err() != nil) != test.bad {
				t.Fatalf("got error %v", v.Err())
			}
			if !test.bad && !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestUnknownFieldsOfElementsAreFoundWhereTheyChange(t *testing.T) {
	status := func(name, fields string) string { return `{"name":"` + name + `"` + fields + `}` }
	const foreign = `,"state":{"new":1}`
	for name, test := range map[string]struct {
		old, updated string
		want         []string
	}{
		"in no element":                   {status("a", ``), status("a", `,"ready":true`), nil},
		"in an element that stays":        {status("a", foreign) + "," + status("b", ``), status("a", foreign) + "," + status("b", `,"ready":true`), nil},
		"in an element that moves":        {status("a", foreign) + "," + status("b", ``), status("b", ``) + "," + status("a", foreign), nil},
		"in an element that comes":        {status("a", ``), status("a", ``) + "," + status("b", foreign), []string{"status.containerStatuses[].state.new"}},
		"in an element that goes":         {status("a", ``) + "," + status("b", foreign), status("a", ``), []string{"status.containerStatuses[].state.new"}},
		"in an element whose key changes": {status("a", foreign), status("b", foreign), []string{"status.containerStatuses[].state.new"}},
	} {
		t.Run(name, func(t *testing.T) {
			object := func(statuses string) []byte { return []byte(`{"status":{"containerStatuses":[` + statuses + `]}}`) }
			v := &View{}
			w := &Write{
				Operation: "UPDATE", Resource: "pods", Subresource: "status", Object: object(test.updated), OldObject: object(test.old),
			}
			if err := v.Open(w); err != nil {
				t.Fatal(err)
			}
			got, err := v.UnknownChanges(Shapes{}.Of(reflect.TypeFor[corev1.Pod]()))
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("got %q, %v, want %q", got, err, test.want)
			}
		})
	}
}
