// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// validate validates a list of rules, as go/analysis does with analyzers, so that an incomplete rule is an error at start.
func validate(rules []Rule) error {
	kebab := regexp.MustCompile("^[a-z0-9]+(-[a-z0-9]+)*$")
	seen := map[RuleID]bool{Unverified: true, WithoutNode: true}
	var errs []error
	for i := range rules {
		rule := &rules[i]
		if !kebab.MatchString(string(rule.ID)) {
			errs = append(errs, fmt.Errorf("rule %q: the ID must be in kebab-case", rule.ID))
		}
		if seen[rule.ID] {
			errs = append(errs, fmt.Errorf("rule %q is listed twice, or reserved", rule.ID))
		}
		seen[rule.ID] = true
		if err := rule.validate(); err != nil {
			errs = append(errs, fmt.Errorf("rule %q: %w", rule.ID, err))
		}
	}
	return errors.Join(errs...)
}

func (rule *Rule) validate() error {
	var errs []error
	doc := reflect.ValueOf(rule.Doc)
	for i := range doc.NumField() {
		if name := doc.Type().Field(i).Name; doc.Field(i).Len() == 0 {
			errs = append(errs, fmt.Errorf("field Doc.%s is empty", name))
		}
	}
	if strings.HasSuffix(rule.Doc.Title, ".") {
		errs = append(errs, errors.New("Doc.Title ends in a period"))
	}
	if !rule.ForKubelets() && !rule.Agents.Apply() {
		errs = append(errs, errors.New("there are no Targets"))
	}
	if rule.Agents.Apply() && rule.Agents.Why != "" {
		errs = append(errs, errors.New("Agents must not have both Targets and Why"))
	}
	for _, target := range slices.Concat(rule.Targets, rule.Agents.Targets) {
		if target.Resource == "" || len(target.Operations) == 0 {
			errs = append(errs, errors.New("a Target has no Resource or no Operations"))
		}
	}
	if rule.Compile == nil {
		errs = append(errs, errors.New("there is no Compile"))
	}
	errs = append(errs, rule.CEL.validate())
	return errors.Join(errs...)
}
