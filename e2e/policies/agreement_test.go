// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/config/crd"
	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/kubectl"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

var (
	drawn = flag.Int("drawn", 10_000, "how many policies to draw")
	seed  = flag.Uint64("seed", 0, "seed of the policies that are drawn; 0: the time")
)

// patience is how long policies are drawn at most.
const patience = 2 * time.Minute

// path is where an API server validates a policy as strictly as kubectl does, without storing it.
const path = "/apis/noderestriction.plus/v1alpha1/noderestrictionpolicies?dryRun=All&fieldValidation=Strict"

// stricter are the errors that check reports although an API server accepts the policy, each by a part of its text. The policy
// webhook warns about most of them.
func stricter() map[string]string {
	return map[string]string{
		"spec.match.nodeSelector":       "the schema does not say what a selector, a label key or a label value is",
		"spec.nodes.info.allowed[":      "the schema does not say which keys a map has",
		": matches no ":                 "a pattern that matches nothing opens a hole, or locks kubelets out",
		"must be a key without a value": "a pattern with a value matches no key",
		"no kubelet may register":       "the rule would lock every kubelet out",
		"every range is also denied":    "the rule would lock every kubelet out",
	}
}

// agreement compares the two.
type agreement struct {
	client    *http.Client
	host      string
	compiler  *policy.Compiler
	asked     atomic.Int64
	valid     atomic.Int64
	mutex     sync.Mutex
	stricter  map[string]int // by part of the text
	different int
}

// TestCheckAgreesWithTheAPIServer draws policies and has an API server with the CRD, but without the webhook, and check decide about
// each. They must agree whether it is valid, and check must name each field that the API server names.
func TestCheckAgreesWithTheAPIServer(t *testing.T) {
	a := &agreement{compiler: rules.NewCompiler(), stricter: map[string]int{}}
	a.connect(t)
	root := schemaOf(t)
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", *seed)
	started := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var next atomic.Int64
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for n := next.Add(1); n <= int64(*drawn) && ctx.Err() == nil && !a.enough(); n = next.Add(1) {
				d := &drawer{Rand: rand.New(rand.NewPCG(*seed, uint64(n)))}
				a.compare(t, d.policy(root), n%2 == 0)
			}
		})
	}
	workers.Wait()
	t.Logf("%d policies in %s, of them %d valid", a.asked.Load(), time.Since(started).Round(time.Second), a.valid.Load())
	for text, n := range a.stricter {
		t.Logf("check is stricter about %s in %d", text, n)
	}
	if asked, valid := a.asked.Load(), a.valid.Load(); asked < int64(*drawn) && asked < 1000 || valid < asked/10 || valid > asked*9/10 {
		t.Errorf("%d policies, of them %d valid: that compares too little", asked, valid)
	}
}

// connect starts an API server with the CRD.
func (a *agreement) connect(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp("", "nrp-policies-")
	suite.Check(t, err)
	t.Cleanup(func() { suite.Check(t, os.RemoveAll(dir)) })
	plane, err := controlplane.Start(t.Context(), controlplane.Options{Dir: dir, Log: t.Output()})
	suite.Check(t, err)
	t.Cleanup(plane.Stop)
	config, err := plane.Admin()
	suite.Check(t, err)
	config.QPS = -1
	admin := kubectl.Kubectl{Kubeconfig: filepath.Join(dir, "admin.kubeconfig")}
	admin.Path, err = binaries.Path(t.Context(), t.Output(), binaries.Kubectl())
	suite.Check(t, err)
	suite.Check(t, controlplane.WriteKubeconfig(admin.Kubeconfig, config))
	suite.Check(t, admin.Apply(t.Context(), []byte(crd.YAML())))
	_, err = admin.Run(t.Context(), nil, "wait", "--for=condition=Established", "--all", "--timeout=2m", "crd")
	suite.Check(t, err)
	a.host = config.Host
	a.client, err = rest.HTTPClientFor(config)
	suite.Check(t, err)
}

func schemaOf(t *testing.T) schema {
	t.Helper()
	var definition struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema schema `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	suite.Check(t, yaml.Unmarshal([]byte(crd.YAML()), &definition))
	return definition.Spec.Versions[0].Schema.OpenAPIV3Schema
}

// enough reports whether there are more differences than anyone reads.
func (a *agreement) enough() bool {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.different >= 20
}

// compare asks both about a policy, which check reads as YAML or as JSON.
func (a *agreement) compare(t *testing.T, drawn map[string]any, asYAML bool) {
	body, err := json.Marshal(drawn)
	if err != nil {
		t.Error(err)
		return
	}
	status, err := a.ask(t.Context(), body)
	if err != nil {
		if t.Context().Err() == nil {
			t.Error(err)
		}
		return
	}
	a.asked.Add(1)
	text := body
	if asYAML {
		if text, err = yaml.JSONToYAML(body); err != nil {
			t.Error(err)
			return
		}
	}
	file := manifest.Read(bytes.NewReader(text), a.compiler)
	if len(file.Policies) != 1 {
		a.differ(t, body, "check does not find the policy: %v", file.Err())
		return
	}
	problems := file.Policies[0].Errors
	switch {
	case status == nil:
		a.valid.Add(1)
		a.accepted(t, body, problems)
	case len(problems) == 0:
		a.differ(t, body, "check accepts what the API server refuses: %s", status.Message)
	default:
		a.named(t, body, problems, status)
	}
}

// ask returns nil if the API server accepts a policy, or else why not.
func (a *agreement) ask(ctx context.Context, body []byte) (*metav1.Status, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.host+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := a.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return nil, err
	case response.StatusCode == http.StatusCreated:
		return nil, nil //nolint:nilnil // There is nothing wrong.
	case response.StatusCode != http.StatusUnprocessableEntity && response.StatusCode != http.StatusBadRequest:
		return nil, fmt.Errorf("the API server answers %s: %s", response.Status, answer)
	}
	status := &metav1.Status{}
	return status, json.Unmarshal(answer, status)
}

// accepted counts what check reports about a policy that the API server accepts.
func (a *agreement) accepted(t *testing.T, body []byte, problems []manifest.Problem) {
	for _, p := range problems {
		known := ""
		for text := range stricter() {
			if strings.Contains(p.String(), text) {
				known = text
			}
		}
		if known == "" {
			a.differ(t, body, "check refuses what the API server accepts: %s", p.String())
			return
		}
		a.mutex.Lock()
		a.stricter[known]++
		a.mutex.Unlock()
	}
}

// named finds the fields that the API server names and check does not.
func (a *agreement) named(t *testing.T, body []byte, problems []manifest.Problem, status *metav1.Status) {
	if status.Details == nil {
		return
	}
	for _, cause := range status.Details.Causes {
		named := cause.Field == "" || strings.HasPrefix(cause.Field, "<nil>")
		for _, p := range problems {
			ours, theirs := dotted(p.Field), dotted(cause.Field)
			named = named || strings.HasPrefix(ours, theirs) || strings.HasPrefix(theirs, ours)
		}
		if !named {
			a.differ(t, body, "check does not name %s: %s", cause.Field, cause.Message)
		}
	}
}

// dotted writes a path with dots alone: an API server writes the keys of maps in more than one way.
func dotted(path string) string { return strings.NewReplacer("[", ".", "]", "").Replace(path) }

func (a *agreement) differ(t *testing.T, body []byte, format string, args ...any) {
	a.mutex.Lock()
	a.different++
	a.mutex.Unlock()
	t.Errorf("%.2000s\n%s", fmt.Sprintf(format, args...), body)
}
