// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/suite"
)

// sender sends arbitrary requests to the product.
type sender struct {
	url  string
	tls  *tls.Config
	http *http.Client
}

// sender returns a sender that shows a certificate, unless it is zero.
func (d *listener) sender(t *testing.T, certificate controlplane.Certificate) *sender {
	t.Helper()
	config := &tls.Config{RootCAs: d.ControlPlane.CA.Pool()}
	if certificate.Cert != nil {
		pair, err := tls.X509KeyPair(certificate.Cert, certificate.Key)
		suite.Check(t, err)
		config.Certificates = []tls.Certificate{pair}
	}
	transport := &http.Transport{TLSClientConfig: config, MaxIdleConnsPerHost: 64, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &sender{url: d.product.URL, tls: config, http: &http.Client{Transport: transport, Timeout: 2 * time.Minute}}
}

// host returns the address to dial.
func (s *sender) host() string { return strings.TrimPrefix(s.url, "https://") }

// dial opens a connection.
func (s *sender) dial(ctx context.Context) (*tls.Conn, error) {
	conn, err := (&tls.Dialer{Config: s.tls}).DialContext(ctx, "tcp", s.host())
	if err != nil {
		return nil, err
	}
	return conn.(*tls.Conn), nil
}

// reply is the answer to a request: a review, or, if that is nil, a text.
type reply struct {
	status int
	review *admissionv1.AdmissionReview
	text   string
}

// allowed reports whether an API server would allow the write.
func (r *reply) allowed() bool {
	return r.status == http.StatusOK && r.review != nil && r.review.Response != nil && r.review.Response.Allowed
}

// deniedAs reports whether an API server would accept the reply as a denial of the review with this UID.
func (r *reply) deniedAs(uid string) bool {
	return r.status == http.StatusOK && r.review != nil && r.review.Response != nil && !r.review.Response.Allowed &&
		string(r.review.Response.UID) == uid && r.review.APIVersion == "admission.k8s.io/v1" &&
		r.review.Kind == "AdmissionReview"
}

func (r *reply) String() string { return fmt.Sprintf("%d %.300q", r.status, r.text) }

// post sends a body as a review. It returns an error if there is no answer.
func (s *sender) post(ctx context.Context, path string, body []byte) (*reply, error) {
	return s.send(ctx, http.MethodPost, path, http.Header{"Content-Type": {suite.JSONType}}, body)
}

func (s *sender) send(ctx context.Context, method, path string, header http.Header, body []byte) (*reply, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header = header
	response, err := s.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	r := &reply{status: response.StatusCode, text: string(data)}
	review := &admissionv1.AdmissionReview{}
	if json.Unmarshal(data, review) == nil && review.Response != nil {
		r.review = review
	}
	return r, nil
}

// forgery returns a review of a kubelet that adds a finalizer to its Node, with more members in the object.
func forgery(uid, node, more string) string {
	return review(uid, node, `{"metadata":{"name":"`+node+`","finalizers":["example.com/stay"]}`+more+`}`)
}

// review returns a review of a kubelet that writes the status of its Node.
func review(uid, node, object string) string {
	return `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"` + uid + `",` +
		`"kind":{"group":"","version":"v1","kind":"Node"},"resource":{"group":"","version":"v1","resource":"nodes"},` +
		`"subResource":"status","name":"` + node + `","operation":"UPDATE",` +
		`"userInfo":{"username":"system:node:` + node + `","groups":["system:nodes","system:authenticated"]},` +
		`"object":` + object + `,"oldObject":{"metadata":{"name":"` + node + `"}},"dryRun":false}}`
}
