// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"encoding/json"
	"io"
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
	"k8s.io/client-go/kubernetes/scheme"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/review"
)

// TestProbe gives the command the answers of API servers.
func TestProbe(t *testing.T) {
	all := []string{"gate", "registration", "status", "others", "agents", "policies"}
	for name, test := range map[string]struct {
		webhooks []string
		answer   func(webhook string, round int) metav1.Status
		timeout  time.Duration
		code     int
		text     string
	}{
		"all webhooks deny it": {all, deniedAs, 0, 0, "the write is denied: gate, registration, status, others, agents, policies"},
		"only the registration is asked about": {
			all[1:2], only(registration, deniedAs), 0, 0, "the write is denied: registration",
		},
		"it passes": {all, created, 0, 1, "it did not call gate, registration, status, others, agents, policies, or could not"},
		"it passes at one webhook": {
			all, func(webhook string, round int) metav1.Status {
				if webhook == "status" {
					return created(webhook, round)
				}
				return deniedAs(webhook, round)
			}, 0, 1, "it did not call status, or could not",
		},
		"another webhook answers in its place": {
			all, func(string, int) metav1.Status { return deniedAs("gate", 0) }, 0, 2, "restricted by registration, status, others, agents, policies:",
		},
		"somebody else denies it": {all, forbidden("no"), 0, 2, "it is unknown"},
		"it may not impersonate":  {all, forbidden("cannot impersonate"), 0, 2, "cannot impersonate"},
		"it passes at one webhook, and another is unknown": {
			all, func(webhook string, round int) metav1.Status {
				if webhook == "status" {
					return created(webhook, round)
				}
				return forbidden("no")(webhook, round)
			}, 0, 1, "it did not call status, or could not",
		},
		"it is denied when the API server asks": {
			all, func(webhook string, round int) metav1.Status {
				if round == 1 {
					return created(webhook, round)
				}
				return deniedAs(webhook, round)
			}, time.Minute, 0, "the write is denied",
		},
		"the time is over, and it is still let in": {all, created, time.Millisecond, 1, "allowed a kubelet's write"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				webhook := probedWebhook(t, r)
				round := (int(asked.Add(1))-1)/len(test.webhooks) + 1
				answer := test.answer(webhook, round)
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
			err := run(t.Context(), &out, kubeconfig, test.webhooks, test.timeout)
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

// forbidden answers that the write is forbidden, with a text.
func forbidden(text string) func(string, int) metav1.Status {
	return func(string, int) metav1.Status {
		s := apierrors.NewForbidden(schema.GroupResource{Resource: "nodes"}, review.ProbeNode, nil).Status()
		s.TypeMeta, s.Message = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, text
		return s
	}
}

// deniedAs answers as an API server whose webhook denies.
func deniedAs(webhook string, _ int) metav1.Status {
	return forbidden(`admission webhook "`+webhook+`.noderestriction.plus" denied the request: `+review.ProbeDenied)("", 0)
}

// created answers that the write passes.
func created(webhook string, _ int) metav1.Status {
	kind := metav1.TypeMeta{Kind: "CSINode", APIVersion: "storage.k8s.io/v1"}
	if webhook == registration {
		kind = metav1.TypeMeta{Kind: "Node", APIVersion: "v1"}
	}
	return metav1.Status{TypeMeta: kind, Code: http.StatusCreated}
}

// only answers writes for one webhook, and lets all others pass.
func only(webhook string, answer func(string, int) metav1.Status) func(string, int) metav1.Status {
	return func(asked string, round int) metav1.Status {
		if asked == webhook {
			return answer(asked, round)
		}
		return created(asked, round)
	}
}

// probedWebhook checks that the write is a dry run in the name of the kubelet that does not exist, and returns the webhook to which it
// goes.
func probedWebhook(t *testing.T, r *http.Request) string {
	t.Helper()
	if r.Method != http.MethodPost || r.URL.Query().Get("dryRun") != "All" {
		t.Errorf("it sends %s %s", r.Method, r.URL)
	}
	if user := r.Header.Get("Impersonate-User"); user != "system:node:"+review.ProbeNode {
		t.Errorf("it impersonates %q", user)
	}
	if groups := r.Header.Values("Impersonate-Group"); len(groups) != 1 || groups[0] != "system:nodes" {
		t.Errorf("it impersonates the groups %q", groups)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	decoded, _, err := scheme.Codecs.UniversalDeserializer().Decode(body, nil, nil)
	object, ok := decoded.(metav1.Object)
	if err != nil || !ok || object.GetName() != review.ProbeNode {
		t.Errorf("it creates %v: %v", decoded, err)
		return ""
	}
	switch r.URL.Path {
	case "/api/v1/nodes":
		return registration
	case "/apis/storage.k8s.io/v1/csinodes":
		return object.GetAnnotations()[review.ProbeAnnotation]
	}
	t.Errorf("it sends %s", r.URL.Path)
	return ""
}

func kubeconfigFor(server string) []byte {
	return []byte(`{"apiVersion": "v1", "kind": "Config", "current-context": "x",
		"clusters": [{"name": "x", "cluster": {"server": "` + server + `"}}],
		"contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}], "users": [{"name": "x", "user": {}}]}`)
}
