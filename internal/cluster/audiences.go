// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
)

var errNoToken = errors.New("the webhook has no service account token")

// APIAudiences implements [policy.Facts]. It returns the audiences of the webhook's own service account token, which its kubelet
// requested without an audience, as usual. The file is read each time, because the kubelet renews it.
func (o *Objects) APIAudiences() ([]string, error) {
	if o.tokenFile == "" {
		return nil, errNoToken
	}
	token, err := os.ReadFile(o.tokenFile)
	if err != nil {
		return nil, fmt.Errorf("read the service account token: %w", err)
	}
	return audiencesOf(string(token))
}

// audiencesOf returns the audiences in a token. The token is the webhook's own, so its signature does not matter. Errors do not
// quote it.
func audiencesOf(token string) ([]string, error) {
	parts := strings.Split(strings.TrimSpace(token), ".")
	if len(parts) != 3 {
		return nil, errors.New("the service account token is not a JSON web token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, errors.New("the service account token is not a JSON web token")
	}
	var claims struct {
		Audiences audiences `json:"aud"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return nil, errors.New("the service account token has claims that cannot be read")
	}
	if len(claims.Audiences) == 0 {
		return nil, errors.New("the service account token has no audience")
	}
	return claims.Audiences, nil
}

// audiences are one audience or a list.
type audiences []string

// UnmarshalJSON reads either form.
func (a *audiences) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*a = audiences{one}
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(a))
}
