// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/review"
)

// TestProbe gives the command the answers of API servers.
func TestProbe(t *testing.T) {
	nodes := schema.GroupResource{Resource: "nodes"}
	forbidden := func(text string) metav1.Status {
		s := apierrors.NewForbidden(nodes, review.ProbeNode, nil).Status()
		s.TypeMeta, s.Message = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, text
		return s
	}
	created := metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Node", APIVersion: "v1"}, Code: http.StatusCreated}
	denied := forbidden(`admission webhook "registration.noderestriction.plus" denied the request: ` + review.ProbeDenied)
	for name, test := range map[string]struct {
		answers []metav1.Status // the last one for ever
		timeout time.Duration
		code    int
		text    string
	}{
		"it is denied":                             {[]metav1.Status{denied}, 0, 0, "the write is denied"},
		"it passes":                                {[]metav1.Status{created}, 0, 1, "check the ValidatingWebhookConfiguration"},
		"somebody else denies it":                  {[]metav1.Status{forbidden("no")}, 0, 2, "it is unknown"},
		"it may not impersonate":                   {[]metav1.Status{forbidden("cannot impersonate")}, 0, 2, "cannot impersonate"},
		"it is denied when the API server asks":    {[]metav1.Status{created, denied}, time.Minute, 0, "the write is denied"},
		"the time is over, and it is still let in": {[]metav1.Status{created}, time.Millisecond, 1, "allowed a kubelet's write"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				checkProbeRequest(t, r)
				answer := test.answers[min(int(asked.Add(1)), len(test.answers))-1]
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(int(answer.Code))
				_ = json.NewEncoder(w).Encode(answer) // a client that is gone is the test's end
			}))
			defer server.Close()
			kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
			if err := os.WriteFile(kubeconfig, kubeconfigFor(server.URL), 0o600); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			err := run(t.Context(), &out, kubeconfig, test.timeout)
			text := out.String()
			if err != nil {
				text = err.Error()
			}
			if code := command.ExitCode(err); code != test.code || !strings.Contains(text, test.text) {
				t.Errorf("the exit code is %d, want %d; it says %q", code, test.code, text)
			}
		})
	}
}

// checkProbeRequest checks that the write is a dry run in the name of the kubelet that does not exist.
func checkProbeRequest(t *testing.T, r *http.Request) {
	t.Helper()
	if r.Method != http.MethodPost || r.URL.Path != "/api/v1/nodes" || r.URL.Query().Get("dryRun") != "All" {
		t.Errorf("it sends %s %s", r.Method, r.URL)
	}
	if user := r.Header.Get("Impersonate-User"); user != "system:node:"+review.ProbeNode {
		t.Errorf("it impersonates %q", user)
	}
	if groups := r.Header.Values("Impersonate-Group"); len(groups) != 1 || groups[0] != "system:nodes" {
		t.Errorf("it impersonates the groups %q", groups)
	}
}

func kubeconfigFor(server string) []byte {
	return []byte(`{"apiVersion": "v1", "kind": "Config", "current-context": "x",
		"clusters": [{"name": "x", "cluster": {"server": "` + server + `"}}],
		"contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}], "users": [{"name": "x", "user": {}}]}`)
}
