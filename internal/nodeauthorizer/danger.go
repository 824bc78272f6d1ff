// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package nodeauthorizer

import (
	"strings"
	"sync"

	"noderestriction.plus/internal/authorization"
)

// Danger is what it means if a kubelet may do what the Node authorizer refuses.
type Danger int

// Dangers, the least first.
const (
	Low Danger = iota
	Medium
	High
	Critical
)

// String returns low, medium, high or critical.
func (d Danger) String() string { return [...]string{"low", "medium", "high", "critical"}[d] }

// MarshalText writes the danger as [Danger.String] does.
func (d Danger) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// danger is a pattern of requests, and what they are good for. "*" matches everything.
type danger struct {
	groups, resources, verbs string // lists; a resource is with its subresource
	level                    Danger
	why                      string
}

// verbsOfAll are the verbs that "*" stands for, where one of them is more dangerous than others.
func verbsOfAll() []string {
	return strings.Fields("get list watch create update patch delete deletecollection impersonate bind escalate approve sign attest use")
}

const (
	reading  = "get list watch"
	changing = "create update patch"
	writing  = "create update patch delete deletecollection"
)

// dangers returns what is known to be dangerous; the first pattern that matches counts.
var dangers = sync.OnceValue(func() []danger {
	const self = "selfsubjectreviews selfsubjectaccessreviews selfsubjectrulesreviews"
	const core, workloads = "\"\"", "apps batch extensions"
	return []danger{
		{authenticationGroup + " " + authorizationGroup, self, "create", Low, "learns who it is and what it may do"},

		// Other identities.
		{
			core + " " + authenticationGroup + " *", "users groups serviceaccounts uids userextras nodes *", "impersonate", Critical,
			"acts as any user, group or service account that the rule names",
		},
		{core, "serviceaccounts/token", "create", Critical, "acts as any service account"},
		{"rbac.authorization.k8s.io", "*", "create update patch bind escalate", Critical, "grants itself any permission"},
		{"rbac.authorization.k8s.io", "*", writing, High, "takes permissions from others"},
		{
			certificatesGroup, "certificatesigningrequests/approval certificatesigningrequests/status", changing, Critical,
			"has certificates issued for other identities",
		},
		{certificatesGroup, "signers", "approve sign", Critical, "has certificates issued for other identities"},
		{certificatesGroup, "certificatesigningrequests/nodeclient", "create", Critical, "has a client certificate issued for any node"},
		{
			certificatesGroup, "certificatesigningrequests/selfnodeclient certificatesigningrequests/selfnodeserver", "create", Low,
			"has its own certificates renewed without an approver",
		},
		{
			certificatesGroup, "certificatesigningrequests", "update patch delete deletecollection", Medium,
			"removes or changes requests of others",
		},
		{
			certificatesGroup, "podcertificaterequests podcertificaterequests/status", "update patch delete deletecollection", High,
			"issues or removes certificates of pods",
		},
		{certificatesGroup, "podcertificaterequests", reading, Medium, "learns which pods use which keys"},
		{certificatesGroup, "clustertrustbundles", writing, High, "adds a CA that pods trust"},
		{certificatesGroup, "signers", "attest", High, "adds a CA that pods trust"},
		{"security.openshift.io policy", "securitycontextconstraints podsecuritypolicies", "use", Critical, "runs privileged pods"},

		// Pods and what runs them.
		{core, "nodes/proxy", "*", Critical, "runs commands in every container, through the kubelets of other nodes"},
		{core, "pods/exec pods/attach pods/ephemeralcontainers", "*", Critical, "runs commands in containers of other nodes"},
		{core, "pods/portforward pods/proxy services/proxy", "*", High, "reaches ports of pods on other nodes"},
		{core, "pods", "update patch", Critical, "changes images of pods on other nodes, unless an admission plugin refuses it"},
		{core, "pods", "deletecollection", High, "deletes all pods, unless an admission plugin refuses it"},
		{core, "pods/binding bindings", "create", High, "places pods of others on its node"},
		{core, "pods/resize", "update patch", Medium, "takes resources from pods of other nodes"},
		{core, "pods/log", reading, Medium, "reads logs of pods on other nodes"},
		{core, "pods", reading, Medium, "learns the images, environments and places of all pods"},
		{workloads, "*", changing, Critical, "runs pods of its own on any node, with any service account"},
		{core, "replicationcontrollers podtemplates", changing, Critical, "runs pods of its own on any node, with any service account"},
		{workloads, "*", writing, High, "stops workloads"},

		// Secrets and configuration.
		{core, "secrets", reading, Critical, "reads credentials of pods on other nodes"},
		{core, "secrets", writing, High, "replaces credentials that others trust"},
		{core, "configmaps", reading, Medium, "reads configuration of pods on other nodes"},
		{core, "configmaps", writing, High, "changes configuration that others trust"},
		{
			"*", "serviceaccounts", "request-serviceaccounts-token-audience", Medium,
			"requests tokens of its pods for audiences that the pods do not name",
		},
		{
			"*", "*", "request-serviceaccounts-token-audience request-serviceaccounts-podcertificate-signer", Medium,
			"requests tokens or certificates of its pods for audiences or signers that the pods do not name",
		},
		{core, "serviceaccounts", changing, High, "changes which Secrets, and which roles of a cloud, pods get"},

		// Nodes.
		{core, "nodes", "delete deletecollection", High, "removes other nodes"},
		{core, "nodes/metrics nodes/healthz nodes/statusz nodes/flagz", "*", Low, "reads metrics and health of other kubelets"},
		{
			core, "nodes/stats nodes/log nodes/pods nodes/configz nodes/checkpoint", "*", Medium,
			"reads logs, pods and configuration of other kubelets",
		},
		{coordinationGroup, "leases", writing, High, "keeps dead nodes Ready, or takes the leadership of a controller"},
		{coordinationGroup, "leases", reading, Low, "learns which nodes and controllers are alive"},
		{storageGroup, "csinodes", writing, Medium, "changes which volumes other nodes can attach"},
		{resourceGroup, "resourceslices", writing, Medium, "changes which devices other nodes offer"},
		{resourceGroup, "resourceslices", reading, Low, "learns the devices of other nodes"},

		// What all trust.
		{"admissionregistration.k8s.io", "*", writing, Critical, "turns off admission policies, or reads and changes every write"},
		{"noderestriction.plus", "*", writing, Critical, "turns off NodeRestrictionPolicies"},
		{"apiregistration.k8s.io", "*", writing, Critical, "answers for an API in place of the API server"},
		{"apiextensions.k8s.io", "*", writing, High, "changes APIs that others rely on"},
		{core, "namespaces", writing, High, "deletes namespaces, or changes their Pod Security level"},
		{core, "services services/status endpoints", writing, High, "redirects traffic of others"},
		{"discovery.k8s.io networking.k8s.io gateway.networking.k8s.io", "*", writing, High, "redirects traffic of others"},
		{core, "persistentvolumes", changing, High, "mounts any directory of any node"},
		{core, "persistentvolumeclaims persistentvolumeclaims/status", reading, Medium, "learns the volumes of pods on other nodes"},
		{core, "persistentvolumes", reading, Medium, "learns where the data of pods on other nodes is stored"},
		{storageGroup, "volumeattachments volumeattachments/status", writing, High, "attaches or detaches volumes of other nodes"},
		{storageGroup, "csidrivers storageclasses", writing, High, "changes how volumes are mounted"},
		{nodeGroup, "runtimeclasses", writing, High, "changes how containers are isolated"},
		{resourceGroup, "*", writing, High, "takes or gives devices of other nodes"},
		{"metrics.k8s.io", "*", reading, Low, "learns the load of pods"},

		// The rest.
		{"*", "*", reading, Low, "reads objects that no kubelet needs"},
	}
})

// Risk returns what a request means that the Node authorizer refuses: the danger, and in a few words what the kubelet can do with it,
// for a sentence that begins with a kubelet.
func Risk(r *authorization.Request) (Danger, string) {
	if r.Path != "" {
		switch {
		case r.Path == "*":
			return High, "reaches every path of the API server that is not a resource"
		case r.Verb == "get" && isDiscovery(r.Path):
			return Low, "learns which APIs there are, and whether the API server is healthy"
		case r.Verb != "get":
			return High, "changes the API server's settings, such as its log level"
		}
		return Medium, "reads metrics, profiles or logs of the API server"
	}
	if r.Resource == "*" && (r.Verb == "*" || r.Group == "*") {
		return Critical, "may do anything"
	}
	if verb, _, constrained := strings.Cut(r.Verb, ":"); constrained && strings.HasPrefix(verb, "impersonate") {
		return Critical, "acts as any user, group or service account that the rule names"
	}
	if r.Verb == "*" {
		level, why := Low, ""
		for _, verb := range verbsOfAll() {
			one := *r
			one.Verb = verb
			if l, w := Risk(&one); why == "" || l > level {
				level, why = l, w
			}
		}
		return level, why
	}
	for i := range dangers() {
		if d := &dangers()[i]; d.matches(r) {
			return d.level, d.why
		}
	}
	return Medium, "changes objects that no kubelet needs"
}

// isDiscovery reports whether Kubernetes lets all authenticated users read a path, by the ClusterRole system:discovery.
func isDiscovery(path string) bool {
	for _, prefix := range []string{"/api", "/apis", "/openapi", "/version", "/healthz", "/livez", "/readyz"} {
		if path == prefix || strings.HasPrefix(path, prefix+"/") {
			return true
		}
	}
	return false
}

func (d *danger) matches(r *authorization.Request) bool {
	group := r.Group
	if group == "" {
		group = `""`
	}
	resource := r.Resource
	if r.Subresource != "" {
		resource += "/" + r.Subresource
	}
	return listed(d.groups, group) && listed(d.verbs, r.Verb) && listed(d.resources, resource)
}

// listed reports whether a list, with blanks between its words, has a word or is "*".
func listed(list, word string) bool {
	if list == "*" || list == word {
		return true
	}
	for part := range strings.FieldsSeq(list) {
		if part == word {
			return true
		}
	}
	return false
}
