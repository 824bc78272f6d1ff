// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package profiles_test

import (
	"fmt"
	"net/http"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/rig"
)

// testOwnPods: only the kubelet of its node may change a pod of the program without the program being asked. That is seen at
// an API server without the NodeRestriction plugin, which would refuse most of it.
func (s *stage) testOwnPods(t *testing.T, n *node) {
	o, err := s.APIServerOptions()
	check(t, err)
	o.WithoutNodeRestriction = true
	open, err := s.ControlPlane.AddAPIServer(t.Context(), o)
	check(t, err)
	defer open.Stop()
	thief := s.openNode(t, open, n.name, n.uid)
	thief.awaitDenied(t)
	host := s.openNode(t, open, s.Nodes[0].Name, "")

	const annotates = `{"metadata":{"annotations":{"example.com/by":%q}}}`
	ownPod := "/api/v1/namespaces/" + rig.Namespace + "/pods/" + s.Replicas()[0].Pod
	update := func(path, body string) rig.Write {
		w := rig.PatchStatus(n.name, body)
		w.Path = path + "/status"
		return w
	}
	thief.do(t,
		attempt{"another kubelet updates it", update(ownPod, fmt.Sprintf(annotates, n.name)), rig.Denied},
		attempt{"another kubelet deletes it", rig.Write{Method: http.MethodDelete, Path: ownPod, Type: "application/json"}, rig.Denied},
	)
	host.do(t, attempt{"the kubelet of its node updates it", update(ownPod, fmt.Sprintf(annotates, host.name)), rig.Allowed})

	mirror := thief.mirrorPodIn(rig.Namespace, rig.Name+"-evil", nil)
	name := rig.Name + "-evil-" + n.name
	const joins = `{"metadata":{"labels":{"app.kubernetes.io/name":"node-restriction-plus","app.kubernetes.io/instance":"nrp"}}}`
	thief.do(t,
		attempt{"a mirror pod named like it", mirror, rig.Allowed},
		attempt{"the mirror pod becomes an endpoint", update("/api/v1/namespaces/"+rig.Namespace+"/pods/"+name, joins), rig.Denied},
	)
	check(t, s.Admin.CoreV1().Pods(rig.Namespace).Delete(t.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}))
}

// openNode has the credential of a node for an API server.
func (s *stage) openNode(t *testing.T, server *controlplane.APIServer, name, uid string) *node {
	t.Helper()
	writer, err := rig.NewWriter(server, name)
	check(t, err)
	return &node{name: name, uid: uid, writer: writer}
}
