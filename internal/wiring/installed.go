// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package wiring compares the objects that make API servers call the webhook, and those of the floor, with what was installed. Some
// platforms rewrite webhook configurations: a namespace selector that excludes kube-system, for example, causes no error anywhere, but
// the writes in that namespace are no longer sent.
//
// Each object says in an annotation how it was installed. So an object and what it is compared with always change together, and replicas
// of two versions agree during an upgrade. Expressions are long; the annotation has only their digests, because Kubernetes limits the
// size of all annotations of an object.
package wiring

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"noderestriction.plus/api/v1alpha1"
)

const (
	// Annotation is the annotation in which an object says how it was installed.
	Annotation = v1alpha1.GroupName + "/installed"

	digestPrefix = "sha256:"
)

// Installed is the annotation of the ValidatingWebhookConfiguration. Its expressions are digests.
type Installed struct {
	// Webhooks are the webhooks without their CA bundles.
	Webhooks []admissionregistrationv1.ValidatingWebhook `json:"webhooks"`
	// Floor are the names of the ValidatingAdmissionPolicies that were installed with it. Each has a binding of the same name.
	Floor []string `json:"floor,omitempty"`
	// Agents are the node agents whose writes the webhook agents sends. Nil: it sends none.
	Agents *Agents `json:"agents,omitempty"`
}

var errNotAnnotated = errors.New("it does not say how it was installed: the annotation " + Annotation + " is missing")

// Decode decodes the annotation of an object: as Installed, or as the spec of a policy or binding of the floor.
func Decode[T any](annotations map[string]string) (*T, error) {
	text, found := annotations[Annotation]
	if !found {
		return nil, errNotAnnotated
	}
	decoded := new(T)
	if err := json.Unmarshal([]byte(text), decoded); err != nil {
		return nil, fmt.Errorf("the annotation %s: %w", Annotation, err)
	}
	return decoded, nil
}

// Digest returns the digest that stands for an expression in the annotation.
func Digest(expression string) string {
	sum := sha256.Sum256([]byte(expression))
	return digestPrefix + hex.EncodeToString(sum[:])
}
