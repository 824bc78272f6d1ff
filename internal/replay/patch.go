// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"noderestriction.plus/internal/auditlog"
	"noderestriction.plus/policy/object"
)

// patch is the body of a PATCH. The log does not say whether it is a merge patch or a strategic merge patch.
type patch struct {
	raw     jsontext.Value
	isList  bool   // a JSON patch
	applies bool   // perhaps a server-side apply
	all     bool   // it may touch every part
	touched []part // what it touches, with the value in the patch; nil for a JSON patch
	version string // the resourceVersion that it requires, if any
}

const (
	// maxPatch bounds a patch that is applied, in bytes, and maxPatchValues its values. Merging lists takes quadratic time.
	maxPatch       = 256 << 10
	maxPatchValues = 8 << 10
	// maxOperations bounds the operations of a JSON patch that is applied.
	maxOperations = 1000
)

// readPatch reads a patch.
func readPatch(e *auditlog.Event) *patch {
	p := &patch{raw: e.RequestObject, applies: isApply(e)}
	switch {
	case p.applies, len(p.raw) > maxPatch, bytes.Count(p.raw, []byte(",")) > maxPatchValues:
		p.all = true
	case p.raw.Kind() == '[':
		p.isList = true
		p.readOperations()
	default:
		p.readMerge()
	}
	return p
}

// readMerge finds the parts that a merge patch or a strategic merge patch touches.
func (p *patch) readMerge() {
	top, err := membersOf(p.raw)
	if err != nil {
		p.all = true
		return
	}
	for _, m := range top {
		switch {
		case isDirective(m.name), isSection(m.name) && m.value.Kind() != '{':
			p.all = true
		case isSection(m.name):
			inner, err := membersOf(m.value)
			if err != nil {
				p.all = true
				return
			}
			for _, i := range inner {
				p.readMember(partName{m.name, i.name}, i.value)
			}
		case m.name == "kind", m.name == "apiVersion", m.name == "@type":
		default:
			p.touched = append(p.touched, part{partName{"", m.name}, m.value})
		}
	}
}

// readMember reads a member of a section.
func (p *patch) readMember(name partName, value jsontext.Value) {
	list := name.name
	for _, directive := range []string{"$setElementOrder/", "$deleteFromPrimitiveList/"} {
		if after, is := strings.CutPrefix(list, directive); is {
			// It is about another member, or in a merge patch an unknown field.
			p.touch(partName{name.section, after}, nil)
			return
		}
	}
	if isDirective(list) {
		p.all = true
		return
	}
	if name == (partName{"metadata", "resourceVersion"}) {
		p.version = textOf(value)
	}
	p.touch(name, value)
}

// touch adds a part. A value of nil leaves that which it has.
func (p *patch) touch(name partName, value jsontext.Value) {
	for i := range p.touched {
		if p.touched[i].partName == name {
			if value != nil {
				p.touched[i].value = value
			}
			return
		}
	}
	p.touched = append(p.touched, part{name, value})
}

func isDirective(name string) bool { return strings.HasPrefix(name, "$") }

// operation is an operation of a JSON patch.
type operation struct {
	Op   string `json:"op"`
	Path string `json:"path"`
	From string `json:"from"`
}

// readOperations finds the parts that a JSON patch touches.
func (p *patch) readOperations() {
	var operations []operation
	if err := json.Unmarshal(p.raw, &operations); err != nil || len(operations) > maxOperations {
		p.all = true
		return
	}
	for _, o := range operations {
		switch o.Op {
		case "add", "remove", "replace":
		case "test":
			continue
		default: // a copy may multiply the object
			p.all = true
			return
		}
		path := strings.Split(strings.TrimPrefix(o.Path, "/"), "/")
		for i := range path {
			path[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(path[i])
		}
		switch {
		case isSection(path[0]) && len(path) > 1:
			p.touch(partName{path[0], path[1]}, nil)
		case isSection(path[0]), path[0] == "":
			p.all = true
			return
		default:
			p.touch(partName{"", path[0]}, nil)
		}
	}
}

// kindOfPatch is a kind of a patch.
type kindOfPatch int

const (
	strategic kindOfPatch = iota
	merge
	operations
)

// kinds returns the kinds that the patch may have.
func (p *patch) kinds() []kindOfPatch {
	if p.isList {
		return []kindOfPatch{operations}
	}
	return []kindOfPatch{strategic, merge}
}

// apply applies the patch to parts of an object, and returns its parts as the API server encodes them.
func (p *patch) apply(kind kindOfPatch, resource string, parts []part) (result *whole, err error) {
	defer func() {
		if v := recover(); v != nil {
			result, err = nil, fmt.Errorf("the patch cannot be applied: %v", v)
		}
	}()
	original := compose(parts)
	var patched []byte
	switch kind {
	case operations:
		var list jsonpatch.Patch
		if list, err = jsonpatch.DecodePatch(p.raw); err == nil {
			patched, err = list.Apply(withSections(original))
		}
	case merge:
		patched, err = jsonpatch.MergePatch(original, p.raw)
	case strategic:
		patched, err = strategicpatch.StrategicMergePatch(original, p.raw, typeOf(resource))
	}
	if err != nil {
		return nil, err
	}
	encoded, err := encode(resource, patched)
	if err != nil {
		return nil, err
	}
	return splitWhole(encoded)
}

// withSections gives an object the sections that each stored Node and pod has.
func withSections(object jsontext.Value) jsontext.Value {
	members, err := membersOf(object)
	if err != nil {
		return object
	}
	var b bytes.Buffer
	b.WriteString(`{"metadata":`)
	for i, section := range []string{"metadata", "spec", "status"} {
		if i > 0 {
			b.WriteString(`,"` + section + `":`)
		}
		value := jsontext.Value("{}")
		for _, m := range members {
			if m.name == section {
				value = m.value
			}
		}
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes()
}

func typeOf(resource string) any {
	if resource == "nodes" {
		return corev1.Node{}
	}
	return corev1.Pod{}
}

var errNotTracked = errors.New("is neither a Node nor a pod")

// encode encodes an object as the API server does, which drops the fields that it does not know.
func encode(resource string, data []byte) (jsontext.Value, error) {
	var into any
	switch resource {
	case "nodes":
		into = &corev1.Node{}
	case "pods":
		into = &corev1.Pod{}
	default:
		return nil, errNotTracked
	}
	if err := object.Unmarshal(data, into); err != nil {
		return nil, err
	}
	return json.Marshal(into)
}
