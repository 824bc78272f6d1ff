// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"slices"
	"sync"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/rbac"
)

// access is what authorizers allow, as far as it was written down: as RBAC, and as answers to SubjectAccessReviews, for other
// authorizers.
type access struct {
	snapshot  rbac.Snapshot
	evaluator func() *rbac.Evaluator // of the snapshot, which is complete when it is called first
	answered  []authorizationv1.SubjectAccessReviewSpec
}

func newAccess() *access {
	a := &access{}
	a.evaluator = sync.OnceValue(func() *rbac.Evaluator { return rbac.New(&a.snapshot) })
	return a
}

// allows reports whether a resource may be accessed. Other questions are answered only by a SubjectAccessReview.
func (a *access) allows(spec *authorizationv1.SubjectAccessReviewSpec) bool {
	for i := range a.answered {
		if sameQuestion(&a.answered[i], spec) {
			return true
		}
	}
	r := spec.ResourceAttributes
	return r != nil && a.evaluator().Allows(authorization.Identity{User: spec.User, Groups: spec.Groups}, &authorization.Request{
		Verb: r.Verb, Group: r.Group, Resource: r.Resource, Subresource: r.Subresource, Namespace: r.Namespace, Name: r.Name,
	})
}

// sameQuestion reports whether an answer is about the same user and resource. The version of the resource and what else is
// known of the user do not matter; groups are compared only if the answer has any.
func sameQuestion(answered, asked *authorizationv1.SubjectAccessReviewSpec) bool {
	a, b := answered.DeepCopy(), asked.DeepCopy()
	for _, spec := range []*authorizationv1.SubjectAccessReviewSpec{a, b} {
		spec.UID, spec.Extra = "", nil
		if spec.ResourceAttributes != nil {
			spec.ResourceAttributes.Version = ""
		}
		slices.Sort(spec.Groups)
	}
	if len(a.Groups) == 0 {
		b.Groups = nil
	}
	return equality.Semantic.DeepEqual(a, b)
}
