// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"fmt"
	"strings"
	"unicode"

	"noderestriction.plus/internal/apidoc"
)

const apiHead = `<!-- Generated from the CRD by make generate. -->

# API reference

The CRD defines one cluster-scoped kind, NodeRestrictionPolicy (` + "`nrp`" + `), of the API version ` + "`noderestriction.plus/v1alpha1`" +
	`. %s

` + "`kubectl explain nrp.spec`" + ` shows the same in a terminal. [Rules](rules.md) has an example for each section.
`

// API renders docs/api.md: every field of a policy.
func API(reference *apidoc.Reference) string {
	p := &apiPage{types: map[string]bool{}}
	for _, t := range reference.Types {
		p.types[t.Name] = true
	}
	fmt.Fprintf(&p.b, apiHead, reference.Root.Text)
	for _, path := range []string{"spec", "status"} {
		if f := reference.Find(path); f != nil {
			p.section(f)
		}
	}
	p.b.WriteString("\n## Types\n")
	for _, t := range reference.Types {
		fmt.Fprintf(&p.b, "\n### %s\n\n%s\n", t.Name, t.Text)
	}
	return p.b.String()
}

type apiPage struct {
	b     strings.Builder
	types map[string]bool // that have a heading
}

// section writes a field that has fields, and those below it.
func (p *apiPage) section(f *apidoc.Field) {
	fmt.Fprintf(&p.b, "\n## %s\n\n%s\n\n| field | type | meaning |\n|---|---|---|\n",
		f.Path, strings.TrimSpace(f.Text+" "+f.Omitted))
	for _, child := range f.Fields {
		name := "`" + child.Path[strings.LastIndex(child.Path, ".")+1:] + "`"
		if len(child.Fields) > 0 {
			name = fmt.Sprintf("[%s](#%s)", name, anchor(child.Path))
		}
		fmt.Fprintf(&p.b, "| %s | %s | %s |\n", name, p.linked(child.Type), cell(strings.TrimSpace(child.Text+" "+child.Omitted)))
	}
	for _, child := range f.Fields {
		if len(child.Fields) > 0 {
			p.section(child)
		}
	}
}

// anchor is the anchor that GitHub makes of a heading with the path of a field.
func anchor(path string) string {
	return strings.Map(func(r rune) rune {
		if r == '.' || r == '[' || r == ']' {
			return -1
		}
		return unicode.ToLower(r)
	}, path)
}

// linked links the type of elements to its heading.
func (p *apiPage) linked(kind string) string {
	words := strings.Split(kind, " ")
	for i, word := range words {
		if name := strings.TrimSuffix(word, ","); p.types[name] {
			words[i] = fmt.Sprintf("[%s](#%s)", name, strings.ToLower(name)) + word[len(name):]
		}
	}
	return cell(strings.Join(words, " "))
}
