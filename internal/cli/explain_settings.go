// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"

	"noderestriction.plus/internal/apidoc"
	"noderestriction.plus/internal/command"
)

// sectionDoc documents the section of a policy that turns a rule on.
type sectionDoc struct {
	Omitted  string    `json:"omitted,omitempty"` // what it means to omit the section, or to leave it empty
	Settings []setting `json:"settings,omitempty"`
}

// setting is a field of the section.
type setting struct {
	Name    string `json:"name"` // below the section, such as registration.allowed
	Type    string `json:"type"`
	Text    string `json:"text"`
	Omitted string `json:"omitted,omitempty"` // what it means to omit it
}

// documentedSection returns what the CRD says about a section, such as spec.nodes.labels.
func documentedSection(path string) (sectionDoc, error) {
	reference, err := apidoc.Read()
	if err != nil {
		return sectionDoc{}, err
	}
	section := reference.Find(path)
	if section == nil {
		return sectionDoc{}, nil
	}
	doc := sectionDoc{Omitted: section.Omitted}
	for _, f := range section.Settings() {
		doc.Settings = append(doc.Settings, setting{f.Path, f.Type, f.Text, f.Omitted})
	}
	return doc, nil
}

// settingsText returns the settings as text for a terminal.
func (d sectionDoc) settingsText() string {
	var b strings.Builder
	for _, s := range d.Settings {
		b.WriteString(command.Wrap(s.Name+" ("+s.Type+")", "  ", textWidth))
		b.WriteString(command.Wrap(s.Text+" "+s.Omitted, "    ", textWidth))
	}
	return b.String()
}
