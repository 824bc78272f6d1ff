// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package distribution adapts the policies recommended and strict to a distribution whose agents or static pods write with a kubelet's
// credential. The chart does the same in its templates.
package distribution

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Adapt returns a policy with a part of a distribution merged into its spec: objects are merged by key, null removes a key, and anything
// else is replaced. The part is recommended or strict, and may be absent. Comments of the distribution replace those of the policy; the
// policy is named name and begins with the comment at the head of the distribution.
func Adapt(policy, distribution []byte, part, name string) ([]byte, error) {
	into, err := root(policy)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	from, err := root(distribution)
	if err != nil {
		return nil, fmt.Errorf("distribution: %w", err)
	}
	for i := 0; i < len(from.Content); i += 2 {
		if key := from.Content[i]; key.Value != "recommended" && key.Value != "strict" {
			return nil, fmt.Errorf("distribution: line %d: unknown key %q", key.Line, key.Value)
		}
	}
	metadata, spec := value(into, "metadata"), value(into, "spec")
	if metadata == nil || value(metadata, "name") == nil || spec == nil {
		return nil, fmt.Errorf("policy: must have metadata.name and spec")
	}
	if changes := value(from, part); changes != nil {
		if err := merge(spec, changes); err != nil {
			return nil, fmt.Errorf("distribution: %w", err)
		}
	}
	value(metadata, "name").Value = name
	into.HeadComment, into.Content[0].HeadComment = "", ""
	var out bytes.Buffer
	out.WriteString(head(distribution))
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	encoder.CompactSeqIndent()
	if err := encoder.Encode(into); err != nil {
		return nil, err
	}
	return out.Bytes(), encoder.Close()
}

// root returns the object that a document consists of.
func root(data []byte) (*yaml.Node, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, err
	}
	if len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("must be an object")
	}
	return document.Content[0], nil
}

// head returns the lines of comment with which a text begins.
func head(data []byte) string {
	var lines strings.Builder
	for line := range strings.Lines(string(data)) {
		if !strings.HasPrefix(line, "#") {
			break
		}
		lines.WriteString(line)
	}
	return lines.String()
}

// value returns the value of a key of an object, or nil
func value(object *yaml.Node, key string) *yaml.Node {
	if i := index(object, key); i >= 0 {
		return object.Content[i+1]
	}
	return nil
}

// index returns the place of a key in the content of an object, or -1
func index(object *yaml.Node, key string) int {
	for i := 0; i+1 < len(object.Content); i += 2 {
		if object.Content[i].Value == key {
			return i
		}
	}
	return -1
}

func merge(into, from *yaml.Node) error {
	if from.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: must be an object", from.Line)
	}
	for i := 0; i+1 < len(from.Content); i += 2 {
		key, changed := from.Content[i], from.Content[i+1]
		at := index(into, key.Value)
		switch {
		case at < 0 && changed.Tag == "!!null":
			return fmt.Errorf("line %d: there is no %q to remove", key.Line, key.Value)
		case at < 0:
			into.Style = 0
			into.Content = append(into.Content, key, changed)
			continue
		case changed.Tag == "!!null":
			into.Content = append(into.Content[:at], into.Content[at+2:]...)
			continue
		}
		if key.HeadComment != "" {
			into.Content[at].HeadComment = key.HeadComment
		}
		if changed.Kind != yaml.MappingNode || into.Content[at+1].Kind != yaml.MappingNode {
			into.Content[at+1] = changed
			continue
		}
		if err := merge(into.Content[at+1], changed); err != nil {
			return err
		}
	}
	return nil
}
