package policy

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// unknownFields finds the fields of an object that a Go type does not have: their paths, with [] for elements of lists and *
// for keys of maps, and their values. It returns an error if the object is not well-formed.
func unknownFields(object []byte, of reflect.Type) (map[string]string, error) {
	found := map[string]string{}
	if len(object) == 0 {
		return found, nil
	}
	var tree any
	if err := json.Unmarshal(object, &tree); err != nil {
		return nil, err
	}
	collectUnknown(tree, of, "", found)
	return found, nil
}

func collectUnknown(value any, of reflect.Type, path string, found map[string]string) {
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if reflect.PointerTo(of).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return // a quantity, a time: what is inside is one value
	}
	switch value := value.(type) {
	case []any:
		if of.Kind() == reflect.Slice {
			for _, element := range value {
				collectUnknown(element, of.Elem(), path+"[]", found)
			}
		}
	case map[string]any:
		switch of.Kind() {
		case reflect.Map:
			for _, element := range value {
				collectUnknown(element, of.Elem(), path+"[*]", found)
			}
		case reflect.Struct:
			for name, element := range value {
				child := strings.TrimPrefix(path+"."+name, ".")
				if field, known := jsonField(of, name); known {
					collectUnknown(element, field, child, found)
				} else {
					// All values at one path together: lists may be reordered.
					found[child] += fmt.Sprintf("%v;", element)
				}
			}
		}
	}
}

// jsonField returns the type of the field that has the name in JSON, also one of an embedded struct.
func jsonField(of reflect.Type, name string) (reflect.Type, bool) {
	for i := range of.NumField() {
		field := of.Field(i)
		tag, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if tag == name {
			return field.Type, true
		}
		if field.Anonymous && tag == "" && field.Type.Kind() == reflect.Struct {
			if inner, known := jsonField(field.Type, name); known {
				return inner, true
			}
		}
	}
	return nil, false
}

// unknownChanges has a violation for each unknown field that differs between the objects.
func unknownChanges(r *Request, of reflect.Type) []Violation {
	old, errOld := unknownFields(r.OldObject, of)
	updated, errUpdated := unknownFields(r.Object, of)
	if errOld != nil || errUpdated != nil {
		return []Violation{{Detail: "must be well-formed"}}
	}
	changes := compareKeys(old, updated)
	paths := slices.Concat(changes.added, changes.changed, changes.removed)
	slices.Sort(paths)
	return appendViolation(nil, "", "must not change unknown field", paths)
}
