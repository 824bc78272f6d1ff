// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// The media types of the API.
const (
	mediaJSON       = "application/json"
	mediaYAML       = "application/yaml"
	mediaProtobuf   = "application/vnd.kubernetes.protobuf"
	mediaJSONPatch  = "application/json-patch+json"
	mediaMergePatch = "application/merge-patch+json"
	mediaStrategic  = "application/strategic-merge-patch+json"
	mediaApply      = "application/apply-patch+yaml"
)

// caller sends requests to an API server as a user, as they are.
type caller struct {
	host string
	http *http.Client
}

func newCaller(t *testing.T, config *rest.Config, err error) caller {
	t.Helper()
	check(t, err)
	client, err := rest.HTTPClientFor(config)
	check(t, err)
	return caller{host: config.Host, http: client}
}

// call is a request.
type call struct {
	method, path string
	query        url.Values
	contentType  string
	body         []byte
}

// answer is what an API server answers. Status is empty if the answer is an object.
type answer struct {
	metav1.Status
	code     int
	body     []byte
	warnings []string
}

// deniedBy is the webhook that denied the request, and its message, or empty.
func (a *answer) deniedBy() (webhook, message string) {
	text := strings.TrimPrefix(a.Message, `admission webhook "`)
	webhook, message, found := strings.Cut(text, `" denied the request: `)
	if !found {
		return "", ""
	}
	return webhook, message
}

func (a *answer) String() string {
	if a.Message == "" {
		return fmt.Sprint(a.code)
	}
	return fmt.Sprintf("%d %s: %s", a.code, a.Reason, a.Message)
}

// do sends a request. The error says that there was no answer.
func (c caller) do(ctx context.Context, r call) (*answer, error) {
	target := c.host + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, r.method, target, bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", mediaJSON)
	if r.contentType != "" {
		request.Header.Set("Content-Type", r.contentType)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	a := &answer{code: response.StatusCode, warnings: response.Header.Values("Warning")}
	if a.body, err = io.ReadAll(response.Body); err != nil {
		return nil, err
	}
	if response.StatusCode >= http.StatusBadRequest {
		// What is no Status is shown as it is.
		if json.Unmarshal(a.body, &a.Status) != nil || a.Message == "" {
			a.Message = string(a.body)
		}
	}
	return a, nil
}

// must sends a request that succeeds and returns the object of the answer.
func (c caller) must(t *testing.T, r call) []byte {
	t.Helper()
	a, err := c.do(t.Context(), r)
	check(t, err)
	if a.code >= http.StatusBadRequest {
		t.Fatalf("%s %s: %s\n%s", r.method, r.path, a, r.body)
	}
	return a.body
}
