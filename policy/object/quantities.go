// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"bytes"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	resourcev1beta1 "k8s.io/api/resource/v1beta1"
	resourcev1beta2 "k8s.io/api/resource/v1beta2"

	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy/pattern"
)

// foundQuantity is a quantity in an object.
type foundQuantity struct {
	path, text string
}

// UnverifiableQuantity returns why a write must not be evaluated because of a quantity in it, and "" if it may be. It must be called
// before a quantity is parsed.
//
// In a Node, stored or written, a quantity must be cheap to parse, and it must be plain unless it is stored: a kubelet writes plain
// numbers, and leaves other cheap ones as they are. In other objects a quantity must be cheap, unless its text is also in the spec of
// the stored object: a kubelet copies to the status what a tenant wrote in the spec. Rules read no quantity at a deletion.
func (v *View) UnverifiableQuantity() string {
	w := v.write
	if w.Operation == admissionv1.Delete || !w.holdsQuantities() {
		return ""
	}
	v.askQuantities()
	var found *foundQuantity
	var ok bool
	switch {
	case w.Resource == "nodes":
		found, ok = v.unusualNodeQuantity()
	case w.hasParts():
		found, ok = w.expensiveQuantity(v.parts, v.oldParts)
	default:
		found, ok = w.expensiveInWhole()
	}
	switch {
	case !ok:
		return "the quantities of the object could not be read"
	case found == nil:
		return ""
	}
	return text.Quote(found.path) + " must not be " + text.Quote(found.text) + ", which no kubelet writes"
}

// holdsQuantities reports whether objects of the resource may hold quantities.
func (w *Write) holdsQuantities() bool {
	switch w.Resource {
	case "nodes", "pods", "persistentvolumeclaims", "resourceslices.resource.k8s.io":
		return true
	}
	return false
}

// quantityShape returns the shape of the objects of the resource.
func (w *Write) quantityShape() *Shape {
	t := reflect.TypeFor[corev1.Pod]()
	switch {
	case w.Resource == "nodes":
		t = reflect.TypeFor[corev1.Node]()
	case w.Resource == "persistentvolumeclaims":
		t = reflect.TypeFor[corev1.PersistentVolumeClaim]()
	case w.Resource == "pods":
	case w.Version == "v1beta1":
		t = reflect.TypeFor[resourcev1beta1.ResourceSlice]()
	case w.Version == "v1beta2":
		t = reflect.TypeFor[resourcev1beta2.ResourceSlice]()
	default:
		t = reflect.TypeFor[resourcev1.ResourceSlice]()
	}
	return Shapes{}.Of(t)
}

// unusualNodeQuantity finds a quantity of a Node that is expensive, or neither plain nor stored. It returns false if a part is not
// well-formed.
func (v *View) unusualNodeQuantity() (*foundQuantity, bool) {
	if !v.parts.mayHave(unusual, true) && !v.oldParts.mayHave(expensive, true) {
		return nil, true
	}
	known := v.write.quantityShape()
	before, ok := v.oldParts.quantities(known, "")
	if !ok {
		return nil, false
	}
	stored := make(map[foundQuantity]bool, len(before))
	for i := range before {
		if !pattern.IsCheapQuantity(before[i].text) {
			return &before[i], true
		}
		stored[before[i]] = true
	}
	after, ok := v.parts.quantities(known, "")
	if !ok {
		return nil, false
	}
	for i := range after {
		if q := &after[i]; !pattern.IsCheapQuantity(q.text) || !pattern.IsPlainQuantity(q.text) && !stored[*q] {
			return q, true
		}
	}
	return nil, true
}

// expensiveQuantity finds an expensive quantity that is not in the stored spec. It returns false if a part is not well-formed.
func (w *Write) expensiveQuantity(parts, old Parts) (*foundQuantity, bool) {
	if !parts.mayHave(expensive, w.Operation == admissionv1.Create) {
		return nil, true
	}
	known := w.quantityShape()
	wanted, ok := old.quantities(known, "spec")
	if !ok {
		return nil, false
	}
	inSpec := make(map[string]bool, len(wanted))
	for i := range wanted {
		inSpec[wanted[i].text] = true
	}
	written, ok := parts.quantities(known, "")
	if !ok {
		return nil, false
	}
	for i := range written {
		if q := &written[i]; !pattern.IsCheapQuantity(q.text) && !inSpec[q.text] {
			return q, true
		}
	}
	return nil, true
}

// expensiveInWhole is expensiveQuantity for objects that are not split yet.
func (w *Write) expensiveInWhole() (*foundQuantity, bool) {
	if len(w.Object) == 0 || !mayHold(w.Object, expensive) {
		return nil, true
	}
	parts, err := split(w.Object)
	if err != nil {
		return nil, false
	}
	var old Parts
	if w.Operation == admissionv1.Update {
		if old, err = split(w.OldObject); err != nil {
			return nil, false
		}
	}
	return w.expensiveQuantity(parts, old)
}

// mayHave reports whether the parts may have a quantity of a form. Unless all is true, it skips the parts of the spec that an update does
// not change: they have been admitted before.
func (ps Parts) mayHave(form func([]byte) bool, all bool) bool {
	for i := range ps {
		p := &ps[i]
		if p.id.mayHoldQuantities() && (all || !p.same || p.section == "status") && mayHold(p.value, form) {
			return true
		}
	}
	return false
}

// mayHoldQuantities reports whether a part may hold quantities. The long parts of a Node, and parts outside of spec and status, do not.
func (id partID) mayHoldQuantities() bool {
	switch id {
	case specTaints, specPodCIDR, specPodCIDRs, specProviderID,
		statusConditions, statusImages, statusAddresses, statusNodeInfo, statusVolumesInUse, statusVolumesAttached:
		return false
	}
	return id > metadataDeletionTimestamp
}

func expensive(text []byte) bool { return pattern.IsExpensiveNumber(text) }

// unusual reports whether a text begins like a number and is not plain.
func unusual(text []byte) bool {
	return len(text) > 0 && strings.IndexByte("0123456789+-. \\", text[0]) >= 0 && !pattern.IsPlainQuantity(string(text))
}

// mayHold reports whether JSON has a string or a number of a form. A string with an escape counts as one of any form, since an API server
// does not escape quantities.
func mayHold(value jsontext.Value, form func([]byte) bool) bool {
	for i := 0; i < len(value); {
		switch c := value[i]; {
		case c == '"':
			text, end := textAt(value, i+1)
			if len(text) > 0 && beginsNumber(text[0]) && (form(text) || bytes.IndexByte(text, '\\') >= 0) {
				return true
			}
			i = end
		case c == '-' || c >= '0' && c <= '9':
			end := i
			for end < len(value) && strings.IndexByte("0123456789+-.eE", value[end]) >= 0 {
				end++
			}
			if form(value[i:end]) {
				return true
			}
			i = end
		default:
			i++
		}
	}
	return false
}

func beginsNumber(c byte) bool {
	return c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.' || c == '\\' || c <= ' '
}

// textAt returns the text, without unescaping, of the string whose opening quote is before i, and the offset behind its closing quote.
func textAt(value jsontext.Value, i int) (text []byte, end int) {
	for end = i; end < len(value); {
		next := bytes.IndexByte(value[end:], '"')
		if next < 0 {
			break
		}
		end += next
		escapes := 0
		for end-escapes > i && value[end-escapes-1] == '\\' {
			escapes++
		}
		if end++; escapes%2 == 0 {
			return value[i : end-1], end
		}
	}
	return value[min(i, len(value)):], len(value)
}

// quantities returns the quantities of an object, or of a section of it, that are not plain. It returns false if a part is not well-formed.
func (ps Parts) quantities(known *Shape, section string) ([]foundQuantity, bool) {
	var found quantityFinder
	for i := range ps {
		p := &ps[i]
		if section != "" && p.section != section {
			continue
		}
		of, at := known, (*place)(nil)
		if p.section != "" {
			of, at = known.fields[p.section].shape, &place{name: p.section}
		}
		field, has := of.fields[p.name]
		if !has || !field.shape.hasQuantities() {
			continue
		}
		if found.value(NewDecoder(p.value), field.shape, at.child(p.name)) != nil {
			return nil, false
		}
	}
	return found, true
}

// quantityFinder collects quantities.
type quantityFinder []foundQuantity

func (f *quantityFinder) value(decoder *jsontext.Decoder, of *Shape, at *place) error {
	if of.quantity {
		value, err := decoder.ReadValue()
		if err != nil {
			return err
		}
		text, ok := pattern.TextOfQuantity(value)
		switch {
		case !ok:
			return pattern.ErrNoQuantity
		case text != "" && !pattern.IsPlainQuantity(text):
			*f = append(*f, foundQuantity{at.path(), text})
		}
		return nil
	}
	kind := decoder.PeekKind()
	if !of.hasQuantities() || !of.holds(kind) {
		return decoder.SkipValue()
	}
	if _, err := decoder.ReadToken(); err != nil {
		return err
	}
	for next := decoder.PeekKind(); next != jsontext.KindEndObject && next != jsontext.KindEndArray; next = decoder.PeekKind() {
		inner, step := of.element, place{parent: at, step: "[]"}
		if kind == jsontext.KindBeginObject {
			name, err := ReadName(decoder)
			if err != nil {
				return err
			}
			step = place{parent: at, step: ".", name: string(name)}
			if of.fields != nil {
				inner = of.fields[step.name].shape
			} else {
				step.step, step.name = "[", step.name+"]"
			}
		}
		if inner == nil {
			inner = &Shape{}
		}
		if err := f.value(decoder, inner, &step); err != nil {
			return err
		}
	}
	_, err := decoder.ReadToken()
	return err
}
