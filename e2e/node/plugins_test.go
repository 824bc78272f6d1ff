// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/node"
	"noderestriction.plus/e2e/suite"
)

// Names of what the plugins offer. testdata/plugins.yaml has the pods.
const (
	csiDriver   = "csi.example.com"
	topologyKey = "topology.csi.example.com/zone"
	device      = corev1.ResourceName("example.com/device")
	draDriver   = "dra.example.com"
	draAccount  = "dra-driver" // in kube-system
)

// startPlugin starts a plugin that runs until testPluginsEnd, or the end of the sandbox.
func (s *life) startPlugin(t *testing.T, plugin string, flags ...string) {
	t.Helper()
	p, err := s.node.StartPlugin(plugin, flags...)
	suite.Check(t, err)
	s.plugins = append(s.plugins, p)
}

// testCSIDriver shows that the kubelet labels and annotates its Node for a CSI driver, and lists it in its CSINode.
func (s *life) testCSIDriver(t *testing.T) {
	suite.Check(t, s.Kubectl.Apply(t.Context(),
		fmt.Appendf(nil, "{apiVersion: storage.k8s.io/v1, kind: CSIDriver, metadata: {name: %s}, spec: {}}", csiDriver)))
	s.startPlugin(t, "csi-driver", "--root-dir="+s.node.RootDir(), "--name="+csiDriver, "--node-id=id-1", "--topology="+topologyKey+"=a")
	suite.Eventually(t, patience, func() error {
		n := s.GetNode(t, s.node.Name)
		if n.Labels[topologyKey] != "a" || n.Annotations["csi.volume.kubernetes.io/nodeid"] != `{"`+csiDriver+`":"id-1"}` {
			return fmt.Errorf("the Node has the labels %v and the annotations %v", n.Labels, n.Annotations)
		}
		return s.csiDrivers(t, 1)
	})
}

// csiDrivers returns an error if the CSINode does not list so many drivers.
func (s *life) csiDrivers(t *testing.T, want int) error {
	csiNode, err := s.Admin.StorageV1().CSINodes().Get(t.Context(), s.node.Name, metav1.GetOptions{})
	if err == nil && len(csiNode.Spec.Drivers) != want {
		err = fmt.Errorf("the CSINode has the drivers %v, want %d", csiNode.Spec.Drivers, want)
	}
	return err
}

// testDevicePlugin shows that the kubelet reports devices, that a container gets one, and that the pod's status has it.
func (s *life) testDevicePlugin(t *testing.T) {
	s.startPlugin(t, "device-plugin", "--resource="+string(device), "--count=2", "--path=/dev/device")
	suite.Eventually(t, patience, func() error { return s.devices(t, 2) })
	s.applyPluginPods(t)
	s.await(t, "device", isReady)
	s.awaitHealth(t, "device", device)
}

// devices returns an error if the kubelet does not report that it can allocate so many devices.
func (s *life) devices(t *testing.T, want int64) error {
	allocatable := s.GetNode(t, s.node.Name).Status.Allocatable
	if q, has := allocatable[device]; !has || q.Value() != want {
		return fmt.Errorf("the allocatable resources are %v, want %d of %s", allocatable, want, device)
	}
	return nil
}

// awaitHealth waits until the status of a pod's container says whether its device is healthy.
func (s *life) awaitHealth(t *testing.T, pod string, resource corev1.ResourceName) {
	t.Helper()
	s.await(t, pod, func(p *corev1.Pod) bool {
		all := p.Status.ContainerStatuses[0].AllocatedResourcesStatus
		return len(all) == 1 && all[0].Name == resource && len(all[0].Resources) == 1 &&
			all[0].Resources[0].Health == corev1.ResourceHealthStatusHealthy
	})
}

// testDRADriver shows that a driver's device is allocated to a claim, and that the pod that has the claim gets it.
func (s *life) testDRADriver(t *testing.T) {
	config, err := s.ControlPlane.User("system:serviceaccount:"+metav1.NamespaceSystem+":"+draAccount,
		"system:serviceaccounts", "system:serviceaccounts:"+metav1.NamespaceSystem)
	suite.Check(t, err)
	kubeconfig := filepath.Join(s.Dir, draAccount+".kubeconfig")
	suite.Check(t, controlplane.WriteKubeconfig(kubeconfig, config))
	s.applyPluginPods(t) // also what the driver may do
	s.startPlugin(t, "dra-driver", "--root-dir="+s.node.RootDir(), "--name="+draDriver, "--node="+s.node.Name, "--kubeconfig="+kubeconfig,
		"--cdi-dir="+node.CDIDir, "--path=/dev/claimed")
	suite.Eventually(t, patience, func() error { return s.resourceSlices(t, 1) })
	s.await(t, "claim", isReady)
	s.awaitHealth(t, "claim", "claim:device")
}

// resourceSlices returns an error if there are not so many ResourceSlices.
func (s *life) resourceSlices(t *testing.T, want int) error {
	list, err := s.Admin.ResourceV1().ResourceSlices().List(t.Context(), metav1.ListOptions{})
	if err == nil && len(list.Items) != want {
		err = fmt.Errorf("%d ResourceSlices, want %d", len(list.Items), want)
	}
	return err
}

// applyPluginPods applies the pods that use devices.
func (s *life) applyPluginPods(t *testing.T) {
	t.Helper()
	manifests, err := os.ReadFile(filepath.Join("testdata", "plugins.yaml"))
	suite.Check(t, err)
	suite.Check(t, s.Kubectl.Apply(t.Context(), manifests))
}

// testPluginsEnd ends the plugins. The kubelet forgets the CSI driver, reports no devices, and deletes the ResourceSlices of the DRA
// driver.
func (s *life) testPluginsEnd(t *testing.T) {
	suite.Eventually(t, patience, func() error { return s.devices(t, 2) }) // the plugin has registered again after the reboot
	_, err := s.Kubectl.Run(t.Context(), nil, "delete", "pod", "device", "claim")
	suite.Check(t, err)
	for _, p := range s.plugins {
		suite.Check(t, p.Stop(time.Minute))
	}
	suite.Eventually(t, patience, func() error { return s.csiDrivers(t, 0) })
	suite.Eventually(t, patience, func() error { return s.devices(t, 0) })
	suite.Eventually(t, patience, func() error { return s.resourceSlices(t, 0) })
}
