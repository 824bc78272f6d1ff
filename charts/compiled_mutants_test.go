// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	allrules "noderestriction.plus/policy/rules"
)

// mutant is an expression in which one operator is another one.
type mutant struct {
	text string
	// place is the operator with what stands around it, without literals: the same for all policies that a rule is compiled for.
	place string
}

// mutants returns an expression with each operator changed in turn.
func mutants(e string) []mutant {
	literals, rest, lists := regexp.MustCompile(`'(\\.|[^'\\])*'`), regexp.MustCompile(`_+`), regexp.MustCompile(`(''(, )?)+`)
	masked := literals.ReplaceAllStringFunc(e, func(s string) string { return "'" + strings.Repeat("_", len(s)-2) + "'" })
	var all []mutant
	short := func(text string) string { return lists.ReplaceAllString(rest.ReplaceAllString(text, ""), "''") }
	add := func(at, length int, other string) {
		const around = 48
		before, after := short(masked[:at]), short(masked[at+length:])
		place := before[max(0, len(before)-around):] + "«" + masked[at:at+length] + "»" + after[:min(len(after), around)]
		all = append(all, mutant{e[:at] + other + e[at+length:], place})
	}
	for operator, other := range map[string]string{
		" && ": " || ", " || ": " && ", " == ": " != ", " != ": " == ", " > ": " < ", " < ": " > ", " <= ": " > ", " >= ": " < ",
	} {
		for at := 0; ; {
			i := strings.Index(masked[at:], operator)
			if i < 0 {
				break
			}
			add(at+i, len(operator), other)
			at += i + len(operator) - 1
		}
	}
	for i := range masked {
		if masked[i] == '!' && masked[i+1] != '=' {
			add(i, 1, "")
		}
	}
	return all
}

// TestEachOperatorMatters changes each operator of what is compiled in turn: some write of the corpus of the rule must then have another
// verdict of one of the validations.
func TestEachOperatorMatters(t *testing.T) {
	for _, rule := range expressibleRules() {
		if slices.Contains(lackFixtures(), rule.ID) {
			continue
		}
		t.Run(string(rule.ID), func(t *testing.T) {
			t.Parallel()
			killed, survived := map[string]bool{}, map[string]bool{}
			c := newCorpus(t, rule)
			if rule.ID == "baseline-pods" {
				c.borrow(t, ruleNamed(t, "mirror-pod-references"))
			}
			c.grow()
			c.perturb(t)
			c.each(t, func(_ *v1alpha1.NodeRestrictionPolicy, e *enforced, writes []policy.Request) {
				c.mutate(t, e, writes, killed, survived)
			})
			for place := range killed {
				delete(survived, place)
			}
			for _, place := range slices.Sorted(maps.Keys(survived)) {
				if !slices.ContainsFunc(equivalent(), func(e *regexp.Regexp) bool { return e.MatchString(place) }) {
					t.Errorf("no write notices when the operator changes: %s", place)
				}
			}
		})
	}
}

// lackFixtures are rules with an operator whose change no write notices yet. A rule leaves the list with fixtures that notice.
func lackFixtures() []policy.RuleID {
	return []policy.RuleID{
		"node-labels", "pod-deletion", "baseline-pods",
	}
}

func ruleNamed(t testing.TB, id policy.RuleID) policy.Rule {
	t.Helper()
	all := allrules.All()
	at := slices.IndexFunc(all, func(r policy.Rule) bool { return r.ID == id })
	if at < 0 {
		t.Fatal("there is no rule", id)
	}
	return all[at]
}

// mutate changes the operators of a rule in a policy, and notes which changes some write notices: one of the corpus or, failing that, a
// perturbed one.
func (c *corpus) mutate(t *testing.T, e *enforced, writes []policy.Request, killed, survived map[string]bool) {
	t.Helper()
	options := cel.OptionalVariableDeclarations{HasAuthorizer: true}
	var validations []cel.ExpressionAccessor
	for i, v := range e.Policy.Spec.Validations {
		if e.Rules[i] == c.rule.ID {
			validations = append(validations, &validating.ValidationCondition{Expression: v.Expression})
		}
	}
	if len(validations) == 0 {
		return
	}
	evaluator := e.compiler.CompileCondition(validations, options, environment.StoredExpressions)
	of := &triedWrites{evaluator: evaluator}
	of.add(t, e, writes)
	more := &triedWrites{evaluator: evaluator}
	store := func(name, text string) {
		e.compiler.CompileAndStoreVariable(&validating.Variable{Name: name, Expression: text}, options, environment.StoredExpressions)
	}
	for _, v := range e.Policy.Spec.Variables {
		if v.Name == "violates" {
			continue
		}
		for _, m := range mutants(v.Expression) {
			if killed[m.place] {
				continue
			}
			store(v.Name, m.text)
			if !of.notice(t) {
				if more.inputs == nil {
					store(v.Name, v.Expression)
					more.add(t, e, c.perturbed)
					store(v.Name, m.text)
				}
				if !more.notice(t) {
					survived[m.place] = true
					continue
				}
			}
			killed[m.place] = true
		}
		store(v.Name, v.Expression)
	}
}

// triedWrites are writes with the verdict of each validation of a rule.
type triedWrites struct {
	evaluator cel.ConditionEvaluator
	inputs    []*admission.VersionedAttributes
	requests  []*admissionv1.AdmissionRequest
	want      []string
}

// add adds those writes that the policy is for.
func (j *triedWrites) add(t *testing.T, e *enforced, writes []policy.Request) {
	t.Helper()
	for _, r := range writes {
		attributes := (&caller{t: t}).attributesOf(r)
		if !isFor(e.Kind, attributes) {
			continue
		}
		request := cel.CreateAdmissionRequest(attributes.Attributes,
			metav1.GroupVersionResource(attributes.GetResource()), metav1.GroupVersionKind(attributes.VersionedKind))
		verdicts, failed := j.evaluate(t, attributes, request)
		if failed {
			_, why := e.violated(t, attributes)
			t.Errorf("%s: an expression fails on %s: %s", e.Policy.Name, r.Object, why)
			continue
		}
		j.inputs, j.requests, j.want = append(j.inputs, attributes), append(j.requests, request), append(j.want, verdicts)
	}
}

// evaluate runs the validations, and returns what each says. They may fail, as a mutant may.
func (j *triedWrites) evaluate(
	t *testing.T, attributes *admission.VersionedAttributes, request *admissionv1.AdmissionRequest,
) (verdicts string, failed bool) {
	t.Helper()
	results, _, err := j.evaluator.ForInput(t.Context(), attributes, request, cel.OptionalVariableBindings{}, nil, celconfig.RuntimeCELCostBudget)
	for _, result := range results {
		if failed = failed || result.Error != nil; !failed {
			verdicts += fmt.Sprint(result.EvalResult.Value(), " ")
		}
	}
	return verdicts, failed || err != nil
}

// notice reports whether the verdict on some write is another one now.
func (j *triedWrites) notice(t *testing.T) bool {
	t.Helper()
	for i := range j.inputs {
		if verdicts, failed := j.evaluate(t, j.inputs[i], j.requests[i]); failed || verdicts != j.want[i] {
			return true
		}
	}
	return false
}

// equivalent are changes that make no difference, or only beside a bound.
func equivalent() []*regexp.Regexp {
	return []*regexp.Regexp{
		// Without a comparison first, the lists are compared element by element: slower, with the same verdict.
		regexp.MustCompile(`\? \[\] : `),
		// Each owner at registration violates the rule.
		regexp.MustCompile(`size\(variables\.newMetadataOwnerReferences\)« > »32 \? \[''\] : variables`),
		// Without patterns, any change violates the rule.
		regexp.MustCompile(`\[key\]« == »variables\.(old|new)MetadataAnnotations\[key\]\)\)( \+ variab)?$`),
		// More addresses than the bound violate the rule anyway, by another expression.
		regexp.MustCompile(`^!\(size\(variables\.oldStatusAddresses\) > 64« \|\| »size\(variables\.newStatusAddresses\) > 64\) && vari`),
	}
}
