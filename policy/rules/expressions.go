// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"strconv"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
)

// exactly is the CEL of a rule that an API server can evaluate alone, and that is strictest with an empty section.
func exactly(
	express func(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression,
) policy.CEL {
	return policy.CEL{Kind: policy.Exactly, Express: express, Strictest: "{}"}
}

// stock is [exactly] for a rule that no stock kubelet violates with an empty section.
func stock(
	express func(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression,
) policy.CEL {
	cel := exactly(express)
	cel.Gate = "{}"
	return cel
}

// when is an expression that is true if the write violates the rule.
func when(field, message, violates string) expression.Expression {
	return expression.Expression{Field: field, Message: message, Violates: violates}
}

// named is an expression that lists what violates the rule.
func named(field, message, names string) expression.Expression {
	return expression.Expression{Field: field, Message: message, Names: names}
}

// quote returns a string literal of CEL.
func quote(s string) string { return expression.Quote(s) }

// differs says in CEL that two values that are not lists or maps differ.
func differs(a, b string) string { return a + " != " + b }

// entry returns in CEL the value of a key in a map, or a default where it is missing.
func entry(of, key, missing string) string {
	if of == "{}" {
		return missing
	}
	return of + "[?" + quote(key) + "].orValue(" + missing + ")"
}

// keepsEntry says in CEL that a key has the same value in both maps.
func keepsEntry(old, updated, key string) string {
	if old == "{}" {
		return expression.False
	}
	return fmt.Sprintf("%[3]s in %[1]s && %[1]s[%[3]s] == %[2]s[%[3]s]", old, updated, quote(key))
}

// larger says in CEL that a list has more elements than a number.
func larger(list string, n int) string { return "size(" + list + ") > " + strconv.Itoa(n) }

// identity of an owner in CEL, by kind and name.
const ownerText = "e.kind + ' ' + e.name"

// sameObject is SameObject of package object in CEL.
func sameObject(on *expression.Scope) string {
	var parts []string
	for _, name := range []string{"spec", "status", "data"} {
		old, updated := on.Both(name, "{}")
		parts = append(parts, old+" == "+updated)
	}
	old, updated := on.Both("metadata", "{}")
	ignored := func(name string) string {
		return expression.In(name, "managedFields", "resourceVersion", "generation")
	}
	return expression.And(expression.And(parts...), "size("+expression.ChangedFields(old, updated, ignored)+") == 0")
}

// bounded is [expression.Texts], without texts if the list is longer than its bound.
func bounded(on *expression.Scope, list, text string) string {
	return expression.If(on.Longer(expression.MaxItems, list), expression.None, expression.Texts(list, text))
}

// touchesNothing is for rules whose violations CEL never sees.
func touchesNothing(*expression.Scope) string { return expression.False }
