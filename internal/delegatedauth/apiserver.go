// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package delegatedauth

import (
	"context"
	"fmt"
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
)

// anonymous is the user of unauthenticated requests.
const anonymous = "system:anonymous"

// apiServer authenticates tokens and authorizes their users.
type apiServer struct {
	tokens authenticationclient.TokenReviewInterface
	access authorizationclient.SubjectAccessReviewInterface
}

// ask does both. An error means that there was no answer.
func (s *apiServer) ask(ctx context.Context, q question) (answer, error) {
	token, err := s.tokens.Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: q.token},
	}, metav1.CreateOptions{})
	if err != nil {
		return answer{}, fmt.Errorf("TokenReview: %w", err)
	}
	who := token.Status.User
	if !token.Status.Authenticated || who.Username == anonymous {
		return answer{http.StatusUnauthorized, fmt.Sprintf("the API server does not know the token: %.256q", token.Status.Error)}, nil
	}
	spec := authorizationv1.SubjectAccessReviewSpec{
		User: who.Username, UID: who.UID, Groups: who.Groups, Extra: map[string]authorizationv1.ExtraValue{},
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Verb: q.verb, Path: q.path},
	}
	for key, values := range who.Extra {
		spec.Extra[key] = authorizationv1.ExtraValue(values)
	}
	access, err := s.access.Create(ctx, &authorizationv1.SubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		return answer{}, fmt.Errorf("SubjectAccessReview: %w", err)
	}
	if !access.Status.Allowed || access.Status.Denied {
		return answer{http.StatusForbidden, fmt.Sprintf("%.128q may not %s %.128q", who.Username, q.verb, q.path)}, nil
	}
	return answer{status: http.StatusOK}, nil
}
