// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package profiles_test

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/e2e/cluster"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/suite"
)

// testOwnPods shows that only the kubelet of its node may change a pod of the program without a call of the webhook. The API server
// has no NodeRestriction plugin, which would refuse most of the writes.
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
	attacker.do(t,
		attempt{"another kubelet updates it", suite.PatchStatus(ownPod, fmt.Sprintf(annotates, n.name)), suite.Denied},
		attempt{"another kubelet deletes it", suite.Delete(ownPod, ""), suite.Denied},
	)
	host.do(t, attempt{"the kubelet of its node updates it", suite.PatchStatus(ownPod, fmt.Sprintf(annotates, host.name)), suite.Allowed})

	mirror := attacker.mirrorPodIn(cluster.Namespace, cluster.Name+"-evil", nil)
	name := cluster.Name + "-evil-" + n.name
	const joins = `{"metadata":{"labels":{"app.kubernetes.io/name":"node-restriction-plus","app.kubernetes.io/instance":"nrp"}}}`
	attacker.do(t,
		attempt{"a mirror pod named like it", mirror, suite.Allowed},
		attempt{"the mirror pod becomes an endpoint", suite.PatchStatus("/api/v1/namespaces/"+cluster.Namespace+"/pods/"+name, joins), suite.Denied},
	)
	suite.Check(t, s.Admin.CoreV1().Pods(cluster.Namespace).Delete(t.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}))
}

// openNode returns a node whose credential is used at another API server.
func (s *setup) openNode(t *testing.T, server *controlplane.APIServer, name, uid string) *node {
	t.Helper()
	return &node{name: name, uid: uid, client: suite.Kubelet(t, server, name)}
}
