// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"strconv"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/pattern"
)

func serviceAccountTokens() policy.Rule {
	return policy.Rule{
		ID: "service-account-tokens",
		Doc: policy.Doc{
			Title: "A kubelet may request only tokens of allowed service accounts, for an allowed time",
			Text: "Tokens of the pods on a node are not restricted by any other rule, and outlive the node: a kubelet " +
				"can ask for one that is valid for years.",
			Kubelet: "A kubelet requests tokens as the projected volumes of its pods ask for them, for an hour unless " +
				"they say otherwise.",
			Attack: `kubectl --kubeconfig kubelet.conf create token "$SERVICE_ACCOUNT" --bound-object-kind Pod ` +
				`--bound-object-name "$POD" --bound-object-uid "$UID" --duration 87600h`,
			Spec:   "spec.serviceAccountTokens",
			Fields: []string{"spec.expirationSeconds"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/kubelet/token/token_manager.go",
		},
		OptIn:   true,
		Targets: []policy.Target{target("serviceaccounts", "token", admissionv1.Create)},
		Agents:  kubeletsOnly("kubelets alone request tokens for the pods of a node"),
		Compile: compileServiceAccountTokens,
		CEL:     exactly(expressServiceAccountTokens),
	}
}

func compileServiceAccountTokens(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.ServiceAccountTokens
	if cfg == nil {
		return nil, nil
	}
	at = at.Child("serviceAccountTokens")
	denied, errs := pattern.CompileAll(cfg.Denied, 64, at.Child("denied"))
	errs = append(errs, checkReachable(cfg.Denied, 64, pattern.ServiceAccounts(), at.Child("denied"))...)
	limit := cfg.MaxExpirationSeconds
	switch {
	case limit == 0:
		limit = defaultExpirationSeconds
	case limit < 600 || limit > 1<<32:
		errs = append(errs, field.Invalid(at.Child("maxExpirationSeconds"), limit, "must be between 600 and 4294967296"))
	}
	return func(r *policy.Request) []policy.Violation {
		return evaluateObjects(r, func(_, token *tokenRequest) []policy.Violation {
			var vs []policy.Violation
			if account := r.Namespace + "/" + r.Name; denied.Match(account) {
				vs = append(vs, policy.Violation{Field: "metadata.name", Detail: "must not request a token of " + text.Quote(account)})
			}
			if seconds := token.Spec.ExpirationSeconds; seconds > limit {
				vs = append(vs, policy.Violation{
					Field:  "spec.expirationSeconds",
					Detail: "must not request a token for " + strconv.FormatInt(seconds, 10) + " seconds",
				})
			}
			return vs
		})
	}, errs
}

func expressServiceAccountTokens(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	cfg := spec.ServiceAccountTokens
	limit := cfg.MaxExpirationSeconds
	if limit == 0 {
		limit = defaultExpirationSeconds
	}
	expiration := on.New("spec.expirationSeconds", "null")
	account := on.Define("serviceAccount", on.Namespace()+" + '/' + "+on.Name())
	return []expression.Expression{
		when("metadata.name", "must not request a token of this service account", expression.Matches(account, cfg.Denied)),
		when("spec.expirationSeconds", "must not request a token for more than "+strconv.FormatInt(limit, 10)+" seconds",
			expression.And(expiration+" != null", expiration+" > "+strconv.FormatInt(limit, 10))),
	}
}

// defaultExpirationSeconds is how long a token may live, unless a policy says otherwise.
const defaultExpirationSeconds = 86400
