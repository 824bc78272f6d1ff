// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package review_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"noderestriction.plus/internal/review"
)

// kubeletUpdate is a review as an API server sends it: a kubelet patches its Node through nodes/status.
const kubeletUpdate = `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{` +
	`"uid":"705ab4f5-6393-11e8-b7cc-42010a800002",` +
	`"kind":{"group":"","version":"v1","kind":"Node"},"resource":{"group":"","version":"v1","resource":"nodes"},` +
	`"subResource":"status","requestKind":{"group":"","version":"v1","kind":"Node"},` +
	`"requestResource":{"group":"","version":"v1","resource":"nodes"},"requestSubResource":"status",` +
	`"name":"worker-1","operation":"UPDATE",` +
	`"userInfo":{"username":"system:node:worker-1","groups":["system:nodes","system:authenticated"],` +
	`"extra":{"authentication.kubernetes.io/credential-id":["X509SHA256=0"]}},` +
	`"object":{"metadata":{"name":"worker-1","labels":{"a":"b"}}},` +
	`"oldObject":{"metadata":{"name":"worker-1"}},` +
	`"dryRun":true,"options":{"kind":"PatchOptions","apiVersion":"meta.k8s.io/v1"}}}`

// coreNodes and uid are parts of kubeletUpdate that tests replace.
const (
	coreNodes = `"resource":{"group":"","version":"v1","resource":"nodes"},"sub`
	uid       = "705ab4f5-6393-11e8-b7cc-42010a800002"
)

// replaced is kubeletUpdate with one part replaced.
func replaced(t testing.TB, old, updated string) string {
	t.Helper()
	if strings.Count(kubeletUpdate, old) != 1 {
		t.Fatalf("%q is not in the review exactly once", old)
	}
	return strings.Replace(kubeletUpdate, old, updated, 1)
}

func TestDecodeKeepsTheWholeEnvelope(t *testing.T) {
	body := []byte(kubeletUpdate)
	r, err := review.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	q := r.Request
	got := fmt.Sprintln(r.UID, r.User.Username, r.User.Groups, r.User.Extra, r.Kubelet, q.Version,
		q.NodeName, q.Operation, q.Resource, q.Subresource, q.Namespace, q.Name, q.DryRun, q.Undecodable,
		string(q.Options))
	want := fmt.Sprintln(uid, "system:node:worker-1",
		"[system:nodes system:authenticated]", "map[authentication.kubernetes.io/credential-id:[X509SHA256=0]]",
		"true", "v1", "worker-1", "UPDATE", "nodes", "status", "", "worker-1", "true", "",
		`{"kind":"PatchOptions","apiVersion":"meta.k8s.io/v1"}`)
	if got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	if want := `{"metadata":{"name":"worker-1","labels":{"a":"b"}}}`; string(q.Object) != want {
		t.Errorf("object: got %s, want %s", q.Object, want)
	}
	if want := `{"metadata":{"name":"worker-1"}}`; string(q.OldObject) != want {
		t.Errorf("oldObject: got %s, want %s", q.OldObject, want)
	}
	if at := bytes.Index(body, q.Object); &body[at] != &q.Object[0] {
		t.Error("object: was copied, want a part of the body")
	}
	if cap(q.Object) != len(q.Object) {
		t.Error("object: appending to it would write over the rest of the body")
	}
}

func TestDecodeRefuses(t *testing.T) {
	tests := map[string]struct{ body, err string }{
		"an empty body": {"", "the body: EOF"},
		"white space":   {" \n", "the body: EOF"},
		"a gzip body":   {"\x1f\x8b\x08\x00", "the body: jsontext: invalid character"},
		"YAML":          {"kind: AdmissionReview", "the body: jsontext: invalid character"},
		"an array":      {"[" + kubeletUpdate + "]", "the body: must be a JSON object"},
		"another kind":  {`{"kind":"Node"}`, `kind: must be AdmissionReview, not "Node"`},
		"a kind in lower case": {
			replaced(t, `"AdmissionReview"`, `"admissionreview"`),
			"kind: must be AdmissionReview",
		},
		"a number for a kind": {replaced(t, `"AdmissionReview"`, `1`), "kind: must be a string"},
		"v1beta1": {
			replaced(t, "admission.k8s.io/v1", "admission.k8s.io/v1beta1"),
			`apiVersion: must be admission.k8s.io/v1, not "admission.k8s.io/v1beta1"`,
		},
		"no request": {
			`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}`,
			"request: must be set",
		},
		"a null request": {
			`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":null}`,
			"request: must be set",
		},
		"a request in capitals": {replaced(t, `"request":`, `"Request":`), "request: must be set"},
		"a list of requests": {
			`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":[{}]}`,
			"request: must be a JSON object",
		},
		"no uid": {
			replaced(t, `"uid":"705ab4f5-6393-11e8-b7cc-42010a800002",`, ""),
			"request.uid: must be set",
		},
		"an empty uid": {replaced(t, uid, ""), "request.uid: must be set"},
		"a null uid": {
			replaced(t, `"705ab4f5-6393-11e8-b7cc-42010a800002"`, "null"),
			"request.uid: must be set",
		},
		"a long uid": {
			replaced(t, uid, strings.Repeat("a", 257)),
			"request.uid: must have at most 256 bytes",
		},
		"no resource": {replaced(t, coreNodes, `"sub`), "request.resource.resource: must be set"},
		"no version": {
			replaced(t, coreNodes, `"resource":{"resource":"nodes"},"sub`),
			"request.resource.version: must be set",
		},
		"an unknown operation": {
			replaced(t, "UPDATE", "PATCH"),
			`request.operation: must be CREATE, UPDATE, DELETE or CONNECT, not "PATCH"`,
		},
		"no user": {replaced(t, `"userInfo":`, `"x":`), "request.userInfo.username: must be set"},
		"a null user": {
			replaced(t, `"userInfo":{`, `"userInfo":null,"x":{`),
			"request.userInfo.username: must be set",
		},
		"a user without a name": {replaced(t, `"username":`, `"x":`), "request.userInfo.username: must be set"},
		"a malformed object before the user": {
			strings.Replace(userLast(t), `"labels":{`, `"labels":{"a":"x",`, 1),
			"request.userInfo.username: must be set",
		},
		"a user that is text": {
			replaced(t, `"userInfo":{`, `"userInfo":"root","x":{`),
			"request.userInfo: must be a JSON object",
		},
		"two uids": {
			replaced(t, `"uid":`, `"uid":"x","uid":`),
			`duplicate object member name "uid"`,
		},
		"two users": {
			replaced(t, `"dryRun":`, `"userInfo":{"username":"admin"},"dryRun":`),
			`duplicate object member name "userInfo"`,
		},
		"two user names": {
			replaced(t, `"username":`, `"username":"admin","username":`),
			`duplicate object member name "username"`,
		},
		"two objects": {
			replaced(t, `"dryRun":`, `"object":{},"dryRun":`),
			`duplicate object member name "object"`,
		},
		"two requests": {
			replaced(t, `{"kind":"AdmissionReview"`, `{"request":{},"kind":"AdmissionReview"`),
			`duplicate object member name "request"`,
		},
		"invalid UTF-8":    {replaced(t, "system:node:worker-1", "system:node:\xff"), "invalid UTF-8"},
		"half a surrogate": {replaced(t, "system:node:worker-1", `system:node:\ud800`), "invalid"},
		"the end missing":  {kubeletUpdate[:len(kubeletUpdate)-1], "EOF"},
		"only the head":    {kubeletUpdate[:strings.Index(kubeletUpdate, `"object"`)], "EOF"},
		"a second review":  {kubeletUpdate + kubeletUpdate, "nothing after it"},
		"text after it":    {kubeletUpdate + "x", "invalid character 'x'"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := review.Decode([]byte(test.body))
			if err == nil {
				t.Fatalf("got a review with uid %q, want error %q", r.UID, test.err)
			}
			if !strings.Contains(err.Error(), test.err) {
				t.Errorf("got error %q, want %q", err, test.err)
			}
		})
	}
}

func TestDecodeToleratesWhatANewerServerMaySend(t *testing.T) {
	for name, body := range map[string]string{
		"an unknown field of the review": replaced(t, `{"kind":"AdmissionReview"`,
			`{"new":[{"a":1}],"kind":"AdmissionReview"`),
		"an unknown field of the request": replaced(t, `"dryRun":`, `"new":{"uid":"x"},"dryRun":`),
		"an unknown field of the user":    replaced(t, `"username":`, `"shoeSize":42,"username":`),
		"white space around it":           "\n " + kubeletUpdate + " \n",
		"the user after the objects":      userLast(t),
	} {
		t.Run(name, func(t *testing.T) {
			r, err := review.Decode([]byte(body))
			if err != nil {
				t.Fatal(err)
			}
			if r.Request.Undecodable != "" || r.Request.NodeName != "worker-1" || !r.Request.DryRun {
				t.Errorf("got %+v", r.Request)
			}
		})
	}
}

// userLast is kubeletUpdate in another order, as people write reviews by hand.
func userLast(t testing.TB) string {
	t.Helper()
	start := strings.Index(kubeletUpdate, `"userInfo":`)
	end := strings.Index(kubeletUpdate, `"object":`)
	user := strings.TrimSuffix(kubeletUpdate[start:end], ",")
	return strings.TrimSuffix(kubeletUpdate[:start]+kubeletUpdate[end:], "}}") + "," + user + "}}"
}

func TestDecodeMakesAMalformedObjectUnjudgeable(t *testing.T) {
	for name, body := range map[string]string{
		"two equal names": replaced(t, `"labels":{"a":"b"}`, `"labels":{"a":"b","a":"c"}`),
		"invalid UTF-8":   replaced(t, `"labels":{"a":"b"}`, "\"labels\":{\"a\":\"\xff\"}"),
		"nested too deep": replaced(t, `"labels":{"a":"b"}`,
			`"x":`+strings.Repeat("[", 10_001)+strings.Repeat("]", 10_001)),
		"cut off":                kubeletUpdate[:strings.Index(kubeletUpdate, `"labels"`)+3],
		"two names in oldObject": replaced(t, `"oldObject":{`, `"oldObject":{"metadata":{},`),
		"bad options":            replaced(t, `"options":{`, `"options":{"kind":"x",`),
	} {
		t.Run(name, func(t *testing.T) {
			r, err := review.Decode([]byte(body))
			if err != nil {
				t.Fatal(err)
			}
			q := r.Request
			if r.UID == "" || q.NodeName != "worker-1" || q.Undecodable != "the object could not be read" {
				t.Errorf("got %+v", q)
			}
		})
	}
}

func TestDecodeBoundsAndEscapesItsErrors(t *testing.T) {
	for _, body := range []string{
		replaced(t, `"AdmissionReview"`, `"`+strings.Repeat("\\u001b[2J\u2028", 10_000)+`"`),
		replaced(t, `"dryRun":`, strings.Repeat(`"`+strings.Repeat("ä\u202e", 10_000)+`":1,`, 2)+`"dryRun":`),
	} {
		_, err := review.Decode([]byte(body))
		if err == nil {
			t.Fatal("got no error")
		}
		text := err.Error()
		if len(text) > 2048 || strings.ContainsAny(text, "\x1b\u2028\u202e\n") {
			t.Errorf("got an error of %d bytes: %q", len(text), text)
		}
	}
}

func TestDecodeQualifiesResourcesOfOtherGroups(t *testing.T) {
	r, err := review.Decode([]byte(replaced(t,
		coreNodes,
		`"resource":{"group":"example.com","version":"v7","resource":"nodes"},"sub`)))
	if err != nil {
		t.Fatal(err)
	}
	if r.Request.Resource != "nodes.example.com" || r.Request.Undecodable != "" {
		t.Errorf("got %+v", r.Request)
	}
}

func TestDecodeDoesNotJudgeAnUnknownVersionOfACoreResource(t *testing.T) {
	r, err := review.Decode([]byte(replaced(t,
		coreNodes,
		`"resource":{"group":"","version":"v2","resource":"nodes"},"sub`)))
	if err != nil {
		t.Fatal(err)
	}
	if want := "the version of the object is not known"; r.Request.Undecodable != want {
		t.Errorf("got %q, want %q", r.Request.Undecodable, want)
	}
}

func TestDecodeHead(t *testing.T) {
	const reason = "the request is larger than 32 MiB"
	whole := strings.Index(kubeletUpdate, `"object":`)
	for name, prefix := range map[string]string{
		"up to the object":       kubeletUpdate[:whole+len(`"object":`)],
		"the object cut off":     kubeletUpdate[:whole+20],
		"the object whole":       kubeletUpdate[:strings.Index(kubeletUpdate, `"oldObject"`)],
		"the whole review":       kubeletUpdate,
		"an object of pure mess": kubeletUpdate[:whole] + `"object":` + "\xff\xfe",
	} {
		t.Run(name, func(t *testing.T) {
			r, err := review.DecodeHead([]byte(prefix), reason)
			if err != nil {
				t.Fatal(err)
			}
			q := r.Request
			if r.UID == "" || q.NodeName != "worker-1" || q.Resource != "nodes" || q.Subresource != "status" ||
				q.Operation != "UPDATE" || q.Name != "worker-1" ||
				q.Undecodable != reason || q.Object != nil || q.OldObject != nil {
				t.Errorf("got %+v", q)
			}
		})
	}
	for name, prefix := range map[string]string{
		"no user yet":               kubeletUpdate[:strings.Index(kubeletUpdate, `"userInfo"`)],
		"a cut-off user":            kubeletUpdate[:strings.Index(kubeletUpdate, `"groups"`)],
		"two uids":                  replaced(t, `"uid":`, `"uid":"x","uid":`),
		"no request":                `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","object":{`,
		"nothing":                   "",
		"the user after the object": userLast(t),
	} {
		t.Run(name, func(t *testing.T) {
			if r, err := review.DecodeHead([]byte(prefix), reason); err == nil {
				t.Errorf("got %+v, want an error", r)
			}
		})
	}
}
