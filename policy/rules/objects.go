// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/pattern"
)

func objects() policy.Rule {
	return policy.Rule{
		ID: "objects",
		Doc: policy.Doc{
			Title: "A node agent may write only objects that name its node",
			Text: "The service account of a DaemonSet may write the objects of all nodes. Anyone who escapes a container on one node has its " +
				"token, and offers devices on another node, or removes those that it has.",
			Kubelet: "The rule is for node agents only.",
			Attack:  `kubectl --token "$AGENT_TOKEN" delete resourceslice "$SLICE_OF_ANOTHER_NODE"`,
			Spec:    "spec.objects",
			Fields:  []string{"spec.nodeName"},
			Since:   "v0.1.0",
			Source:  "kubernetes v1.37.2 pkg/serviceaccount/claims.go, pkg/registry/core/serviceaccount/storage/token.go",
		},
		OptIn:   true,
		Agents:  policy.Agents{TargetsUnder: objectWrites, CEL: true},
		Compile: compileObjects,
		CEL: policy.CEL{
			Kind: policy.Exactly, Express: expressObjects,
			Strictest: `[{"apiGroup":"resource.k8s.io","resource":"resourceslices","node":"spec.nodeName"}]`,
		},
	}
}

// objectWrites are the writes of the objects that a spec names, and of their status.
func objectWrites(spec *v1alpha1.NodeRestrictionPolicySpec) []policy.Target {
	var targets []policy.Target
	for i := range spec.Objects {
		name := resourceOf(&spec.Objects[i])
		targets = append(targets, target(name, "", admissionv1.Create, admissionv1.Update, admissionv1.Delete),
			target(name, "status", admissionv1.Update))
	}
	return targets
}

// resourceOf returns the resource as requests have it, such as resourceslices.resource.k8s.io.
func resourceOf(o *v1alpha1.ObjectsOfNode) string {
	if o.APIGroup == "" {
		return o.Resource
	}
	return o.Resource + "." + o.APIGroup
}

const (
	maxObjects  = 16
	maxPath     = 128 // characters
	maxSegments = 8
)

func compileObjects(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	if spec.Objects == nil {
		return nil, nil
	}
	at = at.Child("objects")
	if errs := pattern.CheckList(spec.Objects, maxObjects, at); errs != nil {
		return nil, errs
	}
	var errs field.ErrorList
	paths := map[string][]string{}
	for i := range spec.Objects {
		o := &spec.Objects[i]
		errs = append(errs, checkObjects(o, at.Index(i))...)
		if name := resourceOf(o); !slices.Contains(paths[name], o.Node) {
			paths[name] = append(paths[name], o.Node)
		}
	}
	return func(r *policy.Request) []policy.Violation {
		if r.NodeName == "" {
			return nil // which is a violation of its own
		}
		return checkNodeIn(r, paths[r.Resource])
	}, errs
}

func checkObjects(o *v1alpha1.ObjectsOfNode, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if o.APIGroup != "" {
		for _, why := range validation.IsDNS1123Subdomain(o.APIGroup) {
			errs = append(errs, field.Invalid(at.Child("apiGroup"), text.Cut(o.APIGroup, text.MaxQuoted), why))
		}
	}
	switch why := validation.IsDNS1035Label(o.Resource); {
	case o.Resource == "":
		errs = append(errs, field.Required(at.Child("resource"), "must be the plural of a kind, such as resourceslices"))
	case len(why) > 0:
		errs = append(errs, field.Invalid(at.Child("resource"), text.Cut(o.Resource, text.MaxQuoted), why[0]))
	case o.APIGroup == "" && (o.Resource == "nodes" || o.Resource == "pods"):
		errs = append(errs, field.Forbidden(at.Child("resource"), "nodes and pods have sections of their own: nodes.self and pods.self"))
	}
	const must = "must be the path of a field, such as spec.nodeName"
	path := regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]*(\.[a-zA-Z][a-zA-Z0-9_]*)*$`)
	switch {
	case o.Node == "":
		errs = append(errs, field.Required(at.Child("node"), must))
	case len(o.Node) > maxPath:
		errs = append(errs, field.TooLong(at.Child("node"), "", maxPath))
	case !path.MatchString(o.Node) || strings.Count(o.Node, ".") >= maxSegments:
		errs = append(errs, field.Invalid(at.Child("node"), text.Cut(o.Node, text.MaxQuoted), must))
	}
	return errs
}

// checkNodeIn compares the fields at paths with the agent's node, in the stored and in the written object. It decodes each object once.
func checkNodeIn(r *policy.Request, paths []string) []policy.Violation {
	if len(paths) == 0 {
		return nil
	}
	var raws [][]byte
	if r.Operation != admissionv1.Create {
		raws = append(raws, r.OldObject)
	}
	if r.Operation != admissionv1.Delete {
		raws = append(raws, r.Object)
	}
	others := make([]bool, len(paths)) // by path: the object is that of another node
	for _, raw := range raws {
		value, ok := decoded[jsontext.Value](raw)
		if !ok {
			return malformed("")
		}
		for i, path := range paths {
			name, ok := textAt(*value, path)
			if !ok {
				return malformed("")
			}
			others[i] = others[i] || name != r.NodeName
		}
	}
	var vs []policy.Violation
	for i, path := range paths {
		if others[i] {
			vs = append(vs, policy.Violation{Field: path, Detail: "must not " + verb(r.Operation) + " an object of another node"})
		}
	}
	return vs
}

// textAt returns the text at a path, and an empty one if there is no text. It returns false if the object is not well-formed. It reads no
// member after that which is on the path.
func textAt(at jsontext.Value, path string) (string, bool) {
	for name := range strings.SplitSeq(path, ".") {
		if at.Kind() != jsontext.KindBeginObject {
			return "", true
		}
		var next jsontext.Value
		if err := eachMember(at, func(member string, value jsontext.Value) error {
			if member != name {
				return nil
			}
			next = value
			return errFound
		}); err != nil && !errors.Is(err, errFound) {
			return "", false
		}
		at = next
	}
	var found string
	if at.Kind() != jsontext.KindString || json.Unmarshal(at, &found) != nil {
		return "", true
	}
	return found, true
}

// errFound ends the search for a member.
var errFound = errors.New("found")

func expressObjects(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	var expressions []expression.Expression
	for i := range spec.Objects {
		o := &spec.Objects[i]
		if resourceOf(o) != on.Resource {
			continue
		}
		var others []string
		if on.Operation != expression.Create {
			others = append(others, isNot(on.Old(o.Node, "''"), on.NodeName()))
		}
		if on.Operation != expression.Delete {
			others = append(others, isNot(on.New(o.Node, "''"), on.NodeName()))
		}
		expressions = append(expressions, when(o.Node, "must not write an object of another node", on.HasNode(expression.Or(others...))))
	}
	return expressions
}

// isNot says in CEL that a value of any type is not a text.
func isNot(value, name string) string { return "dyn(" + value + ") != " + name }
