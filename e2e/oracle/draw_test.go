// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"fmt"
	"math/rand/v2"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// draw makes random choices, the same ones for the same seed.
type draw struct{ *rand.Rand }

// often is true three times out of four, rarely once out of eight.
func (d draw) often() bool  { return d.IntN(4) > 0 }
func (d draw) rarely() bool { return d.IntN(8) == 0 }

func one[T any](d draw, of ...T) T { return of[d.IntN(len(of))] }

// some returns a pointer to one of the values, or nil.
func some[T any](d draw, of ...T) *T {
	if d.rarely() {
		return nil
	}
	v := one(d, of...)
	return &v
}

func (d draw) nodeName() string {
	if d.often() {
		return "worker-1"
	}
	return one(d, "worker-1", "worker-2", "Worker-1", "worker-1 ", "worker", "", "gone")
}

func (d draw) namespace() string {
	if d.often() {
		return "shop"
	}
	return one(d, "kube-system", "", "kube-node-lease")
}

func (d draw) podName() string { return one(d, "web", "web", "db", "job", "gone", "") }

func (d draw) account() string { return one(d, "web", "web", "web", "default", "gone", "") }

// uid draws a UID, mostly that of the objects with the name.
func (d draw) uid(name string) types.UID {
	if d.rarely() {
		return one(d, "", types.UID("uid-other"))
	}
	return types.UID("uid-" + name)
}

// labels draws labels, many of them close to reserved ones.
func (d draw) labels() map[string]string {
	keys := []string{
		"a", "role", "example.com/pool", "kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch",
		"beta.kubernetes.io/os", "beta.kubernetes.io/arch", "beta.kubernetes.io/instance-type",
		"node.kubernetes.io/instance-type", "topology.kubernetes.io/zone", "topology.kubernetes.io/region",
		"failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
		"node.kubernetes.io/windows-build", "node.kubernetes.io/x", "a.node.kubernetes.io/x", "kubelet.kubernetes.io/x",
		"a.kubelet.kubernetes.io/x", "example.com/kubernetes.io", "kubernetes.io.example.com/x", "xkubernetes.io/x",
	}
	if !d.often() {
		keys = []string{
			"kubernetes.io/x", "k8s.io/x", "x.k8s.io/x", "x.kubernetes.io/x", "kubernetes.io/hostname/x", "kubernetes.io/",
			"node-role.kubernetes.io/control-plane", "node-restriction.kubernetes.io/x", "a.node-restriction.kubernetes.io/x",
			"xnode-restriction.kubernetes.io/x", "node-restriction.kubernetes.io.example.com/x", "Kubernetes.io/x",
			"xnode.kubernetes.io/x", "kubernetes.io/Hostname", "topology.kubernetes.io/rack", "node.kubernetes.io.k8s.io/x",
			"kubelet.kubernetes.io/a/b", "node.k8s.io/x", "/x", "kubernetes.io",
		}
	}
	if d.rarely() {
		return nil
	}
	labels := map[string]string{}
	for range d.IntN(4) {
		labels[one(d, keys...)] = one(d, "", "x", "y")
	}
	return labels
}

func (d draw) owners(name string) []metav1.OwnerReference {
	owner := metav1.OwnerReference{
		APIVersion: "v1", Kind: "Node", Name: name, UID: d.uid(name), Controller: new(true),
	}
	if d.rarely() {
		owner.APIVersion, owner.Kind = one(d, "v1", "v2", "apps/v1"), one(d, "Node", "node", "CSINode")
	}
	if d.rarely() {
		owner.Controller, owner.BlockOwnerDeletion = some(d, true, false), some(d, true, false)
	}
	switch {
	case d.rarely():
		return nil
	case d.rarely():
		return []metav1.OwnerReference{owner, owner}
	}
	return []metav1.OwnerReference{owner}
}

// objects draws the stored objects: at most one for each name in the pools.
func (d draw) objects() objects {
	var w objects
	for _, name := range []string{"worker-1", "worker-2", "Worker-1"} {
		if !d.rarely() {
			w = append(w, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name)}})
		}
	}
	for _, namespace := range []string{"shop", "kube-system"} {
		for _, name := range []string{"web", "db", "job"} {
			if !d.rarely() {
				w = append(w, d.pod(namespace, name))
			}
		}
		for _, name := range []string{"web", "default"} {
			if !d.rarely() {
				w = append(w, &corev1.ServiceAccount{
					ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("uid-" + name)},
				})
			}
		}
		for _, name := range []string{"data", "web-tmp", "db-tmp", "more"} {
			if !d.rarely() {
				w = append(w, &corev1.PersistentVolumeClaim{
					ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
					Spec:       corev1.PersistentVolumeClaimSpec{VolumeName: one(d, "pv-1", "pv-2", "pv-3", "gone", "")},
				})
			}
		}
	}
	for _, name := range []string{"pv-1", "pv-2", "pv-3"} {
		w = append(w, &corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{
				Name: name, Labels: map[string]string{"topology.kubernetes.io/zone": one(d, "", "a", "a__b")},
			},
			Spec: corev1.PersistentVolumeSpec{PersistentVolumeSource: d.volumeSource(), ClaimRef: d.claimRef()},
		})
	}
	for _, name := range []string{
		"csi.example.com", "file.csi.azure.com", "disk.csi.azure.com", "ebs.csi.aws.com", "pd.csi.storage.gke.io",
		"cinder.csi.openstack.org", "csi.vsphere.vmware.com", "pxd.portworx.com",
	} {
		if !d.rarely() {
			w = append(w, &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: storagev1.CSIDriverSpec{
				TokenRequests: []storagev1.TokenRequest{{Audience: d.audience()}, {Audience: d.audience()}},
			}})
		}
	}
	return append(w, d.access()...)
}

func (d draw) audience() string { return one(d, "", "vault", "storage", "example.com/a") }

func (d draw) signer() string {
	return one(d, "example.com/signer", "example.com/signer", "example.com/other/x")
}

// access draws RBAC, which sometimes permits more to a kubelet.
func (d draw) access() objects {
	var w objects
	rules := func() []rbacv1.PolicyRule {
		return []rbacv1.PolicyRule{{
			Verbs: []string{one(d,
				"request-serviceaccounts-token-audience", "request-serviceaccounts-podcertificate-signer", "create", "*")},
			APIGroups:     []string{one(d, "", "certificates.k8s.io", "*")},
			Resources:     []string{one(d, "vault", "storage", "example.com:signer", "example.com:other:x", "*")},
			ResourceNames: one(d, nil, []string{"web"}, []string{"web", "default"}),
		}}
	}
	subjects := func() []rbacv1.Subject {
		return []rbacv1.Subject{one(d,
			rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "system:nodes"},
			rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "system:node:worker-1"},
			rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "system:node:worker-2"},
			rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: "shop", Name: "web"},
		)}
	}
	for i := range d.IntN(3) {
		meta := metav1.ObjectMeta{Name: fmt.Sprintf("cluster-%d", i)}
		ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: meta.Name}
		w = append(w, &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules()},
			&rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects()})
	}
	for i := range d.IntN(3) {
		meta := metav1.ObjectMeta{Name: fmt.Sprintf("role-%d", i), Namespace: one(d, "shop", "kube-system")}
		ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: one(d, "Role", "Role", "ClusterRole"), Name: meta.Name}
		w = append(w, &rbacv1.Role{ObjectMeta: meta, Rules: rules()},
			&rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects()})
	}
	return w
}
