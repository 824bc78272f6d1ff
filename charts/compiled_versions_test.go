// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"os"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel/environment"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/compile"
)

// reservedWords are those of CEL. A variable with such a name could be defined and not be used.
func reservedWords() []string {
	return []string{
		"as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop", "namespace", "null",
		"package", "return", "true", "var", "void", "while",
	}
}

// TestEveryVersionCompiles compiles what the command compile writes as the API server of each supported minor version does, for objects and
// for files.
func TestEveryVersionCompiles(t *testing.T) {
	kinds := map[bool][]compile.Kind{true: compile.Guard(guardOptions())} // by whether they are for files
	for _, name := range []string{"recommended", "strict", "baseline"} {
		data, err := os.ReadFile("../config/policies/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		p := &v1alpha1.NodeRestrictionPolicy{}
		if err := yaml.Unmarshal(data, p); err != nil {
			t.Fatal(err)
		}
		for _, static := range []bool{false, true} {
			compiled, err := compile.Compile(p, rulesOf(t, p), compile.Options{Partial: compile.Narrower, Static: static})
			if err != nil {
				t.Fatal(err)
			}
			kinds[static] = append(kinds[static], compiled.Kinds...)
		}
	}
	const newest, firstStatic = 37, 37
	for minor := oldestKubernetes.Minor(); minor <= newest; minor++ {
		of := version.MajorMinor(1, minor)
		t.Run(of.String(), func(t *testing.T) {
			for _, kind := range kinds[false] {
				compileAt(t, of, kind)
			}
			if minor >= firstStatic {
				for _, kind := range kinds[true] {
					compileAt(t, of, kind)
				}
			}
		})
	}
}

// compileAt compiles all expressions of a policy with the functions of a version.
func compileAt(t *testing.T, of *version.Version, kind compile.Kind) {
	t.Helper()
	spec := kind.Policy.Spec
	compiler, err := cel.NewCompositedCompiler(environment.MustBaseEnvSet(of))
	if err != nil {
		t.Fatal(err)
	}
	options := cel.OptionalVariableDeclarations{HasAuthorizer: true}
	check := func(what string, result cel.CompilationResult) {
		if result.Error != nil {
			t.Errorf("%s: %s: %v", kind.Policy.Name, what, result.Error)
		}
	}
	for _, v := range spec.Variables {
		if slices.Contains(reservedWords(), v.Name) {
			t.Errorf("%s: the variable %s has the name of a reserved word", kind.Policy.Name, v.Name)
		}
		variable := &validating.Variable{Name: v.Name, Expression: v.Expression}
		check(v.Name, compiler.CompileAndStoreVariable(variable, options, environment.NewExpressions))
	}
	compileOne := func(what string, e cel.ExpressionAccessor) {
		check(what, compiler.CompileCELExpression(e, options, environment.NewExpressions))
	}
	for _, v := range spec.Validations {
		compileOne("validation", &validating.ValidationCondition{Expression: v.Expression})
		if v.MessageExpression != "" {
			compileOne("message", &validating.MessageExpressionCondition{MessageExpression: v.MessageExpression})
		}
	}
	for _, a := range spec.AuditAnnotations {
		compileOne(a.Key, &validating.AuditAnnotationCondition{Key: a.Key, ValueExpression: a.ValueExpression})
	}
	for i := range spec.MatchConditions {
		compileOne(spec.MatchConditions[i].Name, (*matchconditions.MatchCondition)(&spec.MatchConditions[i]))
	}
}
