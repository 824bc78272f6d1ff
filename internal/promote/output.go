// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package promote

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/api/equality"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/manifest"
)

// annotation is the annotation of a promoted policy: why it was promoted, as JSON.
const annotation = v1alpha1.GroupName + "/promoted"

// lastApplied is the annotation in which kubectl apply keeps what was applied. It would have the old actions.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// proof is the content of the annotation.
type proof struct {
	Time       string            `json:"time"`
	Generation int64             `json:"generation"` // of the policy that the evidence is about
	Window     string            `json:"window"`
	Since      string            `json:"since,omitempty"`
	Counts     map[string]uint64 `json:"counts"`    // of what was read
	Evaluated  map[string]int64  `json:"evaluated"` // writes, by kind
	Accepted   []string          `json:"acceptedUnexercised,omitempty"`
	Forced     string            `json:"forced,omitempty"` // the reason of --force
	Failed     []string          `json:"failedGates,omitempty"`
	Evidence   []digest          `json:"evidence"`
}

// promoted returns the policy of the file as YAML, with its comments, other actions and the proof, and without what the API server sets.
func (f *file) promoted(actions []string, p *proof) ([]byte, error) {
	why, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	document, root, err := f.nodes()
	if err != nil {
		return nil, err
	}
	if aliases(root) {
		return nil, errors.New("a policy with aliases cannot be printed: write out what they stand for")
	}
	remove(root, "status")
	meta := member(root, "metadata")
	for _, field := range []string{"creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"} {
		remove(meta, field)
	}
	annotations := member(meta, "annotations")
	if annotations == nil || annotations.Kind != yaml.MappingNode || len(annotations.Content) == 0 {
		remove(meta, "annotations")
		annotations = &yaml.Node{Kind: yaml.MappingNode}
		meta.Content = append(meta.Content, scalar("annotations"), annotations)
	}
	remove(annotations, lastApplied)
	remove(annotations, annotation)
	value := scalar(string(why))
	annotations.Style = 0
	annotations.Content = append(annotations.Content, scalar(annotation), value)
	meta.Style = 0 // a block, because the annotation is long
	if root.Style&yaml.FlowStyle != 0 {
		unfold(root) // it was JSON
	}
	setActions(member(root, "spec"), actions)

	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	encoder.CompactSeqIndent()
	if document.Content[0] == root {
		root = document // with the comments before and after it
	}
	if err := errors.Join(encoder.Encode(root), encoder.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), f.check(out.Bytes(), actions)
}

// nodes returns the document with the policy, and the policy in it.
func (f *file) nodes() (document, root *yaml.Node, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(f.text))
	for {
		document = &yaml.Node{}
		if err := decoder.Decode(document); err != nil {
			return nil, nil, err // it has a policy, so this is not the end
		}
		if root := policyIn(document); root != nil {
			return document, root, nil
		}
	}
}

// check reads what will be printed, and compares it with the policy that was read.
func (f *file) check(out []byte, actions []string) error {
	read := manifest.Read(bytes.NewReader(out), nil)
	if err := read.Err(); err != nil {
		return fmt.Errorf("the promoted policy is not valid: %w", err)
	}
	want, got := f.policy.Object.Spec.DeepCopy(), &read.Policies[0].Object.Spec
	want.ValidationActions = nil
	for _, action := range actions {
		want.ValidationActions = append(want.ValidationActions, v1alpha1.ValidationAction(action))
	}
	if !equality.Semantic.DeepEqual(want, got) {
		return errors.New("the promoted policy differs from the policy in more than its actions")
	}
	return nil
}

// policyIn returns the mapping of the policy in a document, which may be a list, or nil.
func policyIn(n *yaml.Node) *yaml.Node {
	switch n.Kind {
	case yaml.MappingNode:
		if kind := member(n, "kind"); kind != nil && kind.Value == v1alpha1.Kind {
			return n
		}
		if items := member(n, "items"); items != nil {
			return policyIn(items)
		}
	case yaml.DocumentNode, yaml.SequenceNode:
		for _, item := range n.Content {
			if found := policyIn(item); found != nil {
				return found
			}
		}
	case yaml.ScalarNode, yaml.AliasNode:
	}
	return nil
}

// aliases reports whether a node has aliases, whose anchors may be elsewhere.
func aliases(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || slices.ContainsFunc(n.Content, aliases)
}

// unfold gives a node, and everything in it, the plain style.
func unfold(n *yaml.Node) {
	n.Style = 0
	for _, child := range n.Content {
		unfold(child)
	}
}

func scalar(value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
}

// member returns the value of a key in a mapping, or nil.
func member(mapping *yaml.Node, key string) *yaml.Node {
	if i := position(mapping, key); i >= 0 {
		return mapping.Content[i+1]
	}
	return nil
}

func remove(mapping *yaml.Node, key string) {
	if i := position(mapping, key); i >= 0 {
		mapping.Content = slices.Delete(mapping.Content, i, i+2)
	}
}

// position returns where a mapping has a key, or -1.
func position(mapping *yaml.Node, key string) int {
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return -1
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return i
		}
	}
	return -1
}

// setActions replaces the actions of a spec in place, so that the comment of the field stays.
func setActions(spec *yaml.Node, actions []string) {
	list := member(spec, "validationActions")
	list.Kind, list.Style, list.Content = yaml.SequenceNode, yaml.FlowStyle, nil
	for _, action := range actions {
		list.Content = append(list.Content, scalar(action))
	}
}
