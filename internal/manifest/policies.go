// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	strictjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
)

// File is what a file with policies holds.
type File struct {
	Policies []*Policy
	Others   int       // objects of other kinds, which were skipped
	Errors   []Problem // documents that cannot be read
}

// Policy is a NodeRestrictionPolicy as it stands in a file, with everything that is wrong with it.
type Policy struct {
	Object   *v1alpha1.NodeRestrictionPolicy // without the fields that could not be decoded
	Compiled *policy.Policy                  // nil if there was no compiler
	Errors   []Problem                       // in the order of the file, at most 256
	Warnings []Problem                       // what is valid but probably not meant; only without errors
	Status   any                             // as it stands in the file; nil: it has no status
	Line     int                             // where it begins, from 1
	Column   int

	below     string // its path in its document, such as .items[0]
	positions *positions
}

// Problem is something that is wrong with a policy or a document.
type Problem struct {
	Field   string // path, such as spec.match.nodeNames[0]; empty for a document
	Message string
	Hint    string // what may have been meant, or what to write; may be empty
	Line    int    // from 1; 0: unknown
	Column  int    // in bytes, from 1; 0: unknown

	vague bool // a message of the compiler for the same field is better
}

// String returns field, message and hint.
func (p Problem) String() string {
	s := p.Message
	if p.Field != "" {
		s = p.Field + ": " + s
	}
	if p.Hint != "" {
		s += "; " + p.Hint
	}
	return s
}

// Error is the problem with its position.
func (p Problem) Error() string {
	if p.Line == 0 {
		return p.String()
	}
	return fmt.Sprintf("line %d: %s", p.Line, p.String())
}

// Err returns the errors of a policy as one, or nil.
func (p *Policy) Err() error {
	errs := make([]error, len(p.Errors))
	for i, problem := range p.Errors {
		errs[i] = problem
	}
	return errors.Join(errs...)
}

// Err returns everything that is wrong with a file as one error, or nil. A file without a policy is wrong.
func (f *File) Err() error {
	var errs []error
	for _, problem := range f.Errors {
		errs = append(errs, problem)
	}
	for _, p := range f.Policies {
		errs = append(errs, p.Err())
	}
	if len(f.Policies) == 0 && len(errs) == 0 {
		errs = append(errs, f.NoPolicy())
	}
	return errors.Join(errs...)
}

// NoPolicy is the error of a file without policies.
func (f *File) NoPolicy() error {
	if f.Others == 0 {
		return fmt.Errorf("no %s found", v1alpha1.Kind)
	}
	return fmt.Errorf("no %s found, only %d of other kinds", v1alpha1.Kind, f.Others)
}

// maxPolicies is how many policies of a file are read; the webhook takes fewer.
const maxPolicies = 10_000

// Read reads the policies of a file: documents that are policies, v1 Lists or other objects, which are counted. The compiler, which
// may be nil, finds the errors that the schema does not. Read never fails: what it cannot read is among the errors of the file.
func Read(r io.Reader, compiler *policy.Compiler) *File {
	f := &File{}
	stream, err := NewStream(r)
	if err != nil {
		f.Errors = append(f.Errors, problemOf(err))
		return f
	}
	for len(f.Policies) < maxPolicies && len(f.Errors) < maxProblems {
		doc, err := stream.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			f.Errors = append(f.Errors, problemOf(err))
			break
		}
		value, where, err := doc.decode()
		if err != nil {
			f.Errors = append(f.Errors, problemOf(err))
			continue
		}
		f.add(value, where, "", compiler)
	}
	f.nameTwice()
	return f
}

// problemOf turns an error about a document into a problem.
func problemOf(err error) Problem {
	if at := (*SyntaxError)(nil); errors.As(err, &at) {
		return Problem{Message: text.Printable(text.Cut(at.Message, maxMessage)), Line: at.Line, Column: at.Column}
	}
	return Problem{Message: text.Printable(text.Cut(err.Error(), maxMessage))}
}

// decode returns the value of a document as an API server decodes it, and the positions of its fields.
func (d *Document) decode() (any, *positions, error) {
	isJSON, err := d.checkJSON()
	if err != nil {
		return nil, nil, err
	}
	converted := d.Text
	if !isJSON {
		if converted, err = yaml.YAMLToJSON(d.Text); err != nil {
			return nil, nil, d.yamlError(err)
		}
	}
	where := positionsOf(d, isJSON)
	if len(where.of) == 1 && !isJSON { // there are no positions, so duplicate fields have not been found either
		if converted, err = yaml.YAMLToJSONStrict(d.Text); err != nil {
			return nil, nil, d.yamlError(err)
		}
	}
	var value any
	err = strictjson.UnmarshalCaseSensitivePreserveInts(converted, &value)
	return value, where, err
}

// add adds an object of a document, or the items of a list.
func (f *File) add(value any, where *positions, below string, compiler *policy.Compiler) {
	object, _ := value.(map[string]any)
	apiVersion, _ := object["apiVersion"].(string)
	kind, _ := object["kind"].(string)
	group, _, _ := strings.Cut(apiVersion, "/")
	at := where.find(below, "")
	switch ours := v1alpha1.GroupVersion(); {
	case apiVersion == ours.String() && kind == v1alpha1.Kind:
		p := &Policy{Line: at.line, Column: at.column, below: below, positions: where}
		p.read(object, compiler)
		f.Policies = append(f.Policies, p)
	case apiVersion == "v1" && kind == "List", apiVersion == ours.String() && kind == v1alpha1.Kind+"List":
		items, _ := object["items"].([]any)
		for i, item := range items {
			if len(f.Policies) < maxPolicies && len(f.Errors) < maxProblems {
				f.add(item, where, fmt.Sprintf("%s.items[%d]", below, i), compiler)
			}
		}
	case group == ours.Group, strings.EqualFold(kind, v1alpha1.Kind):
		f.Errors = append(f.Errors, Problem{
			Message: fmt.Sprintf("apiVersion %s and kind %s are not those of a policy, %s and %s",
				text.Quote(apiVersion), text.Quote(kind), ours, v1alpha1.Kind),
			Line: at.line, Column: at.column,
		})
	default:
		f.Others++
	}
}

// nameTwice reports the policies that have the name of an earlier one.
func (f *File) nameTwice() {
	first := map[string]*Policy{}
	for _, p := range f.Policies {
		name := p.Object.Name
		if earlier, twice := first[name]; twice && name != "" {
			p.AddError("metadata.name", fmt.Sprintf("the policy in line %d has the same name", earlier.Line))
			continue
		}
		first[name] = p
	}
}

// AddError adds an error about a field.
func (p *Policy) AddError(path, message string) {
	p.Errors = append(p.Errors, p.locate(Problem{Field: path, Message: message}))
}

// locate sets the position of a problem.
func (p *Policy) locate(problem Problem) Problem {
	at := p.positions.find(p.below, problem.Field)
	problem.Line, problem.Column = at.line, at.column
	problem.Field, problem.Message = text.Printable(problem.Field), text.Printable(problem.Message)
	return problem
}

// read finds what an API server would: unknown and duplicate fields, values of another type, bad metadata, and what the schema and
// the compiler say about the values.
func (p *Policy) read(object map[string]any, compiler *policy.Compiler) {
	p.Object = &v1alpha1.NodeRestrictionPolicy{}
	root, err := crdSchema()
	if err != nil {
		p.Errors = []Problem{{Message: err.Error()}}
		return
	}
	v := &validator{root: root}
	rest := make(map[string]any, len(object))
	for name, value := range object {
		if name != "metadata" && name != "status" { // an API server ignores the status
			rest[name] = value
		}
	}
	p.Status = object["status"]
	kept := v.object(rest, root, nil)
	p.readMeta(v, object["metadata"])
	if err := p.decode(kept); err != nil {
		v.problems = append(v.problems, Problem{Message: err.Error()})
	} else if compiler != nil {
		p.compile(v, compiler)
	}
	for _, problem := range v.problems {
		p.Errors = append(p.Errors, p.locate(problem))
	}
	p.addDuplicates()
	slices.SortStableFunc(p.Errors, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	p.Errors = p.Errors[:min(len(p.Errors), maxProblems)]
	if len(p.Errors) == 0 && compiler != nil {
		for _, warning := range compiler.Warnings(p.Object) {
			path, message, _ := strings.Cut(warning, ": ")
			p.Warnings = append(p.Warnings, p.locate(Problem{Field: path, Message: message}))
		}
	}
}

// decode decodes the fields that have the right types, except the metadata.
func (p *Policy) decode(kept map[string]any) error {
	data, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	meta := p.Object.ObjectMeta
	if err := strictjson.UnmarshalCaseSensitivePreserveInts(data, p.Object); err != nil {
		return err
	}
	p.Object.ObjectMeta = meta
	return nil
}

// addDuplicates reports the fields that stand twice in an object.
func (p *Policy) addDuplicates() {
	for _, twice := range p.positions.duplicates {
		path, inside := strings.CutPrefix(twice.path, p.below+".")
		if inside {
			p.Errors = append(p.Errors, Problem{
				Field: text.Printable(path), Message: "duplicate field", Line: twice.at.line, Column: twice.at.column,
			})
		}
	}
}

// readMeta reads the metadata field by field, so that each error is found.
func (p *Policy) readMeta(v *validator, value any) {
	at := field.NewPath("metadata")
	object, is := value.(map[string]any)
	if !is && value != nil {
		v.mistyped(at, &schema{Type: "object"}, value)
		return
	}
	sound := true
	for name, value := range object {
		data, err := json.Marshal(map[string]any{name: value})
		if err == nil {
			var strict []error
			strict, err = strictjson.UnmarshalStrict(data, &p.Object.ObjectMeta)
			for _, err := range strict {
				v.strict(at, err)
			}
		}
		if err != nil {
			sound = false
			v.wrongMeta(at.Child(name), err)
		}
	}
	if !sound {
		return
	}
	if p.Object.Name == "" {
		v.report(at.Child("name"), "must be set: a policy needs a name", "")
		return
	}
	meta := p.Object.ObjectMeta
	meta.Namespace = "" // an API server ignores it, too
	for _, err := range validation.ValidateObjectMeta(&meta, false, validation.NameIsDNSSubdomain, at) {
		v.problems = append(v.problems, Problem{Field: err.Field, Message: text.Cut(err.ErrorBody(), maxMessage)})
	}
}

// maxMessage is how many bytes a message of other code has, which may repeat a value.
const maxMessage = 1024

// strict reports an unknown field of the metadata.
func (v *validator) strict(at *field.Path, err error) {
	if unknown := strictjson.FieldError(nil); errors.As(err, &unknown) {
		v.report(at.Child(text.Cut(unknown.FieldPath(), text.MaxQuoted)), "unknown field", "")
		return
	}
	v.report(at, text.Cut(err.Error(), maxMessage), "")
}

// wrongMeta reports a value of the metadata that cannot be decoded.
func (v *validator) wrongMeta(at *field.Path, err error) {
	message := text.Cut(err.Error(), maxMessage)
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
		message = fmt.Sprintf("must not be %s", (&schema{Type: wrong.Value}).typeName())
	}
	v.report(at, message, "")
}

// compile adds the errors of the compiler, except those that follow from what the schema has found.
func (p *Policy) compile(v *validator, compiler *policy.Compiler) {
	compiled, errs := compiler.Compile(p.Object)
	p.Compiled = compiled
	for _, err := range errs {
		found := Problem{Field: err.Field, Message: text.Cut(err.ErrorBody(), maxMessage)}
		same := slices.IndexFunc(v.problems, func(known Problem) bool { return known.Field == err.Field })
		switch {
		case same >= 0 && v.problems[same].vague:
			v.problems[same] = found
		case same >= 0, slices.ContainsFunc(v.broken, func(path string) bool { return related(path, err.Field) }):
		default:
			v.problems = append(v.problems, found)
		}
	}
}

// related reports whether one of two fields is the other, or in it.
func related(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	rest, below := strings.CutPrefix(b, a)
	return below && (rest == "" || rest[0] == '.' || rest[0] == '[')
}
