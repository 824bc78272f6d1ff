// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/e2e/product"
	"noderestriction.plus/internal/conditions"
	"noderestriction.plus/policy/rules"
)

// followed returns what the chart installs with webhook.followPolicies, with the match conditions that the product makes of strict.yaml.
// They are composed here, because the product would write them again after each change of variants.
func (b *bench) followed(ctx context.Context, helm string) ([]byte, error) {
	path := filepath.Join(b.Dir, "conditions.json")
	if err := product.WriteBaseConditions(ctx, helm, path); err != nil {
		return nil, err
	}
	base, err := conditions.ReadBase(path)
	if err != nil {
		return nil, err
	}
	strict, err := strictPolicy()
	if err != nil {
		return nil, err
	}
	compiler := rules.NewCompiler()
	compiled, errs := compiler.Compile(strict)
	if len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	composed := conditions.Compose(base, []conditions.Policy{
		{Name: strict.Name, Denies: true, Rules: compiled.Rules(), Spec: &strict.Spec},
	}, compiler.Rules())
	chart, err := b.product.Render(ctx, helm, "webhook.followPolicies=true")
	if err != nil {
		return nil, err
	}
	const separator = "\n---\n"
	documents := strings.Split(string(chart), separator)
	for i, document := range documents {
		if !strings.Contains(document, "\nkind: ValidatingWebhookConfiguration\n") {
			continue
		}
		var object admissionregistrationv1.ValidatingWebhookConfiguration
		if err := yaml.UnmarshalStrict([]byte(document), &object); err != nil {
			return nil, err
		}
		for j := range object.Webhooks {
			if list, is := composed.Webhooks[object.Webhooks[j].Name]; is {
				object.Webhooks[j].MatchConditions = list
			}
		}
		data, err := yaml.Marshal(object)
		if err != nil {
			return nil, err
		}
		documents[i] = string(bytes.TrimSpace(data))
		return []byte(strings.Join(documents, separator)), nil
	}
	return nil, errors.New("the chart renders no ValidatingWebhookConfiguration")
}
