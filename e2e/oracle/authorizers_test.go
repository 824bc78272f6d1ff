// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/informers"
	"k8s.io/kubernetes/pkg/auth/nodeidentifier"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/node"
	kuberbac "k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/rbac"
)

// attributes are a request as the API server hands it to authorizers.
func attributes(id authorization.Identity, r *authorization.Request) authorizer.Attributes {
	a := authorizer.AttributesRecord{
		User: &user.DefaultInfo{Name: id.User, Groups: id.Groups}, Verb: r.Verb, APIGroup: r.Group, Resource: r.Resource,
		Subresource: r.Subresource, Namespace: r.Namespace, Name: r.Name, ResourceRequest: r.Path == "", Path: r.Path,
	}
	if r.Selector.Field != "" {
		a.FieldSelectorRequirements = fields.Requirements{{Field: r.Selector.Field, Operator: selection.Equals, Value: r.Selector.Value}}
	}
	return a
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// graphDraw draws a cluster of two nodes with few names, so that requests hit what pods use.
type graphDraw struct{ *rand.Rand }

func (d graphDraw) name(kind string) string { return kind + strconv.Itoa(d.IntN(4)) }
func (d graphDraw) namespace() string       { return pick(d.Rand, "a", "b") }
func (d graphDraw) node() string            { return pick(d.Rand, "n0", "n1") }
func (d graphDraw) reference() *corev1.LocalObjectReference {
	return &corev1.LocalObjectReference{Name: d.name("secret")}
}

func (d graphDraw) pod() *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: d.namespace(), Name: d.name("pod"), UID: types.UID(strconv.FormatUint(d.Uint64(), 16))},
		Spec:       corev1.PodSpec{NodeName: d.node(), ServiceAccountName: pick(d.Rand, "", d.name("sa"))},
	}
	if d.IntN(5) == 0 {
		pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
	}
	if d.IntN(3) == 0 {
		pod.Spec.ImagePullSecrets = []corev1.LocalObjectReference{*d.reference()}
	}
	environment := func() (from []corev1.EnvFromSource, variables []corev1.EnvVar) {
		switch d.IntN(5) {
		case 0:
			from = append(from, corev1.EnvFromSource{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: *d.reference()}})
		case 1:
			from = append(from, corev1.EnvFromSource{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: d.name("map")}}})
		case 2:
			variables = append(variables, corev1.EnvVar{ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: *d.reference()}}})
		case 3:
			variables = append(variables, corev1.EnvVar{Value: "x"}, corev1.EnvVar{ValueFrom: &corev1.EnvVarSource{
				ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: d.name("map")}},
			}})
		}
		return from, variables
	}
	from, variables := environment()
	pod.Spec.Containers = []corev1.Container{{Name: "c", EnvFrom: from, Env: variables}}
	from, variables = environment()
	pod.Spec.InitContainers = []corev1.Container{{Name: "i", EnvFrom: from, Env: variables}}
	from, variables = environment()
	pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "e", EnvFrom: from, Env: variables}}}
	for range d.IntN(3) {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: pick(d.Rand, "0", "1"), VolumeSource: d.volume()})
	}
	d.addClaims(pod)
	return pod
}

func (d graphDraw) volume() corev1.VolumeSource {
	switch d.IntN(15) {
	case 0:
		return corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: d.name("secret")}}
	case 1:
		return corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: d.name("map")}}}
	case 2:
		return corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{Secret: &corev1.SecretProjection{LocalObjectReference: *d.reference()}},
			{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: d.name("map")}}},
		}}}
	case 3, 4, 5:
		return corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: d.name("claim")}}
	case 6:
		return corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}
	case 7:
		return corev1.VolumeSource{AzureFile: &corev1.AzureFileVolumeSource{SecretName: d.name("secret")}}
	case 8:
		return corev1.VolumeSource{CephFS: &corev1.CephFSVolumeSource{SecretRef: d.reference()}}
	case 9:
		return corev1.VolumeSource{Cinder: &corev1.CinderVolumeSource{SecretRef: d.reference()}}
	case 10:
		return corev1.VolumeSource{FlexVolume: &corev1.FlexVolumeSource{SecretRef: d.reference()}}
	case 11:
		return corev1.VolumeSource{RBD: &corev1.RBDVolumeSource{SecretRef: d.reference()}}
	case 12:
		return corev1.VolumeSource{ScaleIO: &corev1.ScaleIOVolumeSource{SecretRef: d.reference()}}
	case 13:
		return pick(d.Rand, corev1.VolumeSource{ISCSI: &corev1.ISCSIVolumeSource{SecretRef: d.reference()}},
			corev1.VolumeSource{StorageOS: &corev1.StorageOSVolumeSource{SecretRef: d.reference()}})
	}
	return corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{NodePublishSecretRef: d.reference()}}
}

func (d graphDraw) addClaims(pod *corev1.Pod) {
	name := d.name("devices")
	switch d.IntN(5) {
	case 0:
		pod.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "x", ResourceClaimName: &name}}
	case 1:
		pod.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "x", ResourceClaimTemplateName: &name}, {Name: "y", ResourceClaimTemplateName: &name}}
		pod.Status.ResourceClaimStatuses = []corev1.PodResourceClaimStatus{{Name: pick(d.Rand, "x", "z"), ResourceClaimName: pick(d.Rand, nil, &name)}}
	case 2:
		pod.Status.ExtendedResourceClaimStatus = &corev1.PodExtendedResourceClaimStatus{ResourceClaimName: name}
	}
}

func (d graphDraw) persistentVolume() *corev1.PersistentVolume {
	pv := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: d.name("pv")}}
	if d.IntN(5) > 0 {
		pv.Spec.ClaimRef = &corev1.ObjectReference{Namespace: d.namespace(), Name: d.name("claim")}
	}
	secret := &corev1.SecretReference{Name: d.name("secret"), Namespace: pick(d.Rand, "", "a", "b")}
	switch s := &pv.Spec.PersistentVolumeSource; d.IntN(10) {
	case 0:
		s.AzureFile = &corev1.AzureFilePersistentVolumeSource{SecretName: secret.Name, SecretNamespace: pick(d.Rand, nil, &secret.Namespace)}
	case 1:
		s.CephFS = &corev1.CephFSPersistentVolumeSource{SecretRef: secret}
	case 2:
		s.Cinder = &corev1.CinderPersistentVolumeSource{SecretRef: secret}
	case 3:
		s.FlexVolume = &corev1.FlexPersistentVolumeSource{SecretRef: secret}
	case 4:
		s.RBD = &corev1.RBDPersistentVolumeSource{SecretRef: secret}
	case 5:
		s.ScaleIO = &corev1.ScaleIOPersistentVolumeSource{SecretRef: secret}
	case 6:
		s.ISCSI = &corev1.ISCSIPersistentVolumeSource{SecretRef: secret}
	case 7:
		s.StorageOS = &corev1.StorageOSPersistentVolumeSource{SecretRef: &corev1.ObjectReference{Name: secret.Name, Namespace: secret.Namespace}}
	case 8:
		s.CSI = &corev1.CSIPersistentVolumeSource{ControllerPublishSecretRef: secret, ControllerExpandSecretRef: secret}
	case 9:
		s.CSI = &corev1.CSIPersistentVolumeSource{NodePublishSecretRef: pick(d.Rand, nil, secret), NodeStageSecretRef: pick(d.Rand, nil, secret), NodeExpandSecretRef: pick(d.Rand, nil, secret)}
	}
	return pv
}

// fill fills a graph and the links of a node with the same drawn objects. In a graph as in a cluster, the last object of a name counts.
func (d graphDraw) fill(graph *node.Graph, of string) *nodeauthorizer.Links {
	links := nodeauthorizer.NewLinks()
	pods, volumes := map[string]*corev1.Pod{}, map[string]*corev1.PersistentVolume{}
	for range 6 {
		pod := d.pod()
		pods[pod.Namespace+"/"+pod.Name] = pod
		volume := d.persistentVolume()
		volumes[volume.Name] = volume
	}
	for _, pod := range pods {
		graph.AddPod(pod)
		if pod.Spec.NodeName == of {
			links.AddPod(pod)
		}
	}
	for _, volume := range volumes {
		graph.AddPV(volume)
		links.AddVolume(volume)
	}
	own := func(resource, namespace, name, nodeName string) {
		if nodeName == of {
			links.Add(resource, namespace, name)
		}
	}
	for i := range 3 {
		name, on := strconv.Itoa(i), d.node()
		graph.AddVolumeAttachment("attachment"+name, on)
		own("volumeattachments", "", "attachment"+name, on)
		graph.AddResourceSlice("slice"+name, on)
		own("resourceslices", "", "slice"+name, on)
		pcr := &certificatesv1.PodCertificateRequest{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "pcr" + name}, Spec: certificatesv1.PodCertificateRequestSpec{NodeName: types.NodeName(on)}}
		graph.AddPodCertificateRequest(pcr)
		own("podcertificaterequests", "a", pcr.Name, on)
	}
	return links
}

// request draws a request that is near one that the Node authorizer allows.
func (d graphDraw) request(cells []nodeauthorizer.Cell) *authorization.Request {
	cell := cells[d.IntN(len(cells))]
	r := &authorization.Request{Verb: cell.Verb, Group: cell.Group, Resource: cell.Resource, Subresource: cell.Subresource, Path: cell.Path}
	names := map[string]string{
		"secrets": "secret", "configmaps": "map", "persistentvolumeclaims": "claim", "persistentvolumes": "pv", "pods": "pod",
		"serviceaccounts": "sa", "resourceclaims": "devices", "volumeattachments": "attachment", "resourceslices": "slice",
		"podcertificaterequests": "pcr",
	}
	r.Name = pick(d.Rand, d.node(), d.node(), "")
	if prefix, ok := names[r.Resource]; ok && d.IntN(8) > 0 {
		r.Name = d.name(prefix)
	}
	r.Namespace = pick(d.Rand, "", nodeauthorizer.LeaseNamespace, "a", "b")
	if prefix, ok := names[r.Resource]; ok && d.IntN(4) > 0 {
		r.Namespace = ""
		if prefix != "pv" && prefix != "attachment" && prefix != "slice" {
			r.Namespace = d.namespace()
		}
	}
	if d.IntN(3) == 0 {
		r.Selector = authorization.Selector{Field: pick(d.Rand, "spec.nodeName", "spec.nodeName", "nodeName", "metadata.name"), Value: d.node()}
	}
	switch d.IntN(10) {
	case 0:
		r.Verb = pick(d.Rand, "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "*")
	case 1:
		r.Subresource = pick(d.Rand, "", "status", "token", "eviction", "x")
	case 2:
		r.Group = pick(d.Rand, "", "apps", "storage.k8s.io", "*")
	}
	return r
}

// TestNodeAuthorizer compares the table of the Node authorizer, and the relations of pods to their node, with the authorizer itself in
// 100,000 random requests in 200 random clusters.
func TestNodeAuthorizer(t *testing.T) {
	const worlds, requests = 200, 500
	table, err := nodeauthorizer.New(nodeauthorizer.Newest, nil)
	if err != nil {
		t.Fatal(err)
	}
	cells := table.Cells()
	verdicts := map[bool]int{}
	rules := map[*nodeauthorizer.Rule]bool{}
	for seed := range uint64(worlds) {
		d := graphDraw{rand.New(rand.NewPCG(2, seed))}
		graph := node.NewGraph()
		links := d.fill(graph, "n0")
		oracle := node.NewAuthorizer(graph, nodeidentifier.NewDefaultNodeIdentifier(), bootstrappolicy.NodeRules())
		for range requests {
			r := d.request(cells)
			decision, _, err := oracle.Authorize(t.Context(), attributes(authorization.Kubelet("n0"), r))
			if err != nil {
				t.Fatal(err)
			}
			rule := table.Decide("n0", r, links.Related)
			if rule != nil {
				rules[rule] = true
			}
			if want := decision == authorizer.DecisionAllow; (rule != nil) != want {
				t.Errorf("world %d: %s: the Node authorizer allows: %t; the table: %+v", seed, r, want, rule)
			}
			verdicts[rule != nil]++
		}
	}
	t.Logf("%d allowed, %d refused, by %d rules", verdicts[true], verdicts[false], len(rules))
	if verdicts[true] < 1000 || verdicts[false] < 1000 {
		t.Errorf("%d allowed, %d refused: too few to compare", verdicts[true], verdicts[false])
	}
	for _, r := range table.Rules() {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(rules)), func(used *nodeauthorizer.Rule) bool { return used.Source == r.Source && used.Resource == r.Resource }) {
			t.Errorf("no request was allowed by the rule for %v %s", r.Verbs, r.Resource)
		}
	}
}

// TestSources tests that each rule of the table names the line of Kubernetes that it is from: the line has the first verb of the rule
// or its resource.
func TestSources(t *testing.T) {
	directory, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes").Output()
	if err != nil {
		t.Fatal(err)
	}
	table, err := nodeauthorizer.New(nodeauthorizer.Newest, map[nodeauthorizer.Gate]bool{nodeauthorizer.VolumeHealth: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range table.Rules() {
		file, number, _ := strings.Cut(r.Source, ":")
		source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(directory)), file))
		if err != nil {
			t.Fatal(err)
		}
		line, err := strconv.Atoi(number)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(source), "\n")
		if line > len(lines) {
			t.Fatalf("%s has %d lines", r.Source, len(lines))
		}
		resource, _, _ := strings.Cut(r.Resource, "/")
		if text := lines[line-1]; !strings.Contains(text, strconv.Quote(r.Verbs[0])) && !strings.Contains(text, strconv.Quote(resource)) &&
			!strings.Contains(text, "VertexType, attrs)") {
			t.Errorf("%v %s: %s is %q", r.Verbs, r.Resource, r.Source, text)
		}
	}
}

// rbacDraw draws RBAC with few names.
type rbacDraw struct{ graphDraw }

func (d rbacDraw) some(of ...string) []string {
	var list []string
	for range 1 + d.IntN(2) {
		list = append(list, pick(d.Rand, of...))
	}
	return list
}

func (d rbacDraw) rules() []rbacv1.PolicyRule {
	var rules []rbacv1.PolicyRule
	for range 1 + d.IntN(3) {
		rule := rbacv1.PolicyRule{Verbs: d.some("get", "get", "list", "create", "update", "*")}
		if d.IntN(4) == 0 {
			rule.NonResourceURLs = d.some("/metrics", "/metrics/*", "/api*", "*", "/", "/a/*/b", "")
		} else {
			rule.APIGroups = d.some("", "", "apps", "*")
			rule.Resources = d.some("secrets", "pods", "pods/log", "*/log", "*", "pods/*", "*/*", "*/")
			if d.IntN(3) == 0 {
				rule.ResourceNames = d.some("x", "y", "")
			}
		}
		rules = append(rules, rule)
	}
	return rules
}

func (d rbacDraw) subjects() []rbacv1.Subject {
	var subjects []rbacv1.Subject
	for range 1 + d.IntN(2) {
		subjects = append(subjects, pick(d.Rand,
			rbacv1.Subject{Kind: "Group", Name: "system:nodes"}, rbacv1.Subject{Kind: "Group", Name: "system:authenticated"},
			rbacv1.Subject{Kind: "User", Name: "system:node:n0"}, rbacv1.Subject{Kind: "User", Name: "system:nodes"},
			rbacv1.Subject{Kind: "ServiceAccount", Namespace: "a", Name: "sa"}, rbacv1.Subject{Kind: "ServiceAccount", Name: "sa"},
			rbacv1.Subject{Kind: "Other", Name: "system:node:n0"}, rbacv1.Subject{Kind: "Group", Name: "others"}))
	}
	return subjects
}

func (d rbacDraw) snapshot() *rbac.Snapshot {
	s := &rbac.Snapshot{}
	name := func(i int) metav1.ObjectMeta { return metav1.ObjectMeta{Name: fmt.Sprintf("r%d", i)} }
	for i := range 4 {
		role := rbacv1.ClusterRole{ObjectMeta: name(i), Rules: d.rules()}
		s.ClusterRoles = append(s.ClusterRoles, role)
		s.ClusterRoleBindings = append(s.ClusterRoleBindings, rbacv1.ClusterRoleBinding{
			ObjectMeta: name(i), Subjects: d.subjects(),
			RoleRef: rbacv1.RoleRef{Kind: pick(d.Rand, "ClusterRole", "ClusterRole", "ClusterRole", "Role"), Name: d.role()},
		})
		local := rbacv1.Role{ObjectMeta: name(i), Rules: d.rules()}
		local.Namespace = d.namespace()
		s.Roles = append(s.Roles, local)
		binding := rbacv1.RoleBinding{
			ObjectMeta: name(i), Subjects: d.subjects(), RoleRef: rbacv1.RoleRef{Kind: pick(d.Rand, "ClusterRole", "Role", "Role"), Name: d.role()},
		}
		binding.Namespace = d.namespace()
		s.RoleBindings = append(s.RoleBindings, binding)
	}
	return s
}

func (d rbacDraw) role() string { return fmt.Sprintf("r%d", d.IntN(5)) }

// authorizer sets the RBAC authorizer of the API server up with a snapshot. Its informers never run: their indexers have the objects.
func (d rbacDraw) authorizer(t *testing.T, s *rbac.Snapshot) *kuberbac.RBACAuthorizer {
	t.Helper()
	access := informers.NewSharedInformerFactory(nil, 0).Rbac().V1()
	for i := range s.ClusterRoles {
		for _, err := range []error{
			access.ClusterRoles().Informer().GetIndexer().Add(&s.ClusterRoles[i]), access.Roles().Informer().GetIndexer().Add(&s.Roles[i]),
			access.ClusterRoleBindings().Informer().GetIndexer().Add(&s.ClusterRoleBindings[i]),
			access.RoleBindings().Informer().GetIndexer().Add(&s.RoleBindings[i]),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return kuberbac.New(&kuberbac.RoleGetter{Lister: access.Roles().Lister()}, &kuberbac.RoleBindingLister{Lister: access.RoleBindings().Lister()},
		&kuberbac.ClusterRoleGetter{Lister: access.ClusterRoles().Lister()},
		&kuberbac.ClusterRoleBindingLister{Lister: access.ClusterRoleBindings().Lister()})
}

// TestRBAC compares our evaluation of RBAC with the API server's in 100,000 random requests: the verdict is the same, and the grant
// that the API server names is among ours.
func TestRBAC(t *testing.T) {
	const worlds, requests = 1000, 100
	verdicts := map[bool]int{}
	for seed := range uint64(worlds) {
		d := rbacDraw{graphDraw{rand.New(rand.NewPCG(3, seed))}}
		s := d.snapshot()
		oracle, evaluator := d.authorizer(t, s), rbac.New(s)
		for range requests {
			id := pick(d.Rand, authorization.Kubelet("n0"), authorization.Identity{User: "system:serviceaccount:a:sa"})
			r := &authorization.Request{
				Verb: pick(d.Rand, "get", "list", "create", "*"), Group: pick(d.Rand, "", "", "apps", "*"), Resource: pick(d.Rand, "secrets", "pods", "*"),
				Subresource: pick(d.Rand, "", "", "log", "*"), Namespace: pick(d.Rand, "", "a", "b"), Name: pick(d.Rand, "", "x", "z"),
			}
			if d.IntN(4) == 0 {
				r = &authorization.Request{Verb: pick(d.Rand, "get", "put"), Path: pick(d.Rand, "/metrics", "/metrics/slis", "/api", "/", "/a/x/b")}
			}
			decision, reason, _ := oracle.Authorize(t.Context(), attributes(id, r))
			want := decision == authorizer.DecisionAllow
			matches, count := evaluator.Grants(id).Matches(r, 100)
			if evaluator.Allows(id, r) != want || (count > 0) != want {
				t.Errorf("world %d: %s: the API server allows: %t (%s); we: %t, %d grants", seed, r, want, reason, evaluator.Allows(id, r), count)
			}
			verdicts[want]++
			if !want {
				continue
			}
			named, ok := rbac.ReadReason(reason)
			if !ok || !slices.ContainsFunc(matches, func(m rbac.Match) bool {
				return m.BindingKind == named.BindingKind && m.BindingNamespace == named.BindingNamespace && m.Binding == named.Binding &&
					m.RoleKind == named.RoleKind && m.Role == named.Role && m.Subject.Kind == named.Subject.Kind && m.Subject.Name == named.Subject.Name
			}) {
				t.Errorf("world %d: %s: %q is not among %d grants", seed, r, reason, count)
			}
		}
	}
	t.Logf("%d allowed, %d refused", verdicts[true], verdicts[false])
	if verdicts[true] < 1000 || verdicts[false] < 1000 {
		t.Errorf("%d allowed, %d refused: too few to compare", verdicts[true], verdicts[false])
	}
}
