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

	"noderestriction.plus/internal/compile"
)

// maxFile is the maximum size of the file in bytes, that of a ConfigMap.
const maxFile = 1 << 20

// Base is what the chart renders into the file: the objects to keep up to date, and the conditions before any policy.
type Base struct {
	// Configuration is the name of the ValidatingWebhookConfiguration.
	Configuration string `json:"configuration"`
	// Floor is the name of the ValidatingAdmissionPolicy for registrations. Empty: there is none.
	Floor string `json:"floor,omitempty"`
	// Lines say for each kind of write which webhook it is sent to, before any policy.
	Lines []compile.Line `json:"lines"`
	// Webhooks are the match conditions of the webhooks that are kept up to date, by name. Those with the name of a kind of write are
	// made of its line; the other ones stay.
	Webhooks Webhooks `json:"webhooks"`

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
	file, err := os.Open(path) //nolint:gosec // the administrator names it
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it is only read
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
	if len(b.Lines) == 0 {
		return errors.New("lines: must have at least one")
	}
	for i, l := range b.Lines {
		if l.Write.Resource == "" || l.Write.Operation == "" || l.Gate == "" || l.Open == "" {
			return fmt.Errorf("lines[%d]: must have a resource, an operation and two expressions", i)
		}
	}
	for name, list := range b.Webhooks {
		if !slices.Contains(webhooks(), name) {
			return fmt.Errorf("webhooks: %q is not one of %q", name, webhooks())
		}
		if len(list) == 0 {
			return fmt.Errorf("webhooks[%q]: must have conditions", name)
		}
	}
	if len(b.Webhooks[gate]) == 0 {
		return fmt.Errorf("webhooks[%q]: must have conditions", gate)
	}
	return nil
}
