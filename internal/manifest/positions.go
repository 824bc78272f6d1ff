// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"

	"noderestriction.plus/internal/text"
)

// maxPositions is how many fields of a document have a position. Problems in the others are at the field above them.
const maxPositions = 100_000

// position is where a field stands in a stream.
type position struct{ line, column int } // from 1

// positions maps the fields of a document to where they stand. Keys are paths such as .spec.match.nodeNames[0].
type positions struct {
	of         map[string]position
	duplicates []duplicate
	aliases    int  // that were followed
	specOnly   bool // the document is the spec of a policy
}

// duplicate is a field that an object has twice.
type duplicate struct {
	path string // such as .spec.match
	at   position
}

// positionsOf finds the fields of a document, which may be JSON. If the text is not well-formed it finds none.
func positionsOf(doc *Document, isJSON bool) *positions {
	p := &positions{of: map[string]position{"": {doc.Line, doc.Column}}}
	if isJSON {
		p.addJSON(doc)
		return p
	}
	var root yaml.Node
	if err := yaml.Unmarshal(doc.Text, &root); err == nil && len(root.Content) == 1 {
		p.addNode(root.Content[0], "", doc)
	}
	return p
}

// find returns the position of a field, or of the one above it that has one. below is the path of the object in its document.
func (p *positions) find(below, path string) position {
	if p.specOnly {
		path = strings.TrimPrefix(strings.TrimPrefix(path, "spec"), ".")
	}
	path = below + "." + path
	path = strings.TrimSuffix(canonical(path), ".")
	for {
		if at, found := p.of[path]; found {
			return at
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
}

// canonical writes the key of a map like the name of a field: max[cpu] becomes max.cpu.
func canonical(path string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(path, "[")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		key, after, closed := strings.Cut(rest, "]")
		if !closed {
			b.WriteString("[" + rest)
			return b.String()
		}
		if strings.Trim(key, "0123456789") == "" {
			b.WriteString("[" + key + "]")
		} else {
			b.WriteString("." + key)
		}
		path = after
	}
}

// add keeps a position, and reports whether there is room for more.
func (p *positions) add(path string, at position) bool {
	if _, twice := p.of[path]; twice {
		if len(p.duplicates) < maxProblems {
			p.duplicates = append(p.duplicates, duplicate{path, at})
		}
		return false
	}
	if len(p.of) == maxPositions {
		return false
	}
	p.of[path] = at
	return true
}

// maxAliases is how many aliases are followed in a document.
const maxAliases = 100

// addNode adds the fields below a node of a document. A node counts lines and columns from the beginning of the document.
func (p *positions) addNode(node *yaml.Node, path string, doc *Document) {
	at := func(node *yaml.Node) position {
		if node.Line == 1 {
			return position{doc.Line, doc.Column + node.Column - 1}
		}
		return position{doc.Line + node.Line - 1, node.Column}
	}
	switch node.Kind {
	case yaml.AliasNode:
		if p.aliases++; p.aliases <= maxAliases {
			p.addNode(node.Alias, path, doc)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			key := node.Content[i]
			child := path + "." + text.Cut(key.Value, 2*text.MaxQuoted)
			if p.add(child, at(key)) {
				p.addNode(node.Content[i+1], child, doc)
			}
		}
	case yaml.SequenceNode:
		for i, item := range node.Content {
			child := fmt.Sprintf("%s[%d]", path, i)
			if p.add(child, at(item)) {
				p.addNode(item, child, doc)
			}
		}
	}
}

// addJSON adds the fields of a document in JSON.
func (p *positions) addJSON(doc *Document) {
	decoder := jsontext.NewDecoder(bytes.NewReader(doc.Text), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	cursor := cursor{text: doc.Text, line: doc.Line, column: doc.Column}
	var stack []string // paths of the objects and lists around
	path := ""
	for {
		kind, index := decoder.StackIndex(decoder.StackDepth())
		token, err := decoder.ReadToken()
		if err != nil {
			return
		}
		at := cursor.to(int(decoder.InputOffset()))
		switch closes := token.Kind() == '}' || token.Kind() == ']'; {
		case closes:
			path, stack = stack[len(stack)-1], stack[:len(stack)-1]
			continue
		case kind == '{' && index%2 == 0: // a name
			path = stack[len(stack)-1] + "." + text.Cut(token.String(), 2*text.MaxQuoted)
			p.add(path, at)
			continue
		case kind == '[':
			path = fmt.Sprintf("%s[%d]", stack[len(stack)-1], index)
			p.add(path, at)
		}
		if token.Kind() == '{' || token.Kind() == '[' {
			stack = append(stack, path)
		}
	}
}

// cursor counts the lines and columns of a text.
type cursor struct {
	text         []byte
	offset       int
	line, column int
}

// to moves to the end of a token and returns where the token begins.
func (c *cursor) to(end int) position {
	passed := c.text[c.offset:end]
	c.skip(len(passed) - len(bytes.TrimLeft(passed, " \t\r\n,:")))
	at := position{c.line, c.column}
	c.skip(end - c.offset)
	return at
}

func (c *cursor) skip(n int) {
	passed := c.text[c.offset : c.offset+n]
	c.line += bytes.Count(passed, []byte("\n"))
	if last := bytes.LastIndexByte(passed, '\n'); last >= 0 {
		c.column = len(passed) - last
	} else {
		c.column += len(passed)
	}
	c.offset += n
}
