// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package pattern

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/internal/text"
)

// CheckLength returns an error for a list that is too long. Call it before reading the list.
func CheckLength(n, limit int, at *field.Path) field.ErrorList {
	if n > limit {
		return field.ErrorList{field.TooMany(at, n, limit)}
	}
	return nil
}

// CheckList is [CheckLength] for a list that a policy may omit, but must not leave empty: omitted is the only word for the default.
func CheckList[T any](list []T, limit int, at *field.Path) field.ErrorList {
	if list != nil && len(list) == 0 {
		return empty(at)
	}
	return CheckLength(len(list), limit, at)
}

// CheckMap is [CheckList] for a map.
func CheckMap[K comparable, V any](m map[K]V, limit int, at *field.Path) field.ErrorList {
	if m != nil && len(m) == 0 {
		return empty(at)
	}
	return CheckLength(len(m), limit, at)
}

func empty(at *field.Path) field.ErrorList {
	return field.ErrorList{field.Required(at, "must not be empty; omit the field for its default")}
}

// CheckEnum returns an error for a value that is not in a string enumeration. An empty value stands for the default.
func CheckEnum[T ~string](value T, at *field.Path, valid ...T) field.ErrorList {
	if value == "" || slices.Contains(valid, value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(at, T(text.Cut(string(value), text.MaxQuoted)), valid)}
}

// CheckTexts returns the errors of a list: it may have at most limit texts, each of 1 to length bytes and each once.
func CheckTexts(list []string, limit, length int, at *field.Path) field.ErrorList {
	if errs := CheckList(list, limit, at); errs != nil {
		return errs
	}
	var errs field.ErrorList
	seen := make(map[string]bool, len(list))
	for i, value := range list {
		switch {
		case value == "":
			errs = append(errs, field.Invalid(at.Index(i), value, "must not be empty"))
		case len(value) > length:
			errs = append(errs, field.TooLong(at.Index(i), "", length))
		case seen[value]:
			errs = append(errs, field.Duplicate(at.Index(i), text.Cut(value, text.MaxQuoted)))
		}
		seen[value] = true
	}
	return errs
}
