// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
)

// strictNode is the Node that the policy strict matches. The policy recommended matches all.
const strictNode = "strict-1"

// hostile is a control plane with the product as the chart configures it by default, with the policy recommended.
type hostile struct {
	*listener
	administrator *suite.Client
	strict        *suite.Client // the kubelet of strictNode
	count         int           // of attacks
}

// TestHostile sends writes with a stolen kubelet credential that cost an API server or the product more than other writes, creates
// tenants' pods of all sizes, and floods the product from pods. The webhooks have the timeouts of the chart.
func TestHostile(t *testing.T) {
	h := newHostile(t)
	t.Run("an ordinary attack is denied", h.checkDenies)
	t.Run("pods of tenants", h.testTenants)
	t.Run("a slow number of a tenant", h.testTenantsSlowNumber)
	t.Run("an administrator's exponent", h.testAdministratorsExponent)
	t.Run("a token that a dry run issues", h.testTokenDryRun)
	t.Run("slow numbers", h.testSlowNumbers)
	t.Run("a slow number under strict", h.testStrictSlowNumbers)
	t.Run("a stored slow number", h.testStoredSlowNumber)
	t.Run("a flood from a pod", h.testFlood)
	t.Run("an ordinary attack is denied afterwards", h.checkDenies)
	t.Run("no record is missing", h.checkRecords)
	h.checkHarmless(t)
}

func newHostile(t *testing.T) *hostile {
	t.Helper()
	h := &hostile{listener: &listener{Suite: suite.New(t, "hostile", controlplane.APIServerOptions{})}}
	h.product = h.MustInstall(t, product.Options{Env: chartEnvironment()})
	helm, err := binaries.Helm(t.Context(), t.Output())
	suite.Check(t, err)
	// The floor of the policy is installed with it. Webhooks are also called for tokens and ResourceSlices.
	suite.Check(t, h.product.Configure(t.Context(), h.Kubectl, helm,
		"policies.recommended=Deny", "rules.serviceAccountTokens=true", "rules.resourceSlices=true"))
	h.administrator = suite.Admin(t, h.ControlPlane.APIServer)
	h.kubelet = suite.Kubelet(t, h.ControlPlane.APIServer, node)
	h.strict = suite.Kubelet(t, h.ControlPlane.APIServer, strictNode)
	h.enforce(t)
	h.register(t)
	return h
}

// enforce waits for recommended, which the chart installs, and adds strict for one node and rules for other resources.
func (h *hostile) enforce(t *testing.T) {
	t.Helper()
	suite.Check(t, product.AwaitReady(t.Context(), h.Policies, "recommended"))
	policies, err := suite.ShippedPolicies("strict")
	suite.Check(t, err)
	others := &v1alpha1.NodeRestrictionPolicy{}
	others.Name = "others"
	others.Spec.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Deny}
	others.Spec.ServiceAccountTokens = &v1alpha1.ServiceAccountTokens{}
	others.Spec.ResourceSlices = &v1alpha1.ResourceSlices{}
	for _, p := range policies {
		p.Spec.Match = &v1alpha1.Match{NodeNames: []v1alpha1.Pattern{strictNode}}
		suite.Check(t, product.Enforce(t.Context(), h.Policies, p))
	}
	suite.Check(t, product.Enforce(t.Context(), h.Policies, others))
}

// register registers both kubelets, and waits until the whole configuration is in force.
func (h *hostile) register(t *testing.T) {
	t.Helper()
	for name, kubelet := range map[string]*suite.Client{node: h.kubelet, strictNode: h.strict} {
		if a := kubelet.Do(t.Context(), suite.RegisterNode(name, nil)); a.Outcome != suite.Allowed {
			t.Fatal(a)
		}
		// It has an address and quantities like any Node.
		const status = `{"status":{"addresses":[{"type":"InternalIP","address":"10.0.0.1"}],` +
			`"capacity":{"cpu":"8","memory":"16Gi","pods":"110"},"allocatable":{"cpu":"8","memory":"16Gi","pods":"110"}}}`
		if a := kubelet.Do(t.Context(), suite.PatchNodeStatus(name, status)); a.Outcome != suite.Allowed {
			t.Fatal(a)
		}
	}
	suite.Check(t, h.product.Process().Await(suite.Within(t, time.Minute), func(ctx context.Context) error {
		// The webhook for ResourceSlices is the last one to take effect.
		write := createSlice("probe", "1")
		write.DryRun = true
		if a := h.kubelet.Do(ctx, write); a.Outcome != suite.Denied {
			return fmt.Errorf("a ResourceSlice: %s", a)
		}
		return nil
	}))
}

// checkDenies makes an attack that is not slow, which must be denied by recommended, and an ordinary write, which must pass.
func (h *hostile) checkDenies(t *testing.T) {
	t.Helper()
	address := h.nextAddress()
	a := h.kubelet.Do(t.Context(), suite.PatchNodeStatus(node, suite.JSON(t, nodeChange(address, "", "", ""))))
	if a.Outcome != suite.Denied || !strings.Contains(a.Text, "recommended") {
		t.Errorf("an ordinary attack: %s", a)
	}
	h.checkNotStored(t, suite.NodesPath+"/"+node, address)
	if a := h.kubelet.Do(t.Context(), suite.Heartbeat(node, time.Now())); a.Outcome != suite.Allowed {
		t.Errorf("a heartbeat: %s", a)
	}
	capacity := fmt.Sprintf(`{"status":{"capacity":{"ephemeral-storage":"%dMi"}}}`, 1000+h.count)
	if a := h.kubelet.Do(t.Context(), suite.PatchNodeStatus(node, capacity)); a.Outcome != suite.Allowed {
		t.Errorf("an ordinary write: %s", a)
	}
}

// nextAddress returns a loopback address that no earlier attack had, which marks what an attack stores.
func (h *hostile) nextAddress() string {
	h.count++
	return fmt.Sprintf("127.%d.%d.9", 1+h.count/250, 1+h.count%250)
}

// checkNotStored reads an object as an administrator and fails the test if it has the mark of an attack.
func (h *hostile) checkNotStored(t *testing.T, path, mark string) (stored bool) {
	t.Helper()
	code, body, err := h.administrator.Get(suite.Within(t, 2*time.Minute), path)
	suite.Check(t, err)
	if code != http.StatusOK && code != http.StatusNotFound {
		t.Fatalf("%s: %d %.300q", path, code, body)
	}
	stored = strings.Contains(string(body), `"`+mark+`"`)
	if stored {
		t.Errorf("%s was stored", mark)
	}
	return stored
}

// checkRecords checks with the command-line tool that no record is missing.
func (h *hostile) checkRecords(t *testing.T) {
	t.Helper()
	tool, err := binaries.CommandLine(t.Context(), t.Output())
	suite.Check(t, err)
	cmd := exec.CommandContext(t.Context(), tool, "denials", "--verify",
		filepath.Join(h.Dir, "product", "records.jsonl"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("denials --verify: %v\n%.2000s", err, out)
	}
}
