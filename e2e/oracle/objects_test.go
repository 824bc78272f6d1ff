// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

//nolint:staticcheck // SA1019: the plugin looks at configSource, so the test has to write it.
package oracle

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Objects that more than one kind of write needs.

func (d draw) pod(namespace, name string) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: d.uid(name)},
		Spec:       corev1.PodSpec{NodeName: d.nodeName(), ServiceAccountName: d.account()},
	}
	if d.rarely() {
		pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: ""}
	}
	for range d.IntN(3) {
		pod.Spec.Volumes = append(pod.Spec.Volumes, d.volume())
	}
	return pod
}

// mirrorPod draws a pod that a kubelet may create, except for one change.
func (d draw) mirrorPod() *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "kube-system", Name: "etcd-worker-1", OwnerReferences: d.owners("worker-1"),
			Annotations: map[string]string{corev1.MirrorPodAnnotationKey: one(d, "", "9a8b7c")},
		},
		Spec: corev1.PodSpec{NodeName: "worker-1", Containers: []corev1.Container{{Name: "c"}}},
	}
	switch d.IntN(8) {
	case 0:
		pod.Annotations = one(d, nil, map[string]string{"kubernetes.io/config.Mirror": "x"})
	case 1:
		pod.Spec.NodeName = d.nodeName()
	case 2:
		pod.OwnerReferences = d.owners(d.nodeName())
	case 3, 4:
		d.addReference(pod)
	case 5, 6:
		for range 1 + d.IntN(2) {
			pod.Spec.Volumes = append(pod.Spec.Volumes, d.volume())
		}
	}
	return pod
}

// addReference adds a reference to an API object, sometimes without a name.
func (d draw) addReference(pod *corev1.Pod) {
	spec, ref := &pod.Spec, corev1.LocalObjectReference{Name: one(d, "x", "x", "")}
	env := corev1.Container{Name: "e", Env: []corev1.EnvVar{{Name: "A", Value: "x"}}}
	switch d.IntN(5) {
	case 0:
		env.EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: ref}}}
	case 1:
		env.EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: ref}}}
	case 2:
		env.Env[0].ValueFrom = &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: ref}}
	case 3:
		env.Env[0].ValueFrom = &corev1.EnvVarSource{
			ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: ref},
		}
	default:
		env.Env[0].ValueFrom = &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}
	}
	switch d.IntN(6) {
	case 0:
		spec.ServiceAccountName = "default"
	case 1:
		spec.ImagePullSecrets = []corev1.LocalObjectReference{ref}
	case 2:
		spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "gpu"}}
	case 3:
		spec.InitContainers = append(spec.InitContainers, env)
	case 4:
		spec.Containers = append(spec.Containers, env)
	case 5:
		spec.EphemeralContainers = append(spec.EphemeralContainers,
			corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon(env)})
	}
}

// volume draws a volume of any kind, or of no kind.
func (d draw) volume() corev1.Volume {
	secret := some(d, corev1.LocalObjectReference{Name: "x"}, corev1.LocalObjectReference{})
	source := one(d,
		corev1.VolumeSource{},
		corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}},
		corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}},
		corev1.VolumeSource{GitRepo: &corev1.GitRepoVolumeSource{}},
		corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: one(d, "x", "")}},
		corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{}},
		corev1.VolumeSource{ISCSI: &corev1.ISCSIVolumeSource{SecretRef: secret}},
		corev1.VolumeSource{Glusterfs: &corev1.GlusterfsVolumeSource{}},
		corev1.VolumeSource{RBD: &corev1.RBDVolumeSource{SecretRef: secret}},
		corev1.VolumeSource{FlexVolume: &corev1.FlexVolumeSource{SecretRef: secret}},
		corev1.VolumeSource{CephFS: &corev1.CephFSVolumeSource{SecretRef: secret}},
		corev1.VolumeSource{Flocker: &corev1.FlockerVolumeSource{}},
		corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{}},
		corev1.VolumeSource{FC: &corev1.FCVolumeSource{}},
		corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{}},
		corev1.VolumeSource{Quobyte: &corev1.QuobyteVolumeSource{}},
		corev1.VolumeSource{PhotonPersistentDisk: &corev1.PhotonPersistentDiskVolumeSource{}},
		corev1.VolumeSource{ScaleIO: &corev1.ScaleIOVolumeSource{SecretRef: secret}},
		corev1.VolumeSource{StorageOS: &corev1.StorageOSVolumeSource{SecretRef: secret}},
		corev1.VolumeSource{Image: &corev1.ImageVolumeSource{}},
		corev1.VolumeSource{Projected: projected(d.projection(), d.projection())},
	)
	if !d.rarely() {
		source = one(d,
			source,
			corev1.VolumeSource{Projected: projected(d.projection())},
			d.driverVolume(),
		)
	}
	return corev1.Volume{Name: "tmp", VolumeSource: source}
}

// driverVolume draws a volume that a CSI driver mounts, directly or after migration from an in-tree plugin.
func (d draw) driverVolume() corev1.VolumeSource {
	claim := &corev1.PersistentVolumeClaimVolumeSource{ClaimName: one(d, "data", "more", "gone", "")}
	ephemeral := &corev1.EphemeralVolumeSource{VolumeClaimTemplate: some(d, corev1.PersistentVolumeClaimTemplate{})}
	ebs := &corev1.AWSElasticBlockStoreVolumeSource{VolumeID: one(d, "vol-1", "aws://a/vol-1", "x://", "")}
	return one(d,
		corev1.VolumeSource{PersistentVolumeClaim: claim},
		corev1.VolumeSource{Ephemeral: ephemeral},
		corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: one(d, "csi.example.com", "gone", "")}},
		corev1.VolumeSource{GCEPersistentDisk: &corev1.GCEPersistentDiskVolumeSource{}},
		corev1.VolumeSource{AWSElasticBlockStore: ebs},
		corev1.VolumeSource{AzureDisk: d.azureDisk()},
		corev1.VolumeSource{AzureFile: &corev1.AzureFileVolumeSource{SecretName: one(d, "x", "")}},
		corev1.VolumeSource{Cinder: &corev1.CinderVolumeSource{}},
		corev1.VolumeSource{VsphereVolume: &corev1.VsphereVirtualDiskVolumeSource{}},
		corev1.VolumeSource{PortworxVolume: &corev1.PortworxVolumeSource{}},
	)
}

func projected(sources ...corev1.VolumeProjection) *corev1.ProjectedVolumeSource {
	return &corev1.ProjectedVolumeSource{Sources: sources}
}

// azureDisk draws a disk of a kind with or without a driver.
func (d draw) azureDisk() *corev1.AzureDiskVolumeSource {
	return &corev1.AzureDiskVolumeSource{Kind: some(d, corev1.AzureManagedDisk, corev1.AzureSharedBlobDisk)}
}

func (d draw) projection() corev1.VolumeProjection {
	return one(d,
		corev1.VolumeProjection{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: d.audience()}},
		corev1.VolumeProjection{PodCertificate: &corev1.PodCertificateProjection{SignerName: d.signer()}},
		corev1.VolumeProjection{DownwardAPI: &corev1.DownwardAPIProjection{}},
		corev1.VolumeProjection{ConfigMap: &corev1.ConfigMapProjection{}},
		corev1.VolumeProjection{Secret: &corev1.SecretProjection{}},
		corev1.VolumeProjection{ClusterTrustBundle: &corev1.ClusterTrustBundleProjection{}},
		corev1.VolumeProjection{},
	)
}

func (d draw) volumeSource() corev1.PersistentVolumeSource {
	csi := &corev1.CSIPersistentVolumeSource{Driver: one(d, "csi.example.com", "gone", "")}
	ebs := &corev1.AWSElasticBlockStoreVolumeSource{VolumeID: one(d, "vol-1", "")}
	return one(d,
		corev1.PersistentVolumeSource{CSI: csi},
		corev1.PersistentVolumeSource{AzureFile: &corev1.AzureFilePersistentVolumeSource{SecretName: "x"}},
		corev1.PersistentVolumeSource{AzureDisk: d.azureDisk()},
		corev1.PersistentVolumeSource{GCEPersistentDisk: &corev1.GCEPersistentDiskVolumeSource{}},
		corev1.PersistentVolumeSource{AWSElasticBlockStore: ebs},
		corev1.PersistentVolumeSource{VsphereVolume: &corev1.VsphereVirtualDiskVolumeSource{}},
		corev1.PersistentVolumeSource{NFS: &corev1.NFSVolumeSource{}},
	)
}

func (d draw) claimRef() *corev1.ObjectReference {
	return some(d, corev1.ObjectReference{Namespace: "shop"}, corev1.ObjectReference{})
}

func (d draw) node(name string) *corev1.Node {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: d.uid(name), Labels: d.labels()}}
	d.changeNode(node)
	return node
}

// changeNode changes one field of a Node.
func (d draw) changeNode(node *corev1.Node) {
	switch d.IntN(9) {
	case 0:
		node.OwnerReferences = d.owners(node.Name)
	case 1:
		node.Spec.Taints = one(d, nil, []corev1.Taint{}, []corev1.Taint{{Key: "a", Effect: corev1.TaintEffectNoSchedule}},
			[]corev1.Taint{{Key: "a", Value: "x", Effect: corev1.TaintEffectNoSchedule}})
	case 2:
		node.Spec.ConfigSource = some(d, corev1.NodeConfigSource{}, corev1.NodeConfigSource{
			ConfigMap: &corev1.ConfigMapNodeConfigSource{Name: one(d, "a", "b"), Namespace: "shop"},
		})
	case 3, 7:
		node.Labels = d.labels()
	case 4, 8:
		node.Labels = withKey(node.Labels, d.labels())
	case 5:
		node.Annotations = map[string]string{"a": "b"}
	case 6:
		node.Status.Capacity = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4")}
	}
}

// withKey adds a label.
func withKey(labels, more map[string]string) map[string]string {
	sum := map[string]string{}
	for _, m := range []map[string]string{labels, more} {
		for key, value := range m {
			sum[key] = value
		}
	}
	return sum
}
