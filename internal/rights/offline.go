// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/access"
	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/rbac"
)

// dumpKind is the kind of what --dump writes.
const dumpKind = "RightsDump"

// Dump is what --from reads: RBAC, and the pods of nodes without anything but what they refer to. It has no data of Secrets or
// ConfigMaps, and no environment.
type Dump struct {
	command.Envelope
	ServerVersion string            `json:"serverVersion,omitempty"`
	Minor         int               `json:"minor,omitempty"`
	Lacking       []Lack            `json:"lacking,omitempty"`
	Items         []json.RawMessage `json:"items"`
}

// WriteDump reads what --from needs from an API server, and writes it. With a node it has the pods of the node. It fails if a list of
// RBAC may not be read.
func WriteDump(ctx context.Context, client *access.Client, node string, w io.Writer) error {
	dump := &Dump{Envelope: command.Envelope{APIVersion: command.APIVersion, Kind: dumpKind}}
	var err error
	if dump.ServerVersion, dump.Minor, err = client.Version(ctx); err != nil {
		return err
	}
	snapshot, failures := client.RBAC(ctx)
	if len(failures) > 0 {
		return failures[0]
	}
	if err := dump.addRBAC(snapshot); err != nil {
		return err
	}
	if node != "" {
		pods, err := client.Pods(ctx, node, maxPods)
		if err != nil {
			return err
		}
		for i := range pods {
			if err := dump.add("v1", "Pod", referencesOf(&pods[i])); err != nil {
				return err
			}
		}
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	return encoder.Encode(dump)
}

// add adds an object of a kind.
func (d *Dump) add(apiVersion, kind string, object any) error {
	data, err := json.Marshal(object)
	if err != nil {
		return err
	}
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(data, &fields); err != nil {
		return err
	}
	fields["apiVersion"], fields["kind"] = json.RawMessage(`"`+apiVersion+`"`), json.RawMessage(`"`+kind+`"`)
	if data, err = json.Marshal(fields); err == nil {
		d.Items = append(d.Items, data)
	}
	return err
}

const rbacVersion = "rbac.authorization.k8s.io/v1"

func (d *Dump) addRBAC(s *rbac.Snapshot) error {
	for i := range s.ClusterRoles {
		o := &s.ClusterRoles[i]
		o.ObjectMeta = metav1.ObjectMeta{Name: o.Name, Labels: o.Labels}
		if err := d.add(rbacVersion, rbac.ClusterRole, o); err != nil {
			return err
		}
	}
	for i := range s.Roles {
		o := &s.Roles[i]
		o.ObjectMeta = metav1.ObjectMeta{Name: o.Name, Namespace: o.Namespace}
		if err := d.add(rbacVersion, rbac.Role, o); err != nil {
			return err
		}
	}
	for i := range s.ClusterRoleBindings {
		o := &s.ClusterRoleBindings[i]
		o.ObjectMeta = metav1.ObjectMeta{Name: o.Name}
		if err := d.add(rbacVersion, rbac.ClusterRoleBinding, o); err != nil {
			return err
		}
	}
	for i := range s.RoleBindings {
		o := &s.RoleBindings[i]
		o.ObjectMeta = metav1.ObjectMeta{Name: o.Name, Namespace: o.Namespace}
		if err := d.add(rbacVersion, rbac.RoleBinding, o); err != nil {
			return err
		}
	}
	return nil
}

// referencesOf returns a pod with nothing but its name, its node and the objects that it refers to.
func referencesOf(pod *corev1.Pod) *corev1.Pod {
	kept := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, OwnerReferences: pod.OwnerReferences},
		Spec: corev1.PodSpec{
			NodeName: pod.Spec.NodeName, ServiceAccountName: pod.Spec.ServiceAccountName, ImagePullSecrets: pod.Spec.ImagePullSecrets,
			Volumes: pod.Spec.Volumes, ResourceClaims: pod.Spec.ResourceClaims,
		},
		Status: corev1.PodStatus{
			Phase: pod.Status.Phase, ResourceClaimStatuses: pod.Status.ResourceClaimStatuses,
			ExtendedResourceClaimStatus: pod.Status.ExtendedResourceClaimStatus,
		},
	}
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		kept.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: ""}
	}
	container := corev1.Container{Name: "references"}
	add := func(from []corev1.EnvFromSource, variables []corev1.EnvVar) {
		container.EnvFrom = append(container.EnvFrom, from...)
		for _, variable := range variables {
			if variable.ValueFrom != nil {
				container.Env = append(container.Env, corev1.EnvVar{Name: variable.Name, ValueFrom: variable.ValueFrom})
			}
		}
	}
	for i := range pod.Spec.InitContainers {
		add(pod.Spec.InitContainers[i].EnvFrom, pod.Spec.InitContainers[i].Env)
	}
	for i := range pod.Spec.Containers {
		add(pod.Spec.Containers[i].EnvFrom, pod.Spec.Containers[i].Env)
	}
	for i := range pod.Spec.EphemeralContainers {
		add(pod.Spec.EphemeralContainers[i].EnvFrom, pod.Spec.EphemeralContainers[i].Env)
	}
	kept.Spec.Containers = []corev1.Container{container}
	return kept
}

// cluster is what files say of a cluster.
type cluster struct {
	snapshot rbac.Snapshot
	pods     []corev1.Pod
	volumes  []corev1.PersistentVolume
	policies []v1alpha1.NodeRestrictionPolicy
	version  string
	minor    int
	objects  int
}

// readCluster reads what --dump writes, or objects and lists as kubectl writes them.
func readCluster(c *cluster, data []byte) error {
	documents, err := manifest.Documents(data)
	if err != nil {
		return err
	}
	for i, document := range documents {
		if err := c.add(document); err != nil {
			return fmt.Errorf("document %d: %w", i+1, err)
		}
	}
	return nil
}

func (c *cluster) add(document []byte) error {
	var meta struct {
		command.Envelope
		ServerVersion string            `json:"serverVersion"`
		Minor         int               `json:"minor"`
		Items         []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(document, &meta); err != nil {
		return err
	}
	if meta.Kind == "" {
		return fmt.Errorf("kind: is missing")
	}
	if meta.APIVersion == command.APIVersion && meta.Kind == dumpKind {
		c.version, c.minor = meta.ServerVersion, meta.Minor
	}
	if meta.Items != nil {
		for i, item := range meta.Items {
			if err := c.addItem(strings.TrimSuffix(meta.Kind, "List"), meta.APIVersion, item); err != nil {
				return fmt.Errorf("items[%d]: %w", i, err)
			}
		}
		return nil
	}
	return c.addItem("", "", document)
}

// addItem adds an object. Objects of a typed list, such as a RoleList, have no kind of their own.
func (c *cluster) addItem(kind, apiVersion string, data []byte) error {
	var meta command.Envelope
	if err := json.Unmarshal(data, &meta); err != nil {
		return err
	}
	if meta.Kind == "" {
		meta = command.Envelope{APIVersion: apiVersion, Kind: kind}
	}
	c.objects++
	switch meta.APIVersion + "/" + meta.Kind {
	case rbacVersion + "/" + rbac.ClusterRole:
		return add(&c.snapshot.ClusterRoles, data)
	case rbacVersion + "/" + rbac.Role:
		return add(&c.snapshot.Roles, data)
	case rbacVersion + "/" + rbac.ClusterRoleBinding:
		return add(&c.snapshot.ClusterRoleBindings, data)
	case rbacVersion + "/" + rbac.RoleBinding:
		return add(&c.snapshot.RoleBindings, data)
	case "v1/Pod":
		return add(&c.pods, data)
	case "v1/PersistentVolume":
		return add(&c.volumes, data)
	case v1alpha1.GroupName + "/v1alpha1" + "/NodeRestrictionPolicy":
		return add(&c.policies, data)
	}
	return nil
}

func add[T any](list *[]T, data []byte) error {
	var object T
	if err := json.Unmarshal(data, &object); err != nil {
		return err
	}
	*list = append(*list, object)
	return nil
}

func errNoBindings(c *cluster) error {
	return fmt.Errorf("there are no bindings among %d objects; write the files with --dump, or with kubectl get "+
		"clusterroles,clusterrolebindings,roles,rolebindings --all-namespaces --output=json", c.objects)
}

// offline says what files say about a kubelet. Only the Node authorizer and RBAC count.
func offline(c *cluster, o *Options) (*Report, error) {
	report := &Report{
		Envelope: command.Envelope{APIVersion: command.APIVersion, Kind: reportKind}, How: HowDump, Node: o.Node,
		ServerVersion: c.version, NodeAuthorizer: nodeUnknown, failOn: o.FailOn, Notes: o.Accepted.notes(o.Now),
	}
	id := authorization.Kubelet(o.Node)
	if len(o.Groups) > 0 {
		id.Groups = o.Groups
	}
	report.identityTexts(id.User, id.Groups)
	minor := o.Minor
	if minor == 0 {
		minor = c.minor
	}
	if minor == 0 {
		minor = nodeauthorizer.Newest
		report.Notes = append(report.Notes, fmt.Sprintf("the files do not say which release it is; compared with Kubernetes 1.%d", minor))
	}
	table, err := nodeauthorizer.New(minor, o.Gates)
	if err != nil {
		return nil, err
	}
	report.Table = fmt.Sprintf("1.%d", table.Minor)
	if len(c.snapshot.ClusterRoleBindings)+len(c.snapshot.RoleBindings) == 0 {
		return nil, errNoBindings(c)
	}
	a := &analysis{node: o.Node, table: table, links: nodeauthorizer.NewLinks(), accepted: o.Accepted, now: o.Now}
	for i := range c.pods {
		if c.pods[i].Spec.NodeName == o.Node {
			a.links.AddPod(&c.pods[i])
		}
	}
	for i := range c.volumes {
		a.links.AddVolume(&c.volumes[i])
	}
	a.grants = rbac.New(&c.snapshot).Grants(id)
	a.candidates = a.grants
	for _, d := range a.grants.Dangling[:min(len(a.grants.Dangling), maxGrants)] {
		report.Notes = append(report.Notes, danglingNote(d))
	}
	questions, all := a.questions(&nodeauthorizer.Names{
		Node: o.Node, OtherNode: o.Node + otherSuffix, Namespace: systemNamespace, Unrelated: unrelatedName, Related: a.links.Examples(),
	})
	if !all {
		report.Notes = append(report.Notes,
			fmt.Sprintf("RBAC gives more than %d permissions beyond the table; the others are left out", maxCandidates))
	}
	rights := make([]*Right, len(questions))
	for i := range questions {
		rights[i] = a.classify(&questions[i], nil)
	}
	report.Notes = append(report.Notes, "other authorizers than Node and RBAC are not considered, and the Node authorizer is assumed to be on")
	report.finish(rights, o.Refused)
	return report, nil
}

// retries are the pauses before a related object that is missing is asked about again.
func retries() []time.Duration { return []time.Duration{time.Second, 3 * time.Second} }
