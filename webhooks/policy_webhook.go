package webhooks

import (
	"context"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
)

// policyValidator says of a policy what the schema of its definition cannot say.
type policyValidator struct{}

var _ admission.Validator[*v1alpha1.NodeRestrictionPolicy] = policyValidator{}

// NewPolicyHandler returns the handler for POST /policies, which validates NodeRestrictionPolicies as they are applied. Every
// error is reported with its field; what is valid but probably not meant is a warning.
func NewPolicyHandler(scheme *runtime.Scheme) (http.Handler, error) {
	return admission.StandaloneWebhook(
		admission.WithValidator(scheme, policyValidator{}),
		admission.StandaloneOptions{},
	)
}

// ValidateCreate implements admission.Validator.
func (policyValidator) ValidateCreate(
	_ context.Context, p *v1alpha1.NodeRestrictionPolicy,
) (admission.Warnings, error) {
	return validatePolicy(p)
}

// ValidateUpdate implements admission.Validator.
func (policyValidator) ValidateUpdate(
	_ context.Context, _, p *v1alpha1.NodeRestrictionPolicy,
) (admission.Warnings, error) {
	return validatePolicy(p)
}

// ValidateDelete implements admission.Validator. A policy may always be deleted.
func (policyValidator) ValidateDelete(
	context.Context, *v1alpha1.NodeRestrictionPolicy,
) (admission.Warnings, error) {
	return nil, nil
}

func validatePolicy(p *v1alpha1.NodeRestrictionPolicy) (admission.Warnings, error) {
	warnings := policy.Warnings(p)
	if _, errs := policy.Compile(p); len(errs) > 0 {
		kind := v1alpha1.GroupVersion().WithKind(v1alpha1.Kind).GroupKind()
		return warnings, apierrors.NewInvalid(kind, p.Name, errs)
	}
	return warnings, nil
}
