// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package webhooks_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	admission "noderestriction.plus/internal/review"
)

func TestBodiesThatAreNoReviewAreRefused(t *testing.T) {
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	if _, err := io.WriteString(zip, attack("u-1", "worker-1")); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	good := attack("u-1", "worker-1")
	deep := strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001)
	tests := map[string]struct {
		body   string
		change func(*http.Request)
		status int
	}{
		"GET":           {good, func(r *http.Request) { r.Method = http.MethodGet }, http.StatusMethodNotAllowed},
		"no media type": {good, header("Content-Type", ""), http.StatusUnsupportedMediaType},
		"a protobuf media type": {
			good, header("Content-Type", "application/vnd.kubernetes.protobuf"),
			http.StatusUnsupportedMediaType,
		},
		"a media type that only begins right": {
			good, header("Content-Type", "application/jsonp"),
			http.StatusUnsupportedMediaType,
		},
		"a content encoding": {zipped.String(), header("Content-Encoding", "gzip"), http.StatusUnsupportedMediaType},
		"a gzip body":        {zipped.String(), nil, http.StatusBadRequest},
		"an empty body":      {"", nil, http.StatusBadRequest},
		"a truncated body":   {good[:len(good)-3], nil, http.StatusBadRequest},
		"YAML":               {"kind: AdmissionReview\n", nil, http.StatusBadRequest},
		"another kind":       {`{"kind":"Node"}`, nil, http.StatusBadRequest},
		"a null request": {
			`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":null}`, nil,
			http.StatusBadRequest,
		},
		"v1beta1":       {strings.Replace(good, "k8s.io/v1", "k8s.io/v1beta1", 1), nil, http.StatusBadRequest},
		"a second uid":  {strings.Replace(good, `"uid"`, `"uid":"x","uid"`, 1), nil, http.StatusBadRequest},
		"a second user": {strings.Replace(good, `"dryRun"`, `"userInfo":{},"dryRun"`, 1), nil, http.StatusBadRequest},
		"no uid":        {strings.Replace(good, `"uid":"u-1",`, "", 1), nil, http.StatusBadRequest},
		"deep nesting outside of the objects": {
			strings.Replace(good, `"dryRun"`, `"x":`+deep+`,"dryRun"`, 1), nil,
			http.StatusBadRequest,
		},
		"more after the review": {good + good, nil, http.StatusBadRequest},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, options{})
			if response, _ := r.post(t, test.body, test.change); response.StatusCode != test.status {
				t.Errorf("got status %d, want %d", response.StatusCode, test.status)
			}
			if n := len(r.denials.records(t)); n != 0 {
				t.Errorf("got %d records", n)
			}
			if n := r.metric(t, "requests_refused_total"); n != 1 {
				t.Errorf("got %v refused requests counted", n)
			}
			if log := r.log.buf.String(); strings.Count(log, "\n") != 1 || strings.Contains(log, "goroutine") {
				t.Errorf("got the log %s", log)
			}
		})
	}
}

func header(key, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(key, value) }
}

func TestMediaTypeParametersAreAccepted(t *testing.T) {
	r := newRig(t, options{})
	response, got := r.post(t, attack("u-1", "worker-1"), header("Content-Type", "application/json; charset=utf-8"))
	if got == nil || got.Response.Allowed {
		t.Errorf("got status %d, %+v", response.StatusCode, got)
	}
}

func TestObjectsThatCannotBeReadAreDenied(t *testing.T) {
	const unreadable = violates + `unverified (the object could not be read)`
	for name, object := range map[string]string{
		"two equal names":    `{"metadata":{"name":"worker-1","name":"worker-1"}}`,
		"nested too deep":    `{"x":` + strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001) + `}`,
		"invalid UTF-8":      "{\"metadata\":{\"name\":\"\xff\"}}",
		"of another form":    `{"metadata":[]}`,
		"missing":            `null`,
		"not an object":      `"x"`,
		"a broken surrogate": `{"metadata":{"name":"\ud800"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, options{})
			_, got := r.post(t, review("u-1", "system:node:worker-1", "worker-1", object), nil)
			if got.Response.UID != "u-1" || got.Response.Allowed || got.Response.Result.Message != unreadable {
				t.Errorf("got %+v, %+v", got.Response, got.Response.Result)
			}
			if n := len(r.denials.records(t)); n != 1 {
				t.Errorf("got %d records", n)
			}
		})
	}
}

// maxBody is the maximum size of a review.
const maxBody = admission.MaxBytes

// limitedBody fails with an [http.MaxBytesError] after maxBody bytes, as the server's bodies do.
type limitedBody struct {
	io.ReadCloser
	left int
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, &http.MaxBytesError{Limit: maxBody}
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// limited bounds the bodies of a handler.
func limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent := r.Body
		r.Body = &limitedBody{sent, maxBody}
		next.ServeHTTP(w, r)
		_, _ = io.Copy(io.Discard, sent)
	})
}

// filler is an object whose annotation takes so many bytes of JSON.
func filler(n int, unit string) string {
	return `{"metadata":{"name":"worker-1","finalizers":["x"],` +
		`"annotations":{"a":"` + strings.Repeat(unit, n/len(unit)) + `"}}}`
}

func TestLargeBodies(t *testing.T) {
	defer goleak.VerifyNone(t)
	const tooLarge = violates + `unverified (the request is too large)`
	const judged = violates + `node finalizers (must not add "x")`
	tests := map[string]struct {
		bytes   int
		unit    string
		chunked bool
		message string
	}{
		"1.4 MB of <, escaped":       {1_400_000 * 6, `\u003c`, false, judged},
		"just below the limit":       {maxBody - 1000, "a", true, judged},
		"above the limit, in chunks": {maxBody, "a", true, tooLarge},
		"far above the limit":        {maxBody + 8<<20, "a", false, tooLarge},
	}
	t.Run("over HTTP", func(t *testing.T) {
		r := newRig(t, options{})
		post := r.serve(t)
		for name, test := range tests {
			object := filler(test.bytes, test.unit)
			var body io.Reader = strings.NewReader(review("u-1", "system:node:worker-1", "worker-1", object))
			if test.chunked {
				body = io.MultiReader(body) // hides the length
			}
			_, got := post(body)
			if got == nil || got.Response.UID != "u-1" || got.Response.Allowed ||
				got.Response.Result.Message != test.message {
				t.Errorf("%s: got %+v", name, got)
			}
		}
		if got := len(r.denials.records(t)); got != len(tests) {
			t.Errorf("got %d records, want %d", got, len(tests))
		}
		_, got := post(strings.NewReader(review("u-1", "admin", "worker-1", filler(maxBody, "a"))))
		if got == nil || !got.Response.Allowed {
			t.Errorf("above the limit, by somebody else: got %+v", got)
		}
	})
}

// failingBody fails after what it holds.
type failingBody struct {
	io.Reader
	err error
}

func (b *failingBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = b.err
	}
	return n, err
}

func (*failingBody) Close() error { return nil }

// busyError is an error that has a status for the client.
type busyError struct{}

func (busyError) Error() string   { return "too many requests in flight" }
func (busyError) StatusCode() int { return http.StatusTooManyRequests }

func TestBodiesThatDoNotArrive(t *testing.T) {
	tests := map[string]struct {
		err     error
		status  int
		message string
	}{
		"the connection breaks":          {io.ErrUnexpectedEOF, http.StatusBadRequest, ""},
		"the server has no room":         {fmt.Errorf("read: %w", busyError{}), http.StatusTooManyRequests, ""},
		"the server thinks it too large": {&http.MaxBytesError{Limit: 1}, http.StatusOK, "the request is too large"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, options{})
			whole := attack("u-1", "worker-1")
			response, got := r.post(t, whole, func(request *http.Request) {
				request.Body = &failingBody{strings.NewReader(whole[:strings.Index(whole, `"oldObject"`)]), test.err}
			})
			if response.StatusCode != test.status {
				t.Errorf("got status %d, want %d", response.StatusCode, test.status)
			}
			if got != nil && (got.Response.Allowed || !strings.Contains(got.Response.Result.Message, test.message)) {
				t.Errorf("got %+v, %+v", got.Response, got.Response.Result)
			}
		})
	}
}
