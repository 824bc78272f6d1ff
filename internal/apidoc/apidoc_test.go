// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package apidoc_test

import (
	"strings"
	"testing"

	"noderestriction.plus/internal/apidoc"
	"noderestriction.plus/policy/rules"
)

func read(t *testing.T) *apidoc.Reference {
	t.Helper()
	reference, err := apidoc.Read()
	if err != nil {
		t.Fatal(err)
	}
	return reference
}

// TestEverySettingIsDocumented checks that each setting of a rule's section has a text and, unless it must be set in an element of a
// list, says what it means to omit it. A test of the rules checks their sections.
func TestEverySettingIsDocumented(t *testing.T) {
	reference := read(t)
	for _, rule := range rules.All() {
		section := reference.Find(rule.Doc.Spec)
		if section == nil {
			t.Fatalf("rule %s: the CRD has no %s", rule.ID, rule.Doc.Spec)
		}
		for _, s := range section.Settings() {
			if s.Text == "" || s.Omitted == "" && !strings.Contains(s.Path, "[]") {
				t.Errorf("%s.%s: the text is %q, and on omission %q", section.Path, s.Path, s.Text, s.Omitted)
			}
		}
	}
}

func TestTypesOfFields(t *testing.T) {
	reference := read(t)
	for path, want := range map[string]string{
		"spec.nodes.labels.registration.allowed": "list of KeyValuePattern, at most 128",
		"spec.nodes.labels.update.additions":     "one of Any, CSI, Listed",
		"spec.nodes.annotations.maxTotalBytes":   "integer from 1024 to 262144",
		"spec.nodes.capacity.max":                "map to Quantity",
		"spec.nodes.taints.allowed[].effect":     "one of NoSchedule, PreferNoSchedule, NoExecute",
		"spec.nodes":                             "object",
	} {
		switch f := reference.Find(path); {
		case f == nil:
			t.Errorf("%s is not found", path)
		case f.Type != want:
			t.Errorf("%s is %q, want %q", path, f.Type, want)
		}
	}
	for _, path := range []string{"spec.node", "spec.nodes.labelsX", "spec.nodes.labels.", "metadata.name"} {
		if f := reference.Find(path); f != nil {
			t.Errorf("%q is found: %+v", path, f)
		}
	}
}

// TestSettingsAreBelowTheirSection checks that objects are not settings, and that fields in elements of lists are.
func TestSettingsAreBelowTheirSection(t *testing.T) {
	reference := read(t)
	for path, want := range map[string]string{
		"spec.nodes.labels": "registration.allowed registration.denied registration.required update.additions update.allowed update.fixed",
		"spec.nodes.taints": "allowed allowed[].effect allowed[].key allowed[].value removable removable[].effect removable[].key " +
			"removable[].value required required[].effect required[].key required[].value",
		"spec.nodes.self": "",
	} {
		var names []string
		for _, s := range reference.Find(path).Settings() {
			names = append(names, s.Path)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s has the settings %q, want %q", path, got, want)
		}
	}
}

func TestTypesAreDocumented(t *testing.T) {
	for _, kind := range read(t).Types {
		if !strings.HasPrefix(kind.Text, kind.Name+" ") || !strings.HasSuffix(kind.Text, ".") {
			t.Errorf("%s: %q", kind.Name, kind.Text)
		}
	}
}
