// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package authorizer

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"noderestriction.plus/internal/text"
)

// insert returns a configuration, parsed and checked, with the entry directly behind Node. An entry of the same name is replaced.
// Everything else stays as it is, with its comments, except that a file in flow style, such as JSON, is rewritten in block style.
func (e *Entry) insert(c *Configuration, data []byte) (string, error) {
	if i := c.index(e.Name); i >= 0 && c.Authorizers[i].Type != typeWebhook {
		return "", fmt.Errorf("authorizers[%d].name: %s is the name of %s; choose another one with --name",
			i, text.Quote(e.Name), c.Authorizers[i].Type)
	}
	src, err := c.block(data)
	if err != nil {
		return "", err
	}
	if src, err = e.edit(src); err != nil {
		return "", err
	}
	return src, e.verify(c, src)
}

// edit removes the entry from a text in block style, and inserts it behind Node.
func (e *Entry) edit(src string) (string, error) {
	lineEnd := "\n"
	if strings.Contains(src, "\r\n") {
		lineEnd = "\r\n"
	}
	if !strings.HasSuffix(src, "\n") {
		src += lineEnd
	}
	c, err := parseConfiguration([]byte(src))
	if err != nil {
		return "", err
	}
	lines := strings.SplitAfter(src, "\n")
	if i := c.index(e.Name); i >= 0 {
		from, to, _, err := c.extent(i, lines)
		if err != nil {
			return "", err
		}
		lines = slices.Delete(lines, from, to)
		if c, err = parseConfiguration([]byte(strings.Join(lines, ""))); err != nil {
			return "", err
		}
	}
	_, to, indent, err := c.extent(c.indexOfType(typeNode), lines)
	if err != nil {
		return "", err
	}
	var inserted []string
	for line := range strings.Lines(e.yaml()) {
		inserted = append(inserted, indent+strings.TrimSuffix(line, "\n")+lineEnd)
	}
	return strings.Join(slices.Insert(lines, to, inserted...), ""), nil
}

// extent returns the lines of an element of the list, the first one and the one behind the last, and the indentation of its dash.
func (c *Configuration) extent(i int, lines []string) (from, to int, indent string, err error) {
	node := c.list.Content[i]
	for from = node.Line - 1; from >= 0; from-- {
		rest := strings.TrimLeft(lines[from], " ")
		if n := len(lines[from]) - len(rest); strings.HasPrefix(rest, "-") && n < node.Column-1 {
			indent = lines[from][:n]
			break
		}
	}
	if from < 0 {
		return 0, 0, "", fmt.Errorf("authorizers[%d]: the element does not begin with a dash", i)
	}
	to = from + 1
	for next := to; next < len(lines); next++ { // what is indented more than the dash belongs to the element
		rest := strings.TrimLeft(lines[next], " ")
		if strings.TrimSpace(rest) == "" {
			continue
		}
		if len(lines[next])-len(rest) <= len(indent) {
			break
		}
		to = next + 1
	}
	return from, to, indent, nil
}

// block returns a configuration in which the list of authorizers is in block style.
func (c *Configuration) block(data []byte) (string, error) {
	if c.list.Style&yaml.FlowStyle == 0 {
		return string(data), nil
	}
	for _, node := range []*yaml.Node{c.root, c.list} {
		node.Style &^= yaml.FlowStyle
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(c.root), encoder.Close()); err != nil {
		return "", err
	}
	return out.String(), nil
}

// verify returns an error unless the text is the configuration with the entry directly behind Node, and nothing else has changed.
func (e *Entry) verify(before *Configuration, src string) error {
	after, err := parseConfiguration([]byte(src))
	if err != nil {
		return fmt.Errorf("the file cannot be edited: %w", err)
	}
	i := after.index(e.Name)
	var want any
	if err := yaml.Unmarshal([]byte(e.yaml()), &want); err != nil {
		return err
	}
	others := func(c *Configuration) any {
		content := c.content()
		list, _ := content["authorizers"].([]any)
		content["authorizers"] = slices.DeleteFunc(list, func(v any) bool {
			m, ok := v.(map[string]any)
			return ok && m["name"] == e.Name
		})
		return content
	}
	list, _ := after.content()["authorizers"].([]any)
	if i < 1 || after.Authorizers[i-1].Type != typeNode || !reflect.DeepEqual(list[i:i+1], want) ||
		!reflect.DeepEqual(others(before), others(after)) {
		return errors.New(`the file cannot be edited: write authorizers as a list of mappings in block style, each after "- "`)
	}
	return nil
}
