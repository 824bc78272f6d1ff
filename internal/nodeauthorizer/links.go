// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package nodeauthorizer

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"noderestriction.plus/internal/authorization"
)

// maxLinks bounds how many related objects are kept.
const maxLinks = 100_000

// Links are the objects that the Node authorizer's graph relates to one node.
type Links struct {
	objects map[string]map[NamespacedName]bool // by resource without group, such as secrets
	count   int
}

// NewLinks returns links without an object.
func NewLinks() *Links { return &Links{objects: map[string]map[NamespacedName]bool{}} }

// Add adds an object that refers to the node itself: a VolumeAttachment, a ResourceSlice or a PodCertificateRequest.
func (l *Links) Add(resource, namespace, name string) {
	if name == "" || l.count >= maxLinks {
		return
	}
	if l.objects[resource] == nil {
		l.objects[resource] = map[NamespacedName]bool{}
	}
	if key := (NamespacedName{namespace, name}); !l.objects[resource][key] {
		l.objects[resource][key] = true
		l.count++
	}
}

// AddPod adds a pod of the node and what it uses. The phase of the pod does not matter; of a mirror pod only the pod counts.
func (l *Links) AddPod(pod *corev1.Pod) {
	l.Add("pods", pod.Namespace, pod.Name)
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return
	}
	l.Add("serviceaccounts", pod.Namespace, pod.Spec.ServiceAccountName)
	for _, secret := range pod.Spec.ImagePullSecrets {
		l.Add("secrets", pod.Namespace, secret.Name)
	}
	for i := range pod.Spec.InitContainers {
		l.addEnvironment(pod, pod.Spec.InitContainers[i].EnvFrom, pod.Spec.InitContainers[i].Env)
	}
	for i := range pod.Spec.Containers {
		l.addEnvironment(pod, pod.Spec.Containers[i].EnvFrom, pod.Spec.Containers[i].Env)
	}
	for i := range pod.Spec.EphemeralContainers {
		l.addEnvironment(pod, pod.Spec.EphemeralContainers[i].EnvFrom, pod.Spec.EphemeralContainers[i].Env)
	}
	for i := range pod.Spec.Volumes {
		l.addVolume(pod, &pod.Spec.Volumes[i])
	}
	l.addClaims(pod)
}

func (l *Links) addEnvironment(pod *corev1.Pod, sources []corev1.EnvFromSource, variables []corev1.EnvVar) {
	for _, source := range sources {
		if source.SecretRef != nil {
			l.Add("secrets", pod.Namespace, source.SecretRef.Name)
		}
		if source.ConfigMapRef != nil {
			l.Add("configmaps", pod.Namespace, source.ConfigMapRef.Name)
		}
	}
	for _, variable := range variables {
		if variable.ValueFrom == nil {
			continue
		}
		if key := variable.ValueFrom.SecretKeyRef; key != nil {
			l.Add("secrets", pod.Namespace, key.Name)
		}
		if key := variable.ValueFrom.ConfigMapKeyRef; key != nil {
			l.Add("configmaps", pod.Namespace, key.Name)
		}
	}
}

func (l *Links) addVolume(pod *corev1.Pod, volume *corev1.Volume) {
	switch source := &volume.VolumeSource; {
	case source.PersistentVolumeClaim != nil:
		l.Add("persistentvolumeclaims", pod.Namespace, source.PersistentVolumeClaim.ClaimName)
	case source.Ephemeral != nil:
		l.Add("persistentvolumeclaims", pod.Namespace, pod.Name+"-"+volume.Name)
	case source.ConfigMap != nil:
		l.Add("configmaps", pod.Namespace, source.ConfigMap.Name)
	case source.Projected != nil:
		for _, projection := range source.Projected.Sources {
			if projection.Secret != nil {
				l.Add("secrets", pod.Namespace, projection.Secret.Name)
			}
			if projection.ConfigMap != nil {
				l.Add("configmaps", pod.Namespace, projection.ConfigMap.Name)
			}
		}
	default:
		l.Add("secrets", pod.Namespace, volumeSecret(source))
	}
}

// volumeSecret returns the Secret of a volume that can have only one, or an empty text.
func volumeSecret(source *corev1.VolumeSource) string {
	reference := (*corev1.LocalObjectReference)(nil)
	switch {
	case source.Secret != nil:
		return source.Secret.SecretName
	case source.AzureFile != nil:
		return source.AzureFile.SecretName
	case source.CephFS != nil:
		reference = source.CephFS.SecretRef
	case source.Cinder != nil:
		reference = source.Cinder.SecretRef
	case source.FlexVolume != nil:
		reference = source.FlexVolume.SecretRef
	case source.RBD != nil:
		reference = source.RBD.SecretRef
	case source.ScaleIO != nil:
		reference = source.ScaleIO.SecretRef
	case source.ISCSI != nil:
		reference = source.ISCSI.SecretRef
	case source.StorageOS != nil:
		reference = source.StorageOS.SecretRef
	case source.CSI != nil:
		reference = source.CSI.NodePublishSecretRef
	}
	if reference == nil {
		return ""
	}
	return reference.Name
}

// addClaims adds the ResourceClaims of a pod that were created.
func (l *Links) addClaims(pod *corev1.Pod) {
	for _, claim := range pod.Spec.ResourceClaims {
		switch {
		case claim.ResourceClaimName != nil:
			l.Add("resourceclaims", pod.Namespace, *claim.ResourceClaimName)
		case claim.ResourceClaimTemplateName != nil:
			for _, status := range pod.Status.ResourceClaimStatuses {
				if status.Name == claim.Name {
					if status.ResourceClaimName != nil {
						l.Add("resourceclaims", pod.Namespace, *status.ResourceClaimName)
					}
					break
				}
			}
		}
	}
	if extended := pod.Status.ExtendedResourceClaimStatus; extended != nil {
		l.Add("resourceclaims", pod.Namespace, extended.ResourceClaimName)
	}
}

// AddVolume adds a PersistentVolume and the Secrets that kubelets need for it, if a pod of the node uses its claim. Pods have to be
// added before.
func (l *Links) AddVolume(volume *corev1.PersistentVolume) {
	claim := volume.Spec.ClaimRef
	if claim == nil || !l.objects["persistentvolumeclaims"][NamespacedName{claim.Namespace, claim.Name}] {
		return
	}
	l.Add("persistentvolumes", "", volume.Name)
	add := func(reference *corev1.SecretReference, namespace string) {
		if reference != nil {
			l.Add("secrets", cmp.Or(reference.Namespace, namespace), reference.Name)
		}
	}
	switch source := &volume.Spec.PersistentVolumeSource; {
	case source.AzureFile != nil:
		namespace := claim.Namespace
		if source.AzureFile.SecretNamespace != nil {
			namespace = cmp.Or(*source.AzureFile.SecretNamespace, namespace)
		}
		l.Add("secrets", namespace, source.AzureFile.SecretName)
	case source.CephFS != nil:
		add(source.CephFS.SecretRef, claim.Namespace)
	case source.Cinder != nil:
		add(source.Cinder.SecretRef, "")
	case source.FlexVolume != nil:
		add(source.FlexVolume.SecretRef, claim.Namespace)
	case source.RBD != nil:
		add(source.RBD.SecretRef, claim.Namespace)
	case source.ScaleIO != nil:
		add(source.ScaleIO.SecretRef, claim.Namespace)
	case source.ISCSI != nil:
		add(source.ISCSI.SecretRef, claim.Namespace)
	case source.StorageOS != nil:
		if reference := source.StorageOS.SecretRef; reference != nil {
			l.Add("secrets", reference.Namespace, reference.Name)
		}
	case source.CSI != nil:
		add(source.CSI.NodePublishSecretRef, "")
		add(source.CSI.NodeStageSecretRef, "")
		add(source.CSI.NodeExpandSecretRef, "")
	}
}

// Related reports whether the object of a request is related to the node.
func (l *Links) Related(r *authorization.Request) bool {
	return l.objects[r.Resource][NamespacedName{r.Namespace, r.Name}]
}

// Examples returns a related object of each resource that has one, the first by name.
func (l *Links) Examples() map[string]NamespacedName {
	examples := map[string]NamespacedName{}
	for resource, objects := range l.objects {
		for name := range objects {
			if first, found := examples[resource]; !found || compareNames(name, first) < 0 {
				examples[resource] = name
			}
		}
	}
	return examples
}

// Count returns how many objects of a resource are related.
func (l *Links) Count(resource string) int { return len(l.objects[resource]) }

// Names returns the related objects of a resource, sorted.
func (l *Links) Names(resource string) []NamespacedName {
	var names []NamespacedName
	for name := range l.objects[resource] {
		names = append(names, name)
	}
	slices.SortFunc(names, compareNames)
	return names
}

func compareNames(a, b NamespacedName) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}
