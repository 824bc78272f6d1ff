// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package learn

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"noderestriction.plus/api/v1alpha1"
)

var (
	errNotOne    = errors.New("must hold one " + v1alpha1.Kind + " and nothing else")
	errForAgents = errors.New("spec.subjects: only policies for kubelets are learned; kubectl nrp replay shows what a policy for node " +
		"agents would deny, and docs/node-agents-policies.md has ready ones")
	errAliases = errors.New("has aliases of anchors, which cannot be widened in one place: write them out")
)

// document is a policy as YAML, with its comments.
type document struct{ root *yaml.Node }

// newDocument reads a text that holds one policy, and removes its status, what the metadata has besides a name, and what was left for
// review.
func newDocument(text []byte) (*document, error) {
	var file yaml.Node
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	if len(file.Content) != 1 || file.Content[0].Kind != yaml.MappingNode || valueOf(file.Content[0], "spec") == nil {
		return nil, errNotOne
	}
	if hasAliases(&file) {
		return nil, errAliases
	}
	d := &document{file.Content[0]}
	forgetReview(&file)
	remove(d.root, "status")
	if metadata := valueOf(d.root, "metadata"); metadata != nil {
		for i := len(metadata.Content) - 2; i >= 0; i -= 2 {
			if name := metadata.Content[i].Value; name != "name" {
				remove(metadata, name)
			}
		}
	}
	return d, nil
}

func hasAliases(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || slices.ContainsFunc(n.Content, hasAliases)
}

// forgetReview removes what an earlier policy has left for review from the comments.
func forgetReview(n *yaml.Node) {
	for _, comment := range []*string{&n.HeadComment, &n.FootComment} {
		var kept []string
		for line := range strings.SplitSeq(*comment, "\n") {
			if !strings.Contains(line, "# "+reviewMark) && !strings.Contains(line, moreMark) {
				kept = append(kept, line)
				continue
			}
			for len(kept) > 0 && isPathOfReview(kept[len(kept)-1]) {
				kept = kept[:len(kept)-1]
			}
		}
		*comment = strings.TrimSpace(strings.Join(kept, "\n"))
	}
	for _, inner := range n.Content {
		forgetReview(inner)
	}
}

// isPathOfReview reports whether a line of a comment is the name of a field above what is left for review.
func isPathOfReview(line string) bool {
	name, is := strings.CutPrefix(line, "#  ")
	name, ends := strings.CutSuffix(strings.TrimSpace(name), ":")
	return is && ends && !strings.Contains(name, " ")
}

// valueOf returns the value of a key of an object, or nil.
func valueOf(object *yaml.Node, key string) *yaml.Node {
	if i := indexOf(object, key); i >= 0 {
		return object.Content[i+1]
	}
	return nil
}

// indexOf returns the place of a key in the content of an object, or -1.
func indexOf(object *yaml.Node, key string) int {
	for i := 0; object != nil && object.Kind == yaml.MappingNode && i+1 < len(object.Content); i += 2 {
		if object.Content[i].Value == key {
			return i
		}
	}
	return -1
}

func remove(object *yaml.Node, key string) {
	if i := indexOf(object, key); i >= 0 {
		object.Content = append(object.Content[:i], object.Content[i+2:]...)
	}
}

// open has the value of a key in block style, which can hold comments. A comment behind a value in flow style moves above it.
func open(key, value *yaml.Node) {
	value.Style &^= yaml.FlowStyle
	if value.LineComment != "" {
		if key.HeadComment != "" {
			key.HeadComment += "\n"
		}
		key.HeadComment += value.LineComment
		value.LineComment = ""
	}
}

// set sets the value of a key of an object in block style.
func set(object *yaml.Node, key string, value *yaml.Node) {
	if i := indexOf(object, key); i >= 0 {
		object.Content[i+1] = value
		return
	}
	object.Content = append(object.Content, scalar(key), value)
}

// scalar returns a text, quoted if it is not printable.
func scalar(text string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
	if strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' }) {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

// nodeOf returns the value that a policy has for an element.
func nodeOf(value any) *yaml.Node {
	switch v := value.(type) {
	case int64:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: fmt.Sprint(v)}
	case map[string]any:
		object := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
		for _, key := range []string{"key", "value", "effect", "name", "max"} {
			if inner, has := v[key]; has {
				object.Content = append(object.Content, scalar(key), nodeOf(inner))
			}
		}
		return object
	}
	return scalar(fmt.Sprint(value))
}

// lineOf writes a value in one line.
func lineOf(value *yaml.Node) (string, error) {
	out, err := yaml.Marshal(value)
	return strings.TrimSpace(string(out)), err
}

// add adds the lines of a field. Those for review become comments.
func (d *document) add(f *fieldSpec, learned, review []Line, comment func(*Line) string) error {
	names := strings.Split(f.path, ".")
	parents, name := names[:len(names)-1], names[len(names)-1]
	key, object := d.spec() // of the deepest object of the path that is there
	for i, parent := range parents {
		at := indexOf(object, parent)
		if at < 0 {
			if len(learned) == 0 {
				return leave(f, key, names[i:], review, comment)
			}
			open(key, object)
			set(object, parent, &yaml.Node{Kind: yaml.MappingNode})
			at = indexOf(object, parent)
		}
		open(key, object)
		key, object = object.Content[at], object.Content[at+1]
	}
	if indexOf(object, name) < 0 && len(learned) == 0 {
		return leave(f, key, names[len(names)-1:], review, comment)
	}
	open(key, object)
	return leave(f, d.insert(f, object, name, learned, comment), nil, review, comment)
}

// rename gives the policy another name.
func (d *document) rename(name string) {
	if indexOf(d.root, "metadata") < 0 {
		set(d.root, "metadata", &yaml.Node{Kind: yaml.MappingNode})
	}
	at := indexOf(d.root, "metadata")
	open(d.root.Content[at], d.root.Content[at+1])
	set(d.root.Content[at+1], "name", scalar(name))
}

// spec returns the spec with its key, in block style.
func (d *document) spec() (key, value *yaml.Node) {
	d.root.Style &^= yaml.FlowStyle
	at := indexOf(d.root, "spec")
	key, value = d.root.Content[at], d.root.Content[at+1]
	open(key, value)
	return key, value
}

// insert adds lines to the value of a key, and returns the node behind which further lines would be.
func (d *document) insert(f *fieldSpec, object *yaml.Node, name string, learned []Line, comment func(*Line) string) *yaml.Node {
	value := valueOf(object, name)
	switch f.shape {
	case list:
		if value == nil {
			value = &yaml.Node{Kind: yaml.SequenceNode}
			for _, item := range f.initial {
				value.Content = append(value.Content, nodeOf(item))
			}
			set(object, name, value)
		}
		open(object.Content[indexOf(object, name)], value)
		for i := range learned {
			item := nodeOf(f.of(learned[i].Element))
			item.LineComment = comment(&learned[i])
			value.Content = append(value.Content, item)
		}
		return value.Content[len(value.Content)-1]
	case bounds:
		if value == nil {
			value = &yaml.Node{Kind: yaml.MappingNode}
			set(object, name, value)
		}
		open(object.Content[indexOf(object, name)], value)
		for i := range learned {
			item := nodeOf(f.of(learned[i].Element))
			item.Style, item.LineComment = yaml.DoubleQuotedStyle, comment(&learned[i])
			set(value, learned[i].Key, item)
		}
		return value.Content[len(value.Content)-2]
	}
	for i := range learned {
		value = nodeOf(f.of(learned[i].Element))
		value.LineComment = comment(&learned[i])
		set(object, name, value)
	}
	return object.Content[indexOf(object, name)]
}

const (
	// maxReview is how many lines for review a field has in comments.
	maxReview = 32
	// reviewMark begins the comment of each of them, and moreMark ends the line that counts further ones.
	reviewMark = "REVIEW: "
	moreMark   = "more for review: -o json has them"
)

// leave puts lines for review into a comment behind a node, below the names that the policy does not have.
func leave(f *fieldSpec, behind *yaml.Node, names []string, review []Line, comment func(*Line) string) error {
	if len(review) == 0 {
		return nil
	}
	indent := ""
	var lines []string
	if behind.FootComment != "" {
		lines = append(lines, behind.FootComment)
	}
	for i, name := range names {
		indent += "  "
		if i < len(names)-1 || f.shape == list || f.shape == bounds {
			lines = append(lines, "# "+indent+name+":")
		}
	}
	for i := range review[:min(len(review), maxReview)] {
		text, err := lineOf(nodeOf(f.of(review[i].Element)))
		if err != nil {
			return err
		}
		switch f.shape {
		case list:
			text = "- " + text
		case bounds:
			text = "  " + review[i].Key + ": " + text
		default:
			text = f.path[strings.LastIndexByte(f.path, '.')+1:] + ": " + text
		}
		lines = append(lines, "# "+indent+text+" "+comment(&review[i]))
	}
	if more := len(review) - maxReview; more > 0 {
		lines = append(lines, fmt.Sprintf("# %sand %d %s", indent, more, moreMark))
	}
	behind.FootComment = strings.Join(lines, "\n")
	return nil
}

// encode writes the document behind a comment.
func (d *document) encode(head string) ([]byte, error) {
	d.root.HeadComment, d.root.Content[0].HeadComment = "", ""
	var out bytes.Buffer
	out.WriteString(head)
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	encoder.CompactSeqIndent()
	if err := encoder.Encode(d.root); err != nil {
		return nil, err
	}
	return out.Bytes(), encoder.Close()
}
