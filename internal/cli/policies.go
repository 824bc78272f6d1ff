// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	strictjson "sigs.k8s.io/json"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// policyObject is a NodeRestrictionPolicy as it stands in a file, with everything that is wrong with it.
type policyObject struct {
	file     string
	position string // which object of the file, for a policy without a name
	policy   *v1alpha1.NodeRestrictionPolicy
	compiled *policy.Policy
	problems []problem
}

// problem is one thing that is wrong with a policy.
type problem struct {
	Field   string `json:"field,omitempty"` // path, such as spec.match.nodeNames[0]
	Message string `json:"message"`
}

func (p problem) String() string {
	if p.Field == "" {
		return p.Message
	}
	return p.Field + ": " + p.Message
}

// title is how a message names the policy and its file.
func (o *policyObject) title() string {
	if o.policy.Name == "" {
		return fmt.Sprintf("%s: %s", command.Title(o.file), o.position)
	}
	return fmt.Sprintf("%s: %s %q", command.Title(o.file), v1alpha1.Kind, o.policy.Name)
}

// errors are the problems with the policy, each with the name of file and policy before it.
func (o *policyObject) errors() []error {
	errs := make([]error, len(o.problems))
	for i, p := range o.problems {
		errs[i] = fmt.Errorf("%s: %s", o.title(), p)
	}
	return errs
}

// readPolicies reads the policies of a file: one or several documents, of which each is a policy or a v1 List of
// policies. The error is about what cannot be read as policies at all.
func readPolicies(in *command.Inputs, file string) ([]*policyObject, error) {
	data, err := in.Read(file)
	if err != nil {
		return nil, err
	}
	var objects []*policyObject
	docs := newDocuments(bytes.NewReader(data))
	for {
		doc, err := docs.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			objects, err = appendPolicies(objects, file, doc.String(), doc.json)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", command.Title(file), err)
		}
	}
	if len(objects) == 0 {
		return nil, fmt.Errorf("%s: no %s found", command.Title(file), v1alpha1.Kind)
	}
	seen := map[string]bool{}
	for _, o := range objects {
		if seen[o.policy.Name] {
			o.problems = append(o.problems, problem{"metadata.name", "another policy of this file has the same name"})
		}
		seen[o.policy.Name] = o.policy.Name != ""
	}
	return objects, nil
}

func appendPolicies(into []*policyObject, file, position string, object []byte) ([]*policyObject, error) {
	var meta struct {
		APIVersion string            `json:"apiVersion"`
		Kind       string            `json:"kind"`
		Items      []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(object, &meta); err != nil {
		return nil, fmt.Errorf("%s: not a Kubernetes object: %w", position, err)
	}
	switch {
	case meta.APIVersion == "v1" && meta.Kind == "List":
		for i, item := range meta.Items {
			var err error
			if into, err = appendPolicies(into, file, fmt.Sprintf("%s, items[%d]", position, i), item); err != nil {
				return nil, err
			}
		}
		return into, nil
	case meta.APIVersion == v1alpha1.GroupVersion().String() && meta.Kind == v1alpha1.Kind:
		return append(into, readPolicy(file, position, object)), nil
	}
	return nil, fmt.Errorf("%s: apiVersion %q and kind %q are not those of a policy, %s and %s",
		position, meta.APIVersion, meta.Kind, v1alpha1.GroupVersion(), v1alpha1.Kind)
}

// readPolicy finds what an API server would: unknown and duplicate fields, fields of another type, a bad name, and
// what the schema and [policy.Compiler.Compile] say of the values.
func readPolicy(file, position string, object []byte) *policyObject {
	o := &policyObject{file: file, position: position, policy: &v1alpha1.NodeRestrictionPolicy{}}
	strict, err := strictjson.UnmarshalStrict(object, o.policy)
	for _, err := range strict {
		o.problems = append(o.problems, strictProblem(err))
	}
	if err != nil {
		o.problems = append(o.problems, typeProblem(err))
		return o // the values are not known
	}
	errs := nameErrors(o.policy.Name)
	compiled, bad := rules.NewCompiler().Compile(o.policy)
	o.compiled = compiled
	for _, err := range append(errs, bad...) {
		o.problems = append(o.problems, problem{err.Field, err.ErrorBody()})
	}
	return o
}

// strictProblem takes the path out of an error about an unknown or a duplicate field.
func strictProblem(err error) problem {
	at := strictjson.FieldError(nil)
	if !errors.As(err, &at) {
		return problem{Message: err.Error()}
	}
	return problem{at.FieldPath(), strings.TrimSuffix(err.Error(), fmt.Sprintf(" %q", at.FieldPath()))}
}

func nameErrors(name string) field.ErrorList {
	at := field.NewPath("metadata", "name")
	if name == "" {
		return field.ErrorList{field.Required(at, "a policy needs a name")}
	}
	var errs field.ErrorList
	for _, message := range validation.NameIsDNSSubdomain(name, false) {
		errs = append(errs, field.Invalid(at, name, message))
	}
	return errs
}

// typeProblem says in the words of YAML what is of the wrong type.
func typeProblem(err error) problem {
	wrong := (*json.UnmarshalTypeError)(nil)
	if !errors.As(err, &wrong) {
		return problem{Message: err.Error()}
	}
	want := wrong.Type
	for want.Kind() == reflect.Pointer {
		want = want.Elem()
	}
	name := "a " + want.Kind().String()
	switch want.Kind() {
	case reflect.Slice:
		name = "a list"
	case reflect.Struct, reflect.Map:
		name = "an object"
	case reflect.Int32, reflect.Int64:
		name = "a whole number"
	}
	return problem{wrong.Field, fmt.Sprintf("must be %s, not %s", name, jsonTypeName(wrong.Value))}
}

// jsonTypeName is the name in YAML of what encoding/json calls "array" or "bool".
func jsonTypeName(value string) string {
	switch value {
	case "array":
		return "a list"
	case "bool":
		return "a boolean"
	case "object":
		return "an object"
	}
	return "a " + value
}

// loadPolicies reads the policies of all files for a command that needs them to be valid. The error holds everything
// that is wrong with them.
func loadPolicies(in *command.Inputs, files []string) ([]*policyObject, error) {
	var all []*policyObject
	var errs []error
	fileOf := map[string]string{}
	for _, file := range files {
		objects, err := readPolicies(in, file)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, o := range objects {
			errs = append(errs, o.errors()...)
			if other, twice := fileOf[o.policy.Name]; twice && other != file {
				errs = append(errs, fmt.Errorf("%s: metadata.name: %s has a policy of the same name", o.title(), command.Title(other)))
			}
			fileOf[o.policy.Name] = file
		}
		all = append(all, objects...)
	}
	return all, errors.Join(errs...)
}
