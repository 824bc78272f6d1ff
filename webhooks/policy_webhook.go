package webhooks

import (
	"context"
	"fmt"
	"net/http"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
)

// policyResource is the resource of policies.
const policyResource = "noderestrictionpolicies"

// NewPolicyHandler returns the handler for POST /policies, which validates NodeRestrictionPolicies as they are
// applied. Every error is reported with its field; what is valid but probably not meant is a warning. The scheme must
// know the policies.
//
// It is there for the convenience of whoever applies a policy. If it is not asked, or does not answer, a policy that
// does not compile is stored, and its status says so.
func NewPolicyHandler(scheme *runtime.Scheme, log logr.Logger) (http.Handler, error) {
	webhook := admission.WithValidator(scheme, policyValidator{})
	webhook.Handler = onlyPolicies(webhook.Handler)
	return admission.StandaloneWebhook(webhook, admission.StandaloneOptions{Logger: log})
}

// onlyPolicies keeps what is not a policy from being decoded as one.
func onlyPolicies(next admission.Handler) admission.Handler {
	return admission.HandlerFunc(func(ctx context.Context, r admission.Request) admission.Response {
		if r.Resource.Group != v1alpha1.GroupName || r.Resource.Resource != policyResource || r.SubResource != "" {
			return admission.Errored(http.StatusBadRequest, fmt.Errorf("only %s.%s are validated here", policyResource,
				v1alpha1.GroupName))
		}
		return next.Handle(ctx, r)
	})
}

// policyValidator says of a policy what the schema of its definition cannot say.
type policyValidator struct{}

var _ admission.Validator[*v1alpha1.NodeRestrictionPolicy] = policyValidator{}

// ValidateCreate implements admission.Validator.
func (policyValidator) ValidateCreate(
	_ context.Context, p *v1alpha1.NodeRestrictionPolicy,
) (admission.Warnings, error) {
	return validatePolicy(p)
}

// ValidateUpdate implements admission.Validator. A policy whose spec stays as it is may be written even if it does not
// compile: its labels can be changed, and its finalizers removed.
func (policyValidator) ValidateUpdate(
	_ context.Context, old, p *v1alpha1.NodeRestrictionPolicy,
) (admission.Warnings, error) {
	if equality.Semantic.DeepEqual(old.Spec, p.Spec) {
		return nil, nil
	}
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
