// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// matrixPods returns mirror pods and others, on this node, another node and no node, with each volume that may need a token.
func matrixPods() []*corev1.Pod {
	var pods []*corev1.Pod
	for _, node := range []string{"mynode", "othernode", ""} {
		for _, mirror := range []bool{true, false} {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
				Namespace: "ns", Name: fmt.Sprintf("pod-%s-%v", node, mirror), UID: "pod-uid",
			}, Spec: corev1.PodSpec{NodeName: node}}
			if mirror {
				pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "true"}
				pod.OwnerReferences = []metav1.OwnerReference{nodeOwner(node)}
			} else {
				pod.Spec.ServiceAccountName = "mysa"
			}
			pods = append(pods, pod)
		}
	}
	for name, volumes := range matrixVolumes() {
		pods = append(pods, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: "pod-uid"},
			Spec:       corev1.PodSpec{NodeName: "mynode", ServiceAccountName: "mysa", Volumes: volumes},
		})
	}
	return pods
}

func nodeOwner(node string) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: "v1", Kind: "Node", Name: node, UID: types.UID(node + "-uid"), Controller: new(true),
	}
}

func matrixVolumes() map[string][]corev1.Volume {
	volume := func(source corev1.VolumeSource) corev1.Volume {
		return corev1.Volume{Name: "vol", VolumeSource: source}
	}
	projected := func(projections ...corev1.VolumeProjection) corev1.Volume {
		return volume(corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: projections}})
	}
	token := func(audience string) corev1.Volume {
		return projected(corev1.VolumeProjection{
			ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: audience},
		})
	}
	claim := func(name string) corev1.Volume {
		return volume(corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}})
	}
	csi := volume(corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "csi.example.com"}})
	signer := func(name string) corev1.Volume {
		return projected(corev1.VolumeProjection{PodCertificate: &corev1.PodCertificateProjection{SignerName: name}})
	}
	return map[string][]corev1.Volume{
		"token": {token("")}, "token-foo": {token("foo")}, "csi": {csi}, "claim": {claim("claim")},
		"claim-lost": {claim("claim-lost")}, "claim-unknown": {claim("gone"), csi}, "claim-in-tree": {claim("claim-in-tree")},
		"in-tree": {volume(corev1.VolumeSource{AzureFile: &corev1.AzureFileVolumeSource{SecretName: "secret"}})},
		"ephemeral": {volume(corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{
			VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{},
		}})},
		"certificate":  {signer("example.com/foo")},
		"certificates": {signer("example.com/other")},
	}
}

// matrixStorage returns the storage objects of the volumes of the pods.
func matrixStorage() objects {
	claim := func(name, volume string) *corev1.PersistentVolumeClaim {
		return &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name},
			Spec:       corev1.PersistentVolumeClaimSpec{VolumeName: volume},
		}
	}
	volume := func(name string, source corev1.PersistentVolumeSource) *corev1.PersistentVolume {
		return &corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: corev1.PersistentVolumeSpec{
				PersistentVolumeSource: source, ClaimRef: &corev1.ObjectReference{Namespace: "ns"},
			},
		}
	}
	driver := func(name string) *storagev1.CSIDriver {
		return &storagev1.CSIDriver{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       storagev1.CSIDriverSpec{TokenRequests: []storagev1.TokenRequest{{Audience: "foo"}}},
		}
	}
	return objects{
		claim("claim", "pv"), claim("claim-lost", "gone"), claim("claim-in-tree", "pv-in-tree"), claim("ephemeral-vol", "pv"),
		volume("pv", corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "csi.example.com"}}),
		volume("pv-in-tree", corev1.PersistentVolumeSource{
			AzureFile: &corev1.AzureFilePersistentVolumeSource{SecretName: "secret"},
		}),
		driver("csi.example.com"), driver("file.csi.azure.com"),
	}
}
