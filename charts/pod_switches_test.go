package charts_test

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// TestPodValues says of each value about the pods where it ends up.
func TestPodValues(t *testing.T) {
	const digest = "sha256:0123456789012345678901234567890123456789012345678901234567890123"
	for set, holds := range map[string]func(d *appsv1.Deployment, p corev1.PodSpec, c corev1.Container) bool{
		"image.repository=r/a,image.tag=b": func(_ *appsv1.Deployment, _ corev1.PodSpec, c corev1.Container) bool {
			return c.Image == "r/a:b"
		},
		"image.repository=r/a,image.tag=b,image.digest=" + digest: func(_ *appsv1.Deployment, _ corev1.PodSpec, c corev1.Container) bool {
			return c.Image == "r/a@"+digest
		},
		"image.pullPolicy=Always,imagePullSecrets[0].name=a": func(_ *appsv1.Deployment, p corev1.PodSpec, c corev1.Container) bool {
			return c.ImagePullPolicy == corev1.PullAlways && p.ImagePullSecrets[0].Name == "a"
		},
		"replicas=5,annotations.a=b": func(d *appsv1.Deployment, _ corev1.PodSpec, _ corev1.Container) bool {
			return *d.Spec.Replicas == 5 && d.Annotations["a"] == "b"
		},
		"podAnnotations.a=b,podLabels.c=d": func(d *appsv1.Deployment, _ corev1.PodSpec, _ corev1.Container) bool {
			return d.Spec.Template.Annotations["a"] == "b" && d.Spec.Template.Labels["c"] == "d" && d.Spec.Selector.MatchLabels["c"] == ""
		},
		"nodeSelector.a=b": func(_ *appsv1.Deployment, p corev1.PodSpec, _ corev1.Container) bool {
			return p.NodeSelector["a"] == "b"
		},
		"tolerations[0].key=a,tolerations[0].operator=Exists": func(_ *appsv1.Deployment, p corev1.PodSpec, _ corev1.Container) bool {
			return len(p.Tolerations) == 4 && p.Tolerations[3].Key == "a"
		},
		"affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey=a": func(_ *appsv1.Deployment, p corev1.PodSpec, _ corev1.Container) bool {
			return p.Affinity.PodAntiAffinity == nil
		},
		"priorityClassName=": func(_ *appsv1.Deployment, p corev1.PodSpec, _ corev1.Container) bool {
			return p.PriorityClassName == ""
		},
		"hostNetwork=true": func(d *appsv1.Deployment, p corev1.PodSpec, _ corev1.Container) bool {
			return p.HostNetwork && d.Spec.Strategy.RollingUpdate.MaxSurge.IntValue() == 0 && p.DNSPolicy == corev1.DNSClusterFirstWithHostNet
		},
		"resources.limits.memory=2Gi,goMaxProcs=0": func(_ *appsv1.Deployment, _ corev1.PodSpec, c corev1.Container) bool {
			return len(c.Env) == 1 && c.Env[0].Value == "1843MiB"
		},
		"resources.limits.memory=1G": func(_ *appsv1.Deployment, _ corev1.PodSpec, c corev1.Container) bool {
			return c.Env[0].ValueFrom.ResourceFieldRef.Resource == "limits.memory"
		},
		"shutdown.preStopSeconds=0,shutdown.delaySeconds=60": func(_ *appsv1.Deployment, p corev1.PodSpec, c corev1.Container) bool {
			return c.Lifecycle == nil && *p.TerminationGracePeriodSeconds == 95
		},
		"extraEnv[0].name=A,extraEnv[0].value=b,extraVolumes[0].name=v,extraVolumeMounts[0].name=v,extraVolumeMounts[0].mountPath=/v": func(_ *appsv1.Deployment, p corev1.PodSpec, c corev1.Container) bool {
			return c.Env[2].Name == "A" && p.Volumes[0].Name == "v" && c.VolumeMounts[0].MountPath == "/v"
		},
		"denialLog.file.enabled=true,denialLog.file.path=/a/b.log": func(_ *appsv1.Deployment, p corev1.PodSpec, c corev1.Container) bool {
			return p.Volumes[0].EmptyDir.SizeLimit.String() == "1Gi" && c.VolumeMounts[0].MountPath == "/a"
		},
		"clientCertificates.configMap=a,clientCertificates.key=k,clientCertificates.allowedNames={b}": func(_ *appsv1.Deployment, p corev1.PodSpec, _ corev1.Container) bool {
			return p.Volumes[0].ConfigMap.Name == "a" && p.Volumes[0].ConfigMap.Items[0].Key == "k"
		},
	} {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			d := get[*appsv1.Deployment](t, render(t, "--set", set), chart)
			if p := d.Spec.Template.Spec; !holds(d, p, p.Containers[0]) {
				t.Errorf("it has no effect: %+v", d.Spec)
			}
		})
	}
}
