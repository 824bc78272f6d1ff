// Package delegatedauth has the API server say who may read the metrics: a TokenReview who asks, a SubjectAccessReview whether
// that user may.
//
// It does what controller-runtime's filters do, with those parts of k8s.io/apiserver that need neither its connections nor its
// expressions: gRPC, OpenTelemetry and CEL are two hundred packages and more of a replica's memory than all policies.
package delegatedauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	lru "k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/token/cache"
	"k8s.io/apiserver/pkg/authentication/user"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// How long what the API server said holds. The times are those of controller-runtime's filters.
const (
	tokenTTL = time.Minute
	allowTTL = 5 * time.Minute
	denyTTL  = 30 * time.Second
)

const (
	// askTimeout bounds one question to the API server.
	askTimeout = 10 * time.Second
	// maxDecided is how many answers about users are kept: of scrapers there are a few.
	maxDecided = 1024
)

// Filter lets a request pass whose bearer token the API server knows and whose user may use the method, in small letters, on the
// path: get on the nonResourceURL /metrics. Others get 401 or 403, and all 503 while the API server does not answer. It needs to be
// allowed to create tokenreviews and subjectaccessreviews. The error is one of the configuration.
func Filter(config *rest.Config, client *http.Client) (metricsserver.Filter, error) {
	authentication, err := authenticationclient.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, err
	}
	authorization, err := authorizationclient.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, err
	}
	tokens := cache.New(&tokenReviewer{authentication.TokenReviews()}, false, tokenTTL, tokenTTL)
	d := &delegate{
		authenticator: bearertoken.New(tokens),
		access:        authorization.SubjectAccessReviews(),
		decided:       lru.NewLRUExpireCache(maxDecided),
	}
	return func(log logr.Logger, next http.Handler) (http.Handler, error) {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if status, err := d.check(r); err != nil {
				log.V(1).Info("Refused a request", "path", r.URL.Path, "status", status, "reason", err.Error())
				http.Error(w, http.StatusText(status), status)
				return
			}
			next.ServeHTTP(w, r)
		}), nil
	}, nil
}

// delegate checks requests.
type delegate struct {
	authenticator authenticator.Request
	access        authorizationclient.SubjectAccessReviewInterface
	decided       *lru.LRUExpireCache // of bool, by the SubjectAccessReviewSpec as JSON
}

// check returns why a request may not pass, and the status of its answer.
func (d *delegate) check(r *http.Request) (int, error) {
	response, known, err := d.authenticator.AuthenticateRequest(r)
	if _, unasked := errors.AsType[*askError](err); unasked {
		return http.StatusServiceUnavailable, err
	}
	if !known {
		return http.StatusUnauthorized, errors.Join(errors.New("no bearer token that the API server knows"), err)
	}
	allowed, err := d.allows(r.Context(), response.User, strings.ToLower(r.Method), r.URL.Path)
	if err != nil {
		return http.StatusServiceUnavailable, err
	}
	if !allowed {
		return http.StatusForbidden, fmt.Errorf("%.128q may not", response.User.GetName())
	}
	return http.StatusOK, nil
}

// allows asks whether a user may.
func (d *delegate) allows(ctx context.Context, who user.Info, verb, path string) (bool, error) {
	spec := authorizationv1.SubjectAccessReviewSpec{
		User: who.GetName(), UID: who.GetUID(), Groups: who.GetGroups(),
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Verb: verb, Path: path},
	}
	for key, values := range who.GetExtra() {
		if spec.Extra == nil {
			spec.Extra = map[string]authorizationv1.ExtraValue{}
		}
		spec.Extra[key] = values
	}
	key, err := json.Marshal(spec)
	if err != nil {
		return false, err
	}
	if decided, ok := d.decided.Get(string(key)); ok {
		return decided.(bool), nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	review, err := d.access.Create(ctx, &authorizationv1.SubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		return false, &askError{"SubjectAccessReview", err}
	}
	ttl := denyTTL
	if review.Status.Allowed {
		ttl = allowTTL
	}
	d.decided.Add(string(key), review.Status.Allowed, ttl)
	return review.Status.Allowed, nil
}

// tokenReviewer asks whose a token is.
type tokenReviewer struct {
	reviews authenticationclient.TokenReviewInterface
}

var _ authenticator.Token = &tokenReviewer{}

// AuthenticateToken implements authenticator.Token.
func (t *tokenReviewer) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	review, err := t.reviews.Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, false, &askError{"TokenReview", err}
	}
	if !review.Status.Authenticated {
		return nil, false, nil
	}
	who := review.Status.User
	extra := map[string][]string{}
	for key, values := range who.Extra {
		extra[key] = values
	}
	return &authenticator.Response{User: &user.DefaultInfo{
		Name: who.Username, UID: who.UID, Groups: who.Groups, Extra: extra,
	}}, true, nil
}

// askError says that the API server did not answer.
type askError struct {
	kind  string
	cause error
}

func (e *askError) Error() string { return e.kind + ": " + e.cause.Error() }
func (e *askError) Unwrap() error { return e.cause }
