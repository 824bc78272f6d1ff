// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/cluster"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/kubectl"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/project"
	"noderestriction.plus/internal/manifest"
)

// strictNode is the Node that the policy strict is for. The policy recommended is for all.
const strictNode = "strict-1"

// Paths in the API.
const (
	nodesPath = "/api/v1/nodes"
	podsPath  = "/api/v1/namespaces/default/pods"
)

// hostile is a control plane with the product as the chart configures it by default, with the policy recommended in force.
type hostile struct {
	*listener
	helm    string
	kubectl kubectl.Kubectl
	admin   *suite.Client
	strict  *suite.Client // the kubelet of strictNode
	count   int             // of attacks
}

// TestHostile has a kubelet whose credential is stolen write what costs an API server or the product more than other writes,
// tenants create pods of all sizes, and pods flood the product. The webhooks have the time limits of the chart.
func TestHostile(t *testing.T) {
	h := newHostile(t)
	t.Run("an ordinary attack is denied", h.checkDenies)
	t.Run("pods of tenants", h.testTenants)
	t.Run("a slow number of a tenant", h.testTenantsSlowNumber)
	t.Run("an administrator's exponent", h.testAdministratorsExponent)
	t.Run("a token is issued also by a dry run", h.testTokenDryRun)
	t.Run("slow numbers", h.testSlowNumbers)
	t.Run("a slow number under strict", h.testStrictSlowNumbers)
	t.Run("a slow number that is stored already", h.testStoredSlowNumber)
	t.Run("a flood from a pod", h.testFlood)
	t.Run("an ordinary attack is denied afterwards", h.checkDenies)
	t.Run("the records are whole", h.checkRecords)
	h.checkHarmless(t)
}

func newHostile(t *testing.T) *hostile {
	t.Helper()
	dir, err := os.MkdirTemp("", "nrp-hostile-")
	suite.Check(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("data and logs are kept in %s", dir)
		} else if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	h := &hostile{listener: &listener{dir: dir}}
	h.plane, err = controlplane.Start(t.Context(), controlplane.Options{Dir: dir, Log: t.Output()})
	suite.Check(t, err)
	t.Cleanup(h.plane.Stop)
	h.install(t)
	h.enforce(t)
	h.register(t)
	return h
}

// install installs the product as the chart does by default, and has it asked about tokens and ResourceSlices as well.
func (h *hostile) install(t *testing.T) {
	t.Helper()
	config, err := h.plane.Admin()
	suite.Check(t, err)
	h.kubectl = kubectl.Kubectl{Kubeconfig: filepath.Join(h.dir, "admin.kubeconfig")}
	h.kubectl.Path, err = binaries.Path(t.Context(), t.Output(), binaries.Kubectl())
	suite.Check(t, err)
	suite.Check(t, controlplane.WriteKubeconfig(h.kubectl.Kubeconfig, config))
	h.helm, err = binaries.Helm(t.Context(), t.Output())
	suite.Check(t, err)
	binary, err := binaries.Product(t.Context(), t.Output(), binaries.Plain())
	suite.Check(t, err)
	h.product, err = product.Install(t.Context(), product.Options{
		Binary: binary, Dir: filepath.Join(h.dir, "product"), Config: config, CA: h.plane.CA,
		Env: []string{"GOMEMLIMIT=460MiB", "GOMAXPROCS=4"},
	}, h.kubectl, h.helm, h.plane.APIServer)
	suite.Check(t, err)
	t.Cleanup(func() {
		if err := h.product.Stop(); err != nil {
			t.Errorf("the product did not end well: %v", err)
		}
	})
	// The floor of the policy comes with it.
	suite.Check(t, h.product.Configure(t.Context(), h.kubectl, h.helm,
		"policies.recommended=Deny", "rules.serviceAccountTokens=true", "rules.resourceSlices=true"))
	h.admin, err = suite.NewAdmin(h.plane.APIServer)
	suite.Check(t, err)
	h.kubelet, err = suite.NewKubelet(h.plane.APIServer, node)
	suite.Check(t, err)
	h.strict, err = suite.NewKubelet(h.plane.APIServer, strictNode)
	suite.Check(t, err)
}

// enforce waits for recommended, which the chart has, and adds strict for one node and rules about other resources.
func (h *hostile) enforce(t *testing.T) {
	t.Helper()
	config, err := h.plane.Admin()
	suite.Check(t, err)
	client, err := product.Policies(config)
	suite.Check(t, err)
	suite.Check(t, product.AwaitReady(t.Context(), client, "recommended"))
	root, err := project.Root()
	suite.Check(t, err)
	data, err := os.ReadFile(filepath.Join(root, "config", "policies", "strict.yaml"))
	suite.Check(t, err)
	policies, err := manifest.Policies(data)
	suite.Check(t, err)
	others := &v1alpha1.NodeRestrictionPolicy{}
	others.Name = "others"
	others.Spec.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Deny}
	others.Spec.ServiceAccountTokens = &v1alpha1.ServiceAccountTokens{}
	others.Spec.ResourceSlices = &v1alpha1.ResourceSlices{}
	for _, p := range policies {
		p.Spec.Match = &v1alpha1.Match{NodeNames: []v1alpha1.Pattern{strictNode}}
		suite.Check(t, product.Enforce(t.Context(), client, p))
	}
	suite.Check(t, product.Enforce(t.Context(), client, others))
}

// register has both kubelets register, and waits until the whole configuration is in force.
func (h *hostile) register(t *testing.T) {
	t.Helper()
	for name, kubelet := range map[string]*suite.Client{node: h.kubelet, strictNode: h.strict} {
		if a := kubelet.Do(t.Context(), suite.RegisterNode(name, nil)); a.Outcome != suite.Allowed {
			t.Fatal(a)
		}
		// It has an address and quantities, as any.
		const status = `{"status":{"addresses":[{"type":"InternalIP","address":"10.0.0.1"}],` +
			`"capacity":{"cpu":"8","memory":"16Gi","pods":"110"},"allocatable":{"cpu":"8","memory":"16Gi","pods":"110"}}}`
		if a := kubelet.Do(t.Context(), suite.PatchNodeStatus(name, status)); a.Outcome != suite.Allowed {
			t.Fatal(a)
		}
	}
	suite.Check(t, h.product.Process().Await(suite.Within(t, time.Minute), func(ctx context.Context) error {
		// ResourceSlices are sent last of all.
		write := createsSlice("probe", "1")
		write.DryRun = true
		if a := h.kubelet.Do(ctx, write); a.Outcome != suite.Denied {
			return fmt.Errorf("a ResourceSlice is %s", a)
		}
		return nil
	}))
}

// checkDenies makes an attack of which nothing is slow: it is denied by name, and an ordinary write passes.
func (h *hostile) checkDenies(t *testing.T) {
	t.Helper()
	address := h.nextAddress()
	a := h.kubelet.Do(t.Context(), suite.PatchNodeStatus(node, toJSON(t, nodeChange(address, "", "", ""))))
	if a.Outcome != suite.Denied || !strings.Contains(a.Text, "recommended") {
		t.Errorf("an ordinary attack was %s", a)
	}
	h.checkNotStored(t, nodesPath+"/"+node, address)
	if a := h.kubelet.Do(t.Context(), suite.Heartbeat(node, time.Now())); a.Outcome != suite.Allowed {
		t.Errorf("a heartbeat was %s", a)
	}
	capacity := fmt.Sprintf(`{"status":{"capacity":{"ephemeral-storage":"%dMi"}}}`, 1000+h.count)
	if a := h.kubelet.Do(t.Context(), suite.PatchNodeStatus(node, capacity)); a.Outcome != suite.Allowed {
		t.Errorf("an ordinary write was %s", a)
	}
}

// nextAddress is an address on loopback that no earlier attack had, by which what is stored can be told.
func (h *hostile) nextAddress() string {
	h.count++
	return fmt.Sprintf("127.%d.%d.9", 1+h.count/250, 1+h.count%250)
}

// checkNotStored reads an object as an administrator. If it has the mark, an attack was stored.
func (h *hostile) checkNotStored(t *testing.T, path, mark string) (stored bool) {
	t.Helper()
	code, body, err := h.admin.Get(suite.Within(t, 2*time.Minute), path)
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

// checkRecords has the command-line tool say whether a record is missing.
func (h *hostile) checkRecords(t *testing.T) {
	t.Helper()
	tool, err := binaries.CommandLine(t.Context(), t.Output())
	suite.Check(t, err)
	cmd := exec.CommandContext(t.Context(), tool, "denials", "--verify",
		filepath.Join(h.dir, "product", "records.jsonl"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("denials --verify: %v\n%.2000s", err, out)
	}
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	suite.Check(t, err)
	return string(data)
}
