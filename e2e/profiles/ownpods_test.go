// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package profiles_test

import (
	"fmt"
	"net/http"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/e2e/cluster"
	"noderestriction.plus/e2e/controlplane"
)

// testOwnPods: only the kubelet of its node may change a pod of the program without the program being asked. That is seen at
// an API server without the NodeRestriction plugin, which would refuse most of it.
func (s *setup) testOwnPods(t *testing.T, n *node) {
	o, err := s.APIServerOptions()
	suite.Check(t, err)
	o.WithoutNodeRestriction = true
	open, err := s.ControlPlane.AddAPIServer(t.Context(), o)
	suite.Check(t, err)
	defer open.Stop()
	attacker := s.openNode(t, open, n.name, n.uid)
	attacker.awaitDenied(t)
	host := s.openNode(t, open, s.Nodes[0].Name, "")

	const annotates = `{"metadata":{"annotations":{"example.com/by":%q}}}`
	ownPod := "/api/v1/namespaces/" + cluster.Namespace + "/pods/" + s.Replicas()[0].Pod
	update := func(path, body string) suite.Request {
		w := suite.PatchNodeStatus(n.name, body)
		w.Path = path + "/status"
		return w
	}
	attacker.do(t,
		attempt{"another kubelet updates it", update(ownPod, fmt.Sprintf(annotates, n.name)), suite.Denied},
		attempt{"another kubelet deletes it", suite.Request{Method: http.MethodDelete, Path: ownPod, Type: "application/json"}, suite.Denied},
	)
	host.do(t, attempt{"the kubelet of its node updates it", update(ownPod, fmt.Sprintf(annotates, host.name)), suite.Allowed})

	mirror := attacker.mirrorPodIn(cluster.Namespace, cluster.Name+"-evil", nil)
	name := cluster.Name + "-evil-" + n.name
	const joins = `{"metadata":{"labels":{"app.kubernetes.io/name":"node-restriction-plus","app.kubernetes.io/instance":"nrp"}}}`
	attacker.do(t,
		attempt{"a mirror pod named like it", mirror, suite.Allowed},
		attempt{"the mirror pod becomes an endpoint", update("/api/v1/namespaces/"+cluster.Namespace+"/pods/"+name, joins), suite.Denied},
	)
	suite.Check(t, s.Admin.CoreV1().Pods(cluster.Namespace).Delete(t.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}))
}

// openNode has the credential of a node for an API server.
func (s *setup) openNode(t *testing.T, server *controlplane.APIServer, name, uid string) *node {
	t.Helper()
	writer, err := suite.NewKubelet(server, name)
	suite.Check(t, err)
	return &node{name: name, uid: uid, writer: writer}
}
