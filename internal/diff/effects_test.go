// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func parse(t *testing.T, text string) *spec {
	t.Helper()
	s := &spec{}
	if err := yaml.UnmarshalStrict([]byte(text), s); err != nil {
		t.Fatal(err)
	}
	return s
}

// agents returns the subjects of a policy for service accounts.
func agents(names ...string) string {
	var accounts []string
	for _, name := range names {
		accounts = append(accounts, "{namespace: kube-system, name: "+name+"}")
	}
	return "subjects: {serviceAccounts: [" + strings.Join(accounts, ", ") + "]}"
}

func TestEffects(t *testing.T) {
	for name, test := range map[string]struct{ old, updated, want string }{
		"nothing": {`nodes: {labels: {}}`, `nodes: {labels: {update: {}, registration: {}}}`, ""},
		"another order": {
			`nodes: {finalizers: {allowed: [a, b]}}`, `nodes: {finalizers: {allowed: [b, a]}}`, "",
		},
		"a section is added and another removed": {
			`nodes: {self: {}}`, `pods: {self: {}}`, "nodes.self wider; pods.self narrower",
		},
		"an action that denies":           {`validationActions: [Audit]`, `validationActions: [Deny, Audit]`, "validationActions narrower"},
		"an action that no longer denies": {`validationActions: [Deny]`, `validationActions: [Warn]`, "validationActions wider"},
		"a warning instead of a record":   {`validationActions: [Audit]`, `validationActions: [Warn]`, "validationActions same"},
		"a pattern that another contains": {
			`nodes: {finalizers: {allowed: ["example.com/*"]}}`, `nodes: {finalizers: {allowed: ["example.com/*", example.com/a]}}`,
			"nodes.finalizers.allowed same",
		},
		"a pattern that contains more": {
			`nodes: {finalizers: {allowed: ["a*c", x]}}`, `nodes: {finalizers: {allowed: ["a*", "*x"]}}`, "nodes.finalizers.allowed wider",
		},
		"patterns that overlap": {
			`nodes: {finalizers: {allowed: ["a*"]}}`, `nodes: {finalizers: {allowed: ["*a"]}}`, "nodes.finalizers.allowed both",
		},
		"any name, said and not said": {`nodes: {names: {}}`, `nodes: {names: {allowed: ["*"]}}`, "nodes.names.allowed same"},
		"some names":                  {`nodes: {names: {}}`, `nodes: {names: {allowed: ["a*"]}}`, "nodes.names.allowed narrower"},
		"a value of a label": {
			`nodes: {labels: {update: {allowed: ["a=x", "b"]}}}`, `nodes: {labels: {update: {allowed: ["a=*", "b=y"]}}}`,
			"nodes.labels.update.allowed both",
		},
		"any value, said and not said": {
			`pods: {metadata: {annotations: {allowed: ["a=*"]}}}`, `pods: {metadata: {annotations: {allowed: [a]}}}`,
			"pods.metadata.annotations.allowed same",
		},
		"any label does not contain a reserved one": {
			`nodes: {labels: {}}`, `nodes: {labels: {registration: {allowed: ["*", "node-role.kubernetes.io/*"]}}}`,
			"nodes.labels.registration.allowed wider",
		},
		"any label contains one that is not reserved": {
			`nodes: {labels: {}}`, `nodes: {labels: {registration: {allowed: ["example.com/*", rack]}}}`,
			"nodes.labels.registration.allowed narrower",
		},
		"any label does not contain what may be a controller's": {
			`mirrorPods: {labels: {}}`, `mirrorPods: {labels: {allowed: ["example.com/*", "job-name"]}}`, "mirrorPods.labels.allowed both",
		},
		"a label that is fixed":         {`nodes: {labels: {}}`, `nodes: {labels: {update: {fixed: [a]}}}`, "nodes.labels.update.fixed narrower"},
		"a label is required":           {`nodes: {labels: {}}`, `nodes: {labels: {registration: {required: [a]}}}`, "nodes.labels.registration.required narrower"},
		"a requirement is more general": {`nodes: {labels: {registration: {required: [a=x]}}}`, `nodes: {labels: {registration: {required: [a]}}}`, "nodes.labels.registration.required wider"},
		"an exact key takes precedence over a denied one": {
			`nodes: {labels: {registration: {denied: [x]}, update: {allowed: [x]}}}`,
			`nodes: {labels: {registration: {denied: [x]}, update: {allowed: ["x*"]}}}`, "nodes.labels.update.allowed both",
		},
		"another node agent":              {agents("a"), agents("a", "b"), "subjects.serviceAccounts narrower"},
		"a policy that is now for others": {`nodes: {self: {}}`, agents("a") + "\nnodes: {self: {}}", "subjects both"},
		"a credential without a node": {
			`subjects: {usernamePrefixes: ["a:"]}`, `subjects: {usernamePrefixes: ["a:"], withoutNode: Allow}`, "subjects.withoutNode wider",
		},
		"a prefix within another": {
			`subjects: {usernamePrefixes: ["a:"]}`, `subjects: {usernamePrefixes: ["a:", "a:b:"]}`, "subjects.usernamePrefixes same",
		},
		"types of addresses, which node agents do not have by default": {
			agents("a") + "\nnodes: {addresses: {}}", agents("a") + "\nnodes: {addresses: {allowedTypes: [InternalIP]}}",
			"nodes.addresses.allowedTypes wider",
		},
		"a resource, which node agents may not change by default": {
			agents("a") + "\nnodes: {capacity: {max: {cpu: 8}}}", agents("a") + "\nnodes: {capacity: {}}", "nodes.capacity.max[cpu] narrower",
		},
		"objects of another kind": {
			agents("a") + "\nobjects: [{resource: a, node: b}]", agents("a") + "\nobjects: [{resource: a, node: b}, {resource: c, node: d}]",
			"objects narrower",
		},
		"a taint that may be removed": {
			agents("a") + "\nnodes: {taints: {}}", agents("a") + "\nnodes: {taints: {removable: [{key: a}]}}", "nodes.taints.removable wider",
		},
		"additions": {
			`nodes: {labels: {update: {additions: Listed}}}`, `nodes: {labels: {}}`, "nodes.labels.update.additions wider",
		},
		"a taint is also allowed if it is required": {
			`nodes: {taints: {allowed: [{key: a}]}}`, `nodes: {taints: {allowed: [{key: a}], required: [{key: b}]}}`, "nodes.taints.required both",
		},
		"a required taint among the allowed": {
			`nodes: {taints: {allowed: [{key: "*"}]}}`, `nodes: {taints: {allowed: [{key: "*"}], required: [{key: b, effect: NoExecute}]}}`,
			"nodes.taints.required narrower",
		},
		"a value and an effect of a taint": {
			`nodes: {taints: {allowed: [{key: a, value: "x*", effect: NoExecute}]}}`, `nodes: {taints: {allowed: [{key: a, value: "x*"}]}}`,
			"nodes.taints.allowed wider",
		},
		"the taint of a machine that is off": {
			`nodes: {taints: {}}`, `nodes: {taints: {allowed: [{key: "*"}, {key: node.kubernetes.io/out-of-service}]}}`,
			"nodes.taints.allowed wider",
		},
		"halves of a range": {
			`nodes: {addresses: {allowedCIDRs: [10.0.0.0/8]}}`, `nodes: {addresses: {allowedCIDRs: [10.128.0.0/9, 10.0.0.0/9]}}`,
			"nodes.addresses.allowedCIDRs same",
		},
		"a part of a range": {
			`nodes: {addresses: {allowedCIDRs: [10.0.0.0/8]}}`, `nodes: {addresses: {allowedCIDRs: [10.1.0.0/16]}}`,
			"nodes.addresses.allowedCIDRs narrower",
		},
		"a denied range": {`nodes: {addresses: {}}`, `nodes: {addresses: {deniedCIDRs: ["fd00::/8"]}}`, "nodes.addresses.deniedCIDRs narrower"},
		"every address":  {`nodes: {addresses: {}}`, `nodes: {addresses: {allowedCIDRs: [0.0.0.0/0, "::/0"]}}`, "nodes.addresses.allowedCIDRs same"},
		"addresses of version 4 only": {
			`nodes: {addresses: {}}`, `nodes: {addresses: {allowedCIDRs: [0.0.0.0/0]}}`, "nodes.addresses.allowedCIDRs narrower",
		},
		"what a Node says of itself": {
			`pods: {ips: {}}`, `pods: {ips: {podIPs: {from: NodePodCIDRs}, hostIPs: {from: NodeAddresses, allowedCIDRs: [10.0.0.0/8]}}}`,
			"pods.ips.podIPs.from narrower; pods.ips.hostIPs.from narrower; pods.ips.hostIPs.allowedCIDRs narrower",
		},
		"ranges beside what a Node says": {
			`pods: {ips: {podIPs: {from: NodePodCIDRs}}}`, `pods: {ips: {podIPs: {from: NodePodCIDRs, allowedCIDRs: [10.0.0.0/8]}}}`,
			"pods.ips.podIPs.allowedCIDRs both",
		},
		"a port among the usual ones": {`nodes: {kubeletPorts: {}}`, `nodes: {kubeletPorts: {allowed: [10250]}}`, "nodes.kubeletPorts.allowed narrower"},
		"a port beyond the usual ones": {
			`nodes: {kubeletPorts: {}}`, `nodes: {kubeletPorts: {allowed: [10250, 443]}}`, "nodes.kubeletPorts.allowed both",
		},
		"a built-in bound": {
			`nodes: {capacity: {}}`, `nodes: {capacity: {max: {cpu: "8192", memory: 65536Gi, example.com/gpu: 4}}}`,
			"nodes.capacity.max[cpu] wider; nodes.capacity.max[example.com/gpu] narrower; nodes.capacity.max[memory] same",
		},
		"extended resources": {
			`nodes: {extendedResources: {allowed: [{name: "example.com/*", max: 4}]}}`,
			`nodes: {extendedResources: {allowed: [{name: example.com/gpu, max: 4}, {name: example.com/nic}]}}`,
			"nodes.extendedResources.allowed both",
		},
		"a number": {`nodes: {images: {}}`, `nodes: {images: {maxCount: 100}}`, "nodes.images.maxCount wider"},
		"a version": {
			`nodes: {info: {allowed: {kubeletVersion: ["v1.37.*"]}}}`, `nodes: {info: {allowed: {osImage: [x], kubeletVersion: ["v1.*"]}}}`,
			"nodes.info.allowed[kubeletVersion] wider; nodes.info.allowed[osImage] narrower",
		},
		"a directory": {
			`mirrorPods: {hostAccess: {hostPathPrefixes: [/etc/kubernetes]}}`, `mirrorPods: {hostAccess: {hostPathPrefixes: [/etc/kubernetes/pki]}}`,
			"mirrorPods.hostAccess.hostPathPrefixes narrower",
		},
		"a directory with the same beginning": {
			`mirrorPods: {hostAccess: {hostPathPrefixes: [/etc]}}`, `mirrorPods: {hostAccess: {hostPathPrefixes: [/etc2/]}}`,
			"mirrorPods.hostAccess.hostPathPrefixes both",
		},
		"more kubelets":  {`match: {nodeNames: [a]}`, `{}`, "match.nodeNames narrower"},
		"fewer kubelets": {`match: {excludeNodeNames: [a]}`, `match: {excludeNodeNames: ["*"]}`, "match.excludeNodeNames wider"},
		"kubelets by label": {
			`match: {nodeSelector: {matchLabels: {a: b}}}`, `match: {nodeSelector: {matchExpressions: [{key: a, operator: In, values: [b, c]}]}}`,
			"match.nodeSelector narrower",
		},
		"a label that must not be there": {
			`match: {nodeSelector: {matchExpressions: [{key: a, operator: DoesNotExist}]}}`,
			`match: {nodeSelector: {matchExpressions: [{key: a, operator: NotIn, values: [b]}]}}`, "match.nodeSelector narrower",
		},
		"baseline": {`baseline: {}`, `baseline: {resources: [leases, nodes, pods]}`, "baseline.resources narrower"},
		"audiences of the API server": {
			`baseline: {resources: [serviceaccounts]}`, `baseline: {resources: [serviceaccounts], apiAudiences: [x]}`, "baseline.apiAudiences both",
		},
		"tokens": {
			`serviceAccountTokens: {maxExpirationSeconds: 600}`, `serviceAccountTokens: {denied: ["a/*"]}`,
			"serviceAccountTokens.maxExpirationSeconds wider; serviceAccountTokens.denied narrower",
		},
		"lockdown": {`{}`, `lockdown: {}`, "lockdown narrower"},
	} {
		t.Run(name, func(t *testing.T) {
			old, updated := parse(t, test.old), parse(t, test.updated)
			if got := summary(Compare(old, updated)); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			var reverse []Change
			for _, c := range Compare(updated, old) {
				reverse = append(reverse, Change{Field: c.Field, Effect: c.Effect.inverse()})
			}
			if got := summary(reverse); got != test.want {
				t.Errorf("the reverse is not the inverse: %s", got)
			}
		})
	}
}

// summary returns changes as field and effect.
func summary(changes []Change) string {
	var all []string
	for _, c := range changes {
		all = append(all, fmt.Sprintf("%s %s", strings.TrimPrefix(c.Field, "spec."), c.Effect))
	}
	return strings.Join(all, "; ")
}
