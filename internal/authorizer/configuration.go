// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package authorizer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/text"
)

const (
	configurationKind = "AuthorizationConfiguration"
	groupPrefix       = "apiserver.config.k8s.io/"
	versionV1         = groupPrefix + "v1"
	versionV1beta1    = groupPrefix + "v1beta1"

	typeNode    = "Node"
	typeWebhook = "Webhook"

	// maxConfiguration is the size of the largest file that is read, in bytes.
	maxConfiguration = 4 << 20
)

// Configuration is an AuthorizationConfiguration, as far as the order of its authorizers matters.
type Configuration struct {
	APIVersion  string
	Authorizers []Authorizer

	root, list *yaml.Node
}

// Authorizer is an element of the list of authorizers.
type Authorizer struct {
	Type    string   `yaml:"type"`
	Name    string   `yaml:"name"`
	Webhook *Webhook `yaml:"webhook"`
}

// Webhook has the fields of a webhook that decide what it denies.
type Webhook struct {
	FailurePolicy   string `yaml:"failurePolicy"`
	ReviewVersion   string `yaml:"matchConditionSubjectAccessReviewVersion"`
	MatchConditions []struct {
		Expression string `yaml:"expression"`
	} `yaml:"matchConditions"`
	ConnectionInfo struct {
		Type           string `yaml:"type"`
		KubeConfigFile string `yaml:"kubeConfigFile"`
	} `yaml:"connectionInfo"`
}

// parseConfiguration parses a file of one document.
func parseConfiguration(data []byte) (*Configuration, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	if err := decoder.Decode(&document); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the file is empty")
		}
		return nil, err
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.Join(errors.New("the file has more than one document"), err)
	}
	c := &Configuration{root: document.Content[0]}
	var head struct {
		APIVersion  string    `yaml:"apiVersion"`
		Kind        string    `yaml:"kind"`
		Authorizers yaml.Node `yaml:"authorizers"`
	}
	if err := c.root.Decode(&head); err != nil {
		return nil, err
	}
	if head.Kind != configurationKind || !strings.HasPrefix(head.APIVersion, groupPrefix) {
		return nil, fmt.Errorf("%s of %s is not an %s of %s",
			text.Quote(head.Kind), text.Quote(head.APIVersion), configurationKind, versionV1)
	}
	c.APIVersion = head.APIVersion
	if c.list = find(c.root, "authorizers"); c.list == nil || c.list.Kind != yaml.SequenceNode || len(c.list.Content) == 0 {
		return nil, errors.New("authorizers: must be a list with at least one element")
	}
	for i, node := range c.list.Content {
		var a Authorizer
		if node.Kind != yaml.MappingNode {
			return nil, fmt.Errorf("authorizers[%d]: must be a mapping", i)
		}
		if err := node.Decode(&a); err != nil {
			return nil, fmt.Errorf("authorizers[%d]: %w", i, err)
		}
		c.Authorizers = append(c.Authorizers, a)
	}
	return c, nil
}

// find returns the value of a key of a mapping, or nil.
func find(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}

// content returns everything that the file says.
func (c *Configuration) content() map[string]any {
	content := map[string]any{}
	if err := c.root.Decode(&content); err != nil {
		return nil
	}
	return content
}

// index returns the position of the authorizer with a name, or -1.
func (c *Configuration) index(name string) int {
	return slices.IndexFunc(c.Authorizers, func(a Authorizer) bool { return a.Name == name })
}

// indexOfType returns the position of the first authorizer of a type, or -1.
func (c *Configuration) indexOfType(kind string) int {
	return slices.IndexFunc(c.Authorizers, func(a Authorizer) bool { return a.Type == kind })
}

// check returns an error for what an API server refuses in the list, and for an order in which the entry could not deny, or would deny
// kubelets what they need.
func (c *Configuration) check() error {
	var errs []error
	fail := func(i int, format string, args ...any) {
		errs = append(errs, fmt.Errorf("authorizers[%d].%w", i, fmt.Errorf(format, args...)))
	}
	names := map[string]bool{}
	for i, a := range c.Authorizers {
		builtIn := slices.Contains([]string{"ABAC", "AlwaysAllow", "AlwaysDeny", typeNode, "RBAC"}, a.Type)
		switch {
		case a.Type != typeWebhook && !builtIn:
			fail(i, "type: %s is not known", text.Quote(a.Type))
		case builtIn && a.Name != strings.ToLower(a.Type):
			fail(i, "name: must be %s, the name of type %s, not %s", strings.ToLower(a.Type), a.Type, text.Quote(a.Name))
		case len(validation.IsDNS1123Subdomain(a.Name)) > 0:
			fail(i, "name: %s is not a DNS subdomain", text.Quote(a.Name))
		case names[a.Name]:
			fail(i, "name: %s occurs twice", text.Quote(a.Name))
		}
		names[a.Name] = true
	}
	node := c.indexOfType(typeNode)
	if node < 0 {
		errs = append(errs, errors.New("authorizers: Node is missing; behind it the entry would deny kubelets everything"))
	}
	for i, a := range c.Authorizers[:max(node, 0)] {
		if a.Type != typeWebhook {
			fail(i, "type: %s stands before Node, so that the entry cannot deny what it allows: put Node first", a.Type)
		}
	}
	return errors.Join(errs...)
}

// before returns the names of the webhooks before Node, except the entry: what they allow is not denied.
func (c *Configuration) before(entry string) []string {
	var names []string
	for _, a := range c.Authorizers[:max(c.indexOfType(typeNode), 0)] {
		if a.Name != entry {
			names = append(names, a.Name)
		}
	}
	return names
}

// Problems returns what is wrong with the entry in the configuration: where it stands, and what differs from the given one.
func (c *Configuration) Problems(e *Entry) []string {
	if err := c.check(); err != nil {
		return strings.Split(err.Error(), "\n")
	}
	var problems []string
	i := c.index(e.Name)
	if i < 0 || c.Authorizers[i].Webhook == nil {
		return []string{fmt.Sprintf("there is no webhook %s", text.Quote(e.Name))}
	}
	node := c.indexOfType(typeNode)
	if i < node {
		problems = append(problems, "the entry stands before Node: it denies kubelets everything")
	}
	for _, a := range c.Authorizers[node+1 : max(i, node+1)] {
		problems = append(problems, fmt.Sprintf("%s stands before the entry, which cannot deny what it allows", text.Quote(a.Name)))
	}
	for _, name := range c.before(e.Name) {
		problems = append(problems, fmt.Sprintf("webhook %s stands before Node, so that the entry cannot deny what it allows", text.Quote(name)))
	}
	w := c.Authorizers[i].Webhook
	if w.FailurePolicy != "Deny" {
		problems = append(problems, fmt.Sprintf("webhook.failurePolicy is %s, so that the entry denies nothing: it must be Deny",
			text.Quote(w.FailurePolicy)))
	}
	return append(problems, compareConditions(w, e.Conditions())...)
}

// shownCondition bounds a condition and makes it printable.
func shownCondition(condition string) string {
	const limit = 1024 // bytes
	return text.Printable(text.Cut(condition, limit))
}

func compareConditions(w *Webhook, want []string) []string {
	var got, problems []string
	for _, condition := range w.MatchConditions {
		got = append(got, condition.Expression)
	}
	for _, condition := range got {
		if !slices.Contains(want, condition) {
			problems = append(problems, "webhook.matchConditions has one that is not expected: "+shownCondition(condition))
		}
	}
	for _, condition := range want {
		if !slices.Contains(got, condition) {
			problems = append(problems, "webhook.matchConditions lacks: "+shownCondition(condition))
		}
	}
	return problems
}

// apiVersionFor returns the version of the file for API servers of a release; empty: of 1.32 and later ones.
func apiVersionFor(kubernetes string) (string, error) {
	minor, err := minorOf(kubernetes)
	switch {
	case err != nil:
		return "", err
	case kubernetes == "" || minor >= 32:
		return versionV1, nil
	case minor < 30:
		return "", command.Usagef("--kubernetes: API servers read an %s by default since 1.30", configurationKind)
	}
	return versionV1beta1, nil
}

// checkVersion checks that API servers of a release read a file of this version.
func (c *Configuration) checkVersion(kubernetes string) error {
	want, err := apiVersionFor(kubernetes)
	if err != nil || kubernetes == "" || c.APIVersion != versionV1 || want == versionV1 {
		return err
	}
	return command.Usagef("--kubernetes: API servers of %s read %s, and the file is of %s", kubernetes, want, c.APIVersion)
}
