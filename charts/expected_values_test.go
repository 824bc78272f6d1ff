// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// allObjects are values under which the chart renders each kind of object.
func allObjects() []string {
	return append(everything(), "--set", "policies.recommended=Deny,networkPolicy.enabled=true,certificates.mode=certManager,"+
		"monitoring.serviceMonitor.enabled=true,monitoring.podMonitor.enabled=true,monitoring.prometheusRule.enabled=true,"+
		"monitoring.dashboard.enabled=true")
}

// TestOpenShiftAssignsUsers renders the values of docs/install.md for OpenShift, and those of a parent chart, in which Helm ignores null:
// no user or group is fixed, and all else stays.
func TestOpenShiftAssignsUsers(t *testing.T) {
	for _, removed := range []string{`null`, `""`} {
		values := valuesFile(t, strings.ReplaceAll(`
podSecurityContext: {runAsUser: null, runAsGroup: null, fsGroup: null}
securityContext: {runAsUser: null, runAsGroup: null}
`, "null", removed))
		r := render(t, "--values", values)
		pod := get[*corev1.Pod](t, r, verify)
		for name, spec := range map[string]corev1.PodSpec{"webhook": pods(t, r), "helm test": pod.Spec} {
			of, own := spec.SecurityContext, spec.Containers[0].SecurityContext
			if of.RunAsUser != nil || of.RunAsGroup != nil || of.FSGroup != nil || own.RunAsUser != nil || own.RunAsGroup != nil {
				t.Errorf("%s: a user or group is fixed: %+v, %+v", name, of, own)
			}
			if !*of.RunAsNonRoot || !*own.RunAsNonRoot || !*own.ReadOnlyRootFilesystem || *own.AllowPrivilegeEscalation ||
				own.SeccompProfile == nil || len(own.Capabilities.Drop) != 1 {
				t.Errorf("%s: the other settings are not those of the chart: %+v, %+v", name, of, own)
			}
		}
	}
}

// TestEveryObjectHasAnnotations holds every object to commonAnnotations, and these not to replace the object's own.
func TestEveryObjectHasAnnotations(t *testing.T) {
	before := map[string]map[string]string{}
	set := []string{"--set", "commonAnnotations.team=nodes"}
	for _, object := range render(t, allObjects()...).objects {
		before[fmt.Sprintf("%T %s", object, object.GetName())] = object.GetAnnotations()
		for key := range object.GetAnnotations() {
			if !strings.HasPrefix(key, "helm.sh/hook") { // would make every object a hook
				set = append(set, "--set", "commonAnnotations."+strings.ReplaceAll(key, ".", `\.`)+"=user")
			}
		}
	}
	if len(set) < 10 {
		t.Fatalf("the objects have only the annotations %v", set)
	}
	for _, object := range render(t, append(allObjects(), set...)...).objects {
		name, annotations := fmt.Sprintf("%T %s", object, object.GetName()), object.GetAnnotations()
		if annotations["team"] != "nodes" {
			t.Errorf("%s has the annotations %v", name, annotations)
		}
		for key, value := range before[name] {
			if annotations[key] != value {
				t.Errorf("%s has %s=%s, not its own %s", name, key, annotations[key], value)
			}
		}
	}
}

func TestServiceValues(t *testing.T) {
	r := render(t, "--set", "webhook.service.annotations.a=b,webhook.service.ipFamilyPolicy=RequireDualStack,"+
		"webhook.service.ipFamilies={IPv6,IPv4}")
	for _, name := range []string{chart, chart + "-metrics"} {
		service := get[*corev1.Service](t, r, name)
		if *service.Spec.IPFamilyPolicy != corev1.IPFamilyPolicyRequireDualStack ||
			!slices.Equal(service.Spec.IPFamilies, []corev1.IPFamily{corev1.IPv6Protocol, corev1.IPv4Protocol}) {
			t.Errorf("the families of %s are %v %v", name, service.Spec.IPFamilyPolicy, service.Spec.IPFamilies)
		}
		if annotated := service.Annotations["a"] == "b"; annotated != (name == chart) {
			t.Errorf("%s has the annotations %v", name, service.Annotations)
		}
	}
	if service := get[*corev1.Service](t, render(t), chart); service.Spec.IPFamilyPolicy != nil || service.Spec.IPFamilies != nil {
		t.Errorf("by default the families are %v %v", service.Spec.IPFamilyPolicy, service.Spec.IPFamilies)
	}
}

func TestWebhookValues(t *testing.T) {
	set := "certificates.mode=certManager,webhook.annotations.a=b"
	want := map[string]int32{}
	for i, name := range []string{"gate", "registration", "status", "others", "agents", "policies"} {
		want[name+".noderestriction.plus"] = int32(i + 11)
		set += fmt.Sprintf(",webhook.timeoutSeconds.%s=%d", name, i+11)
	}
	configuration := render(t, "--set", set).webhooks
	have := map[string]int32{}
	for _, w := range configuration.Webhooks {
		have[w.Name] = *w.TimeoutSeconds
	}
	if !maps.Equal(have, want) {
		t.Errorf("the timeouts are %v, want %v", have, want)
	}
	if a := configuration.Annotations; a["a"] != "b" || a["cert-manager.io/inject-ca-from"] == "" {
		t.Errorf("the annotations are %v", a)
	}
}

// TestNoEmptyRules checks that a webhook without rules has none in the manifest, either: the API server drops an empty list, so that each
// apply of it would change the object.
func TestNoEmptyRules(t *testing.T) {
	out, err := helmTemplate(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range strings.Split(out, "\n---\n") {
		if !strings.Contains(document, "\nkind: ValidatingWebhookConfiguration\n") {
			continue
		}
		var configuration struct {
			Webhooks []map[string]any `json:"webhooks"`
		}
		if err := yaml.Unmarshal([]byte(document), &configuration); err != nil {
			t.Fatal(err)
		}
		for _, w := range configuration.Webhooks {
			if rules, found := w["rules"].([]any); found && len(rules) == 0 {
				t.Errorf("%s has an empty list of rules", w["name"])
			}
		}
		return
	}
	t.Error("there is no webhook configuration")
}

// TestPermissionsFromElsewhere checks that neither roles nor the service account are rendered where others provide them, and that they
// are those of the default.
func TestPermissionsFromElsewhere(t *testing.T) {
	r := render(t, "--set", "rbac.create=false,serviceAccount.create=false,serviceAccount.name=mine,enforcementProbe.enabled=true")
	for _, object := range r.objects {
		switch object.(type) {
		case *rbacv1.ClusterRole, *rbacv1.ClusterRoleBinding, *rbacv1.Role, *rbacv1.RoleBinding:
			t.Errorf("there is a %T %s", object, object.GetName())
		case *corev1.ServiceAccount:
			if !isTest(object) {
				t.Errorf("there is a service account %s", object.GetName())
			}
		}
	}
	if name := pods(t, r).ServiceAccountName; name != "mine" {
		t.Errorf("the pods have the service account %q", name)
	}
	r = render(t, "--set", "serviceAccount.name=mine,serviceAccount.labels.a=b,serviceAccount.annotations.c=d")
	account := get[*corev1.ServiceAccount](t, r, "mine")
	if account.Labels["a"] != "b" || account.Labels["app.kubernetes.io/name"] != chart || account.Annotations["c"] != "d" {
		t.Errorf("the service account has the labels %v and the annotations %v", account.Labels, account.Annotations)
	}
	for _, object := range r.objects {
		var subjects []rbacv1.Subject
		switch typed := object.(type) {
		case *rbacv1.ClusterRoleBinding:
			subjects = typed.Subjects
		case *rbacv1.RoleBinding:
			subjects = typed.Subjects
		}
		for _, s := range subjects {
			if s.Name != "mine" && s.Name != verify {
				t.Errorf("%s binds %v", object.GetName(), s)
			}
		}
	}
}

// TestNetworkPolicyOfTheTest checks that the pod of helm test reaches the API server, and only it, where all else is denied.
func TestNetworkPolicyOfTheTest(t *testing.T) {
	r := render(t, "--set", "networkPolicy.enabled=true,networkPolicy.apiServerCIDRs={10.0.0.1/32}")
	own, p := get[*networkingv1.NetworkPolicy](t, r, chart), get[*networkingv1.NetworkPolicy](t, r, verify)
	if !isTest(p) || !selects(p.Spec.PodSelector.MatchLabels, get[*corev1.Pod](t, r, verify).Labels) {
		t.Errorf("it selects %v, with the annotations %v", p.Spec.PodSelector, p.Annotations)
	}
	if len(p.Spec.Ingress) != 0 || len(p.Spec.PolicyTypes) != 2 || len(p.Spec.Egress) != 1 || len(p.Spec.Egress[0].Ports) != 2 ||
		p.Spec.Egress[0].To[0].IPBlock.CIDR != own.Spec.Egress[0].To[0].IPBlock.CIDR {
		t.Errorf("it is %+v", p.Spec)
	}
	if _, found := find[*networkingv1.NetworkPolicy](render(t), verify); found {
		t.Error("it is there without networkPolicy.enabled")
	}
}

// TestPullSecretsMayBeNames checks all forms of pull Secrets: the API server accepts only objects with a name.
func TestPullSecretsMayBeNames(t *testing.T) {
	r := render(t, "--set-json", `imagePullSecrets=["a",{"name":"b"}]`, "--set-json", `global={"imagePullSecrets":["c","a"],"other":{"x":1}}`)
	want := []corev1.LocalObjectReference{{Name: "a"}, {Name: "b"}, {Name: "c"}}
	for name, spec := range map[string]corev1.PodSpec{"webhook": pods(t, r), "helm test": get[*corev1.Pod](t, r, verify).Spec} {
		if !slices.Equal(spec.ImagePullSecrets, want) {
			t.Errorf("%s: they are %v", name, spec.ImagePullSecrets)
		}
	}
}

func TestRegistryOfTheUmbrellaChart(t *testing.T) {
	for repository, want := range map[string]string{
		"a":                           "registry.example.com/mirror/a:t",
		"team/a":                      "registry.example.com/mirror/team/a:t",
		"other.example.com/a":         "other.example.com/a:t",
		"localhost/a":                 "localhost/a:t",
		"registry:5000/a":             "registry:5000/a:t",
		"localhosts/registry.local/a": "registry.example.com/mirror/localhosts/registry.local/a:t",
	} {
		r := render(t, "--set", "image.tag=t,global.imageRegistry=registry.example.com/mirror/,image.repository="+repository)
		if have := pods(t, r).Containers[0].Image; have != want {
			t.Errorf("%s becomes %s, want %s", repository, have, want)
		}
	}
}

// TestRoomForTheFilesOfRecords checks that a pod is not evicted because of the files that it has to keep.
func TestRoomForTheFilesOfRecords(t *testing.T) {
	for set, want := range map[string]string{
		"denialLog.file.maxBackups=5":                                   "1Gi",
		"denialLog.file.maxBackups=20":                                  "2200Mi",
		"denialLog.file.maxBackups=1,denialLog.file.maxSize=2Gi":        "6Gi",
		"denialLog.file.maxBackups=1000000,denialLog.file.maxSize=1Gi":  "",
		"denialLog.file.maxBackups=1,denialLog.file.maxSize=1000000000": "",
	} {
		out, err := helmTemplate(t, "--set", "denialLog.file.enabled=true,resources.limits.ephemeral-storage=8Gi,"+set)
		if (err != nil) != (want == "") {
			t.Errorf("%s: %v", set, err)
		}
		if want == "" {
			continue
		}
		r := rendered{objects: decode(t, out)}
		if limit := pods(t, r).Volumes[0].EmptyDir.SizeLimit.String(); limit != want {
			t.Errorf("%s: the limit is %s, want %s", set, limit, want)
		}
	}
	_, err := helmTemplate(t, "--set", "denialLog.file.enabled=true,denialLog.file.maxBackups=20")
	if err == nil || !strings.Contains(err.Error(), "resources.limits.ephemeral-storage: must be at least 2456Mi") {
		t.Errorf("files that exceed the limit of the container: %v", err)
	}
}

// TestSpreadOfOnesOwn checks that a constraint counts the pods of the chart unless it says which.
func TestSpreadOfOnesOwn(t *testing.T) {
	const one = `{"maxSkew":1,"topologyKey":"rack","whenUnsatisfiable":"DoNotSchedule"`
	d := get[*appsv1.Deployment](t, render(t, "--set-json", "topologySpreadConstraints=["+one+"},"+
		one+`,"labelSelector":{"matchLabels":{"a":"b"}}}]`), chart)
	spread := d.Spec.Template.Spec.TopologySpreadConstraints
	if len(spread) != 2 || spread[0].TopologyKey != "rack" || !selects(spread[0].LabelSelector.MatchLabels, d.Spec.Template.Labels) ||
		!maps.Equal(spread[1].LabelSelector.MatchLabels, map[string]string{"a": "b"}) {
		t.Errorf("it is %v", spread)
	}
}

// TestNullIsEmpty checks that a key without a value in a values file, which Helm takes as null, means empty for each list and object.
func TestNullIsEmpty(t *testing.T) {
	var paths []string
	var visit func(v *value)
	visit = func(v *value) {
		for _, child := range v.children {
			visit(child)
		}
		if v.path != "" && v.canBeNull() {
			paths = append(paths, v.path+"=null")
		}
	}
	visit(readValues(t))
	if len(paths) < 30 {
		t.Fatalf("there are only %v", paths)
	}
	for _, more := range []string{
		"profile=balanced", "profile=controlPlane", "certificates.mode=certManager,networkPolicy.enabled=true",
		"monitoring.serviceMonitor.enabled=true,monitoring.podMonitor.enabled=true,monitoring.dashboard.enabled=true",
	} {
		render(t, "--set", strings.Join(paths, ","), "--set", more)
	}
}

// TestIcon holds the icon in Chart.yaml, which must be a URL and may be one with the image in it, to the file that people edit.
func TestIcon(t *testing.T) {
	svg, err := os.ReadFile("icon.svg")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(chart + "/Chart.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var metadata struct {
		Icon string `json:"icon"`
	}
	if err := yaml.Unmarshal(data, &metadata); err != nil {
		t.Fatal(err)
	}
	if want := "data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString(svg); metadata.Icon != want {
		t.Errorf("the icon is %q, want %q", metadata.Icon, want)
	}
}
