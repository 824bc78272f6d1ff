// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/e2e/project"
	"noderestriction.plus/e2e/sandbox"
	"noderestriction.plus/e2e/suite"
)

// pathsFile lists what kubelets with real containers write beyond the recorded shapes: operation, resource and field, a tab, and when a
// stock kubelet writes it.
const pathsFile = "testdata/paths.txt"

// recorder is a webhook that records what kubelets write, and allows it.
type recorder struct {
	mu    sync.Mutex
	paths map[string]json.RawMessage // each "operation resource path", with the first such write
	count int                        // of writes
	err   error
}

// recordWrites makes the API server send each write of a kubelet to a recorder.
func (s *setup) recordWrites(t *testing.T) *recorder {
	t.Helper()
	serving, err := s.ControlPlane.CA.Server()
	suite.Check(t, err)
	pair, err := tls.X509KeyPair(serving.Cert, serving.Key)
	suite.Check(t, err)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	suite.Check(t, err)
	r := &recorder{paths: map[string]json.RawMessage{}}
	server := &http.Server{
		Handler: r, ReadHeaderTimeout: 10 * time.Second,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13},
	}
	go func() { _ = server.ServeTLS(listener, "", "") }() // until it is closed
	t.Cleanup(func() { server.Close() })
	const name = "recorder.example.com"
	_, err = s.Admin.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(t.Context(),
		&admissionregistrationv1.ValidatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Webhooks: []admissionregistrationv1.ValidatingWebhook{{
				Name: name, AdmissionReviewVersions: []string{"v1"},
				SideEffects:   new(admissionregistrationv1.SideEffectClassNone),
				FailurePolicy: new(admissionregistrationv1.Ignore), TimeoutSeconds: new(int32(10)),
				ClientConfig: admissionregistrationv1.WebhookClientConfig{
					URL: new("https://" + listener.Addr().String() + "/"), CABundle: s.ControlPlane.CA.PEM(),
				},
				MatchConditions: []admissionregistrationv1.MatchCondition{{
					Name: "kubelets", Expression: `"system:nodes" in request.userInfo.groups`,
				}},
				Rules: []admissionregistrationv1.RuleWithOperations{{
					Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.OperationAll},
					Rule: admissionregistrationv1.Rule{
						APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"nodes", "nodes/*", "pods", "pods/*"},
					},
				}},
			}},
		}, metav1.CreateOptions{})
	suite.Check(t, err)
	return r
}

// ServeHTTP records a review.
func (r *recorder) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	var review admissionv1.AdmissionReview
	if err := json.NewDecoder(request.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.add(review.Request)
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	review.Request = nil
	_ = json.NewEncoder(w).Encode(review) // the API server may be gone
}

func (r *recorder) add(request *admissionv1.AdmissionRequest) {
	paths, err := changedPaths(request)
	example, marshalErr := json.MarshalIndent(request, "", "  ")
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	r.err = errors.Join(r.err, err, marshalErr)
	write := string(request.Operation) + " " + request.Resource.Resource
	if request.SubResource != "" {
		write += "/" + request.SubResource
	}
	for _, path := range paths {
		if key := write + " " + path; r.paths[key] == nil {
			r.paths[key] = example
		}
	}
}

// check compares what was written with what the recorded shapes of kubelets without containers have, and with the paths file. Of each
// other field it keeps the first write, so that somebody can look at it.
func (r *recorder) check(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	suite.Check(t, r.err)
	known, err := recordedPaths()
	suite.Check(t, err)
	listed, err := listedPaths()
	if err != nil {
		t.Error(err)
	}
	dir := filepath.Join(sandbox.Dir(), "writes")
	suite.Check(t, os.MkdirAll(dir, 0o755))
	var found []string
	beyond := 0
	for _, path := range slices.Sorted(maps.Keys(r.paths)) {
		if known[path] {
			continue
		}
		if beyond++; listed[path] == "" {
			found = append(found, path)
		}
		suite.Check(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.json", beyond)), r.paths[path], 0o644))
		t.Logf("writes/%d.json: %s", beyond, path)
	}
	t.Logf("%d writes of nodes and pods, in which %d fields change; %d of them are in no recorded shape", r.count, len(r.paths), beyond)
	if len(found) > 0 {
		t.Errorf("kubelets write what neither the recorded shapes nor %s have: look at the writes in %s, and add when a kubelet writes it:\n%s",
			pathsFile, dir, strings.Join(found, "\n"))
	}
}

// listedPaths returns the paths of the paths file, each with when a kubelet writes it.
func listedPaths() (map[string]string, error) {
	data, err := os.ReadFile(pathsFile)
	if err != nil {
		return nil, err
	}
	listed := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		path, when, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if when == "" {
			return listed, fmt.Errorf("%s does not say when a kubelet writes %q", pathsFile, path)
		}
		listed[path] = when
	}
	return listed, nil
}

// recordedPaths returns the paths of the recorded shapes.
func recordedPaths() (map[string]bool, error) {
	data, err := project.ReadFile("policy", "rules", "testdata", "shapes.tsv")
	if err != nil {
		return nil, err
	}
	paths := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		columns := strings.Split(strings.TrimSpace(line), "\t")
		_, write, found := strings.Cut(columns[0], " ")
		if strings.HasPrefix(line, "#") || !found {
			continue
		}
		for _, path := range columns[1:] {
			paths[write+" "+path] = true
		}
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%s has no shapes", filepath.Join("policy", "rules", "testdata", "shapes.tsv"))
	}
	return paths, nil
}
