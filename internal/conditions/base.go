// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package conditions

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// maxFile is the maximum size of the file in bytes, that of a ConfigMap.
const maxFile = 1 << 20

// Base is what the chart renders into the file: the objects to keep up to date, and the conditions before any policy.
type Base struct {
	// Configuration is the name of the ValidatingWebhookConfiguration.
	Configuration string `json:"configuration"`
	// Floor is the name of the ValidatingAdmissionPolicy for registrations. Empty: no policy is kept up to date.
	Floor string `json:"floor,omitempty"`
	// Webhooks are the webhooks as the chart renders them before any policy, with their rules and match conditions. The condition
	// "line" of each is kept up to date; the other ones stay.
	Webhooks []admissionregistrationv1.ValidatingWebhook `json:"webhooks"`

	digest string
}

// Webhooks are the match conditions of webhooks, by the name of the webhook.
type Webhooks map[string][]admissionregistrationv1.MatchCondition

// Digest returns the digest of the file, as an annotation of the objects has it that were rendered with it.
func (b *Base) Digest() string { return b.digest }

// webhooks are the webhooks whose condition may be kept up to date.
func webhooks() []string {
	return []string{gate, registration, status, others}
}

const (
	gate         = "gate.noderestriction.plus"
	registration = "registration.noderestriction.plus"
	status       = "status.noderestriction.plus"
	others       = "others.noderestriction.plus"
)

// ReadBase reads the file.
func ReadBase(path string) (*Base, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: has more than %d bytes", path, maxFile)
	}
	base, err := parseBase(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return base, nil
}

func parseBase(data []byte) (*Base, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	base := &Base{}
	if err := decoder.Decode(base); err != nil {
		return nil, err
	}
	if decoder.More() {
		return nil, errors.New("has more than one JSON value")
	}
	if err := base.validate(); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	base.digest = "sha256:" + hex.EncodeToString(sum[:])
	return base, nil
}

func (b *Base) validate() error {
	if len(validation.IsDNS1123Subdomain(b.Configuration)) > 0 {
		return fmt.Errorf("configuration: must be the name of a ValidatingWebhookConfiguration, not %q", b.Configuration)
	}
	if b.Floor != "" && len(validation.IsDNS1123Subdomain(b.Floor)) > 0 {
		return fmt.Errorf("floor: must be the name of a ValidatingAdmissionPolicy, not %q", b.Floor)
	}
	var names []string
	for i := range b.Webhooks {
		name := b.Webhooks[i].Name
		switch {
		case !slices.Contains(webhooks(), name):
			return fmt.Errorf("webhooks[%d]: %q is not one of %q", i, name, webhooks())
		case slices.Contains(names, name):
			return fmt.Errorf("webhooks[%d]: %q is there twice", i, name)
		case lineOf(&b.Webhooks[i]) < 0:
			return fmt.Errorf("webhooks[%d].matchConditions: must have the condition %q", i, line)
		}
		names = append(names, name)
	}
	if !slices.Contains(names, gate) {
		return fmt.Errorf("webhooks: must have %q", gate)
	}
	return nil
}

// line is the name of the match condition that is kept up to date.
const line = "line"

// lineOf returns the index of that condition, or a negative number.
func lineOf(w *admissionregistrationv1.ValidatingWebhook) int {
	return slices.IndexFunc(w.MatchConditions, func(m admissionregistrationv1.MatchCondition) bool { return m.Name == line })
}
