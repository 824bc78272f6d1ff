// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy/expression"
)

// referredTo returns the resource of an API object to which a pod refers, and "" if the pod refers to no object. An unknown kind of volume
// counts as a reference. Source: HasAPIObjectReference of kubernetes v1.37.2 pkg/api/pod/util.go.
func referredTo(pod *corev1.Pod) string {
	spec := &pod.Spec
	switch {
	case spec.ServiceAccountName != "" || spec.DeprecatedServiceAccount != "":
		return "serviceaccounts"
	case slices.ContainsFunc(spec.ImagePullSecrets, namesObject):
		return "secrets"
	case len(spec.ResourceClaims) > 0:
		return "resourceclaims"
	}
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers, ephemeral(spec)} {
		for i := range containers {
			if resource := referredByEnv(&containers[i]); resource != "" {
				return resource
			}
		}
	}
	for i := range spec.Volumes {
		if resource := referredByVolume(&spec.Volumes[i]); resource != "" {
			return resource
		}
	}
	return ""
}

// namesObject reports whether a reference has a name. A reference without a name is ignored.
func namesObject(r corev1.LocalObjectReference) bool { return r.Name != "" }

func ephemeral(spec *corev1.PodSpec) []corev1.Container {
	containers := make([]corev1.Container, len(spec.EphemeralContainers))
	for i := range spec.EphemeralContainers {
		containers[i] = corev1.Container(spec.EphemeralContainers[i].EphemeralContainerCommon)
	}
	return containers
}

func referredByEnv(c *corev1.Container) string {
	for i := range c.EnvFrom {
		from := &c.EnvFrom[i]
		switch {
		case from.SecretRef != nil && namesObject(from.SecretRef.LocalObjectReference):
			return "secrets"
		case from.ConfigMapRef != nil && namesObject(from.ConfigMapRef.LocalObjectReference):
			return "configmaps"
		}
	}
	for i := range c.Env {
		from := c.Env[i].ValueFrom
		switch {
		case from == nil:
		case from.SecretKeyRef != nil && namesObject(from.SecretKeyRef.LocalObjectReference):
			return "secrets"
		case from.ConfigMapKeyRef != nil && namesObject(from.ConfigMapKeyRef.LocalObjectReference):
			return "configmaps"
		}
	}
	return ""
}

// referredByVolume returns the resource to which a volume refers. The API server accepts a volume of one kind only; if there are several,
// one that refers to an object counts.
func referredByVolume(v *corev1.Volume) string {
	switch {
	case v.ConfigMap != nil:
		return "configmaps"
	case v.Secret != nil, v.AzureFile != nil, namesSecret(v):
		return "secrets"
	case v.CSI != nil:
		return "csidrivers"
	case v.Glusterfs != nil:
		return "endpoints"
	case v.PersistentVolumeClaim != nil, v.Ephemeral != nil:
		return "persistentvolumeclaims"
	case v.Projected != nil:
		return referredByProjection(v)
	case v.AWSElasticBlockStore != nil, v.AzureDisk != nil, v.CephFS != nil, v.Cinder != nil, v.DownwardAPI != nil,
		v.EmptyDir != nil, v.FC != nil, v.FlexVolume != nil, v.Flocker != nil, v.GCEPersistentDisk != nil,
		v.GitRepo != nil, v.HostPath != nil, v.Image != nil, v.ISCSI != nil, v.NFS != nil,
		v.PhotonPersistentDisk != nil, v.PortworxVolume != nil, v.Quobyte != nil, v.RBD != nil, v.ScaleIO != nil,
		v.StorageOS != nil, v.VsphereVolume != nil:
		return ""
	}
	return unknownVolume(v)
}

// namesSecret reports whether a volume has an optional reference to a secret.
func namesSecret(v *corev1.Volume) bool {
	var ref *corev1.LocalObjectReference
	switch {
	case v.CephFS != nil:
		ref = v.CephFS.SecretRef
	case v.Cinder != nil:
		ref = v.Cinder.SecretRef
	case v.FlexVolume != nil:
		ref = v.FlexVolume.SecretRef
	case v.ISCSI != nil:
		ref = v.ISCSI.SecretRef
	case v.RBD != nil:
		ref = v.RBD.SecretRef
	case v.ScaleIO != nil:
		ref = v.ScaleIO.SecretRef
	case v.StorageOS != nil:
		ref = v.StorageOS.SecretRef
	}
	return ref != nil && namesObject(*ref)
}

func referredByProjection(v *corev1.Volume) string {
	for i := range v.Projected.Sources {
		s := &v.Projected.Sources[i]
		switch {
		case s.ConfigMap != nil:
			return "configmaps"
		case s.Secret != nil:
			return "secrets"
		case s.ServiceAccountToken != nil:
			return "serviceaccounts"
		case s.ClusterTrustBundle != nil:
			return "clustertrustbundles"
		case s.PodCertificate != nil:
			return "podcertificaterequests"
		case s.DownwardAPI == nil:
			return unknownVolume(v)
		}
	}
	return ""
}

func unknownVolume(v *corev1.Volume) string {
	return "something unknown in volume " + text.Quote(v.Name)
}

// expressReferences is [referredTo] in CEL. An API server knows each kind of volume.
func expressReferences(on *expression.Scope) string {
	var either []string
	for _, name := range []string{"serviceAccountName", "serviceAccount"} {
		either = append(either, on.New("spec."+name, "''")+" != ''")
	}
	const named = ".?name.orValue('') != ''"
	secrets, claims := on.New("spec.imagePullSecrets", "[]"), on.New("spec.resourceClaims", "[]")
	either = append(either, expression.NotEmpty(claims),
		on.Bounded(on.Longer(expression.MaxItems, secrets), expression.Exists(secrets, "e", "e"+named)))
	for _, kind := range []string{"initContainers", "containers", "ephemeralContainers"} {
		containers := on.New("spec."+kind, "[]")
		sizes := containers + ".map(c, size(c.?env.orValue([])) + size(c.?envFrom.orValue([]))).sum()"
		either = append(either, on.Bounded(on.Longer(expression.MaxItems, containers),
			on.Bounded(sizes+" > "+strconv.Itoa(maxVariables), expression.Exists(containers, "c", expression.Or(
				"c.?envFrom.orValue([]).exists(e, e.?secretRef"+named+" || e.?configMapRef"+named+")",
				"c.?env.orValue([]).exists(e, e.?valueFrom.?secretKeyRef"+named+" || e.?valueFrom.?configMapKeyRef"+named+")")))))
	}
	volumes := on.New("spec.volumes", "[]")
	var refers []string
	for _, kind := range []string{
		"configMap", "secret", "azureFile", "csi", "glusterfs", "persistentVolumeClaim", "ephemeral",
	} {
		refers = append(refers, "v.?"+kind+".hasValue()")
	}
	for _, kind := range []string{"cephfs", "cinder", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos"} {
		refers = append(refers, "v.?"+kind+".?secretRef"+named)
	}
	var projected []string
	for _, kind := range []string{"configMap", "secret", "serviceAccountToken", "clusterTrustBundle", "podCertificate"} {
		projected = append(projected, "s.?"+kind+".hasValue()")
	}
	sources := expression.Elements("v", "projected.sources")
	refers = append(refers, on.Bounded(larger(sources, expression.MaxVolumes), sources+".exists(s, "+expression.Or(projected...)+")"))
	return expression.Or(append(either,
		on.Bounded(on.Longer(expression.MaxVolumes, volumes), expression.Exists(volumes, "v", expression.Or(refers...))))...)
}

// maxVariables is the largest number of environment variables of containers that an expression looks at.
const maxVariables = 1024
