// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"net/http"
	"regexp"
	"strings"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/text"
)

// answeredBy is who refused the dry run of [NodeProbe].
type answeredBy string

const (
	byPlugin   answeredBy = "the NodeRestriction plugin"
	byUs       answeredBy = "NodeRestriction-plus"
	byOthers   answeredBy = "another webhook or policy"
	byNobody   answeredBy = "nobody"
	bySomebody answeredBy = ""
)

// who returns who refused the dry run. The plugin comes before all webhooks and policies.
func (p *NodeProbe) who() answeredBy {
	const byWebhook, byPolicy = `admission webhook "([^"]{1,253})" denied the request: `,
		`ValidatingAdmissionPolicy '([^']{1,253})' with binding '[^']{0,253}' denied request`
	webhook := regexp.MustCompile(byWebhook).FindStringSubmatch(p.Message)
	policy := regexp.MustCompile(byPolicy).FindStringSubmatch(p.Message)
	switch {
	case p.Code == http.StatusCreated:
		return byNobody
	case webhook != nil && strings.HasSuffix(webhook[1], ".noderestriction.plus"), policy != nil && strings.HasPrefix(policy[1], program.Name):
		return byUs
	case webhook != nil, policy != nil:
		return byOthers
	case p.Code == http.StatusForbidden && strings.Contains(p.Message,
		`node "`+ProbeNode+`" is not allowed to modify node "`+ProbeOtherNode+`"`):
		return byPlugin
	}
	return bySomebody
}

// impersonation are the permissions for the dry run, from Kubernetes 1.36 on.
func impersonation() []authorization.Request {
	return []authorization.Request{
		{Verb: "impersonate:arbitrary-node", Group: "authentication.k8s.io", Resource: "nodes", Name: ProbeNode},
		{Verb: "impersonate-on:arbitrary-node:create", Resource: "nodes"},
	}
}

// ProbePermissions returns the permissions that the dry run needs, at API servers of some versions. Before 1.36 there is no constrained
// impersonation.
func ProbePermissions(versions []string) []authorization.Request {
	for _, v := range versions {
		if minor, ok := minorOf(v); ok && minor < 36 {
			return []authorization.Request{
				{Verb: "impersonate", Resource: "users", Name: authorization.NodeUserPrefix + ProbeNode},
				{Verb: "impersonate", Resource: "groups", Name: authorization.NodesGroup},
			}
		}
	}
	return impersonation()
}

func nodeRestriction() Check {
	return Check{
		ID: "node-restriction", Severity: nodeauthorizer.Critical, Worst: Bad,
		Asks: "Is the NodeRestriction admission plugin on?",
		Gain: "changes other Nodes, deletes any pod, and creates pods that use any Secret",
		How: "With --probe it creates a Node of another name as a kubelet that does not exist, as a dry run. The plugin refuses that before any" +
			" webhook is called. Without --probe it cannot tell.",
		Needs: impersonation(), run: runNodeRestriction,
	}
}

func runNodeRestriction(s *Snapshot, f *Finding) {
	p, ok := known(s, f, &s.NodeProbe)
	if !ok {
		return
	}
	fix := Fix{
		On: OnControlPlane, Command: editManifest("s/(--enable-admission-plugins=)/\\1NodeRestriction,/"),
		Note: "the command is for kubeadm, whose manifest has the flag; where you cannot change flags, use the section baseline of a policy",
	}
	switch by := p.who(); by {
	case byPlugin:
		f.note("it refuses that a kubelet creates another Node")
	case bySomebody:
		f.cannot("the answer to the dry run is neither the plugin's nor a success: %d %s", p.Code, text.Quote(p.Message))
	default:
		f.bad("kube-apiserver", "--enable-admission-plugins", fix, "a kubelet can create another Node, as far as the plugin is concerned;"+
			" it is refused by %s", by)
	}
}

func nodeRestrictionByUs() Check {
	return Check{
		ID: "node-restriction-by-us", Severity: nodeauthorizer.Critical, Worst: Bad,
		Asks: "Does anything refuse what the NodeRestriction plugin refuses?",
		Gain: "changes other Nodes, deletes any pod, and creates pods that use any Secret",
		How: "It reads from the answer to the dry run of node-restriction who refused it: the plugin, the section baseline of a policy," +
			" another webhook or policy, or nobody.",
		Needs: impersonation(), run: runNodeRestrictionByUs,
	}
}

func runNodeRestrictionByUs(s *Snapshot, f *Finding) {
	p, ok := known(s, f, &s.NodeProbe)
	if !ok {
		return
	}
	switch by := p.who(); by {
	case byPlugin, byUs:
		f.note("it is refused by %s", by)
	case bySomebody:
		f.cannot("the answer to the dry run is neither a known refusal nor a success: %d %s", p.Code, text.Quote(p.Message))
	case byOthers:
		f.weak("kube-apiserver", "--enable-admission-plugins", baseline(), "only another webhook or policy refuses the dry run, with %s",
			text.Quote(p.Message))
	case byNobody:
		f.bad("kube-apiserver", "--enable-admission-plugins", baseline(), "nobody refuses that a kubelet creates another Node")
	}
}

// baseline is the fix that gives the verdicts of the plugin.
func baseline() Fix {
	fix := shell(OnCluster, "printf", "%s", `{"apiVersion":"noderestriction.plus/v1alpha1","kind":"NodeRestrictionPolicy",`+
		`"metadata":{"name":"baseline"},"spec":{"validationActions":["Deny"],"baseline":{}}}`)
	fix.Command += " | kubectl apply -f -"
	fix.Note = "NodeRestriction-plus must be installed; with the value baseline of its chart it also covers what this policy alone does" +
		" not: docs/baseline.md"
	return fix
}
