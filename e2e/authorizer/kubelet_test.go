// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package authorizer_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/kubelet"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/nodeauthorizer"
)

const hollow = "hollow" // the node of the real kubelet

// life has everything that makes a kubelet read: a Secret, ConfigMaps, a claim, a token and a trust bundle. The pod runs only if the
// kubelet gets all of them. As kubeadm does, a binding lets the kubelet's certificate be renewed.
const life = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: rotation}
roleRef:
  {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient"}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:nodes"}]
---
apiVersion: v1
kind: Secret
metadata: {name: app, namespace: default}
stringData: {a: b}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: app, namespace: default}
data: {a: b}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: app}
spec:
  accessModes: [ReadWriteOnce]
  capacity: {storage: 1Gi}
  claimRef: {namespace: default, name: app}
  hostPath: {path: %q}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: app, namespace: default}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}, storageClassName: "", volumeName: app}
---
apiVersion: certificates.k8s.io/v1
kind: ClusterTrustBundle
metadata: {name: app}
spec:
  trustBundle: |
    %s
---
apiVersion: v1
kind: Pod
metadata: {name: app, namespace: default}
spec:
  nodeName: hollow
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: registry.example.com/c:stays
    envFrom: [{secretRef: {name: app}}, {configMapRef: {name: app}}]
    volumeMounts:
    - {name: secret, mountPath: /secret}
    - {name: map, mountPath: /map}
    - {name: claim, mountPath: /claim}
    - {name: projected, mountPath: /projected}
  volumes:
  - {name: secret, secret: {secretName: app}}
  - {name: map, configMap: {name: app}}
  - {name: claim, persistentVolumeClaim: {claimName: app}}
  - name: projected
    projected:
      sources:
      - serviceAccountToken: {path: token, audience: vault}
      - clusterTrustBundle: {name: app, path: ca.crt}
`

// TestKubelet runs a real kubelet with the entry of kubeadm in force, with the controllers of a cluster.
func TestKubelet(t *testing.T) {
	t.Parallel()
	dir := suite.TempDir(t, "authorizer-files")
	e := suite.NewEntry(t, dir, "", "--distribution", "kubeadm")
	s := suite.New(t, "authorizer-kubelet", controlplane.APIServerOptions{
		WithServiceAccounts: true, AuditReads: true, AuthorizationConfig: e.Config,
	})
	suite.Check(t, s.ControlPlane.CA.Write(dir))
	suite.Check(t, s.ControlPlane.StartControllers(t.Context(), t.Output(),
		"--cluster-signing-cert-file="+filepath.Join(dir, "tls.crt"), "--cluster-signing-key-file="+filepath.Join(dir, "tls.key")))
	bundle := strings.ReplaceAll(strings.TrimSpace(string(s.ControlPlane.CA.PEM())), "\n", "\n    ")
	suite.Check(t, s.Kubectl.Apply(t.Context(), fmt.Appendf(nil, life, filepath.Join(dir, "volume"), bundle)))

	began := time.Now()
	k := s.MustStartKubelet(t, kubelet.Options{Node: hollow, RotateCertificates: true})
	suite.Check(t, k.AddStaticPod("proxy", kubelet.StaticPod("proxy")))
	suite.Check(t, k.AwaitReady(suite.Within(t, timeout), s.Admin, began))
	s.AwaitPod(t, timeout, "default", "app", suite.Running)
	s.AwaitPod(t, timeout, "kube-system", "proxy-"+hollow, suite.Running)
	awaitRotation(t, s, k)

	restarted := time.Now()
	suite.Check(t, k.Restart())
	suite.Check(t, k.AwaitReady(suite.Within(t, timeout), s.Admin, restarted))
	suite.Check(t, k.RemoveStaticPod("proxy"))
	suite.Check(t, s.Admin.CoreV1().Pods("default").Delete(t.Context(), "app", metav1.DeleteOptions{}))
	s.AwaitPod(t, timeout, "kube-system", "proxy-"+hollow, suite.Gone)
	s.AwaitPod(t, timeout, "default", "app", suite.Gone)
	k.Stop()
	checkNoDenial(t, s.ControlPlane.AuditLog)
}

// awaitRotation waits until the kubelet's certificate was approved, for which a controller asks what the kubelet may do, and issued.
func awaitRotation(t *testing.T, s *suite.Suite, k *kubelet.Kubelet) {
	t.Helper()
	suite.Eventually(t, timeout, func() error {
		list, err := s.Admin.CertificatesV1().CertificateSigningRequests().List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		i := slices.IndexFunc(list.Items, func(r certificatesv1.CertificateSigningRequest) bool {
			return r.Spec.Username == authorization.NodeUserPrefix+hollow && r.Spec.SignerName == certificatesv1.KubeAPIServerClientKubeletSignerName
		})
		if i < 0 {
			return errors.New("the kubelet has not requested a certificate")
		}
		if len(list.Items[i].Status.Certificate) == 0 {
			return fmt.Errorf("the certificate is not issued: %+v", list.Items[i].Status.Conditions)
		}
		_, err = os.Stat(filepath.Join(k.CertDir(), "kubelet-client-current.pem"))
		return err
	})
}

// auditEvent is the part of an event that is checked.
type auditEvent struct {
	User struct {
		Username string              `json:"username"`
		Extra    map[string][]string `json:"extra"`
	} `json:"user"`
	Verb      string `json:"verb"`
	ObjectRef struct {
		Resource string `json:"resource"`
		Name     string `json:"name"`
	} `json:"objectRef"`
	ResponseStatus struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
	Annotations map[string]string `json:"annotations"`
}

// checkNoDenial checks that the entry has denied the kubelet nothing. Node's graph is late when a pod starts and when it is deleted, so it
// refuses single objects then, without the entry, too. The kubelet repeats such a request.
func checkNoDenial(t *testing.T, auditLog string) {
	t.Helper()
	data, err := os.ReadFile(auditLog)
	suite.Check(t, err)
	total, late, credentials, seen := 0, 0, map[string]bool{}, map[string]bool{}
	for line := range bytes.Lines(data) {
		var e auditEvent
		suite.Check(t, json.Unmarshal(line, &e))
		if e.User.Username != authorization.NodeUserPrefix+hollow {
			continue
		}
		total++
		seen[e.Verb+" "+e.ObjectRef.Resource] = true
		for _, id := range e.User.Extra["authentication.kubernetes.io/credential-id"] {
			credentials[id] = true
		}
		if e.Annotations["authorization.k8s.io/decision"] == "allow" {
			continue
		}
		if reads := []string{"get", "list", "watch"}; e.ObjectRef.Name == "" || !slices.Contains(reads, e.Verb) ||
			!slices.Contains(nodeauthorizer.RelatedResources(), e.ObjectRef.Resource) {
			t.Errorf("a request of the kubelet was not allowed: %s", line)
			continue
		}
		late++
	}
	t.Logf("%d requests of the kubelet, %d of them too early for the graph of the Node authorizer, with %d certificates",
		total, late, len(credentials))
	if len(credentials) < 2 {
		t.Error("the kubelet did not use the new certificate")
	}
	for _, request := range []string{
		"create nodes", "patch nodes", "watch nodes", "watch pods", "patch pods", "delete pods", "create pods", "get persistentvolumeclaims",
		"get persistentvolumes", "watch secrets", "watch configmaps", "create serviceaccounts", "watch clustertrustbundles", "create leases",
		"update leases", "create certificatesigningrequests", "watch services", "watch csidrivers", "watch runtimeclasses",
	} {
		if !seen[request] {
			t.Errorf("the kubelet did not %s: it did %v", request, slices.Sorted(maps.Keys(seen)))
		}
	}
}
