// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// deployed is the Deployment with its pods and their container.
type deployed struct {
	*appsv1.Deployment
	pod       corev1.PodSpec
	container corev1.Container
}

// TestPodValues says of each value about the pods where it ends up.
func TestPodValues(t *testing.T) {
	const digest = "sha256:0123456789012345678901234567890123456789012345678901234567890123"
	for set, holds := range map[string]func(x deployed) bool{
		"image.repository=r/a,image.tag=b": func(x deployed) bool {
			return x.container.Image == "r/a:b"
		},
		"image.repository=r/a,image.tag=b,image.digest=" + digest: func(x deployed) bool {
			return x.container.Image == "r/a@"+digest
		},
		"image.pullPolicy=Always,imagePullSecrets[0].name=a": func(x deployed) bool {
			return x.container.ImagePullPolicy == corev1.PullAlways && x.pod.ImagePullSecrets[0].Name == "a"
		},
		"replicas=5,annotations.a=b": func(x deployed) bool {
			return *x.Spec.Replicas == 5 && x.Annotations["a"] == "b"
		},
		"podAnnotations.a=b,podLabels.c=d": func(x deployed) bool {
			return x.Spec.Template.Annotations["a"] == "b" && x.Spec.Template.Labels["c"] == "d" &&
				x.Spec.Selector.MatchLabels["c"] == ""
		},
		"nodeSelector.a=b": func(x deployed) bool {
			return x.pod.NodeSelector["a"] == "b"
		},
		"tolerations[0].key=a,tolerations[0].operator=Exists": func(x deployed) bool {
			return len(x.pod.Tolerations) == 4 && x.pod.Tolerations[3].Key == "a"
		},
		"affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey=a": func(x deployed) bool {
			return x.pod.Affinity.PodAntiAffinity == nil
		},
		"priorityClassName=": func(x deployed) bool {
			return x.pod.PriorityClassName == ""
		},
		"hostNetwork=true": func(x deployed) bool {
			return x.pod.HostNetwork && x.Spec.Strategy.RollingUpdate.MaxSurge.IntValue() == 0 &&
				x.pod.DNSPolicy == corev1.DNSClusterFirstWithHostNet
		},
		"resources.limits.memory=2Gi,goMaxProcs=0": func(x deployed) bool {
			return len(x.container.Env) == 1 && x.container.Env[0].Value == "1843MiB"
		},
		"resources.limits.memory=1G": func(x deployed) bool {
			return x.container.Env[0].ValueFrom.ResourceFieldRef.Resource == "limits.memory"
		},
		"shutdown.preStopSeconds=0,shutdown.delaySeconds=60": func(x deployed) bool {
			return x.container.Lifecycle == nil && *x.pod.TerminationGracePeriodSeconds == 115
		},
		"extraEnv[0].name=A,extraEnv[0].value=b,extraVolumes[0].name=v,extraVolumeMounts[0].name=v," +
			"extraVolumeMounts[0].mountPath=/v": func(x deployed) bool {
			return x.container.Env[2].Name == "A" && x.pod.Volumes[0].Name == "v" && x.container.VolumeMounts[0].MountPath == "/v"
		},
		"denialLog.file.enabled=true,denialLog.file.path=/a/b.log": func(x deployed) bool {
			return x.pod.Volumes[0].EmptyDir.SizeLimit.String() == "1Gi" && x.container.VolumeMounts[0].MountPath == "/a"
		},
		"denialLog.file.enabled=true,denialLog.file.volume.persistentVolumeClaim.claimName=a": func(x deployed) bool {
			return x.pod.Volumes[0].PersistentVolumeClaim.ClaimName == "a" && x.pod.Volumes[0].EmptyDir == nil
		},
		"podSecurityContext.runAsUser=1000,securityContext.readOnlyRootFilesystem=false": func(x deployed) bool {
			return *x.pod.SecurityContext.RunAsUser == 1000 && *x.pod.SecurityContext.FSGroup == 65532 &&
				!*x.container.SecurityContext.ReadOnlyRootFilesystem && *x.container.SecurityContext.RunAsUser == 65532
		},
		"extraContainers[0].name=a,extraInitContainers[0].name=c": func(x deployed) bool {
			return x.container.Name == chart && x.pod.Containers[1].Name == "a" && x.pod.InitContainers[0].Name == "c"
		},
		"serviceAccount.name=a": func(x deployed) bool {
			return x.pod.ServiceAccountName == "a"
		},
		"clientCertificates.configMap=a,clientCertificates.key=k,clientCertificates.allowedNames={b}": func(x deployed) bool {
			return x.pod.Volumes[0].ConfigMap.Name == "a" && x.pod.Volumes[0].ConfigMap.Items[0].Key == "k"
		},
	} {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			d := get[*appsv1.Deployment](t, render(t, "--set", set), chart)
			pod := d.Spec.Template.Spec
			if !holds(deployed{d, pod, pod.Containers[0]}) {
				t.Errorf("it has no effect: %+v", d.Spec)
			}
		})
	}
}
