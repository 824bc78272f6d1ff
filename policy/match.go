// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy/pattern"
)

// matcher is a compiled v1alpha1.Match. The zero matcher matches all kubelets.
type matcher struct {
	names    pattern.Patterns // empty: all names
	excluded pattern.Patterns
	selector labels.Selector // nil: all labels
}

func compileMatch(m *v1alpha1.Match, at *field.Path) (matcher, field.ErrorList) {
	var c matcher
	if m == nil {
		return c, nil
	}
	var errs, bad field.ErrorList
	c.names, bad = pattern.CompileAll(m.NodeNames, 256, at.Child("nodeNames"))
	errs = append(errs, bad...)
	c.excluded, bad = pattern.CompileAll(m.ExcludeNodeNames, 256, at.Child("excludeNodeNames"))
	errs = append(errs, bad...)
	if len(errs) == 0 {
		errs = checkSomeNode(m.NodeNames, at.Child("nodeNames"))
	}
	c.selector, bad = compileSelector(m.NodeSelector, at.Child("nodeSelector"))
	return c, append(errs, bad...)
}

// checkSomeNode refuses a list without a name that a Node can have: the policy would restrict nobody.
func checkSomeNode(list []v1alpha1.Pattern, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, p := range list {
		why := pattern.NodeNames().Unreachable(string(p))
		if why == "" {
			return nil // the others are warned of
		}
		errs = append(errs, field.Invalid(at.Index(i), text.Cut(string(p), text.MaxQuoted), strings.TrimPrefix(why, text.Quote(string(p))+" ")))
	}
	return errs
}

// warnOfMatch warns of names that no Node can have, and of exclusions that leave nobody.
func warnOfMatch(m *v1alpha1.Match, at *field.Path) []string {
	if m == nil {
		return nil
	}
	var warnings []string
	for _, names := range []struct {
		field string
		list  []v1alpha1.Pattern
	}{{"nodeNames", m.NodeNames}, {"excludeNodeNames", m.ExcludeNodeNames}} {
		for i, p := range names.list {
			if why := pattern.NodeNames().Unreachable(string(p)); why != "" && len(warnings) < MaxWarnings {
				warnings = append(warnings, fmt.Sprintf("%s: %s", at.Child(names.field).Index(i), why))
			}
		}
	}
	excluded, errs := pattern.CompileAll(m.ExcludeNodeNames, len(m.ExcludeNodeNames), at)
	named := m.NodeNames
	if len(named) == 0 {
		named = []v1alpha1.Pattern{"*"}
	}
	if len(errs) == 0 && !slices.ContainsFunc(named, func(p v1alpha1.Pattern) bool { return !excluded.Covers(p) }) {
		warnings = append(warnings, at.Child("excludeNodeNames").String()+": excludes every node, so this policy restricts nobody")
	}
	return warnings
}

// The bounds of a selector, which are also in the schema.
const (
	maxRequirements     = 32 // of labels, and of expressions
	maxExpressionValues = 64 // of each expression
)

// compileSelector compiles a selector. Nil matches all labels.
func compileSelector(source *metav1.LabelSelector, at *field.Path) (labels.Selector, field.ErrorList) {
	if source == nil {
		return nil, nil
	}
	errs := pattern.CheckLength(len(source.MatchLabels), maxRequirements, at.Child("matchLabels"))
	errs = append(errs, pattern.CheckLength(len(source.MatchExpressions), maxRequirements, at.Child("matchExpressions"))...)
	if len(errs) > 0 {
		return nil, errs
	}
	for i := range source.MatchExpressions {
		values := at.Child("matchExpressions").Index(i).Child("values")
		errs = append(errs, pattern.CheckLength(len(source.MatchExpressions[i].Values), maxExpressionValues, values)...)
	}
	if len(errs) > 0 {
		return nil, errs
	}
	for _, err := range metav1validation.ValidateLabelSelector(source, metav1validation.LabelSelectorValidationOptions{}, at) {
		if err.Type == field.ErrorTypeInvalid {
			err.BadValue = text.Cut(fmt.Sprint(err.BadValue), text.MaxQuoted)
		}
		err.Detail = text.Cut(err.Detail, maxMessage)
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return nil, errs
	}
	selector, err := metav1.LabelSelectorAsSelector(source)
	if err != nil {
		return nil, field.ErrorList{field.Invalid(at, "", text.Cut(err.Error(), maxMessage))}
	}
	return selector, nil
}

// matchName reports whether the policy may restrict a kubelet, by its name alone.
func (m *matcher) matchName(node string) bool {
	return (len(m.names) == 0 || m.names.Match(node)) && !m.excluded.Match(node)
}

// matchLabels reports whether the selector matches the labels of the kubelet's Node: the stored one, or at registration the written one.
// A Node that does not exist has no labels. It returns an error if the Node could not be looked up.
func (m *matcher) matchLabels(r *Request) (bool, error) {
	if m.selector == nil {
		return true, nil
	}
	set, err := nodeLabelsOf(r)
	return err == nil && m.selector.Matches(labels.Set(set)), err
}

// nodeLabelsOf returns the labels of the kubelet's own Node. A write of that Node has them; for other writes they are looked up.
func nodeLabelsOf(r *Request) (map[string]string, error) {
	if r.Resource == "nodes" && r.WrittenNode() == r.NodeName {
		switch node := r.Node(); {
		case node.IsStored():
			return node.Labels().Old(), nil
		case node.IsWritten():
			return node.Labels().New(), nil
		}
	}
	node, found, err := r.LookUpNode(r.NodeName)
	if err != nil || !found {
		return nil, err
	}
	return node.Labels, nil
}
