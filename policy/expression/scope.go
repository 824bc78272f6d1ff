// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"strings"
)

// Expression says when a kind of write violates a rule. It has either Violates or Names.
type Expression struct {
	Field   string // the path of the field, such as metadata.labels
	Message string // what the write must or must not do, such as: must not change
	// Violates is true if the write violates the rule, and otherwise false.
	Violates string
	// Names is a list of texts: what violates the rule. It is empty if the write does not violate the rule.
	Names string
}

// Variable is a value that expressions share.
type Variable struct{ Name, Expression string }

// The operations of writes.
const (
	Create = "CREATE"
	Update = "UPDATE"
	Delete = "DELETE"
)

// Scope is a kind of write in which expressions are evaluated. It keeps the variables that they use.
type Scope struct {
	Resource, Subresource string
	Operation             string // one of [Create], [Update] and [Delete]
	// Agents is for writes by node agents instead of kubelets.
	Agents bool
	// Inline is for expressions of match conditions, which have no variables: [Scope.Bind] binds those that they use.
	Inline bool
	// BeyondPasses lets a list or map beyond its bound pass. By default it violates the rule.
	BeyondPasses bool

	variables []Variable
	known     map[string]bool
	fields    map[string]field // by the name of their variable
	beyond    []string         // comparisons of sizes with bounds
}

// field is a part of the new or of the stored object that a variable has.
type field struct {
	path string
	old  bool
}

// Variables returns the variables in the order of their first use.
func (s *Scope) Variables() []Variable { return s.variables }

// Define adds a variable, unless the scope has one of the name, and returns its name in expressions.
func (s *Scope) Define(name, expression string) string {
	if s.known == nil {
		s.known = map[string]bool{}
	}
	if !s.known[name] {
		s.known[name] = true
		s.variables = append(s.variables, Variable{name, expression})
	}
	if s.Inline {
		return bound(name)
	}
	return "variables." + name
}

// New returns a field of the new object, or a default where it is missing. A deletion has no new object.
func (s *Scope) New(path, missing string) string {
	if s.Operation == Delete {
		return missing
	}
	return s.field("new", "object", path, missing)
}

// Old returns a field of the stored object, or a default where it is missing. A creation has no stored object.
func (s *Scope) Old(path, missing string) string {
	if s.Operation == Create {
		return missing
	}
	return s.field("old", "oldObject", path, missing)
}

func (s *Scope) field(which, object, path, missing string) string {
	name := which + camel(path)
	if s.fields == nil {
		s.fields = map[string]field{}
	}
	s.fields[name] = field{path, which == "old"}
	return s.Define(name, optional(object, path)+".orValue("+missing+")")
}

// Both returns a field of the stored and of the new object.
func (s *Scope) Both(path, missing string) (old, updated string) {
	return s.Old(path, missing), s.New(path, missing)
}

// Name returns the name of the written object in the request. It may be empty.
func (s *Scope) Name() string { return s.Define("name", "request.?name.orValue('')") }

// Namespace returns the namespace of the request. It may be empty.
func (s *Scope) Namespace() string {
	return s.Define("requestNamespace", "request.?namespace.orValue('')")
}

// UserPrefix begins the user name of every kubelet. The name of its node follows.
const UserPrefix = "system:node:"

// The names in the user of a node agent.
const (
	// ServiceAccountPrefix begins the user name of every service account. Its namespace, a colon and its name follow.
	ServiceAccountPrefix = "system:serviceaccount:"
	// NodeNameExtra is the key of the extra of a user that names the node to which a service account token is bound.
	NodeNameExtra = "authentication.kubernetes.io/node-name"
)

// NodeName returns the name of the kubelet's node. It is for users whose name begins with [UserPrefix]. In a scope for node agents it is
// the name of the agent's node, and empty if the agent's credential names no node or more than one.
func (s *Scope) NodeName() string {
	if s.Agents {
		return s.Define("node", AgentNode())
	}
	return s.Define("node", "request.userInfo.username.substring("+number(len(UserPrefix))+")")
}

// AgentNode is the name of the node of a node agent, in CEL, and empty if its credential names no node or more than one. A service account
// has it in its extra, and another user behind the last colon of its name.
func AgentNode() string {
	const user = "request.userInfo.?username.orValue('')"
	names := "request.userInfo.?extra[?" + Quote(NodeNameExtra) + "].orValue([])"
	node := If(user+".startsWith("+Quote(ServiceAccountPrefix)+")",
		"("+If("dyn("+names+") != null && size("+names+") == 1", names+"[0]", "''")+")",
		user+".substring("+user+".lastIndexOf(':') + 1)")
	return "[" + node + "].filter(n, size(n) <= " + number(MaxNodeName) + ").join('')"
}

// MaxNodeName is the length of the longest name of a Node, in bytes.
const MaxNodeName = 253

// HasNode says that a condition is true of a client whose credential names a node, as that of each kubelet does.
func (s *Scope) HasNode(condition string) string {
	if !s.Agents {
		return condition
	}
	return And(s.NodeName()+" != ''", condition)
}

// InNodesGroup says that the kubelet is in the group system:nodes.
func (s *Scope) InNodesGroup() string {
	return s.Define("inNodesGroup", "'system:nodes' in request.userInfo.?groups.orValue([])")
}

// bound is the name of a variable that [Scope.Bind] binds. No name that an iteration declares begins with an underscore.
func bound(name string) string { return "_" + name }

func optional(object, path string) string {
	return object + ".?" + strings.ReplaceAll(path, ".", ".?")
}

// Elements returns the list at a path below a value: an empty one if it is missing, or null, as which an API server shows an empty list
// whose field is never omitted, such as the names of an image.
func Elements(of, path string) string {
	return "(" + optional(of, path) + ".orValue(null) == null ? [] : " + of + "." + path + ")"
}

func camel(path string) string {
	var b strings.Builder
	for name := range strings.SplitSeq(path, ".") {
		b.WriteString(strings.ToUpper(name[:1]) + name[1:])
	}
	return b.String()
}
