package policy

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// checkLength is asked before anything else is done with a list: a list that is too long is not looked at.
func checkLength(n, limit int, at *field.Path) field.ErrorList {
	if n > limit {
		return field.ErrorList{field.TooMany(at, n, limit)}
	}
	return nil
}

// checkEnum checks a value of a string enumeration; empty stands for the default.
func checkEnum[T ~string](value T, at *field.Path, valid ...T) field.ErrorList {
	if value == "" || slices.Contains(valid, value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(at, T(cut(string(value), maxQuoted)), valid)}
}

// checkTexts checks a list of at most limit texts, each of 1 to length bytes and none twice.
func checkTexts(list []string, limit, length int, at *field.Path) field.ErrorList {
	if errs := checkLength(len(list), limit, at); errs != nil {
		return errs
	}
	var errs field.ErrorList
	seen := make(map[string]bool, len(list))
	for i, text := range list {
		switch {
		case text == "":
			errs = append(errs, field.Invalid(at.Index(i), text, "must not be empty"))
		case len(text) > length:
			errs = append(errs, field.TooLong(at.Index(i), "", length))
		case seen[text]:
			errs = append(errs, field.Duplicate(at.Index(i), cut(text, maxQuoted)))
		}
		seen[text] = true
	}
	return errs
}
