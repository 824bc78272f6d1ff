// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strings"
	"testing"
	"time"

	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/record"
)

// uid is the UID of single reviews.
const uid = "0b4fd1cc-1d29-4d0c-8f0e-6d4e3a0d1f11"

// testBodies sends single requests that no API server sends. Each is answered with an HTTP error, for which an API server applies the
// failurePolicy, or with a denial that has the UID of the review.
func (d *listener) testBodies(t *testing.T) {
	good := forgery(uid, node, "")
	with := func(old, replacement string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %q to replace", old)
		}
		return strings.Replace(good, old, replacement, 1)
	}
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	const denied = 0
	for _, test := range []struct {
		name   string
		body   string
		status int // of the error; 0: denied
		change func(method *string, header http.Header)
	}{
		{name: "a review that is denied", body: good, status: denied},
		{name: "an empty body", status: 400},
		{name: "a null", body: "null", status: 400},
		{name: "a number", body: "1e999", status: 400},
		{
			name: "a request that is null", status: 400,
			body: `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":null}`,
		},
		{name: "version v1beta1", body: with("admission.k8s.io/v1", "admission.k8s.io/v1beta1"), status: 400},
		{name: "a truncated review", body: good[:len(good)-1], status: 400},
		{name: "a review truncated in its object", body: good[:strings.Index(good, "stay")], status: denied},
		{name: "two reviews", body: good + good, status: 400},
		{name: "YAML", body: "kind: AdmissionReview\napiVersion: admission.k8s.io/v1\n", status: 400},
		{name: "the bytes of gzip", body: zipped(t, good), status: 400},
		{
			name: "gzip", body: zipped(t, good), status: 415,
			change: func(_ *string, h http.Header) { h.Set("Content-Encoding", "gzip") },
		},
		{
			name: "another media type", body: good, status: 415,
			change: func(_ *string, h http.Header) { h.Set("Content-Type", suite.YAMLType) },
		},
		{
			name: "no media type", body: good, status: 415,
			change: func(_ *string, h http.Header) { h.Del("Content-Type") },
		},
		{name: "GET", body: good, status: 405, change: func(m *string, _ http.Header) { *m = http.MethodGet }},
		{name: "PUT", body: good, status: 405, change: func(m *string, _ http.Header) { *m = http.MethodPut }},
		{name: "an unknown method", body: good, status: 405, change: func(m *string, _ http.Header) { *m = "ADMIT" }},
		{name: "two uids", body: with(`"uid":`, `"uid":"other","uid":`), status: 400},
		{name: "two users", body: with(`"userInfo":`, `"userInfo":{"username":"admin"},"userInfo":`), status: 400},
		{name: "two objects", body: with(`"object":`, `"object":{"metadata":{}},"object":`), status: 400},
		{name: "two requests", body: with(`"request":`, `"request":{},"request":`), status: 400},
		{name: "duplicate names in the object", body: forgery(uid, node, `,"metadata":{}`), status: denied},
		{name: "an object of depth 10,000", body: forgery(uid, node, `,"x":`+deep(10_000)), status: denied},
		{name: "an object of depth 100,000", body: forgery(uid, node, `,"x":`+deep(100_000)), status: denied},
		{name: "depth 10,000 beside the object", body: with(`"dryRun"`, `"x":`+deep(10_000)+`,"dryRun"`), status: 400},
		{name: "nothing but depth 10,000", body: deep(10_000), status: 400},
		{name: "an object that does not end", body: forgery(uid, node, `,"x":`+strings.Repeat(`{"a":`, 100_000)), status: denied},
		{name: "invalid UTF-8 in the object", body: forgery(uid, node, ",\"x\":\"\xff\""), status: denied},
		{name: "invalid UTF-8 in the name", body: with(`"name":"`+node, "\"name\":\"\xff"), status: 400},
		{name: "an object that is a list", body: review(uid, node, `[]`), status: denied},
		{name: "no object", body: review(uid, node, `null`), status: denied},
		{name: "no operation", body: with(`"operation":"UPDATE",`, ""), status: 400},
		{name: "an unknown operation", body: with(`UPDATE`, "PATCH"), status: 400},
		{name: "no user", body: with(`"username":"system:node:`+node+`",`, ""), status: 400},
		{name: "a uid of a megabyte", body: with(uid, strings.Repeat("u", 1<<20)), status: 400},
		{name: "an object of 33 MiB", body: forgery(uid, node, `,"x":"`+strings.Repeat("x", 33<<20)+`"`), status: denied},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := d.sender(t, controlplane.Certificate{})
			method, header := http.MethodPost, http.Header{"Content-Type": {suite.JSONType}}
			if test.change != nil {
				test.change(&method, header)
			}
			first, err := d.product.Records.Len()
			suite.Check(t, err)
			got, err := s.send(suite.Within(t, time.Minute), method, "/admit", header, []byte(test.body))
			suite.Check(t, err)
			if test.status == denied && !got.deniedAs(uid) || test.status != denied && got.status != test.status {
				t.Errorf("got %s", got)
			}
			records, err := d.product.Records.Since(first)
			suite.Check(t, err)
			if want := 1; test.status != denied && len(records) != 0 || test.status == denied && len(records) != want {
				t.Errorf("there are %d records", len(records))
			}
		})
	}
	d.checkEnforced(t, record.ClientAuthNone)
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(text))
	suite.Check(t, err)
	suite.Check(t, w.Close())
	return b.String()
}

// testPolicies sends the webhook for policies requests that no API server sends.
func (d *listener) testPolicies(t *testing.T) {
	good := `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"` + uid + `","operation":"CREATE",` +
		`"kind":{"group":"noderestriction.plus","version":"v1alpha1","kind":"NodeRestrictionPolicy"},` +
		`"resource":{"group":"noderestriction.plus","version":"v1alpha1","resource":"noderestrictionpolicies"},` +
		`"userInfo":{"username":"a"},"object":{"apiVersion":"noderestriction.plus/v1alpha1",` +
		`"kind":"NodeRestrictionPolicy","metadata":{"name":"a"},"spec":{"match":{"nodeSelector":{"matchLabels":{"a":" "}}}}}}}`
	deep := strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)
	for _, test := range []struct {
		name, body string
		readable   bool // has a UID for the answer
	}{
		{"a review that is denied", good, true},
		{"a Node", forgery(uid, node, ""), true},
		{"an object that is a list", strings.Replace(good, `"object":{`, `"object":[],"x":{`, 1), false},
		{"no object", strings.Replace(good, `"object":{`, `"x":{`, 1), false},
		{"depth 10,000 in the object", strings.Replace(good, `"spec":{`, `"spec":{"x":`+deep+`,`, 1), false},
		{"a truncated review", good[:len(good)-1], false},
		{"a null", "null", false},
		{"an empty body", "", false},
		{"a request that is null", `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":null}`, false},
		{"8 MiB", strings.Replace(good, `"name":"a"`, `"name":"`+strings.Repeat("a", 8<<20)+`"`, 1), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := d.sender(t, controlplane.Certificate{})
			got, err := s.post(suite.Within(t, time.Minute), "/policies", []byte(test.body))
			suite.Check(t, err)
			if got.allowed() || test.readable && !got.deniedAs(uid) {
				t.Errorf("got %s", got)
			}
		})
	}
	d.checkEnforced(t, record.ClientAuthNone)
}
