// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/rbac"
	"noderestriction.plus/internal/text"
)

// Agent is a service account whose token lies on a node, with what it may do in the cluster. Its texts are printable and bounded.
type Agent struct {
	Account string `json:"account"` // namespace/name
	// Tokens are how pods get its tokens: for the API server, or for other audiences, which the API server may not accept.
	Tokens   []string   `json:"tokens"`
	Pods     []AgentPod `json:"pods"`
	MorePods int        `json:"morePods,omitempty"`
	// Danger is that of the worst permission; empty: it has no permission.
	Danger      string       `json:"danger,omitempty"`
	Permissions []AgentRight `json:"permissions"`
	// More says that there are more permissions than are listed.
	More bool `json:"more,omitempty"`
	// HeldBy are policies that hold the account to this node: they deny, and their condition is in the texts.
	HeldBy []string `json:"heldBy,omitempty"`
	// NotHeldBy are policies that name the account and do not hold it to this node, each with the reason.
	NotHeldBy []string `json:"notHeldBy,omitempty"`
	// OtherNodes are permissions by which an account that is held gets a token of itself that names another node.
	OtherNodes []string `json:"otherNodes,omitempty"`

	danger nodeauthorizer.Danger
	key    string
	pods   []AgentPod
	tokens map[string]bool
	grants *rbac.Grants
}

// AgentRight is a permission of a service account.
type AgentRight struct {
	Danger     string   `json:"danger"`
	Verb       string   `json:"verb"`
	Resource   string   `json:"resource,omitempty"` // with its group and subresource
	Path       string   `json:"path,omitempty"`
	Namespace  string   `json:"namespace,omitempty"` // empty: the whole cluster
	MoreSpaces int      `json:"moreNamespaces,omitempty"`
	Name       string   `json:"name,omitempty"`
	Can        string   `json:"can"` // what its holder can do with it
	Grants     []Source `json:"grants"`
	MoreGrants int      `json:"moreGrants,omitempty"`

	right *Right
}

// AgentPod is a pod on the node.
type AgentPod struct {
	Name  string `json:"name"`            // namespace/name
	Owner string `json:"owner,omitempty"` // the kind and the name of its controller
}

const (
	// maxAgents bounds how many accounts of a node are listed, maxAgentPods how many pods of an account, and maxAgentRights its permissions.
	maxAgents      = 500
	maxAgentPods   = 5
	maxAgentRights = 300
)

// agentsOn returns the service accounts whose tokens lie on a node, the most dangerous first, and how many accounts of pods there have no
// token there, as far as the pods say it.
func agentsOn(node string, pods []corev1.Pod, snapshot *rbac.Snapshot, table *nodeauthorizer.Table) (agents []*Agent, without int) {
	found := map[string]*Agent{}
	others := map[string]bool{}
	for i := range pods {
		p := &pods[i]
		if p.Spec.NodeName != node || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		key := p.Namespace + "/" + cmp.Or(p.Spec.ServiceAccountName, "default")
		tokens := tokensOf(p)
		if len(tokens) == 0 {
			others[key] = true
			continue
		}
		a := found[key]
		if a == nil {
			a = &Agent{key: key, tokens: map[string]bool{}}
			found[key] = a
		}
		for _, t := range tokens {
			a.tokens[t] = true
		}
		a.pods = append(a.pods, podOf(p))
	}
	evaluator := rbac.New(snapshot)
	for _, key := range slices.Sorted(maps.Keys(found)) {
		delete(others, key)
		a := found[key]
		a.grants = ownGrants(evaluator, key)
		a.fill(&analysis{node: node, table: table, links: nodeauthorizer.NewLinks(), grants: a.grants, candidates: a.grants})
		agents = append(agents, a)
	}
	slices.SortStableFunc(agents, func(x, y *Agent) int {
		return cmp.Or(cmp.Compare(y.danger, x.danger), -cmp.Compare(min(len(x.Permissions), 1), min(len(y.Permissions), 1)))
	})
	return agents, len(others)
}

// tokensOf returns which tokens of its service account a pod has.
func tokensOf(p *corev1.Pod) []string {
	var tokens []string
	for i := range p.Spec.Volumes {
		v := &p.Spec.Volumes[i]
		switch {
		case v.Projected != nil:
			for _, s := range v.Projected.Sources {
				if t := s.ServiceAccountToken; t != nil && t.Audience == "" {
					tokens = append(tokens, apiToken)
				} else if t != nil {
					tokens = append(tokens, "for the audience "+text.Quote(text.Cut(t.Audience, maxReason)))
				}
			}
		case v.Secret != nil && strings.HasPrefix(v.Secret.SecretName, cmp.Or(p.Spec.ServiceAccountName, "default")+"-token-"):
			tokens = append(tokens, "by its name, the Secret "+text.Quote(text.Cut(v.Secret.SecretName, maxReason)))
		}
	}
	return tokens
}

// apiToken is a token for the API server.
const apiToken = "for the API server" //nolint:gosec // the name of an audience

func podOf(p *corev1.Pod) AgentPod {
	pod := AgentPod{Name: text.Printable(text.Cut(p.Namespace+"/"+p.Name, maxReason))}
	for _, o := range p.OwnerReferences {
		if o.Controller != nil && *o.Controller {
			pod.Owner = text.Printable(text.Cut(o.Kind+" "+o.Name, maxReason))
		}
	}
	return pod
}

// ownGrants returns what RBAC gives to a service account itself, or to all of its namespace. What all service accounts have is no
// permission of an agent.
func ownGrants(e *rbac.Evaluator, key string) *rbac.Grants {
	namespace, name, _ := strings.Cut(key, "/")
	return e.Grants(authorization.Identity{
		User: "system:serviceaccount:" + namespace + ":" + name, Groups: []string{"system:serviceaccounts:" + namespace},
	})
}

// fill sets what an account may do.
func (a *Agent) fill(by *analysis) {
	a.Account = text.Printable(text.Cut(a.key, maxReason))
	a.Tokens = slices.Sorted(maps.Keys(a.tokens))
	slices.SortFunc(a.pods, func(x, y AgentPod) int { return cmp.Compare(x.Name, y.Name) })
	a.Pods, a.MorePods = a.pods[:min(len(a.pods), maxAgentPods)], max(0, len(a.pods)-maxAgentPods)
	l := &questionList{asked: map[authorization.Request]bool{}, broad: map[[4]string]bool{}}
	all := by.addCandidates(l)
	var rights []*Right
	for i := range l.list {
		rights = append(rights, by.agentRight(&l.list[i]))
	}
	slices.SortStableFunc(rights, compare)
	a.More = !all || len(rights) > maxAgentRights
	a.Permissions = []AgentRight{}
	for i, r := range rights {
		if i == 0 {
			a.danger, a.Danger = r.danger, r.Danger
		}
		if i < maxAgentRights {
			a.Permissions = append(a.Permissions, AgentRight{
				Danger: r.Danger, Verb: r.Verb, Resource: r.Resource, Path: r.Path, Namespace: r.Namespace, MoreSpaces: r.MoreSpaces, Name: r.Name,
				Can: r.Can, Grants: r.Grants, MoreGrants: r.MoreGrants, right: r,
			})
		}
	}
}

// agentRight returns a permission of a service account.
func (a *analysis) agentRight(q *question) *Right {
	allowed := true
	r := &Right{
		Class: Widened, Verb: q.request.Verb, Path: q.request.Path, Namespace: q.request.Namespace, Name: q.request.Name, Object: "rule",
		MoreSpaces: q.namespaces, request: q.request, Allowed: &allowed, Intent: string(nodeauthorizer.Refused),
	}
	if q.request.Path == "" {
		r.Resource = q.request.GroupResource()
	}
	a.addGrants(r, nil)
	r.danger, r.Can = agentRisk(&q.request)
	r.Danger = r.danger.String()
	return r.printable()
}

// agentRisk returns what it means that an account on a node has a permission. Kubelets have some of them, too, but the NodeRestriction
// plugin holds them to their own node; it holds no service account.
func agentRisk(r *authorization.Request) (nodeauthorizer.Danger, string) {
	if r.Group == "" && r.Path == "" {
		switch resource := strings.TrimSuffix(r.Resource+"/"+r.Subresource, "/"); {
		case !slices.Contains([]string{"create", "update", "patch", "delete"}, r.Verb):
		case resource == "pods" && r.Verb == "create":
			return nodeauthorizer.Critical, "runs pods of its own on any node, with any service account of the namespace"
		case resource == "pods" && r.Verb == "delete", resource == "pods/eviction" && r.Verb == "create":
			return nodeauthorizer.High, "deletes pods of other nodes"
		case resource == "pods/status" && r.Verb != "create" && r.Verb != "delete":
			return nodeauthorizer.High, "takes the traffic of pods of other nodes, or has controllers delete them"
		case resource == "nodes" && r.Verb != "delete", resource == "nodes/status" && r.Verb != "create" && r.Verb != "delete":
			return nodeauthorizer.High, "changes labels, taints, addresses or conditions of other Nodes"
		}
	}
	return nodeauthorizer.Risk(r)
}

// worst counts agents by the danger of their worst permission.
func worst(agents []*Agent) map[string]int {
	counts := map[string]int{}
	for _, a := range agents {
		counts[cmp.Or(a.Danger, noDanger)]++
	}
	return counts
}

// noDanger is the key of the accounts without a permission.
const noDanger = "none"

// named is a number with its noun.
func named(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
